//! The shell of a shard: one task that owns it, one inbox.
//!
//! Requests, commits, read barriers, leadership and time reach the shard here, one after the other; what
//! it asks for is carried out here. The shard itself never waits, so the loop takes whatever has
//! arrived, lets the shard decide all of it in one turn, and proposes one entry.

mod world;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use everlog_engine::{
    deployment::{DeploymentKey, request::DeploymentRequest},
    fact::Entry,
    key::{RunKey, WorkflowKey},
    reject::Reject,
    reply::Reply,
    request::Request,
    schedule::{ScheduleKey, ask::Asked, request::ScheduleRequest},
    shard::{Call, Input, Offer, Output, Shard},
    standalone::{StandaloneKey, request::StandaloneRequest},
    time::Time,
};
use everlog_raft_store::Payload;
use futures::{StreamExt, stream::FuturesOrdered, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use world::{LimitsOf, NodeWorld};

use crate::{
    clock::Clock,
    metrics::Metrics,
    post::Post,
    queue::QueuesHandle,
    raft::{Group, Proposal, ProposeError},
    router::Router,
};

/// Messages that may wait for one shard; more are refused.
const INBOX_MAX: usize = 16 * 1024;
/// Messages taken in one turn.
const TURN_MESSAGES_MAX: usize = 4096;
/// How long a shard waits before it tries again to settle a lost proposal.
const RECOVERY_PAUSE: Duration = Duration::from_millis(100);
/// The loop looks at the time at least so often.
const IDLE_WAKE: Duration = Duration::from_secs(60);

enum Message {
    Request {
        call: Call,
        workflow: WorkflowKey,
        request: Request,
        reply: oneshot::Sender<Result<Reply, Reject>>,
    },
    Forget {
        call: Call,
        workflow: WorkflowKey,
    },
    Schedule {
        call: Call,
        key: ScheduleKey,
        request: ScheduleRequest,
        reply: oneshot::Sender<Result<Reply, Reject>>,
    },
    Deployment {
        call: Call,
        key: DeploymentKey,
        request: DeploymentRequest,
        reply: oneshot::Sender<Result<Reply, Reject>>,
    },
    Standalone {
        call: Call,
        key: StandaloneKey,
        request: StandaloneRequest,
        reply: oneshot::Sender<Result<Reply, Reject>>,
    },
    OfferRefused {
        run: RunKey,
    },
    QueuesMoved,
}

/// A cheap handle to a shard of this node.
#[derive(Clone)]
pub struct ShardHandle {
    inbox: mpsc::Sender<Message>,
    next_call: Arc<AtomicU64>,
}

/// Lets the shard know that a caller went away before it was answered.
struct Forgotten<'a> {
    inbox: &'a mpsc::Sender<Message>,
    call: Call,
    workflow: Option<WorkflowKey>,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        if let Some(workflow) = self.workflow.take() {
            // Without room for it the caller is forgotten when what it waits for is due.
            let _ = self.inbox.try_send(Message::Forget { call: self.call, workflow });
        }
    }
}

impl ShardHandle {
    /// Asks a workflow of this shard. Refused with Unavailable if another node leads the shard.
    pub async fn call(&self, workflow: WorkflowKey, request: Request) -> Result<Reply, Reject> {
        let (reply, answer) = oneshot::channel();
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let mut forgotten = Forgotten { inbox: &self.inbox, call, workflow: None };
        let key = workflow.clone();
        let message = Message::Request { call, workflow, request, reply };
        match self.inbox.try_send(message) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(Reject::Overloaded("too many requests wait for this shard".into()));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(stopped()),
        }
        forgotten.workflow = Some(key);
        let answered = answer.await.unwrap_or_else(|_| Err(stopped()));
        forgotten.workflow = None;
        answered
    }

    /// Asks a schedule of this shard. Refused with Unavailable if another node leads the shard.
    pub async fn call_schedule(&self, key: ScheduleKey, request: ScheduleRequest) -> Result<Reply, Reject> {
        self.ask(|call, reply| Message::Schedule { call, key, request, reply }).await
    }

    /// Asks something that runs on its own in this shard. Refused with Unavailable if another node leads it.
    pub async fn call_standalone(
        &self,
        key: StandaloneKey,
        request: StandaloneRequest,
    ) -> Result<Reply, Reject> {
        self.ask(|call, reply| Message::Standalone { call, key, request, reply }).await
    }

    /// Asks and waits for the answer. Whoever stops waiting is answered all the same.
    async fn ask(
        &self,
        message: impl FnOnce(Call, oneshot::Sender<Result<Reply, Reject>>) -> Message,
    ) -> Result<Reply, Reject> {
        let (reply, answer) = oneshot::channel();
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        match self.inbox.try_send(message(call, reply)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(stopped())),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Reject::Overloaded("too many requests wait for this shard".into()))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped()),
        }
    }

    /// Asks a deployment of this shard. Refused with Unavailable if another node leads the shard.
    pub async fn call_deployment(
        &self,
        key: DeploymentKey,
        request: DeploymentRequest,
    ) -> Result<Reply, Reject> {
        let (reply, answer) = oneshot::channel();
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        match self.inbox.try_send(Message::Deployment { call, key, request, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(stopped())),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Reject::Overloaded("too many requests wait for this shard".into()))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped()),
        }
    }

    /// A queue could not take a task of this run.
    pub fn offer_refused(&self, run: RunKey) {
        // A full inbox only delays the next offer, which comes by itself.
        let _ = self.inbox.try_send(Message::OfferRefused { run });
    }

    /// Returns when the shard's task is gone, which it is on a stop, or after a panic.
    pub async fn ended(&self) {
        self.inbox.closed().await;
    }

    /// Queues may have moved to other nodes.
    pub fn queues_moved(&self) {
        let _ = self.inbox.try_send(Message::QueuesMoved);
    }
}

fn stopped() -> Reject {
    Reject::Unavailable("this node is stopping".into())
}

/// What a shard's shell needs of the node.
pub struct Surroundings {
    pub id: u16,
    pub slots: Vec<u16>,
    pub group: Group,
    pub world: NodeWorld,
    pub queues: QueuesHandle,
    pub post: Post,
    pub router: Router,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// Starts the shard's task.
pub fn start(context: Surroundings) -> ShardHandle {
    let (sender, inbox) = mpsc::channel(INBOX_MAX);
    let handle = ShardHandle { inbox: sender, next_call: Arc::new(AtomicU64::new(1)) };
    let shell = Shell {
        shard: Shard::new(context.slots.clone()),
        context,
        calls: BTreeMap::new(),
        proposals: FuturesOrdered::new(),
        reads: FuturesUnordered::new(),
        barriers: FuturesUnordered::new(),
        asks: FuturesUnordered::new(),
        recovering: false,
    };
    tokio::spawn(shell.run(inbox));
    handle
}

struct Shell {
    shard: Shard,
    context: Surroundings,
    calls: BTreeMap<Call, oneshot::Sender<Result<Reply, Reject>>>,
    proposals: FuturesOrdered<Numbered<Proposal>>,
    reads: FuturesUnordered<futures::future::BoxFuture<'static, (u64, bool)>>,
    /// Barriers behind a lost proposal: the term, and whether it is settled.
    barriers: FuturesUnordered<futures::future::BoxFuture<'static, (u64, bool)>>,
    /// Questions of schedules that are not answered yet.
    asks: FuturesUnordered<futures::future::BoxFuture<'static, (u64, Asked)>>,
    recovering: bool,
}

/// A future with the number under which the shard knows it.
struct Numbered<F> {
    number: u64,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Numbered<F> {
    type Output = (u64, F::Output);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        self.future.as_mut().poll(context).map(|output| (number, output))
    }
}

impl Shell {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut leadership = self.context.group.leadership();
        let mut messages = Vec::with_capacity(TURN_MESSAGES_MAX);
        self.follow_leadership(*leadership.borrow_and_update());
        // An alarm that rings too early costs less than one that is set again in every turn.
        let alarm = tokio::time::sleep(IDLE_WAKE);
        tokio::pin!(alarm);
        loop {
            let wake = Instant::now() + self.until_wake();
            if wake < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now_known = *leadership.borrow_and_update();
                    self.follow_leadership(now_known);
                }
                Some((proposal, outcome)) = self.proposals.next(), if !self.proposals.is_empty() => {
                    self.proposal_ended(proposal, outcome);
                }
                Some((term, settled)) = self.barriers.next(), if !self.barriers.is_empty() => {
                    self.barrier_ended(term, settled);
                }
                Some((read, confirmed)) = self.reads.next(), if !self.reads.is_empty() => {
                    let input = if confirmed { Input::ReadReady { read } } else { Input::ReadFailed { read } };
                    self.input(input);
                }
                Some((ask, answer)) = self.asks.next(), if !self.asks.is_empty() => {
                    self.input(Input::Answered { ask, answer });
                }
                taken = inbox.recv_many(&mut messages, TURN_MESSAGES_MAX) => {
                    if taken == 0 {
                        return;
                    }
                }
                () = &mut alarm => {}
            }
            // Whatever else has arrived belongs to the same turn.
            while let Ok(message) = inbox.try_recv() {
                messages.push(message);
                if messages.len() >= TURN_MESSAGES_MAX {
                    break;
                }
            }
            for message in messages.drain(..) {
                let input = match message {
                    Message::Request { call, workflow, request, reply } => {
                        self.calls.insert(call, reply);
                        Input::Request { call, workflow, request }
                    }
                    Message::Forget { call, workflow } => {
                        self.calls.remove(&call);
                        Input::Forget { call, workflow }
                    }
                    Message::Schedule { call, key, request, reply } => {
                        self.calls.insert(call, reply);
                        Input::Schedule { call, key, request }
                    }
                    Message::Deployment { call, key, request, reply } => {
                        self.calls.insert(call, reply);
                        Input::Deployment { call, key, request }
                    }
                    Message::Standalone { call, key, request, reply } => {
                        self.calls.insert(call, reply);
                        Input::Standalone { call, key, request }
                    }
                    Message::OfferRefused { run } => Input::OfferRefused { run },
                    Message::QueuesMoved => Input::QueuesMoved,
                };
                self.shard.handle(self.context.clock.time(), input, &self.context.world);
            }
            self.end_turn();
        }
    }

    fn input(&mut self, input: Input) {
        self.shard.handle(self.context.clock.time(), input, &self.context.world);
    }

    fn follow_leadership(&mut self, known: crate::raft::Leadership) {
        let input = if known.is_me {
            Input::Lead { term: known.term, seed: self.context.clock.seed() }
        } else {
            Input::Follow
        };
        if known.is_me || self.shard.leads() {
            tracing::debug!(shard = self.context.id, term = known.term, leads = known.is_me, "leadership");
            self.input(input);
        }
    }

    fn proposal_ended(&mut self, proposal: u64, outcome: Result<crate::raft::Applied, ProposeError>) {
        match outcome {
            Ok(_) => self.input(Input::Committed { proposal }),
            Err(error) => {
                tracing::debug!(shard = self.context.id, %error, "a proposal was lost");
                self.input(Input::Lost { proposal });
                self.lead_again();
            }
        }
    }

    /// A proposal can be lost although this node goes on leading in the same term. What became of it must
    /// be known before anything else is decided: an empty entry is proposed behind all that was, and when
    /// that is applied, everything before it is decided too.
    fn lead_again(&mut self) {
        let known = *self.context.group.leadership().borrow();
        if self.shard.leads() || !known.is_me || self.recovering {
            return;
        }
        self.recovering = true;
        let group = self.context.group.clone();
        let payload = Payload::new(Entry::default().encode());
        let barrier = group.propose(known.term, payload);
        self.barriers.push(Box::pin(async move {
            let settled = barrier.await.is_ok();
            if !settled {
                tokio::time::sleep(RECOVERY_PAUSE).await;
            }
            (known.term, settled)
        }));
    }

    fn barrier_ended(&mut self, term: u64, settled: bool) {
        self.recovering = false;
        let known = *self.context.group.leadership().borrow();
        if settled && known.is_me && known.term == term && !self.shard.leads() {
            self.input(Input::Lead { term, seed: self.context.clock.seed() });
        } else {
            self.lead_again();
        }
    }

    fn end_turn(&mut self) {
        let now = self.context.clock.time();
        self.shard.end_turn(now, &self.context.world);
        while let Some(output) = self.shard.poll() {
            match output {
                Output::Propose { proposal, term, entry, kinds } => {
                    self.propose(proposal, term, entry, &kinds)
                }
                Output::ReadIndex { read } => {
                    let group = self.context.group.clone();
                    self.reads.push(Box::pin(async move { (read, group.read_index().await.is_ok()) }));
                }
                Output::Reply { call, reply } => {
                    if let Some(caller) = self.calls.remove(&call) {
                        // A caller who has gone away does not need the answer.
                        let _ = caller.send(reply);
                    }
                }
                Output::Offer(offer) => self.offer(offer),
                Output::Ask { ask, workflow, request } => {
                    let router = self.context.router.clone();
                    let answer =
                        async move { (ask, crate::ask::anywhere(&router, &workflow, &request).await) };
                    self.asks.push(Box::pin(answer));
                }
                Output::Send(message) => self.context.post.send(*message),
            }
        }
    }

    fn propose(&mut self, proposal: u64, term: u64, entry: Entry, kinds: &[&'static str]) {
        for kind in kinds {
            self.context.metrics.round_waited(kind);
        }
        self.context.metrics.log_entries(1);
        let bytes = entry.encode().into();
        let payload = Payload { bytes, prepared: Some(Arc::new(entry)) };
        let future = Box::pin(self.context.group.propose(term, payload));
        self.proposals.push_back(Numbered { number: proposal, future });
    }

    fn offer(&self, offer: Offer) {
        self.context.queues.offer(self.context.id, offer);
    }

    fn until_wake(&self) -> Duration {
        match self.shard.wake_at() {
            Some(Time::NEVER) | None => IDLE_WAKE,
            Some(at) => at.since(self.context.clock.time()).min(IDLE_WAKE),
        }
    }
}
