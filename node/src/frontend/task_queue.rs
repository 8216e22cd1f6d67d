//! Task queues as operators and stopping workers see them.

use std::collections::HashMap;

use everlog_proto::api::{
    enums::v1::{DescribeTaskQueueMode, TaskQueueKind, TaskQueueType},
    taskqueue::v1::{TaskQueuePartitionMetadata, TaskQueueTypeInfo, TaskQueueVersionInfo},
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeTaskQueueResponse, ListTaskQueuePartitionsRequest,
        ListTaskQueuePartitionsResponse, ShutdownWorkerRequest, ShutdownWorkerResponse,
        UpdateTaskQueueConfigRequest, UpdateTaskQueueConfigResponse,
    },
};
use tonic::Status;

use super::{
    backend::{Place, WorkerShutdown},
    call::{Answer, Scope, encode},
    validate,
};
use crate::route::{Failure, Repeat, to_home};

/// How the real server writes the part of a queue; ours have one part.
const PARTITION_PREFIX: &str = "/_sys/";

#[allow(deprecated)]
pub(super) async fn describe(scope: Scope, mut request: DescribeTaskQueueRequest) -> Answer {
    let enhanced = request.api_mode() == DescribeTaskQueueMode::Enhanced;
    if !enhanced
        && let Some(queue) = &mut request.task_queue
        && let Some(root) = queue.name.strip_prefix(PARTITION_PREFIX).and_then(|name| name.rsplit_once('/'))
    {
        queue.name = root.0.to_owned();
    }
    let queue = validate::task_queue(&mut request.task_queue, &scope.limits)?.clone();
    if enhanced && queue.kind == TaskQueueKind::Sticky as i32 {
        return Err(Status::invalid_argument(
            "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal \
             queue.",
        ));
    }
    if request.report_stats && queue.kind == TaskQueueKind::Sticky as i32 {
        return Err(Status::invalid_argument(
            "DescribeTaskQueue stats are only supported for the root partition",
        ));
    }
    if enhanced || request.task_queue_type() == TaskQueueType::Unspecified {
        request.task_queue_type = TaskQueueType::Workflow as i32;
    }
    if request.task_queue_types.is_empty() {
        request.task_queue_types = vec![TaskQueueType::Workflow as i32, TaskQueueType::Activity as i32];
    }
    let (scope, request) = (&scope, &request);
    to_home(&scope.call, scope.namespace_id(), &queue.name, Repeat::Safe, |_| async move {
        let described = if enhanced {
            describe_types(scope, request).await?
        } else {
            let backend = &scope.call.shared.backend;
            backend.describe_task_queue(scope.namespace_id(), request.clone()).await?
        };
        Ok(encode(&described))
    })
    .await
}

/// The enhanced form tells of several types of tasks, by the version of the workers that take them. There
/// are no versions, so everything is under the empty one.
#[allow(deprecated)]
async fn describe_types(
    scope: &Scope,
    request: &DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Failure> {
    let mut types = HashMap::new();
    for kind in &request.task_queue_types {
        let one = DescribeTaskQueueRequest { task_queue_type: *kind, report_stats: true, ..request.clone() };
        let described = scope.call.shared.backend.describe_task_queue(scope.namespace_id(), one).await?;
        let info = TaskQueueTypeInfo {
            pollers: if request.report_pollers { described.pollers } else { Vec::new() },
            stats: described.stats.filter(|_| request.report_stats),
        };
        types.insert(*kind, info);
    }
    let unversioned = TaskQueueVersionInfo { types_info: types, ..TaskQueueVersionInfo::default() };
    Ok(DescribeTaskQueueResponse {
        versions_info: HashMap::from([(String::new(), unversioned)]),
        ..DescribeTaskQueueResponse::default()
    })
}

/// Every node knows what was set; the leader of shard 0 decides it.
pub(super) async fn configure(scope: Scope, request: UpdateTaskQueueConfigRequest) -> Answer {
    let backend = &scope.call.shared.backend;
    let config = backend.configure_task_queue(scope.namespace_id(), request).await;
    let config = config.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&UpdateTaskQueueConfigResponse { config: Some(config) }))
}

/// A queue has one home and no parts.
pub(super) async fn partitions(scope: Scope, mut request: ListTaskQueuePartitionsRequest) -> Answer {
    let queue = validate::task_queue(&mut request.task_queue, &scope.limits)?;
    let only = TaskQueuePartitionMetadata {
        key: queue.name.clone(),
        owner_host_name: match scope.call.shared.backend.locate(scope.namespace_id(), &queue.name) {
            Place::Here(_) => scope.call.shared.backend.cluster().address,
            Place::There(node) => format!("node {node}"),
            Place::Unknown => String::new(),
        },
    };
    Ok(encode(&ListTaskQueuePartitionsResponse {
        activity_task_queue_partitions: vec![only.clone()],
        workflow_task_queue_partitions: vec![only],
    }))
}

/// A worker says goodbye. Its queues may have homes on several nodes; each hears of it, and one that
/// cannot be reached finds out by itself when the polls end.
pub(super) async fn shutdown_worker(scope: Scope, request: ShutdownWorkerRequest) -> Answer {
    if let Some(last) = &request.worker_heartbeat
        && !scope.call.forwarded
    {
        scope.call.shared.backend.hear_workers(scope.namespace_id(), std::slice::from_ref(last));
    }
    let queues = [(&request.sticky_task_queue, true), (&request.task_queue, false)];
    for (queue, sticky) in queues {
        let elsewhere = || {
            let place = scope.call.shared.backend.locate(scope.namespace_id(), queue);
            scope.call.forwarded && !matches!(place, Place::Here(_))
        };
        if queue.is_empty() || elsewhere() {
            continue;
        }
        let worker = WorkerShutdown {
            namespace_id: scope.namespace.id.clone(),
            queue: queue.clone(),
            sticky,
            identity: request.identity.clone(),
            worker_instance_key: request.worker_instance_key.clone(),
        };
        let (scope, worker) = (&scope, &worker);
        let told = to_home(&scope.call, scope.namespace_id(), queue, Repeat::Safe, |_| async move {
            scope.call.shared.backend.shutdown_worker(worker.clone()).await?;
            Ok(bytes::Bytes::new())
        });
        if let Err(status) = told.await {
            tracing::debug!(queue, %status, "a queue did not hear that its worker stopped");
        }
    }
    Ok(encode(&ShutdownWorkerResponse {}))
}
