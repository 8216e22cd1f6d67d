//! Promise (I8, I17): the rows that find a run are those that its state calls for. A pending timer has a
//! live wake-up, a run that owes tasks is listed, a list shows what is; and there is no row besides.

use everlog_engine::{
    deployment,
    rows::{self, Kind},
    schedule,
    shard::World,
    standalone, todo,
    visibility::{
        Row,
        index::{self, Tally},
    },
};
use std::collections::BTreeMap;

use super::{Checked, Evidence};
use crate::{sim::Violation, standalone::WantedActivity};

const PROMISE: &str = "the rows that find a run are those that its state calls for (I8, I17)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for (shard, log) in evidence.sim.logs.iter().enumerate() {
        let mut expected: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut tallies: BTreeMap<Vec<u8>, Tally> = BTreeMap::new();
        for run in evidence.runs.iter().filter(|run| run.shard == shard) {
            let (key, execution) = (run.execution.key(), &run.execution);
            expected.insert(rows::execution_key(key), Some(execution.encode()));
            if let Some(wake) = todo::wake_at(execution) {
                expected.insert(rows::wake_key(wake, key), Some(Vec::new()));
            }
            if todo::owes(execution) {
                expected.insert(owed_key(key), Some(Vec::new()));
            }
            let row = Row::of(execution);
            let slot = key.workflow.slot();
            let (listed, encoded) = index::listed(slot, &row);
            expected.insert(listed, Some(encoded));
            expected.extend(index::keys(slot, &row).into_iter().map(|key| (key, Some(Vec::new()))));
            tallies.entry(index::tally_key(slot, &row)).or_default().add(&row, 1);
        }
        expected.extend(tallies.into_iter().map(|(key, tally)| (key, Some(tally.encode()))));
        for wanted in &evidence.sim.schedules {
            if let Some(state) = World::schedule(&log.truth, &wanted.key) {
                expected.insert(schedule::rows::state_key(&wanted.key), Some(state.encode()));
                expected.extend(schedule::rows::wake_row(&state).map(|key| (key, Some(Vec::new()))));
                expected.extend(schedule::rows::list_row(&state).map(|(key, row)| (key, Some(row))));
            }
        }
        let deployment = &evidence.sim.deployment.key;
        if let Some(state) = World::deployment(&log.truth, deployment) {
            expected.insert(deployment::rows::state_key(deployment), Some(state.encode()));
        }
        for wanted in &evidence.sim.activities {
            if let Some(state) =
                evidence.sim.activity_state(wanted).filter(|_| is_here(evidence, wanted, shard))
            {
                let run_id = state.run_id().as_bytes().to_vec();
                expected.insert(standalone::rows::current_key(&wanted.key), Some(run_id));
                expected.insert(standalone::rows::state_key(&state.run), Some(state.encode()));
                expected.extend(standalone::rows::wake_row(&state).map(|(key, row)| (key, Some(row))));
                expected.extend(standalone::rows::list_row(&state).map(|(key, row)| (key, Some(row))));
            }
        }
        for wanted in &evidence.sim.operations {
            if evidence.sim.shard_of_slot(wanted.key.slot()) != shard {
                continue;
            }
            if let Some(state) = evidence.sim.operation_state(wanted) {
                let run_id = state.run_id().as_bytes().to_vec();
                expected.insert(standalone::rows::current_key(&wanted.key), Some(run_id));
                expected.insert(standalone::rows::state_key(&state.run), Some(state.encode()));
                expected.extend(standalone::rows::wake_row(&state).map(|(key, row)| (key, Some(row))));
                expected.extend(standalone::rows::list_row(&state).map(|(key, row)| (key, Some(row))));
            }
        }
        for (key, value) in log.truth.rows() {
            if is_history_or_current(key) {
                continue;
            }
            match expected.remove(key) {
                // Maps inside messages have no order, so a state may have other bytes and be the same.
                Some(Some(_)) if rows::is_execution(key) || standalone::rows::is_state(key) => {}
                Some(Some(expected)) if expected != *value => return wrong(key, "has another value"),
                Some(_) => {}
                None => return wrong(key, "belongs to nothing"),
            }
        }
        if let Some((key, _)) = expected.first_key_value() {
            return wrong(key, "is missing");
        }
    }
    Ok(())
}

fn is_here(evidence: &Evidence<'_>, wanted: &WantedActivity, shard: usize) -> bool {
    evidence.sim.shard_of_slot(wanted.key.slot()) == shard
}

fn owed_key(run: &everlog_engine::key::RunKey) -> Vec<u8> {
    let mut key = rows::execution_key(run);
    key[2] = Kind::Owed as u8;
    key
}

fn is_history_or_current(key: &[u8]) -> bool {
    matches!(key.get(2), Some(kind) if *kind == Kind::History as u8 || *kind == Kind::Current as u8)
}

fn wrong(key: &[u8], what: &str) -> Checked {
    let kind = key.get(2).map(|kind| *kind as char);
    let text = format!("row of kind {kind:?} {what}: {}", String::from_utf8_lossy(key));
    let run = rows::parse_run_row(key).or_else(|| rows::parse_wake(key).map(|(_, run)| run));
    let workflow = run.map(|run| run.workflow.workflow_id.to_string());
    Err(Violation { promise: PROMISE, workflow, text })
}
