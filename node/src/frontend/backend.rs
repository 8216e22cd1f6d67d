//! What the public API needs from the rest of the node.
//!
//! The frontend parses, validates and routes; everything that it cannot answer from a request alone it
//! asks through this trait. There is no log here, no actor and no table: a test puts a fake in its place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use everlog_engine::{
    cluster::{self, Cluster},
    deployment::{
        DeploymentKey, DeploymentState, WorkerVersion,
        request::{DeploymentReply, DeploymentRequest},
        state::PolledQueue,
    },
    key::{RunKey, WorkflowKey},
    reject::Reject,
    reply::{Reply, WorkflowTaskReply},
    request::Request,
    schedule::{
        ScheduleKey,
        request::{ScheduleReply, ScheduleRequest},
    },
    standalone::{StandaloneKey, request::StandaloneRequest},
    time::Time,
    visibility::Counts,
};
use everlog_proto::api::{
    activity::v1::ActivityExecutionListInfo,
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{IndexedValueType, NamespaceState},
    nexus::v1::{Endpoint, NexusOperationExecutionListInfo},
    schedule::v1::ScheduleListEntry,
    taskqueue::v1::TaskQueueConfig,
    worker::v1::WorkerHeartbeat,
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{
        CountWorkflowExecutionsResponse, DescribeTaskQueueRequest, DescribeTaskQueueResponse,
        PollActivityTaskQueueResponse, PollNexusTaskQueueResponse, UpdateTaskQueueConfigRequest,
    },
};
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataMap};

use crate::{
    deployments::QueueSeen,
    nexus::NexusAnswered,
    workers::{Choice, WorkerPage},
};

/// The node behind the public API.
#[tonic::async_trait]
pub trait Backend: Send + Sync + 'static {
    fn now(&self) -> Time;

    /// Where a workflow id, or a task queue's name, lives now. It does not wait for a leader.
    fn locate(&self, namespace_id: &str, key: &str) -> Place;

    /// Asks a workflow of a shard that this node leads. A caller who drops the call is not answered, yet
    /// what it asked is done; a long poll or a query of its keeps its place until its time is up.
    async fn call(
        &self,
        shard: u64,
        workflow: WorkflowKey,
        request: Request,
        deadline: Instant,
    ) -> Result<Reply, CallError>;

    /// Asks a schedule of a shard that this node leads.
    async fn call_schedule(
        &self,
        shard: u64,
        key: ScheduleKey,
        request: ScheduleRequest,
        deadline: Instant,
    ) -> Result<ScheduleReply, CallError>;

    /// Asks a deployment of a shard that this node leads.
    async fn call_deployment(
        &self,
        shard: u64,
        key: DeploymentKey,
        request: DeploymentRequest,
        deadline: Instant,
    ) -> Result<DeploymentReply, CallError>;

    /// A deployment as this node knows it.
    fn deployment(&self, key: &DeploymentKey) -> Option<Arc<DeploymentState>>;

    /// How many deployments of a namespace this node knows.
    fn deployments(&self, namespace_id: &str) -> usize;

    /// All deployments of a namespace, newest first.
    async fn list_deployments(&self, namespace_id: &str) -> Result<Vec<Arc<DeploymentState>>, CallError>;

    /// What the home of a queue has seen of a version's workers.
    async fn queue_seen(
        &self,
        namespace_id: &str,
        version: &WorkerVersion,
        queue: &PolledQueue,
    ) -> Result<QueueSeen, CallError>;
    /// Asks something that runs on its own in a shard that this node leads.
    async fn call_standalone(
        &self,
        shard: u64,
        key: StandaloneKey,
        request: StandaloneRequest,
        deadline: Instant,
    ) -> Result<Reply, CallError>;

    /// Sends a call of the public API to another node as it came, and returns the encoded answer. An
    /// error that is known to have changed nothing carries [`crate::peer::NOT_APPLIED`].
    async fn forward(
        &self,
        node: u64,
        path: &'static str,
        request: Bytes,
        metadata: MetadataMap,
        timeout: Duration,
    ) -> Result<Bytes, Status>;

    /// Rows of a run's history: each is an encoded `History` message with the events of one commit.
    /// This node may not lead the run's shard, and has to make sure that it has applied the span.
    async fn history(&self, run: &RunKey, read: HistoryRead) -> Result<Vec<Bytes>, CallError>;

    /// Waits at a queue whose home is here. None a moment before the caller gives up, or when the node stops or
    /// the worker shuts down. Dropping the call takes the poller out of the queue.
    async fn poll_workflow_task(&self, poll: Poll) -> Result<Option<Box<WorkflowTaskReply>>, CallError>;

    async fn poll_activity_task(
        &self,
        poll: Poll,
    ) -> Result<Option<Box<PollActivityTaskQueueResponse>>, CallError>;

    async fn poll_nexus_task(&self, poll: Poll)
    -> Result<Option<Box<PollNexusTaskQueueResponse>>, CallError>;

    /// A worker answers a Nexus request that waits here. False: nobody waits for it.
    async fn answer_nexus_task(&self, id: u64, answered: NexusAnswered) -> Result<bool, CallError>;

    /// A worker stops: its polls at this queue, whose home is here, are answered empty, and a sticky
    /// queue is given up at once.
    async fn shutdown_worker(&self, worker: WorkerShutdown) -> Result<(), CallError>;

    /// Sets rates and weights of a queue, for all nodes.
    async fn configure_task_queue(
        &self,
        namespace_id: &str,
        request: UpdateTaskQueueConfigRequest,
    ) -> Result<TaskQueueConfig, CallError>;

    /// Describes a queue whose home is here.
    async fn describe_task_queue(
        &self,
        namespace_id: &str,
        request: DescribeTaskQueueRequest,
    ) -> Result<DescribeTaskQueueResponse, CallError>;

    /// One page of a namespace's workflows over all shards, in list order.
    async fn list(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<WorkflowPage, CallError>;

    async fn count(
        &self,
        namespace_id: &str,
        query: &str,
    ) -> Result<CountWorkflowExecutionsResponse, CallError>;

    /// One page of a namespace's schedules over all shards, newest first.
    async fn list_schedules(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<SchedulePage, CallError>;

    async fn count_schedules(&self, namespace_id: &str, query: &str) -> Result<i64, CallError>;

    /// One page of a namespace's activities that run on their own, over all shards, newest first.
    async fn list_activities(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<ActivityPage, CallError>;

    async fn count_activities(&self, namespace_id: &str, query: &str) -> Result<Counts, CallError>;

    /// The same of Nexus operations that run on their own.
    async fn list_operations(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<OperationPage, CallError>;

    async fn count_operations(&self, namespace_id: &str, query: &str) -> Result<Counts, CallError>;

    /// Workers describe themselves. It is kept in memory, here.
    fn hear_workers(&self, namespace_id: &str, heartbeats: &[WorkerHeartbeat]);

    /// A page of what all nodes have heard of workers, behind the key `after`.
    async fn list_workers(
        &self,
        namespace_id: &str,
        choice: &Choice,
        after: Option<String>,
        page_size: usize,
    ) -> Result<WorkerPage, CallError>;

    async fn count_workers(&self, namespace_id: &str, choice: &Choice) -> Result<i64, CallError>;

    async fn describe_worker(&self, namespace_id: &str, key: &str) -> Result<WorkerHeartbeat, CallError>;

    fn cluster(&self) -> ClusterView;

    /// All Nexus endpoints, by id.
    fn endpoints(&self) -> Vec<Endpoint>;

    fn endpoint_by_name(&self, name: &str) -> Option<Endpoint>;

    /// Creates, changes or deletes a Nexus endpoint. The answer is how it is now, if it is still there.
    async fn change_endpoint(&self, change: cluster::Request) -> Result<Option<Endpoint>, CallError>;

    /// A namespace as this node knows it.
    fn namespace(&self, name: &str) -> Option<Arc<Namespace>>;

    fn namespace_by_id(&self, id: &str) -> Option<Arc<Namespace>>;

    /// All namespaces, by name.
    fn namespaces(&self) -> Vec<Arc<Namespace>>;

    /// Brings this node's view of the cluster up to everything that was acknowledged before. Asked
    /// before a namespace is said not to exist.
    async fn refresh_cluster(&self) -> Result<(), CallError>;

    /// The cluster's state as this node knows it.
    fn cluster_state(&self) -> Arc<Cluster>;

    /// Changes the cluster's state.
    async fn change_cluster(&self, request: cluster::Request) -> Result<cluster::Reply, CallError>;

    /// Adds a namespace. Refused with [`Reject::NamespaceAlreadyExists`] if the name is taken.
    async fn register_namespace(&self, namespace: Namespace) -> Result<(), CallError>;

    async fn update_namespace(&self, id: &str, change: NamespaceChange) -> Result<Arc<Namespace>, CallError>;

    /// The search attributes that users added to a namespace. None as long as the cluster keeps none:
    /// then attributes are taken as they are given.
    fn search_attributes(&self, namespace_id: &str) -> Option<BTreeMap<String, IndexedValueType>>;

    /// Adds search attributes to a namespace, or takes some away.
    async fn change_search_attributes(
        &self,
        namespace: &str,
        change: SearchAttributesChange,
    ) -> Result<(), CallError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this shard, which this node leads.
    Here(u64),
    /// In a shard that another node leads.
    There(u64),
    /// In a shard that nobody is known to lead.
    Unknown,
}

/// Why an answer did not come.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The answer is no.
    Reject(Reject),
    /// It does not live here any more. Nothing was done.
    NotHere,
    /// The leader was lost on the way: it may have been done or not.
    Lost,
}

impl From<Reject> for CallError {
    fn from(reject: Reject) -> CallError {
        match reject {
            Reject::Unavailable(_) => CallError::Lost,
            reject => CallError::Reject(reject),
        }
    }
}

/// Which rows of a history, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRead {
    /// Events `from..=to`: the rows that hold them, whole. The first and the last row may hold more.
    pub from: i64,
    pub to: i64,
    /// Backwards, the row that holds `to` comes first.
    pub order: Order,
    /// Reading ends after so many rows, and after the row that passes so many bytes. At least one row
    /// is returned if there is one.
    pub rows_max: usize,
    pub bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Forward,
    Backward,
}

/// Somebody waits for a task.
#[derive(Clone, Debug)]
pub struct Poll {
    pub namespace_id: String,
    pub namespace: String,
    pub queue: String,
    pub sticky: bool,
    /// The queue that a sticky queue stands for.
    pub normal_queue: String,
    pub identity: String,
    /// Names the process, so that its polls can be ended when it shuts down.
    pub worker_instance_key: String,
    /// Names this poll: a task that is asked for twice under one id is given twice.
    pub request_id: String,
    /// The worker's build, if it says so.
    pub build_id: String,
    /// Of which deployment and version it is.
    pub deployment: Option<WorkerDeploymentOptions>,
    /// The worker's client, as the call names it.
    pub sdk_name: String,
    pub sdk_version: String,
    /// Tasks a second that the worker wants at most, for activities.
    pub tasks_per_second_max: Option<f64>,
    /// When the caller gives up. The queue answers a moment before, because an answer that crosses with
    /// the end of the call would take a task away that nobody got.
    pub deadline: Instant,
}

#[derive(Clone, Debug)]
pub struct WorkerShutdown {
    pub namespace_id: String,
    pub queue: String,
    pub sticky: bool,
    pub identity: String,
    pub worker_instance_key: String,
}

#[derive(Clone, Debug, Default)]
pub struct WorkflowPage {
    pub executions: Vec<WorkflowExecutionInfo>,
    pub next_page_token: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct OperationPage {
    pub operations: Vec<NexusOperationExecutionListInfo>,
    pub next_page_token: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct ActivityPage {
    pub executions: Vec<ActivityExecutionListInfo>,
    pub next_page_token: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct SchedulePage {
    pub schedules: Vec<ScheduleListEntry>,
    pub next_page_token: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    pub cluster_id: String,
    pub cluster_name: String,
    pub shards: i32,
    /// Where clients reach this node.
    pub address: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    pub id: String,
    pub name: String,
    pub state: NamespaceState,
    pub description: String,
    pub owner_email: String,
    pub data: BTreeMap<String, String>,
    pub retention: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SearchAttributesChange {
    /// By name, with the API's `IndexedValueType`.
    Add(BTreeMap<String, i32>),
    Remove(Vec<String>),
}

/// What an update changes; `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceChange {
    pub description: Option<String>,
    pub owner_email: Option<String>,
    /// Added to the data that is there; an equal key is replaced.
    pub data: BTreeMap<String, String>,
    pub state: Option<NamespaceState>,
    pub retention: Option<Duration>,
}
