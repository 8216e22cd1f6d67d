//! The judge of the demo: compares what should be with what is.
//!
//! What should be is never taken from the program that is judged. Which charges are due follows from the
//! events that the world caused and the histories keep: each period's timer that fired before the customer
//! cancelled, at the amount that the customer last asked for before it fired. What is comes from the bank's
//! ledger. The customers' own notes say which messages were acknowledged, and the nodes' hashes whether
//! they all hold the same state.
//!
//! Everything here is a function of the evidence, so the judge itself is tested on forged evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Charge, Entry, Record};
use super::subscription::{Change, Summary};

/// All that is known after the run.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    pub(super) customers: Vec<Customer>,
    pub(super) ledger: Vec<Record>,
    /// By shard: what each node holds.
    pub(super) shards: BTreeMap<u64, Vec<Replica>>,
    pub(super) nodes: usize,
    /// How many queries were answered, and the answers that were older than earlier ones.
    pub(super) queries: u64,
    pub(super) stale_answers: Vec<String>,
    /// Processes that did not stop as they should.
    pub(super) bad_ends: Vec<String>,
}

/// A customer's notes about a subscription, and its histories.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) id: String,
    /// The amount at the start.
    pub(super) cents: u64,
    /// What was asked for and acknowledged, in order.
    pub(super) asked: Vec<Change>,
    /// What the workflow returned, or why nothing.
    pub(super) result: Result<Summary, String>,
    /// The first one first.
    pub(super) runs: Vec<Run>,
}

/// A run of a subscription.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) run_id: String,
    pub(super) events: usize,
    pub(super) facts: Vec<Fact>,
    /// What is wrong with the history itself.
    pub(super) damage: Vec<String>,
}

/// What a history says happened, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// A message of the customer was accepted.
    Asked(Change),
    /// The timer of a period fired.
    Due,
    /// A charge completed.
    Charged { period: u32, cents: u64 },
}

/// A node's state of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) node: u64,
    pub(super) applied_index: u64,
    pub(super) hash: String,
}

/// The judgement.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Verdict {
    pub(super) rows: Vec<Row>,
    /// Everything that is wrong, one by one.
    pub(super) faults: Vec<String>,
    pub(super) attempts: u64,
    pub(super) repeats: u64,
    pub(super) runs: u64,
    pub(super) events: u64,
    pub(super) queries: u64,
}

/// A line of the table: right if both figures are equal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) expected: u64,
    pub(super) actual: u64,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.rows.iter().all(|row| row.expected == row.actual)
    }

    fn row(&mut self, what: &'static str, expected: usize, actual: usize) {
        self.rows.push(Row { what, expected: expected as u64, actual: actual as u64 });
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }
}

/// Judges.
pub(super) fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict {
        attempts: evidence.ledger.len() as u64,
        repeats: evidence.ledger.iter().filter(|record| record.entry == Entry::Repeated).count() as u64,
        runs: evidence.customers.iter().map(|it| it.runs.len() as u64).sum(),
        queries: evidence.queries,
        events: evidence.runs().map(|run| run.events as u64).sum(),
        ..Verdict::default()
    };
    let due = evidence.due();
    endings(evidence, &mut verdict);
    messages(evidence, &mut verdict);
    charges(&due, &evidence.ledger, &mut verdict);
    completions(evidence, &due, &mut verdict);
    replicas(evidence, &mut verdict);
    behaviour(evidence, &mut verdict);
    verdict
}

impl Evidence {
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.customers.iter().flat_map(|customer| &customer.runs)
    }

    /// The charges that had to be made, and their amounts.
    fn due(&self) -> BTreeMap<Charge, u64> {
        let mut due = BTreeMap::new();
        for customer in &self.customers {
            let (mut period, mut cents, mut cancelled) = (0, customer.cents, false);
            for run in &customer.runs {
                for fact in &run.facts {
                    match fact {
                        Fact::Asked(Change::Amount(new)) => cents = *new,
                        Fact::Asked(Change::Cancel) => cancelled = true,
                        Fact::Due if !cancelled => {
                            period += 1;
                            let key =
                                Charge { workflow: customer.id.clone(), run: run.run_id.clone(), period };
                            due.insert(key, cents);
                        }
                        Fact::Due | Fact::Charged { .. } => {}
                    }
                }
            }
        }
        due
    }
}

/// Every subscription ended, its history is whole, and its own account is that of its history.
fn endings(evidence: &Evidence, verdict: &mut Verdict) {
    let mut ended = 0;
    for customer in &evidence.customers {
        match &customer.result {
            Ok(_) => ended += 1,
            Err(why) => verdict.fault(format!("{}: {why}", customer.id)),
        }
        for run in &customer.runs {
            for damage in &run.damage {
                verdict.fault(format!("{} run {}: {damage}", customer.id, run.run_id));
            }
        }
    }
    verdict.row("subscriptions ended", evidence.customers.len(), ended);
}

/// Every message that was acknowledged is in the history once, in the order in which it was sent.
fn messages(evidence: &Evidence, verdict: &mut Verdict) {
    let (mut asked, mut found) = (0, 0);
    for customer in &evidence.customers {
        let accepted = accepted(customer);
        asked += customer.asked.len();
        found += accepted.len();
        if accepted != customer.asked {
            verdict.fault(format!(
                "{}: {:?} were acknowledged, and the history has {accepted:?}",
                customer.id, customer.asked
            ));
        }
    }
    verdict.row("messages acknowledged", asked, found);
}

/// The messages in a customer's histories. A run refuses to take a message twice, but its successor does not
/// know it: when the answer to a message is lost and the subscription goes on as a new run before the
/// client asks again, the same message is legally there a second time. Customers never ask for the same
/// thing twice in a row, so it is told by that.
fn accepted(customer: &Customer) -> Vec<Change> {
    let mut accepted: Vec<Change> = Vec::new();
    for run in &customer.runs {
        let mut first_of_run = !accepted.is_empty();
        for fact in &run.facts {
            let Fact::Asked(change) = fact else { continue };
            if !(std::mem::take(&mut first_of_run) && accepted.last() == Some(change)) {
                accepted.push(*change);
            }
        }
    }
    accepted
}

/// What the bank charged is what was due: nothing missing, nothing doubled, nothing else.
fn charges(due: &BTreeMap<Charge, u64>, ledger: &[Record], verdict: &mut Verdict) {
    let charged = || ledger.iter().filter(|record| record.entry == Entry::Charged);
    let mut by_key: BTreeMap<&Charge, Vec<u64>> = BTreeMap::new();
    let mut by_period: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for record in charged() {
        by_key.entry(&record.key).or_default().push(record.cents);
        *by_period.entry((&record.key.workflow, record.key.period)).or_default() += 1;
    }
    let name = |key: &Charge| format!("{} period {} (run {})", key.workflow, key.period, key.run);
    let mut missing = 0;
    for (key, cents) in due.iter().filter(|(key, _)| !by_key.contains_key(key)) {
        missing += 1;
        verdict.fault(format!("{}: {cents} cents were due and never charged", name(key)));
    }
    let mut doubled = 0;
    for ((workflow, period), times) in by_period.iter().filter(|(_, times)| **times > 1) {
        doubled += times - 1;
        verdict.fault(format!("{workflow} period {period}: charged {times} times"));
    }
    let mut not_due = 0;
    for key in by_key.keys().filter(|key| !due.contains_key(key)) {
        not_due += 1;
        verdict.fault(format!("{}: charged and not due", name(key)));
    }
    let mut wrong = 0;
    for record in charged() {
        if let Some(cents) = due.get(&record.key)
            && *cents != record.cents
        {
            wrong += 1;
            verdict.fault(format!(
                "{}: {} cents were charged, {cents} were due",
                name(&record.key),
                record.cents
            ));
        }
    }
    verdict.row("charges", due.len(), charged().count());
    let cents = |sum: u64| usize::try_from(sum).unwrap_or(usize::MAX);
    verdict.row("cents", cents(due.values().sum()), cents(charged().map(|record| record.cents).sum()));
    verdict.row("charges missing", 0, missing);
    verdict.row("charges doubled", 0, doubled);
    verdict.row("charges not due", 0, not_due);
    verdict.row("charges of a wrong amount", 0, wrong);
}

/// Every charge that was due completed once in its history, and each subscription counted rightly.
fn completions(evidence: &Evidence, due: &BTreeMap<Charge, u64>, verdict: &mut Verdict) {
    let mut completed = 0;
    let mut counted = 0;
    for customer in &evidence.customers {
        let mut seen = BTreeSet::new();
        let mut own = Summary::default();
        for run in &customer.runs {
            for fact in &run.facts {
                let Fact::Charged { period, cents } = fact else { continue };
                completed += 1;
                own.charges += 1;
                own.cents += cents;
                let key = Charge { workflow: customer.id.clone(), run: run.run_id.clone(), period: *period };
                if !seen.insert(*period) {
                    verdict.fault(format!("{}: period {period} completed twice", customer.id));
                } else if due.get(&key) != Some(cents) {
                    verdict.fault(format!("{}: period {period} completed and was not due so", customer.id));
                }
            }
        }
        if let Ok(result) = customer.result {
            counted += result.charges as usize;
            if result != own {
                verdict.fault(format!("{}: returned {result:?}, and its history has {own:?}", customer.id));
            }
        }
    }
    verdict.row("charges completed, by the histories", due.len(), completed);
    verdict.row("charges counted, by the subscriptions", due.len(), counted);
}

/// All nodes hold the same state of every shard.
fn replicas(evidence: &Evidence, verdict: &mut Verdict) {
    let mut identical = 0;
    for (shard, replicas) in &evidence.shards {
        let same = replicas
            .windows(2)
            .all(|pair| (pair[0].applied_index, &pair[0].hash) == (pair[1].applied_index, &pair[1].hash));
        let nodes: BTreeSet<u64> = replicas.iter().map(|replica| replica.node).collect();
        if same && nodes.len() == evidence.nodes {
            identical += 1;
        } else {
            let views: Vec<String> = replicas
                .iter()
                .map(|it| format!("node {} has {} at {}", it.node, it.hash, it.applied_index))
                .collect();
            verdict.fault(format!("shard {shard}: {}", views.join(", ")));
        }
    }
    verdict.row("shards identical on all nodes", evidence.shards.len(), identical);
    if evidence.shards.is_empty() {
        verdict.fault("no node said anything about its shards");
    }
}

/// Queries were answered and never from the past, and the processes stopped when they were asked to.
fn behaviour(evidence: &Evidence, verdict: &mut Verdict) {
    if evidence.queries == 0 {
        verdict.fault("not a single query was answered");
    }
    verdict.row("answers from the past", 0, evidence.stale_answers.len());
    verdict.row("processes that stopped badly", 0, evidence.bad_ends.len());
    verdict.faults.extend(evidence.stale_answers.iter().chain(&evidence.bad_ends).cloned());
}

#[cfg(test)]
mod tests;
