//! A run that ends by beginning another: continue-as-new, the workflow's own retry policy, its cron schedule.
//!
//! The old run's last event and the new run's first are in one entry, so the chain never breaks.

use std::time::Duration;

use everlog_proto::api::{
    command::v1::{Command, ContinueAsNewWorkflowExecutionCommandAttributes},
    common::v1::{Memo, Payloads, SearchAttributes, WorkflowType},
    enums::v1::{ContinueAsNewInitiator, TaskQueueKind, WorkflowTaskFailedCause as Cause},
    failure::v1::Failure,
    history::v1::{
        WorkflowExecutionContinuedAsNewEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
    workflow::v1::{ResetPointInfo, ResetPoints},
};
use prost::Message;

use crate::{
    decide::{BadCommand, attributes, command, retry, start, terminate},
    execution::Execution,
    schedule::cron,
    time::{self, duration, proto_duration, set_duration},
    turn::Turn,
};

pub fn by_command(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &ContinueAsNewWorkflowExecutionCommandAttributes,
    completed_event_id: i64,
    refused_attributes: Option<&str>,
    has_queue: impl Fn(&str) -> bool,
) -> Result<(), BadCommand> {
    let next = validated(turn, a, refused_attributes)?;
    let new_run_id = turn.stamp.uuid();
    let backoff = next.backoff;
    let attributes = WorkflowExecutionContinuedAsNewEventAttributes {
        new_execution_run_id: new_run_id.clone(),
        workflow_type: Some(next.workflow_type.clone()),
        task_queue: Some(next.task_queue.clone()),
        input: a.input.clone(),
        workflow_run_timeout: Some(proto_duration(next.run_timeout)),
        workflow_task_timeout: Some(proto_duration(next.task_timeout)),
        workflow_task_completed_event_id: completed_event_id,
        backoff_start_interval: a.backoff_start_interval,
        initiator: a.initiator,
        #[allow(deprecated, reason = "the real server still writes it")]
        failure: a.failure.clone(),
        last_completion_result: a.last_completion_result.clone(),
        header: a.header.clone(),
        memo: a.memo.clone(),
        search_attributes: a.search_attributes.clone(),
        ..Default::default()
    };
    let retry_policy =
        a.retry_policy.as_ref().map(|policy| retry::with_defaults(Some(policy), turn.stamp.limits));
    let mut started = WorkflowExecutionStartedEventAttributes {
        workflow_type: Some(next.workflow_type),
        task_queue: Some(next.task_queue),
        input: a.input.clone(),
        workflow_run_timeout: Some(proto_duration(next.run_timeout)),
        workflow_task_timeout: Some(proto_duration(next.task_timeout)),
        initiator: initiator(a) as i32,
        continued_failure: a.failure.clone(),
        last_completion_result: a.last_completion_result.clone(),
        // What the command does not name the successor does not have.
        retry_policy,
        attempt: 1,
        header: a.header.clone(),
        memo: a.memo.clone(),
        search_attributes: a.search_attributes.clone(),
        cron_schedule: a.cron_schedule.clone(),
        ..inherited(turn)
    };
    put_versions(turn, a, has_queue, &mut started);
    turn.full_event(
        turn.stamp.now,
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(attributes),
        command.user_metadata.clone(),
        Vec::new(),
    );
    begin(turn, new_run_id, started, backoff);
    terminate::closed(turn);
    Ok(())
}

/// The successor stays on the version of this run if that has the successor's queue.
fn put_versions(
    turn: &Turn<'_>,
    a: &ContinueAsNewWorkflowExecutionCommandAttributes,
    has_queue: impl Fn(&str) -> bool,
    started: &mut WorkflowExecutionStartedEventAttributes,
) {
    let queue = started.task_queue.as_ref().map_or("", |queue| &queue.name);
    if queue != turn.execution.task_queue() && !has_queue(queue) {
        return;
    }
    let versioning = &turn.execution.versioning;
    let moves_on = a.initial_versioning_behavior != 0;
    let inherited = versioning.inherited();
    let inherited = if moves_on { inherited.moving_on(versioning.revision) } else { inherited };
    inherited.put(started);
    if let Some(info) = started.inherited_auto_upgrade_info.as_mut().filter(|_| moves_on) {
        info.continue_as_new_initial_versioning_behavior = a.initial_versioning_behavior;
    }
}

/// The run failed or timed out and its policy allows another attempt. Returns the new run's id; the
/// caller writes the event that closes the old run.
pub fn retry(turn: &mut Turn<'_>, after: Duration, failure: Failure) -> String {
    let new_run_id = turn.stamp.uuid();
    let old = &turn.execution;
    let mut started = WorkflowExecutionStartedEventAttributes {
        initiator: ContinueAsNewInitiator::Retry as i32,
        continued_failure: Some(failure),
        last_completion_result: old.start.last_completion_result.clone(),
        attempt: old.start.attempt + 1,
        ..same_again(turn)
    };
    old.versioning.inherited_by_retry(&old.start).put(&mut started);
    begin(turn, new_run_id.clone(), started, after);
    new_run_id
}

/// The run ends, and its cron schedule says when the next one begins. Returns that one's id, or nothing if there
/// is no schedule; the caller writes the event that closes the old run.
pub fn cron(turn: &mut Turn<'_>, result: Option<Payloads>, failure: Option<Failure>) -> String {
    let old = &turn.execution;
    let Some(backoff) = cron::backoff(&old.start.cron_schedule, old.execution_time, turn.stamp.now) else {
        return String::new();
    };
    let new_run_id = turn.stamp.uuid();
    let failed = failure.is_some();
    let started = WorkflowExecutionStartedEventAttributes {
        initiator: ContinueAsNewInitiator::CronSchedule as i32,
        continued_failure: failure,
        last_completion_result: if failed { old.start.last_completion_result.clone() } else { result },
        attempt: 1,
        ..same_again(turn)
    };
    begin(turn, new_run_id.clone(), started, backoff);
    new_run_id
}

/// What a run has that does the same as the one before it.
fn same_again(turn: &Turn<'_>) -> WorkflowExecutionStartedEventAttributes {
    let old = &turn.execution;
    WorkflowExecutionStartedEventAttributes {
        workflow_type: old.start.workflow_type.clone(),
        task_queue: old.start.task_queue.clone(),
        input: old.start.input.clone(),
        workflow_run_timeout: old.start.workflow_run_timeout,
        workflow_task_timeout: old.start.workflow_task_timeout,
        retry_policy: old.start.retry_policy.clone(),
        header: old.start.header.clone(),
        memo: memo(old),
        search_attributes: search_attributes(old),
        cron_schedule: old.start.cron_schedule.clone(),
        ..inherited(turn)
    }
}

fn initiator(a: &ContinueAsNewWorkflowExecutionCommandAttributes) -> ContinueAsNewInitiator {
    match a.initiator() {
        ContinueAsNewInitiator::Unspecified => ContinueAsNewInitiator::Workflow,
        initiator => initiator,
    }
}

/// What every run of a chain has from the one before it.
fn inherited(turn: &Turn<'_>) -> WorkflowExecutionStartedEventAttributes {
    let old = &turn.execution;
    WorkflowExecutionStartedEventAttributes {
        continued_execution_run_id: old.run_id().to_owned(),
        first_execution_run_id: old.start.first_execution_run_id.clone(),
        workflow_execution_timeout: old.start.workflow_execution_timeout,
        workflow_execution_expiration_time: old.start.workflow_execution_expiration_time,
        completion_callbacks: old.callbacks.iter().map(|callback| callback.callback.0.clone()).collect(),
        parent_workflow_namespace: old.start.parent_workflow_namespace.clone(),
        parent_workflow_namespace_id: old.start.parent_workflow_namespace_id.clone(),
        parent_workflow_execution: old.start.parent_workflow_execution.clone(),
        parent_initiated_event_id: old.start.parent_initiated_event_id,
        parent_initiated_event_version: old.start.parent_initiated_event_version,
        root_workflow_execution: old.start.root_workflow_execution.clone(),
        priority: old.start.priority.clone(),
        prev_auto_reset_points: Some(reset_points(turn)),
        workflow_id: old.workflow_id().to_owned(),
        ..Default::default()
    }
}

/// The points of earlier runs go when their histories do.
fn reset_points(turn: &Turn<'_>) -> ResetPoints {
    let expire_time = Some((turn.stamp.now + turn.stamp.limits.retention).proto());
    let points = turn.execution.reset_points.iter().map(|point| match point.expire_time {
        Some(_) => point.0.clone(),
        None => ResetPointInfo { expire_time, ..point.0.clone() },
    });
    ResetPoints { points: points.collect() }
}

fn begin(
    turn: &mut Turn<'_>,
    new_run_id: String,
    mut started: WorkflowExecutionStartedEventAttributes,
    backoff: Duration,
) {
    started.original_execution_run_id = new_run_id.clone();
    started.first_workflow_task_backoff = (!backoff.is_zero()).then(|| proto_duration(backoff));
    let create_request_id = turn.stamp.uuid();
    let metadata = turn.execution.user_metadata.as_ref().map(|metadata| metadata.0.clone());
    let key = turn.execution.key().workflow.run(&new_run_id);
    let run = start::begin(turn.stamp, key, started, create_request_id, metadata, Vec::new());
    turn.successor = Some(Box::new(run));
}

struct NextRun {
    workflow_type: WorkflowType,
    task_queue: TaskQueue,
    run_timeout: Duration,
    task_timeout: Duration,
    backoff: Duration,
}

fn validated(
    turn: &Turn<'_>,
    a: &ContinueAsNewWorkflowExecutionCommandAttributes,
    refused_attributes: Option<&str>,
) -> Result<NextRun, BadCommand> {
    const ON: &str = "ContinueAsNewWorkflowExecutionCommand";
    let limits = turn.stamp.limits;
    let old = &turn.execution;
    let bad = |message: String| BadCommand::new(Cause::BadContinueAsNewAttributes, message);
    if let Some(why) = refused_attributes {
        return Err(BadCommand::new(Cause::BadSearchAttributes, why));
    }
    let asked = a.workflow_type.as_ref().map_or("", |kind| &kind.name);
    let name = if asked.is_empty() { old.workflow_type() } else { asked };
    if name.len() > limits.id_bytes_max {
        return Err(bad(command::too_long("WorkflowType", "ContinueAsNewWorkflowExecution", name, limits)));
    }
    let asked = a.task_queue.as_ref().map_or("", |queue| &queue.name);
    let queue = if asked.is_empty() { old.task_queue() } else { asked };
    let of = format!("WorkflowType={name} TaskQueue={}", command::printed_queue(queue));
    if let Some(fault) = command::queue_fault(queue, limits) {
        return Err(bad(format!("error validating {ON} TaskQueue: {fault}. {of}")));
    }
    for (field, timeout) in [
        ("WorkflowRunTimeout", &a.workflow_run_timeout),
        ("WorkflowTaskTimeout", &a.workflow_task_timeout),
        ("BackoffStartInterval", &a.backoff_start_interval),
    ] {
        if let Some(fault) = time::fault(timeout.as_ref()) {
            return Err(bad(format!("Invalid {field} on {ON}: {fault}. {of}")));
        }
    }
    if a.input.as_ref().map_or(0, Message::encoded_len) > limits.blob_bytes_max {
        return Err(BadCommand::too_large(
            Cause::BadContinueAsNewAttributes,
            "ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit.",
        ));
    }
    if a.memo.as_ref().map_or(0, Message::encoded_len) > limits.memo_bytes_max {
        return Err(BadCommand::too_large(
            Cause::BadContinueAsNewAttributes,
            "ContinueAsNewWorkflowExecutionCommandAttributes. Memo exceeds size limit.",
        ));
    }
    attributes::check_new(a.search_attributes.as_ref(), limits, Cause::BadContinueAsNewAttributes)?;
    if let Some(policy) = &a.retry_policy {
        let policy = retry::with_defaults(Some(policy), limits);
        retry::validate(&policy)
            .map_err(|why| bad(format!("invalid WorkflowRetryPolicy on {ON}: {why}. {of}")))?;
    }
    let execution_timeout = set_duration(old.start.workflow_execution_timeout.as_ref());
    let run_timeout = set_duration(a.workflow_run_timeout.as_ref())
        .unwrap_or_else(|| duration(old.start.workflow_run_timeout.as_ref()));
    let run_timeout = execution_timeout
        .map_or(run_timeout, |all| if run_timeout.is_zero() { all } else { run_timeout.min(all) });
    let task_timeout = set_duration(a.workflow_task_timeout.as_ref())
        .unwrap_or_else(|| duration(old.start.workflow_task_timeout.as_ref()));
    Ok(NextRun {
        workflow_type: WorkflowType { name: name.to_owned() },
        task_queue: TaskQueue {
            name: queue.to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        },
        run_timeout,
        task_timeout: start::task_timeout(task_timeout, run_timeout, limits),
        backoff: backoff(turn, a),
    })
}

/// Runs of a chain follow each other at a minimum distance, so that a tight loop cannot flood the log.
fn backoff(turn: &Turn<'_>, a: &ContinueAsNewWorkflowExecutionCommandAttributes) -> Duration {
    let asked = duration(a.backoff_start_interval.as_ref());
    let lifetime = turn.stamp.now.since(turn.execution.execution_time);
    let missing = turn.stamp.limits.continue_as_new_interval_min.saturating_sub(lifetime);
    asked.max(missing)
}

pub fn memo(execution: &Execution) -> Option<Memo> {
    let fields = execution.memo.iter().map(|(name, payload)| (name.clone(), payload.0.clone()));
    (!execution.memo.is_empty()).then(|| Memo { fields: fields.collect() })
}

pub fn search_attributes(execution: &Execution) -> Option<SearchAttributes> {
    let fields = execution.search_attributes.iter().map(|(name, payload)| (name.clone(), payload.0.clone()));
    (!execution.search_attributes.is_empty()).then(|| SearchAttributes { indexed_fields: fields.collect() })
}
