//! Random queries over random rows, against an evaluator that knows no parser and no stored rows; and
//! random pages against a list that is simply sorted.

use std::{cmp::Ordering, collections::BTreeMap};

use everlog_proto::api::{
    common::v1::Payload,
    enums::v1::WorkflowExecutionStatus::{Completed, Failed, Paused, Running},
};

use super::{
    plan::{Path, Plan},
    row::{Bytes, payload_bytes},
    *,
};
use crate::{
    cluster::ValueType,
    execution::Execution,
    key::{SLOTS, SLOTS_PER_BLOCK, WorkflowKey},
    limits::Limits,
    rows::execution_key,
    stamp::Stamp,
    testing::MemoryTables,
    time::Time,
};

const SEEDS: u64 = 400;
const ROWS: usize = 40;

struct Dice<'a>(Stamp<'a>);

impl Dice<'_> {
    fn below(&self, bound: usize) -> usize {
        (self.0.chance() % bound as u64) as usize
    }

    fn pick<'t, T>(&self, choices: &'t [T]) -> &'t T {
        &choices[self.below(choices.len())]
    }

    fn often(&self) -> bool {
        self.below(3) > 0
    }
}

/// A row as the evaluator sees it.
#[derive(Clone, Default)]
struct Plain {
    workflow_id: String,
    history_length: Option<i64>,
    keyword: Option<String>,
    number: Option<i64>,
    flag: Option<bool>,
    list: Option<Vec<String>>,
}

/// A query as the evaluator sees it.
enum Query {
    Id(&'static str, String),
    Length(&'static str, i64),
    Keyword(&'static str, String),
    KeywordIn(bool, Vec<String>),
    KeywordStarts(bool, String),
    Number(&'static str, f64),
    NumberBetween(bool, i64, i64),
    Flag(&'static str, bool),
    ListHas(bool, Vec<String>),
    IsNull(&'static str, bool),
    Not(Box<Query>),
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
}

const OPERATORS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];
const WORDS: [&str; 6] = ["", "a", "ab", "B", "it's", "\"q\\"];

fn query(dice: &Dice, depth: usize) -> Query {
    let word = || (*dice.pick(&WORDS)).to_owned();
    let words = || (0..1 + dice.below(3)).map(|_| word()).collect();
    let number = || dice.below(9) as i64 - 4;
    let operator = *dice.pick(&OPERATORS);
    let not = dice.below(2) == 0;
    if depth > 0 && dice.often() {
        let inner = || Box::new(query(dice, depth - 1));
        return match dice.below(3) {
            0 => Query::Not(inner()),
            1 => Query::And(inner(), inner()),
            _ => Query::Or(inner(), inner()),
        };
    }
    match dice.below(10) {
        0 => Query::Id(operator, word()),
        1 => Query::Length(operator, number()),
        2 => Query::Keyword(operator, word()),
        3 => Query::KeywordIn(not, words()),
        4 => Query::KeywordStarts(not, word()),
        5 => Query::Number(operator, number() as f64 / 2.0),
        6 => Query::NumberBetween(not, number(), number()),
        7 => Query::Flag(operator, dice.below(2) == 0),
        8 => Query::ListHas(not, words()),
        _ => Query::IsNull(
            dice.pick::<&str>(&["Kw", "Num", "Flag", "List", "HistoryLength", "WorkflowId"]),
            not,
        ),
    }
}

/// Writes a query in one of its many spellings.
fn written(query: &Query, dice: &Dice) -> String {
    let case = |keyword: &str| match dice.below(3) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.chars().map(|c| if dice.often() { c } else { c.to_ascii_uppercase() }).collect(),
    };
    let name = |name: &str| if dice.often() { name.to_owned() } else { format!("`{name}`") };
    let space = || *dice.pick(&[" ", "  ", "\n", " /* x */ "]);
    let text = |text: &str| {
        let escaped = text.replace('\\', "\\\\");
        match dice.below(3) {
            0 => format!("'{}'", escaped.replace('\'', "''")),
            1 => format!("'{}'", escaped.replace('\'', "\\'")),
            _ => format!("\"{}\"", escaped.replace('"', "\\\"")),
        }
    };
    let texts = |values: &[String]| {
        let values: Vec<_> = values.iter().map(|value| text(value)).collect();
        format!("({})", values.join(*dice.pick(&[",", " , "])))
    };
    let maybe_not = |not: bool| if not { format!("{}{}", case("not"), space()) } else { String::new() };
    let inner = |query: &Query| format!("({})", written(query, dice));
    let spelled = |operator: &str| if operator == "!=" && dice.often() { "<>" } else { operator }.to_owned();
    let compared =
        |field: &str, operator: &str, value: String| format!("{}{}{value}", name(field), spelled(operator));
    match query {
        Query::Id(operator, value) => compared("WorkflowId", operator, text(value)),
        Query::Length(operator, value) => compared("HistoryLength", operator, value.to_string()),
        Query::Keyword(operator, value) => compared("Kw", operator, text(value)),
        Query::KeywordIn(not, values) => {
            format!("{}{}{}{}{}", name("Kw"), space(), maybe_not(*not), case("in"), texts(values))
        }
        Query::KeywordStarts(not, prefix) => {
            let words = format!("{}{}", maybe_not(*not), case("starts_with"));
            format!("{}{}{words}{}", name("Kw"), space(), text(prefix))
        }
        Query::Number(operator, value) => compared("Num", operator, format!("{value:?}")),
        Query::NumberBetween(not, from, to) => {
            let words = format!("{}{}", maybe_not(*not), case("between"));
            format!("{}{}{words} {from} {} {to}", name("Num"), space(), case("and"))
        }
        Query::Flag(operator, value) => compared("Flag", operator, case(&value.to_string())),
        Query::ListHas(not, values) if values.len() == 1 && dice.often() => {
            compared("List", if *not { "!=" } else { "=" }, text(&values[0]))
        }
        Query::ListHas(not, values) => {
            format!("{}{}{}{}{}", name("List"), space(), maybe_not(*not), case("in"), texts(values))
        }
        Query::IsNull(field, not) => {
            format!("{}{}{} {}{}", name(field), space(), case("is"), maybe_not(*not), case("null"))
        }
        Query::Not(query) => format!("{} {}", case("not"), inner(query)),
        Query::And(left, right) => format!("{} {} {}", inner(left), case("and"), inner(right)),
        Query::Or(left, right) => format!("{}{}{}", inner(left), dice.pick(&[" or ", "||"]), inner(right)),
    }
}

/// True, false, or not known: SQL's logic as 2, 0 and 1.
fn truth(query: &Query, row: &Plain) -> u8 {
    let known = |holds: Option<bool>| holds.map_or(1, |holds| u8::from(holds) * 2);
    let by = |operator: &str, ordering: Option<Ordering>| {
        known(ordering.map(|ordering| match operator {
            "=" => ordering.is_eq(),
            "!=" => ordering.is_ne(),
            "<" => ordering.is_lt(),
            "<=" => ordering.is_le(),
            ">" => ordering.is_gt(),
            _ => ordering.is_ge(),
        }))
    };
    match query {
        Query::Id(operator, value) => by(operator, Some(row.workflow_id.cmp(value))),
        Query::Length(operator, value) => by(operator, row.history_length.map(|length| length.cmp(value))),
        Query::Keyword(operator, value) => {
            by(operator, row.keyword.as_ref().map(|keyword| keyword.cmp(value)))
        }
        Query::KeywordIn(not, values) => known(row.keyword.as_ref().map(|k| values.contains(k) != *not)),
        Query::KeywordStarts(not, prefix) => {
            known(row.keyword.as_ref().map(|keyword| keyword.starts_with(prefix.as_str()) != *not))
        }
        Query::Number(operator, value) => {
            by(operator, row.number.and_then(|number| (number as f64).partial_cmp(value)))
        }
        Query::NumberBetween(not, from, to) => {
            known(row.number.map(|number| (*from <= number && number <= *to) != *not))
        }
        Query::Flag(operator, value) => by(operator, row.flag.map(|flag| flag.cmp(value))),
        Query::ListHas(not, values) => {
            let has = row.list.iter().flatten().any(|item| values.contains(item));
            known(Some(has != *not))
        }
        Query::IsNull(field, not) => {
            let is_null = match *field {
                "Kw" => row.keyword.is_none(),
                "Num" => row.number.is_none(),
                "Flag" => row.flag.is_none(),
                "List" => row.list.is_none(),
                "HistoryLength" => row.history_length.is_none(),
                _ => false,
            };
            known(Some(is_null != *not))
        }
        Query::Not(query) => 2 - truth(query, row),
        Query::And(left, right) => truth(left, row).min(truth(right, row)),
        Query::Or(left, right) => truth(left, row).max(truth(right, row)),
    }
}

fn plain(dice: &Dice) -> Plain {
    let word = || (*dice.pick(&WORDS)).to_owned();
    Plain {
        workflow_id: word(),
        history_length: dice.often().then(|| dice.below(5) as i64),
        keyword: dice.often().then(word),
        number: dice.often().then(|| dice.below(9) as i64 - 4),
        flag: dice.often().then(|| dice.below(2) == 0),
        list: dice.often().then(|| (0..1 + dice.below(3)).map(|_| word()).collect()),
    }
}

/// The plain row as it is stored.
fn stored(plain: &Plain, number: usize, dice: &Dice) -> Row {
    let quoted = |text: &String| json::quote(text);
    let listed = |list: &Vec<String>| format!("[{}]", list.iter().map(quoted).collect::<Vec<_>>().join(", "));
    let values = [
        ("Kw", plain.keyword.as_ref().map(quoted)),
        ("Num", plain.number.map(|number| number.to_string())),
        ("Flag", plain.flag.map(|flag| flag.to_string())),
        ("List", plain.list.as_ref().map(listed)),
    ];
    let payload =
        |json: String| Bytes::from(payload_bytes(&Payload { data: json.into_bytes(), ..Payload::default() }));
    Row {
        workflow_id: plain.workflow_id.clone(),
        run_id: format!("{number:04}"),
        start_time: dice.below(4) as i64,
        close_time: plain.history_length.map(|_| dice.below(4) as i64),
        closed: plain.history_length.map(|history_length| Closed { history_length, ..Closed::default() }),
        search_attributes: values
            .into_iter()
            .filter_map(|(name, json)| Some((name.to_owned(), payload(json?))))
            .collect(),
        ..Row::default()
    }
}

fn attributes() -> BTreeMap<String, ValueType> {
    let types = [
        ("Kw", ValueType::Keyword),
        ("Num", ValueType::Int),
        ("Flag", ValueType::Bool),
        ("List", ValueType::KeywordList),
    ];
    types.into_iter().map(|(name, value_type)| (name.to_owned(), value_type)).collect()
}

#[test]
fn filters_agree_with_a_plain_evaluator() {
    let limits = Limits::default();
    let (mut found, mut missed) = (0, 0);
    for seed in 0..SEEDS {
        let dice = Dice(Stamp::new(Time(0), seed, &limits));
        let query = query(&dice, 4);
        let text = written(&query, &dice);
        let filter =
            Filter::parse(&text, &attributes()).unwrap_or_else(|e| panic!("seed {seed}: {text}: {e}"));
        for number in 0..ROWS {
            let plain = plain(&dice);
            let row = Row::decode(&stored(&plain, number, &dice).encode()).unwrap();
            let expected = truth(&query, &plain) == 2;
            assert_eq!(filter.matches(&row), expected, "seed {seed}: {text}: {row:?}");
            *(if expected { &mut found } else { &mut missed }) += 1;
        }
    }
    let all = SEEDS as usize * ROWS;
    assert!(found > all / 10 && missed > all / 10, "{found} found, {missed} missed: too much alike");
}

const NAMESPACE: &str = "n";

impl Stored for MemoryTables {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows().get(key).cloned()
    }

    fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Rows<'_> {
        let rows = if from < to { Some(self.rows().range(from..to)) } else { None };
        Box::new(rows.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())))
    }
}

fn search<'a>(filter: &'a Filter, blocks: &'a [u16], after: &'a [u8], reads_max: usize) -> Search<'a> {
    Search { namespace_id: NAMESPACE, filter, blocks, after, reads_max }
}

/// Rows in several blocks of several shards, which have changed since they were first written.
fn tables(dice: &Dice, shards: usize) -> (Vec<(MemoryTables, Vec<u16>)>, Vec<Row>) {
    let mut tables: Vec<(MemoryTables, Vec<u16>)> = (0..shards)
        .map(|shard| {
            let blocks = (0..1 + dice.below(4)).map(|block| (shard * 4 + block) as u16 * SLOTS_PER_BLOCK);
            (MemoryTables::default(), blocks.collect())
        })
        .collect();
    let mut rows = Vec::new();
    for number in 0..ROWS {
        let shard = dice.below(shards);
        let (tables, blocks) = &mut tables[shard];
        let slot = dice.pick(blocks) + dice.below(usize::from(SLOTS_PER_BLOCK)) as u16;
        let in_namespace = |mut row: Row| {
            row.namespace_id = NAMESPACE.to_owned();
            row.workflow_type = (*dice.pick(&["T", "U", "V", "W", "X"])).to_owned();
            row.status = match row.close_time {
                None => *dice.pick(&[Running, Running, Paused]),
                Some(_) => *dice.pick(&[Completed, Completed, Failed]),
            } as i32;
            row
        };
        let mut before = None;
        for _ in 0..1 + dice.below(3) {
            let row = in_namespace(stored(&plain(dice), number, dice));
            index::replace(tables, slot, before.as_ref(), Some(&row)).unwrap();
            before = Some(row);
        }
        match before {
            Some(row) if dice.below(10) == 0 => index::replace(tables, slot, Some(&row), None).unwrap(),
            row => rows.extend(row),
        }
    }
    (tables, rows)
}

/// Rows on several shards, read page by page, a few at a time: every matching row comes once, in list order,
/// whatever the sizes, and as many are counted.
#[test]
fn pages_put_together_are_the_list() {
    let limits = Limits::default();
    for seed in 0..SEEDS {
        let dice = Dice(Stamp::new(Time(0), seed, &limits));
        let known = [
            "",
            "Kw = 'a'",
            "CloseTime IS NULL",
            "CloseTime IS NOT NULL",
            "ExecutionStatus = 'Running' OR Num > 0",
            "WorkflowType = 'T'",
            "WorkflowType IN ('T', 'U') AND ExecutionStatus != 'Running'",
            "ExecutionStatus = 'Running' AND WorkflowType = 'V'",
            "ExecutionStatus = 'Completed' AND Kw IN ('a', 'ab')",
            "NOT (WorkflowType STARTS_WITH 'T') AND List IN ('a', 'B')",
            "StartTime > 0 AND StartTime <= 2",
            "CloseTime BETWEEN 1 AND 2 AND StartTime < 3",
            "StartTime >= 2 AND ExecutionStatus = 'Completed'",
        ];
        let text = match dice.below(3) {
            0 => written(&query(&dice, 2), &dice),
            _ => (*dice.pick(&known)).to_owned(),
        };
        let filter = Filter::parse(&text, &attributes()).unwrap();
        if matches!(Plan::of(&filter).path, Path::Ids(_) | Path::IdsFrom(_)) {
            continue;
        }
        let (tables, rows) = tables(&dice, 1 + dice.below(4));
        let mut expected: Vec<Row> = rows.into_iter().filter(|row| filter.matches(row)).collect();
        expected.sort_by_key(|row| {
            let close = row.close_time.unwrap_or(i64::MAX);
            (std::cmp::Reverse(close), std::cmp::Reverse(row.start_time), row.run_id.clone())
        });
        let (size, reads_max) = (1 + dice.below(10), 1 + dice.below(10));
        let mut after = Vec::new();
        let mut listed = Vec::new();
        for turn in 0.. {
            assert!(turn <= ROWS * 2, "seed {seed}: the list does not end");
            let part_of = |(tables, blocks): &(MemoryTables, Vec<u16>)| {
                search(&filter, blocks, &after, reads_max).list(tables, size).unwrap()
            };
            let part = merge(tables.iter().map(part_of).collect(), size);
            assert!(part.rows.len() <= size);
            listed.extend(part.rows.iter().map(|found| Row::decode(&found.row).unwrap()));
            let Some(read_to) = part.read_to else { break };
            after = PageToken::decode(&PageToken { after: read_to }.encode()).unwrap().unwrap().after;
        }
        assert_eq!(listed, expected, "seed {seed}: {text}");
        let mut counted = 0;
        for (tables, blocks) in &tables {
            let mut after = Vec::new();
            loop {
                let (counts, read_to) = search(&filter, blocks, &after, reads_max).count(tables).unwrap();
                counted += counts.total;
                let Some(read_to) = read_to else { break };
                after = read_to;
            }
        }
        assert_eq!(counted, expected.len() as i64, "seed {seed}: {text}");
    }
}

#[test]
fn tokens_that_are_not_ours_are_refused() {
    assert_eq!(PageToken::decode(b""), Ok(None));
    assert!(PageToken::decode(b"zz").is_err());
    let mut bytes = PageToken { after: vec![1, 2, 3] }.encode();
    bytes.push(0);
    assert!(PageToken::decode(&bytes).is_err());
}

/// Runs are found by their workflow ids alone, and by how these begin, among others of every length.
#[test]
fn runs_are_found_by_workflow_id() {
    let mut tables = MemoryTables::default();
    let mut add = |workflow_id: &str, runs: usize| {
        for run in 0..runs {
            let key = WorkflowKey::new(NAMESPACE, workflow_id).run(&format!("{workflow_id}-{run}"));
            let (at, start_time) = (execution_key(&key), Time(run as i64));
            let execution = Execution { key: Some(key), start_time, ..Execution::default() };
            crate::rows::Rows::put_execution(&mut tables, at, execution.into());
        }
    };
    for number in 0..300 {
        add(&format!("order-{number}"), 1);
        add(&format!("or{number}"), 1);
        add(&"x".repeat(number), 1);
    }
    add("order-", 7);
    add("order", 2);
    let blocks: Vec<u16> = (0..SLOTS).step_by(usize::from(SLOTS_PER_BLOCK)).collect();
    let found = |text: &str, size: usize| {
        let filter = Filter::parse(text, &attributes()).unwrap();
        let mut after = Vec::new();
        let mut found = Vec::new();
        loop {
            let search = search(&filter, &blocks, &after, 1);
            assert_eq!(search.count(&tables).unwrap().1, None);
            let part = search.list(&tables, size).unwrap();
            found.extend(part.rows.iter().map(|found| Row::decode(&found.row).unwrap().run_id));
            let Some(read_to) = part.read_to else { return found };
            after = read_to;
        }
    };
    let runs = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(found("WorkflowId = 'order'", 10), runs(&["order-1", "order-0"]).as_slice());
    assert_eq!(
        found("WorkflowId IN ('order', 'or7', 'or7') AND StartTime = 0", 1),
        runs(&["or7-0", "order-0"])
    );
    assert_eq!(found("WorkflowId = 'orde'", 10), runs(&[]));
    assert_eq!(
        found("WorkflowId STARTS_WITH 'order-' AND StartTime > 4", 10),
        runs(&["order--6", "order--5"])
    );
    assert_eq!(found("WorkflowId STARTS_WITH 'order-'", 100).len(), 307);
    assert_eq!(found("WorkflowId STARTS_WITH 'or'", 50).len(), 609);
    assert_eq!(found("WorkflowId STARTS_WITH 'xxxx'", 50).len(), 296);
    assert_eq!(found("WorkflowId STARTS_WITH 'y'", 50).len(), 0);
}
