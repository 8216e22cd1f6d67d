//! Operations on many workflows at once: started, stopped, looked at. What is kept of them is part of the
//! cluster's state.

use everlog_engine::{
    cluster::{Request, batches},
    codec::Proto,
    visibility,
};
use everlog_proto::api::{
    batch::v1::{
        BatchOperationReset, batch_operation_reset_activities, batch_operation_unpause_activities,
        batch_operation_update_activity_options,
    },
    enums::v1::{ExecutionType, ResetType},
    workflowservice::v1::{
        DescribeBatchOperationRequest, ListBatchOperationsRequest, ListBatchOperationsResponse,
        StartBatchOperationRequest, StartBatchOperationResponse, StopBatchOperationRequest,
        StopBatchOperationResponse, start_batch_operation_request::Operation,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    reset, validate,
};
use crate::route::Failure;

pub(super) async fn start(scope: Scope, request: StartBatchOperationRequest) -> Answer {
    check(&request)?;
    check_targets(&request)?;
    check_operation(&request)?;
    if !request.visibility_query.is_empty() {
        // Whether it makes sense is seen when the batch is carried out.
        visibility::check_batch(&request.visibility_query)
            .map_err(|error| invalid(format!("invalid visibility query: {}", error.reason())))?;
    }
    if request.job_id.len() > scope.limits.id_bytes_max {
        // There it is the id of a workflow.
        return Err(invalid("WorkflowId exceeds length limit."));
    }
    let start = Request::StartBatch {
        namespace_id: scope.namespace_id().to_owned(),
        request: Proto(request),
        running_max: scope.call.shared.api(&scope.namespace.name).batches_max,
    };
    change(&scope, start).await?;
    Ok(encode(&StartBatchOperationResponse {}))
}

pub(super) async fn stop(scope: Scope, request: StopBatchOperationRequest) -> Answer {
    job_id(&request.job_id)?;
    if request.reason.is_empty() {
        return Err(invalid("Reason is not set on request."));
    }
    let stop = Request::StopBatch { namespace_id: scope.namespace_id().to_owned(), job_id: request.job_id };
    change(&scope, stop).await?;
    Ok(encode(&StopBatchOperationResponse {}))
}

pub(super) async fn describe(scope: Scope, request: DescribeBatchOperationRequest) -> Answer {
    job_id(&request.job_id)?;
    let cluster = now(&scope).await?;
    let batch = batches::find(&cluster, scope.namespace_id(), &request.job_id);
    let batch = batch.map_err(|reject| Failure::from(reject).into_status())?;
    Ok(encode(&batch.description()))
}

pub(super) async fn list(scope: Scope, request: ListBatchOperationsRequest) -> Answer {
    let cluster = now(&scope).await?;
    let first = match request.next_page_token.as_slice() {
        [] => 0,
        token => {
            token.try_into().map(u64::from_be_bytes).map_err(|_| invalid("Invalid NextPageToken."))? as usize
        }
    };
    let all = batches::listed(&cluster, scope.namespace_id());
    let most =
        usize::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(batches::BATCHES_MAX);
    let operation_info: Vec<_> = all.iter().skip(first).take(most).map(|batch| batch.info()).collect();
    let next = first + operation_info.len();
    let next_page_token =
        if operation_info.len() == most { (next as u64).to_be_bytes().to_vec() } else { Vec::new() };
    Ok(encode(&ListBatchOperationsResponse { operation_info, next_page_token }))
}

async fn change(scope: &Scope, request: Request) -> Result<(), Status> {
    let changed = scope.call.shared.backend.change_cluster(request).await;
    changed.map(|_| ()).map_err(|error| Failure::from(error).into_status())
}

/// The cluster's state with all that was acknowledged before.
async fn now(scope: &Scope) -> Result<std::sync::Arc<everlog_engine::cluster::Cluster>, Status> {
    let backend = &scope.call.shared.backend;
    backend.refresh_cluster().await.map_err(|error| Failure::from(error).into_status())?;
    Ok(backend.cluster_state())
}

fn job_id(id: &str) -> Result<(), Status> {
    if id.is_empty() { Err(invalid("JobId is not set on request.")) } else { Ok(()) }
}

fn check(request: &StartBatchOperationRequest) -> Result<(), Status> {
    job_id(&request.job_id)?;
    #[allow(deprecated, reason = "clients name workflows so")]
    let ways = [
        !request.visibility_query.is_empty(),
        !request.executions.is_empty(),
        !request.target_executions.is_empty(),
    ];
    let named = ways.into_iter().filter(|way| *way).count();
    if named == 0 || request.reason.is_empty() || request.operation.is_none() {
        return Err(invalid(
            "must provide required parameters: BatchType,Reason,Namespace, AND one of (Query OR Executions OR \
             TargetExecutions)",
        ));
    }
    if named > 1 {
        return Err(invalid("visibility query, executions, and target executions are mutually exclusive"));
    }
    Ok(())
}

/// Operations on workflows are not for activities that run on their own.
fn check_targets(request: &StartBatchOperationRequest) -> Result<(), Status> {
    let kind = kind_of(request.operation.as_ref());
    for (place, target) in request.target_executions.iter().enumerate() {
        if target.r#type() != ExecutionType::Workflow {
            let found = match target.r#type() {
                ExecutionType::Activity => "Activity",
                _ => "Unspecified",
            };
            return Err(invalid(format!(
                "target_executions[{place}] has type {found}, but operation \
                 *workflowservice.StartBatchOperationRequest_{kind} requires Workflow"
            )));
        }
    }
    Ok(())
}

fn kind_of(operation: Option<&Operation>) -> &'static str {
    match operation {
        Some(Operation::TerminationOperation(_)) => "TerminationOperation",
        Some(Operation::SignalOperation(_)) => "SignalOperation",
        Some(Operation::CancellationOperation(_)) => "CancellationOperation",
        Some(Operation::DeletionOperation(_)) => "DeletionOperation",
        Some(Operation::ResetOperation(_)) => "ResetOperation",
        Some(Operation::UpdateWorkflowOptionsOperation(_)) => "UpdateWorkflowOptionsOperation",
        Some(Operation::UnpauseActivitiesOperation(_)) => "UnpauseActivitiesOperation",
        Some(Operation::ResetActivitiesOperation(_)) => "ResetActivitiesOperation",
        Some(Operation::UpdateActivityOptionsOperation(_)) => "UpdateActivityOptionsOperation",
        _ => "",
    }
}

fn check_operation(request: &StartBatchOperationRequest) -> Result<(), Status> {
    use batch_operation_reset_activities::Activity as Reset;
    use batch_operation_unpause_activities::Activity as Unpause;
    use batch_operation_update_activity_options::Activity as Update;
    match request.operation.as_ref() {
        Some(Operation::SignalOperation(operation)) if operation.signal.is_empty() => {
            Err(invalid("must provide signal name"))
        }
        Some(Operation::ResetOperation(operation)) => check_reset(operation),
        Some(Operation::UpdateWorkflowOptionsOperation(operation)) => {
            let Some(options) = &operation.workflow_execution_options else {
                return Err(invalid("must provide UpdateOptions"));
            };
            let Some(mask) = &operation.update_mask else {
                return Err(invalid("must provide UpdateMask"));
            };
            reset::check_mask(&mask.paths)?;
            validate::priority(options.priority.as_ref())
        }
        Some(Operation::UnpauseActivitiesOperation(operation)) => match &operation.activity {
            Some(Unpause::Type(kind)) if !kind.is_empty() => Ok(()),
            Some(Unpause::MatchAll(true)) => Ok(()),
            Some(_) => Err(invalid("Either activity type must be set, or match all should be set to true")),
            None => Err(invalid("activity filter must be set")),
        },
        Some(Operation::ResetActivitiesOperation(operation)) => match &operation.activity {
            Some(Reset::Type(kind)) if !kind.is_empty() => Ok(()),
            Some(Reset::MatchAll(true)) => Ok(()),
            _ => Err(invalid("must provide ActivityType or MatchAll")),
        },
        Some(Operation::UpdateActivityOptionsOperation(operation)) => match &operation.activity {
            Some(Update::Type(kind)) if !kind.is_empty() => Ok(()),
            Some(Update::MatchAll(true)) => Ok(()),
            _ if operation.restore_original => Ok(()),
            _ => Err(invalid("Either activity type must be set, or restore original should be set to true")),
        },
        Some(
            Operation::CancelActivitiesOperation(_)
            | Operation::TerminateActivitiesOperation(_)
            | Operation::DeleteActivitiesOperation(_),
        ) => Err(Status::unimplemented("batches of activities that run on their own are not there yet")),
        _ => Ok(()),
    }
}

#[allow(deprecated, reason = "older clients say only this")]
fn check_reset(operation: &BatchOperationReset) -> Result<(), Status> {
    match &operation.options {
        Some(options) if options.target.is_none() => Err(invalid("batch reset missing target")),
        Some(_) => Ok(()),
        None if operation.reset_type() == ResetType::Unspecified => {
            Err(invalid("unknown batch reset type Unspecified"))
        }
        None => Ok(()),
    }
}

fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}
