//! A history, cut into the steps in which a workflow lived through it.
//!
//! A worker never sees single events. It gets a workflow task: everything that happened up to the
//! task's `WorkflowTaskStarted`; and it answers with commands, which the server writes as events after
//! `WorkflowTaskCompleted`. So a history is a chain of an [`Opening`] (what the code was told) and a
//! [`Closing`] (what it asked for). A task that failed or timed out left nothing behind: what it was told
//! counts as told to the next one.

use std::collections::VecDeque;
use std::time::SystemTime;

use everlog_proto::api::enums::v1::EventType;
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::history::v1::history_event::Attributes;

use crate::time::timestamp_to_system;

/// A history that is not one.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The history does not start with the event that starts a workflow.
    #[error("the history does not begin with WorkflowExecutionStarted, but with event {0}")]
    Beginning(i64),
    /// There are no events.
    #[error("the history has no events")]
    Empty,
    /// Event numbers must be dense.
    #[error("event {found} follows where event {expected} should")]
    Gap {
        /// The number that was expected.
        expected: i64,
        /// The number that was found.
        found: i64,
    },
    /// A command's event stands where no workflow task was completed.
    #[error("event {0} is the result of a command, but no workflow task was completed before it")]
    Orphan(i64),
    /// An event that this version does not know, and may not ignore.
    #[error("event {event_id} has a kind that this version does not support ({kind})")]
    Unsupported {
        /// Its number.
        event_id: i64,
        /// Its kind.
        kind: String,
    },
    /// An export that could not be read.
    #[error("the history cannot be read: {0}")]
    Unreadable(String),
}

/// One step of a run.
#[derive(Debug)]
pub(crate) enum Step {
    Opening(Opening),
    Closing(Closing),
}

/// What one workflow task told the workflow.
#[derive(Debug)]
pub(crate) struct Opening {
    /// In order; without the events of workflow tasks themselves.
    pub(crate) events: Vec<HistoryEvent>,
    pub(crate) started_event_id: i64,
    /// The workflow's "now" during this step.
    pub(crate) now: SystemTime,
    pub(crate) suggest_continue_as_new: bool,
    pub(crate) history_size_bytes: i64,
}

/// What the workflow asked for in answer.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) completed_event_id: i64,
    pub(crate) commands: Vec<HistoryEvent>,
    pub(crate) sdk_name: String,
}

impl Closing {
    /// The last event that belongs to it.
    pub(crate) fn last_event_id(&self) -> i64 {
        self.commands.last().map_or(self.completed_event_id, |event| event.event_id)
    }
}

/// Cuts events into steps. Events up to `after` have been lived through already and are passed over.
/// `live_started_id` is the task now in hand, which has no end yet; 0 if there is none.
pub(crate) fn steps(
    events: Vec<HistoryEvent>,
    after: i64,
    live_started_id: i64,
) -> Result<VecDeque<Step>, HistoryError> {
    check_dense(&events)?;
    let fates = fates(&events);
    let mut fates = fates.into_iter();
    let mut steps = VecDeque::new();
    let mut told = Vec::new();
    let mut closing: Option<Closing> = None;
    for event in events {
        let is_started = matches!(event.attributes, Some(Attributes::WorkflowTaskStartedEventAttributes(_)));
        let fate = if is_started { fates.next() } else { None };
        if event.event_id <= after {
            continue;
        }
        match &event.attributes {
            Some(Attributes::WorkflowTaskStartedEventAttributes(started)) => {
                let counts = match fate {
                    Some(Fate::Completed) => true,
                    Some(Fate::Open) => event.event_id == live_started_id,
                    _ => false,
                };
                if counts {
                    steps.extend(closing.take().map(Step::Closing));
                    steps.push_back(Step::Opening(Opening {
                        events: std::mem::take(&mut told),
                        started_event_id: event.event_id,
                        now: timestamp_to_system(event.event_time.as_ref()),
                        suggest_continue_as_new: started.suggest_continue_as_new,
                        history_size_bytes: started.history_size_bytes,
                    }));
                }
            }
            Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) => {
                steps.extend(closing.take().map(Step::Closing));
                let sdk_name =
                    completed.sdk_metadata.as_ref().map(|m| m.sdk_name.clone()).unwrap_or_default();
                closing =
                    Some(Closing { completed_event_id: event.event_id, commands: Vec::new(), sdk_name });
            }
            Some(
                Attributes::WorkflowTaskScheduledEventAttributes(_)
                | Attributes::WorkflowTaskFailedEventAttributes(_)
                | Attributes::WorkflowTaskTimedOutEventAttributes(_),
            ) => {}
            _ if is_command(event.event_type()) => match &mut closing {
                Some(closing) => closing.commands.push(event),
                None => return Err(HistoryError::Orphan(event.event_id)),
            },
            None if !event.worker_may_ignore => return Err(unsupported(&event)),
            _ => told.push(event),
        }
    }
    steps.extend(closing.map(Step::Closing));
    Ok(steps)
}

pub(crate) fn unsupported(event: &HistoryEvent) -> HistoryError {
    let kind = match EventType::try_from(event.event_type) {
        Ok(kind) => kind.as_str_name().to_owned(),
        Err(_) => event.event_type.to_string(),
    };
    HistoryError::Unsupported { event_id: event.event_id, kind }
}

/// What became of a workflow task after it was started.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Completed,
    Failed,
    Open,
}

/// The fates of the started workflow tasks, in order.
fn fates(events: &[HistoryEvent]) -> Vec<Fate> {
    let mut fates = Vec::new();
    for event in events {
        match &event.attributes {
            Some(Attributes::WorkflowTaskStartedEventAttributes(_)) => fates.push(Fate::Open),
            Some(Attributes::WorkflowTaskCompletedEventAttributes(_)) => settle(&mut fates, Fate::Completed),
            Some(
                Attributes::WorkflowTaskFailedEventAttributes(_)
                | Attributes::WorkflowTaskTimedOutEventAttributes(_),
            ) => settle(&mut fates, Fate::Failed),
            _ => {}
        }
    }
    fates
}

/// A task may fail or time out before it was started; then nothing is open, and nothing changes.
fn settle(fates: &mut [Fate], fate: Fate) {
    if let Some(last @ Fate::Open) = fates.last_mut() {
        *last = fate;
    }
}

fn check_dense(events: &[HistoryEvent]) -> Result<(), HistoryError> {
    for pair in events.windows(2) {
        if pair[1].event_id != pair[0].event_id + 1 {
            return Err(HistoryError::Gap { expected: pair[0].event_id + 1, found: pair[1].event_id });
        }
    }
    Ok(())
}

/// Whether the server writes events of this kind only as the result of a command.
fn is_command(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::WorkflowExecutionCompleted
            | EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionCanceled
            | EventType::WorkflowExecutionContinuedAsNew
            | EventType::ActivityTaskScheduled
            | EventType::ActivityTaskCancelRequested
            | EventType::TimerStarted
            | EventType::TimerCanceled
            | EventType::MarkerRecorded
            | EventType::StartChildWorkflowExecutionInitiated
            | EventType::RequestCancelExternalWorkflowExecutionInitiated
            | EventType::SignalExternalWorkflowExecutionInitiated
            | EventType::UpsertWorkflowSearchAttributes
            | EventType::WorkflowPropertiesModified
            | EventType::NexusOperationScheduled
            | EventType::NexusOperationCancelRequested
            | EventType::WorkflowExecutionUpdateAccepted
            | EventType::WorkflowExecutionUpdateCompleted
    )
}
