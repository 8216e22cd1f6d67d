//! Several operations in one call. The only ones that go together are a start and an update.

use everlog_engine::{key::WorkflowKey, reject::Reject, reply::UpdateReply, request::Request};
use everlog_proto::api::workflowservice::v1::{
    ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse, UpdateWorkflowExecutionRequest,
    execute_multi_operation_request::{Operation, operation::Operation as Asked},
    execute_multi_operation_response::{Response, response::Response as Answered},
};
use tonic::Status;
use uuid::Uuid;

use super::{
    backend::CallError,
    call::{Answer, Scope, encode},
    start::{prepare_start, start_link},
    status::{self, Operation as Done},
    update::{self, Patience, stage_of},
    workflow::unexpected,
};
use crate::route::{Failure, Repeat, to_home};

pub(super) async fn execute(mut scope: Scope, request: ExecuteMultiOperationRequest) -> Answer {
    let (mut start, mut update) = parts(&request.operations)?;
    let started = prepare(&scope, &mut start);
    let updated = prepare_update(&scope, &start, started.is_ok(), &mut update);
    if started.is_err() || updated.is_err() {
        let of = |prepared: Result<(), Status>| prepared.err().map_or(Done::Aborted, Done::Refused);
        return Err(status::operations([of(started), of(updated)]));
    }
    if start.request_id.is_empty() {
        start.request_id = Uuid::new_v4().to_string();
    }
    // Named before anybody else sees it, so that this node may repeat it.
    scope.call.rewrite(&ExecuteMultiOperationRequest {
        operations: vec![
            Operation { operation: Some(Asked::StartWorkflow(start.clone())) },
            Operation { operation: Some(Asked::UpdateWorkflow(update.clone())) },
        ],
        ..request
    });
    let key = WorkflowKey::new(scope.namespace_id(), &start.workflow_id);
    let (scope, key, start, update) = (&scope, &key, &start, &update);
    to_home(&scope.call, scope.namespace_id(), &start.workflow_id, Repeat::Safe, |shard| async move {
        let reply = match ask(scope, shard, key, start, update).await {
            // The workflow ended while the update waited: another one may be started for it.
            Err(error) if is_aborted(&error) => match ask(scope, shard, key, start, update).await {
                Err(error) if is_aborted(&error) => return Err(aborted_again().into()),
                answer => answer?,
            },
            answer => answer?,
        };
        Ok(encode(&response(scope, key, update, reply).await?))
    })
    .await
}

fn parts(
    operations: &[Operation],
) -> Result<(StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest), Status> {
    let asked: Vec<_> = operations.iter().map(|operation| operation.operation.as_ref()).collect();
    match asked.as_slice() {
        [Some(Asked::StartWorkflow(start)), Some(Asked::UpdateWorkflow(update))] => {
            Ok((start.clone(), update.clone()))
        }
        _ => Err(Status::invalid_argument("Operations have to be exactly [Start, Update].")),
    }
}

fn prepare(scope: &Scope, start: &mut StartWorkflowExecutionRequest) -> Result<(), Status> {
    check_namespace(scope, &start.namespace)?;
    prepare_start(scope, start)?;
    if !start.cron_schedule.is_empty() {
        return Err(Status::invalid_argument("CronSchedule is not allowed."));
    }
    if start.request_eager_execution {
        return Err(Status::invalid_argument("RequestEagerExecution is not supported."));
    }
    if start.workflow_start_delay.is_some() {
        return Err(Status::invalid_argument("WorkflowStartDelay is not supported."));
    }
    Ok(())
}

fn prepare_update(
    scope: &Scope,
    start: &StartWorkflowExecutionRequest,
    is_start_sound: bool,
    update: &mut UpdateWorkflowExecutionRequest,
) -> Result<(), Status> {
    check_namespace(scope, &update.namespace)?;
    update::prepare(scope, update)?;
    if !update.first_execution_run_id.is_empty() {
        return Err(Status::invalid_argument("FirstExecutionRunId is not allowed."));
    }
    let execution = update.workflow_execution.clone().unwrap_or_default();
    if !execution.run_id.is_empty() {
        return Err(Status::invalid_argument("RunId is not allowed."));
    }
    if is_start_sound && execution.workflow_id != start.workflow_id {
        return Err(Status::invalid_argument("WorkflowId is not consistent with previous operation(s)."));
    }
    Ok(())
}

fn check_namespace(scope: &Scope, name: &str) -> Result<(), Status> {
    if name != scope.namespace.name {
        return Err(Status::invalid_argument("Operation namespace did not match request's namespace."));
    }
    Ok(())
}

async fn ask(
    scope: &Scope,
    shard: u64,
    key: &WorkflowKey,
    start: &StartWorkflowExecutionRequest,
    update: &UpdateWorkflowExecutionRequest,
) -> Result<Box<UpdateReply>, CallError> {
    let patience = Patience::of(scope);
    let asked = Request::UpdateWithStart {
        start: Box::new(start.clone()),
        update: Box::new(update.clone()),
        timeout_ms: patience.timeout_ms(),
    };
    patience.ask(scope, shard, key, asked, stage_of(update)).await
}

/// Whether a workflow that was there before has ended without having accepted the update.
fn is_aborted(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Reject(Reject::UpdateRefused { reject, started: false })
            if **reject == Reject::UpdateAborted
    )
}

/// It happened twice in a row. The caller may try again.
fn aborted_again() -> Status {
    let message = status::of_reject(Reject::UpdateAborted).message().to_owned();
    status::operations([Done::Aborted, Done::Refused(Status::aborted(message))])
}

async fn response(
    scope: &Scope,
    key: &WorkflowKey,
    update: &UpdateWorkflowExecutionRequest,
    mut reply: Box<UpdateReply>,
) -> Result<ExecuteMultiOperationResponse, Failure> {
    let started = reply.started.take().ok_or_else(|| unexpected("update with start"))?;
    let started = StartWorkflowExecutionResponse {
        link: reply.is_linked.then(|| start_link(scope, &key.workflow_id, &started)),
        run_id: started.run_id,
        first_execution_run_id: started.first_run_id,
        started: started.started,
        status: started.status as i32,
        eager_workflow_task: None,
    };
    let updated = update::response(scope, key, update, reply).await?;
    let of = |response| Response { response: Some(response) };
    Ok(ExecuteMultiOperationResponse {
        responses: vec![of(Answered::StartWorkflow(started)), of(Answered::UpdateWorkflow(updated))],
    })
}
