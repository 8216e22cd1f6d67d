//! What the engine's shells on different nodes say to each other, as bytes.
//!
//! Both ends run neighbouring versions of the same binary, so messages carry a kind and a version like
//! everything that is stored.

use bytes::Bytes;
use everlog_engine::{
    cluster::{self, work::Work},
    codec::{self, CodecError, Proto},
    deployment::{DeploymentKey, DeploymentState, Placement, WorkerVersion, request::DeploymentRequest},
    key::{RunKey, WorkflowKey},
    message::{Message, Outcome},
    queue::{Fairness, QueueKey, QueueKind, Refusal, Task, TaskKey},
    reject::Reject,
    reply::{HistorySpan, WorkflowTaskReply},
    request::{Request, TakeActivityTask, TakeQuery, TakeWorkflowTask},
    schedule::ask::{Ask, Asked},
    shard::OfferedTask,
    standalone::{StandaloneKey, request::TakeStandaloneActivity},
    time::Time,
    visibility::{Counts, Part},
    worker,
};
use everlog_proto::api::{
    history::v1::HistoryEvent,
    workflowservice::v1::{
        PollActivityTaskQueueResponse, PollNexusTaskQueueResponse, PollWorkflowTaskQueueResponse,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    batches::Leftover,
    deployments::QueueSeen,
    list::ListQuery,
    nexus::{NexusAnswered, NexusDispatch},
    workers::WorkersAsked,
};

const KIND: u8 = b'I';
const VERSION: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub enum Internal {
    Offer {
        queue: WireQueue,
        task: WireTask,
    },
    TakeWorkflowTask {
        workflow: WorkflowKey,
        take: TakeWorkflowTask,
    },
    TakeActivityTask {
        workflow: WorkflowKey,
        take: TakeActivityTask,
    },
    TakeQuery {
        workflow: WorkflowKey,
        take: TakeQuery,
    },
    /// A queue has no worker for this task.
    NoPoller {
        workflow: WorkflowKey,
        run_id: String,
        scheduled_event_id: i64,
        query: Option<u64>,
        sticky: bool,
    },
    OfferRefused {
        run: RunKey,
    },
    ShutDownWorker {
        queue: WireQueue,
        worker_instance_key: String,
    },
    /// One shard's part of a list.
    List {
        shard: u16,
        query: ListQuery,
    },
    /// What a schedule asks of a workflow.
    Ask {
        workflow: WorkflowKey,
        ask: Ask,
    },
    /// A change of the cluster's state, for the leader of shard 0.
    Cluster(cluster::Request),
    /// Answered when the leader of shard 0 has confirmed that it leads: with the index it has applied.
    ClusterBarrier,
    /// For a workflow of a shard that the other node leads.
    Message(Message),
    /// What the other node has heard of workers.
    Workers(WorkersAsked),
    /// For a deployment of a shard that the other node leads.
    Deployment {
        key: DeploymentKey,
        request: DeploymentRequest,
    },
    /// A shard's deployments of a namespace.
    Deployments {
        shard: u16,
        namespace_id: String,
    },
    /// What a queue has seen of the workers of a version.
    QueueSeen {
        queue: WireQueue,
        version: WorkerVersion,
    },
    TakeStandaloneActivity {
        key: StandaloneKey,
        take: TakeStandaloneActivity,
    },
    /// What a batch asks of one of its targets.
    Work(Box<Work>),
    /// What a deleted namespace has left goes.
    Delete(Leftover),
    /// One shard's part of a count.
    Count {
        shard: u16,
        query: ListQuery,
    },
    /// A Nexus request for a worker of a queue whose home the other node is.
    Nexus(NexusDispatch),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum InternalReply {
    Done,
    /// The task is no longer owed.
    Gone,
    Task(WireHandedOut),
    Rows(Part),
    Cluster(cluster::Reply),
    Index(u64),
    Asked(Asked),
    Message(Outcome),
    Reject(Reject),
    Workers(worker::Part),
    Counted {
        counts: Counts,
        read_to: Option<Vec<u8>>,
    },
    Nexus(NexusAnswered),
    Deployments(Vec<DeploymentState>),
    QueueSeen(QueueSeen),
}

/// A task on its way to a worker.
#[derive(Clone, Debug)]
pub enum HandedOut {
    Workflow(Box<WorkflowTaskReply>),
    Activity(Box<PollActivityTaskQueueResponse>),
    /// Never leaves the queue's home: the worker's call waits there.
    Nexus(Box<PollNexusTaskQueueResponse>),
}

/// The same between nodes. The worker's node has the run's history itself, so only its span travels.
#[derive(Debug, Serialize, Deserialize)]
pub enum WireHandedOut {
    Workflow {
        response: Proto<PollWorkflowTaskQueueResponse>,
        run: RunKey,
        from: i64,
        to: i64,
        suffix: Vec<Proto<HistoryEvent>>,
    },
    Activity(Proto<PollActivityTaskQueueResponse>),
    Nexus(Proto<PollNexusTaskQueueResponse>),
}

impl From<HandedOut> for WireHandedOut {
    fn from(task: HandedOut) -> WireHandedOut {
        match task {
            HandedOut::Workflow(task) => WireHandedOut::Workflow {
                response: Proto(task.response),
                run: task.history.run,
                from: task.history.from,
                to: task.history.to,
                suffix: task.history.suffix.into_iter().map(Proto).collect(),
            },
            HandedOut::Activity(task) => WireHandedOut::Activity(Proto(*task)),
            HandedOut::Nexus(task) => WireHandedOut::Nexus(Proto(*task)),
        }
    }
}

impl From<WireHandedOut> for HandedOut {
    fn from(task: WireHandedOut) -> HandedOut {
        match task {
            WireHandedOut::Workflow { response, run, from, to, suffix } => {
                let suffix = suffix.into_iter().map(|event| event.0).collect();
                let history = HistorySpan { run, from, to, suffix };
                HandedOut::Workflow(Box::new(WorkflowTaskReply { response: response.0, history }))
            }
            WireHandedOut::Activity(task) => HandedOut::Activity(Box::new(task.0)),
            WireHandedOut::Nexus(task) => HandedOut::Nexus(Box::new(task.0)),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireQueue {
    pub namespace_id: String,
    pub name: String,
    pub kind: u8,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireTask {
    pub run: RunKey,
    pub task: WireOffered,
    pub shard: u16,
    pub queued_at: Time,
    pub priority_key: i32,
    pub placement: Placement,
    pub fairness: Fairness,
    pub deadline: Option<Time>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum WireOffered {
    Workflow { scheduled_event_id: i64, attempt: i32, sticky: bool, stamp: u32 },
    Activity { scheduled_event_id: i64, attempt: i32, stamp: u32 },
    Query { id: u64, sticky: bool },
    StandaloneActivity { attempt: i32, stamp: u32 },
    Nexus { id: u64 },
}

impl Internal {
    pub fn encode(&self) -> Bytes {
        codec::encode(KIND, VERSION, self).into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Internal, CodecError> {
        codec::decode(KIND, VERSION, bytes)
    }

    pub fn offer(queue: &QueueKey, task: &Task) -> Internal {
        let offered = match task.key.task {
            OfferedTask::Workflow { scheduled_event_id, attempt, sticky, stamp } => {
                WireOffered::Workflow { scheduled_event_id, attempt, sticky, stamp }
            }
            OfferedTask::Activity { scheduled_event_id, attempt, stamp } => {
                WireOffered::Activity { scheduled_event_id, attempt, stamp }
            }
            OfferedTask::Query { id, sticky } => WireOffered::Query { id, sticky },
            OfferedTask::StandaloneActivity { attempt, stamp } => {
                WireOffered::StandaloneActivity { attempt, stamp }
            }
            OfferedTask::Nexus { id } => WireOffered::Nexus { id },
        };
        let task = WireTask {
            run: task.key.run.clone(),
            task: offered,
            shard: task.shard,
            queued_at: task.queued_at,
            priority_key: task.priority_key,
            placement: task.placement.clone(),
            fairness: task.fairness.clone(),
            deadline: task.deadline,
        };
        Internal::Offer { queue: WireQueue::new(queue), task }
    }

    /// The same request for another node; none for requests that only ever stay on one.
    pub fn take(workflow: &WorkflowKey, request: Request) -> Option<Internal> {
        let workflow = workflow.clone();
        match request {
            Request::TakeWorkflowTask(take) => Some(Internal::TakeWorkflowTask { workflow, take }),
            Request::TakeActivityTask(take) => Some(Internal::TakeActivityTask { workflow, take }),
            Request::TakeQuery(take) => Some(Internal::TakeQuery { workflow, take }),
            Request::NoPoller { run_id, scheduled_event_id, query, sticky } => {
                Some(Internal::NoPoller { workflow, run_id, scheduled_event_id, query, sticky })
            }
            _ => None,
        }
    }
}

impl InternalReply {
    pub fn encode(&self) -> Bytes {
        codec::encode(KIND, VERSION, self).into()
    }

    pub fn decode(bytes: &[u8]) -> Result<InternalReply, CodecError> {
        codec::decode(KIND, VERSION, bytes)
    }
}

impl WireQueue {
    pub fn new(key: &QueueKey) -> WireQueue {
        let kind = match key.kind {
            QueueKind::Workflow => 0,
            QueueKind::Sticky => 1,
            QueueKind::Activity => 2,
            QueueKind::Nexus => 3,
        };
        WireQueue { namespace_id: key.namespace_id.to_string(), name: key.name.to_string(), kind }
    }

    pub fn key(&self) -> QueueKey {
        let kind = match self.kind {
            0 => QueueKind::Workflow,
            1 => QueueKind::Sticky,
            2 => QueueKind::Activity,
            _ => QueueKind::Nexus,
        };
        QueueKey::unversioned(&self.namespace_id, &self.name, kind)
    }
}

impl WireTask {
    pub fn task(self) -> Task {
        let task = match self.task {
            WireOffered::Workflow { scheduled_event_id, attempt, sticky, stamp } => {
                OfferedTask::Workflow { scheduled_event_id, attempt, sticky, stamp }
            }
            WireOffered::Activity { scheduled_event_id, attempt, stamp } => {
                OfferedTask::Activity { scheduled_event_id, attempt, stamp }
            }
            WireOffered::Query { id, sticky } => OfferedTask::Query { id, sticky },
            WireOffered::StandaloneActivity { attempt, stamp } => {
                OfferedTask::StandaloneActivity { attempt, stamp }
            }
            WireOffered::Nexus { id } => OfferedTask::Nexus { id },
        };
        Task {
            key: TaskKey { run: self.run, task },
            shard: self.shard,
            queued_at: self.queued_at,
            priority_key: self.priority_key,
            fairness: self.fairness,
            deadline: self.deadline,
            placement: self.placement,
        }
    }
}

/// Why a queue will not keep a task, as far as its shard has to know.
pub fn matters(reason: Refusal) -> bool {
    matches!(reason, Refusal::Full | Refusal::NoPoller)
}
