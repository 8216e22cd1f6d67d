//! Workflows paused by hand, and let go on.
//!
//! No task of a paused run is handed out, and no workflow task is owed to what happens meanwhile, which takes its
//! place in the history all the same. A task that a worker holds goes on; one that waits is failed, and going on
//! owes a new one. Timers fire, time-outs run (service/history/api/pauseworkflow/api.go).

use everlog_proto::api::{
    history::v1::{
        WorkflowExecutionPausedEventAttributes, WorkflowExecutionUnpausedEventAttributes,
        history_event::Attributes,
    },
    workflowservice::v1::{PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest},
};

use crate::{
    decide::{Decided, workflow_task},
    fact::Record,
    reject::Reject,
    reply::Reply,
    turn::Turn,
};

/// How the real server fails to pause a run that has never been owed a workflow task.
const NOT_BEGUN: &str = "something went wrong, please retry (c27988bd)";

pub fn pause(turn: &mut Turn<'_>, request: &PauseWorkflowExecutionRequest) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    if turn.execution.is_paused() {
        let by = turn.execution.pause.as_ref().map_or("", |pause| &pause.request_id);
        return match !by.is_empty() && by == request.request_id {
            true => Ok(Some(Reply::Done)),
            false => Err(Reject::FailedPrecondition("workflow is already paused.".into())),
        };
    }
    if !turn.execution.has_first_task {
        return Err(Reject::Internal(NOT_BEGUN.into()));
    }
    workflow_task::fail_waiting(turn);
    let paused = WorkflowExecutionPausedEventAttributes {
        identity: request.identity.clone(),
        reason: request.reason.clone(),
        request_id: request.request_id.clone(),
    };
    turn.ignorable_event(Attributes::WorkflowExecutionPausedEventAttributes(paused), Vec::new());
    Ok(Some(Reply::Done))
}

/// Whatever failed before, the task that is owed now is a first attempt.
pub fn unpause(turn: &mut Turn<'_>, request: &UnpauseWorkflowExecutionRequest) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    if !turn.execution.is_paused() {
        return Err(Reject::FailedPrecondition("workflow is not paused.".into()));
    }
    let unpaused = WorkflowExecutionUnpausedEventAttributes {
        identity: request.identity.clone(),
        reason: request.reason.clone(),
        request_id: request.request_id.clone(),
    };
    turn.ignorable_event(Attributes::WorkflowExecutionUnpausedEventAttributes(unpaused), Vec::new());
    if turn.execution.next_attempt > 1 && turn.execution.workflow_task.is_none() {
        turn.record(Record::NextAttempt(1));
    }
    workflow_task::schedule_if_needed(turn);
    Ok(Some(Reply::Done))
}
