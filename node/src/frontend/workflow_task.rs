//! What workers answer to workflow tasks.

use std::collections::{BTreeMap, BTreeSet};

use everlog_engine::{
    deployment::{DeploymentKey, WorkerVersion},
    reply::Reply,
    request::{Namespaces, Request},
    token::{TaskToken, TokenTask},
};
use everlog_proto::api::{
    command::v1::{Command, command::Attributes},
    common::v1::WorkerVersionStamp,
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{TaskQueueKind, TaskQueueType, VersioningBehavior, WorkerVersioningMode},
    failure::v1::{ApplicationFailureInfo, Failure as ApiFailure, ServerFailureInfo, failure::FailureInfo},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest,
        RespondWorkflowTaskFailedResponse,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    events, search_attributes, status, validate,
    workflow::{ask, unexpected},
};
use crate::route::{Failure, Repeat, to_home};

pub(super) async fn completed(scope: Scope, mut request: RespondWorkflowTaskCompletedRequest) -> Answer {
    validate::identity(&request.identity, &scope.limits)?;
    let sticky_queue =
        request.sticky_attributes.as_ref().and_then(|sticky| sticky.worker_task_queue.as_ref());
    #[allow(deprecated)]
    let stamp = request.worker_version_stamp.as_ref();
    worker_version(&scope, stamp, request.deployment_options.as_ref(), sticky_queue)?;
    let behaves = request.versioning_behavior != VersioningBehavior::Unspecified as i32;
    if behaves && WorkerVersion::of_worker(request.deployment_options.as_ref()).is_none() {
        return Err(Status::invalid_argument(
            "versioning behavior cannot be specified without deployment options being set with versioned mode",
        ));
    }
    let token = workflow_token(&scope)?;
    let mut namespaces = namespaces(&scope, &request)?;
    for (place, command) in request.commands.iter_mut().enumerate() {
        if let Err(status) = check_attributes(&scope, command) {
            namespaces.refused_attributes.insert(place, status.message().to_owned());
        }
    }
    let (scope, token, request, namespaces) = (&scope, &token, &request, &namespaces);
    let key = token.workflow();
    // A second completion finds its task gone, and says so: the worker goes on to the next.
    to_home(&scope.call, scope.namespace_id(), &key.workflow_id, Repeat::Unsafe, |shard| async move {
        let completion = Request::CompleteWorkflowTask {
            token: token.clone(),
            request: Box::new(request.clone()),
            namespaces: namespaces.clone(),
        };
        let mut completed = match ask(scope, shard, key, completion).await? {
            Reply::Completed(completed) => completed,
            Reply::HeartbeatTimedOut => {
                return Err(Failure::Status(status::not_found("workflow task heartbeat timeout")));
            }
            _ => return Err(unexpected("workflow task completion").into()),
        };
        for task in &mut completed.response.activity_tasks {
            task.workflow_namespace = scope.namespace.name.clone();
        }
        let next = match &completed.workflow_task {
            Some(task) => Some(events::workflow_task(&scope.call.shared, task).await?),
            None => None,
        };
        const WORKFLOW_TASK: u32 = 1;
        Ok(events::with_message(&completed.response, WORKFLOW_TASK, next.as_deref()))
    })
    .await
}

pub(super) async fn failed(scope: Scope, mut request: RespondWorkflowTaskFailedRequest) -> Answer {
    validate::identity(&request.identity, &scope.limits)?;
    if validate::is_too_large(request.failure.as_ref(), &scope.limits) {
        request.failure = Some(oversized_failure(request.failure.take()));
    }
    let token = workflow_token(&scope)?;
    let (scope, token, request) = (&scope, &token, &request);
    let key = token.workflow();
    to_home(&scope.call, scope.namespace_id(), &key.workflow_id, Repeat::Unsafe, |shard| async move {
        let failed = Request::FailWorkflowTask { token: token.clone(), request: Box::new(request.clone()) };
        ask(scope, shard, key, failed).await?;
        Ok(encode(&RespondWorkflowTaskFailedResponse {}))
    })
    .await
}

/// The namespaces that commands name. One that does not exist fails the call and not the task.
fn namespaces(scope: &Scope, request: &RespondWorkflowTaskCompletedRequest) -> Result<Namespaces, Status> {
    let mut ids = BTreeMap::new();
    for command in &request.commands {
        #[allow(deprecated, reason = "workers fill it in all the same")]
        let name = match &command.attributes {
            Some(Attributes::StartChildWorkflowExecutionCommandAttributes(a)) => &a.namespace,
            Some(Attributes::SignalExternalWorkflowExecutionCommandAttributes(a)) => &a.namespace,
            Some(Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(a)) => &a.namespace,
            _ => continue,
        };
        if name.is_empty() || *name == scope.namespace.name || ids.contains_key(name) {
            continue;
        }
        let found = scope.call.shared.backend.namespace(name);
        let id = found.ok_or_else(|| status::namespace_not_found(name))?.id.clone();
        ids.insert(name.clone(), id);
    }
    let endpoints = endpoints(scope, request);
    let queues = queues_of_worker(scope, request.deployment_options.as_ref());
    Ok(Namespaces { own: scope.namespace.name.clone(), ids, endpoints, queues, ..Namespaces::default() })
}

/// The endpoints that commands name, as far as this node knows them.
fn endpoints(scope: &Scope, request: &RespondWorkflowTaskCompletedRequest) -> BTreeMap<String, String> {
    let named = request.commands.iter().filter_map(|command| match &command.attributes {
        Some(Attributes::ScheduleNexusOperationCommandAttributes(a)) => Some(&a.endpoint),
        _ => None,
    });
    let known = named.filter_map(|name| {
        let endpoint = scope.call.shared.backend.endpoint_by_name(name)?;
        Some((name.clone(), endpoint.id))
    });
    known.collect()
}

/// The queues for workflows that the worker's version has: children and successors there stay with it.
fn queues_of_worker(scope: &Scope, worker: Option<&WorkerDeploymentOptions>) -> BTreeSet<String> {
    let Some(version) = WorkerVersion::of_worker(worker) else { return BTreeSet::new() };
    let key = DeploymentKey::new(scope.namespace_id(), &version.deployment);
    let known = scope.call.shared.backend.deployment(&key);
    let queues = known.iter().flat_map(|state| state.versions.get(&version.build_id)).flat_map(|v| &v.queues);
    let workflows = TaskQueueType::Workflow as i32;
    queues.filter(|queue| queue.kind == workflows).map(|queue| queue.name.clone()).collect()
}

/// Checks search attributes, and leaves out of what a new run begins with what says "null".
fn check_attributes(scope: &Scope, command: &mut Command) -> Result<(), Status> {
    let (memo, attributes) = match &mut command.attributes {
        Some(Attributes::UpsertWorkflowSearchAttributesCommandAttributes(a)) => {
            return search_attributes::check_of_command(scope, a.search_attributes.as_mut());
        }
        Some(Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(a)) => {
            (&mut a.memo, &mut a.search_attributes)
        }
        Some(Attributes::StartChildWorkflowExecutionCommandAttributes(a)) => {
            (&mut a.memo, &mut a.search_attributes)
        }
        _ => return Ok(()),
    };
    validate::leave_out_nulls(memo);
    search_attributes::check_new_of_command(scope, attributes)
}

fn workflow_token(scope: &Scope) -> Result<TaskToken, Status> {
    match &scope.token {
        Some(token) if matches!(token.task, TokenTask::Workflow { .. }) => Ok(token.clone()),
        // A token of another kind of task names no workflow task that could be found.
        _ => Err(status::not_found("Workflow task not found.")),
    }
}

/// How much is kept of a failure that is too large: as much as the real server warns of.
const FAILURE_KEPT_BYTES_MAX: usize = 512 << 10;

/// Stands for a failure that is too large to keep.
fn oversized_failure(failure: Option<ApiFailure>) -> ApiFailure {
    ApiFailure {
        message: "Failure exceeds size limit.".to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true })),
        cause: failure.map(|failure| Box::new(cut(failure))),
        ..ApiFailure::default()
    }
}

/// What happened and where, without whatever makes it large: details, causes, most of the stack.
fn cut(failure: ApiFailure) -> ApiFailure {
    let mut room = FAILURE_KEPT_BYTES_MAX;
    let mut keep = |mut text: String| {
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
        }
        room -= text.len();
        text
    };
    let message = keep(failure.message);
    let source = keep(failure.source);
    let failure_info = match failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: keep(info.r#type),
                non_retryable: info.non_retryable,
                ..ApplicationFailureInfo::default()
            }))
        }
        Some(FailureInfo::ServerFailureInfo(info)) => Some(FailureInfo::ServerFailureInfo(info)),
        _ => None,
    };
    let stack_trace = keep(failure.stack_trace);
    ApiFailure { message, source, stack_trace, failure_info, ..ApiFailure::default() }
}

/// What a worker says about its version.
#[allow(deprecated)]
pub(super) fn worker_version(
    scope: &Scope,
    stamp: Option<&WorkerVersionStamp>,
    deployment: Option<&WorkerDeploymentOptions>,
    queue: Option<&TaskQueue>,
) -> Result<(), Status> {
    let (build_id, use_versioning) =
        stamp.map_or(("", false), |stamp| (stamp.build_id.as_str(), stamp.use_versioning));
    let nameless =
        |queue: &TaskQueue| queue.kind == TaskQueueKind::Sticky as i32 && queue.normal_name.is_empty();
    if queue.is_some_and(nameless) && (use_versioning || deployment.is_some()) {
        return Err(Status::invalid_argument(
            "NormalName must be set on sticky queue when UseVersioning is true or DeploymentOptions are set.",
        ));
    }
    if use_versioning && build_id.is_empty() {
        return Err(Status::invalid_argument("WorkerVersionStamp must be present if UseVersioning is true."));
    }
    if build_id.len() > scope.call.shared.api(&scope.namespace.name).build_id_bytes_max {
        return Err(Status::invalid_argument(
            "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.",
        ));
    }
    let Some(deployment) = deployment else { return Ok(()) };
    let versioned = deployment.worker_versioning_mode == WorkerVersioningMode::Versioned as i32;
    if versioned && (deployment.deployment_name.is_empty() || deployment.build_id.is_empty()) {
        return Err(Status::invalid_argument("Deployment name and build id must be set together."));
    }
    if versioned {
        super::deployment::check_name("WorkerDeploymentName", &deployment.deployment_name, scope)?;
        super::deployment::check_name("BuildID", &deployment.build_id, scope)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use everlog_proto::prost::Message;

    use super::*;

    #[test]
    fn a_failure_that_is_too_large_keeps_what_matters_most() {
        let failure = ApiFailure {
            message: "é".repeat(10),
            stack_trace: "s".repeat(3 << 20),
            cause: Some(Box::new(ApiFailure { message: "c".repeat(1 << 20), ..ApiFailure::default() })),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "Mine".into(),
                ..Default::default()
            })),
            ..ApiFailure::default()
        };
        let kept = oversized_failure(Some(failure));
        assert_eq!(kept.message, "Failure exceeds size limit.");
        assert!(kept.encoded_len() < FAILURE_KEPT_BYTES_MAX + 100);
        let cause = kept.cause.unwrap();
        assert_eq!(cause.message, "é".repeat(10));
        assert!(
            matches!(cause.failure_info, Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type == "Mine")
        );
        let long = cut(ApiFailure { message: "é".repeat(FAILURE_KEPT_BYTES_MAX), ..ApiFailure::default() });
        assert_eq!(long.message.len(), FAILURE_KEPT_BYTES_MAX);
    }
}
