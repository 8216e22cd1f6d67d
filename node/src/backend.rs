//! The node as the public API sees it: the frontend's questions, answered by shards, queues and tables.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use everlog_engine::{
    cluster::{self as engine_cluster, TaskQueueSettings},
    codec::Proto,
    deployment::{
        DeploymentKey, DeploymentState, WorkerVersion,
        request::{DeploymentReply, DeploymentRequest},
        state::PolledQueue,
    },
    key::{RunKey, WorkflowKey},
    queue::{Description, Poller, QueueKey, QueueKind, RATE_PER_SECOND_DEFAULT},
    reject::Reject,
    reply::{Reply, WorkflowTaskReply},
    request::Request,
    schedule::{
        self, ScheduleKey,
        request::{ScheduleReply, ScheduleRequest},
    },
    standalone::{self, StandaloneKey, request::StandaloneRequest},
    time::Time,
    visibility::{Counts, PageToken, Row},
};
use everlog_proto::api::{
    common::v1::WorkerVersionCapabilities,
    enums::v1::{IndexedValueType, NamespaceState, RateLimitSource, TaskQueueKind, TaskQueueType},
    namespace::v1::{NamespaceConfig, UpdateNamespaceInfo},
    nexus::v1::Endpoint,
    taskqueue::v1::{PollerScalingDecision, TaskQueueConfig, TaskQueueStatus},
    worker::v1::WorkerHeartbeat,
    workflowservice::v1::{
        CountWorkflowExecutionsResponse, DescribeTaskQueueRequest, DescribeTaskQueueResponse,
        PollActivityTaskQueueResponse, PollNexusTaskQueueResponse, RegisterNamespaceRequest,
        UpdateNamespaceRequest, UpdateTaskQueueConfigRequest,
        describe_task_queue_response::EffectiveRateLimit,
    },
};
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataMap};

use crate::{
    cluster,
    deployments::{self, QueueSeen},
    frontend::backend::{
        ActivityPage, Backend, CallError, ClusterView, HistoryRead, Namespace, NamespaceChange,
        OperationPage, Place, Poll, SchedulePage, SearchAttributesChange, WorkerShutdown, WorkflowPage,
    },
    history,
    internal::HandedOut,
    list::{self, ListQuery, Listed},
    nexus::NexusAnswered,
    node::Node,
    queue::{Polled, QueuesHandle},
    router::{self, Router},
    workers::{self, Choice, WorkerPage},
};

pub struct NodeBackend {
    pub node: Node,
    pub router: Router,
    pub queues: QueuesHandle,
}

impl NodeBackend {
    async fn poll(&self, poll: Poll, kind: QueueKind) -> Result<Option<HandedOut>, CallError> {
        let key = queue_key(&poll.namespace_id, &poll.queue, kind);
        let version = WorkerVersion::of_worker(poll.deployment.as_ref());
        if let Some(version) = &version {
            let name = if kind == QueueKind::Sticky { &poll.normal_queue } else { &poll.queue };
            let queue = deployments::polled_queue(name, kind);
            deployments::register(&self.router, &poll.namespace_id, version, queue).await?;
        }
        let key = key.of_version(version);
        let patience = poll.deadline.saturating_duration_since(Instant::now());
        let poller = Poller {
            identity: poll.identity,
            worker_instance_key: poll.worker_instance_key,
            request_id: poll.request_id,
            deadline: Some(self.node.clock.time() + patience),
            max_tasks_per_second: poll.tasks_per_second_max,
            sdk_name: poll.sdk_name,
            sdk_version: poll.sdk_version,
            version_capabilities: (!poll.build_id.is_empty()).then(|| WorkerVersionCapabilities {
                build_id: poll.build_id,
                ..WorkerVersionCapabilities::default()
            }),
            deployment_options: poll.deployment.filter(|_| key.version.is_some()),
            ..Poller::default()
        };
        match self.queues.poll(key, poller).await {
            Polled::Task { mut task, backlog, poll_delta } => {
                let decision = (poll_delta != 0)
                    .then_some(PollerScalingDecision { poll_request_delta_suggestion: poll_delta });
                match &mut *task {
                    HandedOut::Workflow(task) => {
                        task.response.backlog_count_hint = backlog;
                        task.response.poller_scaling_decision = decision;
                    }
                    HandedOut::Activity(task) => task.poller_scaling_decision = decision,
                    HandedOut::Nexus(task) => task.poller_scaling_decision = decision,
                }
                Ok(Some(*task))
            }
            Polled::Empty => Ok(None),
            Polled::Refused => Err(Reject::Overloaded("too many polls wait at this node".into()).into()),
        }
    }
}

impl NodeBackend {
    /// A page of a list, and the token of the next one if there is one.
    async fn page_of(
        &self,
        of: Listed,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<(Vec<Row>, Vec<u8>), CallError> {
        let after = PageToken::decode(token)?.map(|token| token.after).unwrap_or_default();
        let (namespace_id, query) = (namespace_id.to_owned(), query.to_owned());
        let query = ListQuery { namespace_id, query, after, most: page_size, of };
        let mut listed = list::of_cluster(&self.router, query).await?;
        if listed.rows.len() >= page_size {
            // A full page may be the last; the real server does not look either.
            listed.read_to = listed.rows.last().map(|found| found.sort_key.clone());
        }
        let next = listed.read_to.map(|after| PageToken { after }.encode()).unwrap_or_default();
        let rows: Result<Vec<Row>, _> = listed.rows.iter().map(|found| Row::decode(&found.row)).collect();
        Ok((rows.map_err(|error| Reject::Internal(error.to_string()))?, next))
    }

    async fn counted(&self, of: Listed, namespace_id: &str, query: &str) -> Result<Counts, CallError> {
        let query = ListQuery {
            namespace_id: namespace_id.to_owned(),
            query: query.to_owned(),
            after: Vec::new(),
            most: usize::MAX,
            of,
        };
        Ok(list::count_of_cluster(&self.router, query).await?)
    }
}

fn queue_key(namespace_id: &str, name: &str, kind: QueueKind) -> QueueKey {
    QueueKey::unversioned(namespace_id, name, kind)
}

#[tonic::async_trait]
impl Backend for NodeBackend {
    fn now(&self) -> Time {
        self.node.clock.time()
    }

    fn locate(&self, namespace_id: &str, key: &str) -> Place {
        match self.router.locate(namespace_id, key) {
            router::Place::Here { shard } => Place::Here(u64::from(shard)),
            router::Place::There { node, .. } => Place::There(node),
            router::Place::Nowhere { .. } => Place::Unknown,
        }
    }

    async fn call(
        &self,
        shard: u64,
        workflow: WorkflowKey,
        request: Request,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let Some(shard) = self.router.shard(shard as u16) else { return Err(CallError::NotHere) };
        let answer = tokio::time::timeout_at(deadline, shard.call(workflow, request));
        match answer.await {
            Ok(answer) => answer.map_err(CallError::from),
            Err(_) => Err(CallError::Lost),
        }
    }

    async fn call_schedule(
        &self,
        shard: u64,
        key: ScheduleKey,
        request: ScheduleRequest,
        deadline: Instant,
    ) -> Result<ScheduleReply, CallError> {
        let Some(shard) = self.router.shard(shard as u16) else { return Err(CallError::NotHere) };
        match tokio::time::timeout_at(deadline, shard.call_schedule(key, request)).await {
            Ok(Ok(reply)) => ScheduleReply::of(reply)
                .ok_or_else(|| Reject::Internal("unexpected answer of a schedule".to_owned()).into()),
            Ok(Err(reject)) => Err(reject.into()),
            Err(_) => Err(CallError::Lost),
        }
    }

    async fn call_deployment(
        &self,
        shard: u64,
        key: DeploymentKey,
        request: DeploymentRequest,
        deadline: Instant,
    ) -> Result<DeploymentReply, CallError> {
        let Some(shard) = self.router.shard(shard as u16) else { return Err(CallError::NotHere) };
        match tokio::time::timeout_at(deadline, shard.call_deployment(key, request)).await {
            Ok(Ok(Reply::Deployment(reply))) => Ok(reply),
            Ok(Ok(_)) => Err(Reject::Internal("unexpected answer of a deployment".to_owned()).into()),
            Ok(Err(reject)) => Err(reject.into()),
            Err(_) => Err(CallError::Lost),
        }
    }
    async fn call_standalone(
        &self,
        shard: u64,
        key: StandaloneKey,
        request: StandaloneRequest,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let Some(shard) = self.router.shard(shard as u16) else { return Err(CallError::NotHere) };
        match tokio::time::timeout_at(deadline, shard.call_standalone(key, request)).await {
            Ok(answer) => answer.map_err(CallError::from),
            Err(_) => Err(CallError::Lost),
        }
    }

    fn deployment(&self, key: &DeploymentKey) -> Option<Arc<DeploymentState>> {
        self.router.deployments().read().get(key).cloned()
    }

    fn deployments(&self, namespace_id: &str) -> usize {
        self.router.deployments().read().count(namespace_id)
    }

    async fn list_deployments(&self, namespace_id: &str) -> Result<Vec<Arc<DeploymentState>>, CallError> {
        Ok(deployments::list(&self.router, namespace_id).await?)
    }

    async fn queue_seen(
        &self,
        namespace_id: &str,
        version: &WorkerVersion,
        queue: &PolledQueue,
    ) -> Result<QueueSeen, CallError> {
        Ok(deployments::seen(&self.router, namespace_id, version, queue).await?)
    }

    async fn forward(
        &self,
        node: u64,
        path: &'static str,
        request: Bytes,
        metadata: MetadataMap,
        timeout: Duration,
    ) -> Result<Bytes, Status> {
        let answer = self.node.peers.forward(node, path, request, metadata, timeout).await?;
        Ok(answer.into_inner())
    }

    async fn history(&self, run: &RunKey, read: HistoryRead) -> Result<Vec<Bytes>, CallError> {
        Ok(history::read(self.router.tables(), run, read).await?)
    }

    async fn poll_workflow_task(&self, poll: Poll) -> Result<Option<Box<WorkflowTaskReply>>, CallError> {
        let kind = if poll.sticky { QueueKind::Sticky } else { QueueKind::Workflow };
        match self.poll(poll, kind).await? {
            Some(HandedOut::Workflow(task)) => Ok(Some(task)),
            _ => Ok(None),
        }
    }

    async fn poll_activity_task(
        &self,
        poll: Poll,
    ) -> Result<Option<Box<PollActivityTaskQueueResponse>>, CallError> {
        let namespace = poll.namespace.clone();
        match self.poll(poll, QueueKind::Activity).await? {
            Some(HandedOut::Activity(mut task)) => {
                task.workflow_namespace = namespace;
                Ok(Some(task))
            }
            _ => Ok(None),
        }
    }

    async fn poll_nexus_task(
        &self,
        poll: Poll,
    ) -> Result<Option<Box<PollNexusTaskQueueResponse>>, CallError> {
        match self.poll(poll, QueueKind::Nexus).await? {
            Some(HandedOut::Nexus(task)) => Ok(Some(task)),
            _ => Ok(None),
        }
    }

    async fn answer_nexus_task(&self, id: u64, answered: NexusAnswered) -> Result<bool, CallError> {
        Ok(self.queues.answer_nexus(id, answered).await)
    }

    async fn shutdown_worker(&self, worker: WorkerShutdown) -> Result<(), CallError> {
        let kinds: &[QueueKind] = if worker.sticky {
            &[QueueKind::Sticky]
        } else {
            &[QueueKind::Workflow, QueueKind::Activity, QueueKind::Nexus]
        };
        for kind in kinds {
            let key = queue_key(&worker.namespace_id, &worker.queue, *kind);
            self.queues.shut_down_worker(key, worker.worker_instance_key.clone());
        }
        Ok(())
    }

    async fn configure_task_queue(
        &self,
        namespace_id: &str,
        request: UpdateTaskQueueConfigRequest,
    ) -> Result<TaskQueueConfig, CallError> {
        let (namespace_id, request) = (namespace_id.to_owned(), Proto(request));
        let request = engine_cluster::Request::ConfigureTaskQueue { namespace_id, request };
        match cluster::decide(&self.router, request).await? {
            engine_cluster::Reply::TaskQueue(settings) => Ok(settings.config()),
            _ => Err(Reject::Unavailable("the cluster answered something else, please retry".into()).into()),
        }
    }

    async fn describe_task_queue(
        &self,
        namespace_id: &str,
        request: DescribeTaskQueueRequest,
    ) -> Result<DescribeTaskQueueResponse, CallError> {
        let kind = match request.task_queue_type() {
            TaskQueueType::Activity => QueueKind::Activity,
            TaskQueueType::Nexus => QueueKind::Nexus,
            _ => QueueKind::Workflow,
        };
        let name = request.task_queue.as_ref().map_or("", |queue| &queue.name);
        let is_sticky =
            request.task_queue.as_ref().is_some_and(|queue| queue.kind == TaskQueueKind::Sticky as i32);
        if request.report_config {
            // What was set through another node a moment ago is to be seen.
            cluster::refresh(&self.router).await?;
        }
        let settings =
            self.router.cluster().borrow().task_queue(namespace_id, name, request.task_queue_type()).cloned();
        let described = self.queues.describe(queue_key(namespace_id, name, kind), true).await;
        let described = described.unwrap_or_else(Description::of_nothing);
        let versioning_info = deployments::versioning_info(&self.router, namespace_id, name, kind);
        let rate = rate_in_force(settings.as_deref(), described.worker_rate);
        let mut response = DescribeTaskQueueResponse {
            pollers: described.pollers,
            config: settings.filter(|_| request.report_config).map(|settings| settings.config()),
            effective_rate_limit: Some(rate),
            versioning_info: (!is_sticky).then_some(versioning_info),
            ..Default::default()
        };
        if request.report_stats {
            response.stats_by_priority_key = described.stats_by_priority.into_iter().collect();
            response.stats = Some(described.stats);
        }
        #[allow(deprecated, reason = "the CLI still asks for the older status")]
        if request.include_task_queue_status {
            response.task_queue_status = Some(TaskQueueStatus {
                backlog_count_hint: described.stats.approximate_backlog_count,
                rate_per_second: f64::from(rate.requests_per_second),
                ..Default::default()
            });
        }
        Ok(response)
    }

    async fn list(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<WorkflowPage, CallError> {
        let (rows, next_page_token) =
            self.page_of(Listed::Workflows, namespace_id, query, page_size, token).await?;
        Ok(WorkflowPage { executions: rows.iter().map(Row::info).collect(), next_page_token })
    }

    async fn count(
        &self,
        namespace_id: &str,
        query: &str,
    ) -> Result<CountWorkflowExecutionsResponse, CallError> {
        Ok(self.counted(Listed::Workflows, namespace_id, query).await?.response())
    }

    async fn list_schedules(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<SchedulePage, CallError> {
        let (rows, next_page_token) =
            self.page_of(Listed::Schedules, namespace_id, query, page_size, token).await?;
        Ok(SchedulePage { schedules: rows.iter().map(schedule::list::entry).collect(), next_page_token })
    }

    async fn count_schedules(&self, namespace_id: &str, query: &str) -> Result<i64, CallError> {
        let query = ListQuery {
            namespace_id: namespace_id.to_owned(),
            query: query.to_owned(),
            after: Vec::new(),
            most: usize::MAX,
            of: Listed::Schedules,
        };
        Ok(list::count_of_cluster(&self.router, query).await?.total)
    }

    async fn list_activities(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<ActivityPage, CallError> {
        let (rows, next_page_token) =
            self.page_of(Listed::Activities, namespace_id, query, page_size, token).await?;
        let executions = rows.iter().map(standalone::list::activity_entry).collect();
        Ok(ActivityPage { executions, next_page_token })
    }

    async fn count_activities(&self, namespace_id: &str, query: &str) -> Result<Counts, CallError> {
        self.counted(Listed::Activities, namespace_id, query).await
    }

    async fn list_operations(
        &self,
        namespace_id: &str,
        query: &str,
        page_size: usize,
        token: &[u8],
    ) -> Result<OperationPage, CallError> {
        let (rows, next_page_token) =
            self.page_of(Listed::Operations, namespace_id, query, page_size, token).await?;
        let operations = rows.iter().map(standalone::list::operation_entry).collect();
        Ok(OperationPage { operations, next_page_token })
    }

    async fn count_operations(&self, namespace_id: &str, query: &str) -> Result<Counts, CallError> {
        self.counted(Listed::Operations, namespace_id, query).await
    }

    fn hear_workers(&self, namespace_id: &str, heartbeats: &[WorkerHeartbeat]) {
        workers::hear(&self.router, namespace_id, heartbeats);
    }

    async fn list_workers(
        &self,
        namespace_id: &str,
        choice: &Choice,
        after: Option<String>,
        page_size: usize,
    ) -> Result<WorkerPage, CallError> {
        Ok(workers::list(&self.router, namespace_id, choice, after, page_size).await)
    }

    async fn count_workers(&self, namespace_id: &str, choice: &Choice) -> Result<i64, CallError> {
        Ok(workers::count(&self.router, namespace_id, choice).await)
    }

    async fn describe_worker(&self, namespace_id: &str, key: &str) -> Result<WorkerHeartbeat, CallError> {
        Ok(workers::describe(&self.router, namespace_id, key).await?)
    }

    fn cluster(&self) -> ClusterView {
        let shards = self.router.cluster().borrow().slots.shards().len();
        ClusterView {
            cluster_id: self.node.identity.cluster_id().unwrap_or_default().to_owned(),
            cluster_name: "active".into(),
            shards: shards as i32,
            address: self.node.config.api.listen.to_string(),
        }
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let cluster = self.router.cluster().borrow().clone();
        cluster.endpoints.values().map(|endpoint| cluster.shown_endpoint(endpoint)).collect()
    }

    fn endpoint_by_name(&self, name: &str) -> Option<Endpoint> {
        let cluster = self.router.cluster().borrow().clone();
        cluster.endpoint_by_name(name).map(|endpoint| cluster.shown_endpoint(endpoint))
    }

    async fn change_endpoint(&self, change: engine_cluster::Request) -> Result<Option<Endpoint>, CallError> {
        match cluster::decide(&self.router, change).await? {
            engine_cluster::Reply::Endpoint(endpoint) => {
                Ok(Some(self.router.cluster().borrow().shown_endpoint(&endpoint)))
            }
            _ => Ok(None),
        }
    }

    fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.router.cluster().borrow().namespace(name).ok().map(|namespace| shown(namespace))
    }

    fn namespace_by_id(&self, id: &str) -> Option<Arc<Namespace>> {
        self.router.cluster().borrow().namespace_by_id(id).ok().map(|namespace| shown(namespace))
    }

    fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.router.cluster().borrow().namespaces.values().map(|namespace| shown(namespace)).collect()
    }

    async fn refresh_cluster(&self) -> Result<(), CallError> {
        Ok(cluster::refresh(&self.router).await?)
    }

    fn cluster_state(&self) -> Arc<engine_cluster::Cluster> {
        self.router.cluster().borrow().clone()
    }

    async fn change_cluster(
        &self,
        request: engine_cluster::Request,
    ) -> Result<engine_cluster::Reply, CallError> {
        Ok(cluster::decide(&self.router, request).await?)
    }

    async fn register_namespace(&self, namespace: Namespace) -> Result<(), CallError> {
        let request = RegisterNamespaceRequest {
            namespace: namespace.name,
            description: namespace.description,
            owner_email: namespace.owner_email,
            workflow_execution_retention_period: Some(everlog_engine::time::proto_duration(
                namespace.retention,
            )),
            data: namespace.data.into_iter().collect(),
            ..Default::default()
        };
        cluster::decide(&self.router, engine_cluster::Request::RegisterNamespace(Proto(request))).await?;
        Ok(())
    }

    async fn update_namespace(&self, id: &str, change: NamespaceChange) -> Result<Arc<Namespace>, CallError> {
        let name = self.namespace_by_id(id).map(|namespace| namespace.name.clone()).unwrap_or_default();
        let request = UpdateNamespaceRequest {
            namespace: name,
            update_info: Some(UpdateNamespaceInfo {
                description: change.description.unwrap_or_default(),
                owner_email: change.owner_email.unwrap_or_default(),
                data: change.data.into_iter().collect(),
                state: change.state.unwrap_or(NamespaceState::Unspecified) as i32,
            }),
            config: change.retention.map(|retention| NamespaceConfig {
                workflow_execution_retention_ttl: Some(everlog_engine::time::proto_duration(retention)),
                ..Default::default()
            }),
            ..Default::default()
        };
        cluster::decide(&self.router, engine_cluster::Request::UpdateNamespace(Proto(request))).await?;
        self.namespace_by_id(id).ok_or_else(|| Reject::NamespaceNotFound { namespace: id.to_owned() }.into())
    }

    fn search_attributes(&self, namespace_id: &str) -> Option<BTreeMap<String, IndexedValueType>> {
        let cluster = self.router.cluster().borrow().clone();
        let namespace = cluster.namespace_by_id(namespace_id).ok()?;
        let types = namespace.custom_attributes().into_iter();
        Some(
            types
                .map(|(name, kind)| {
                    (name, IndexedValueType::try_from(kind.api()).unwrap_or(IndexedValueType::Unspecified))
                })
                .collect(),
        )
    }

    async fn change_search_attributes(
        &self,
        namespace: &str,
        change: SearchAttributesChange,
    ) -> Result<(), CallError> {
        let namespace = namespace.to_owned();
        let request = match change {
            SearchAttributesChange::Add(attributes) => {
                engine_cluster::Request::AddSearchAttributes { namespace, attributes }
            }
            SearchAttributesChange::Remove(attributes) => {
                engine_cluster::Request::RemoveSearchAttributes { namespace, attributes }
            }
        };
        cluster::decide(&self.router, request).await?;
        Ok(())
    }
}

/// The rate that a queue goes at, and who has set it.
fn rate_in_force(settings: Option<&TaskQueueSettings>, worker_rate: Option<f64>) -> EffectiveRateLimit {
    let set = settings.and_then(|settings| settings.queue_rate.as_ref()?.per_second);
    let (requests_per_second, source) = match (set, worker_rate) {
        (Some(set), _) => (set, RateLimitSource::Api),
        (None, Some(asked)) => (asked as f32, RateLimitSource::Worker),
        (None, None) => (RATE_PER_SECOND_DEFAULT as f32, RateLimitSource::System),
    };
    EffectiveRateLimit { requests_per_second, rate_limit_source: source as i32 }
}

pub fn shown(namespace: &engine_cluster::Namespace) -> Arc<Namespace> {
    Arc::new(Namespace {
        id: namespace.id.clone(),
        name: namespace.name.clone(),
        state: NamespaceState::try_from(namespace.state).unwrap_or(NamespaceState::Unspecified),
        description: namespace.description.clone(),
        owner_email: namespace.owner_email.clone(),
        data: namespace.data.clone(),
        retention: namespace.retention,
    })
}
