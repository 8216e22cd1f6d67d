//! The reckoning: what was expected, what is there, and every difference by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use everlog_proto::api::history::v1::{HistoryEvent, history_event::Attributes};

use super::{ByCustomer, ledger::Entry, nodes::Compared, subscription::Receipt};

/// Signals that every subscription was sent, and that were acknowledged: a change and a cancellation.
const SIGNALS_EACH: usize = 2;

/// What the cluster says about one subscription.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) id: String,
    receipt: Receipt,
    /// Keys of the charges that its history shows as completed.
    completed: Vec<String>,
    signals: usize,
    /// Whether the history's events are numbered without gaps.
    gapless: bool,
}

#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcomes: ByCustomer<Outcome>,
    pub(super) entries: Vec<Entry>,
    pub(super) amounts: (u64, u64),
    pub(super) open: u64,
    pub(super) compared: Compared,
    pub(super) leader_changes: u64,
    pub(super) without_leader: Duration,
}

impl Outcome {
    pub(super) fn of(
        id: &str,
        run_id: &str,
        receipt: Receipt,
        events: &[HistoryEvent],
    ) -> anyhow::Result<Outcome> {
        anyhow::ensure!(!events.is_empty(), "{id} has no history");
        let mut activity_ids = BTreeMap::new();
        let (mut completed, mut signals) = (Vec::new(), 0);
        for event in events {
            match &event.attributes {
                Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => {
                    activity_ids.insert(event.event_id, a.activity_id.clone());
                }
                Some(Attributes::ActivityTaskCompletedEventAttributes(a)) => {
                    let activity_id = activity_ids.get(&a.scheduled_event_id).cloned().unwrap_or_default();
                    completed.push(format!("{run_id}/{activity_id}"));
                }
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(_)) => signals += 1,
                _ => {}
            }
        }
        let gapless = events.iter().map(|event| event.event_id).eq(1..=events.len() as i64);
        Ok(Outcome { id: id.to_owned(), receipt, completed, signals, gapless })
    }
}

impl Report {
    /// Everything that is not as it must be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut ledger: ByCustomer<Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            ledger.entry(entry.customer.clone()).or_default().push(entry);
        }
        for (customer, outcome) in &self.outcomes {
            let entries = ledger.remove(customer).unwrap_or_default();
            self.compare(outcome, &entries, &mut faults);
        }
        faults.extend(ledger.keys().map(|customer| format!("{customer} was charged and never subscribed")));
        if self.open > 0 {
            faults.push(format!("{} workflows are still open", self.open));
        }
        let Compared { shards, equal } = self.compared;
        if shards == 0 || equal < shards {
            faults.push(format!("{} of {shards} shards differ between the nodes", shards - equal));
        }
        faults
    }

    fn compare(&self, outcome: &Outcome, entries: &[&Entry], faults: &mut Vec<String>) {
        let id = &outcome.id;
        let mut charged: BTreeMap<u64, (&str, u64)> = BTreeMap::new();
        for entry in entries {
            let charge = (entry.key.as_str(), entry.cents);
            let first = *charged.entry(entry.period).or_insert(charge);
            if first != charge {
                faults.push(format!(
                    "{id}: period {} was charged as {first:?} and as {charge:?}",
                    entry.period
                ));
            }
            if entry.cents != self.amounts.0 && entry.cents != self.amounts.1 {
                faults.push(format!("{id}: {} cents were never agreed", entry.cents));
            }
        }
        for period in 1..=outcome.receipt.charges {
            if !charged.contains_key(&period) {
                faults.push(format!("{id}: period {period} was not charged"));
            }
        }
        let beyond = charged.keys().filter(|period| **period > outcome.receipt.charges);
        faults
            .extend(beyond.map(|period| format!("{id}: period {period} was charged and nobody knows of it")));
        let cents: u64 = charged.values().map(|(_, cents)| cents).sum();
        if cents != outcome.receipt.cents {
            faults.push(format!("{id}: {cents} cents were charged, {} were meant", outcome.receipt.cents));
        }
        let completed: BTreeSet<&str> = outcome.completed.iter().map(String::as_str).collect();
        let keys: BTreeSet<&str> = charged.values().map(|(key, _)| *key).collect();
        if completed.len() != outcome.completed.len() {
            faults.push(format!("{id}: a charge completes twice in the history"));
        }
        if completed != keys {
            faults.push(format!("{id}: the history and the ledger name different charges"));
        }
        if outcome.signals != SIGNALS_EACH {
            faults
                .push(format!("{id}: {} signals in the history, {SIGNALS_EACH} were sent", outcome.signals));
        }
        if !outcome.gapless {
            faults.push(format!("{id}: the history has gaps"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes = self.outcomes.values();
        let expected: u64 = outcomes.clone().map(|outcome| outcome.receipt.charges).sum();
        let cents: u64 = outcomes.clone().map(|outcome| outcome.receipt.cents).sum();
        let completed: usize = outcomes.clone().map(|outcome| outcome.completed.len()).sum();
        let signals: usize = outcomes.clone().map(|outcome| outcome.signals).sum();
        let gapless = outcomes.filter(|outcome| outcome.gapless).count();
        let mut charges: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &self.entries {
            charges.insert(&entry.key, entry.cents);
        }
        let all = self.outcomes.len();
        let mut row = |what: &str, expected: u64, actual: u64| {
            let mark = if expected == actual { "" } else { "   <--" };
            writeln!(f, "{what:<42} {expected:>10} {actual:>10}{mark}")
        };
        row("subscriptions ended, of those started", all as u64, all as u64 - self.open.min(all as u64))?;
        row("charges in the ledger, by key", expected, charges.len() as u64)?;
        row("charges completed in the histories", expected, completed as u64)?;
        row("cents in the ledger", cents, charges.values().sum())?;
        row("signals in the histories", (all * SIGNALS_EACH) as u64, signals as u64)?;
        row("histories without gaps", all as u64, gapless as u64)?;
        row(
            "shards equal on all three nodes, by hash",
            self.compared.shards as u64,
            self.compared.equal as u64,
        )?;
        let repeated = self.entries.len() - charges.len();
        writeln!(f, "attempts that repeated a charge's key      {:>10} {repeated:>10}", "")?;
        writeln!(f, "leader changes                             {:>10} {:>10}", "", self.leader_changes)?;
        let seconds = self.without_leader.as_secs_f64();
        write!(f, "seconds in which a shard had no leader     {:>10} {seconds:>10.1}", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(period: u64, cents: u64, attempt: u32) -> Entry {
        Entry { key: format!("run/{period}"), customer: "ada".into(), period, cents, attempt }
    }

    fn report(entries: Vec<Entry>) -> Report {
        let outcome = Outcome {
            id: "ada".into(),
            receipt: Receipt { charges: 2, cents: 30 },
            completed: vec!["run/1".into(), "run/2".into()],
            signals: SIGNALS_EACH,
            gapless: true,
        };
        Report {
            outcomes: BTreeMap::from([("ada".into(), outcome)]),
            entries,
            amounts: (10, 20),
            open: 0,
            compared: Compared { shards: 1, equal: 1 },
            leader_changes: 0,
            without_leader: Duration::ZERO,
        }
    }

    #[test]
    fn an_attempt_that_is_repeated_with_its_key_is_one_charge() {
        let report = report(vec![entry(1, 10, 1), entry(1, 10, 2), entry(2, 20, 1)]);
        assert_eq!(report.faults(), Vec::<String>::new());
    }

    #[test]
    fn a_missing_charge_is_found() {
        let faults = report(vec![entry(1, 10, 1)]).faults();
        assert!(faults.iter().any(|fault| fault == "ada: period 2 was not charged"), "{faults:?}");
    }

    #[test]
    fn a_doubled_charge_is_found() {
        let again = Entry { key: "other/1".into(), ..entry(1, 10, 1) };
        let faults = report(vec![entry(1, 10, 1), again, entry(2, 20, 1)]).faults();
        assert!(faults.iter().any(|fault| fault.contains("period 1 was charged as")), "{faults:?}");
    }

    #[test]
    fn a_charge_that_nobody_knows_of_is_found() {
        let faults = report(vec![entry(1, 10, 1), entry(2, 20, 1), entry(3, 10, 1)]).faults();
        assert!(faults.iter().any(|fault| fault.contains("period 3 was charged and nobody")), "{faults:?}");
    }

    #[test]
    fn nodes_that_differ_are_found() {
        let mut report = report(vec![entry(1, 10, 1), entry(2, 20, 1)]);
        report.compared = Compared { shards: 4, equal: 3 };
        assert_eq!(report.faults(), ["1 of 4 shards differ between the nodes"]);
    }
}
