//! Worker deployments: what a client gives is checked here, then the deployment decides.
//!
//! The order of the checks and their words are those of the real server.

use std::collections::HashMap;

use everlog_engine::{
    deployment::{
        DeploymentKey, DeploymentState, UNVERSIONED, WorkerVersion,
        decide::no_version,
        describe,
        request::{DeploymentReply, DeploymentRequest, SetCurrent, SetRamping, token_bytes},
        state::{PolledQueue, Ramp},
    },
    reject::Reject,
};
use everlog_proto::{
    api::{
        common::v1::Payload,
        deployment::v1::{VersionMetadata, WorkerDeploymentVersion},
        enums::v1::TaskQueueType,
        workflowservice::v1::{
            describe_worker_deployment_version_response::VersionTaskQueue,
            set_worker_deployment_manager_request::NewManagerIdentity, *,
        },
    },
    prost::Message,
};
use serde_bytes::ByteBuf;
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    validate, workflow,
};
use crate::route::{Failure, ROUTE_TIMEOUT, Repeat, to_home};

/// What the real server adds to a version's name to make a workflow id of it, halved between the two names
/// of a version: that is how long each may be.
const ID_OVERHEAD_BYTES: usize = 39;

pub(super) async fn create(mut scope: Scope, mut request: CreateWorkerDeploymentRequest) -> Answer {
    check_named(&request.deployment_name)?;
    check_name("WorkerDeploymentName", &request.deployment_name, &scope)?;
    if request.request_id.is_empty() {
        request.request_id = Uuid::new_v4().to_string();
        scope.call.rewrite(&request);
    }
    let asked = DeploymentRequest::Create {
        request_id: request.request_id,
        identity: request.identity,
        others: others(&scope),
    };
    ask(&scope, &request.deployment_name, Repeat::Safe, asked, |reply| match reply {
        DeploymentReply::Created { conflict_token } => {
            Some(encode(&CreateWorkerDeploymentResponse { conflict_token: token_bytes(conflict_token) }))
        }
        _ => None,
    })
    .await
}

pub(super) async fn create_version(
    mut scope: Scope,
    mut request: CreateWorkerDeploymentVersionRequest,
) -> Answer {
    let version = WorkerVersion::from_api(&request.deployment_version.clone().unwrap_or_default());
    check_named(&version.deployment)?;
    if version.build_id.is_empty() {
        return Err(Status::invalid_argument("build ID cannot be empty"));
    }
    check_name("WorkerDeploymentName", &version.deployment, &scope)?;
    check_name("BuildID", &version.build_id, &scope)?;
    if let Some(config) = &request.compute_config {
        let first = config.scaling_groups.iter().min_by_key(|(name, _)| name.as_str());
        if let Some((name, group)) = first {
            let provider = group.provider.as_ref().map_or("", |provider| &provider.r#type);
            return Err(no_provider(name, provider));
        }
    }
    if request.request_id.is_empty() {
        request.request_id = Uuid::new_v4().to_string();
        scope.call.rewrite(&request);
    }
    let asked = DeploymentRequest::CreateVersion {
        build_id: version.build_id,
        request_id: request.request_id,
        identity: request.identity,
    };
    let done = encode(&CreateWorkerDeploymentVersionResponse {});
    ask(&scope, &version.deployment, Repeat::Safe, asked, |_| Some(done.clone())).await
}

/// What the real server knows by name, though its development server can use none of them.
const PROVIDERS: [&str; 5] = ["aws-agentcore", "aws-ecs", "aws-lambda", "gcp-cloud-run", "subprocess"];

/// Workers are not started by this server, so there is nobody who could provide them.
fn no_provider(group: &str, provider: &str) -> Status {
    if PROVIDERS.contains(&provider) {
        let message = format!("{group}: Could not instantiate compute provider with type '{provider}'");
        return Status::invalid_argument(message);
    }
    Status::invalid_argument(format!("entry {group}: invalid compute provider type '{provider}'"))
}

pub(super) async fn describe(scope: Scope, request: DescribeWorkerDeploymentRequest) -> Answer {
    check_name("WorkerDeploymentName", &request.deployment_name, &scope)?;
    let asked = DeploymentRequest::Describe;
    ask(&scope, &request.deployment_name, Repeat::Safe, asked, |reply| match reply {
        DeploymentReply::State(state) => Some(encode(&DescribeWorkerDeploymentResponse {
            conflict_token: token_bytes(state.head.conflict_token),
            worker_deployment_info: Some(describe::deployment(&state)),
        })),
        _ => None,
    })
    .await
}

#[allow(deprecated)]
pub(super) async fn describe_version(
    scope: Scope,
    request: DescribeWorkerDeploymentVersionRequest,
) -> Answer {
    let version =
        named(request.deployment_version.as_ref(), &request.version, "deployment version cannot be empty")?;
    check_reserved("WorkerDeploymentName", &version.deployment)?;
    check_reserved("BuildID", &version.build_id)?;
    check_length("WorkerDeploymentName", &version.deployment, &scope)?;
    check_length("BuildID", &version.build_id, &scope)?;
    let report_stats = request.report_task_queue_stats;
    let key = &DeploymentKey::new(scope.namespace_id(), &version.deployment);
    let (scope, version) = (&scope, &version);
    to_home(&scope.call, scope.namespace_id(), key.name(), Repeat::Safe, |shard| async move {
        let deadline = scope.call.deadline_or(ROUTE_TIMEOUT);
        let backend = &scope.call.shared.backend;
        let reply = backend.call_deployment(shard, key.clone(), DeploymentRequest::Describe, deadline).await;
        let state = match reply {
            Ok(DeploymentReply::State(state)) => state,
            Ok(_) => return Err(workflow::unexpected("describe").into()),
            Err(super::backend::CallError::Reject(Reject::NotFound(_))) => return Err(no_version().into()),
            Err(error) => return Err(error.into()),
        };
        let info = describe::version(&state, &version.build_id).ok_or_else(no_version)?;
        let mut queues = Vec::new();
        for queue in state.versions.get(&version.build_id).into_iter().flat_map(|version| &version.queues) {
            let mut shown = VersionTaskQueue {
                name: queue.name.clone(),
                r#type: queue.kind,
                ..VersionTaskQueue::default()
            };
            if report_stats {
                let seen = backend.queue_seen(scope.namespace_id(), version, queue).await?;
                shown.stats_by_priority_key = seen.stats_by_priority().collect();
                shown.stats = Some(seen.stats());
            }
            queues.push(shown);
        }
        Ok(encode(&DescribeWorkerDeploymentVersionResponse {
            worker_deployment_version_info: Some(info),
            version_task_queues: queues,
        }))
    })
    .await
}

pub(super) async fn list(scope: Scope, request: ListWorkerDeploymentsRequest) -> Answer {
    let most = scope.call.shared.api(&scope.namespace.name).visibility_page_rows_max;
    let rows =
        usize::try_from(request.page_size).ok().filter(|rows| (1..=most).contains(rows)).unwrap_or(most);
    let listed = scope.call.shared.backend.list_deployments(scope.namespace_id()).await;
    let states = listed.map_err(|error| Failure::from(error).into_status())?;
    let after = std::str::from_utf8(&request.next_page_token).unwrap_or_default();
    let from = match after {
        "" => 0,
        after => states.iter().position(|state| state.key.name() == after).map_or(states.len(), |at| at + 1),
    };
    let page: Vec<_> = states.iter().skip(from).take(rows).collect();
    let is_full = page.len() == rows;
    let next_page_token =
        page.last().filter(|_| is_full).map(|state| state.key.name().as_bytes().to_vec()).unwrap_or_default();
    Ok(encode(&ListWorkerDeploymentsResponse {
        next_page_token,
        worker_deployments: page.into_iter().map(|state| describe::in_list(state)).collect(),
    }))
}

#[allow(deprecated)]
pub(super) async fn set_current(scope: Scope, request: SetWorkerDeploymentCurrentVersionRequest) -> Answer {
    check_named(&request.deployment_name)?;
    check_name_only("WorkerDeploymentName", &request.deployment_name, &scope)?;
    let build_id = build_id_of(&scope, &request.deployment_name, &request.version, &request.build_id)?;
    let ignores_missing = request.ignore_missing_task_queues;
    let busy = busy(&scope, &request.deployment_name, build_id.as_deref(), ignores_missing).await?;
    let asked = DeploymentRequest::SetCurrent(SetCurrent {
        build_id,
        identity: request.identity.clone(),
        conflict_token: request.conflict_token.clone(),
        allow_no_pollers: request.allow_no_pollers,
        busy,
        others: others(&scope),
    });
    let name = request.deployment_name.as_str();
    ask(&scope, name, Repeat::Unsafe, asked, |reply| match reply {
        DeploymentReply::Current { conflict_token, previous } => {
            let previous = previous.map(|build_id| WorkerVersion::new(name, &build_id));
            Some(encode(&SetWorkerDeploymentCurrentVersionResponse {
                conflict_token: token_bytes(conflict_token),
                previous_version: previous.as_ref().map_or_else(describe::unversioned, WorkerVersion::dotted),
                previous_deployment_version: previous.as_ref().map(WorkerVersion::api),
            }))
        }
        _ => None,
    })
    .await
}

#[allow(deprecated)]
pub(super) async fn set_ramping(scope: Scope, request: SetWorkerDeploymentRampingVersionRequest) -> Answer {
    check_name_only("WorkerDeploymentName", &request.deployment_name, &scope)?;
    if !(0.0..=100.0).contains(&request.percentage) {
        return Err(Status::invalid_argument("Percentage must be between 0 and 100 (inclusive)"));
    }
    let build_id = build_id_of(&scope, &request.deployment_name, &request.version, &request.build_id)?;
    let ignores_missing = request.ignore_missing_task_queues;
    let busy = busy(&scope, &request.deployment_name, build_id.as_deref(), ignores_missing).await?;
    let is_unset = build_id.is_none() && request.percentage == 0.0;
    let asked = DeploymentRequest::SetRamping(SetRamping {
        busy,
        ramp: (!is_unset).then_some(Ramp { build_id, percentage: request.percentage }),
        identity: request.identity.clone(),
        conflict_token: request.conflict_token.clone(),
        allow_no_pollers: request.allow_no_pollers,
        others: others(&scope),
    });
    let name = request.deployment_name.as_str();
    ask(&scope, name, Repeat::Unsafe, asked, |reply| match reply {
        DeploymentReply::Ramping { conflict_token, previous } => {
            let version = previous
                .as_ref()
                .map(|ramp| ramp.build_id.as_ref().map(|build_id| WorkerVersion::new(name, build_id)));
            Some(encode(&SetWorkerDeploymentRampingVersionResponse {
                conflict_token: token_bytes(conflict_token),
                previous_version: match &version {
                    Some(Some(version)) => version.dotted(),
                    Some(None) => describe::unversioned(),
                    None => String::new(),
                },
                previous_deployment_version: version.flatten().as_ref().map(WorkerVersion::api),
                previous_percentage: previous.map_or(0.0, |ramp| ramp.percentage),
            }))
        }
        _ => None,
    })
    .await
}

pub(super) async fn set_manager(scope: Scope, request: SetWorkerDeploymentManagerRequest) -> Answer {
    check_name_only("WorkerDeploymentName", &request.deployment_name, &scope)?;
    let manager = match &request.new_manager_identity {
        Some(NewManagerIdentity::ManagerIdentity(identity)) => identity.clone(),
        Some(NewManagerIdentity::Self_(true)) => request.identity.clone(),
        Some(NewManagerIdentity::Self_(false)) | None => String::new(),
    };
    let asked = DeploymentRequest::SetManager {
        manager,
        identity: request.identity.clone(),
        conflict_token: request.conflict_token.clone(),
    };
    ask(&scope, &request.deployment_name, Repeat::Unsafe, asked, |reply| match reply {
        DeploymentReply::Manager { conflict_token, previous } => {
            Some(encode(&manager_set(conflict_token, previous)))
        }
        _ => None,
    })
    .await
}

#[allow(deprecated)]
fn manager_set(conflict_token: i64, previous: String) -> SetWorkerDeploymentManagerResponse {
    SetWorkerDeploymentManagerResponse {
        conflict_token: token_bytes(conflict_token),
        previous_manager_identity: previous,
    }
}

#[allow(deprecated)]
pub(super) async fn update_metadata(
    scope: Scope,
    request: UpdateWorkerDeploymentVersionMetadataRequest,
) -> Answer {
    if request.upsert_entries.is_empty() && request.remove_entries.is_empty() {
        return Err(Status::invalid_argument(
            "At least one of remove_entries or upsert_entries must be provided",
        ));
    }
    let version = named(request.deployment_version.as_ref(), &request.version, EMPTY_VERSION)?;
    validate::blob(Some(&request), &scope.limits)?;
    let upsert = request.upsert_entries.iter();
    let asked = DeploymentRequest::UpdateMetadata {
        build_id: version.build_id,
        upsert: upsert.map(|(key, payload)| (key.clone(), ByteBuf::from(payload.encode_to_vec()))).collect(),
        remove: request.remove_entries.clone(),
        identity: request.identity.clone(),
    };
    ask(&scope, &version.deployment, Repeat::Safe, asked, |reply| match reply {
        DeploymentReply::Metadata(metadata) => {
            let entries: HashMap<String, Payload> = metadata
                .into_iter()
                .filter_map(|(key, payload)| Some((key, Payload::decode(&payload[..]).ok()?)))
                .collect();
            let metadata = Some(VersionMetadata { entries });
            Some(encode(&UpdateWorkerDeploymentVersionMetadataResponse { metadata }))
        }
        _ => None,
    })
    .await
}

#[allow(deprecated)]
pub(super) async fn delete_version(scope: Scope, request: DeleteWorkerDeploymentVersionRequest) -> Answer {
    let version = named(request.deployment_version.as_ref(), &request.version, EMPTY_VERSION)?;
    check_length("WorkerDeploymentName", &version.deployment, &scope)?;
    let backend = &scope.call.shared.backend;
    let mut is_polled = false;
    let key = DeploymentKey::new(scope.namespace_id(), &version.deployment);
    if let Some(known) =
        backend.deployment(&key).and_then(|state| state.versions.get(&version.build_id).cloned())
    {
        for queue in &known.queues {
            let seen = backend.queue_seen(scope.namespace_id(), &version, queue).await;
            is_polled |= seen.map_err(|error| Failure::from(error).into_status())?.is_polled;
        }
    }
    let asked = DeploymentRequest::DeleteVersion {
        build_id: version.build_id,
        skip_drainage: request.skip_drainage,
        identity: request.identity.clone(),
        is_polled,
    };
    let done = encode(&DeleteWorkerDeploymentVersionResponse {});
    ask(&scope, &version.deployment, Repeat::Safe, asked, |_| Some(done.clone())).await
}

pub(super) async fn delete(scope: Scope, request: DeleteWorkerDeploymentRequest) -> Answer {
    check_name_only("WorkerDeploymentName", &request.deployment_name, &scope)?;
    let done = encode(&DeleteWorkerDeploymentResponse {});
    let asked = DeploymentRequest::Delete;
    ask(&scope, &request.deployment_name, Repeat::Safe, asked, |_| Some(done.clone())).await
}

pub(super) async fn update_compute(
    scope: Scope,
    request: UpdateWorkerDeploymentVersionComputeConfigRequest,
) -> Answer {
    let version = WorkerVersion::from_api(&request.deployment_version.clone().unwrap_or_default());
    check_named(&version.deployment)?;
    let done = encode(&UpdateWorkerDeploymentVersionComputeConfigResponse {});
    let first = request.compute_config_scaling_groups.iter().min_by_key(|(name, _)| name.as_str());
    let refused = first.map(|(name, update)| {
        let group = update.scaling_group.as_ref();
        no_provider(
            name,
            group.and_then(|group| group.provider.as_ref()).map_or("", |provider| &provider.r#type),
        )
    });
    let (build_id, refused) = (&version.build_id, &refused);
    let missing = Reject::NotFound(format!(
        "build ID '{build_id}' not found in Worker Deployment '{}'",
        version.deployment
    ));
    let key = &DeploymentKey::new(scope.namespace_id(), &version.deployment);
    let (scope, missing, done) = (&scope, &missing, &done);
    to_home(&scope.call, scope.namespace_id(), key.name(), Repeat::Safe, |shard| async move {
        let deadline = scope.call.deadline_or(ROUTE_TIMEOUT);
        let backend = &scope.call.shared.backend;
        match backend.call_deployment(shard, key.clone(), DeploymentRequest::Describe, deadline).await {
            Ok(DeploymentReply::State(state)) if state.versions.contains_key(build_id) => {}
            Ok(_) | Err(super::backend::CallError::Reject(_)) => return Err(missing.clone().into()),
            Err(error) => return Err(error.into()),
        }
        match refused {
            Some(refused) => Err(refused.clone().into()),
            None => Ok(done.clone()),
        }
    })
    .await
}

pub(super) async fn validate_compute(
    _scope: Scope,
    request: ValidateWorkerDeploymentVersionComputeConfigRequest,
) -> Answer {
    match request.compute_config_scaling_groups.iter().min_by_key(|(name, _)| name.as_str()) {
        Some((name, update)) => {
            let group = update.scaling_group.as_ref();
            let provider = group.and_then(|group| group.provider.as_ref());
            Err(no_provider(name, provider.map_or("", |provider| &provider.r#type)))
        }
        None => Err(Status::invalid_argument(
            "No prior compute config found, which means nothing can be removed and something needs to be added to \
             be valid",
        )),
    }
}

/// Asks a deployment where it lives.
async fn ask(
    scope: &Scope,
    name: &str,
    repeat: Repeat,
    request: DeploymentRequest,
    answer: impl Fn(DeploymentReply) -> Option<bytes::Bytes> + Send + Sync,
) -> Answer {
    let key = &DeploymentKey::new(scope.namespace_id(), name);
    let (request, answer) = (&request, &answer);
    to_home(&scope.call, scope.namespace_id(), name, repeat, |shard| async move {
        let deadline = scope.call.deadline_or(ROUTE_TIMEOUT);
        let backend = &scope.call.shared.backend;
        let reply = backend.call_deployment(shard, key.clone(), request.clone(), deadline).await?;
        answer(reply).ok_or_else(|| workflow::unexpected(request.kind()).into())
    })
    .await
}

/// Deployments that there are besides one that may be made.
fn others(scope: &Scope) -> usize {
    scope.call.shared.backend.deployments(scope.namespace_id())
}

/// The queues of the current version that have work and that the proposed one does not have.
async fn busy(
    scope: &Scope,
    name: &str,
    build_id: Option<&str>,
    ignore: bool,
) -> Result<Vec<PolledQueue>, Status> {
    let backend = &scope.call.shared.backend;
    let state = backend.deployment(&DeploymentKey::new(scope.namespace_id(), name));
    let (Some(state), Some(build_id), false) = (state, build_id, ignore) else { return Ok(Vec::new()) };
    let Some(current) = state.head.routing.current.clone() else { return Ok(Vec::new()) };
    let version = state.named(&current);
    let mut busy = Vec::new();
    for queue in left_behind(&state, &current, build_id) {
        let seen = backend.queue_seen(scope.namespace_id(), &version, queue).await;
        if seen.map_err(|error| Failure::from(error).into_status())?.is_busy {
            busy.push(queue.clone());
        }
    }
    Ok(busy)
}

fn left_behind<'a>(
    state: &'a DeploymentState,
    current: &str,
    build_id: &'a str,
) -> impl Iterator<Item = &'a PolledQueue> {
    let queues = state.versions.get(current).into_iter().flat_map(|version| &version.queues);
    queues.filter(|queue| !state.has_queue(build_id, queue))
}

const EMPTY_VERSION: &str =
    "invalid version string \"\", expected format is \"<deployment_name>.<build_id>\"";

/// The version that a request names in the newer or in the older way.
fn named(
    version: Option<&WorkerDeploymentVersion>,
    text: &str,
    if_empty: &str,
) -> Result<WorkerVersion, Status> {
    let text = match version {
        Some(version) => format!("{}.{}", version.deployment_name, version.build_id),
        None if text.is_empty() => return Err(Status::invalid_argument(if_empty)),
        None => text.to_owned(),
    };
    if let Some(version) =
        version.filter(|version| !version.deployment_name.is_empty() && !version.build_id.is_empty())
    {
        return Ok(WorkerVersion::from_api(version));
    }
    WorkerVersion::from_dotted(&text).ok_or_else(|| bad_version(&text))
}

pub(super) fn bad_version(text: &str) -> Status {
    Status::invalid_argument(format!(
        "invalid version string {text:?}, expected format is \"<deployment_name>.<build_id>\""
    ))
}

/// The build that a change of the routing names; none for the workers without a version.
fn build_id_of(scope: &Scope, name: &str, text: &str, build_id: &str) -> Result<Option<String>, Status> {
    if text == UNVERSIONED || (text.is_empty() && build_id.is_empty()) {
        return Ok(None);
    }
    let build_id = if text.is_empty() {
        if name.contains(['.', ':']) {
            let text = format!("{name}.{build_id}");
            return Err(other_deployment(&text, name));
        }
        build_id.to_owned()
    } else {
        let Some((deployment, build_id)) = text.split_once(['.', ':']) else {
            return Err(Status::invalid_argument(format!(
                "invalid version string: expected delimiter ':' or '.' not found in version string {text}"
            )));
        };
        if deployment != name {
            return Err(other_deployment(text, name));
        }
        build_id.to_owned()
    };
    check_reserved("BuildID", &build_id)?;
    check_length("BuildID", &build_id, scope)?;
    Ok(Some(build_id))
}

fn other_deployment(text: &str, name: &str) -> Status {
    Status::invalid_argument(format!(
        "invalid version string '{text}' does not match deployment name '{name}'"
    ))
}

fn check_named(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("deployment name cannot be empty"));
    }
    Ok(())
}

/// A name that something new is to have.
pub(super) fn check_name(field: &str, name: &str, scope: &Scope) -> Result<(), Status> {
    check_name_only(field, name, scope)?;
    if field == "WorkerDeploymentName" {
        for mark in ['.', ':'] {
            if name.contains(mark) {
                return Err(Status::invalid_argument(format!(
                    "worker deployment name cannot contain '{mark}'"
                )));
            }
        }
    }
    Ok(())
}

fn check_name_only(field: &str, name: &str, scope: &Scope) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument(format!("{field} cannot be empty")));
    }
    check_length(field, name, scope)?;
    check_reserved(field, name)
}

fn check_length(field: &str, name: &str, scope: &Scope) -> Result<(), Status> {
    if name.len() > scope.limits.id_bytes_max.saturating_sub(ID_OVERHEAD_BYTES) / 2 {
        return Err(Status::invalid_argument(format!("size of {field} larger than the maximum allowed")));
    }
    Ok(())
}

fn check_reserved(field: &str, name: &str) -> Result<(), Status> {
    if name.starts_with("__") {
        return Err(Status::invalid_argument(format!("{field} cannot start with '__'")));
    }
    Ok(())
}

/// How a type of tasks reads in messages.
pub(super) fn type_name(kind: i32) -> &'static str {
    if kind == TaskQueueType::Activity as i32 { "Activity" } else { "Workflow" }
}
