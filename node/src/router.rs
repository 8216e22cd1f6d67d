//! Where things live, and how to reach them.
//!
//! One rule for workflow ids and queue names: hash to slot, slot to shard, shard to the node that leads
//! it. The router knows the local shards and the way to the others; nobody else asks who leads.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use everlog_engine::{
    key::{RunKey, WorkflowKey, slot},
    queue::{QueueKey, Refusal, TaskKey},
    reject::Reject,
    reply::Reply,
    request::Request,
    standalone::{StandaloneKey, request::StandaloneRequest},
};
use everlog_raft_store::Tables;

use crate::{
    clock::Clock,
    deployments::{self, Deployments},
    internal::{self, HandedOut, Internal, InternalReply},
    machine::ClusterView,
    metrics::Metrics,
    peer::Peers,
    queue::{self, QueuesHandle, Take},
    raft::Groups,
    shard::ShardHandle,
    workers::{self, Heard},
};

/// Where a key lives now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Here {
        shard: u16,
    },
    There {
        shard: u16,
        node: u64,
    },
    /// Nobody leads the shard at the moment.
    Nowhere {
        shard: u16,
    },
}

#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

struct Inner {
    me: u64,
    groups: Groups,
    peers: Peers,
    tables: Tables,
    cluster: ClusterView,
    clock: Clock,
    metrics: Metrics,
    shards: OnceLock<Vec<ShardHandle>>,
    queues: OnceLock<QueuesHandle>,
    workers: Heard,
    deployments: Deployments,
    /// One change of the cluster at a time: each is decided on what the one before led to.
    cluster_changes: tokio::sync::Mutex<()>,
}

impl Router {
    pub fn new(
        me: u64,
        groups: Groups,
        peers: Peers,
        tables: Tables,
        cluster: ClusterView,
        deployments: Deployments,
        clock: Clock,
        metrics: Metrics,
    ) -> Router {
        let (shards, queues, cluster_changes) = (OnceLock::new(), OnceLock::new(), Default::default());
        let workers = Heard::default();
        Router {
            inner: Arc::new(Inner {
                me,
                groups,
                peers,
                tables,
                cluster,
                clock,
                metrics,
                shards,
                queues,
                workers,
                deployments,
                cluster_changes,
            }),
        }
    }

    /// Shards and queues know the router, so it hears of them after they have started.
    pub fn install(&self, shards: Vec<ShardHandle>, queues: QueuesHandle) {
        let _ = self.inner.shards.set(shards);
        let _ = self.inner.queues.set(queues);
    }

    pub fn me(&self) -> u64 {
        self.inner.me
    }

    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub fn cluster_changes(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.cluster_changes
    }

    pub fn workers(&self) -> &Heard {
        &self.inner.workers
    }

    pub fn deployments(&self) -> &Deployments {
        &self.inner.deployments
    }

    pub fn tables(&self) -> &Tables {
        &self.inner.tables
    }

    pub fn cluster(&self) -> &ClusterView {
        &self.inner.cluster
    }

    pub fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    pub fn queues(&self) -> Option<&QueuesHandle> {
        self.inner.queues.get()
    }

    pub fn shard_of(&self, namespace_id: &str, key: &str) -> u16 {
        let slot = slot(namespace_id, key);
        self.inner.cluster.borrow().shard_of(slot).unwrap_or_default()
    }

    pub fn place(&self, shard: u16) -> Place {
        let Ok(group) = self.inner.groups.get(u64::from(shard)) else { return Place::Nowhere { shard } };
        let known = *group.leadership().borrow();
        match known.leader {
            Some(node) if node == self.inner.me => Place::Here { shard },
            Some(node) => Place::There { shard, node },
            None => Place::Nowhere { shard },
        }
    }

    pub fn locate(&self, namespace_id: &str, key: &str) -> Place {
        self.place(self.shard_of(namespace_id, key))
    }

    pub fn queue_home(&self, key: &QueueKey) -> Option<u64> {
        match self.locate(&key.namespace_id, &key.name) {
            Place::Here { .. } => Some(self.inner.me),
            Place::There { node, .. } => Some(node),
            Place::Nowhere { .. } => None,
        }
    }

    pub fn shard(&self, shard: u16) -> Option<&ShardHandle> {
        self.inner.shards.get()?.get(shard as usize)
    }

    /// Asks a workflow whose shard this node leads.
    pub async fn call(&self, workflow: WorkflowKey, request: Request) -> Result<Reply, Reject> {
        let shard = self.shard_of(&workflow.namespace_id, &workflow.workflow_id);
        match self.shard(shard) {
            Some(handle) => handle.call(workflow, request).await,
            None => Err(Reject::Unavailable("this node is starting".into())),
        }
    }

    /// Asks something that runs on its own and whose shard this node leads.
    pub async fn call_standalone(
        &self,
        key: StandaloneKey,
        request: StandaloneRequest,
    ) -> Result<Reply, Reject> {
        let shard = self.shard_of(key.namespace_id(), key.id());
        match self.shard(shard) {
            Some(handle) => handle.call_standalone(key, request).await,
            None => Err(Reject::Unavailable("this node is starting".into())),
        }
    }

    pub async fn internal(&self, node: u64, request: &Internal) -> Result<InternalReply, Reject> {
        let lost = |why: String| Reject::Unavailable(why);
        let bytes = self
            .inner
            .peers
            .internal(node, request.encode())
            .await
            .map_err(|status| lost(status.to_string()))?;
        InternalReply::decode(&bytes).map_err(|error| lost(error.to_string()))
    }

    /// The same for what may take its time.
    pub async fn internal_within(
        &self,
        node: u64,
        request: &Internal,
        timeout: Duration,
    ) -> Result<InternalReply, Reject> {
        let answer = self.inner.peers.internal_within(node, request.encode(), timeout).await;
        let bytes = answer.map_err(|status| Reject::Unavailable(status.to_string()))?;
        InternalReply::decode(&bytes).map_err(|error| Reject::Unavailable(error.to_string()))
    }

    /// Asks the shard of a matched task, here or elsewhere, to hand it out. None: it is no longer owed.
    pub async fn take(&self, take: Take) -> Result<Option<HandedOut>, Reject> {
        let named = match &take {
            Take::Workflow(workflow, _) => workflow,
            Take::Standalone(key, _) => &key.named,
        };
        match self.locate(&named.namespace_id, &named.workflow_id) {
            Place::Here { .. } => self.take_here(take).await,
            Place::There { node, .. } => {
                let internal = match take {
                    Take::Workflow(workflow, request) => Internal::take(&workflow, request),
                    Take::Standalone(key, take) => Some(Internal::TakeStandaloneActivity { key, take }),
                };
                let Some(internal) = internal else { return Ok(None) };
                match self.internal(node, &internal).await? {
                    InternalReply::Task(task) => Ok(Some(task.into())),
                    InternalReply::Reject(reject) => Err(reject),
                    _ => Ok(None),
                }
            }
            Place::Nowhere { .. } => Err(Reject::Unavailable("the task's shard has no leader".into())),
        }
    }

    async fn take_here(&self, take: Take) -> Result<Option<HandedOut>, Reject> {
        let reply = match take {
            Take::Workflow(workflow, request) => self.call(workflow, request).await?,
            Take::Standalone(key, take) => {
                self.call_standalone(key, StandaloneRequest::TakeActivity(take)).await?
            }
        };
        match reply {
            Reply::WorkflowTask(task) => Ok(Some(HandedOut::Workflow(task))),
            Reply::ActivityTask(task) => Ok(Some(HandedOut::Activity(task))),
            _ => Ok(None),
        }
    }

    /// A queue will not keep this task; its shard finds another way.
    pub async fn refused(&self, key: &TaskKey, reason: Refusal) {
        if !internal::matters(reason) {
            return;
        }
        let workflow = &key.run.workflow;
        match queue::refusal_request(key, reason) {
            Some(request) => {
                // If the shard does not hear of it, the task times out on the sticky queue instead.
                let _ = match self.locate(&workflow.namespace_id, &workflow.workflow_id) {
                    Place::Here { .. } => self.call(workflow.clone(), request).await.map(|_| ()),
                    Place::There { node, .. } => match Internal::take(workflow, request) {
                        Some(internal) => self.internal(node, &internal).await.map(|_| ()),
                        None => Ok(()),
                    },
                    Place::Nowhere { .. } => Ok(()),
                };
            }
            None => match self.locate(&workflow.namespace_id, &workflow.workflow_id) {
                Place::There { node, .. } => {
                    let _ = self.internal(node, &Internal::OfferRefused { run: key.run.clone() }).await;
                }
                _ => self.offer_refused(&key.run),
            },
        }
    }

    /// A task of a run of this node could not be offered now.
    pub fn offer_refused(&self, run: &RunKey) {
        let shard = self.shard_of(&run.workflow.namespace_id, &run.workflow.workflow_id);
        if let Some(shard) = self.shard(shard) {
            shard.offer_refused(run.clone());
        }
    }

    /// Answers another node's request.
    pub async fn answer(&self, request: Internal) -> InternalReply {
        match request {
            Internal::Offer { queue, task } => {
                let taken = self.queues().is_some_and(|queues| queues.offered(queue.key(), task.task()));
                if taken { InternalReply::Done } else { overloaded() }
            }
            Internal::TakeWorkflowTask { workflow, take } => {
                self.answer_take(Take::Workflow(workflow, Request::TakeWorkflowTask(take))).await
            }
            Internal::TakeActivityTask { workflow, take } => {
                self.answer_take(Take::Workflow(workflow, Request::TakeActivityTask(take))).await
            }
            Internal::TakeQuery { workflow, take } => {
                self.answer_take(Take::Workflow(workflow, Request::TakeQuery(take))).await
            }
            Internal::TakeStandaloneActivity { key, take } => {
                self.answer_take(Take::Standalone(key, take)).await
            }
            Internal::NoPoller { workflow, run_id, scheduled_event_id, query, sticky } => {
                let request = Request::NoPoller { run_id, scheduled_event_id, query, sticky };
                match self.call(workflow, request).await {
                    Ok(_) => InternalReply::Done,
                    Err(reject) => InternalReply::Reject(reject),
                }
            }
            Internal::OfferRefused { run } => {
                self.offer_refused(&run);
                InternalReply::Done
            }
            Internal::ShutDownWorker { queue, worker_instance_key } => {
                if let Some(queues) = self.queues() {
                    queues.shut_down_worker(queue.key(), worker_instance_key);
                }
                InternalReply::Done
            }
            Internal::List { shard, query } => match crate::list::of_shard(self, shard, &query).await {
                Ok(part) => InternalReply::Rows(part),
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Count { shard, query } => {
                match crate::list::count_of_shard(self, shard, &query).await {
                    Ok((counts, read_to)) => InternalReply::Counted { counts, read_to },
                    Err(reject) => InternalReply::Reject(reject),
                }
            }
            Internal::Ask { workflow, ask } => {
                InternalReply::Asked(crate::ask::here(self, &workflow, &ask).await)
            }
            Internal::Cluster(request) => match crate::cluster::decide_here(self, request).await {
                Ok(reply) => InternalReply::Cluster(reply),
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Work(work) => match crate::batches::here(self, &work).await {
                Ok(()) => InternalReply::Done,
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Delete(leftover) => match crate::batches::delete_here(self, leftover).await {
                Ok(()) => InternalReply::Done,
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Message(message) => match crate::post::hear(self, message).await {
                Ok(outcome) => InternalReply::Message(outcome),
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Deployment { key, request } => match deployments::tell_here(self, key, request).await {
                Ok(()) => InternalReply::Done,
                Err(reject) => InternalReply::Reject(reject),
            },
            Internal::Deployments { shard, namespace_id } => {
                match deployments::list_shard(self, shard, &namespace_id).await {
                    Ok(states) => InternalReply::Deployments(states),
                    Err(reject) => InternalReply::Reject(reject),
                }
            }
            Internal::QueueSeen { queue, version } => {
                InternalReply::QueueSeen(deployments::seen_here(self, queue.key(), &version).await)
            }
            Internal::Workers(asked) => InternalReply::Workers(workers::part_here(self, &asked)),
            Internal::Nexus(dispatch) => InternalReply::Nexus(crate::nexus::here(self, dispatch).await),
            Internal::ClusterBarrier => match crate::cluster::barrier_here(self).await {
                Ok(index) => InternalReply::Index(index),
                Err(reject) => InternalReply::Reject(reject),
            },
        }
    }

    async fn answer_take(&self, take: Take) -> InternalReply {
        match self.take_here(take).await {
            Ok(Some(task)) => InternalReply::Task(task.into()),
            Ok(None) => InternalReply::Gone,
            Err(reject) => InternalReply::Reject(reject),
        }
    }
}

fn overloaded() -> InternalReply {
    InternalReply::Reject(Reject::Overloaded("too many tasks wait for this node's queues".into()))
}
