//! The Raft stream to one node: many requests in flight, of all groups, over one HTTP/2 stream.
//!
//! Sixteen groups that each send a heartbeat five times a second are cheap this way: what is ready at
//! the same moment travels in one frame, and no call is set up and torn down for it. A request is put
//! in line when [`Link::request`] is called, not when its future is polled, so the order of one
//! group's requests is the order of the calls. An answer finds its request by its id, and a request
//! that nobody answers ends with its own deadline.
//!
//! While the node cannot be reached requests fail at once: Raft has its own patience, and a queue of
//! old messages would only delay the fresh ones. The same goes for a node that answers nothing at all, not
//! even what needs no disk: a leader whose words still arrive while it hears nobody would keep its followers
//! from electing one that can do its work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use everlog_proto::cluster::{LinkFrame, RaftMessage, raft_message::Body};
use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::{Identity, connection};
use crate::clock::Clock;
use crate::metrics::{KindLabel, Metrics};

/// Requests that may wait to be sent; more than that is a peer that does not read.
const QUEUE_MAX: usize = 4_096;
/// A frame is closed when it has so many messages, or so many bytes of entries.
const FRAME_MESSAGES_MAX: usize = 128;
const FRAME_BYTES: usize = 1 << 20;
/// Frames handed to the transport and not yet taken by it.
const FRAMES_MAX: usize = 4;
/// A node that was sent something which needs no disk, and has been silent for so long, is taken for gone.
const SILENCE_MAX: Duration = Duration::from_secs(1);
const SILENCE_LOOK_EVERY: Duration = Duration::from_millis(200);
/// Requests without an answer above which those that were given up are swept out.
const SWEEP_ABOVE: usize = 1_024;
/// Pauses between two attempts to reach the node.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Pause between two looks whether this node belongs to a cluster.
const UNFORMED_PAUSE: Duration = Duration::from_millis(50);
/// How long the node may take to open the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error, Clone)]
pub enum LinkError {
    #[error("node {node} is not connected: {why}")]
    Down { node: u64, why: String },
    #[error("node {node} does not read: too many requests wait")]
    Full { node: u64 },
    #[error("node {node} did not answer within {after:?}")]
    Timeout { node: u64, after: Duration },
    #[error("node {node} refused: {why}")]
    Refused { node: u64, why: String },
}

/// A cheap handle to the stream.
#[derive(Clone)]
pub struct Link {
    node: u64,
    outgoing: mpsc::Sender<Outgoing>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Up(Instant),
    Down(String),
}

struct Outgoing {
    group: u64,
    body: Body,
    answer: oneshot::Sender<Result<Body, LinkError>>,
}

impl Link {
    pub(super) fn start(me: Identity, node: u64, channel: Channel, clock: Clock, metrics: Metrics) -> Self {
        let (outgoing, requests) = mpsc::channel(QUEUE_MAX);
        let state = Arc::new(Mutex::new(State::Down("not tried yet".to_owned())));
        let task = Task { me, node, channel, clock, metrics, requests, state: state.clone() };
        // The task ends when the last handle is dropped.
        tokio::spawn(task.run());
        Self { node, outgoing, state }
    }

    /// Puts a request in line now; the future is its answer.
    pub fn request(
        &self,
        group: u64,
        body: Body,
        timeout: Duration,
    ) -> impl Future<Output = Result<Body, LinkError>> + Send + use<> {
        let node = self.node;
        let (answer, answered) = oneshot::channel();
        let queued = self.outgoing.try_send(Outgoing { group, body, answer });
        async move {
            match queued {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => return Err(LinkError::Full { node }),
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    return Err(LinkError::Down { node, why: "the link has ended".to_owned() });
                }
            }
            match tokio::time::timeout(timeout, answered).await {
                Ok(Ok(Ok(Body::Refused(why)))) => Err(LinkError::Refused { node, why }),
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(LinkError::Down { node, why: "the connection was lost".to_owned() }),
                Err(_) => Err(LinkError::Timeout { node, after: timeout }),
            }
        }
    }

    /// Whether the stream has been up for at least so long.
    pub fn up_for(&self, at_least: Duration) -> bool {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Up(since) => since.elapsed() >= at_least,
            State::Down(_) => false,
        }
    }
}

/// Keeps the stream up, and moves requests and answers over it.
struct Task {
    me: Identity,
    node: u64,
    channel: Channel,
    clock: Clock,
    metrics: Metrics,
    requests: mpsc::Receiver<Outgoing>,
    state: Arc<Mutex<State>>,
}

/// Why a session ended.
enum End {
    /// Nobody holds the link any more.
    Unused,
    Lost(String),
}

impl Task {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            // Before the cluster is formed there is nothing to say.
            while self.me.cluster_id().is_none() {
                if !self
                    .refuse_until(tokio::time::sleep(UNFORMED_PAUSE), "the cluster is not formed yet")
                    .await
                {
                    return;
                }
            }
            let opened = match self.open().await {
                Ok(Some((frames, answers))) => {
                    tracing::info!(node = self.node, "peer connected");
                    self.set(State::Up(Instant::now()));
                    backoff = BACKOFF_MIN;
                    self.session(frames, answers).await
                }
                Ok(None) => End::Unused,
                Err(why) => End::Lost(why),
            };
            let End::Lost(why) = opened else { return };
            let news = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
                State::Up(_) => true,
                State::Down(before) => *before != why,
            };
            if news {
                tracing::info!(node = self.node, why, "peer not connected");
            }
            self.set(State::Down(why.clone()));
            if !self.refuse_until(tokio::time::sleep(self.clock.jitter(backoff)), &why).await {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Opens the stream; `None` if nobody needs it any more.
    async fn open(&mut self) -> Result<Option<(mpsc::Sender<LinkFrame>, Streaming<LinkFrame>)>, String> {
        let (frames, outbound) = mpsc::channel(FRAMES_MAX);
        let mut request = Request::new(ReceiverStream::new(outbound));
        connection::address(&mut request, &self.me, self.node)
            .map_err(|status| status.message().to_owned())?;
        let mut client = connection::peer_client(self.channel.clone());
        let open = connection::within(OPEN_TIMEOUT, async move { client.link(request).await });
        let mut open = std::pin::pin!(open);
        loop {
            tokio::select! {
                opened = &mut open => {
                    let answers = opened.map_err(|status| status.message().to_owned())?.into_inner();
                    return Ok(Some((frames, answers)));
                }
                request = self.requests.recv() => match request {
                    Some(request) => refuse(request, self.node, "connecting"),
                    None => return Ok(None),
                },
            }
        }
    }

    async fn session(&mut self, frames: mpsc::Sender<LinkFrame>, mut answers: Streaming<LinkFrame>) -> End {
        let mut waiting: HashMap<u64, oneshot::Sender<Result<Body, LinkError>>> = HashMap::new();
        let mut next_id = 0_u64;
        // Requests are taken only when a frame can be handed on, so that answers are read meanwhile:
        // two nodes that each wait for the other to read would wait for ever.
        let mut room = None;
        let mut silent_since: Option<Instant> = None;
        let mut look = tokio::time::interval(SILENCE_LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What has arrived is heard before anything is said about silence: this process may
                // itself have been stopped.
                biased;
                frame = answers.message() => match frame {
                    Ok(Some(frame)) => {
                        silent_since = None;
                        for RaftMessage { id, body, .. } in frame.messages {
                            // An answer to a request that was given up finds nobody, and that is fine.
                            if let (Some(answer), Some(body)) = (waiting.remove(&id), body) {
                                let _ = answer.send(Ok(body));
                            }
                        }
                    }
                    Ok(None) => return End::Lost("the node closed the stream".to_owned()),
                    Err(status) => return End::Lost(reason(&status)),
                },
                permit = frames.reserve(), if room.is_none() => match permit {
                    Ok(permit) => room = Some(permit),
                    Err(_) => return End::Lost("the stream was closed".to_owned()),
                },
                request = self.requests.recv(), if room.is_some() => {
                    let Some(first) = request else { return End::Unused };
                    let frame = self.gather(first, &mut next_id, &mut waiting);
                    if frame.messages.iter().any(|message| message.body.as_ref().is_some_and(needs_no_disk)) {
                        silent_since.get_or_insert_with(Instant::now);
                    }
                    if let Some(room) = room.take() {
                        room.send(frame);
                    }
                }
                _ = look.tick() => {
                    if silent_since.is_some_and(|since| since.elapsed() > SILENCE_MAX) {
                        return End::Lost("the node answers nothing".to_owned());
                    }
                }
            }
            if waiting.len() > SWEEP_ABOVE {
                waiting.retain(|_, answer| !answer.is_closed());
            }
        }
    }

    /// Makes a frame of what waits.
    fn gather(
        &mut self,
        first: Outgoing,
        next_id: &mut u64,
        waiting: &mut HashMap<u64, oneshot::Sender<Result<Body, LinkError>>>,
    ) -> LinkFrame {
        let mut messages = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(Outgoing { group, body, answer }) = next.take() {
            if !answer.is_closed() {
                bytes += size(&body);
                self.metrics.raft.link_messages.get_or_create(&KindLabel { kind: kind(&body) }).inc();
                waiting.insert(*next_id, answer);
                messages.push(RaftMessage { id: *next_id, group, body: Some(body) });
                *next_id += 1;
            }
            if messages.len() < FRAME_MESSAGES_MAX && bytes < FRAME_BYTES {
                next = self.requests.try_recv().ok();
            }
        }
        LinkFrame { messages }
    }

    /// Refuses requests until the time has come; false if nobody needs the link any more.
    async fn refuse_until(&mut self, until: impl Future<Output = ()>, why: &str) -> bool {
        let mut until = std::pin::pin!(until.fuse());
        loop {
            tokio::select! {
                () = &mut until => return true,
                request = self.requests.recv() => match request {
                    Some(request) => refuse(request, self.node, why),
                    None => return false,
                },
            }
        }
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

fn refuse(request: Outgoing, node: u64, why: &str) {
    let _ = request.answer.send(Err(LinkError::Down { node, why: why.to_owned() }));
}

fn reason(status: &Status) -> String {
    if status.message().is_empty() { status.code().to_string() } else { status.message().to_owned() }
}

/// About how much a message weighs: its entries, since all else is small.
fn size(body: &Body) -> usize {
    use everlog_proto::cluster::entry::Payload;
    let Body::Append(append) = body else { return 0 };
    let weigh = |payload: &Option<Payload>| match payload {
        Some(Payload::Normal(bytes) | Payload::Membership(bytes)) => bytes.len(),
        Some(Payload::Blank(_)) | None => 0,
    };
    append.entries.iter().map(|entry| weigh(&entry.payload)).sum()
}

/// Whether the other node's disk has no part in the answer.
fn needs_no_disk(body: &Body) -> bool {
    match body {
        Body::Append(append) => append.entries.is_empty(),
        Body::Vote(vote) => vote.pre_vote,
        _ => false,
    }
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Append(append) if append.entries.is_empty() => "heartbeat",
        Body::Append(_) => "append",
        Body::Vote(vote) if vote.pre_vote => "pre_vote",
        Body::Vote(_) => "vote",
        Body::Transfer(_) => "transfer",
        Body::AppendReply(_) | Body::VoteReply(_) | Body::TransferReply(_) | Body::Refused(_) => "answer",
    }
}
