//! Promise (I26): an update that was answered with an outcome is in the history of its run with that outcome,
//! accepted once and completed once; one that the worker rejects is in no history; nothing is there that
//! nobody asked for.
//!
//! As with the real server a run knows its updates, a chain does not: an update that is asked for again after
//! a continue-as-new may be accepted by both runs.

use std::collections::BTreeMap;

use everlog_proto::api::{enums::v1::EventType, history::v1::history_event::Attributes, update::v1::outcome};

use super::{Checked, Evidence, Run, broken};
use crate::{
    machine::text_of,
    record::{Ended, OpKind},
    updates::{self, Verdict},
};

const PROMISE: &str =
    "an update is accepted once and completed once, and its outcome is what was answered (I26)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for run in &evidence.runs {
        check_run(evidence, run)?;
    }
    for (index, op) in evidence.sim.records.ops.iter().enumerate() {
        if op.kind != OpKind::Update || !op.is(Ended::Acknowledged) || evidence.may_be_deleted(&op.workflow) {
            continue;
        }
        let wrong =
            |text: String| broken(PROMISE, &op.workflow, format!("op-{index} ({}): {text}", op.request_id));
        let Some(answer) = &op.answer else { continue };
        if let Some(place) = answer.strip_prefix("event ") {
            let is_there = place.split_once('/').is_some_and(|(run_id, event_id)| {
                let run = evidence.of(&op.workflow).find(|run| run.execution.run_id() == run_id);
                let id: i64 = event_id.parse().unwrap_or_default();
                run.is_some_and(|run| outcomes(run).get(op.request_id.as_str()).is_some_and(|at| *at == id))
            });
            if !is_there {
                return wrong(format!("no outcome at {answer}"));
            }
        } else if answer == "failed: unwanted" {
            if updates::verdict(&op.request_id) != Verdict::Reject {
                return wrong("it was rejected, which no worker did".into());
            }
        } else if !answer.contains("the Workflow completed before the Update completed") {
            return wrong(format!("nobody answers {answer:?}"));
        }
    }
    Ok(())
}

fn check_run(evidence: &Evidence<'_>, run: &Run) -> Checked {
    let wrong = |text: String| broken(PROMISE, run.workflow(), format!("{}: {text}", run.execution.run_id()));
    let mut accepted: BTreeMap<&str, i64> = BTreeMap::new();
    for event in run.events_of(EventType::WorkflowExecutionUpdateAccepted) {
        let Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) = &event.attributes else {
            continue;
        };
        let id = a.protocol_instance_id.as_str();
        let mut ops = evidence.ops(run.workflow());
        if !ops.any(|op| op.kind == OpKind::Update && op.request_id == id) {
            return wrong(format!("nobody asked for {id}"));
        }
        if updates::verdict(id) == Verdict::Reject {
            return wrong(format!("{id} was accepted, which no worker did"));
        }
        if let Some(before) = accepted.insert(id, event.event_id) {
            return wrong(format!("{id} was accepted by events {before} and {}", event.event_id));
        }
    }
    let mut completed: BTreeMap<&str, i64> = BTreeMap::new();
    for event in run.events_of(EventType::WorkflowExecutionUpdateCompleted) {
        let Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) = &event.attributes else {
            continue;
        };
        let id = a.meta.as_ref().map_or("", |meta| &meta.update_id);
        if accepted.get(id) != Some(&a.accepted_event_id) {
            return wrong(format!("{id} was completed by event {} and not accepted", event.event_id));
        }
        if let Some(before) = completed.insert(id, event.event_id) {
            return wrong(format!("{id} was completed by events {before} and {}", event.event_id));
        }
        let text = match a.outcome.as_ref().and_then(|outcome| outcome.value.as_ref()) {
            Some(outcome::Value::Success(result)) => text_of(result),
            _ => String::new(),
        };
        if text != updates::answer(id) {
            return wrong(format!("{id} has the outcome {text:?}"));
        }
    }
    Ok(())
}

/// The events that have outcomes, by update.
fn outcomes(run: &Run) -> BTreeMap<&str, i64> {
    run.events_of(EventType::WorkflowExecutionUpdateCompleted)
        .filter_map(|event| match &event.attributes {
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                Some((a.meta.as_ref()?.update_id.as_str(), event.event_id))
            }
            _ => None,
        })
        .collect()
}
