//! Reports that are too large: they end the attempt, they do not hang it.

use everlog_proto::api::failure::v1::ServerFailureInfo;
use expect_test::expect;

use super::*;
use crate::decide::activity::oversize;

/// A running activity, and payloads as large as the limit; one byte more is too much.
fn story() -> (Story, PollActivityTaskQueueResponse, String) {
    let mut story = Story::scheduled(plain("a1"));
    story.limits.blob_bytes_max = 1024 + 6;
    let task = story.poll();
    story.forget();
    (story, task, "x".repeat(1024))
}

#[test]
fn an_oversized_result_fails_the_activity() {
    let (mut at, task, largest) = story();
    at.complete(&task, &largest).unwrap();
    assert!(at.told.contains("ACTIVITY_TASK_COMPLETED"));
    let (mut beyond, task, largest) = story();
    beyond.complete(&task, &(largest + "x")).unwrap();
    beyond.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(Complete result exceeds size limit. server final=true)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn oversized_heartbeat_details_fail_the_activity_and_stop_the_worker() {
    let (mut at, task, largest) = story();
    assert!(!at.heartbeat(&task, &largest).unwrap());
    assert_eq!(text(at.activity(5).heartbeat_details.as_deref()), largest);
    let (mut beyond, task, largest) = story();
    assert!(beyond.heartbeat(&task, &(largest + "x")).unwrap(), "the worker is told to stop");
    beyond.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(Heartbeat details exceed size limit. server final=true)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn oversized_details_of_a_cancellation_fail_the_activity() {
    let (mut at, task, largest) = story();
    at.begin_task().commands(vec![request_cancel(5)]).forget();
    at.cancel(&task, &(largest + "x")).unwrap();
    at.tells(expect![[r#"
        10 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        11 ACTIVITY_TASK_FAILED of=5 started=10 worker CANCEL_REQUESTED failure=(Cancel details exceed size limit. server final=true)
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_oversized_failure_is_cut_and_final() {
    let (mut story, task, _) = story();
    story.limits.blob_bytes_warn = 100;
    let info = ApplicationFailureInfo { r#type: "Fraud".into(), ..Default::default() };
    let long = failure(&"m".repeat(2000), info);
    let request = RespondActivityTaskFailedRequest { failure: Some(long.clone()), ..Default::default() };
    story.fail(&task, long).unwrap();
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(Failure exceeds size limit. server final=true <- (mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm type=Fraud))
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
    let told = oversize(&request, &story.limits);
    expect!["(Failure exceeds size limit. server final=true <- (mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm type=Fraud))"].assert_eq(&told.iter().map(summary).collect::<Vec<_>>().join("\n"));
}

#[test]
fn heartbeat_details_that_come_with_a_failure_may_be_dropped() {
    let (mut story, task, largest) = story();
    let request = RespondActivityTaskFailedRequest {
        failure: Some(broken("no")),
        last_heartbeat_details: Some(payloads(&(largest + "x"))),
        ..Default::default()
    };
    let told = oversize(&request, &story.limits);
    expect!["(Heartbeat details exceed size limit. server final=true)"]
        .assert_eq(&told.iter().map(summary).collect::<Vec<_>>().join("\n"));
    story.ask(Request::FailActivity { of: Of::from(&task).0, request: Box::new(request) }).unwrap();
    story.tells(expect![[r#"
        * retry 5 attempt=2 at=1000ms failure=(no)
    "#]]);
}

#[test]
fn a_report_within_the_limits_is_not_oversize() {
    let (story, _, largest) = story();
    let request = RespondActivityTaskFailedRequest {
        failure: Some(broken("no")),
        last_heartbeat_details: Some(payloads(&largest)),
        ..Default::default()
    };
    assert_eq!(oversize(&request, &story.limits), Vec::new());
}

/// How a failure is cut to so many bytes: type, source, message, stack trace and cause of each level.
fn cut(failure: Failure, bytes: usize) -> String {
    let limits = Limits { blob_bytes_max: 0, blob_bytes_warn: bytes, ..Limits::default() };
    let request = RespondActivityTaskFailedRequest { failure: Some(failure), ..Default::default() };
    let mut level = oversize(&request, &limits).remove(0).cause;
    let mut told = Vec::new();
    while let Some(failure) = level {
        let kind = match &failure.failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => format!("{:?}", info.r#type),
            Some(FailureInfo::ServerFailureInfo(_)) => "server".into(),
            _ => "-".into(),
        };
        told.push(format!("{kind} {:?} {:?} {:?}", failure.source, failure.message, failure.stack_trace));
        level = failure.cause;
    }
    told.join("\n")
}

#[test]
fn a_cut_failure_keeps_the_most_important_first() {
    let nested = || Failure {
        source: "Sdk".into(),
        stack_trace: "main.rs:1\nlib.rs:2".into(),
        cause: Some(Box::new(Failure {
            message: "inner".into(),
            failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true })),
            ..Default::default()
        })),
        ..failure("größer", ApplicationFailureInfo { r#type: "Fraud".into(), ..Default::default() })
    };
    // Type 5, source 3, message 8, stack 18, inner 5, each with its frame.
    for (bytes, expected) in [
        (4, expect![[r#""Frau" "" "" """#]]),
        (5, expect![[r#""Fraud" "" "" """#]]),
        (23, expect![[r#""Fraud" "Sdk" "" """#]]),
        // Half a character is none.
        (27, expect![[r#""Fraud" "Sdk" "gr" """#]]),
        (28, expect![[r#""Fraud" "Sdk" "grö" """#]]),
        (40, expect![[r#""Fraud" "Sdk" "größer" "main""#]]),
        (
            72,
            expect![[r#"
            "Fraud" "Sdk" "größer" "main.rs:1\nlib.rs:2"
            server "" "inner" """#]],
        ),
        (
            200,
            expect![[r#"
            "Fraud" "Sdk" "größer" "main.rs:1\nlib.rs:2"
            server "" "inner" """#]],
        ),
    ] {
        expected.assert_eq(&cut(nested(), bytes));
    }
}

#[test]
fn a_cut_failure_has_so_many_causes() {
    let mut chain = broken("0");
    for n in 1..30 {
        chain = Failure { cause: Some(Box::new(chain)), ..broken(&n.to_string()) };
    }
    assert_eq!(cut(chain, 100_000).lines().count(), 21, "itself and twenty causes");
}
