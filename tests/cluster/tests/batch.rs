//! A batch whose leader dies in the middle of it: what a list tells then is not what the batch began with, for the
//! workflows that were done are closed, or have other runs. Each is done once all the same, and counted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use everlog_cluster_tests::{
    api::{NAMESPACE, execution},
    cluster::Cluster,
    load::{Answer, Workers},
    mix::client::{Client, queue},
    record::Recorder,
};
use temporalio_protos::temporal::api::{
    batch::v1::{BatchOperationReset, BatchOperationTermination},
    common::v1::{ResetOptions, reset_options::Target},
    enums::v1::{BatchOperationState, WorkflowExecutionStatus as Status},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        DescribeBatchOperationRequest, DescribeBatchOperationResponse, DescribeWorkflowExecutionRequest,
        StartBatchOperationRequest, start_batch_operation_request::Operation,
    },
};
use tonic::{Code, Response};

const WORKFLOWS: usize = 8;
const OPERATIONS_PER_SECOND: f32 = 8.0;
/// Some of them are done by then, and some are not.
const LEADER_DIES_AFTER: Duration = Duration::from_millis(450);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The shard whose leader carries out batches.
const SHARD: u64 = 0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_in_the_middle() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let api = cluster.api()?;
    let workers = Workers::start_on(&queue().name, |_| Some(Answer::default()), &api, &Recorder::new(), 2, 1);
    let client = Client::new(api.clone(), "batch", 0);
    let group = client.id();
    let mut members = Vec::new();
    for number in 0..WORKFLOWS {
        let id = format!("{group}-{number}");
        let run_id = client.start("waits", &id, "").await?;
        members.push((id, run_id));
    }
    for (id, run_id) in &members {
        wait_rests(&client, id, run_id).await?;
    }
    let options = ResetOptions { target: Some(Target::FirstWorkflowTask(())), ..Default::default() };
    let reset = BatchOperationReset { options: Some(options), ..Default::default() };
    carry_out(&mut cluster, &client, &group, "reset", Operation::ResetOperation(reset)).await?;
    for (id, run_id) in &members {
        let events = client.history(id, "").await?;
        ensure!(bases(&events) == [run_id.as_str()], "{id} began with {run_id}: {:?}", bases(&events));
    }
    let termination = BatchOperationTermination::default();
    carry_out(&mut cluster, &client, &group, "end", Operation::TerminationOperation(termination)).await?;
    for (id, _) in &members {
        let request = DescribeWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(id, "")),
        };
        let described = client
            .write("a description", &request, |mut client, request| async move {
                client.describe_workflow_execution(request).await
            })
            .await?;
        let status = described.workflow_execution_info.unwrap_or_default().status();
        ensure!(status == Status::Terminated, "{id} is {status:?}");
    }
    workers.kill().await;
    cluster.passed()
}

/// Of those that run; the node that carries it out is killed meanwhile, and comes back.
async fn carry_out(
    cluster: &mut Cluster,
    client: &Client,
    group: &str,
    what: &str,
    operation: Operation,
) -> Result<()> {
    let job_id = format!("{group}-{what}");
    let request = StartBatchOperationRequest {
        namespace: NAMESPACE.into(),
        visibility_query: format!("WorkflowId STARTS_WITH '{group}-' AND ExecutionStatus = 'Running'"),
        job_id: job_id.clone(),
        reason: "a test".into(),
        max_operations_per_second: OPERATIONS_PER_SECOND,
        operation: Some(operation),
        ..Default::default()
    };
    client
        .write("a batch", &request, |mut client, request| async move {
            match client.start_batch_operation(request).await {
                Err(status) if status.code() == Code::AlreadyExists => Ok(Response::new(Default::default())),
                answer => answer,
            }
        })
        .await?;
    tokio::time::sleep(LEADER_DIES_AFTER).await;
    let leader = *cluster.leaders().await.get(&SHARD).context("nobody leads the shard of batches")?;
    cluster.node(leader).kill();
    let deadline = Instant::now() + LIMIT;
    let done = loop {
        let described = describe(client, &job_id).await?;
        if described.state() != BatchOperationState::Running {
            break described;
        }
        ensure!(Instant::now() < deadline, "{job_id} does not end: {described:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    cluster.node(leader).start()?;
    cluster.wait_ready().await?;
    let counts = (done.total_operation_count, done.complete_operation_count, done.failure_operation_count);
    let all = WORKFLOWS as i64;
    ensure!(counts == (all, all, 0), "{job_id} is {:?} and counted {counts:?}", done.state());
    Ok(())
}

async fn describe(client: &Client, job_id: &str) -> Result<DescribeBatchOperationResponse> {
    let request = DescribeBatchOperationRequest { namespace: NAMESPACE.into(), job_id: job_id.into() };
    client
        .write("the description of a batch", &request, |mut client, request| async move {
            client.describe_batch_operation(request).await
        })
        .await
}

/// The runs of which the resets of a history were made.
fn bases(events: &[HistoryEvent]) -> Vec<&str> {
    fn base(event: &HistoryEvent) -> Option<&str> {
        match event.attributes.as_ref()? {
            Attributes::WorkflowTaskFailedEventAttributes(it) => Some(it.base_run_id.as_str()),
            _ => None,
        }
    }
    events.iter().filter_map(base).filter(|run_id| !run_id.is_empty()).collect()
}

async fn wait_rests(client: &Client, id: &str, run_id: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let events = client.history(id, run_id).await?;
        let last = events.last().and_then(|event| event.attributes.as_ref());
        if matches!(last, Some(Attributes::WorkflowTaskCompletedEventAttributes(_))) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{id} does not come to rest");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
