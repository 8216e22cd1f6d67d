//! Everything that will happen, in the order in which it will: the virtual clock of a run.

use std::collections::BTreeMap;

use everlog_engine::{
    deployment::{DeploymentKey, request::DeploymentRequest},
    key::{RunKey, WorkflowKey},
    queue::{Match, Poller, QueueKey, Task, TaskKey},
    reject::Reject,
    reply::Reply,
    request::Request,
    schedule::{ScheduleKey, request::ScheduleRequest},
    standalone::{StandaloneKey, request::StandaloneRequest},
    time::Time,
};
use everlog_proto::api::history::v1::HistoryEvent;

use crate::worker::PolledTask;

#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks for its schedule.
    WantSchedule {
        schedule: usize,
    },
    /// The client of the deployment asks for its next change.
    ChangeDeployment,
    /// A client asks for its activity, or how it ended.
    WantActivity {
        activity: usize,
    },
    /// A client wants its activity to be cancelled.
    CancelActivity {
        activity: usize,
    },
    /// A worker has something to say about an attempt of such an activity.
    WantOperation {
        operation: usize,
    },
    TerminateOperation {
        operation: usize,
    },
    OperationEnds {
        operation: usize,
    },
    AttemptActs {
        activity: usize,
        attempt: usize,
    },
    /// A shell takes what is in its inbox, or finds that something is due.
    Turn {
        node: usize,
        life: u64,
        shard: usize,
        woken: bool,
    },
    QueueWake {
        node: usize,
        life: u64,
    },
    /// A message arrives, if the node still lives.
    Arrive {
        node: usize,
        message: Message,
    },
    /// The leader of this term may commit what is ready.
    Commit {
        shard: usize,
        term: u64,
    },
    Apply {
        node: usize,
        life: u64,
        shard: usize,
    },
    /// A node hears who leads.
    Learn {
        node: usize,
        life: u64,
        shard: usize,
    },
    /// A read barrier comes back.
    Barrier {
        node: usize,
        life: u64,
        shard: usize,
        term: u64,
        read: u64,
    },
    Checkpoint {
        node: usize,
    },
    /// Members look whether their leader is still there.
    Election {
        shard: usize,
    },
    Fault,
    EndFault {
        node: usize,
        fault: Recovery,
    },
    SafetyEnds,
    /// An answer reaches whoever asked.
    Answer {
        to: Asker,
        answer: Box<Answer>,
    },
    RpcTimeout {
        rpc: u64,
        attempt: u32,
    },
    RpcRetry {
        rpc: u64,
    },
    Session {
        session: usize,
    },
    Poll {
        worker: usize,
        life: u64,
        slot: usize,
    },
    Polled {
        worker: usize,
        life: u64,
        slot: usize,
        poll: u64,
        task: Option<Box<PolledTask>>,
    },
    PollTimeout {
        worker: usize,
        life: u64,
        slot: usize,
        poll: u64,
    },
    WorkerActs {
        worker: usize,
        life: u64,
        job: u64,
    },
    WorkerRestarts {
        worker: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    Restart,
    Reconnect,
    Resume,
}

/// Between nodes, and from outside to a node.
#[derive(Clone, Debug)]
pub enum Message {
    Request { workflow: WorkflowKey, request: Box<Request>, asker: Asker, hops: u32 },
    Offer { key: QueueKey, task: Task },
    OfferRefused { run: RunKey },
    Schedule { key: ScheduleKey, request: Box<ScheduleRequest>, asker: Asker, hops: u32 },
    Deployment { key: DeploymentKey, request: Box<DeploymentRequest>, asker: Asker, hops: u32 },
    Standalone { key: StandaloneKey, request: Box<StandaloneRequest>, asker: Asker, hops: u32 },
    Poll { key: QueueKey, poller: Box<Poller>, by: PollBy, hops: u32 },
    CancelPoll { by: PollBy },
    TaskRefused { key: TaskKey, request: Box<Request> },
}

/// A poll as its worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PollBy {
    pub worker: usize,
    pub life: u64,
    pub slot: usize,
    pub poll: u64,
}

/// Who waits for the answer to a request.
#[derive(Clone, Debug)]
pub enum Asker {
    Rpc {
        rpc: u64,
        attempt: u32,
    },
    /// The queues of a node, which want to hand out a task.
    Queue {
        node: usize,
        life: u64,
        take: u64,
        matched: Box<Match>,
    },
    /// A shard that has sent another workflow a message.
    Sender {
        node: usize,
        life: u64,
        message: Box<everlog_engine::message::Message>,
    },
    /// A Nexus handler that has started a workflow for a call of this shard.
    Handler {
        node: usize,
        life: u64,
        message: Box<everlog_engine::message::Message>,
    },
    /// A shard that has been told what became of the message.
    Noted {
        node: usize,
        life: u64,
    },
    /// A client that wants a schedule.
    ScheduleClient {
        schedule: usize,
    },
    /// The client that changes a deployment, when so many changes were answered.
    DeploymentClient {
        made: usize,
    },
    /// Whoever has to do with an activity that runs on its own.
    Activity {
        activity: usize,
        about: About,
    },
    /// Whoever has to do with an operation that runs on its own.
    Operation {
        operation: usize,
        about: About,
    },
    /// A schedule that has asked a workflow.
    Schedule {
        node: usize,
        life: u64,
        shard: usize,
        ask: u64,
        request: Box<everlog_engine::schedule::ask::Ask>,
    },
    Nobody,
}

/// What was asked of an activity that runs on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Start,
    End,
    Cancel,
    /// The result, or the failure, of an attempt.
    Attempt(usize),
}

/// A reply with the events that belong to it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub reply: Result<Reply, Reject>,
    pub events: Vec<HistoryEvent>,
}

#[derive(Debug, Default)]
pub struct Agenda {
    events: BTreeMap<(Time, u64), Event>,
    planned: u64,
}

impl Agenda {
    pub fn plan(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    pub fn pop(&mut self) -> Option<(Time, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
