//! Workers as they describe themselves: the latest heartbeat of each, in the memory of a node.
//!
//! Heartbeats come every minute from every worker and matter to nobody but the people who look, so they
//! are not worth an entry of a log. A node keeps those that reached it. A worker may be heard at one node
//! now and at another later, so whoever lists workers asks all nodes and takes the latest word on each
//! ([`merge`]): every node gives the same list, and one that dies takes along only what its workers say
//! again within a minute, elsewhere. That a worker has shut down is a word like any other, or an older
//! heartbeat on another node would bring it back.

mod query;

#[cfg(test)]
mod stories;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use everlog_proto::api::{enums::v1::WorkerStatus, worker::v1::WorkerHeartbeat};
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::time::Time;

pub use self::query::WorkerQuery;

/// Workers in the memory of one node; those that were heard of longest ago are forgotten first.
pub const WORKERS_MAX: usize = 100_000;
/// What their heartbeats may weigh together.
pub const WORKERS_BYTES_MAX: usize = 256 << 20;
/// A worker that says nothing for so long is forgotten.
pub const WORKER_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Workers in one part of a list, as nodes ask each other for it.
pub const PART_WORKERS_MAX: usize = 1_000;
/// The part ends with the heartbeat that passes this size.
pub const PART_BYTES_MAX: usize = 8 << 20;

/// The server's own workers have queues that begin so. Lists leave them out unless they are asked for.
const SYSTEM_QUEUE_PREFIX: &str = "temporal-sys-";

pub fn is_system(heartbeat: &WorkerHeartbeat) -> bool {
    heartbeat.task_queue.starts_with(SYSTEM_QUEUE_PREFIX)
}

/// What one node has heard.
#[derive(Debug, Default)]
pub struct Workers {
    namespaces: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    /// All of them by the moment they were last heard of.
    order: BTreeSet<(Time, Arc<str>, Arc<str>)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    heard: Time,
    /// Encoded; none once the worker has shut down.
    heartbeat: Option<Arc<[u8]>>,
}

/// The latest that a node has heard of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    pub worker_instance_key: String,
    pub heard: Time,
    /// Encoded; none once the worker has shut down.
    pub heartbeat: Option<serde_bytes::ByteBuf>,
}

impl Word {
    pub fn heartbeat(&self) -> Option<WorkerHeartbeat> {
        WorkerHeartbeat::decode(self.heartbeat.as_ref()?.as_slice()).ok()
    }
}

/// Which workers a node is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// In the order of their keys, those behind this one.
    After(Option<String>),
    Only(String),
}

/// Workers of a namespace in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub words: Vec<Word>,
    /// There is nothing behind the last word.
    pub is_last: bool,
    /// Somebody was heard of in this namespace at all.
    pub is_known: bool,
}

impl Workers {
    /// A worker describes itself, or says that it has shut down.
    pub fn hear(&mut self, now: Time, namespace_id: &str, heartbeat: &WorkerHeartbeat) {
        self.forget_old(now);
        let key: Arc<str> = heartbeat.worker_instance_key.as_str().into();
        let before = self.remove(namespace_id, &key);
        // The later word is the later one also if the clock stood still or went back.
        let heard = before.map_or(now, |before| now.max(before + Duration::from_nanos(1)));
        let is_gone = heartbeat.status == WorkerStatus::Shutdown as i32;
        let heartbeat: Option<Arc<[u8]>> = (!is_gone).then(|| heartbeat.encode_to_vec().into());
        let namespace_id: Arc<str> = namespace_id.into();
        self.bytes += heartbeat.as_ref().map_or(0, |bytes| bytes.len());
        self.order.insert((heard, namespace_id.clone(), key.clone()));
        self.namespaces.entry(namespace_id).or_default().insert(key, Entry { heard, heartbeat });
        while self.order.len() > WORKERS_MAX || self.bytes > WORKERS_BYTES_MAX {
            self.forget_first();
        }
    }

    pub fn part(&mut self, now: Time, namespace_id: &str, wanted: &Wanted) -> Part {
        self.forget_old(now);
        let Some(workers) = self.namespaces.get(namespace_id) else {
            return Part { is_last: true, ..Part::default() };
        };
        let (from, to) = match wanted {
            Wanted::After(None) => (Bound::Unbounded, Bound::Unbounded),
            Wanted::After(Some(key)) => (Bound::Excluded(key.as_str()), Bound::Unbounded),
            Wanted::Only(key) => (Bound::Included(key.as_str()), Bound::Included(key.as_str())),
        };
        let mut rest = workers.range::<str, _>((from, to)).peekable();
        let mut part = Part { is_known: true, ..Part::default() };
        let mut bytes = 0;
        while part.words.len() < PART_WORKERS_MAX
            && bytes < PART_BYTES_MAX
            && let Some((key, entry)) = rest.next()
        {
            bytes += key.len() + entry.heartbeat.as_ref().map_or(0, |bytes| bytes.len());
            part.words.push(Word {
                worker_instance_key: key.to_string(),
                heard: entry.heard,
                heartbeat: entry.heartbeat.as_ref().map(|bytes| bytes.to_vec().into()),
            });
        }
        part.is_last = rest.peek().is_none();
        part
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn forget_old(&mut self, now: Time) {
        while self.order.first().is_some_and(|(heard, ..)| *heard + WORKER_FORGOTTEN_AFTER <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, namespace_id, key)) = self.order.first().cloned() {
            self.remove(&namespace_id, &key);
        }
    }

    /// Takes a worker out and says when it was last heard of.
    fn remove(&mut self, namespace_id: &str, key: &Arc<str>) -> Option<Time> {
        let workers = self.namespaces.get_mut(namespace_id)?;
        let entry = workers.remove(key)?;
        if workers.is_empty() {
            self.namespaces.remove(namespace_id);
        }
        self.bytes -= entry.heartbeat.map_or(0, |bytes| bytes.len());
        self.order.remove(&(entry.heard, namespace_id.into(), key.clone()));
        Some(entry.heard)
    }
}

/// The latest word on each worker, from the parts of several nodes that were asked for the same. What lies
/// behind the point up to which one of them has answered must wait.
pub fn merge(parts: Vec<Part>) -> Part {
    let answered_up_to = parts
        .iter()
        .filter(|part| !part.is_last)
        .filter_map(|part| part.words.last())
        .map(|word| word.worker_instance_key.clone())
        .min();
    let is_known = parts.iter().any(|part| part.is_known);
    let mut latest: BTreeMap<String, Word> = BTreeMap::new();
    for word in parts.into_iter().flat_map(|part| part.words) {
        if answered_up_to.as_ref().is_some_and(|up_to| word.worker_instance_key > *up_to) {
            continue;
        }
        match latest.get(&word.worker_instance_key) {
            Some(other) if other.heard >= word.heard => {}
            _ => {
                latest.insert(word.worker_instance_key.clone(), word);
            }
        }
    }
    Part { words: latest.into_values().collect(), is_last: answered_up_to.is_none(), is_known }
}
