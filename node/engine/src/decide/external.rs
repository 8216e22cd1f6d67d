//! Signals and cancel requests to other workflows, as their sender writes them.

#![allow(deprecated, reason = "workers still send these fields and expect to read them back")]

use std::collections::BTreeSet;

use everlog_proto::api::{
    command::v1::{
        Command, RequestCancelExternalWorkflowExecutionCommandAttributes,
        SignalExternalWorkflowExecutionCommandAttributes,
    },
    common::v1::WorkflowExecution,
    enums::v1::WorkflowTaskFailedCause as Cause,
    history::v1::{
        ExternalWorkflowExecutionCancelRequestedEventAttributes,
        ExternalWorkflowExecutionSignaledEventAttributes,
        RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
        SignalExternalWorkflowExecutionFailedEventAttributes,
        SignalExternalWorkflowExecutionInitiatedEventAttributes, history_event::Attributes,
    },
};
use prost::Message as _;

use crate::{
    decide::{BadCommand, command, command::Task, workflow_task},
    message::Outcome,
    request::Namespaces,
    turn::Turn,
};

/// The name and the id of the namespace that a command means; without a name it is the workflow's own.
pub(super) fn target(
    turn: &Turn<'_>,
    name: &str,
    namespaces: &Namespaces,
    cause: Cause,
) -> Result<(String, String), BadCommand> {
    let own = &turn.execution.key().workflow.namespace_id;
    if name.is_empty() || name == namespaces.own {
        return Ok((namespaces.own.clone(), own.to_string()));
    }
    let Some(id) = namespaces.ids.get(name) else {
        return Err(BadCommand::new(cause, format!("Namespace {name} is not found.")));
    };
    if **own != **id && !turn.stamp.limits.cross_namespace_commands {
        return Err(BadCommand::new(cause, "cross namespace commands are not allowed"));
    }
    Ok((name.to_owned(), id.clone()))
}

pub fn signal(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &SignalExternalWorkflowExecutionCommandAttributes,
    task: Task<'_>,
) -> Result<(), BadCommand> {
    let cause = Cause::BadSignalWorkflowExecutionAttributes;
    let on = "SignalExternalWorkflowExecutionCommand";
    let bad = |message: String| Err(BadCommand::new(cause, message));
    let Some(execution) = &a.execution else {
        return bad(format!("Execution is not set on {on}."));
    };
    let (_, namespace_id) = target(turn, &a.namespace, task.namespaces, cause)?;
    let (ns, id, run, name) = (&a.namespace, &execution.workflow_id, &execution.run_id, &a.signal_name);
    let limits = turn.stamp.limits;
    if id.is_empty() {
        return bad(format!("WorkflowId is not set on {on}. Namespace={ns} RunId={run} SignalName={name}"));
    }
    if id.len() > limits.id_bytes_max {
        return bad(format!(
            "WorkflowId on {on} exceeds length limit. WorkflowId={id} Length={} Limit={} Namespace={ns} \
             RunId={run} SignalName={name}",
            id.len(),
            limits.id_bytes_max
        ));
    }
    if !run.is_empty() && !is_uuid(run) {
        return bad(format!(
            "Invalid RunId set on {on}. WorkflowId={id} Namespace={ns} RunId={run} SignalName={name}"
        ));
    }
    if name.is_empty() {
        return bad(format!("SignalName is not set on {on}. WorkflowId={id} Namespace={ns} RunId={run}"));
    }
    let pending = turn.execution.external_signals.len();
    if pending >= limits.pending_signals_max {
        let message = limit_reached("signals to external workflows", pending, limits.pending_signals_max);
        return Err(BadCommand::new(Cause::PendingSignalsLimitExceeded, message));
    }
    let what = "SignalExternalWorkflowExecutionCommandAttributes.Input";
    command::check_size(a.input.as_ref().map_or(0, |input| input.encoded_len()), limits, cause, what)?;
    let attributes = SignalExternalWorkflowExecutionInitiatedEventAttributes {
        workflow_task_completed_event_id: task.completed_event_id,
        namespace: ns.clone(),
        namespace_id,
        workflow_execution: Some(execution.clone()),
        signal_name: name.clone(),
        input: a.input.clone(),
        control: a.control.clone(),
        child_workflow_only: a.child_workflow_only,
        header: a.header.clone(),
    };
    turn.full_event(
        turn.stamp.now,
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(attributes),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}

pub fn cancel(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &RequestCancelExternalWorkflowExecutionCommandAttributes,
    task: Task<'_>,
    started_children: &BTreeSet<&str>,
) -> Result<(), BadCommand> {
    let cause = Cause::BadRequestCancelExternalWorkflowExecutionAttributes;
    let on = "RequestCancelExternalWorkflowExecutionCommand";
    let bad = |message: String| Err(BadCommand::new(cause, message));
    let (_, namespace_id) = target(turn, &a.namespace, task.namespaces, cause)?;
    let (ns, id, run) = (&a.namespace, &a.workflow_id, &a.run_id);
    let limits = turn.stamp.limits;
    if id.is_empty() {
        return bad(format!("WorkflowId is not set on {on}. Namespace={ns} RunId={run}"));
    }
    if id.len() > limits.id_bytes_max {
        return bad(format!(
            "WorkflowId on {on} exceeds length limit. WorkflowId={id} Length={} Limit={} RunId={run} \
             Namespace={ns}",
            id.len(),
            limits.id_bytes_max
        ));
    }
    if !run.is_empty() && !is_uuid(run) {
        return bad(format!("Invalid RunId set on {on}. WorkflowId={id} RunId={run} Namespace={ns}"));
    }
    if started_children.contains(id.as_str()) {
        return bad(format!(
            "Start and RequestCancel for child workflow is not allowed in same workflow task. \
             WorkflowId={id} RunId={run} Namespace={ns}"
        ));
    }
    let pending = turn.execution.external_cancels.len();
    if pending >= limits.pending_cancels_max {
        let what = "requests to cancel external workflows";
        let message = limit_reached(what, pending, limits.pending_cancels_max);
        return Err(BadCommand::new(Cause::PendingRequestCancelLimitExceeded, message));
    }
    let attributes = RequestCancelExternalWorkflowExecutionInitiatedEventAttributes {
        workflow_task_completed_event_id: task.completed_event_id,
        namespace: ns.clone(),
        namespace_id,
        workflow_execution: Some(WorkflowExecution { workflow_id: id.clone(), run_id: run.clone() }),
        control: a.control.clone(),
        child_workflow_only: a.child_workflow_only,
        reason: a.reason.clone(),
    };
    turn.full_event(
        turn.stamp.now,
        Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(attributes),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}

fn limit_reached(what: &str, pending: usize, most: usize) -> String {
    format!("the number of pending {what}, {pending}, has reached the per-workflow limit of {most}")
}

fn is_uuid(text: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == GROUPS.len()
        && groups.iter().zip(GROUPS).all(|(group, length)| {
            group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// What became of a signal to another workflow.
pub fn signaled(turn: &mut Turn<'_>, initiated_event_id: i64, outcome: &Outcome, namespace: &str) {
    let Some(signal) = turn.execution.external_signals.get(&initiated_event_id) else { return };
    let a = &signal.initiated;
    let attributes = match outcome {
        Outcome::Failed { cause } => Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(
            SignalExternalWorkflowExecutionFailedEventAttributes {
                cause: *cause,
                workflow_task_completed_event_id: 0,
                namespace: namespace.to_owned(),
                namespace_id: a.namespace_id.clone(),
                workflow_execution: a.workflow_execution.clone(),
                initiated_event_id,
                control: a.control.clone(),
            },
        ),
        _ => Attributes::ExternalWorkflowExecutionSignaledEventAttributes(
            ExternalWorkflowExecutionSignaledEventAttributes {
                initiated_event_id,
                namespace: namespace.to_owned(),
                namespace_id: a.namespace_id.clone(),
                workflow_execution: a.workflow_execution.clone(),
                control: a.control.clone(),
            },
        ),
    };
    turn.event(attributes);
    workflow_task::schedule_if_needed(turn);
}

/// What became of a cancel request to another workflow.
pub fn cancel_requested(turn: &mut Turn<'_>, initiated_event_id: i64, outcome: &Outcome, namespace: &str) {
    let Some(cancel) = turn.execution.external_cancels.get(&initiated_event_id) else { return };
    let a = &cancel.initiated;
    let attributes = match outcome {
        Outcome::Failed { cause } => Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(
            RequestCancelExternalWorkflowExecutionFailedEventAttributes {
                cause: *cause,
                workflow_task_completed_event_id: 0,
                namespace: namespace.to_owned(),
                namespace_id: a.namespace_id.clone(),
                workflow_execution: a.workflow_execution.clone(),
                initiated_event_id,
                // Unlike that of a signal, it is not handed on.
                control: String::new(),
            },
        ),
        _ => Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(
            ExternalWorkflowExecutionCancelRequestedEventAttributes {
                initiated_event_id,
                namespace: namespace.to_owned(),
                namespace_id: a.namespace_id.clone(),
                workflow_execution: a.workflow_execution.clone(),
            },
        ),
    };
    turn.event(attributes);
    workflow_task::schedule_if_needed(turn);
}
