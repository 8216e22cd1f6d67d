//! What is there: histories as the nodes tell them, reduced to what the checker compares.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::api::{mark, number};

/// One run, as one node tells it.
#[derive(Clone, Debug)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
    pub events: Vec<Event>,
    /// Of every byte of every event; equal histories have equal ones.
    pub fingerprint: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: i64,
    pub kind: EventType,
    /// The mark of the operation that caused it.
    pub mark: Option<String>,
    /// The events that it answers, such as the schedule of the activity that was completed.
    pub answers: Option<i64>,
    /// The workflow's result, if this event closes it.
    pub result: Option<u64>,
}

impl Run {
    pub fn new(workflow_id: &str, run_id: &str, events: &[HistoryEvent]) -> Self {
        Self {
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
            fingerprint: fingerprint(events),
            events: events.iter().map(Event::from).collect(),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.events.last().is_some_and(|event| event.is_close())
    }

    /// The last events, for a person who has to find out why it stopped there.
    pub fn tail(&self) -> String {
        let from = self.events.len().saturating_sub(6);
        let shown = self.events[from..].iter().map(|event| format!("{} {:?}", event.id, event.kind));
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Event {
    pub fn is_close(&self) -> bool {
        matches!(
            self.kind,
            EventType::WorkflowExecutionCompleted
                | EventType::WorkflowExecutionFailed
                | EventType::WorkflowExecutionTimedOut
                | EventType::WorkflowExecutionCanceled
                | EventType::WorkflowExecutionTerminated
                | EventType::WorkflowExecutionContinuedAsNew
        )
    }
}

impl From<&HistoryEvent> for Event {
    fn from(event: &HistoryEvent) -> Self {
        let mut reduced = Self {
            id: event.event_id,
            kind: EventType::try_from(event.event_type).unwrap_or_default(),
            mark: None,
            answers: None,
            result: None,
        };
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => {
                reduced.mark = Some(it.identity.clone());
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) => {
                reduced.mark = mark(it.input.as_ref());
            }
            Some(Attributes::WorkflowTaskStartedEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::WorkflowTaskCompletedEventAttributes(it)) => {
                reduced.mark = Some(it.identity.clone());
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::WorkflowTaskFailedEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::WorkflowTaskTimedOutEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::ActivityTaskStartedEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(it)) => {
                reduced.mark = mark(it.result.as_ref());
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(it)) => {
                reduced.answers = Some(it.scheduled_event_id);
            }
            Some(Attributes::TimerFiredEventAttributes(it)) => {
                reduced.answers = Some(it.started_event_id);
            }
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(it)) => {
                reduced.result = Some(number(it.result.as_ref()));
            }
            _ => {}
        }
        reduced
    }
}

fn fingerprint(events: &[HistoryEvent]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for event in events {
        stable_bytes(event).hash(&mut hasher);
    }
    hasher.finish()
}

/// The same bytes for the same event, in sorted order: a message with maps is encoded in whatever order
/// this process's memory has them, and what is lost by sorting hides no difference that a server would make.
fn stable_bytes(event: &HistoryEvent) -> Vec<u8> {
    let mut bytes = event.encode_to_vec();
    bytes.sort_unstable();
    bytes
}
