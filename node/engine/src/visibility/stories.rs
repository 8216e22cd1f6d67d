//! Queries and what they find or why they are refused. The files in `testdata` have a query on one line
//! and the outcome, indented, on the next. They were taken down from a server 1.32 that had the same four
//! runs; where this server deliberately answers otherwise, a line that begins with `#` says so.

use std::collections::BTreeMap;

use everlog_proto::api::{common::v1::Payload, enums::v1::WorkflowExecutionStatus};
use expect_test::{ExpectFile, expect, expect_file};

use super::{
    row::{Bytes, payload_bytes},
    *,
};
use crate::{cluster::ValueType, time::Time};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_795_434_391 * SECOND;

/// Answers every query of a file anew.
fn check(recorded: &str, expected: ExpectFile) {
    let mut text = String::new();
    for line in recorded.lines() {
        if line.starts_with("  ") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if !line.starts_with('#') {
            text.push_str(&format!("  {}\n", found(line)));
        }
    }
    expected.assert_eq(&text);
}

fn attributes() -> BTreeMap<String, ValueType> {
    let types = [
        ("Kw", ValueType::Keyword),
        ("KwOther", ValueType::Keyword),
        ("Num", ValueType::Int),
        ("Dbl", ValueType::Double),
        ("Flag", ValueType::Bool),
        ("Moment", ValueType::Datetime),
        ("List", ValueType::KeywordList),
        ("Txt", ValueType::Text),
    ];
    types.into_iter().map(|(name, value_type)| (name.to_owned(), value_type)).collect()
}

/// An open run with search attributes in JSON.
fn row(workflow_id: &str, start: i64, attributes: &[(&str, &str)]) -> Row {
    let payload = |json: &str| {
        let data = json.as_bytes().to_vec();
        Bytes::from(payload_bytes(&Payload { data, ..Payload::default() }))
    };
    Row {
        workflow_id: workflow_id.to_owned(),
        run_id: format!("run-of-{workflow_id}"),
        workflow_type: "Wt".to_owned(),
        task_queue: "q".to_owned(),
        status: WorkflowExecutionStatus::Running as i32,
        start_time: START + start,
        execution_time: START + start,
        search_attributes: attributes
            .iter()
            .map(|(name, json)| ((*name).to_owned(), payload(json)))
            .collect(),
        root_workflow_id: workflow_id.to_owned(),
        root_run_id: format!("run-of-{workflow_id}"),
        ..Row::default()
    }
}

fn closed(mut row: Row, after: i64, status: WorkflowExecutionStatus) -> Row {
    row.status = status as i32;
    row.close_time = Some(row.start_time + after);
    row.closed = Some(Closed { history_length: 3, history_size_bytes: 318, state_transition_count: 2 });
    row
}

fn rows() -> Vec<Row> {
    vec![
        row("bare", 0, &[]),
        row(
            "full",
            6,
            &[
                ("Kw", r#""abc""#),
                ("Num", "5"),
                ("Dbl", "2.5"),
                ("Flag", "true"),
                ("Moment", r#""2024-01-02T03:04:05.123456789+01:00""#),
                ("List", r#"["x","Y z"]"#),
                ("Txt", r#""Hello big World""#),
            ],
        ),
        row(
            "other",
            13,
            &[
                ("Kw", r#""ABC""#),
                ("Num", "-7"),
                ("Dbl", "3"),
                ("Flag", "false"),
                ("Moment", r#""2025-01-01T00:00:00Z""#),
                ("List", r#"["y"]"#),
                ("Txt", r#""hello-there fox""#),
            ],
        ),
        closed(row("done", 18, &[("Kw", r#""zzz""#)]), 3_807_392, WorkflowExecutionStatus::Terminated),
    ]
}

fn found(query: &str) -> String {
    let filter = match Filter::parse(query, &attributes()) {
        Ok(filter) => filter,
        Err(error) => return error.to_string(),
    };
    if filter.group_by().is_some() {
        let mut counts = Counts::default();
        rows().iter().for_each(|row| counts.add(&filter, row));
        let groups: Vec<_> = counts.groups.iter().map(|(name, count)| format!("{name}={count}")).collect();
        return groups.join(" ");
    }
    let mut ids: Vec<_> =
        rows().into_iter().filter(|row| filter.matches(row)).map(|row| row.workflow_id).collect();
    ids.sort();
    ids.join(" ")
}

#[test]
fn queries_find_what_the_real_server_finds() {
    check(include_str!("testdata/matches.txt"), expect_file!["testdata/matches.txt"]);
}

#[test]
fn queries_are_refused_as_the_real_server_refuses_them() {
    check(include_str!("testdata/refused.txt"), expect_file!["testdata/refused.txt"]);
}

#[test]
fn queries_have_bounds() {
    let nested = |levels: usize| format!("{}WorkflowId = 'a'{}", "(".repeat(levels), ")".repeat(levels));
    let negated = |levels: usize| format!("{}WorkflowId = 'a'", "NOT ".repeat(levels));
    let signs = |count: usize| format!("Num = {}5", "- ".repeat(count));
    let terms = |count: usize| vec!["WorkflowId = 'a'"; count].join(" OR ");
    let values = |count: usize| format!("WorkflowId IN ({})", vec!["'a'"; count].join(","));
    let cases = [
        nested(QUERY_DEPTH_MAX),
        nested(QUERY_DEPTH_MAX + 1),
        nested(1_000_000 / 64),
        negated(QUERY_DEPTH_MAX),
        negated(QUERY_DEPTH_MAX + 1),
        signs(QUERY_DEPTH_MAX),
        signs(QUERY_DEPTH_MAX + 1),
        terms(QUERY_TERMS_MAX),
        terms(QUERY_TERMS_MAX + 1),
        values(QUERY_IN_VALUES_MAX),
        values(QUERY_IN_VALUES_MAX + 1),
        format!("WorkflowId = '{}'", "x".repeat(QUERY_BYTES_MAX)),
    ];
    let answers: Vec<String> =
        cases.iter().map(|query| format!("{:.30}: {}\n", query, found(query))).collect();
    expect![[r#"
        ((((((((((((((((((((((((((((((: 
        ((((((((((((((((((((((((((((((: invalid query: invalid expression: query is nested deeper than 32 levels
        ((((((((((((((((((((((((((((((: invalid query: invalid expression: query is nested deeper than 32 levels
        NOT NOT NOT NOT NOT NOT NOT NO: 
        NOT NOT NOT NOT NOT NOT NOT NO: invalid query: invalid expression: query is nested deeper than 32 levels
        Num = - - - - - - - - - - - - : full
        Num = - - - - - - - - - - - - : invalid query: invalid expression: query is nested deeper than 32 levels
        WorkflowId = 'a' OR WorkflowId: 
        WorkflowId = 'a' OR WorkflowId: invalid query: invalid expression: query has more than 64 terms
        WorkflowId IN ('a','a','a','a': 
        WorkflowId IN ('a','a','a','a': invalid query: invalid expression: IN has more than 1000 values
        WorkflowId = 'xxxxxxxxxxxxxxxx: invalid query: invalid expression: query is longer than 65536 bytes
    "#]].assert_eq(&answers.concat());
}

#[test]
fn runs_of_another_division_are_left_out_unless_they_are_asked_for() {
    let division = row("schedule", 0, &[("TemporalNamespaceDivision", r#""TemporalScheduler""#)]);
    let rows = [division, row("own", 0, &[])];
    let queries = [
        "",
        "WorkflowType = 'Wt'",
        "TemporalNamespaceDivision = 'TemporalScheduler'",
        "TemporalNamespaceDivision IS NULL",
        "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL",
    ];
    let answer = |query: &str| {
        let filter = Filter::parse(query, &attributes()).unwrap();
        let found = rows.iter().filter(|row| filter.matches(row));
        let ids: Vec<_> = found.map(|row| row.workflow_id.as_str()).collect();
        format!("{query:?}: {}\n", ids.join(" "))
    };
    expect![[r#"
        "": own
        "WorkflowType = 'Wt'": own
        "TemporalNamespaceDivision = 'TemporalScheduler'": schedule
        "TemporalNamespaceDivision IS NULL": own
        "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL": schedule own
    "#]]
    .assert_eq(&queries.map(answer).concat());
}

#[test]
fn a_row_is_shown_as_the_real_server_shows_it() {
    let mut child = closed(row("done", 18, &[]), 3_807_392, WorkflowExecutionStatus::Terminated);
    let parent =
        Parent { namespace_id: "n".to_owned(), workflow_id: "p".to_owned(), run_id: "pr".to_owned() };
    child.parent = Some(parent);
    expect![[r#"
        WorkflowExecutionInfo {
            execution: Some(
                WorkflowExecution {
                    workflow_id: "done",
                    run_id: "run-of-done",
                },
            ),
            r#type: Some(
                WorkflowType {
                    name: "Wt",
                },
            ),
            start_time: Some(
                Timestamp {
                    seconds: 1795434391,
                    nanos: 18,
                },
            ),
            close_time: Some(
                Timestamp {
                    seconds: 1795434391,
                    nanos: 3807410,
                },
            ),
            status: Terminated,
            history_length: 3,
            parent_namespace_id: "n",
            parent_execution: Some(
                WorkflowExecution {
                    workflow_id: "p",
                    run_id: "pr",
                },
            ),
            execution_time: Some(
                Timestamp {
                    seconds: 1795434391,
                    nanos: 18,
                },
            ),
            memo: Some(
                Memo {
                    fields: {},
                },
            ),
            search_attributes: Some(
                SearchAttributes {
                    indexed_fields: {},
                },
            ),
            auto_reset_points: None,
            task_queue: "q",
            state_transition_count: 2,
            history_size_bytes: 318,
            most_recent_worker_version_stamp: None,
            execution_duration: Some(
                Duration {
                    seconds: 0,
                    nanos: 3807392,
                },
            ),
            root_execution: Some(
                WorkflowExecution {
                    workflow_id: "done",
                    run_id: "run-of-done",
                },
            ),
            assigned_build_id: "",
            inherited_build_id: "",
            first_run_id: "",
            versioning_info: None,
            worker_deployment_name: "",
            priority: None,
            external_payload_size_bytes: 0,
            external_payload_count: 0,
        }
    "#]]
    .assert_debug_eq(&child.info());
    let open = row("open", 0, &[("Kw", r#""abc""#)]).info();
    assert_eq!((open.history_length, open.history_size_bytes, open.state_transition_count), (0, 0, 0));
    assert_eq!((open.close_time, open.execution_duration, open.parent_execution), (None, None, None));
    assert_eq!(open.start_time, Some(Time(START).proto()));
    assert_eq!(open.search_attributes.unwrap().indexed_fields["Kw"].data, br#""abc""#);
}

#[test]
fn counts_are_answered_in_groups() {
    let filter = Filter::parse("GROUP BY ExecutionStatus", &attributes()).unwrap();
    let (mut counts, mut other) = (Counts::default(), Counts::default());
    for row in rows() {
        counts.add(&filter, &row);
        other.add(&filter, &row);
    }
    counts.merge(&other);
    let response = counts.response();
    let groups: Vec<_> = response
        .groups
        .iter()
        .map(|group| (String::from_utf8_lossy(&group.group_values[0].data).into_owned(), group.count))
        .collect();
    assert_eq!(response.count, 8);
    assert_eq!(groups, [("\"Running\"".to_owned(), 6), ("\"Terminated\"".to_owned(), 2)]);
    assert_eq!(response.groups[0].group_values[0].metadata["type"], b"Keyword");
}
