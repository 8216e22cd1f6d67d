//! The judge, on forged evidence: each fault is found, and what is right is not called wrong.

use super::*;

/// Two runs of one subscription: three charges, an amount that changes between the second and the third, and
/// a timer that fires after the cancellation.
fn good() -> Evidence {
    let asked = vec![Change::Amount(1_200), Change::Cancel];
    let charged = |period, cents| Fact::Charged { period, cents };
    let runs = vec![
        Run {
            run_id: "run-1".into(),
            events: 20,
            facts: vec![
                Fact::Due,
                charged(1, 900),
                Fact::Due,
                Fact::Asked(Change::Amount(1_200)),
                charged(2, 900),
            ],
            damage: Vec::new(),
        },
        Run {
            run_id: "run-2".into(),
            events: 20,
            facts: vec![Fact::Due, charged(3, 1_200), Fact::Asked(Change::Cancel), Fact::Due],
            damage: Vec::new(),
        },
    ];
    let result = Ok(Summary { charges: 3, cents: 3_000 });
    let replica = |node| Replica { node, applied_index: 70, hash: "ab".into() };
    Evidence {
        customers: vec![Customer { id: "sub-1".into(), cents: 900, asked, result, runs }],
        ledger: vec![
            record(Entry::Charged, "run-1", 1, 900),
            record(Entry::Charged, "run-1", 2, 900),
            record(Entry::Repeated, "run-1", 2, 900),
            record(Entry::Charged, "run-2", 3, 1_200),
        ],
        shards: [(0, vec![replica(1), replica(2), replica(3)])].into(),
        nodes: 3,
        queries: 1,
        ..Evidence::default()
    }
}

fn record(entry: Entry, run: &str, period: u32, cents: u64) -> Record {
    let key = Charge { workflow: "sub-1".into(), run: run.into(), period };
    Record { entry, key, cents, attempt: 1, process: 1 }
}

/// The forgery is found, under this name.
#[track_caller]
fn found(row: &str, forge: impl FnOnce(&mut Evidence)) {
    let mut evidence = good();
    forge(&mut evidence);
    let verdict = check(&evidence);
    assert!(!verdict.is_good() && !verdict.faults.is_empty(), "{verdict:?}");
    let wrong: Vec<_> =
        verdict.rows.iter().filter(|row| row.expected != row.actual).map(|row| row.what).collect();
    assert!(wrong.contains(&row), "{wrong:?} are wrong, {row:?} is not: {verdict:?}");
}

/// The forgery is told as a fault that contains this text, though all figures may be right.
#[track_caller]
fn told(fault: &str, forge: impl FnOnce(&mut Evidence)) {
    let mut evidence = good();
    forge(&mut evidence);
    let verdict = check(&evidence);
    assert!(!verdict.is_good() && verdict.faults.iter().any(|it| it.contains(fault)), "{verdict:?}");
}

#[test]
fn what_is_right_is_not_called_wrong() {
    let verdict = check(&good());
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!((verdict.attempts, verdict.repeats, verdict.runs, verdict.events), (4, 1, 2, 40));
}

#[test]
fn a_missing_charge_is_found() {
    found("charges missing", |it| drop(it.ledger.remove(0)));
}

#[test]
fn a_charge_that_only_pretends_to_be_a_repeat_is_missing() {
    found("charges missing", |it| it.ledger[0].entry = Entry::Repeated);
}

#[test]
fn a_doubled_charge_is_found() {
    found("charges doubled", |it| it.ledger.push(record(Entry::Charged, "run-2", 3, 1_200)));
}

#[test]
fn a_period_that_is_charged_in_two_runs_is_doubled() {
    found("charges doubled", |it| it.ledger.push(record(Entry::Charged, "run-2", 2, 900)));
    found("charges not due", |it| it.ledger.push(record(Entry::Charged, "run-2", 2, 900)));
}

#[test]
fn a_charge_after_the_cancellation_is_found() {
    found("charges not due", |it| it.ledger.push(record(Entry::Charged, "run-2", 4, 1_200)));
}

#[test]
fn a_wrong_amount_is_found() {
    found("charges of a wrong amount", |it| it.ledger[3].cents = 900);
    found("cents", |it| it.ledger[3].cents = 900);
}

#[test]
fn a_lost_message_is_found() {
    found("messages acknowledged", |it| it.customers[0].asked.insert(0, Change::Amount(5)));
    found("messages acknowledged", |it| it.customers[0].asked.truncate(1));
}

#[test]
fn messages_in_another_order_are_found() {
    told("were acknowledged", |it| it.customers[0].asked.reverse());
}

#[test]
fn a_doubled_message_is_found_unless_it_came_to_the_next_run_after_a_lost_answer() {
    let again = Fact::Asked(Change::Amount(1_200));
    found("messages acknowledged", |it| it.customers[0].runs[0].facts.push(again));
    found("messages acknowledged", |it| it.customers[0].runs[1].facts.insert(3, again));
    let mut legal = good();
    legal.customers[0].runs[1].facts.insert(0, again);
    assert!(check(&legal).is_good());
}

#[test]
fn a_completion_that_is_lost_or_doubled_is_found() {
    found("charges completed, by the histories", |it| {
        it.customers[0].runs[0].facts.remove(1);
    });
    found("charges completed, by the histories", |it| {
        it.customers[0].runs[0].facts.push(Fact::Charged { period: 2, cents: 900 });
    });
}

#[test]
fn a_subscription_that_counts_wrongly_is_found() {
    found("charges counted, by the subscriptions", |it| {
        it.customers[0].result = Ok(Summary { charges: 2, cents: 3_000 });
    });
    told("returned", |it| it.customers[0].result = Ok(Summary { charges: 3, cents: 2_999 }));
}

#[test]
fn a_subscription_that_never_ended_is_found() {
    found("subscriptions ended", |it| it.customers[0].result = Err("still open".into()));
}

#[test]
fn a_damaged_history_is_told() {
    told("has the id", |it| it.customers[0].runs[1].damage.push("event 3 has the id 4".into()));
}

#[test]
fn a_node_with_another_state_is_found() {
    let row = "shards identical on all nodes";
    found(row, |it| it.shards.entry(0).or_default()[1].hash = "cd".into());
    found(row, |it| it.shards.entry(0).or_default()[2].applied_index = 69);
    found(row, |it| drop(it.shards.entry(0).or_default().pop()));
    told("no node", |it| it.shards.clear());
}

#[test]
fn answers_from_the_past_and_bad_ends_are_told() {
    told("not a single query", |it| it.queries = 0);
    found("answers from the past", |it| it.stale_answers.push("period 3 after period 4".into()));
    found("processes that stopped badly", |it| it.bad_ends.push("node 1: signal 6".into()));
}
