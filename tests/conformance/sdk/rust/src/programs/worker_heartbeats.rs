//! Workers that tell the server how they are.

use std::time::Duration;

use anyhow::Result;
use temporalio_client::tonic::Request;
use temporalio_common::protos::temporal::api::{
    enums::v1::WorkerStatus,
    worker::v1::WorkerHeartbeat,
    workflowservice::v1::{CountWorkersRequest, DescribeWorkerRequest, ListWorkersRequest},
};
use temporalio_sdk::{Runtime, runtime::RuntimeOptions};

use super::hello::{Greeter, Greeting};
use crate::harness::{Case, Env, NAMESPACE, equal, holds, until};

pub const CASES: &[Case] = crate::cases![seen_and_gone];

/// The running workers of this case as the server lists them.
async fn listed(env: &Env) -> Result<Vec<WorkerHeartbeat>> {
    let request = ListWorkersRequest {
        namespace: NAMESPACE.to_owned(),
        query: format!("TaskQueue = '{}' AND Status = 'Running'", env.queue),
        ..ListWorkersRequest::default()
    };
    let answer =
        env.client.connection().workflow_service().list_workers(Request::new(request)).await?.into_inner();
    #[allow(deprecated, reason = "the summary beside it does not have the SDK's name")]
    Ok(answer.workers_info.into_iter().filter_map(|worker| worker.worker_heartbeat).collect())
}

/// A worker is listed while it runs, described with what it has done, and gone when it has stopped.
async fn seen_and_gone(env: &Env) -> Result<()> {
    let interval = Some(Duration::from_secs(1));
    let options =
        RuntimeOptions::builder().heartbeat_interval(interval).build().map_err(anyhow::Error::msg)?;
    let runtime = Runtime::from_current_tokio(options)?;
    // The heartbeats of a connection come from the first worker that uses it.
    let client = env.another_client(1).await?;
    let worker = env
        .worker_on(client)
        .workflow::<Greeting>()
        .activities(Greeter)
        .with(|options| options.client_identity_override = Some("a-worker-that-beats".to_owned()));
    worker
        .during_on(&runtime, async {
            let worker = until("the worker's heartbeat", async || Ok(listed(env).await?.pop())).await?;
            equal(worker.worker_identity.as_str(), "a-worker-that-beats")?;
            equal((worker.sdk_name.as_str(), worker.status()), ("temporal-rust", WorkerStatus::Running))?;
            equal(env.execute(Greeting::run, "you").await?, "Hello, you!")?;
            let mut service = env.client.connection().workflow_service();
            let beat = until("a heartbeat after the activity", async || {
                let request = DescribeWorkerRequest {
                    namespace: NAMESPACE.to_owned(),
                    worker_instance_key: worker.worker_instance_key.clone(),
                };
                let answer = service.describe_worker(Request::new(request)).await?.into_inner();
                let beat = answer.worker_info.and_then(|info| info.worker_heartbeat).unwrap_or_default();
                let done = beat.activity_task_slots_info.as_ref().map(|info| info.total_processed_tasks);
                Ok((done == Some(1)).then_some(beat))
            })
            .await?;
            let tasks = beat.workflow_task_slots_info.unwrap_or_default().total_processed_tasks;
            holds(tasks >= 1, tasks)?;
            let count = CountWorkersRequest {
                namespace: NAMESPACE.to_owned(),
                query: format!("TaskQueue = '{}'", env.queue),
                ..CountWorkersRequest::default()
            };
            equal(service.count_workers(Request::new(count)).await?.into_inner().count, 1)
        })
        .await?;
    until("the worker's last heartbeat", async || Ok(listed(env).await?.is_empty().then_some(()))).await
}
