//! Nexus requests to workers: handed to a worker who polls, answered while the caller waits.
//!
//! Nothing is kept. A request waits at its queue's home until a worker has taken and answered it, or time
//! is up; whoever made it makes it again. So a node may die with requests in its memory, and a worker may
//! see one twice: it is recognised by its request id.

pub mod call;
mod failure;

use std::time::Duration;

use everlog_engine::{
    codec::Proto,
    queue::{QueueKey, QueueKind},
};
use everlog_proto::api::{
    failure::v1::Failure,
    nexus::v1::{HandlerError, Request, Response},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    internal::{Internal, InternalReply},
    router::Router,
};

/// How much longer than the request itself its way to another node and back may take.
const WAY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a queue's home is looked for when it has just moved.
const HOME_PAUSE: Duration = Duration::from_millis(50);

/// A request to the workers of a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NexusDispatch {
    pub namespace_id: String,
    pub queue: String,
    pub request: Proto<Request>,
    /// How long an answer is of use.
    pub within: Duration,
}

/// What a worker answered, or that none did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum NexusAnswered {
    Completed(Proto<Response>),
    /// The handler could not carry it out. Older workers send the error, newer ones the failure.
    Failed {
        error: Option<Proto<HandlerError>>,
        failure: Option<Proto<Failure>>,
    },
    /// No worker took it in time, or none answered.
    TimedOut,
    /// The queue has moved while the request waited: it is made again where the queue is now.
    Moved,
}

/// Hands a request to a worker of a queue, wherever that lives, and waits for the answer.
pub async fn dispatch(router: &Router, dispatch: NexusDispatch) -> NexusAnswered {
    let until = Instant::now() + dispatch.within;
    loop {
        let now = Instant::now();
        if now >= until {
            return NexusAnswered::TimedOut;
        }
        let rest = NexusDispatch { within: until - now, ..dispatch.clone() };
        match once(router, rest).await {
            NexusAnswered::Moved => tokio::time::sleep(HOME_PAUSE).await,
            answered => return answered,
        }
    }
}

async fn once(router: &Router, dispatch: NexusDispatch) -> NexusAnswered {
    match router.queue_home(&dispatch.key()) {
        Some(home) if home == router.me() => here(router, dispatch).await,
        Some(home) => {
            let within = dispatch.within + WAY_TIMEOUT;
            match router.internal_within(home, &Internal::Nexus(dispatch), within).await {
                Ok(InternalReply::Nexus(answered)) => answered,
                _ => NexusAnswered::Moved,
            }
        }
        None => NexusAnswered::Moved,
    }
}

/// A request to a queue whose home is here.
pub async fn here(router: &Router, dispatch: NexusDispatch) -> NexusAnswered {
    match router.queues() {
        Some(queues) => queues.dispatch_nexus(dispatch).await,
        None => NexusAnswered::Moved,
    }
}

impl NexusDispatch {
    pub fn key(&self) -> QueueKey {
        QueueKey {
            namespace_id: self.namespace_id.as_str().into(),
            name: self.queue.as_str().into(),
            kind: QueueKind::Nexus,
            version: None,
        }
    }
}

/// A duration as the Nexus protocol writes it.
pub fn written(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
