//! What every history looks like, whatever was asked.

use std::collections::BTreeMap;

use temporalio_protos::temporal::api::enums::v1::EventType;

use super::{Complaints, Evidence};

pub(super) fn dense(evidence: &Evidence, complaints: &mut Complaints) {
    for (view, run) in evidence.runs() {
        let gap = run.events.iter().zip(1..).find(|(event, expected)| event.id != *expected);
        if let Some((event, expected)) = gap {
            complaints
                .add(&run.workflow_id, format!("on {} event {expected} has id {}", view.node, event.id));
        }
    }
}

pub(super) fn begins_and_ends(evidence: &Evidence, complaints: &mut Complaints) {
    for (view, run) in evidence.runs() {
        let starts: Vec<i64> = run
            .events
            .iter()
            .filter(|event| event.kind == EventType::WorkflowExecutionStarted)
            .map(|event| event.id)
            .collect();
        if starts != [1] {
            complaints.add(&run.workflow_id, format!("on {} it starts at {starts:?}", view.node));
        }
        let before_the_last = run.events.len().saturating_sub(1);
        if let Some(early) = run.events[..before_the_last].iter().find(|event| event.is_close()) {
            complaints.add(
                &run.workflow_id,
                format!("on {} it goes on after {:?} at {}", view.node, early.kind, early.id),
            );
        }
    }
}

/// A task, an activity or a timer is begun and ended at most once each, and only if it was scheduled.
pub(super) fn answered_once(evidence: &Evidence, complaints: &mut Complaints) {
    for (view, run) in evidence.runs() {
        let mut answers: BTreeMap<(i64, bool), i64> = BTreeMap::new();
        for event in &run.events {
            let Some(scheduled) = event.answers else { continue };
            let is_beginning =
                matches!(event.kind, EventType::WorkflowTaskStarted | EventType::ActivityTaskStarted);
            if scheduled < 1 || scheduled >= event.id {
                let story =
                    format!("on {} event {} answers {scheduled}, which comes later", view.node, event.id);
                complaints.add(&run.workflow_id, story);
            }
            if let Some(other) = answers.insert((scheduled, is_beginning), event.id) {
                complaints.add(
                    &run.workflow_id,
                    format!("on {} events {other} and {} both answer {scheduled}", view.node, event.id),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Trace, broken, keeps};
    use super::*;

    #[test]
    fn a_gap_is_found() {
        keeps(&Trace::good());
        broken(dense, &Trace::good().without_event(3));
    }

    #[test]
    fn events_after_the_close_are_found() {
        broken(begins_and_ends, &Trace::good().close_moved_to_the_front());
        broken(begins_and_ends, &Trace::good().without_event(1));
    }

    #[test]
    fn a_second_answer_is_found() {
        broken(answered_once, &Trace::good().repeated(EventType::ActivityTaskCompleted));
        broken(answered_once, &Trace::good().repeated(EventType::WorkflowTaskStarted));
        broken(answered_once, &Trace::good().answering(EventType::ActivityTaskCompleted, 99));
    }
}
