//! A task that did not end well: reported by the worker, timed out, or cut short by the engine.
//!
//! Only the first attempt leaves events behind; after that only the attempt's number grows, so that a
//! broken worker cannot fill a history (service/history/workflow/workflow_task_state_machine.go).

use everlog_proto::api::{
    enums::v1::{TimeoutType, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::{
        WorkflowTaskFailedEventAttributes, WorkflowTaskTimedOutEventAttributes, history_event::Attributes,
    },
    workflowservice::v1::RespondWorkflowTaskFailedRequest,
};

use super::speculative::{self, pending, taken_until};
use crate::{
    decide::{
        Decided, query,
        terminate::{self, SERVER_IDENTITY},
        update,
    },
    fact::Record,
    planted,
    reject::Reject,
    reply::Reply,
    request::TaskEnd,
    token::{TaskToken, TokenTask},
    turn::Turn,
};

pub fn fail(turn: &mut Turn<'_>, token: &TaskToken, request: &RespondWorkflowTaskFailedRequest) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    check_holder(turn, token)?;
    if request.cause() == WorkflowTaskFailedCause::GrpcMessageTooLarge {
        terminate::end(turn, "GrpcMessageTooLarge", None, SERVER_IDENTITY, Vec::new());
        return Ok(Some(Reply::Done));
    }
    let failed = WorkflowTaskFailedEventAttributes {
        cause: request.cause,
        failure: request.failure.clone(),
        identity: request.identity.clone(),
        #[allow(deprecated)]
        binary_checksum: request.binary_checksum.clone(),
        ..Default::default()
    };
    end_attempt(turn, TaskEnd::Failed { cause: request.cause() }, Some(failed));
    super::schedule_if_needed(turn);
    Ok(Some(Reply::Done))
}

/// Whether this token belongs to the worker that holds the task now.
pub(super) fn check_holder(turn: &Turn<'_>, token: &TaskToken) -> Result<(), Reject> {
    let TokenTask::Workflow { scheduled_event_id, started_event_id, attempt, nonce } = &token.task else {
        return Err(Reject::InvalidArgument("Error deserializing task token.".into()));
    };
    let holds = turn.volatile.started.as_ref().is_some_and(|started| {
        started.scheduled_event_id == *scheduled_event_id
            && started.started_event_id == *started_event_id
            && started.attempt == *attempt
            && (started.nonce == *nonce || planted::is("stale_task_token_accepted"))
    });
    if holds { Ok(()) } else { Err(Reject::workflow_task_not_found()) }
}

/// Fails the task that is being worked on, if there is one.
pub fn fail_started(
    turn: &mut Turn<'_>,
    cause: WorkflowTaskFailedCause,
    failure: Option<Failure>,
    identity: &str,
) {
    if turn.volatile.started.is_none() {
        return;
    }
    let failed = WorkflowTaskFailedEventAttributes {
        cause: cause as i32,
        failure,
        identity: identity.to_owned(),
        ..Default::default()
    };
    end_attempt(turn, TaskEnd::Failed { cause }, Some(failed));
}

/// Ends the current attempt without a completion. The next one is not scheduled here.
pub fn end_attempt(turn: &mut Turn<'_>, end: TaskEnd, failed: Option<WorkflowTaskFailedEventAttributes>) {
    speculative::write(turn, failed.as_ref().map_or("", |failed| &failed.identity));
    let Some(task) = turn.execution.workflow_task.clone() else { return };
    query::release(turn);
    let started = turn.volatile.started.clone();
    if task.written {
        let started_event_id = started.as_ref().map_or(0, |started| started.started_event_id);
        if started.is_some() {
            super::write_started(turn);
        }
        let attributes = match &end {
            TaskEnd::Failed { .. } => {
                Attributes::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
                    scheduled_event_id: task.scheduled_event_id,
                    started_event_id,
                    ..failed.unwrap_or_default()
                })
            }
            TaskEnd::TimedOut(kind) => {
                Attributes::WorkflowTaskTimedOutEventAttributes(WorkflowTaskTimedOutEventAttributes {
                    scheduled_event_id: task.scheduled_event_id,
                    started_event_id,
                    timeout_type: *kind as i32,
                })
            }
        };
        turn.event(attributes);
    } else {
        turn.volatile.started = None;
        turn.record(Record::TaskEnded);
    }
    if let TaskEnd::Failed { cause } = end {
        turn.record(Record::TaskFailure { cause: cause as i32 });
    }
    let off_sticky = started.is_some_and(|started| !started.sticky);
    match end {
        // Nobody has had it.
        TaskEnd::TimedOut(TimeoutType::ScheduleToStart) => count_attempt(turn, 0, off_sticky),
        _ => count_attempt(turn, task.attempt, off_sticky),
    }
    update::release(turn);
}

/// The run is about to be paused: a task that nobody has taken yet is failed. If only updates had needed it, it
/// counts as started.
pub fn fail_waiting(turn: &mut Turn<'_>) {
    if turn.volatile.started.is_some() {
        return;
    }
    let was_speculative = turn.volatile.speculative.is_some();
    speculative::write(turn, "");
    let Some(task) = turn.execution.workflow_task.clone() else { return };
    if task.written {
        let scheduled_event_id = task.scheduled_event_id;
        let started_event_id = match was_speculative {
            true => super::write_started_by_nobody(turn, scheduled_event_id, 0),
            false => 0,
        };
        let failed = WorkflowTaskFailedEventAttributes {
            scheduled_event_id,
            started_event_id,
            cause: WorkflowTaskFailedCause::WorkflowPauseRequestedBeforeTaskStarted as i32,
            identity: SERVER_IDENTITY.into(),
            ..Default::default()
        };
        turn.event(Attributes::WorkflowTaskFailedEventAttributes(failed));
    } else {
        turn.record(Record::TaskEnded);
    }
    if turn.execution.sticky.is_some() {
        turn.record(Record::Sticky(None));
    }
}

/// A failure on the sticky queue may be the cache's fault: it costs the stickiness, not an attempt. A worker
/// of the normal queue has no such excuse, though the workflow may be sticky to one that is gone.
fn count_attempt(turn: &mut Turn<'_>, attempt: i32, off_sticky: bool) {
    let was_sticky = turn.execution.sticky.is_some();
    if was_sticky {
        turn.record(Record::Sticky(None));
    }
    let next = if was_sticky && !off_sticky { 1 } else { attempt + 1 };
    turn.record(Record::NextAttempt(next));
}

/// The queue has had no poller for a while. From a sticky queue the same task goes to the normal one, unwritten.
pub fn no_poller(turn: &mut Turn<'_>, scheduled_event_id: i64, query: Option<u64>, sticky: bool) -> Decided {
    match query {
        Some(id) => query::no_poller(turn, id, sticky),
        None => {
            let task = pending(turn);
            if turn.volatile.started.is_none()
                && task.is_some_and(|task| task.scheduled_event_id == scheduled_event_id)
            {
                turn.volatile.moved_to_normal = true;
            }
        }
    }
    Ok(Some(Reply::Done))
}

/// Times out a task that nobody took in time, or whose worker did not answer in time.
pub fn wake(turn: &mut Turn<'_>) -> bool {
    let now = turn.stamp.now;
    if let Some(started) = &turn.volatile.started {
        if started.deadline > now {
            return false;
        }
        end_attempt(turn, TaskEnd::TimedOut(TimeoutType::StartToClose), None);
        return true;
    }
    let waited_too_long = match (&turn.execution.workflow_task, &turn.volatile.speculative) {
        (Some(task), _) => {
            let sticky = task.sticky_timeout.filter(|_| !turn.volatile.moved_to_normal);
            sticky.is_some_and(|timeout| task.scheduled_time + timeout <= now)
        }
        (None, Some(task)) => taken_until(task) <= now,
        (None, None) => false,
    };
    if !waited_too_long {
        return false;
    }
    end_attempt(turn, TaskEnd::TimedOut(TimeoutType::ScheduleToStart), None);
    true
}
