//! Workflow tasks: owed, handed out, completed, failed, timed out.
//!
//! That a task was handed out is the leader's own knowledge ([`crate::volatile`]): its Started event gets
//! an id at once but is written together with what ends the task. If the leader dies, the next one owes
//! the same task again and refuses the old holder's token.

mod complete;
mod fail;
mod speculative;
mod take;

pub use complete::{Outcome, complete};
pub use fail::{end_attempt, fail, fail_started, fail_waiting, no_poller, wake};
pub use speculative::{before_event, pending, schedule_for_updates, stamp, taken_until};
pub use take::{held, take, take_eagerly, take_inline, unwritten_events};

use std::time::Duration;

use everlog_proto::api::{
    common::v1::WorkerVersionStamp,
    enums::v1::TaskQueueKind,
    history::v1::{
        WorkflowTaskScheduledEventAttributes, WorkflowTaskStartedEventAttributes, history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};

use crate::{
    decide::{Decided, terminate::SERVER_IDENTITY},
    execution::Execution,
    fact::Record,
    reject::Reject,
    reply::Reply,
    time::proto_duration,
    turn::Turn,
    volatile::StartedTask,
};

/// Stands for the request of a poller where there was none.
const NO_POLLER: &str = "emptyUuid";

/// Something happened that the worker has to see: owes it a task, unless one is owed already.
pub fn schedule_if_needed(turn: &mut Turn<'_>) {
    if !turn.execution.is_backing_off() {
        schedule_even_backing_off(turn);
    }
}

/// The same for what does not wait for a start delay, such as a cancel request.
pub fn schedule_even_backing_off(turn: &mut Turn<'_>) {
    let execution = &turn.execution;
    if execution.is_running() && execution.workflow_task.is_none() && !execution.held_by_parent {
        schedule(turn);
    }
}

/// Owes a new task. The first attempt is written; later ones are transient, unless events came in. None is owed
/// while the run is paused, but what waited for its place gets it.
pub(super) fn schedule(turn: &mut Turn<'_>) {
    if turn.execution.is_paused() {
        return turn.flush_buffer();
    }
    if turn.volatile.speculative.is_some() {
        return speculative::write(turn, "");
    }
    if !turn.execution.buffered.is_empty() {
        turn.flush_buffer();
        turn.record(Record::NextAttempt(1));
    }
    if turn.execution.next_attempt > 1 {
        let attempt = turn.execution.next_attempt;
        turn.record(Record::TransientTask { attempt, scheduled_time: turn.stamp.now });
    } else {
        write_scheduled(turn, 1);
    }
    turn.volatile.moved_to_normal = false;
}

fn write_scheduled(turn: &mut Turn<'_>, attempt: i32) {
    let task_queue = scheduled_queue(turn);
    let attributes = Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
        task_queue: Some(task_queue),
        start_to_close_timeout: turn.execution.start.workflow_task_timeout,
        attempt,
    });
    turn.event(attributes);
}

fn scheduled_queue(turn: &Turn<'_>) -> TaskQueue {
    let normal_name = turn.execution.task_queue().to_owned();
    match &turn.execution.sticky {
        Some(sticky) => {
            TaskQueue { name: sticky.queue.clone(), kind: TaskQueueKind::Sticky as i32, normal_name }
        }
        None => {
            TaskQueue { name: normal_name, kind: TaskQueueKind::Normal as i32, normal_name: String::new() }
        }
    }
}

/// The Scheduled event of a transient task, which is written only if the task ends well.
pub(super) fn transient_scheduled(execution: &Execution, attempt: i32, timeout: Duration) -> Attributes {
    let name = execution.task_queue().to_owned();
    Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
        task_queue: Some(TaskQueue { name, kind: TaskQueueKind::Normal as i32, normal_name: String::new() }),
        start_to_close_timeout: Some(proto_duration(timeout)),
        attempt,
    })
}

pub(super) fn started_attributes(started: &StartedTask) -> Attributes {
    Attributes::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
        scheduled_event_id: started.scheduled_event_id,
        identity: started.identity.clone(),
        request_id: started.request_id.clone(),
        suggest_continue_as_new: started.suggest_continue_as_new,
        suggest_continue_as_new_reasons: started.suggest_reasons.clone(),
        history_size_bytes: started.history_bytes,
        #[allow(deprecated, reason = "workers without deployments say only this")]
        worker_version: stamp_of(&started.build_id),
        target_worker_deployment_version_changed: started.target_changed,
        ..Default::default()
    })
}

/// A worker's build as events show it.
pub(in crate::decide) fn stamp_of(build_id: &str) -> Option<WorkerVersionStamp> {
    (!build_id.is_empty())
        .then(|| WorkerVersionStamp { build_id: build_id.to_owned(), use_versioning: false })
}

/// Writes the Started event of the task that now ends, and its Scheduled event if that was transient.
/// Returns the task; afterwards nobody holds it.
pub(super) fn write_started(turn: &mut Turn<'_>) -> Option<StartedTask> {
    let started = turn.volatile.started.take()?;
    let task = turn.execution.workflow_task.clone()?;
    if !task.written {
        let timeout = started.deadline.since(started.time);
        let attributes = transient_scheduled(&turn.execution, started.attempt, timeout);
        turn.event_at(task.scheduled_time, attributes);
    }
    turn.event_at(started.time, started_attributes(&started));
    Some(started)
}

/// The Started event of a task that nobody has had and that is failed all the same.
pub(in crate::decide) fn write_started_by_nobody(
    turn: &mut Turn<'_>,
    scheduled_event_id: i64,
    history_size_bytes: i64,
) -> i64 {
    turn.event(Attributes::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
        scheduled_event_id,
        identity: SERVER_IDENTITY.into(),
        request_id: NO_POLLER.into(),
        history_size_bytes,
        ..Default::default()
    }))
}

pub fn reset_sticky(turn: &mut Turn<'_>) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    if turn.execution.sticky.is_some() {
        turn.record(Record::Sticky(None));
    }
    Ok(Some(Reply::Done))
}

/// How long a worker may take: from the fourth attempt on it grows, as load control for broken code.
pub(super) fn start_to_close_timeout(turn: &Turn<'_>, attempt: i32) -> Duration {
    const BACKOFF_INITIAL_SECONDS: u64 = 5;
    const RANDOM_PART: u32 = 5;
    let limits = turn.stamp.limits;
    let base = pending(turn).map(|task| task.start_to_close_timeout).unwrap_or_default();
    let beyond = attempt - limits.workflow_task_attempts_before_backoff;
    if beyond <= 0 {
        return base;
    }
    let factor = 1u64.checked_shl(beyond.unsigned_abs() - 1).unwrap_or(u64::MAX);
    let backoff = Duration::from_secs(BACKOFF_INITIAL_SECONDS.saturating_mul(factor));
    let backoff = backoff.min(limits.workflow_task_retry_interval_max);
    // A random part, up to a fifth, keeps workers that broke together from coming back together.
    let random = (backoff / RANDOM_PART).as_nanos() as u64;
    base + backoff - Duration::from_nanos(turn.stamp.chance() % random.max(1))
}
