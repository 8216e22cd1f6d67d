//! Workflow tasks, from the answer of a poll to the report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::command::v1::Command as WireCommand;
use everlog_proto::api::common::v1::{Payloads, WorkflowExecution};
use everlog_proto::api::enums::v1::{QueryResultType, TaskQueueKind, WorkflowTaskFailedCause};
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::query::v1::WorkflowQueryResult;
use everlog_proto::api::sdk::v1::WorkflowTaskCompletedMetadata;
use everlog_proto::api::taskqueue::v1::{StickyExecutionAttributes, TaskQueue};
use everlog_proto::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, PollWorkflowTaskQueueResponse, RespondQueryTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::activities;
use super::lane::{Done, Reply, WorkflowJob};
use super::locals::Locals;
use super::shared::Shared;
use crate::client::{Plan, rpc};
use crate::error::ClientError;
use crate::failure;
use crate::replay::TaskError;
use crate::replay::command::Command;
use crate::replay::run::Identity;
use crate::time::to_wire;
use crate::{SDK_NAME, SDK_VERSION};

/// How long a report is tried, and one attempt of it.
const REPORT_TOTAL: Duration = Duration::from_secs(60);
const REPORT_ATTEMPT: Duration = Duration::from_secs(5);
/// The part of a task's timeout after which a task with local activities asks for more time.
const HEARTBEAT_PART: f64 = 0.8;
/// So many activities are begun at once with the report that schedules them.
const EAGER_ACTIVITIES_MAX: usize = 3;

/// Handles a task, and those that the cluster hands out with the answers to its reports.
pub(super) async fn handle(
    shared: Arc<Shared>,
    task: PollWorkflowTaskQueueResponse,
    slot: OwnedSemaphorePermit,
) {
    let mut locals = Locals::new(&shared);
    let mut next = Some(task);
    while let Some(task) = next.take() {
        next = handle_one(&shared, &mut locals, task).await;
    }
    drop(slot);
}

async fn handle_one(
    shared: &Arc<Shared>,
    locals: &mut Locals,
    mut task: PollWorkflowTaskQueueResponse,
) -> Option<PollWorkflowTaskQueueResponse> {
    let received = Instant::now();
    let execution = task.workflow_execution.take().unwrap_or_default();
    let run_id = execution.run_id.clone();
    let job = match to_job(shared, &execution, &mut task).await {
        Ok(job) => job,
        Err(error) => {
            // The cluster will offer the task again.
            tracing::warn!(workflow = execution.workflow_id, %error, "cannot read the history of a task");
            return None;
        }
    };
    let mut reply = shared.lanes.advance(Box::new(job)).await;
    loop {
        reply = match reply {
            Reply::NeedHistory(mut job) => match read_history(shared, &execution, Vec::new()).await {
                Ok(events) => {
                    job.events = until(events, job.started_id);
                    shared.lanes.advance(job).await
                }
                Err(error) => {
                    tracing::warn!(workflow = execution.workflow_id, %error, "cannot read a history");
                    return None;
                }
            },
            Reply::Working { locals: tasks, task_timeout } => {
                locals.begin(&execution, tasks);
                let heartbeat = received + task_timeout.mul_f64(HEARTBEAT_PART);
                tokio::select! {
                    done = locals.next() => shared.lanes.local_done(&run_id, done).await,
                    () = tokio::time::sleep_until(heartbeat) => shared.lanes.flush(&run_id).await,
                }
            }
            Reply::Done(done) => {
                if !done.heartbeat {
                    locals.clear();
                }
                return complete(shared, &task, &execution, done).await;
            }
            Reply::Answer(answer) => {
                answer_query(shared, &task, answer).await;
                return None;
            }
            Reply::Failed(error) => {
                locals.clear();
                shared.lanes.evict(&run_id);
                if task.query.is_some() {
                    answer_query(shared, &task, Err(error.to_string())).await;
                } else {
                    fail(shared, &task, &execution, &error).await;
                }
                return None;
            }
        }
    }
}

async fn to_job(
    shared: &Shared,
    execution: &WorkflowExecution,
    task: &mut PollWorkflowTaskQueueResponse,
) -> Result<WorkflowJob, ClientError> {
    let mut events = task.history.take().unwrap_or_default().events;
    if !task.next_page_token.is_empty() {
        let token = std::mem::take(&mut task.next_page_token);
        events.extend(read_history(shared, execution, token).await?);
    }
    let only_query = task.query.clone();
    let started_id = if only_query.is_some() { 0 } else { task.started_event_id };
    Ok(WorkflowJob {
        identity: Identity {
            namespace: shared.client.namespace().to_owned(),
            workflow_id: execution.workflow_id.clone(),
            run_id: execution.run_id.clone(),
        },
        events: until(events, started_id),
        previous_started_id: task.previous_started_event_id,
        started_id,
        queries: std::mem::take(&mut task.queries).into_iter().collect(),
        only_query,
    })
}

/// Events that came after the task was handed out belong to the next one.
fn until(mut events: Vec<HistoryEvent>, started_id: i64) -> Vec<HistoryEvent> {
    if started_id > 0 {
        events.retain(|event| event.event_id <= started_id);
    }
    events
}

async fn read_history(
    shared: &Shared,
    execution: &WorkflowExecution,
    mut next_page_token: Vec<u8>,
) -> Result<Vec<HistoryEvent>, ClientError> {
    let mut events = Vec::new();
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: shared.client.namespace().to_owned(),
            execution: Some(execution.clone()),
            next_page_token,
            ..Default::default()
        };
        let response = rpc!(shared.client.pool, Plan::quick(), get_workflow_execution_history, request)?;
        events.extend(response.history.unwrap_or_default().events);
        next_page_token = response.next_page_token;
        if next_page_token.is_empty() {
            return Ok(events);
        }
    }
}

async fn complete(
    shared: &Arc<Shared>,
    task: &PollWorkflowTaskQueueResponse,
    execution: &WorkflowExecution,
    done: Done,
) -> Option<PollWorkflowTaskQueueResponse> {
    let stays = !done.closed && !shared.is_stopping();
    let (commands, mut eager_slots) = match to_wire_commands(shared, done.commands) {
        Ok(commands) => commands,
        Err(error) => {
            shared.lanes.evict(&execution.run_id);
            fail(shared, task, execution, &error).await;
            return None;
        }
    };
    let request = RespondWorkflowTaskCompletedRequest {
        task_token: task.task_token.clone(),
        commands,
        identity: shared.client.pool.identity.clone(),
        sticky_attributes: shared.sticky_queue.clone().filter(|_| stays).map(|name| to_sticky(shared, name)),
        return_new_workflow_task: !shared.is_stopping() || done.heartbeat,
        force_create_new_workflow_task: done.heartbeat,
        query_results: to_results(done.answers),
        namespace: shared.client.namespace().to_owned(),
        resource_id: format!("workflow:{}", execution.workflow_id),
        sdk_metadata: done.first_of_sdk.then(|| WorkflowTaskCompletedMetadata {
            sdk_name: SDK_NAME.into(),
            sdk_version: SDK_VERSION.into(),
            ..Default::default()
        }),
        worker_instance_key: shared.instance.clone(),
        ..Default::default()
    };
    let plan = Plan::slow(REPORT_ATTEMPT, REPORT_TOTAL);
    match rpc!(shared.client.pool, plan, respond_workflow_task_completed, request) {
        Ok(response) => {
            for activity in response.activity_tasks {
                if let Some(slot) = eager_slots.pop() {
                    shared.spawn(activities::handle(Arc::clone(shared), activity, slot));
                }
            }
            response.workflow_task.filter(|task| !task.task_token.is_empty())
        }
        Err(error) => {
            // The run has produced commands that the history will not show; a replay puts it right.
            shared.lanes.evict(&execution.run_id);
            if error.is_too_large() {
                fail(shared, task, execution, &TaskError::TooLarge(error.to_string())).await;
            }
            tracing::debug!(workflow = execution.workflow_id, %error, "a completion was not accepted");
            None
        }
    }
}

/// The commands, and the slots of the activities among them that this worker wants to begin at once.
fn to_wire_commands(
    shared: &Shared,
    commands: Vec<Command>,
) -> Result<(Vec<WireCommand>, Vec<OwnedSemaphorePermit>), TaskError> {
    let mut slots = Vec::new();
    let mut wire = Vec::with_capacity(commands.len());
    for command in commands {
        let mut eager = false;
        if let Command::ScheduleActivity(schedule) = &command
            && slots.len() < EAGER_ACTIVITIES_MAX
            && !shared.is_stopping()
            && schedule.own_queue == shared.queue
            && shared.activities.contains_key(schedule.name.as_str())
            && let Ok(slot) = Arc::clone(&shared.activity_slots).try_acquire_owned()
        {
            slots.push(slot);
            eager = true;
        }
        wire.push(command.into_wire(eager)?);
    }
    Ok((wire, slots))
}

fn to_sticky(shared: &Shared, name: String) -> StickyExecutionAttributes {
    StickyExecutionAttributes {
        worker_task_queue: Some(TaskQueue {
            name,
            kind: TaskQueueKind::Sticky as i32,
            normal_name: shared.queue.clone(),
        }),
        schedule_to_start_timeout: Some(to_wire(shared.sticky_timeout)),
    }
}

fn to_results(answers: Vec<(String, Result<Payloads, String>)>) -> HashMap<String, WorkflowQueryResult> {
    let to_result = |answer| match answer {
        Ok(answer) => WorkflowQueryResult {
            result_type: QueryResultType::Answered as i32,
            answer: Some(answer),
            ..Default::default()
        },
        Err(error_message) => WorkflowQueryResult {
            result_type: QueryResultType::Failed as i32,
            failure: Some(failure::plain(&error_message, "QueryFailed", false)),
            error_message,
            ..Default::default()
        },
    };
    answers.into_iter().map(|(id, answer)| (id, to_result(answer))).collect()
}

async fn answer_query(
    shared: &Shared,
    task: &PollWorkflowTaskQueueResponse,
    answer: Result<Payloads, String>,
) {
    let mut request = RespondQueryTaskCompletedRequest {
        task_token: task.task_token.clone(),
        namespace: shared.client.namespace().to_owned(),
        ..Default::default()
    };
    match answer {
        Ok(answer) => {
            request.completed_type = QueryResultType::Answered as i32;
            request.query_result = Some(answer);
        }
        Err(message) => {
            request.completed_type = QueryResultType::Failed as i32;
            request.failure = Some(failure::plain(&message, "QueryFailed", false));
            request.error_message = message;
        }
    }
    if let Err(error) = rpc!(shared.client.pool, Plan::quick(), respond_query_task_completed, request) {
        tracing::debug!(%error, "the answer to a query was not accepted");
    }
}

/// Reports a task as failed. Only the first attempt is reported; later ones time out, so that the
/// cluster spaces the attempts of a workflow that cannot go on.
async fn fail(
    shared: &Shared,
    task: &PollWorkflowTaskQueueResponse,
    execution: &WorkflowExecution,
    error: &TaskError,
) {
    let workflow = &execution.workflow_id;
    if task.attempt > 1 {
        tracing::warn!(workflow, attempt = task.attempt, %error, "a workflow task failed again");
        return;
    }
    tracing::warn!(workflow, run = execution.run_id, %error, "a workflow task failed");
    let (cause, kind) = match error {
        TaskError::Divergence(_) => (WorkflowTaskFailedCause::NonDeterministicError, "NonDeterminism"),
        TaskError::Panicked(_) => (WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure, failure::PANIC),
        TaskError::TooLarge(_) => (WorkflowTaskFailedCause::GrpcMessageTooLarge, "TooLarge"),
        _ => (WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure, "WorkflowTask"),
    };
    let request = RespondWorkflowTaskFailedRequest {
        task_token: task.task_token.clone(),
        cause: cause as i32,
        failure: Some(failure::plain(error.to_string(), kind, true)),
        identity: shared.client.pool.identity.clone(),
        namespace: shared.client.namespace().to_owned(),
        resource_id: format!("workflow:{workflow}"),
        ..Default::default()
    };
    if let Err(error) = rpc!(shared.client.pool, Plan::quick(), respond_workflow_task_failed, request) {
        tracing::debug!(workflow, %error, "the failure of a task was not accepted");
    }
}
