//! Promise (I25): a schedule acts upon each of its times, once: as many actions as it was told to take, one
//! workflow each, for times that follow each other without a gap.

use std::collections::BTreeSet;

use everlog_engine::{shard::World, time::Time};

use super::{Checked, Evidence, broken};

const PROMISE: &str = "each time of a schedule is acted upon once (I25)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let sim = evidence.sim;
    for wanted in &sim.schedules {
        let id = wanted.key.schedule_id();
        let log = &sim.logs[sim.shard_of_slot(wanted.key.slot())];
        let Some(state) = World::schedule(&log.truth, &wanted.key) else {
            return broken(PROMISE, id, "it was created and is not there".into());
        };
        let counts = state.counts;
        if (counts.actions, counts.missed, counts.skipped, counts.dropped) != (wanted.actions, 0, 0, 0) {
            return broken(PROMISE, id, format!("{counts:?} instead of {} actions", wanted.actions));
        }
        let interval = wanted.interval.as_secs() as i64;
        let created = state.create_time.0.div_euclid(1_000_000_000);
        let first = (created / interval + 1) * interval;
        let expected: BTreeSet<String> = (0..wanted.actions)
            .map(|number| Time((first + number * interval) * 1_000_000_000).proto())
            .map(|time| format!("{id}-{time}"))
            .collect();
        let first_runs: Vec<&str> = evidence
            .runs
            .iter()
            .filter(|run| run.workflow().starts_with(&format!("{id}-")))
            .filter(|run| run.execution.start.first_execution_run_id == run.execution.run_id())
            .filter(|run| run.execution.start.parent_workflow_execution.is_none())
            .map(|run| run.workflow())
            .collect();
        let started: BTreeSet<String> = first_runs.iter().map(|id| (*id).to_owned()).collect();
        if started != expected || first_runs.len() != expected.len() {
            return broken(PROMISE, id, format!("started {first_runs:?}, expected {expected:?}"));
        }
    }
    Ok(())
}
