//! The shell of the task queues that live on this node.
//!
//! One task owns all of them. Shards offer tasks, workers' calls wait for them, and a match is carried to
//! the task's shard: only if that shard hands the task out does the worker get it. Where a queue lives
//! follows from its name, as with workflows; a shard on another node offers and is asked over the peer
//! connection.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use everlog_engine::{
    cluster::{TaskQueueId, TaskQueueSettings},
    deployment::{Directory, WorkerVersion, state::PolledQueue},
    key::{RunKey, WorkflowKey},
    queue::{
        Config, Description, Match, Output, PollId, Poller, QueueKey, QueueKind, Queues, Refusal, Task,
        TaskKey,
    },
    request::{Request, Routed, TakeActivityTask, TakeQuery, TakeWorkflowTask},
    shard::{Offer, OfferedTask},
    standalone::{Kind, StandaloneKey, request::TakeStandaloneActivity},
    time::Time,
};
use everlog_proto::api::enums::v1::TaskQueueType;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    clock::Clock,
    deployments::polled_queue,
    internal::{HandedOut, Internal},
    nexus::{NexusAnswered, NexusDispatch},
    router::Router,
};

mod nexus;

use nexus::NexusRequests;

/// Messages that may wait for the queues of a node.
const INBOX_MAX: usize = 64 * 1024;
/// Offers and takes on their way to other nodes.
const REMOTE_CALLS_MAX: usize = 4096;
const IDLE_WAKE: Duration = Duration::from_secs(60);

/// What a poll came to.
#[derive(Debug)]
pub enum Polled {
    Task {
        task: Box<HandedOut>,
        backlog: i64,
        poll_delta: i32,
    },
    /// Time is up, the worker shuts down, or the queue has moved: poll again.
    Empty,
    /// There are too many polls.
    Refused,
}

enum Message {
    Offer {
        key: QueueKey,
        task: Task,
    },
    Poll {
        key: QueueKey,
        poller: Poller,
        reply: oneshot::Sender<Polled>,
    },
    CancelPoll {
        id: PollId,
    },
    Taken {
        id: PollId,
        task: Box<HandedOut>,
        backlog: i64,
        poll_delta: i32,
    },
    Gone {
        matched: Box<Match>,
    },
    ShutDownWorker {
        key: QueueKey,
        worker_instance_key: String,
    },
    Describe {
        key: QueueKey,
        all_versions: bool,
        reply: oneshot::Sender<Option<Description>>,
    },
    Nexus {
        dispatch: Box<NexusDispatch>,
        reply: oneshot::Sender<NexusAnswered>,
    },
    /// A worker answers the Nexus request of this number.
    AnswerNexus {
        id: u64,
        answered: Box<NexusAnswered>,
        /// Whether anybody waited for it.
        reply: oneshot::Sender<bool>,
    },
    /// Queues whose home is no longer here are closed.
    Moved,
    Drain,
}

/// A cheap handle to the queues of this node.
#[derive(Clone)]
pub struct QueuesHandle {
    inbox: mpsc::Sender<Message>,
    router: Router,
    next_poll: Arc<std::sync::atomic::AtomicU64>,
    remote: Arc<Semaphore>,
}

/// Starts the task that owns the queues.
pub fn start(router: Router, clock: Clock) -> QueuesHandle {
    let (sender, inbox) = mpsc::channel(INBOX_MAX);
    let handle = QueuesHandle {
        inbox: sender,
        router: router.clone(),
        next_poll: Arc::default(),
        remote: Arc::new(Semaphore::new(REMOTE_CALLS_MAX)),
    };
    let shell = Shell {
        queues: Queues::new(),
        polls: BTreeMap::new(),
        nexus: NexusRequests::default(),
        router,
        clock,
        back: handle.inbox.clone(),
    };
    tokio::spawn(shell.run(inbox));
    handle
}

impl QueuesHandle {
    /// A shard of this node owes a task: it goes to the queue's home, here or elsewhere.
    pub fn offer(&self, shard: u16, offer: Offer) {
        let run = offer.run.clone();
        let (key, task) = to_queue(shard, offer);
        match self.router.queue_home(&key) {
            Some(home) if home == self.router.me() => {
                if self.inbox.try_send(Message::Offer { key, task }).is_err() {
                    self.router.offer_refused(&run);
                }
            }
            Some(home) => {
                let Ok(permit) = self.remote.clone().try_acquire_owned() else {
                    self.router.offer_refused(&run);
                    return;
                };
                let router = self.router.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    if router.internal(home, &Internal::offer(&key, &task)).await.is_err() {
                        router.offer_refused(&run);
                    }
                });
            }
            None => self.router.offer_refused(&run),
        }
    }

    /// A shard of another node owes a task, and the queue lives here.
    pub fn offered(&self, key: QueueKey, task: Task) -> bool {
        self.inbox.try_send(Message::Offer { key, task }).is_ok()
    }

    /// Waits for a task. Dropping the future gives the place in the queue up.
    pub async fn poll(&self, key: QueueKey, mut poller: Poller) -> Polled {
        poller.id = self.next_poll.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let guard = CancelOnDrop { id: poller.id, inbox: self.inbox.clone(), armed: true };
        if self.inbox.try_send(Message::Poll { key, poller, reply }).is_err() {
            return Polled::Refused;
        }
        let polled = answer.await.unwrap_or(Polled::Empty);
        guard.disarm();
        polled
    }

    pub fn shut_down_worker(&self, key: QueueKey, worker_instance_key: String) {
        let _ = self.inbox.try_send(Message::ShutDownWorker { key, worker_instance_key });
    }

    /// All versions of a queue together, or only the key's.
    pub async fn describe(&self, key: QueueKey, all_versions: bool) -> Option<Description> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Message::Describe { key, all_versions, reply }).await.ok()?;
        answer.await.ok().flatten()
    }

    /// Waits for a worker's answer to a Nexus request; see [`crate::nexus::dispatch`].
    pub async fn dispatch_nexus(&self, dispatch: NexusDispatch) -> NexusAnswered {
        let within = dispatch.within;
        let (reply, answer) = oneshot::channel();
        if self.inbox.try_send(Message::Nexus { dispatch: Box::new(dispatch), reply }).is_err() {
            return NexusAnswered::Moved;
        }
        match tokio::time::timeout(within, answer).await {
            Ok(answered) => answered.unwrap_or(NexusAnswered::Moved),
            Err(_) => NexusAnswered::TimedOut,
        }
    }

    /// Whether somebody waited for this answer.
    pub async fn answer_nexus(&self, id: u64, answered: NexusAnswered) -> bool {
        let (reply, answer) = oneshot::channel();
        let message = Message::AnswerNexus { id, answered: Box::new(answered), reply };
        self.inbox.send(message).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// Queues may have another home now.
    pub fn moved(&self) {
        let _ = self.inbox.try_send(Message::Moved);
    }

    /// Returns when the task of the queues is gone, which it is on a stop, or after a panic.
    pub async fn ended(&self) {
        self.inbox.closed().await;
    }

    /// Ends all polls with empty answers.
    pub async fn drain(&self) {
        let _ = self.inbox.send(Message::Drain).await;
    }
}

struct CancelOnDrop {
    id: PollId,
    inbox: mpsc::Sender<Message>,
    armed: bool,
}

impl CancelOnDrop {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.armed {
            let _ = self.inbox.try_send(Message::CancelPoll { id: self.id });
        }
    }
}

fn to_queue(shard: u16, offer: Offer) -> (QueueKey, Task) {
    let kind = match &offer.task {
        OfferedTask::Workflow { sticky: true, .. } | OfferedTask::Query { sticky: true, .. } => {
            QueueKind::Sticky
        }
        OfferedTask::Workflow { .. } | OfferedTask::Query { .. } => QueueKind::Workflow,
        OfferedTask::Activity { .. } | OfferedTask::StandaloneActivity { .. } => QueueKind::Activity,
        OfferedTask::Nexus { .. } => QueueKind::Nexus,
    };
    let key = QueueKey::unversioned(&offer.run.workflow.namespace_id, &offer.queue, kind);
    let task = Task {
        key: TaskKey { run: offer.run, task: offer.task },
        shard,
        queued_at: offer.scheduled_time,
        priority_key: offer.priority,
        fairness: offer.fairness,
        deadline: offer.deadline,
        placement: offer.placement,
    };
    (key, task)
}

struct Shell {
    queues: Queues,
    polls: BTreeMap<PollId, oneshot::Sender<Polled>>,
    nexus: NexusRequests,
    router: Router,
    clock: Clock,
    back: mpsc::Sender<Message>,
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        // An alarm that rings too early costs less than one that is set again for every message.
        let alarm = tokio::time::sleep(IDLE_WAKE);
        tokio::pin!(alarm);
        let mut deployments = self.router.deployments().changes();
        let mut cluster = self.router.cluster().clone();
        let mut settings = Arc::default();
        let mut is_followed = true;
        loop {
            let wake = match self.queues.wake_at() {
                Time::NEVER => IDLE_WAKE,
                at => at.since(self.clock.time()).min(IDLE_WAKE),
            };
            let wake = Instant::now() + wake;
            if wake < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(wake);
            }
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.handle(message),
                    None => return,
                },
                Ok(()) = deployments.changed() => self.place_anew(),
                () = &mut alarm => self.queues.expire(self.clock.time()),
                changed = cluster.changed(), if is_followed => is_followed = changed.is_ok(),
            }
            let latest = cluster.borrow_and_update().task_queues.clone();
            if !Arc::ptr_eq(&settings, &latest) {
                settings = latest;
                self.queues.configure(self.clock.time(), configs(&settings));
            }
            while let Ok(message) = inbox.try_recv() {
                self.handle(message);
            }
            while let Some(output) = self.queues.poll_output() {
                self.carry_out(output);
            }
        }
    }

    fn handle(&mut self, message: Message) {
        let now = self.clock.time();
        match message {
            Message::Offer { key, task } => match self.place(&key, &task) {
                Some(version) => self.queues.offer(now, &QueueKey { version, ..key }, task),
                None => self.refuse(task, Refusal::NoPoller),
            },
            Message::Poll { key, poller, reply } => {
                self.polls.insert(poller.id, reply);
                self.queues.poll(now, &key, poller);
            }
            Message::CancelPoll { id } => {
                self.polls.remove(&id);
                self.queues.cancel_poll(now, id);
            }
            Message::Taken { id, task, backlog, poll_delta } => {
                if let Some(reply) = self.polls.remove(&id) {
                    let _ = reply.send(Polled::Task { task, backlog, poll_delta });
                }
            }
            Message::Gone { matched } => {
                self.queues.match_failed(now, &matched.queue, &matched.task.key);
                if self.polls.contains_key(&matched.poller.id) {
                    self.queues.poll(now, &matched.queue, matched.poller);
                }
            }
            Message::ShutDownWorker { key, worker_instance_key } => {
                self.queues.shut_down_worker(now, &key, &worker_instance_key);
            }
            Message::Describe { key, all_versions, reply } => {
                let _ = reply.send(self.queues.describe(now, &key, all_versions));
            }
            Message::Nexus { dispatch, reply } => {
                if let Some((key, task)) = self.nexus.wait(now, *dispatch, reply) {
                    self.queues.offer(now, &key, task);
                }
            }
            Message::AnswerNexus { id, answered, reply } => {
                let _ = reply.send(self.nexus.answer(id, *answered));
            }
            Message::Moved => {
                let router = self.router.clone();
                let moved = |key: &QueueKey| router.queue_home(key) != Some(router.me());
                self.queues.close_where(now, moved);
                self.nexus.forget_where(moved);
            }
            Message::Drain => {
                self.queues.close_where(now, |_| true);
                self.nexus.forget_where(|_| true);
            }
        }
    }

    /// The version whose workers may have a task; nothing if it belongs into no sticky queue any more.
    fn place(&self, key: &QueueKey, task: &Task) -> Option<Option<Arc<WorkerVersion>>> {
        let directory = self.router.deployments().read();
        place(&directory, key, task)
    }

    /// Tasks wait where they belonged when they were offered: they go where they belong now.
    fn place_anew(&mut self) {
        let router = self.router.clone();
        let directory = router.deployments().read();
        self.queues.place_anew(self.clock.time(), |key, task| place(&directory, key, task));
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Match(matched) => self.take(matched),
            Output::PollerTimedOut { poller, .. } => self.answer(poller.id, Polled::Empty),
            Output::PollerRefused { poller, .. } => self.answer(poller.id, Polled::Refused),
            Output::TaskRefused { task, reason, .. } => self.refuse(task, reason),
        }
    }

    fn answer(&mut self, id: PollId, polled: Polled) {
        if let Some(reply) = self.polls.remove(&id) {
            let _ = reply.send(polled);
        }
    }

    /// Asks the task's shard to hand it out to this poller.
    fn take(&mut self, matched: Match) {
        if let OfferedTask::Nexus { id } = matched.task.key.task {
            self.take_nexus(id, matched);
            return;
        }
        let router = self.router.clone();
        let back = self.back.clone();
        tokio::spawn(async move {
            let message = match router.take(take_request(&router, &matched)).await {
                Ok(Some(task)) => Message::Taken {
                    id: matched.poller.id,
                    task: Box::new(task),
                    backlog: matched.backlog_count_hint,
                    poll_delta: matched.poll_delta,
                },
                Ok(None) | Err(_) => Message::Gone { matched: Box::new(matched) },
            };
            let _ = back.send(message).await;
        });
    }

    /// A Nexus request is here already, unless its caller has given up.
    fn take_nexus(&mut self, id: u64, matched: Match) {
        let now = self.clock.time();
        match self.nexus.take(now, id) {
            Some(task) => self.handle(Message::Taken {
                id: matched.poller.id,
                task: Box::new(HandedOut::Nexus(Box::new(task))),
                backlog: matched.backlog_count_hint,
                poll_delta: matched.poll_delta,
            }),
            None => self.handle(Message::Gone { matched: Box::new(matched) }),
        }
    }

    fn refuse(&mut self, task: Task, reason: Refusal) {
        if let OfferedTask::Nexus { id } = task.key.task {
            self.nexus.refuse(id, reason);
            return;
        }
        let router = self.router.clone();
        tokio::spawn(async move { router.refused(&task.key, reason).await });
    }
}

fn place(directory: &Directory, key: &QueueKey, task: &Task) -> Option<Option<Arc<WorkerVersion>>> {
    let placement = &task.placement;
    let is_sticky = key.kind == QueueKind::Sticky;
    let name = if is_sticky { &placement.normal_queue } else { &*key.name };
    let queue = polled_queue(name, key.kind);
    let is_activity = key.kind == QueueKind::Activity;
    let workflow_id = &task.key.run.workflow.workflow_id;
    let lane = directory.lane(&key.namespace_id, &queue, workflow_id, is_activity, placement);
    // A worker's own queue holds runs that are on its version: those that move on leave it.
    let stays = !is_sticky || lane == placement.version;
    stays.then(|| lane.map(Arc::new))
}

/// What is known of versions when a worker takes a task.
fn routed(router: &Router, matched: &Match) -> Routed {
    let Match { queue: key, task, .. } = matched;
    let placement = &task.placement;
    let is_sticky = key.kind == QueueKind::Sticky;
    let name = if is_sticky { &placement.normal_queue } else { &*key.name };
    let queue = polled_queue(name, key.kind);
    let directory = router.deployments().read();
    let target = directory.target(&key.namespace_id, &queue, &task.key.run.workflow.workflow_id);
    let version = key.version.as_deref();
    // A run that comes to the worker's version has to find its own queue there.
    let own = if placement.normal_queue.is_empty() { &*key.name } else { &placement.normal_queue };
    let own = polled_queue(own, QueueKind::Workflow);
    let lacks = |version: Option<&WorkerVersion>, queue: &PolledQueue| {
        version.is_some_and(|version| !directory.has_queue(&key.namespace_id, version, queue))
    };
    let independent = lacks(placement.version.as_ref(), &queue) || lacks(version, &own);
    Routed {
        version: version.cloned(),
        revision: target.revision.max(placement.revision),
        target: target.version,
        independent,
    }
}

/// What was set for queues, as the queues know themselves.
fn configs(settings: &BTreeMap<TaskQueueId, Arc<TaskQueueSettings>>) -> BTreeMap<QueueKey, Config> {
    let of = |settings: &TaskQueueSettings| {
        let kind = match TaskQueueType::try_from(settings.kind).ok()? {
            TaskQueueType::Workflow => QueueKind::Workflow,
            TaskQueueType::Activity => QueueKind::Activity,
            _ => return None,
        };
        Some((QueueKey::unversioned(&settings.namespace_id, &settings.name, kind), Config::of(settings)))
    };
    settings.values().filter_map(|settings| of(settings)).collect()
}

/// What a match asks of the task's shard.
#[derive(Debug)]
pub enum Take {
    Workflow(WorkflowKey, Request),
    Standalone(StandaloneKey, TakeStandaloneActivity),
}

fn take_request(router: &Router, matched: &Match) -> Take {
    let routed = routed(router, matched);
    let run: &RunKey = &matched.task.key.run;
    let run_id = run.run_id.to_string();
    let identity = matched.poller.identity.clone();
    let request_id = matched.poller.request_id.clone();
    let queue = matched.queue.name.to_string();
    let build_id = matched.poller.version_capabilities.as_ref();
    let build_id = build_id.map(|capabilities| capabilities.build_id.clone()).unwrap_or_default();
    let request = match matched.task.key.task {
        OfferedTask::Workflow { scheduled_event_id, attempt, .. } => {
            Request::TakeWorkflowTask(TakeWorkflowTask {
                run_id,
                scheduled_event_id,
                attempt,
                queue,
                identity,
                request_id,
                build_id,
                routed,
            })
        }
        OfferedTask::Activity { scheduled_event_id, attempt, stamp } => {
            Request::TakeActivityTask(TakeActivityTask {
                run_id,
                scheduled_event_id,
                attempt,
                stamp,
                identity,
                request_id,
                build_id,
                routed,
            })
        }
        OfferedTask::Query { id, .. } | OfferedTask::Nexus { id } => {
            Request::TakeQuery(TakeQuery { run_id, query: id, queue, identity })
        }
        OfferedTask::StandaloneActivity { attempt, stamp } => {
            let key = StandaloneKey { kind: Kind::Activity, named: run.workflow.clone() };
            return Take::Standalone(
                key,
                TakeStandaloneActivity {
                    run_id,
                    attempt,
                    stamp,
                    identity,
                    request_id,
                    build_id,
                    sdk_name: matched.poller.sdk_name.clone(),
                    sdk_version: matched.poller.sdk_version.clone(),
                },
            );
        }
    };
    Take::Workflow(run.workflow.clone(), request)
}

/// What a shard is told of a task that a queue will not keep.
pub fn refusal_request(key: &TaskKey, reason: Refusal) -> Option<Request> {
    let run_id = key.run.run_id.to_string();
    match (&key.task, reason) {
        (OfferedTask::Workflow { scheduled_event_id, sticky: true, .. }, Refusal::NoPoller) => {
            let scheduled_event_id = *scheduled_event_id;
            Some(Request::NoPoller { run_id, scheduled_event_id, query: None, sticky: true })
        }
        (OfferedTask::Query { id, sticky }, Refusal::NoPoller) => {
            let (query, sticky) = (Some(*id), *sticky);
            Some(Request::NoPoller { run_id, scheduled_event_id: 0, query, sticky })
        }
        _ => None,
    }
}
