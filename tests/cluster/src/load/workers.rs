//! Workers: they poll, run programs and activities, and answer; and they forget everything in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use temporalio_protos::temporal::api::{
    command::v1::Command,
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{QueryResultType, VersioningBehavior},
    failure::v1::Failure,
    history::v1::HistoryEvent,
    nexus::v1::{Response, StartOperationRequest},
    protocol::v1::Message,
    query::v1::WorkflowQueryResult,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest, PollActivityTaskQueueRequest, PollActivityTaskQueueResponse,
        PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse, RespondActivityTaskCompletedRequest,
        RespondActivityTaskFailedRequest, RespondQueryTaskCompletedRequest,
        RespondWorkflowTaskCompletedRequest,
    },
};
use tokio::task::JoinSet;
use tonic::Status;

use super::{NexusHandler, QUEUE, clients::outcome};
use crate::{
    api::{Api, CALL_TIMEOUT, NAMESPACE, limited, marked, payloads, with_deadline},
    program::{activity_index, activity_value, program_of},
    record::{Kind, Recorder},
    unique::{Chance, unique},
};

/// Long enough to be a long poll, short enough that a worker moves on from a node that is gone.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const POLL_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// An answer is repeated for so long; then the task is left to its timeout.
pub(super) const PERSIST: Duration = Duration::from_secs(3);
/// One activity in so many is taken and never answered, as by a worker that died.
const FORGET_ONE_IN: u64 = 60;
/// Activities of this type fail a few times before they give what others give at once.
pub const STUBBORN: &str = "stubborn";
const STUBBORN_FAILURES: i32 = 3;

/// A workflow task, with the whole history.
#[derive(Debug)]
pub struct Task<'a> {
    pub workflow_id: &'a str,
    pub events: &'a [HistoryEvent],
    pub messages: &'a [Message],
}

/// What a worker says to a task.
#[derive(Debug, Default)]
pub struct Answer {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
    /// What becomes of the workflow when its workers get another version.
    pub behavior: VersioningBehavior,
}

/// Answers a task. None: it is not for these workers.
pub type Decide = fn(&Task<'_>) -> Option<Answer>;

/// Workers at work until dropped.
#[derive(Debug)]
pub struct Workers {
    tasks: JoinSet<()>,
}

impl Workers {
    /// `pollers` of each kind at each node.
    pub fn start(api: &Api, recorder: &Recorder, pollers: usize, seed: u64) -> Self {
        Self::start_on(QUEUE, run_program, api, recorder, pollers, seed)
    }

    /// The same for workflows of another queue.
    pub fn start_on(
        queue: &str,
        decide: Decide,
        api: &Api,
        recorder: &Recorder,
        pollers: usize,
        seed: u64,
    ) -> Self {
        Self::start_version(None, queue, decide, api, recorder, pollers, seed)
    }

    /// The same of a version of a deployment.
    pub fn start_version(
        version: Option<WorkerDeploymentOptions>,
        queue: &str,
        decide: Decide,
        api: &Api,
        recorder: &Recorder,
        pollers: usize,
        seed: u64,
    ) -> Self {
        let mut tasks = JoinSet::new();
        for number in 0..pollers * api.nodes() {
            let (api, recorder, version) = (api.clone(), recorder.clone(), version.clone());
            let worker = Worker { api, recorder, home: number, queue: queue.into(), version, decide };
            tasks.spawn(worker.clone().poll_workflow_tasks());
            tasks.spawn(worker.poll_activities(Chance::new(seed + number as u64)));
        }
        Self { tasks }
    }

    /// Pollers that answer Nexus tasks of a queue, `pollers` at each node.
    pub fn handle_nexus<F, Handled>(&mut self, queue: &'static str, handle: F, api: &Api, pollers: usize)
    where
        F: Fn(NexusHandler, StartOperationRequest) -> Handled + Copy + Send + Sync + 'static,
        Handled: Future<Output = Option<Response>> + Send + 'static,
    {
        for home in 0..pollers * api.nodes() {
            self.tasks.spawn(NexusHandler::new(api.clone(), home).poll(queue, handle));
        }
    }

    /// Ends all at once, tasks in hand included, as a crash would.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

#[derive(Clone)]
struct Worker {
    api: Api,
    recorder: Recorder,
    /// The node that is asked first.
    home: usize,
    queue: Arc<str>,
    version: Option<WorkerDeploymentOptions>,
    decide: Decide,
}

impl Worker {
    async fn poll_workflow_tasks(self) {
        let mut node = self.home;
        loop {
            let mut client = self.api.node(node);
            let request = PollWorkflowTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(queue(&self.queue)),
                identity: format!("worker-{}", self.home),
                deployment_options: self.version.clone(),
                ..Default::default()
            };
            let poll = client.poll_workflow_task_queue(with_deadline(request, POLL_TIMEOUT));
            match limited(POLL_TIMEOUT, poll).await {
                Ok(task) => self.workflow_task(node, task.into_inner()).await,
                Err(status) => {
                    self.api.note(&status);
                    node += 1;
                    tokio::time::sleep(POLL_RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn workflow_task(&self, node: usize, task: PollWorkflowTaskQueueResponse) {
        if task.task_token.is_empty() {
            return;
        }
        // A history that cannot be read is left alone: the task times out and is offered again.
        let Ok(events) = self.whole_history(node, &task).await else { return };
        if task.query.is_some() {
            self.answer_query(node, task, &events).await;
            return;
        }
        let workflow_id = task.workflow_execution.map(|it| it.workflow_id).unwrap_or_default();
        let told = Task { workflow_id: &workflow_id, events: &events, messages: &task.messages };
        let Some(Answer { commands, messages, behavior }) = (self.decide)(&told) else { return };
        let mark = unique("task");
        let answers = task.queries.keys().map(|id| (id.clone(), query_result(&events)));
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token,
            commands,
            messages,
            identity: mark.clone(),
            namespace: NAMESPACE.into(),
            query_results: answers.collect(),
            versioning_behavior: behavior as i32,
            deployment_options: self.version.clone(),
            ..Default::default()
        };
        let under_way = self.recorder.invoke(&workflow_id, Kind::CompleteTask, &mark);
        let answer = self
            .api
            .persist(node, Instant::now() + PERSIST, |mut client| {
                let request = with_deadline(request.clone(), CALL_TIMEOUT);
                async move { client.respond_workflow_task_completed(request).await }
            })
            .await;
        under_way.end(outcome(answer, |_| String::new()));
    }

    /// The task brings the first page; the others are read.
    async fn whole_history(
        &self,
        node: usize,
        task: &PollWorkflowTaskQueueResponse,
    ) -> Result<Vec<HistoryEvent>, Status> {
        let mut events = task.history.clone().map(|history| history.events).unwrap_or_default();
        let mut next_page_token = task.next_page_token.clone();
        while !next_page_token.is_empty() {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.into(),
                execution: task.workflow_execution.clone(),
                next_page_token,
                ..Default::default()
            };
            let mut client = self.api.node(node);
            let page =
                limited(CALL_TIMEOUT, client.get_workflow_execution_history(request)).await?.into_inner();
            events.extend(page.history.map(|history| history.events).unwrap_or_default());
            next_page_token = page.next_page_token;
        }
        Ok(events)
    }

    async fn answer_query(&self, node: usize, task: PollWorkflowTaskQueueResponse, events: &[HistoryEvent]) {
        let result = query_result(events);
        let request = RespondQueryTaskCompletedRequest {
            task_token: task.task_token,
            completed_type: result.result_type,
            query_result: result.answer,
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        // Nobody can wait longer for it than the query's own deadline, so it is sent once.
        let _ = limited(CALL_TIMEOUT, self.api.node(node).respond_query_task_completed(request)).await;
    }

    async fn poll_activities(self, mut chance: Chance) {
        let mut node = self.home;
        loop {
            let mut client = self.api.node(node);
            let request = PollActivityTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(queue(&self.queue)),
                identity: format!("worker-{}", self.home),
                deployment_options: self.version.clone(),
                ..Default::default()
            };
            let poll = client.poll_activity_task_queue(with_deadline(request, POLL_TIMEOUT));
            match limited(POLL_TIMEOUT, poll).await {
                Ok(_) if chance.below(FORGET_ONE_IN) == 0 => {}
                Ok(task) => self.activity(node, task.into_inner()).await,
                Err(status) => {
                    self.api.note(&status);
                    node += 1;
                    tokio::time::sleep(POLL_RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn activity(&self, node: usize, task: PollActivityTaskQueueResponse) {
        let Some(index) = activity_index(&task.activity_id) else { return };
        let is_stubborn = task.activity_type.is_some_and(|it| it.name == STUBBORN);
        if is_stubborn && task.attempt <= STUBBORN_FAILURES {
            self.fail_activity(node, task.task_token).await;
            return;
        }
        let workflow_id = task.workflow_execution.map(|it| it.workflow_id).unwrap_or_default();
        let mark = unique("activity");
        let request = RespondActivityTaskCompletedRequest {
            task_token: task.task_token,
            result: Some(marked(activity_value(index), &mark)),
            identity: mark.clone(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let under_way = self.recorder.invoke(&workflow_id, Kind::CompleteActivity, &mark);
        let answer = self
            .api
            .persist(node, Instant::now() + PERSIST, |mut client| {
                let request = with_deadline(request.clone(), CALL_TIMEOUT);
                async move { client.respond_activity_task_completed(request).await }
            })
            .await;
        under_way.end(outcome(answer, |_| String::new()));
    }

    async fn fail_activity(&self, node: usize, task_token: Vec<u8>) {
        let request = RespondActivityTaskFailedRequest {
            task_token,
            failure: Some(Failure { message: "not yet".into(), ..Default::default() }),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        // A failure that is not heard becomes a time-out.
        let _ = limited(CALL_TIMEOUT, self.api.node(node).respond_activity_task_failed(request)).await;
    }
}

/// Every query asks the same: how many events does the worker know?
fn query_result(events: &[HistoryEvent]) -> WorkflowQueryResult {
    WorkflowQueryResult {
        result_type: QueryResultType::Answered as i32,
        answer: Some(payloads(&events.len().to_string())),
        ..Default::default()
    }
}

fn run_program(task: &Task<'_>) -> Option<Answer> {
    let program = program_of(task.events)?;
    Some(Answer { commands: program.decide(task.events, QUEUE), ..Answer::default() })
}

pub(super) fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), ..Default::default() }
}
