//! From a key to the node that answers for it, and once more if that has just changed.
//!
//! Workflow ids and task-queue names are routed alike: the key's shard has a leader, and the leader
//! answers. If that is another node, the call goes there once, as it came; a node never forwards what
//! was forwarded to it, but says where it believes the leader to be. The node that the client called
//! looks again and repeats, as long as the client waits, if nothing can have been done by the first try,
//! or if doing it twice is the same as doing it once. Everything else is the client's to decide, who
//! is told that the leader was lost (UNAVAILABLE), never that something failed inside.

use std::time::Duration;

use bytes::Bytes;
use everlog_engine::reject::Reject;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status, metadata::MetadataValue};

use crate::{
    frontend::{
        backend::{CallError, Place},
        call::Call,
        status,
    },
    peer::{NOT_APPLIED, not_applied},
};

/// The metadata key with the node that a refusing node takes for the leader.
pub const LEADER: &str = "everlog-leader";

/// How long a leader is looked for, if the caller does not say how long it waits.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a call that waits for another node looks whether that node still leads.
const LEADER_WATCHED_EVERY: Duration = Duration::from_millis(250);
/// A try that took so long had found its leader.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Whether a call may be made again although the first try may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It reads, or names itself by a request id: the second time changes nothing, and is answered the same.
    /// What a token names is no such thing: the second time it is refused, though the first was carried out.
    Safe,
    /// Only its caller knows.
    Unsafe,
}

/// Answers a call where its key lives. `here` is what the leader does.
pub async fn to_home<Answered: Future<Output = Result<Bytes, Failure>> + Send>(
    call: &Call,
    namespace_id: &str,
    key: &str,
    repeat: Repeat,
    here: impl Fn(u64) -> Answered + Send,
) -> Result<Bytes, Status> {
    let backend = &call.shared.backend;
    let mut failing_since = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        let tried = Instant::now();
        let failure = match backend.locate(namespace_id, key) {
            Place::Here(shard) => match here(shard).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            },
            Place::There(node) if call.forwarded => return Err(elsewhere(Some(node))),
            Place::Unknown if call.forwarded => return Err(elsewhere(None)),
            Place::There(node) => match forward(call, namespace_id, key, repeat, node).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            },
            Place::Unknown => Failure::NotHere,
        };
        match failure {
            Failure::Status(status) => return Err(status),
            // The node that was called by the client looks again.
            Failure::NotHere if call.forwarded => return Err(elsewhere(None)),
            Failure::Lost if call.forwarded || repeat == Repeat::Unsafe => return Err(lost()),
            Failure::NotHere | Failure::Lost => {}
        }
        if tried.elapsed() >= SETTLED_AFTER {
            // It was in the right place for a while, as a long poll is: the search begins anew.
            failing_since = Instant::now();
            pause = PAUSE_MIN;
        }
        let give_up = failing_since + ROUTE_TIMEOUT;
        if Instant::now() + pause >= call.deadline.unwrap_or(give_up).min(give_up) {
            return Err(lost());
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Sends a call to another node. A node that hangs does not say so: if somebody else leads meanwhile, the
/// answer is not waited for, as long as the call may be made again.
async fn forward(
    call: &Call,
    namespace_id: &str,
    key: &str,
    repeat: Repeat,
    node: u64,
) -> Result<Bytes, Failure> {
    let timeout = call.remaining().unwrap_or(ROUTE_TIMEOUT);
    let backend = &call.shared.backend;
    let mut answer = backend.forward(node, call.path, call.message.clone(), call.metadata.clone(), timeout);
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = sleep(LEADER_WATCHED_EVERY), if repeat == Repeat::Safe => {
                match backend.locate(namespace_id, key) {
                    Place::There(leader) if leader == node => {}
                    Place::Unknown => {}
                    Place::There(_) | Place::Here(_) => return Err(Failure::Lost),
                }
            }
        }
    };
    answer.map_err(|status| {
        if status.metadata().contains_key(NOT_APPLIED) {
            Failure::NotHere
        } else if status.code() == Code::Unavailable {
            Failure::Lost
        } else {
            Failure::Status(status)
        }
    })
}

/// Why a try to answer did not end in an answer.
#[derive(Debug)]
pub enum Failure {
    /// This is the answer.
    Status(Status),
    /// It lives elsewhere; nothing was done.
    NotHere,
    /// The leader was lost; it may have been done.
    Lost,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure::Status(status)
    }
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Failure {
        CallError::from(reject).into()
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        match error {
            CallError::Reject(reject) => Failure::Status(status::of_reject(reject)),
            CallError::NotHere => Failure::NotHere,
            CallError::Lost => Failure::Lost,
        }
    }
}

impl Failure {
    /// The answer, where there is no other place to try.
    pub fn into_status(self) -> Status {
        match self {
            Failure::Status(status) => status,
            Failure::NotHere | Failure::Lost => lost(),
        }
    }
}

fn lost() -> Status {
    Status::unavailable("the leader of this workflow's shard is being replaced, try again")
}

/// The refusal of a node that is not, or no longer, the right one.
pub fn elsewhere(leader: Option<u64>) -> Status {
    let mut status = not_applied("this node does not lead the shard");
    if let Some(leader) = leader {
        status.metadata_mut().insert(LEADER, MetadataValue::from(leader));
    }
    status
}
