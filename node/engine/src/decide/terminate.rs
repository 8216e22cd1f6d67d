//! Termination: by a client, by a start that replaces the run, or by the engine when a limit is passed.

use everlog_proto::api::{
    common::v1::{Link, Payloads},
    enums::v1::WorkflowTaskFailedCause,
    history::v1::{WorkflowExecutionTerminatedEventAttributes, history_event::Attributes},
    workflowservice::v1::TerminateWorkflowExecutionRequest,
};

use crate::{
    decide::{Decided, cancel::check_chain, workflow_task},
    fact::Record,
    planted,
    reject::Reject,
    reply::Reply,
    turn::Turn,
};

/// How the server signs events of its own.
pub const SERVER_IDENTITY: &str = "history-service";

pub fn terminate(turn: &mut Turn<'_>, request: &TerminateWorkflowExecutionRequest) -> Decided {
    check_chain(turn, &request.first_execution_run_id)?;
    if !turn.execution.is_running() && !planted::is("closed_again") {
        return Err(Reject::already_completed());
    }
    end(turn, &request.reason, request.details.clone(), &request.identity, request.links.clone());
    Ok(Some(Reply::Done))
}

/// Ends the run at once. What was buffered still gets its place before the last event.
pub fn end(turn: &mut Turn<'_>, reason: &str, details: Option<Payloads>, identity: &str, links: Vec<Link>) {
    workflow_task::fail_started(turn, WorkflowTaskFailedCause::ForceCloseCommand, None, SERVER_IDENTITY);
    turn.flush_buffer();
    let attributes =
        Attributes::WorkflowExecutionTerminatedEventAttributes(WorkflowExecutionTerminatedEventAttributes {
            reason: reason.to_owned(),
            details,
            identity: identity.to_owned(),
        });
    turn.full_event(turn.stamp.now, attributes, None, links);
    closed(turn);
}

/// To be called after every close event: the closed run is kept as long as its namespace says.
pub fn closed(turn: &mut Turn<'_>) {
    turn.record(Record::RetainUntil(turn.stamp.now + turn.stamp.limits.retention));
    turn.volatile.started = None;
}
