//! A node that answers what a test tells it to, and a client that calls it without a network.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use everlog_engine::{
    cluster,
    deployment::{
        DeploymentKey, DeploymentState, WorkerVersion,
        request::{DeploymentReply, DeploymentRequest},
        state::PolledQueue,
    },
    execution::{Execution, WorkflowTask},
    key::{RunKey, WorkflowKey},
    reject::Reject,
    reply::{Reply, StateReply, WorkflowTaskReply},
    request::Request as Asked,
    schedule::{
        ScheduleKey,
        request::{ScheduleReply, ScheduleRequest},
    },
    standalone::{StandaloneKey, request::StandaloneRequest},
    time::Time,
    visibility::Counts,
    volatile::StartedTask,
};
use everlog_proto::{
    api::{
        enums::v1::{IndexedValueType, NamespaceState, WorkflowExecutionStatus},
        history::v1::{History, HistoryEvent},
        nexus::v1::Endpoint,
        taskqueue::v1::TaskQueueConfig,
        worker::v1::WorkerHeartbeat,
        workflowservice::v1::{
            CountWorkflowExecutionsResponse, DescribeTaskQueueRequest, DescribeTaskQueueResponse,
            PollActivityTaskQueueResponse, PollNexusTaskQueueResponse, UpdateTaskQueueConfigRequest,
        },
    },
    prost::Message,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status, body::Body, metadata::MetadataMap};
use tower::Service;

use super::{
    NoObserver, Shared,
    backend::{
        ActivityPage, Backend, CallError, ClusterView, HistoryRead, Namespace, NamespaceChange,
        OperationPage, Order, Place, Poll, SchedulePage, SearchAttributesChange, WorkerShutdown,
        WorkflowPage,
    },
    dynamic_config::DynamicConfig,
    rate::RateLimits,
    service::{WORKFLOW_SERVICE, WorkflowApi},
};
use crate::{
    deployments::QueueSeen,
    nexus::NexusAnswered,
    workers::{Choice, WorkerPage},
};

pub(super) const NAMESPACE: &str = "default";
pub(super) const NAMESPACE_ID: &str = "1d4e24a4-6d54-4b0f-8a54-4b3b1a9f0001";
pub(super) const OTHER: &str = "other";
pub(super) const OTHER_ID: &str = "1d4e24a4-6d54-4b0f-8a54-4b3b1a9f0002";
pub(super) const RUN_ID: &str = "6b1d7c0a-53a1-4c0e-9d5e-2f3a4b5c6d7e";

type Answers = dyn Fn(&Asked) -> Result<Reply, CallError> + Send + Sync;

/// What the node was asked, and what it is to answer.
pub(super) struct Fake {
    /// Where keys live: one place for each look, the last for all further ones.
    pub(super) places: Mutex<VecDeque<Place>>,
    pub(super) answers: Box<Answers>,
    pub(super) asked: Mutex<Vec<Asked>>,
    /// The same of what runs on its own.
    pub(super) asked_alone: Mutex<Vec<StandaloneRequest>>,
    /// Answers to forwarded calls, in turn.
    pub(super) forwards: Mutex<VecDeque<Result<Bytes, Status>>>,
    pub(super) forwarded: Mutex<Vec<(u64, &'static str, Bytes, MetadataMap)>>,
    /// Other nodes never answer.
    pub(super) hangs: bool,
    /// The rows of every run's history, by their events' ids.
    pub(super) rows: Vec<Vec<i64>>,
    pub(super) task: Option<WorkflowTaskReply>,
    pub(super) polls: Mutex<Vec<Poll>>,
    pub(super) queries: Mutex<Vec<String>>,
    pub(super) namespaces: Mutex<BTreeMap<String, Arc<Namespace>>>,
    /// Namespaces that this node hears of only when it asks the cluster.
    pub(super) unheard: Mutex<Vec<Namespace>>,
}

impl Default for Fake {
    fn default() -> Fake {
        let namespaces = [(NAMESPACE, NAMESPACE_ID), (OTHER, OTHER_ID)]
            .map(|(name, id)| (name.to_owned(), Arc::new(namespace(name, id))));
        Fake {
            places: Mutex::new([Place::Here(1)].into()),
            answers: Box::new(|request| Ok(done(request))),
            asked: Mutex::default(),
            asked_alone: Mutex::default(),
            forwards: Mutex::default(),
            forwarded: Mutex::default(),
            hangs: false,
            rows: Vec::new(),
            task: None,
            polls: Mutex::default(),
            queries: Mutex::default(),
            namespaces: Mutex::new(namespaces.into()),
            unheard: Mutex::default(),
        }
    }
}

pub(super) fn namespace(name: &str, id: &str) -> Namespace {
    Namespace {
        id: id.to_owned(),
        name: name.to_owned(),
        state: NamespaceState::Registered,
        description: String::new(),
        owner_email: String::new(),
        data: BTreeMap::new(),
        retention: Duration::from_secs(24 * 60 * 60),
    }
}

/// An event that is recognised by its id alone.
pub(super) fn event(event_id: i64) -> HistoryEvent {
    HistoryEvent { event_id, task_id: 1000 + event_id, ..HistoryEvent::default() }
}

/// Whatever was asked, it was done.
pub(super) fn done(request: &Asked) -> Reply {
    match request {
        Asked::Signal(_) => Reply::Signaled { run_id: RUN_ID.to_owned() },
        _ => Reply::Done,
    }
}

/// A run with so many events, its history in rows of the fake.
pub(super) fn run(events: i64, status: WorkflowExecutionStatus) -> Execution {
    let key = WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID);
    Execution {
        next_event_id: events + 1,
        status: status as i32,
        close_event_id: if status == WorkflowExecutionStatus::Running { 0 } else { events },
        ..Execution::fresh(key)
    }
}

/// The same while a worker holds its workflow task.
pub(super) fn held(events: i64, attempt: i32) -> StateReply {
    let written = attempt == 1;
    let scheduled_event_id = if written { events } else { events + 1 };
    let task = WorkflowTask { scheduled_event_id, attempt, written, ..WorkflowTask::default() };
    let started = StartedTask {
        scheduled_event_id,
        started_event_id: scheduled_event_id + 1,
        attempt,
        ..StartedTask::default()
    };
    let execution = Execution { workflow_task: Some(task), ..run(events, WorkflowExecutionStatus::Running) };
    StateReply { execution: Arc::new(execution), started: Some(started), speculative: None, is_current: true }
}

pub(super) fn state(execution: Execution) -> Reply {
    Reply::State(StateReply {
        execution: Arc::new(execution),
        started: None,
        speculative: None,
        is_current: true,
    })
}

impl Fake {
    pub(super) fn serve(self) -> Server {
        self.serve_with(DynamicConfig::default())
    }

    pub(super) fn serve_with(self, dynamic: DynamicConfig) -> Server {
        let fake = Arc::new(self);
        let shared = Shared {
            backend: fake.clone(),
            dynamic: Arc::new(dynamic),
            observer: Arc::new(NoObserver),
            rates: RateLimits::default(),
        };
        Server { fake, shared: Arc::new(shared), headers: HashMap::new(), node: false }
    }
}

/// The frontend of a fake node, and a client of it.
pub(super) struct Server {
    pub(super) fake: Arc<Fake>,
    pub(super) shared: Arc<Shared>,
    headers: HashMap<&'static str, String>,
    node: bool,
}

/// What a refused call looked like.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) headers: http::HeaderMap,
}

impl Server {
    /// Calls with a header.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Server {
        self.headers.insert(name, value.to_owned());
        self
    }

    /// Calls as another node does.
    pub(super) fn called_by_node(mut self) -> Server {
        self.node = true;
        self
    }

    pub(super) async fn call<M: Message + Default>(
        &self,
        method: &str,
        request: &impl Message,
    ) -> Result<M, Refused> {
        let answer = self.call_raw(method, request.encode_to_vec().into()).await?;
        Ok(M::decode(answer).expect("an answer is a message of its type"))
    }

    pub(super) async fn call_raw(&self, method: &str, message: Bytes) -> Result<Bytes, Refused> {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(&message);
        let mut request = Request::builder()
            .uri(format!("/{WORKFLOW_SERVICE}/{method}"))
            .header("content-type", "application/grpc");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request =
            request.body(Body::new(Full::new(framed.freeze()))).expect("the request is well formed");
        let shared = self.shared.clone();
        let mut service =
            if self.node { WorkflowApi::forwarded(shared) } else { WorkflowApi::public(shared) };
        let response = match service.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let headers = response.headers().clone();
        if let Some(status) = Status::from_header_map(&headers)
            && status.code() != Code::Ok
        {
            return Err(Refused { code: status.code(), message: status.message().to_owned(), headers });
        }
        let body = response.into_body().collect().await.expect("the body ends").to_bytes();
        Ok(body.slice(5..))
    }

    /// The text of a refusal; empty if the call went well.
    pub(super) async fn refusal(&self, method: &str, request: &impl Message) -> String {
        match self.call_raw(method, request.encode_to_vec().into()).await {
            Ok(_) => String::new(),
            Err(refused) => refused.message,
        }
    }
}

#[tonic::async_trait]
impl Backend for Fake {
    fn now(&self) -> Time {
        Time(1_800_000_000_000_000_000)
    }

    fn locate(&self, _namespace_id: &str, _key: &str) -> Place {
        let mut places = self.places.lock().unwrap();
        if places.len() > 1 { places.pop_front().unwrap() } else { places[0] }
    }

    async fn call(
        &self,
        _shard: u64,
        _workflow: WorkflowKey,
        request: Asked,
        _deadline: Instant,
    ) -> Result<Reply, CallError> {
        self.asked.lock().unwrap().push(request.clone());
        (self.answers)(&request)
    }

    async fn call_deployment(
        &self,
        _shard: u64,
        _key: DeploymentKey,
        _request: DeploymentRequest,
        _deadline: Instant,
    ) -> Result<DeploymentReply, CallError> {
        Err(CallError::NotHere)
    }

    fn deployment(&self, _key: &DeploymentKey) -> Option<Arc<DeploymentState>> {
        None
    }

    fn deployments(&self, _namespace_id: &str) -> usize {
        0
    }

    async fn list_deployments(&self, _namespace_id: &str) -> Result<Vec<Arc<DeploymentState>>, CallError> {
        Ok(Vec::new())
    }

    async fn queue_seen(
        &self,
        _namespace_id: &str,
        _version: &WorkerVersion,
        _queue: &PolledQueue,
    ) -> Result<QueueSeen, CallError> {
        Ok(QueueSeen::default())
    }

    async fn forward(
        &self,
        node: u64,
        path: &'static str,
        request: Bytes,
        metadata: MetadataMap,
        _timeout: Duration,
    ) -> Result<Bytes, Status> {
        self.forwarded.lock().unwrap().push((node, path, request, metadata));
        if self.hangs {
            pending::<()>().await;
        }
        let answer = self.forwards.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Err(Status::unavailable("nobody is there")))
    }

    async fn history(&self, _run: &RunKey, read: HistoryRead) -> Result<Vec<Bytes>, CallError> {
        let holds = |row: &&Vec<i64>| row.iter().any(|id| (read.from..=read.to).contains(id));
        let mut rows: Vec<&Vec<i64>> = self.rows.iter().filter(holds).collect();
        if read.order == Order::Backward {
            rows.reverse();
        }
        let encoded = |row: &Vec<i64>| {
            let events = row.iter().map(|id| event(*id)).collect();
            Bytes::from(History { events }.encode_to_vec())
        };
        Ok(rows.into_iter().take(read.rows_max).map(encoded).collect())
    }

    async fn poll_workflow_task(&self, poll: Poll) -> Result<Option<Box<WorkflowTaskReply>>, CallError> {
        let deadline = poll.deadline;
        self.polls.lock().unwrap().push(poll);
        match &self.task {
            Some(task) => Ok(Some(Box::new(task.clone()))),
            None => {
                sleep_until(deadline - Duration::from_secs(1)).await;
                Ok(None)
            }
        }
    }

    async fn poll_activity_task(
        &self,
        poll: Poll,
    ) -> Result<Option<Box<PollActivityTaskQueueResponse>>, CallError> {
        self.polls.lock().unwrap().push(poll);
        pending().await
    }

    async fn poll_nexus_task(
        &self,
        poll: Poll,
    ) -> Result<Option<Box<PollNexusTaskQueueResponse>>, CallError> {
        self.polls.lock().unwrap().push(poll);
        pending().await
    }

    async fn answer_nexus_task(&self, _id: u64, _answered: NexusAnswered) -> Result<bool, CallError> {
        Ok(false)
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        Vec::new()
    }

    fn endpoint_by_name(&self, _name: &str) -> Option<Endpoint> {
        None
    }

    async fn change_endpoint(&self, _change: cluster::Request) -> Result<Option<Endpoint>, CallError> {
        Ok(None)
    }

    async fn shutdown_worker(&self, _worker: WorkerShutdown) -> Result<(), CallError> {
        Ok(())
    }

    async fn configure_task_queue(
        &self,
        _namespace_id: &str,
        _request: UpdateTaskQueueConfigRequest,
    ) -> Result<TaskQueueConfig, CallError> {
        Ok(TaskQueueConfig::default())
    }

    async fn describe_task_queue(
        &self,
        _namespace_id: &str,
        _request: DescribeTaskQueueRequest,
    ) -> Result<DescribeTaskQueueResponse, CallError> {
        Ok(DescribeTaskQueueResponse::default())
    }

    async fn list(
        &self,
        _namespace_id: &str,
        query: &str,
        page_size: usize,
        _token: &[u8],
    ) -> Result<WorkflowPage, CallError> {
        self.queries.lock().unwrap().push(format!("{query} | {page_size}"));
        Ok(WorkflowPage::default())
    }

    async fn count(
        &self,
        _namespace_id: &str,
        _query: &str,
    ) -> Result<CountWorkflowExecutionsResponse, CallError> {
        panic!("counting is broken here")
    }

    async fn call_schedule(
        &self,
        _shard: u64,
        _key: ScheduleKey,
        _request: ScheduleRequest,
        _deadline: Instant,
    ) -> Result<ScheduleReply, CallError> {
        Err(CallError::NotHere)
    }

    async fn call_standalone(
        &self,
        _shard: u64,
        _key: StandaloneKey,
        request: StandaloneRequest,
        _deadline: Instant,
    ) -> Result<Reply, CallError> {
        self.asked_alone.lock().unwrap().push(request);
        Ok(Reply::Done)
    }

    async fn list_activities(
        &self,
        _namespace_id: &str,
        _query: &str,
        _page_size: usize,
        _token: &[u8],
    ) -> Result<ActivityPage, CallError> {
        Ok(ActivityPage::default())
    }

    async fn count_activities(&self, _namespace_id: &str, _query: &str) -> Result<Counts, CallError> {
        Ok(Counts::default())
    }

    async fn list_operations(
        &self,
        _namespace_id: &str,
        _query: &str,
        _page_size: usize,
        _token: &[u8],
    ) -> Result<OperationPage, CallError> {
        Ok(OperationPage::default())
    }

    async fn count_operations(&self, _namespace_id: &str, _query: &str) -> Result<Counts, CallError> {
        Ok(Counts::default())
    }

    async fn list_schedules(
        &self,
        _namespace_id: &str,
        query: &str,
        page_size: usize,
        _token: &[u8],
    ) -> Result<SchedulePage, CallError> {
        self.queries.lock().unwrap().push(format!("{query} | {page_size}"));
        Ok(SchedulePage::default())
    }

    async fn count_schedules(&self, _namespace_id: &str, _query: &str) -> Result<i64, CallError> {
        Ok(0)
    }

    fn hear_workers(&self, _namespace_id: &str, _heartbeats: &[WorkerHeartbeat]) {}

    async fn list_workers(
        &self,
        _namespace_id: &str,
        _choice: &Choice,
        _after: Option<String>,
        _page_size: usize,
    ) -> Result<WorkerPage, CallError> {
        Ok(WorkerPage::default())
    }

    async fn count_workers(&self, _namespace_id: &str, _choice: &Choice) -> Result<i64, CallError> {
        Ok(0)
    }

    async fn describe_worker(&self, _namespace_id: &str, key: &str) -> Result<WorkerHeartbeat, CallError> {
        Err(Reject::NotFound(format!("Worker {key} not found")).into())
    }

    fn cluster(&self) -> ClusterView {
        ClusterView { cluster_name: "active".into(), shards: 4, ..ClusterView::default() }
    }

    fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.namespaces.lock().unwrap().get(name).cloned()
    }

    fn namespace_by_id(&self, id: &str) -> Option<Arc<Namespace>> {
        self.namespaces.lock().unwrap().values().find(|namespace| namespace.id == id).cloned()
    }

    fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.lock().unwrap().values().cloned().collect()
    }

    async fn refresh_cluster(&self) -> Result<(), CallError> {
        for namespace in self.unheard.lock().unwrap().drain(..) {
            self.namespaces.lock().unwrap().insert(namespace.name.clone(), Arc::new(namespace));
        }
        Ok(())
    }

    fn cluster_state(&self) -> Arc<cluster::Cluster> {
        Arc::new(cluster::Cluster::initial(1))
    }

    async fn change_cluster(&self, _request: cluster::Request) -> Result<cluster::Reply, CallError> {
        Ok(cluster::Reply::Done)
    }

    async fn register_namespace(&self, namespace: Namespace) -> Result<(), CallError> {
        self.namespaces.lock().unwrap().insert(namespace.name.clone(), Arc::new(namespace));
        Ok(())
    }

    async fn update_namespace(&self, id: &str, change: NamespaceChange) -> Result<Arc<Namespace>, CallError> {
        let Some(old) = self.namespace_by_id(id) else {
            return Err(Reject::NamespaceNotFound { namespace: id.to_owned() }.into());
        };
        let mut new = Namespace::clone(&old);
        new.data.extend(change.data);
        new.description = change.description.unwrap_or(new.description);
        new.state = change.state.unwrap_or(new.state);
        new.retention = change.retention.unwrap_or(new.retention);
        let new = Arc::new(new);
        self.namespaces.lock().unwrap().insert(new.name.clone(), new.clone());
        Ok(new)
    }

    fn search_attributes(&self, _namespace_id: &str) -> Option<BTreeMap<String, IndexedValueType>> {
        Some(BTreeMap::new())
    }

    async fn change_search_attributes(
        &self,
        _namespace: &str,
        _change: SearchAttributesChange,
    ) -> Result<(), CallError> {
        Ok(())
    }
}
