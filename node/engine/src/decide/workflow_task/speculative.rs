//! Workflow tasks that only updates need.
//!
//! Most of what a client asks by an update may come to nothing: the worker rejects it. So the task that brings
//! updates to a workflow at rest is the leader's memory. It has the ids that it would have, and is written as
//! soon as anything happens to the run, or with what it leads to; a task that ends in rejections alone is
//! forgotten, and its worker told where to go back to (docs/architecture/speculative-workflow-task.md).

use std::time::Duration;

use everlog_proto::api::{
    enums::v1::{EventType, TaskQueueKind},
    history::v1::{WorkflowTaskScheduledEventAttributes, history_event::Attributes},
    protocol::v1::Message,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::RespondWorkflowTaskCompletedRequest,
};

use crate::{
    decide::update::MessageKind,
    event::is_close,
    execution::{Execution, WorkflowTask},
    time::{Time, duration, proto_duration},
    todo,
    turn::Turn,
};

/// How long such a task waits for a worker of a normal queue. Then it is written, for whoever looks.
const SCHEDULE_TO_START_TIMEOUT: Duration = Duration::from_secs(5);
/// How many events after the last task a worker is able to go back over, if it says that it is.
const EVENTS_TO_GO_BACK_OVER_MAX: i64 = 10;

/// The workflow task that is owed or held, written or not.
pub fn pending<'a>(turn: &'a Turn<'_>) -> Option<&'a WorkflowTask> {
    turn.execution.workflow_task.as_ref().or(turn.volatile.speculative.as_ref())
}

/// Owes a task to the updates that wait, if none is owed that would carry them.
pub fn schedule_for_updates(turn: &mut Turn<'_>) {
    if !todo::lacks_task_for_updates(&turn.execution, &turn.volatile) {
        return;
    }
    if turn.execution.next_attempt > 1 {
        return super::schedule(turn);
    }
    let execution = &turn.execution;
    let sticky = execution.sticky.as_ref();
    turn.volatile.speculative = Some(WorkflowTask {
        scheduled_event_id: execution.next_event_id,
        attempt: 1,
        scheduled_time: turn.stamp.now,
        original_scheduled_time: turn.stamp.now,
        queue: sticky.map_or_else(|| execution.task_queue().to_owned(), |sticky| sticky.queue.clone()),
        sticky_timeout: sticky.map(|sticky| sticky.schedule_to_start_timeout),
        start_to_close_timeout: duration(execution.start.workflow_task_timeout.as_ref()),
        written: false,
    });
    turn.volatile.moved_to_normal = false;
}

/// Tells it from others, which may have the same ids.
pub fn stamp(task: &WorkflowTask) -> u32 {
    const NANOS_PER_MICRO: i64 = 1000;
    (task.scheduled_time.0 / NANOS_PER_MICRO) as u32
}

/// When somebody must have taken it.
pub fn taken_until(task: &WorkflowTask) -> Time {
    task.scheduled_time + task.sticky_timeout.unwrap_or(SCHEDULE_TO_START_TIMEOUT)
}

/// An event is about to be added: the task becomes one like any other, before it. If the run ends without a
/// worker having seen the task, there was none.
pub fn before_event(turn: &mut Turn<'_>, kind: EventType) {
    if kind == EventType::WorkflowTaskScheduled {
        return;
    }
    if is_close(kind) && turn.volatile.started.is_none() {
        turn.volatile.speculative = None;
    }
    write(turn, "");
}

/// Writes that the task was scheduled. Whoever made that necessary signs that it was started, if it was.
pub(super) fn write(turn: &mut Turn<'_>, identity: &str) {
    let Some(task) = turn.volatile.speculative.take() else { return };
    if let Some(started) = &mut turn.volatile.started {
        started.identity = identity.to_owned();
    }
    let attributes = scheduled(&turn.execution, &task);
    turn.event_at(task.scheduled_time, attributes);
}

/// The Scheduled event of the task, as it is or will be written.
pub(super) fn scheduled(execution: &Execution, task: &WorkflowTask) -> Attributes {
    let normal_name = execution.task_queue().to_owned();
    let task_queue = match task.sticky_timeout {
        Some(_) => TaskQueue { name: task.queue.clone(), kind: TaskQueueKind::Sticky as i32, normal_name },
        None => {
            TaskQueue { name: normal_name, kind: TaskQueueKind::Normal as i32, normal_name: String::new() }
        }
    };
    Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
        task_queue: Some(task_queue),
        start_to_close_timeout: Some(proto_duration(task.start_to_close_timeout)),
        attempt: task.attempt,
    })
}

/// Whether the task came to nothing, so that it need not be written: the worker has rejected what it was given,
/// and can go back to where it was before.
pub(super) fn is_forgettable(turn: &Turn<'_>, request: &RespondWorkflowTaskCompletedRequest) -> bool {
    if turn.volatile.speculative.is_none()
        || !request.commands.is_empty()
        || request.force_create_new_workflow_task
    {
        return false;
    }
    let goes_back = request
        .capabilities
        .as_ref()
        .is_some_and(|capabilities| capabilities.discard_speculative_workflow_task_with_events);
    let most = if goes_back { EVENTS_TO_GO_BACK_OVER_MAX } else { 0 };
    // Behind the Started event of the last task there is its Completed event, and whatever followed.
    let behind = turn.execution.next_event_id - (turn.execution.last_completed_started_event_id + 2);
    let is_rejection = |message: &Message| MessageKind::of(message) == Some(MessageKind::Rejection);
    (0..=most).contains(&behind) && request.messages.iter().all(is_rejection)
}
