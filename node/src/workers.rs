//! The shell of what is heard of workers: this node's ear, and one list of what all nodes have heard.
//!
//! A heartbeat stays on the node that it reached. Whoever lists workers asks all nodes at once and takes
//! the latest word on each. A node that does not answer is left out: its workers, if it is gone, are heard
//! elsewhere within a minute.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use everlog_engine::{
    reject::Reject,
    worker::{self, Part, Wanted, WorkerQuery, Workers},
};
use everlog_proto::api::worker::v1::WorkerHeartbeat;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::{
    internal::{Internal, InternalReply},
    router::Router,
};

/// How long another node may take to say what it has heard.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Workers on one page of a list.
const PAGE_WORKERS_MAX: usize = 1_000;
/// A page ends with the heartbeat that passes this size; it is shown twice, in full and in short.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The workers that this node has heard of. The lock is held for one worker or one part of a list.
#[derive(Default)]
pub struct Heard(Mutex<Workers>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Workers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one node is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkersAsked {
    pub namespace_id: String,
    pub wanted: Wanted,
}

/// Which workers of a namespace are meant.
#[derive(Debug)]
pub struct Choice {
    pub query: WorkerQuery,
    /// The server's own workers too.
    pub with_system: bool,
}

impl Choice {
    fn is_of(&self, worker: &WorkerHeartbeat) -> bool {
        (self.with_system || !worker::is_system(worker)) && self.query.matches(worker)
    }
}

/// Part of a list, in the order of the workers' keys.
#[derive(Clone, Debug, Default)]
pub struct WorkerPage {
    pub workers: Vec<WorkerHeartbeat>,
    /// The key after which the list goes on.
    pub next: Option<String>,
}

pub fn hear(router: &Router, namespace_id: &str, heartbeats: &[WorkerHeartbeat]) {
    let now = router.clock().time();
    for heartbeat in heartbeats {
        router.workers().lock().hear(now, namespace_id, heartbeat);
    }
}

/// What this node has heard.
pub fn part_here(router: &Router, asked: &WorkersAsked) -> Part {
    router.workers().lock().part(router.clock().time(), &asked.namespace_id, &asked.wanted)
}

/// A page of what all nodes have heard; `size` 0 means as many workers as a page may have.
pub async fn list(
    router: &Router,
    namespace_id: &str,
    choice: &Choice,
    after: Option<String>,
    size: usize,
) -> WorkerPage {
    let size = if size == 0 { PAGE_WORKERS_MAX } else { size.min(PAGE_WORKERS_MAX) };
    let mut page = WorkerPage::default();
    let (mut bytes, mut after) = (0, after);
    loop {
        let part = of_cluster(router, namespace_id, Wanted::After(after)).await;
        let last = part.words.last().map(|word| word.worker_instance_key.clone());
        for worker in part.words.iter().filter_map(worker::Word::heartbeat).filter(|w| choice.is_of(w)) {
            if page.workers.len() >= size || bytes >= PAGE_BYTES_MAX {
                page.next = page.workers.last().map(|last| last.worker_instance_key.clone());
                return page;
            }
            bytes += worker.encoded_len();
            page.workers.push(worker);
        }
        if part.is_last {
            return page;
        }
        after = last;
    }
}

pub async fn count(router: &Router, namespace_id: &str, choice: &Choice) -> i64 {
    let (mut count, mut after) = (0, None);
    loop {
        let part = of_cluster(router, namespace_id, Wanted::After(after)).await;
        let workers = part.words.iter().filter_map(worker::Word::heartbeat);
        count += workers.filter(|worker| choice.is_of(worker)).count() as i64;
        if part.is_last {
            return count;
        }
        after = part.words.last().map(|word| word.worker_instance_key.clone());
    }
}

pub async fn describe(router: &Router, namespace_id: &str, key: &str) -> Result<WorkerHeartbeat, Reject> {
    let part = of_cluster(router, namespace_id, Wanted::Only(key.to_owned())).await;
    if !part.is_known {
        // The real server's words for a namespace from which no worker was ever heard.
        return Err(Reject::NamespaceNotFound { namespace: namespace_id.to_owned() });
    }
    let found = part.words.first().and_then(worker::Word::heartbeat);
    found.ok_or_else(|| Reject::NotFound(format!("Worker {key} not found")))
}

async fn of_cluster(router: &Router, namespace_id: &str, wanted: Wanted) -> Part {
    let asked = WorkersAsked { namespace_id: namespace_id.to_owned(), wanted };
    let others = router.peers().known().into_iter().map(|(node, _)| {
        let asked = asked.clone();
        async move {
            match router.internal_within(node, &Internal::Workers(asked), ANSWER_TIMEOUT).await {
                Ok(InternalReply::Workers(part)) => Some(part),
                Ok(_) | Err(_) => None,
            }
        }
    });
    let mut parts: Vec<Part> = futures::future::join_all(others).await.into_iter().flatten().collect();
    parts.push(part_here(router, &asked));
    worker::merge(parts)
}
