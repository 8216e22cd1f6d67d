//! What committed entries do: the fold, into the tables.
//!
//! The same code runs on every member. The leader attaches to a proposal what it has already computed,
//! so its own apply needs no decoding; replicas fold the bytes. Both write the same rows. An entry that
//! does not fit is a bug: the shard stops on this node rather than guess.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use everlog_engine::{
    cluster::{self, Cluster},
    codec::CodecError,
    deployment,
    execution::Execution,
    fact::{ENTRY_KIND, Entry},
    key::{RunKey, WorkflowKey},
    rows::{self, Rows},
    schedule,
    standalone::{self, Standalone, StandaloneRun},
};
use everlog_raft_store::{Batch, Deferred, KeyRange, Machine, Payload, Tables, Value};
use tokio::sync::watch;

use crate::deployments::Deployments;

/// The cluster's state, as this node has applied it.
pub type ClusterView = watch::Receiver<Arc<Cluster>>;

/// Where the cluster's state lies in the tables: before all slots' rows of shard 0.
const CLUSTER_KEY: &[u8] = b"\xff\xffcluster";

pub struct Folding {
    shards: u16,
    cluster: watch::Sender<Arc<Cluster>>,
    tables: OnceLock<Tables>,
    deployments: Deployments,
}

impl Folding {
    pub fn new(shards: u16) -> Folding {
        let (cluster, _) = watch::channel(Arc::new(Cluster::initial(shards)));
        Folding { shards, cluster, tables: OnceLock::new(), deployments: Deployments::default() }
    }

    pub fn cluster(&self) -> ClusterView {
        self.cluster.subscribe()
    }

    /// The deployments, as this node has applied them.
    pub fn deployments(&self) -> Deployments {
        self.deployments.clone()
    }

    /// Takes the cluster's state from the tables, after a start or a snapshot.
    pub fn load(&self, tables: &Tables) -> Result<(), CodecError> {
        let _ = self.tables.set(tables.clone());
        if let Some(value) = tables.get(CLUSTER_KEY) {
            self.cluster.send_replace(Arc::new(Cluster::decode(&value.to_bytes())?));
        }
        self.deployments.load(tables, |_| true)
    }
}

impl Machine for Folding {
    fn apply(&self, group: u64, index: u64, _term: u64, payload: &Payload, batch: &mut Batch) -> Bytes {
        let outcome = match payload.bytes.first() {
            Some(&ENTRY_KIND) => self.apply_entry(payload, batch),
            Some(&cluster::FACTS_KIND) => self.apply_cluster(payload, batch),
            _ => Err("entry of an unknown kind".to_owned()),
        };
        match outcome {
            Ok(()) => Bytes::new(),
            Err(why) => panic!("entry {index} of group {group} does not apply: {why}"),
        }
    }

    fn ranges(&self, group: u64) -> Vec<KeyRange> {
        let slots: Vec<u16> = Cluster::initial(self.shards).slots.slots_of(group as u16).collect();
        let mut ranges: Vec<KeyRange> = Vec::new();
        if let (Some(first), Some(last)) = (slots.first(), slots.last()) {
            ranges.push(KeyRange { from: rows::slot_start(*first), to: rows::slot_start(last + 1) });
        }
        if group == 0 {
            ranges.push(KeyRange { from: CLUSTER_KEY.to_vec(), to: [CLUSTER_KEY, b"\xff"].concat() });
        }
        ranges
    }

    /// Maps inside protobuf messages have no order of their own; what they say is in the history, which has.
    fn comparable(&self, key: &[u8], value: Value) -> Bytes {
        if standalone::rows::is_state(key)
            && let Ok(state) = standalone_of(value.clone())
        {
            return state.comparable().encode().into();
        }
        if !rows::is_execution(key) {
            return value.to_bytes();
        }
        match execution_of(value.clone()) {
            Ok(execution) => execution.comparable().encode().into(),
            Err(_) => value.to_bytes(),
        }
    }

    fn restored(&self, group: u64) {
        let Some(tables) = self.tables.get() else { return };
        let loaded = if group == 0 { self.load(tables) } else { Ok(()) };
        let slots = Cluster::initial(self.shards).slots;
        let is_of = |slot| slots.shard_of(slot) == Some(group as u16);
        if let Err(error) = loaded.and_then(|()| self.deployments.load(tables, is_of)) {
            panic!("the state in a snapshot is unreadable: {error}");
        }
    }
}

impl Folding {
    fn apply_cluster(&self, payload: &Payload, batch: &mut Batch) -> Result<(), String> {
        let facts = cluster::decode_facts(&payload.bytes).map_err(|error| error.to_string())?;
        // What the rows say, and not what this process knows: after a start, entries may be applied before
        // anybody has loaded the state.
        let mut cluster = match batch.get(CLUSTER_KEY) {
            Some(value) => Cluster::decode(&value.to_bytes()).map_err(|error| error.to_string())?,
            None => Cluster::initial(self.shards),
        };
        for fact in &facts {
            cluster::evolve(&mut cluster, fact);
        }
        batch.put(CLUSTER_KEY.to_vec(), Value::Bytes(cluster.encode().into()));
        self.cluster.send_replace(Arc::new(cluster));
        Ok(())
    }

    fn apply_entry(&self, payload: &Payload, batch: &mut Batch) -> Result<(), String> {
        let prepared = payload.prepared.clone().and_then(|prepared| prepared.downcast::<Entry>().ok());
        let entry = match prepared {
            Some(entry) => entry,
            None => Arc::new(Entry::decode(&payload.bytes).map_err(|error| error.to_string())?),
        };
        let mut rows = BatchRows { batch };
        for change in &entry.changes {
            rows::apply(&mut rows, change).map_err(|error| error.to_string())?;
        }
        for change in &entry.schedules {
            schedule::rows::apply(&mut rows, change).map_err(|error| error.to_string())?;
        }
        for change in &entry.deployments {
            let state = deployment::rows::apply(&mut rows, change).map_err(|error| error.to_string())?;
            self.deployments.put(&state);
        }
        for change in &entry.standalone {
            standalone::rows::apply(&mut rows, change).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// An execution in the tables' memory: encoded only if it outlives the next checkpoint.
struct StoredExecution(Arc<Execution>);

impl Deferred for StoredExecution {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn approximate_bytes(&self) -> usize {
        // Most of it are the attributes of its first event, which take that much however little they say.
        const EXECUTION_BYTES: usize = 3 << 10;
        const ACTIVITY_BYTES: usize = 1 << 10;
        EXECUTION_BYTES + self.0.activities.len() * ACTIVITY_BYTES + self.0.buffered_bytes()
    }
}

/// The same for what runs on its own.
struct StoredStandalone(Arc<Standalone>);

impl Deferred for StoredStandalone {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn approximate_bytes(&self) -> usize {
        const STANDALONE_BYTES: usize = 2 << 10;
        STANDALONE_BYTES + self.0.payload_bytes()
    }
}

struct BatchRows<'a> {
    batch: &'a mut Batch,
}

impl Rows for BatchRows<'_> {
    fn execution(&self, run: &RunKey) -> Result<Option<Arc<Execution>>, CodecError> {
        self.batch.get(&rows::execution_key(run)).map(execution_of).transpose()
    }

    fn current(&self, workflow: &WorkflowKey) -> Option<String> {
        text_of(self.batch.get(&rows::current_key(workflow))?)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.batch.get(key).map(|value| value.to_bytes().to_vec())
    }

    fn put_execution(&mut self, key: Vec<u8>, execution: Arc<Execution>) {
        self.batch.put(key, Value::Deferred(Arc::new(StoredExecution(execution))));
    }

    fn standalone(&self, run: &StandaloneRun) -> Result<Option<Arc<Standalone>>, CodecError> {
        self.batch.get(&standalone::rows::state_key(run)).map(standalone_of).transpose()
    }

    fn put_standalone(&mut self, key: Vec<u8>, state: Arc<Standalone>) {
        self.batch.put(key, Value::Deferred(Arc::new(StoredStandalone(state))));
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.put(key, Value::Bytes(value.into()));
    }

    fn put_new(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.put_new(key, Value::Bytes(value.into()));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.batch.delete(key);
    }

    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        self.batch.delete_range(from, to);
    }
}

pub fn execution_of(value: Value) -> Result<Arc<Execution>, CodecError> {
    match value {
        Value::Deferred(deferred) => match deferred.clone().as_any().downcast::<StoredExecution>() {
            Ok(stored) => Ok(stored.0.clone()),
            Err(_) => Execution::decode(&deferred.to_bytes()).map(Arc::new),
        },
        Value::Bytes(bytes) => Execution::decode(&bytes).map(Arc::new),
    }
}

pub fn standalone_of(value: Value) -> Result<Arc<Standalone>, CodecError> {
    match value {
        Value::Deferred(deferred) => match deferred.clone().as_any().downcast::<StoredStandalone>() {
            Ok(stored) => Ok(stored.0.clone()),
            Err(_) => Standalone::decode(&deferred.to_bytes()).map(Arc::new),
        },
        Value::Bytes(bytes) => Standalone::decode(&bytes).map(Arc::new),
    }
}

pub fn text_of(value: Value) -> Option<String> {
    String::from_utf8(value.to_bytes().to_vec()).ok()
}
