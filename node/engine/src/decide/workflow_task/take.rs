//! A worker takes a task: nothing is written, the holder is remembered.

use everlog_proto::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::{EventType, SuggestContinueAsNewReason, TaskQueueKind},
    history::v1::HistoryEvent,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::PollWorkflowTaskQueueResponse,
};

use super::speculative::{pending, scheduled};
use crate::{
    decide::{Decided, query, update},
    deployment::WorkerVersion,
    execution::{Execution, WorkflowTask},
    fact::Record,
    reply::{HistorySpan, Reply, WorkflowTaskReply},
    request::{Routed, TakeWorkflowTask},
    token::{TaskToken, TokenTask},
    turn::Turn,
    volatile::StartedTask,
};

/// Signs the start of a task that is returned with the completion of the one before it.
const INLINE_REQUEST_ID: &str = "request-from-RespondWorkflowTaskCompleted";

pub fn take(turn: &mut Turn<'_>, take: &TakeWorkflowTask) -> Decided {
    let task = pending(turn).filter(|_| turn.execution.is_running());
    let Some(task) = task else { return Ok(Some(Reply::TaskGone)) };
    if task.scheduled_event_id != take.scheduled_event_id || task.attempt != take.attempt {
        return Ok(Some(Reply::TaskGone));
    }
    let sticky = task.sticky_timeout.is_some() && task.queue == take.queue;
    let brings_nothing = turn.volatile.speculative.is_some() && turn.volatile.updates.is_empty();
    if brings_nothing && turn.volatile.started.is_none() {
        turn.volatile.speculative = None;
        return Ok(Some(Reply::TaskGone));
    }
    if let Some(started) = &turn.volatile.started {
        // The queue asks again because it did not hear the answer.
        let same = started.request_id == take.request_id && !take.request_id.is_empty();
        return Ok(Some(if same { Reply::WorkflowTask(reply(turn)) } else { Reply::TaskGone }));
    }
    if !turn.execution.hands_out() {
        return Ok(Some(Reply::TaskGone));
    }
    if !sticky && take.queue != turn.execution.task_queue() {
        // A sticky poller for a run that is no longer sticky.
        return Ok(Some(Reply::TaskGone));
    }
    if !turn.execution.versioning.admits(take.routed.version.as_ref()) {
        // Offered before the run was pinned, or when it was pinned to another version.
        return Ok(Some(Reply::TaskGone));
    }
    turn.flush_buffer();
    // Events that came in since an attempt failed make the next one an ordinary first attempt.
    let stale = |turn: &Turn<'_>| {
        let task = turn.execution.workflow_task.as_ref();
        task.is_some_and(|task| !task.written && task.scheduled_event_id != turn.execution.next_event_id)
    };
    if stale(turn) {
        turn.record(Record::NextAttempt(1));
        super::write_scheduled(turn, 1);
    }
    let holder = Holder {
        identity: &take.identity,
        request_id: &take.request_id,
        build_id: &take.build_id,
        version: take.routed.version.as_ref(),
        routed: Some(&take.routed),
    };
    hold(turn, holder, sticky, false);
    Ok(Some(Reply::WorkflowTask(reply(turn))))
}

/// Starts the task that was just scheduled for the worker that completed the one before, or put it off.
pub fn take_inline(
    turn: &mut Turn<'_>,
    identity: &str,
    build_id: &str,
    version: Option<&WorkerVersion>,
    goes_on: bool,
) -> Box<WorkflowTaskReply> {
    let holder = Holder { identity, request_id: INLINE_REQUEST_ID, build_id, version, routed: None };
    hold(turn, holder, true, goes_on);
    reply(turn)
}

/// Starts the first task for the client that started the workflow, which is a worker as well.
pub fn take_eagerly(
    turn: &mut Turn<'_>,
    identity: &str,
    request_id: &str,
    version: Option<&WorkerVersion>,
) -> Box<WorkflowTaskReply> {
    hold(turn, Holder { identity, request_id, build_id: "", version, routed: None }, false, false);
    if let Some(started) = &mut turn.volatile.started {
        // Nothing of this run is persisted yet.
        started.history_bytes = 0;
    }
    reply(turn)
}

/// The answer that the holder of the running task was given.
pub fn held(turn: &Turn<'_>) -> Box<WorkflowTaskReply> {
    reply(turn)
}

struct Holder<'a> {
    identity: &'a str,
    request_id: &'a str,
    build_id: &'a str,
    version: Option<&'a WorkerVersion>,
    /// What the queue knows; nothing if the task did not come through one.
    routed: Option<&'a Routed>,
}

/// Remembers who holds the task and what it was told.
fn hold(turn: &mut Turn<'_>, holder: Holder<'_>, sticky: bool, goes_on: bool) {
    let Some(task) = pending(turn).cloned() else { return };
    let limits = turn.stamp.limits;
    let versioning = turn.execution.versioning.clone();
    let mut reasons = Vec::new();
    let started_event_id = turn.execution.next_event_id + i64::from(!task.written);
    if turn.execution.history_bytes >= limits.suggest_continue_as_new_bytes {
        reasons.push(SuggestContinueAsNewReason::HistorySizeTooLarge as i32);
    }
    if started_event_id >= limits.suggest_continue_as_new_events {
        reasons.push(SuggestContinueAsNewReason::TooManyHistoryEvents as i32);
    }
    if update::are_too_many(turn) {
        reasons.push(SuggestContinueAsNewReason::TooManyUpdates as i32);
    }
    turn.volatile.started = Some(StartedTask {
        scheduled_event_id: if task.written { task.scheduled_event_id } else { turn.execution.next_event_id },
        started_event_id,
        attempt: task.attempt,
        time: turn.stamp.now,
        identity: holder.identity.to_owned(),
        request_id: holder.request_id.to_owned(),
        build_id: holder.build_id.to_owned(),
        version: holder.version.cloned(),
        revision: match holder.routed {
            _ if holder.version.is_none() => 0,
            Some(routed) if !versioning.is_pinned() => routed.revision,
            _ => versioning.revision,
        },
        target_changed: versioning.by_hand.is_none()
            && versioning.is_pinned()
            && holder.routed.is_some_and(|routed| routed.target != versioning.version),
        history_bytes: turn.execution.history_bytes,
        suggest_continue_as_new: !reasons.is_empty(),
        suggest_reasons: reasons,
        nonce: turn.stamp.chance(),
        deadline: turn.stamp.now + super::start_to_close_timeout(turn, task.attempt),
        sticky,
        queries: query::attach(turn),
        updates: update::attach(turn, goes_on),
    });
}

/// The poll response for the task that is held now. Sticky workers get only what is new to them.
fn reply(turn: &Turn<'_>) -> Box<WorkflowTaskReply> {
    let execution = &turn.execution;
    let started = turn.volatile.started.clone().unwrap_or_default();
    let task = pending(turn).cloned().unwrap_or_default();
    let key = execution.key().clone();
    let token = TaskToken {
        run: key.clone(),
        task: TokenTask::Workflow {
            scheduled_event_id: started.scheduled_event_id,
            started_event_id: started.started_event_id,
            attempt: started.attempt,
            nonce: started.nonce,
        },
    };
    let from = if started.sticky { execution.last_completed_started_event_id + 1 } else { 1 };
    let response = PollWorkflowTaskQueueResponse {
        task_token: token.encode(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id: execution.workflow_id().to_owned(),
            run_id: execution.run_id().to_owned(),
        }),
        workflow_type: Some(WorkflowType { name: execution.workflow_type().to_owned() }),
        previous_started_event_id: execution.last_completed_started_event_id,
        started_event_id: started.started_event_id,
        attempt: started.attempt,
        workflow_execution_task_queue: Some(TaskQueue {
            name: execution.task_queue().to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        scheduled_time: Some(task.scheduled_time.proto()),
        started_time: Some(started.time.proto()),
        queries: query::attached(turn),
        messages: update::outgoing(turn, &started.updates, started.started_event_id),
        ..Default::default()
    };
    let history = HistorySpan { run: key, from, to: execution.history_length(), suffix: unwritten(turn) };
    Box::new(WorkflowTaskReply { response, history })
}

/// The events of the held task that are not written yet, as they will be.
fn unwritten(turn: &Turn<'_>) -> Vec<HistoryEvent> {
    let volatile = &turn.volatile;
    unwritten_events(&turn.execution, volatile.speculative.as_ref(), volatile.started.as_ref())
}

/// The same for anybody who reads the history while the task runs.
pub fn unwritten_events(
    execution: &Execution,
    speculative: Option<&WorkflowTask>,
    started: Option<&StartedTask>,
) -> Vec<HistoryEvent> {
    let pending = execution.workflow_task.as_ref().or(speculative);
    let Some(task) = pending.filter(|_| execution.is_running()) else { return Vec::new() };
    let scheduled_event_id = if task.written { task.scheduled_event_id } else { execution.next_event_id };
    let timeout = started.map_or(task.start_to_close_timeout, |started| started.deadline.since(started.time));
    let mut events = Vec::new();
    if !task.written {
        events.push(HistoryEvent {
            event_id: scheduled_event_id,
            event_time: Some(task.scheduled_time.proto()),
            event_type: EventType::WorkflowTaskScheduled as i32,
            attributes: Some(match speculative {
                Some(task) => scheduled(execution, task),
                None => super::transient_scheduled(execution, task.attempt, timeout),
            }),
            ..Default::default()
        });
    }
    let Some(started) = started else { return events };
    events.push(HistoryEvent {
        event_id: started.started_event_id,
        event_time: Some(started.time.proto()),
        event_type: EventType::WorkflowTaskStarted as i32,
        task_id: if task.written { crate::turn::task_id(started.started_event_id) } else { 0 },
        attributes: Some(super::started_attributes(started)),
        ..Default::default()
    });
    events
}
