//! Workers as they describe themselves, and as operators look at them.

use everlog_engine::{codec, worker::WorkerQuery};
use everlog_proto::api::{
    worker::v1::{WorkerHeartbeat, WorkerInfo, WorkerListInfo},
    workflowservice::v1::{
        CountWorkersRequest, CountWorkersResponse, DescribeWorkerRequest, DescribeWorkerResponse,
        ListWorkersRequest, ListWorkersResponse, RecordWorkerHeartbeatRequest, RecordWorkerHeartbeatResponse,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    status,
};
use crate::{
    route::Failure,
    workers::{Choice, WorkerPage},
};

const TOKEN_KIND: u8 = b'J';
const TOKEN_VERSION: u8 = 1;

pub(super) async fn heartbeat(scope: Scope, request: RecordWorkerHeartbeatRequest) -> Answer {
    scope.call.shared.backend.hear_workers(scope.namespace_id(), &request.worker_heartbeat);
    Ok(encode(&RecordWorkerHeartbeatResponse {}))
}

pub(super) async fn list(scope: Scope, request: ListWorkersRequest) -> Answer {
    let choice = choice(&request.query, request.include_system_workers)?;
    let after = match request.next_page_token.as_slice() {
        [] => None,
        token => Some(
            codec::decode(TOKEN_KIND, TOKEN_VERSION, token)
                .map_err(|_| Status::invalid_argument("invalid next_page_token"))?,
        ),
    };
    let size = usize::try_from(request.page_size).unwrap_or_default();
    let listed = scope.call.shared.backend.list_workers(scope.namespace_id(), &choice, after, size).await;
    let WorkerPage { workers, next } = listed.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&answer(workers, next)))
}

#[allow(deprecated, reason = "clients still read the full form, and the real server still sends it")]
fn answer(workers: Vec<WorkerHeartbeat>, next: Option<String>) -> ListWorkersResponse {
    ListWorkersResponse {
        workers: workers.iter().map(in_short).collect(),
        workers_info: workers
            .into_iter()
            .map(|worker| WorkerInfo { worker_heartbeat: Some(worker) })
            .collect(),
        next_page_token: next
            .map(|after| codec::encode(TOKEN_KIND, TOKEN_VERSION, &after))
            .unwrap_or_default(),
    }
}

pub(super) async fn count(scope: Scope, request: CountWorkersRequest) -> Answer {
    let choice = choice(&request.query, request.include_system_workers)?;
    let counted = scope.call.shared.backend.count_workers(scope.namespace_id(), &choice).await;
    let count = counted.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&CountWorkersResponse { count }))
}

pub(super) async fn describe(scope: Scope, request: DescribeWorkerRequest) -> Answer {
    let backend = &scope.call.shared.backend;
    let found = backend.describe_worker(scope.namespace_id(), &request.worker_instance_key).await;
    let worker = found.map_err(|error| Failure::from(error).into_status())?;
    Ok(encode(&DescribeWorkerResponse { worker_info: Some(WorkerInfo { worker_heartbeat: Some(worker) }) }))
}

fn choice(query: &str, with_system: bool) -> Result<Choice, Status> {
    let query = WorkerQuery::parse(query).map_err(status::of_reject)?;
    Ok(Choice { query, with_system })
}

fn in_short(worker: &WorkerHeartbeat) -> WorkerListInfo {
    let host = worker.host_info.clone().unwrap_or_default();
    WorkerListInfo {
        worker_instance_key: worker.worker_instance_key.clone(),
        worker_identity: worker.worker_identity.clone(),
        task_queue: worker.task_queue.clone(),
        deployment_version: worker.deployment_version.clone(),
        sdk_name: worker.sdk_name.clone(),
        sdk_version: worker.sdk_version.clone(),
        status: worker.status,
        start_time: worker.start_time,
        host_name: host.host_name,
        worker_grouping_key: host.worker_grouping_key,
        process_id: host.process_id,
        plugins: worker.plugins.clone(),
        drivers: worker.drivers.clone(),
    }
}
