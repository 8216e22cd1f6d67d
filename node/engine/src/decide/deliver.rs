//! Messages between workflows: heard by the receiver, and what became of them noted by the sender.

use everlog_proto::api::{
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, ParentClosePolicy,
        SignalExternalWorkflowExecutionFailedCause,
    },
    workflowservice::v1::RequestCancelWorkflowExecutionRequest,
};

use crate::{
    decide::{
        Decided, cancel, child, external, signal,
        terminate::{self, SERVER_IDENTITY},
        workflow_task,
    },
    execution::Execution,
    fact::Record,
    key::RunKey,
    message::{self, Body, Message, Outcome, Subject},
    reject::Reject,
    reply::Reply,
    turn::Turn,
};

const BY_PARENT_CLOSE_POLICY: &str = "by parent close policy";

/// A message to this run. Starting a child is decided in [`super::start`], which may create one.
pub fn deliver(turn: &mut Turn<'_>, message: &Message) -> Decided {
    let outcome = match &message.body {
        Body::Signal { request, child_only, .. } => {
            if *child_only && !is_child_of(&turn.execution, &message.from) {
                return Ok(Some(Reply::Message(unreachable(message))));
            }
            signal::signal_from(turn, request, Some(execution_of(&message.from))).map(|_| Outcome::Done)
        }
        Body::Cancel { request, initiated_event_id, child_only, .. } => {
            if *child_only && !is_child_of(&turn.execution, &message.from) {
                return Ok(Some(Reply::Message(unreachable(message))));
            }
            let sender = Some(execution_of(&message.from));
            cancel::request_cancel_from(turn, request, sender, *initiated_event_id).map(|_| Outcome::Done)
        }
        Body::ReleaseChild => {
            release(turn);
            Ok(Outcome::Done)
        }
        Body::IsChildKnown { initiated_event_id, child } => {
            let known = child::is_known(turn, *initiated_event_id, &child.run_id);
            Ok(if known { Outcome::Done } else { Outcome::Unknown })
        }
        Body::ChildClosed { initiated_event_id, first_run_id, child, event } => {
            child::closed(turn, *initiated_event_id, first_run_id, child, event);
            Ok(Outcome::Done)
        }
        Body::ParentClosed { first_run_id, policy } => {
            let policy = ParentClosePolicy::try_from(*policy).unwrap_or_default();
            parent_closed(turn, &message.from, first_run_id, policy)?;
            Ok(Outcome::Done)
        }
        Body::StartChild(_) => return Err(Reject::Internal("a child is not started by a run".into())),
    };
    match outcome {
        Ok(outcome) => Ok(Some(Reply::Message(outcome))),
        Err(reject) => lasting(message, &reject).map(|outcome| Some(Reply::Message(outcome))).ok_or(reject),
    }
}

/// What a refusal means to the sender, unless the receiver can be asked again.
pub fn lasting(message: &Message, reject: &Reject) -> Option<Outcome> {
    match (&message.body, reject) {
        (Body::StartChild(_), Reject::AlreadyStarted { .. }) => {
            Some(Outcome::Failed { cause: child::ALREADY_EXISTS })
        }
        (_, Reject::NotFound(_)) => Some(unreachable(message)),
        (Body::Signal { .. }, Reject::InvalidArgument(_)) => {
            let cause = SignalExternalWorkflowExecutionFailedCause::SignalCountLimitExceeded;
            Some(Outcome::Failed { cause: cause as i32 })
        }
        _ => None,
    }
}

/// There is nobody to hear the message.
pub fn unreachable(message: &Message) -> Outcome {
    match &message.body {
        Body::Signal { .. } => {
            let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
            Outcome::Failed { cause: cause as i32 }
        }
        Body::Cancel { .. } => {
            let cause = CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
            Outcome::Failed { cause: cause as i32 }
        }
        Body::IsChildKnown { .. } => Outcome::Unknown,
        _ => Outcome::Done,
    }
}

fn execution_of(run: &RunKey) -> WorkflowExecution {
    WorkflowExecution { workflow_id: run.workflow.workflow_id.to_string(), run_id: run.run_id.to_string() }
}

fn is_child_of(execution: &Execution, parent: &RunKey) -> bool {
    message::parent_of(execution).is_some_and(|run| run == *parent)
}

/// The parent has written that this run was started: its code may run.
fn release(turn: &mut Turn<'_>) {
    if turn.execution.held_by_parent {
        turn.record(Record::HeldByParent(false));
        workflow_task::schedule_if_needed(turn);
    }
}

fn parent_closed(
    turn: &mut Turn<'_>,
    parent: &RunKey,
    first_run_id: &str,
    policy: ParentClosePolicy,
) -> Result<(), Reject> {
    let execution = &turn.execution;
    // A reset may have given the child to another run of its parent.
    let is_meant = message::parent_of(execution).is_some_and(|run| run.workflow == parent.workflow)
        && execution.start.first_execution_run_id == first_run_id;
    if !is_meant || !execution.is_running() {
        return Ok(());
    }
    match policy {
        ParentClosePolicy::Abandon => release(turn),
        ParentClosePolicy::RequestCancel if !execution.held_by_parent => {
            let request = RequestCancelWorkflowExecutionRequest {
                identity: SERVER_IDENTITY.into(),
                ..Default::default()
            };
            cancel::request_cancel_from(turn, &request, Some(execution_of(parent)), 0)?;
        }
        _ => terminate::end(turn, BY_PARENT_CLOSE_POLICY, None, SERVER_IDENTITY, Vec::new()),
    }
    Ok(())
}

/// What became of a message that this run has sent. Heard twice, it is noted once.
pub fn delivered(turn: &mut Turn<'_>, subject: Subject, outcome: &Outcome, namespace: &str) -> Decided {
    let running = turn.execution.is_running();
    let mut next = None;
    match (subject, outcome) {
        (Subject::Child(id), Outcome::Started { run_id }) => next = child::started(turn, id, run_id),
        (Subject::Child(id), Outcome::Failed { cause }) => child::not_started(turn, id, *cause),
        (Subject::Signal(id), outcome) if running => external::signaled(turn, id, outcome, namespace),
        (Subject::Cancel(id), outcome) if running => external::cancel_requested(turn, id, outcome, namespace),
        (Subject::ChildOfClosed(id), _)
            if turn.execution.children.get(&id).is_some_and(|child| !child.told_of_close) =>
        {
            turn.record(Record::ChildTold { initiated_event_id: id });
        }
        (Subject::Parent, _) if turn.execution.report.is_some() => turn.record(Record::ParentTold),
        (Subject::Release, Outcome::Unknown) if running => {
            terminate::end(turn, BY_PARENT_CLOSE_POLICY, None, SERVER_IDENTITY, Vec::new());
        }
        (Subject::Release, _) if running => release(turn),
        _ => {}
    }
    Ok(Some(Reply::Noted(next)))
}
