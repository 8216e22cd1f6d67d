//! Which events a run may be reset to: those inside a workflow task, where a transaction ended.
//!
//! The real server keeps transactions apart and copies only whole ones. Ours writes several requests at once,
//! so where the real one's transactions would have ended is told from the events themselves.

use everlog_proto::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::{
    event::{finished_activity, finished_child, is_close, started_of},
    execution::{Execution, event_type},
    fact::Event,
    reject::Reject,
};

/// The end of the first or the last workflow task: where it was completed, or behind where it was scheduled.
pub fn of_task(events: &[Event], last: bool) -> Result<i64, Reject> {
    let points = |kind: EventType, behind: i64| {
        let events = events.iter().map(|event| &*event.event);
        events.filter(move |event| event_type(event) == kind).map(move |event| event.event_id + behind)
    };
    let (mut completed, mut scheduled) =
        (points(EventType::WorkflowTaskCompleted, 0), points(EventType::WorkflowTaskScheduled, 1));
    let found =
        if last { completed.last().or(scheduled.last()) } else { completed.next().or(scheduled.next()) };
    found.ok_or_else(|| Reject::NotFound("no workflow task was found to reset to".into()))
}

/// The run and the first workflow task that a build of the worker has completed.
pub fn of_build(
    execution: &Execution,
    build_id: &str,
    current_run_only: bool,
) -> Result<(String, i64), Reject> {
    let point = execution.reset_points.iter().find(|point| point.build_id == build_id);
    match point {
        Some(point) if !current_run_only || point.run_id == execution.run_id() => {
            Ok((point.run_id.clone(), point.first_workflow_task_completed_id))
        }
        _ => Err(Reject::NotFound(format!("no point was found to reset to for build {build_id:?}"))),
    }
}

/// Whether a run may be reset to before this event.
pub(super) fn check(events: &[Event], point: i64) -> Result<(), Reject> {
    let at = |id: i64| {
        let index = usize::try_from(id - 1).ok()?;
        events.get(index).map(|event| &*event.event)
    };
    let (Some(last), Some(next)) = (at(point - 1), at(point)) else {
        return Err(Reject::Internal("the history of the run to be reset is not complete".into()));
    };
    let pending = pending_task(events, point);
    if is_one_transaction(events, last, next, pending.is_some()) {
        return Err(Reject::InvalidArgument(format!(
            "StateRebuilder unable to Rebuild mutable state to event ID: {}, version: 0, this event must be at \
             the boundary",
            point - 1
        )));
    }
    if pending.is_none() {
        return Err(Reject::InvalidArgument(format!(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: \
             {point}"
        )));
    }
    Ok(())
}

/// The Started event of the workflow task in which the point lies, if it lies behind it.
pub(super) fn started_event_id(events: &[Event], point: i64) -> Option<i64> {
    pending_task(events, point).flatten()
}

/// The task that is owed just before the point: with the id of its Started event, if it was started.
fn pending_task(events: &[Event], point: i64) -> Option<Option<i64>> {
    let mut pending = None;
    for event in events.iter().map(|event| &*event.event).take_while(|event| event.event_id < point) {
        pending = match event_type(event) {
            EventType::WorkflowTaskScheduled => Some(None),
            EventType::WorkflowTaskStarted => Some(Some(event.event_id)),
            EventType::WorkflowTaskCompleted
            | EventType::WorkflowTaskFailed
            | EventType::WorkflowTaskTimedOut => None,
            _ => pending,
        };
    }
    pending
}

/// Whether the real server would have written both events, which are neighbours, in one transaction.
fn is_one_transaction(events: &[Event], last: &HistoryEvent, next: &HistoryEvent, in_task: bool) -> bool {
    let (last_type, next_type) = (event_type(last), event_type(next));
    if last_type == EventType::WorkflowTaskStarted {
        return false;
    }
    if started_of(last).is_some() {
        let finished = finished_activity(next).or_else(|| finished_child(next));
        return finished.is_some() && finished == started_of(last);
    }
    if in_task {
        // The first task of a run that is started eagerly is scheduled and started at once.
        return last.event_id == 2 && is_started_eagerly(events);
    }
    if next_type == EventType::WorkflowTaskScheduled {
        return last_type != EventType::WorkflowExecutionStarted || !is_delayed(last);
    }
    if last_type == EventType::WorkflowExecutionStarted {
        return next_type == EventType::WorkflowExecutionSignaled && last.event_time == next.event_time;
    }
    let completed = completed_before(events, next.event_id);
    is_command_of(next, completed.map_or(0, |event| event.event_id))
        || is_close(next_type) && last_type == EventType::WorkflowTaskFailed
        // What was buffered while the task ran has happened before it was completed.
        || completed.is_some_and(|completed| time_of(next) <= time_of(completed))
}

fn is_started_eagerly(events: &[Event]) -> bool {
    matches!(
        events.first().and_then(|event| event.event.attributes.as_ref()),
        Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) if a.eager_execution_accepted
    )
}

fn is_delayed(started: &HistoryEvent) -> bool {
    matches!(
        &started.attributes,
        Some(Attributes::WorkflowExecutionStartedEventAttributes(a))
            if !crate::time::duration(a.first_workflow_task_backoff.as_ref()).is_zero()
    )
}

fn time_of(event: &HistoryEvent) -> (i64, i32) {
    event.event_time.as_ref().map_or((0, 0), |time| (time.seconds, time.nanos))
}

/// The end of the workflow task that was the last to end before this event.
fn completed_before(events: &[Event], event_id: i64) -> Option<&HistoryEvent> {
    let before = events.iter().map(|event| &*event.event).take_while(|event| event.event_id < event_id);
    before.filter(|event| event_type(event) == EventType::WorkflowTaskCompleted).last()
}

/// Whether a command of the completed workflow task has made this event.
fn is_command_of(event: &HistoryEvent, completed_event_id: i64) -> bool {
    use Attributes as A;
    let by = match &event.attributes {
        Some(A::WorkflowExecutionCompletedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::WorkflowExecutionFailedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::WorkflowExecutionCanceledEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::WorkflowExecutionContinuedAsNewEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::ActivityTaskScheduledEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::ActivityTaskCancelRequestedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::TimerStartedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::TimerCanceledEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::MarkerRecordedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::SignalExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
            a.workflow_task_completed_event_id
        }
        Some(A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
            a.workflow_task_completed_event_id
        }
        Some(A::UpsertWorkflowSearchAttributesEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::WorkflowPropertiesModifiedEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::NexusOperationScheduledEventAttributes(a)) => a.workflow_task_completed_event_id,
        Some(A::NexusOperationCancelRequestedEventAttributes(a)) => a.workflow_task_completed_event_id,
        // An update is accepted and completed by the same answer of the worker.
        Some(A::WorkflowExecutionUpdateAcceptedEventAttributes(_))
        | Some(A::WorkflowExecutionUpdateCompletedEventAttributes(_)) => completed_event_id,
        _ => return false,
    };
    by == completed_event_id && completed_event_id != 0
}
