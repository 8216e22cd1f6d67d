//! What clients and workers were told, against what the histories hold.

use std::collections::{BTreeMap, BTreeSet};

use temporalio_protos::temporal::api::enums::v1::EventType;

use super::{Complaints, Evidence};
use crate::{
    history::Event,
    record::{Kind, Operation, Outcome},
};

pub(super) fn starts_exist(evidence: &Evidence, complaints: &mut Complaints) {
    for operation in &evidence.operations {
        let (Kind::Start { .. }, Outcome::Acknowledged { run_id }) = (&operation.kind, &operation.outcome)
        else {
            continue;
        };
        for view in &evidence.views {
            match view.runs.get(&operation.workflow_id) {
                None => complaints.add(&operation.workflow_id, format!("{} does not know it", view.node)),
                Some(run) if run.run_id != *run_id => complaints.add(
                    &operation.workflow_id,
                    format!("told run {run_id}, and {} has {}", view.node, run.run_id),
                ),
                Some(_) => {}
            }
        }
    }
}

pub(super) fn writes_exist_once(evidence: &Evidence, complaints: &mut Complaints) {
    counted(
        evidence,
        complaints,
        |outcome| matches!(outcome, Outcome::Acknowledged { .. }),
        |found| found == 1,
    );
}

pub(super) fn unknown_at_most_once(evidence: &Evidence, complaints: &mut Complaints) {
    counted(evidence, complaints, |outcome| *outcome == Outcome::Unknown, |found| found <= 1);
}

pub(super) fn refused_is_absent(evidence: &Evidence, complaints: &mut Complaints) {
    counted(evidence, complaints, |outcome| matches!(outcome, Outcome::Refused { .. }), |found| found == 0);
}

/// Every mark in a history belongs to an operation of that workflow and that kind.
pub(super) fn nothing_unasked(evidence: &Evidence, complaints: &mut Complaints) {
    let asked: BTreeSet<(&str, EventType, &str)> = evidence
        .operations
        .iter()
        .map(|it| (it.workflow_id.as_str(), event_of(&it.kind), it.mark.as_str()))
        .collect();
    for (view, run) in evidence.runs() {
        for event in run.events.iter().filter(|event| is_marked(event.kind)) {
            let mark = event.mark.as_deref().unwrap_or_default();
            if !asked.contains(&(run.workflow_id.as_str(), event.kind, mark)) {
                complaints.add(
                    &run.workflow_id,
                    format!(
                        "on {} event {} {:?} `{mark}` was never asked for",
                        view.node, event.id, event.kind
                    ),
                );
            }
        }
    }
}

/// For every operation with a certain outcome, how often its mark is in the history of its workflow.
fn counted(
    evidence: &Evidence,
    complaints: &mut Complaints,
    concerns: impl Fn(&Outcome) -> bool,
    right: impl Fn(usize) -> bool,
) {
    for view in &evidence.views {
        let marks: BTreeMap<&str, Marks<'_>> =
            view.runs.iter().map(|(id, run)| (id.as_str(), Marks::of(&run.events))).collect();
        for operation in evidence.operations.iter().filter(|operation| concerns(&operation.outcome)) {
            let found = marks.get(operation.workflow_id.as_str()).map_or(0, |marks| marks.count(operation));
            if !right(found) {
                complaints.add(
                    &operation.workflow_id,
                    format!(
                        "{:?} `{}` ({}) is {found} times in the history on {}",
                        event_of(&operation.kind),
                        operation.mark,
                        told(&operation.outcome),
                        view.node
                    ),
                );
            }
        }
    }
}

/// How often each mark occurs in a history, by kind of event.
struct Marks<'a>(BTreeMap<(EventType, &'a str), usize>);

impl<'a> Marks<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut counts = BTreeMap::new();
        for event in events {
            if let Some(mark) = &event.mark {
                *counts.entry((event.kind, mark.as_str())).or_default() += 1;
            }
        }
        Self(counts)
    }

    fn count(&self, operation: &Operation) -> usize {
        self.0.get(&(event_of(&operation.kind), operation.mark.as_str())).copied().unwrap_or_default()
    }
}

fn event_of(kind: &Kind) -> EventType {
    match kind {
        Kind::Start { .. } => EventType::WorkflowExecutionStarted,
        Kind::Signal => EventType::WorkflowExecutionSignaled,
        Kind::CompleteActivity => EventType::ActivityTaskCompleted,
        Kind::CompleteTask => EventType::WorkflowTaskCompleted,
    }
}

fn is_marked(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::WorkflowExecutionStarted
            | EventType::WorkflowExecutionSignaled
            | EventType::ActivityTaskCompleted
            | EventType::WorkflowTaskCompleted
    )
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acknowledged { .. } => "acknowledged".into(),
        Outcome::Refused { why } => format!("refused: {why}"),
        Outcome::Unknown => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Trace, broken, keeps};
    use super::*;

    const ACKNOWLEDGED: Outcome = Outcome::Acknowledged { run_id: String::new() };

    #[test]
    fn an_acknowledged_start_exists() {
        keeps(&Trace::good());
        broken(starts_exist, &Trace::good().without_run("w"));
        broken(starts_exist, &Trace::good().told_run("w", "another run"));
    }

    #[test]
    fn an_acknowledged_signal_is_there_once() {
        let unpromised = Trace::good().operation("w", Kind::Signal, "s-2", Outcome::Unknown);
        keeps(&unpromised);
        broken(writes_exist_once, &Trace::good().operation("w", Kind::Signal, "s-2", ACKNOWLEDGED));
        broken(writes_exist_once, &Trace::good().repeated(EventType::WorkflowExecutionSignaled));
    }

    #[test]
    fn an_acknowledged_completion_is_there_once() {
        broken(writes_exist_once, &Trace::good().operation("w", Kind::CompleteActivity, "a-2", ACKNOWLEDGED));
        broken(writes_exist_once, &Trace::good().repeated(EventType::ActivityTaskCompleted));
        broken(writes_exist_once, &Trace::good().operation("w", Kind::CompleteTask, "t-9", ACKNOWLEDGED));
    }

    #[test]
    fn an_unknown_write_is_there_at_most_once() {
        let once = Trace::good().outcome("s-1", Outcome::Unknown);
        keeps(&once);
        broken(unknown_at_most_once, &once.repeated(EventType::WorkflowExecutionSignaled));
    }

    #[test]
    fn a_refused_write_is_not_there() {
        let refused = || Outcome::Refused { why: "NotFound".into() };
        keeps(&Trace::good().operation("w", Kind::CompleteTask, "t-9", refused()));
        broken(refused_is_absent, &Trace::good().outcome("s-1", refused()));
    }

    #[test]
    fn a_write_that_nobody_asked_for_is_found() {
        broken(nothing_unasked, &Trace::good().mark("s-1", "s-of-another"));
    }
}
