//! How many consensus rounds an update waits for: one, if its worker accepts and answers it with one task; none,
//! if the worker rejects it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use everlog_cluster_tests::{
    api::{Api, NAMESPACE, execution, with_deadline},
    cluster::Cluster,
    messages::{acceptance, rejection, response},
    unique::unique,
};
use temporalio_protos::temporal::api::{
    common::v1::WorkflowType,
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage,
    protocol::v1::Message,
    taskqueue::v1::TaskQueue,
    update::v1::{Input, Meta, Outcome, Request, WaitPolicy, outcome::Value},
    workflowservice::v1::{
        PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest, StartWorkflowExecutionRequest,
        UpdateWorkflowExecutionRequest, UpdateWorkflowExecutionResponse,
    },
};

const ROUNDS: &str = "everlog_rounds_waited_total";
const PATIENCE: Duration = Duration::from_secs(20);
const UPDATES: u64 = 10;
/// Each new leader writes an entry of its own, so none may come while entries are counted.
const SETTLE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_waits_for_one_round_and_a_rejection_for_none() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leaders = cluster.leaders().await;
    loop {
        tokio::time::sleep(SETTLE).await;
        let now = cluster.leaders().await;
        if now == leaders {
            break;
        }
        leaders = now;
    }
    let workflow = Workflow { api: cluster.api()?, id: unique("updates") };
    workflow.start().await?;
    workflow.answer_task(|_| Vec::new()).await?;

    let before = cluster.total(ROUNDS, "").await?;
    for number in 0..UPDATES {
        let id = format!("accepted-{number}");
        let (answer, ()) = tokio::try_join!(workflow.update(&id), workflow.answer_task(accepted))?;
        ensure!(answer.stage == Stage::Completed as i32, "{answer:?}");
    }
    let rounds = cluster.total(ROUNDS, "").await? - before;
    println!("{UPDATES} updates, one after the other: {rounds}");
    ensure!(rounds == UPDATES, "{rounds} rounds for {UPDATES} updates");

    let before = cluster.total(ROUNDS, "").await?;
    for number in 0..UPDATES {
        let id = format!("rejected-{number}");
        let (answer, ()) = tokio::try_join!(workflow.update(&id), workflow.answer_task(rejected))?;
        ensure!(matches!(answer.outcome, Some(Outcome { value: Some(Value::Failure(_)) })), "{answer:?}");
    }
    // The first of them comes behind the events of the last update, and its task is written.
    let rounds = cluster.total(ROUNDS, "").await? - before;
    println!("{UPDATES} rejections: {rounds}");
    ensure!(rounds <= 1, "{rounds} rounds for {UPDATES} rejections");
    cluster.passed()
}

struct Workflow {
    api: Api,
    id: String,
}

impl Workflow {
    async fn start(&self) -> Result<()> {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_id: self.id.clone(),
            workflow_type: Some(WorkflowType { name: "Raw".into() }),
            task_queue: Some(self.queue()),
            request_id: unique("start"),
            ..Default::default()
        };
        self.api
            .read(0, Instant::now() + PATIENCE, |mut client| {
                let request = request.clone();
                async move { client.start_workflow_execution(request).await }
            })
            .await?;
        Ok(())
    }

    fn queue(&self) -> TaskQueue {
        TaskQueue { name: self.id.clone(), ..Default::default() }
    }

    async fn update(&self, update_id: &str) -> Result<UpdateWorkflowExecutionResponse> {
        let request = UpdateWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution(&self.id, "")),
            wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed as i32 }),
            request: Some(Request {
                meta: Some(Meta { update_id: update_id.into(), identity: "client".into() }),
                input: Some(Input { name: "change".into(), ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut client = self.api.node(1);
        let answer = client.update_workflow_execution(with_deadline(request, PATIENCE)).await;
        Ok(answer.context("no answer to an update")?.into_inner())
    }

    /// Takes a workflow task and answers it with messages.
    async fn answer_task(&self, say: fn(&str) -> Vec<Message>) -> Result<()> {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: Some(self.queue()),
            identity: "worker".into(),
            ..Default::default()
        };
        let mut client = self.api.node(2);
        let task = client.poll_workflow_task_queue(with_deadline(request, PATIENCE)).await?.into_inner();
        let messages = task.messages.iter().flat_map(|message| say(&message.protocol_instance_id)).collect();
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token,
            identity: "worker".into(),
            messages,
            ..Default::default()
        };
        client.respond_workflow_task_completed(with_deadline(request, PATIENCE)).await?;
        Ok(())
    }
}

fn accepted(update_id: &str) -> Vec<Message> {
    vec![acceptance(update_id), response(update_id, 1)]
}

fn rejected(update_id: &str) -> Vec<Message> {
    vec![rejection(update_id, "unwanted")]
}
