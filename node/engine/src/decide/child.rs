//! Child workflows, as their parent sees them: asked for, started, closed.
//!
//! A child is started in two phases: it is created without a workflow task, the parent writes that it was
//! started, and only then does its code run. So its end never comes before its start.

#![allow(deprecated, reason = "workers still send these fields and expect to read them back")]

use everlog_proto::api::{
    command::v1::{Command, StartChildWorkflowExecutionCommandAttributes},
    common::v1::{RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::{
        ParentClosePolicy, StartChildWorkflowExecutionFailedCause, TaskQueueKind, WorkflowIdReusePolicy,
        WorkflowTaskFailedCause as Cause,
    },
    history::v1::{
        ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
        ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
        ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes,
        HistoryEvent, StartChildWorkflowExecutionFailedEventAttributes,
        StartChildWorkflowExecutionInitiatedEventAttributes, history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};
use prost::Message as _;

use crate::{
    decide::{
        BadCommand, activity, attributes, command, command::Task, external::target, retry, start,
        workflow_task,
    },
    execution::Child,
    fact::Record,
    message::{self, Message},
    schedule::cron,
    time::{self, duration, proto_duration, set_duration},
    turn::Turn,
};

const CAUSE: Cause = Cause::BadStartChildExecutionAttributes;

pub fn start(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &StartChildWorkflowExecutionCommandAttributes,
    task: Task<'_>,
    refused_attributes: Option<&str>,
) -> Result<(), BadCommand> {
    let (namespace, namespace_id) = target(turn, &a.namespace, task.namespaces, CAUSE)?;
    if let Some(why) = refused_attributes {
        return Err(BadCommand::new(Cause::BadSearchAttributes, why));
    }
    let retry_policy = checked(turn, a, &namespace)?;
    let limits = turn.stamp.limits;
    let pending = turn.execution.children.len();
    if pending >= limits.pending_children_max {
        let message = format!(
            "the number of pending child workflow executions, {pending}, has reached the per-workflow limit of {}",
            limits.pending_children_max
        );
        return Err(BadCommand::new(Cause::PendingChildWorkflowsLimitExceeded, message));
    }
    let execution_timeout = set_duration(a.workflow_execution_timeout.as_ref());
    let run_timeout = duration(a.workflow_run_timeout.as_ref());
    let run_timeout = match execution_timeout {
        Some(all) if run_timeout.is_zero() || run_timeout > all => all,
        _ => run_timeout,
    };
    let task_timeout = start::task_timeout(duration(a.workflow_task_timeout.as_ref()), run_timeout, limits);
    let initiated = StartChildWorkflowExecutionInitiatedEventAttributes {
        namespace,
        namespace_id,
        workflow_id: a.workflow_id.clone(),
        workflow_type: a.workflow_type.clone(),
        task_queue: Some(task_queue(turn, a)),
        input: a.input.clone(),
        workflow_execution_timeout: a.workflow_execution_timeout,
        workflow_run_timeout: Some(proto_duration(run_timeout)),
        workflow_task_timeout: Some(proto_duration(task_timeout)),
        parent_close_policy: match a.parent_close_policy() {
            ParentClosePolicy::Unspecified => ParentClosePolicy::Terminate,
            policy => policy,
        } as i32,
        control: a.control.clone(),
        workflow_task_completed_event_id: task.completed_event_id,
        workflow_id_reuse_policy: match a.workflow_id_reuse_policy() {
            WorkflowIdReusePolicy::Unspecified => WorkflowIdReusePolicy::AllowDuplicate,
            policy => policy,
        } as i32,
        retry_policy,
        cron_schedule: a.cron_schedule.clone(),
        header: a.header.clone(),
        memo: a.memo.clone(),
        search_attributes: a.search_attributes.clone(),
        inherit_build_id: a.inherit_build_id,
        priority: a.priority.clone(),
        ..Default::default()
    };
    let queue = initiated.task_queue.as_ref().map_or_else(String::new, |queue| queue.name.clone());
    let initiated_event_id = turn.full_event(
        turn.stamp.now,
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(initiated),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let is_elsewhere = queue != turn.execution.task_queue() && !task.namespaces.queues.contains(&queue);
    if is_elsewhere && turn.execution.versioning.is_versioned() {
        turn.record(Record::ChildElsewhere { initiated_event_id });
    }
    Ok(())
}

/// Whether the command will do; its retry policy, filled up. The first fault is the one that is reported.
fn checked(
    turn: &Turn<'_>,
    a: &StartChildWorkflowExecutionCommandAttributes,
    ns: &str,
) -> Result<Option<RetryPolicy>, BadCommand> {
    let limits = turn.stamp.limits;
    let most = limits.id_bytes_max;
    let id = &a.workflow_id;
    let kind = a.workflow_type.as_ref().map_or("", |kind| &kind.name);
    let bad = |message: String| Err(BadCommand::new(CAUSE, message));
    let on = "StartChildWorkflowExecutionCommand";
    if id.is_empty() {
        return bad(format!(
            "Required field WorkflowId is not set on {on}. WorkflowType={kind} Namespace={ns}"
        ));
    }
    if kind.is_empty() {
        return bad(format!(
            "Required field WorkflowType is not set on {on}. WorkflowId={id} Namespace={ns}"
        ));
    }
    if id.len() > most {
        return bad(format!(
            "WorkflowId on {on} exceeds length limit. WorkflowId={id} Length={} Limit={most} \
             WorkflowType={kind} Namespace={ns}",
            id.len()
        ));
    }
    if kind.len() > most {
        return bad(format!(
            "WorkflowType on {on} exceeds length limit. WorkflowId={id} WorkflowType={kind} Length={} \
             Limit={most} Namespace={ns}",
            kind.len()
        ));
    }
    for (name, timeout) in [
        ("WorkflowExecutionTimeout", &a.workflow_execution_timeout),
        ("WorkflowRunTimeout", &a.workflow_run_timeout),
        ("WorkflowTaskTimeout", &a.workflow_task_timeout),
    ] {
        if let Some(fault) = time::fault(timeout.as_ref()) {
            return bad(format!(
                "Invalid {name} on {on}: {fault}. WorkflowId={id} WorkflowType={kind} Namespace={ns}"
            ));
        }
    }
    let policy = match &a.retry_policy {
        Some(policy) => Some(checked_policy(turn, a, policy, ns)?),
        None => None,
    };
    if !a.cron_schedule.is_empty()
        && let Err(error) = cron::check(&a.cron_schedule)
    {
        return bad(format!(
            "invalid CronSchedule on {on}: {}. WorkflowId={id} WorkflowType={kind} Namespace={ns}",
            cron::refusal(&error)
        ));
    }
    if let Some(fault) = activity::priority_fault(a.priority.as_ref()) {
        return bad(fault.to_owned());
    }
    let queue = a.task_queue.as_ref().map_or("", |queue| &queue.name);
    if let Some(fault) = command::queue_fault(queue, limits) {
        return bad(format!(
            "invalid TaskQueue on {on}: {fault}. WorkflowId={id} WorkflowType={kind} Namespace={ns} TaskQueue={}",
            command::printed_queue(queue)
        ));
    }
    let what = "StartChildWorkflowExecutionCommandAttributes. Input";
    command::check_size(a.input.as_ref().map_or(0, |input| input.encoded_len()), limits, CAUSE, what)?;
    if a.memo.as_ref().map_or(0, |memo| memo.encoded_len()) > limits.memo_bytes_max {
        let message = "StartChildWorkflowExecutionCommandAttributes.Memo exceeds size limit.";
        return Err(BadCommand::too_large(CAUSE, message));
    }
    attributes::check_new(a.search_attributes.as_ref(), limits, CAUSE)?;
    Ok(policy)
}

fn checked_policy(
    turn: &Turn<'_>,
    a: &StartChildWorkflowExecutionCommandAttributes,
    policy: &RetryPolicy,
    namespace: &str,
) -> Result<RetryPolicy, BadCommand> {
    let policy = retry::with_defaults(Some(policy), turn.stamp.limits);
    let kind = a.workflow_type.as_ref().map_or("", |kind| &kind.name);
    retry::validate(&policy).map_err(|why| {
        let message = format!(
            "invalid WorkflowRetryPolicy on StartChildWorkflowExecutionCommand: {why}. WorkflowId={} \
             WorkflowType={kind} Namespace={namespace}",
            a.workflow_id
        );
        BadCommand::new(CAUSE, message)
    })?;
    Ok(policy)
}

fn task_queue(turn: &Turn<'_>, a: &StartChildWorkflowExecutionCommandAttributes) -> TaskQueue {
    let asked = a.task_queue.as_ref().map_or("", |queue| &queue.name);
    let name = if asked.is_empty() { turn.execution.task_queue() } else { asked };
    TaskQueue { name: name.to_owned(), kind: TaskQueueKind::Normal as i32, normal_name: String::new() }
}

/// The child is there. Returns the message that lets it go on.
pub fn started(turn: &mut Turn<'_>, initiated_event_id: i64, run_id: &str) -> Option<Box<Message>> {
    let child = turn.execution.children.get(&initiated_event_id)?.clone();
    let is_own = run_id == message::child_run_id(&turn.execution, initiated_event_id);
    if !child.is_started() && turn.execution.is_running() && is_own {
        write_started(turn, initiated_event_id, &child, run_id);
        workflow_task::schedule_if_needed(turn);
    }
    let child = turn.execution.children.get(&initiated_event_id)?;
    child.is_started().then(|| Box::new(message::release(&turn.execution, initiated_event_id, child)))
}

fn write_started(turn: &mut Turn<'_>, initiated_event_id: i64, child: &Child, run_id: &str) {
    let a = &child.initiated;
    turn.event(Attributes::ChildWorkflowExecutionStartedEventAttributes(
        ChildWorkflowExecutionStartedEventAttributes {
            namespace: a.namespace.clone(),
            namespace_id: a.namespace_id.clone(),
            initiated_event_id,
            workflow_execution: Some(WorkflowExecution {
                workflow_id: a.workflow_id.clone(),
                run_id: run_id.to_owned(),
            }),
            workflow_type: a.workflow_type.clone(),
            header: a.header.clone(),
        },
    ));
}

/// The child can never be started.
pub fn not_started(turn: &mut Turn<'_>, initiated_event_id: i64, cause: i32) {
    let Some(child) = turn.execution.children.get(&initiated_event_id) else { return };
    if child.is_started() || !turn.execution.is_running() {
        return;
    }
    let a = &child.initiated;
    let attributes = StartChildWorkflowExecutionFailedEventAttributes {
        namespace: a.namespace.clone(),
        namespace_id: a.namespace_id.clone(),
        workflow_id: a.workflow_id.clone(),
        workflow_type: a.workflow_type.clone(),
        cause,
        control: a.control.clone(),
        initiated_event_id,
        workflow_task_completed_event_id: 0,
    };
    turn.event(Attributes::StartChildWorkflowExecutionFailedEventAttributes(attributes));
    workflow_task::schedule_if_needed(turn);
}

pub const ALREADY_EXISTS: i32 = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists as i32;

/// Whether the run knows a child that asks, and wants it. One that was not written down yet is now.
pub fn is_known(turn: &mut Turn<'_>, initiated_event_id: i64, run_id: &str) -> bool {
    started(turn, initiated_event_id, run_id);
    turn.execution.children.get(&initiated_event_id).is_some_and(|child| {
        child.run_id == run_id
            && (turn.execution.is_running() || child.policy() == ParentClosePolicy::Abandon)
    })
}

/// A run of the child has closed and no other follows.
pub fn closed(
    turn: &mut Turn<'_>,
    initiated_event_id: i64,
    first_run_id: &str,
    last_run: &WorkflowExecution,
    event: &HistoryEvent,
) {
    let Some(child) = turn.execution.children.get(&initiated_event_id).cloned() else { return };
    let known = if child.is_started() {
        child.run_id.clone()
    } else {
        message::child_run_id(&turn.execution, initiated_event_id)
    };
    if !turn.execution.is_running() || known != first_run_id {
        return;
    }
    if !child.is_started() {
        write_started(turn, initiated_event_id, &child, first_run_id);
    }
    let started_event_id =
        turn.execution.children.get(&initiated_event_id).map_or(0, |child| child.started_event_id);
    let Some(attributes) = close_attributes(&child, initiated_event_id, started_event_id, last_run, event)
    else {
        return;
    };
    turn.event(attributes);
    workflow_task::schedule_if_needed(turn);
}

/// The child's last event as its parent writes it.
fn close_attributes(
    child: &Child,
    initiated_event_id: i64,
    started_event_id: i64,
    last_run: &WorkflowExecution,
    event: &HistoryEvent,
) -> Option<Attributes> {
    let (namespace, namespace_id) = (child.initiated.namespace.clone(), child.initiated.namespace_id.clone());
    let workflow_execution = Some(last_run.clone());
    let workflow_type: Option<WorkflowType> = child.initiated.workflow_type.clone();
    Some(match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(a) => {
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(
                ChildWorkflowExecutionCompletedEventAttributes {
                    result: a.result.clone(),
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                },
            )
        }
        Attributes::WorkflowExecutionFailedEventAttributes(a) => {
            Attributes::ChildWorkflowExecutionFailedEventAttributes(
                ChildWorkflowExecutionFailedEventAttributes {
                    failure: a.failure.clone(),
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                    retry_state: a.retry_state,
                },
            )
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(a) => {
            Attributes::ChildWorkflowExecutionCanceledEventAttributes(
                ChildWorkflowExecutionCanceledEventAttributes {
                    details: a.details.clone(),
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                },
            )
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(a) => {
            Attributes::ChildWorkflowExecutionTimedOutEventAttributes(
                ChildWorkflowExecutionTimedOutEventAttributes {
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                    retry_state: a.retry_state,
                },
            )
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => {
            Attributes::ChildWorkflowExecutionTerminatedEventAttributes(
                ChildWorkflowExecutionTerminatedEventAttributes {
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                },
            )
        }
        _ => return None,
    })
}
