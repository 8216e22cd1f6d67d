//! Signals: at most once per request id, in the order in which they were accepted.

use everlog_proto::api::{
    common::v1::WorkflowExecution,
    history::v1::{WorkflowExecutionSignaledEventAttributes, history_event::Attributes},
    workflowservice::v1::SignalWorkflowExecutionRequest,
};

use crate::{
    decide::{Decided, workflow_task},
    fact::Record,
    planted,
    reject::Reject,
    reply::Reply,
    turn::Turn,
};

pub fn signal(turn: &mut Turn<'_>, request: &SignalWorkflowExecutionRequest) -> Decided {
    signal_from(turn, request, None)
}

/// A signal by another workflow, or by a client if there is none.
pub fn signal_from(
    turn: &mut Turn<'_>,
    request: &SignalWorkflowExecutionRequest,
    sender: Option<WorkflowExecution>,
) -> Decided {
    // A repeated request is answered as before, even if the run has closed since.
    if is_repeated(turn, &request.request_id) {
        return Ok(Some(signaled(turn)));
    }
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    check_room(turn)?;
    add(turn, request, sender);
    workflow_task::schedule_if_needed(turn);
    Ok(Some(signaled(turn)))
}

fn signaled(turn: &Turn<'_>) -> Reply {
    Reply::Signaled { run_id: turn.execution.run_id().to_owned() }
}

pub fn is_repeated(turn: &Turn<'_>, request_id: &str) -> bool {
    !request_id.is_empty()
        && !planted::is("signal_dedupe_lost")
        && turn.execution.signal_request_ids.contains(request_id)
}

/// Whether the run may take one more signal now.
pub fn check_room(turn: &Turn<'_>) -> Result<(), Reject> {
    if turn.execution.signal_count >= turn.stamp.limits.signals_max {
        return Err(Reject::InvalidArgument("exceeded workflow execution limit for signal events".into()));
    }
    if turn.execution.close_attempted && turn.volatile.started.is_some() {
        return Err(Reject::closing());
    }
    Ok(())
}

/// Adds the signal and remembers its request.
pub fn add(turn: &mut Turn<'_>, request: &SignalWorkflowExecutionRequest, sender: Option<WorkflowExecution>) {
    if !request.request_id.is_empty() {
        turn.record(Record::SignalRequest(request.request_id.clone()));
    }
    let attributes =
        Attributes::WorkflowExecutionSignaledEventAttributes(WorkflowExecutionSignaledEventAttributes {
            signal_name: request.signal_name.clone(),
            input: request.input.clone(),
            identity: request.identity.clone(),
            header: request.header.clone(),
            request_id: request.request_id.clone(),
            external_workflow_execution: sender,
            ..Default::default()
        });
    turn.full_event(turn.stamp.now, attributes, None, request.links.clone());
}
