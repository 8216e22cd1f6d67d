//! Random queries over random rows, against an evaluator that knows no parser and no stored rows; and
//! random pages against a list that is simply sorted.

use std::{cmp::Ordering, collections::BTreeMap};

use everlog_proto::api::common::v1::Payload;

use super::{
    row::{Bytes, payload_bytes},
    *,
};
use crate::{cluster::ValueType, limits::Limits, stamp::Stamp, time::Time};

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

/// Rows on several shards, several slots each, read page by page under a small budget: every matching row
/// comes once, in list order, whatever the sizes.
#[test]
fn pages_put_together_are_the_list() {
    let limits = Limits::default();
    for seed in 0..SEEDS {
        let dice = Dice(Stamp::new(Time(0), seed, &limits));
        let text =
            *dice.pick(&["", "Kw = 'a'", "CloseTime IS NULL", "ExecutionStatus = 'Running' OR Num > 0"]);
        let filter = Filter::parse(text, &attributes()).unwrap();
        let (shards, slots) = (1 + dice.below(4), 1 + dice.below(5));
        let mut tables = vec![vec![BTreeMap::new(); slots]; shards];
        let mut expected = Vec::new();
        for number in 0..ROWS {
            let row = stored(&plain(&dice), number, &dice);
            tables[dice.below(shards)][dice.below(slots)].insert(row.sort_key(), row.encode());
            if filter.matches(&row) {
                expected.push(row);
            }
        }
        expected.sort_by_key(|row| {
            let close = row.close_time.unwrap_or(i64::MAX);
            (std::cmp::Reverse(close), std::cmp::Reverse(row.start_time), row.run_id.clone())
        });
        let (size, reads_max) = (1 + dice.below(10), 1 + dice.below(10));
        let mut token: Option<PageToken> = None;
        let mut listed = Vec::new();
        for turn in 0.. {
            assert!(turn <= ROWS * 2, "seed {seed}: the list does not end");
            let page_of = |tables: &Vec<BTreeMap<Vec<u8>, Vec<u8>>>| {
                let after = token.clone().map(|token| token.after);
                let begin = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let range = |table: &BTreeMap<Vec<u8>, Vec<u8>>| {
                    let rows: Vec<_> = table
                        .range((begin.clone(), std::ops::Bound::Unbounded))
                        .map(|(key, row)| (key.clone(), row.clone()))
                        .collect();
                    rows.into_iter()
                };
                scan(tables.iter().map(range).collect(), &filter, size, reads_max).unwrap()
            };
            let page = merge(tables.iter().map(page_of).collect(), size);
            assert!(page.rows.len() <= size);
            listed.extend(page.rows);
            let Some(next) = page.next else { break };
            token = PageToken::decode(&next.encode()).unwrap();
        }
        assert_eq!(listed, expected, "seed {seed}: {text}");
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
