//! The judges: each file holds one promise against the evidence of a finished run.

mod activities;
mod children;
mod deployments;
mod expected;
mod histories;
mod index;
mod online;
mod operations;
mod pauses;
mod reads;
mod replicas;
mod resets;
mod rest;
mod schedules;
mod signals;
mod standalone;
mod standalone_operation;
mod starts;
mod timers;
mod updates;
mod workflow_tasks;

use std::collections::{BTreeMap, BTreeSet};

use everlog_engine::{
    execution::{Execution, event_type},
    key::RunKey,
    shard::World,
};
use everlog_proto::api::{enums::v1::EventType, history::v1::HistoryEvent};

pub use online::{online, op_ended};

use crate::{
    record::{Op, OpKind},
    sim::{Sim, Violation},
};

/// Everything that is known when a run has come to rest.
pub struct Evidence<'a> {
    pub sim: &'a Sim,
    pub runs: Vec<Run>,
    /// Positions in `runs`, which are in the order in which they began.
    pub by_workflow: BTreeMap<String, Vec<usize>>,
}

pub struct Run {
    pub shard: usize,
    pub execution: Execution,
    pub events: Vec<HistoryEvent>,
}

pub type Checked = Result<(), Violation>;

type Check = fn(&Evidence<'_>) -> Checked;

const CHECKS: [Check; 20] = [
    replicas::check,
    histories::check,
    index::check,
    activities::check,
    timers::check,
    signals::check,
    children::check,
    operations::check,
    starts::check,
    resets::check,
    workflow_tasks::check,
    pauses::check,
    reads::check,
    expected::check,
    schedules::check,
    deployments::check,
    updates::check,
    standalone::check,
    standalone_operation::check,
    rest::check,
];

pub fn all(sim: &mut Sim) {
    let evidence = Evidence::gather(sim);
    let broken = CHECKS.iter().find_map(|check| check(&evidence).err());
    if let Some(violation) = broken {
        sim.fail(violation.promise, violation.workflow.as_deref(), violation.text);
    }
}

/// Says what is still open although it had all the time it needs.
pub fn unfinished(sim: &mut Sim) {
    let open = sim.logs.iter().flat_map(|log| log.open.keys()).next().map(|key| key.workflow_id.to_string());
    let text = match &open {
        Some(workflow) => format!("{workflow} is still open"),
        None if !sim.schedules_are_done() => sim.schedules_not_done(),
        None if !sim.deployment_is_done() => "a deployment's versions are not all made current".to_owned(),
        None if !sim.activities_are_done() => sim.activities_not_done(),
        None if !sim.operations_are_done() => sim.operations_not_done(),
        None => {
            let waits = sim.records.ops.iter().find(|op| op.ended.is_none());
            format!("a client still waits: {waits:?}")
        }
    };
    sim.fail("after the faults have ended everything comes to its end (I18)", open.as_deref(), text);
}

pub fn broken(promise: &'static str, workflow: &str, text: String) -> Checked {
    Err(Violation { promise, workflow: Some(workflow.to_owned()), text })
}

impl<'a> Evidence<'a> {
    fn gather(sim: &'a Sim) -> Evidence<'a> {
        let mut runs: Vec<Run> = Vec::new();
        for (shard, log) in sim.logs.iter().enumerate() {
            let states = log.begun.iter().filter_map(|key| World::execution(&log.truth, key));
            runs.extend(states.map(|state| {
                let execution = (*state).clone();
                let events = log.truth.history(execution.key());
                Run { shard, execution, events }
            }));
        }
        let mut by_workflow: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (position, run) in runs.iter().enumerate() {
            by_workflow.entry(run.execution.workflow_id().to_owned()).or_default().push(position);
        }
        Evidence { sim, runs, by_workflow }
    }

    /// Runs of a workflow, in the order in which they began.
    pub fn of(&self, workflow: &str) -> impl Iterator<Item = &Run> {
        self.by_workflow.get(workflow).into_iter().flatten().map(|position| &self.runs[*position])
    }

    pub fn run(&self, key: &RunKey) -> Option<&Run> {
        self.of(&key.workflow.workflow_id).find(|run| run.execution.key() == key)
    }

    /// Workflows of which a run may have been deleted on request.
    pub fn may_be_deleted(&self, workflow: &str) -> bool {
        self.ops(workflow).any(|op| op.kind == OpKind::Delete)
    }

    /// Runs in whose place resets have put others: those that were gone back in, and what had continued them. What
    /// counts of them is in the runs that the resets have made.
    pub fn superseded(&self) -> BTreeSet<&str> {
        let mut superseded = BTreeSet::new();
        for base in self.runs.iter().filter(|run| !run.execution.reset_run_id().is_empty()) {
            let mut next = Some(base);
            while let Some(run) = next {
                superseded.insert(run.execution.run_id());
                let continued_by = run.execution.new_run_id.as_str();
                next = self.of(run.workflow()).find(|other| other.execution.run_id() == continued_by);
            }
        }
        superseded
    }

    pub fn ops(&self, workflow: &str) -> impl Iterator<Item = &Op> {
        self.sim.records.ops.iter().filter(move |op| op.workflow == workflow)
    }
}

impl Run {
    pub fn workflow(&self) -> &str {
        self.execution.workflow_id()
    }

    /// The id of the last event that a reset has taken over from another run.
    pub fn last_copied(&self) -> i64 {
        let copied = self.execution.resets.as_ref().and_then(|resets| resets.copied.last());
        copied.map_or(0, |copied| copied.last_event_id)
    }

    pub fn events_of(&self, kind: EventType) -> impl Iterator<Item = &HistoryEvent> {
        self.events.iter().filter(move |event| event_type(event) == kind)
    }
}
