//! A request to cancel: cooperative, so it is an event for the worker and nothing else.

use everlog_proto::api::{
    common::v1::WorkflowExecution,
    history::v1::{WorkflowExecutionCancelRequestedEventAttributes, history_event::Attributes},
    workflowservice::v1::RequestCancelWorkflowExecutionRequest,
};

use crate::{
    decide::{Decided, workflow_task},
    fact::Record,
    reject::Reject,
    reply::Reply,
    turn::Turn,
};

pub fn request_cancel(turn: &mut Turn<'_>, request: &RequestCancelWorkflowExecutionRequest) -> Decided {
    request_cancel_from(turn, request, None, 0)
}

/// A request by another workflow, or by a client if there is none.
pub fn request_cancel_from(
    turn: &mut Turn<'_>,
    request: &RequestCancelWorkflowExecutionRequest,
    sender: Option<WorkflowExecution>,
    initiated_event_id: i64,
) -> Decided {
    check_chain(turn, &request.first_execution_run_id)?;
    if !turn.execution.is_running() || turn.execution.cancel_requested {
        return Ok(Some(Reply::Done));
    }
    turn.record(Record::CancelRequest(request.request_id.clone()));
    let attributes = Attributes::WorkflowExecutionCancelRequestedEventAttributes(
        WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason.clone(),
            identity: request.identity.clone(),
            external_workflow_execution: sender,
            external_initiated_event_id: initiated_event_id,
        },
    );
    turn.full_event(turn.stamp.now, attributes, None, request.links.clone());
    // A run that still waits for its first task need not wait to learn that it should stop.
    workflow_task::schedule_even_backing_off(turn);
    Ok(Some(Reply::Done))
}

/// A caller who names the first run of a chain means whatever run of that chain is current.
pub fn check_chain(turn: &Turn<'_>, first_run_id: &str) -> Result<(), Reject> {
    if !first_run_id.is_empty() && turn.execution.start.first_execution_run_id != first_run_id {
        return Err(Reject::execution_not_found());
    }
    Ok(())
}
