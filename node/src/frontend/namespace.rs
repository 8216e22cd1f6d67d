//! Namespaces: the cluster keeps them, every node knows them.

use std::time::Duration;

use everlog_engine::{
    cluster,
    reject::Reject,
    time::{is_negative, proto_duration, set_duration},
};
use everlog_proto::api::{
    enums::v1::{ArchivalState, NamespaceState, ReplicationState},
    namespace::v1::{
        BadBinaries, NamespaceConfig, NamespaceInfo,
        namespace_info::{Capabilities, Limits as ShownLimits},
    },
    operatorservice::v1::{DeleteNamespaceRequest, DeleteNamespaceResponse},
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::v1::{
        DeprecateNamespaceRequest, DeprecateNamespaceResponse, DescribeNamespaceRequest,
        DescribeNamespaceResponse, ListNamespacesRequest, ListNamespacesResponse, RegisterNamespaceRequest,
        RegisterNamespaceResponse, UpdateNamespaceRequest, UpdateNamespaceResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    Shared,
    backend::{Namespace, NamespaceChange},
    call::{Answer, Call, encode},
    status,
};
use crate::cluster::DEFAULT_NAMESPACE;
use crate::route::Failure;

/// The namespaces of a page, if the request does not say.
const PAGE_NAMESPACES: usize = 100;

/// What one completion of a workflow task may weigh: ten times the largest message, in pages.
const COMPLETION_BYTES_MAX: i64 = 40 << 20;

pub(super) async fn register(call: Call, request: RegisterNamespaceRequest) -> Answer {
    let shared = &call.shared;
    check_name(shared, &request.namespace)?;
    if request.is_global_namespace {
        return Err(Status::invalid_argument("Cannot register global namespace when not enabled"));
    }
    let retention = retention(shared, request.workflow_execution_retention_period.as_ref())?;
    let cluster = shared.backend.cluster().cluster_name;
    if !request.active_cluster_name.is_empty() && request.active_cluster_name != cluster {
        let name = &request.active_cluster_name;
        return Err(Status::invalid_argument(format!("Invalid cluster name: {name}")));
    }
    let name = request.namespace;
    let namespace = Namespace {
        id: Uuid::new_v4().to_string(),
        name: name.clone(),
        state: NamespaceState::Registered,
        description: request.description,
        owner_email: request.owner_email,
        data: request.data.into_iter().collect(),
        retention,
    };
    let taken = || Reject::NamespaceAlreadyExists(format!("Namespace \"{name}\" already exists"));
    if shared.backend.namespace(&name).is_some() {
        return Err(status::of_reject(taken()));
    }
    shared.backend.register_namespace(namespace).await.map_err(|error| {
        match Failure::from(error) {
            // Another node registered it in the meantime; the answer is the same.
            Failure::Status(refused) if refused.code() == tonic::Code::AlreadyExists => {
                status::of_reject(taken())
            }
            failure => failure.into_status(),
        }
    })?;
    Ok(encode(&RegisterNamespaceResponse {}))
}

pub(super) async fn describe(call: Call, request: DescribeNamespaceRequest) -> Answer {
    let shared = &call.shared;
    let namespace = match (request.namespace.is_empty(), request.id.is_empty()) {
        (true, true) => return Err(Status::invalid_argument("Namespace not set on request.")),
        (false, false) => {
            return Err(Status::invalid_argument(
                "GetNamespace operation failed.  Both ID and Name specified in request.",
            ));
        }
        (false, true) => {
            check_name(shared, &request.namespace)?;
            shared.namespace(&request.namespace).await?
        }
        (true, false) => shared.namespace_by_id(&request.id).await?,
    };
    Ok(encode(&description(shared, &namespace)))
}

pub(super) async fn list(call: Call, request: ListNamespacesRequest) -> Answer {
    let shared = &call.shared;
    let include_deleted = request.namespace_filter.is_some_and(|filter| filter.include_deleted);
    let page = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_NAMESPACES,
        Ok(page) => page,
        Err(_) => return Err(Status::invalid_argument("Invalid PageSize.")),
    };
    // The token is the last name that was seen, so namespaces that come and go disturb nobody.
    let seen = String::from_utf8(request.next_page_token)
        .map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?;
    let mut namespaces = shared.backend.namespaces();
    namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    let shown: Vec<_> = namespaces
        .into_iter()
        .filter(|namespace| seen.is_empty() || namespace.name > seen)
        .filter(|namespace| include_deleted || namespace.state != NamespaceState::Deleted)
        .take(page)
        .collect();
    let last = shown.last().filter(|_| shown.len() == page);
    let next_page_token = last.map(|last| last.name.clone().into_bytes()).unwrap_or_default();
    let namespaces = shown.iter().map(|namespace| description(shared, namespace)).collect();
    Ok(encode(&ListNamespacesResponse { namespaces, next_page_token }))
}

pub(super) async fn update(call: Call, request: UpdateNamespaceRequest) -> Answer {
    let shared = &call.shared;
    check_name(shared, &request.namespace)?;
    let namespace = shared.namespace(&request.namespace).await?;
    if request.promote_namespace {
        return Err(Status::invalid_argument(format!(
            "global namespace is not enabled on this cluster, cannot update global namespace or promote local \
             namespace: {}",
            namespace.name
        )));
    }
    let mut change = NamespaceChange::default();
    if let Some(info) = request.update_info {
        let state = info.state();
        if state != NamespaceState::Unspecified && state != namespace.state {
            // A namespace on its way out does not come back.
            if (state as i32) < namespace.state as i32 {
                return Err(Status::invalid_argument("Invalid namespace state update."));
            }
            change.state = Some(state);
        }
        change.description = Some(info.description).filter(|text| !text.is_empty());
        change.owner_email = Some(info.owner_email).filter(|text| !text.is_empty());
        change.data = info.data.into_iter().collect();
    }
    if let Some(config) = request.config
        && config.workflow_execution_retention_ttl.is_some()
    {
        change.retention = Some(retention(shared, config.workflow_execution_retention_ttl.as_ref())?);
    }
    let updated = change_namespace(shared, &namespace.id, change).await?;
    let description = description(shared, &updated);
    Ok(encode(&UpdateNamespaceResponse {
        namespace_info: description.namespace_info,
        config: description.config,
        replication_config: description.replication_config,
        failover_version: description.failover_version,
        is_global_namespace: description.is_global_namespace,
    }))
}

pub(super) async fn deprecate(call: Call, request: DeprecateNamespaceRequest) -> Answer {
    let shared = &call.shared;
    check_name(shared, &request.namespace)?;
    let namespace = shared.namespace(&request.namespace).await?;
    let allowed = [NamespaceState::Registered, NamespaceState::Deprecated];
    if !allowed.contains(&namespace.state) {
        return Err(status::namespace_state(&namespace.name, namespace.state, &allowed));
    }
    let change = NamespaceChange { state: Some(NamespaceState::Deprecated), ..NamespaceChange::default() };
    change_namespace(shared, &namespace.id, change).await?;
    Ok(encode(&DeprecateNamespaceResponse {}))
}

/// The name is free at once; what the namespace has goes in the background.
pub(super) async fn delete(call: Call, request: DeleteNamespaceRequest) -> Answer {
    let shared = &call.shared;
    let delay = set_duration(request.namespace_delete_delay.as_ref());
    let deletion =
        cluster::Request::DeleteNamespace { name: request.namespace, id: request.namespace_id, delay };
    let deleted = shared.backend.change_cluster(deletion).await;
    match deleted.map_err(|error| Failure::from(error).into_status())? {
        cluster::Reply::Namespace(namespace) => {
            Ok(encode(&DeleteNamespaceResponse { deleted_namespace: namespace.name }))
        }
        _ => Err(Status::internal("unexpected answer to the deletion of a namespace")),
    }
}

async fn change_namespace(
    shared: &Shared,
    id: &str,
    change: NamespaceChange,
) -> Result<std::sync::Arc<Namespace>, Status> {
    shared.backend.update_namespace(id, change).await.map_err(|error| Failure::from(error).into_status())
}

fn check_name(shared: &Shared, name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("Namespace not set on request."));
    }
    if name.len() > shared.dynamic.settings(name).limits.id_bytes_max {
        return Err(Status::invalid_argument("Namespace length exceeds limit."));
    }
    Ok(())
}

fn retention(shared: &Shared, given: Option<&prost_types::Duration>) -> Result<Duration, Status> {
    let min = shared.api("").retention_min;
    match set_duration(given) {
        Some(retention) if !is_negative(given) && retention >= min => Ok(retention),
        _ => Err(Status::invalid_argument("A valid retention period is not set on request.")),
    }
}

fn description(shared: &Shared, namespace: &Namespace) -> DescribeNamespaceResponse {
    let settings = shared.dynamic.settings(&namespace.name);
    let shown = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let cluster_name = shared.backend.cluster().cluster_name;
    DescribeNamespaceResponse {
        namespace_info: Some(NamespaceInfo {
            name: namespace.name.clone(),
            state: namespace.state as i32,
            description: namespace.description.clone(),
            owner_email: namespace.owner_email.clone(),
            data: namespace.data.clone().into_iter().collect(),
            id: namespace.id.clone(),
            // What is not named here does not work, and workers do without it.
            capabilities: Some(Capabilities {
                eager_workflow_start: settings.limits.eager_workflow_start,
                sync_update: true,
                async_update: true,
                worker_heartbeats: true,
                poller_autoscaling: true,
                standalone_activities: true,
                standalone_activity_start_delay: true,
                standalone_activity_operator_commands: true,
                standalone_nexus_operation: settings.api.standalone_nexus_operations,
                workflow_pause: settings.api.workflow_pause,
                ..Capabilities::default()
            }),
            limits: Some(ShownLimits {
                blob_size_limit_error: shown(settings.limits.blob_bytes_max),
                memo_size_limit_error: shown(settings.limits.memo_bytes_max),
                workflow_task_completion_size_limit_error: COMPLETION_BYTES_MAX,
            }),
            supports_schedules: false,
        }),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: Some(proto_duration(namespace.retention)),
            bad_binaries: Some(BadBinaries::default()),
            history_archival_state: ArchivalState::Disabled as i32,
            visibility_archival_state: ArchivalState::Disabled as i32,
            ..NamespaceConfig::default()
        }),
        replication_config: Some(NamespaceReplicationConfig {
            active_cluster_name: cluster_name.clone(),
            clusters: vec![ClusterReplicationConfig { cluster_name, ..Default::default() }],
            // The one that is there from the beginning was never registered, and so has no state.
            state: if namespace.name == DEFAULT_NAMESPACE {
                ReplicationState::Unspecified
            } else {
                ReplicationState::Normal
            } as i32,
        }),
        ..DescribeNamespaceResponse::default()
    }
}
