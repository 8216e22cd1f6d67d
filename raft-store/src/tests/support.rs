//! What the tests of the store share: a machine whose rows show every mistake, and a store over a disk that
//! can fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Batch, CheckpointOptions, Error, KeyRange, LogStore, Machine, Options, Payload, StateMachine, Store,
    Types, Value, WalOptions, disk::sim::SimDisk, table::memory_table::MemoryTable,
};
use bytes::Bytes;
use futures::stream;
use openraft::{
    EntryPayload, RaftLogReader,
    impls::leader_id_adv::LeaderId,
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::{
        TypeConfigExt,
        alias::{EntryOf, LogIdOf, OneshotReceiverOf, VoteOf},
    },
};

pub(crate) type Entry = EntryOf<Types>;

/// Hears when an append is durable.
pub(crate) type Durable = OneshotReceiverOf<Types, Result<(), std::io::Error>>;

/// Small segments and checkpoints only when they are asked for.
pub(crate) fn options() -> Options {
    Options {
        wal: WalOptions {
            segment_bytes: 24 << 10,
            batch_bytes_max: 1 << 20,
            cached_bytes_max: 4 << 10,
            segments_min: 3,
        },
        checkpoint: CheckpointOptions { overlay_bytes_max: 64 << 20, every: Duration::from_secs(3600) },
        cache_bytes: 1 << 20,
    }
}

/// A disk and a table under one power switch.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) table: MemoryTable,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let table = MemoryTable::new(&disk);
        World { disk, table }
    }

    pub(crate) fn open(&self) -> Result<Store, Error> {
        self.open_with(options())
    }

    pub(crate) fn open_with(&self, options: Options) -> Result<Store, Error> {
        Store::over(Arc::new(self.disk.clone()), Arc::new(self.table.clone()), options)
    }

    /// Cuts the power, and gives what is there when it is back.
    pub(crate) fn cut(self) -> World {
        self.disk.cut();
        let disk = self.disk.survivor();
        let table = self.table.survivor(&disk);
        World { disk, table }
    }
}

/// Folds each entry into rows that depend on all entries before it, so that applying one twice, not at all
/// or out of order is seen.
#[derive(Clone, Default)]
pub(crate) struct Folding;

/// What an entry is folded into: the store's rows, or those of a model.
pub(crate) trait Rows {
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    fn put(&mut self, key: Vec<u8>, value: Bytes);
    fn delete(&mut self, key: Vec<u8>);
    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>);
}

impl Rows for Batch {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        Batch::get(self, key).map(|value| value.to_bytes())
    }

    fn put(&mut self, key: Vec<u8>, value: Bytes) {
        Batch::put(self, key, Value::Bytes(value));
    }

    fn delete(&mut self, key: Vec<u8>) {
        Batch::delete(self, key);
    }

    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        Batch::delete_range(self, from, to);
    }
}

pub(crate) type Model = BTreeMap<Vec<u8>, Bytes>;

impl Rows for Model {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        Model::get(self, key).cloned()
    }

    fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.remove(&key);
    }

    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        self.retain(|key, _| *key < from || *key >= to);
    }
}

fn fold(rows: &mut impl Rows, group: u64, index: u64, payload: &[u8]) -> Bytes {
    let before = rows.get(&key(group, "chain")).unwrap_or_default();
    let chain = xxhash_rust::xxh3::xxh3_64(&[&before[..], payload, &index.to_be_bytes()].concat());
    let chain = Bytes::copy_from_slice(&chain.to_be_bytes());
    rows.put(key(group, "chain"), chain.clone());
    // Each entry has a row of its own for a while, and shares one with others.
    rows.put(key(group, &format!("entry/{index:08}")), Bytes::copy_from_slice(payload));
    if index >= 20 {
        rows.delete(key(group, &format!("entry/{:08}", index - 20)));
    }
    rows.put(key(group, &format!("shared/{}", index % 7)), chain.clone());
    if index % 50 == 49 {
        rows.delete_range(key(group, "shared/"), key(group, "shared0"));
    }
    chain
}

/// The rows that a group has when these entries were applied to nothing.
pub(crate) fn folded<'a>(group: u64, payloads: impl IntoIterator<Item = &'a [u8]>) -> Model {
    let mut model = Model::new();
    for (index, payload) in (0..).zip(payloads) {
        fold(&mut model, group, index, payload);
    }
    model
}

pub(crate) fn prefix(group: u64) -> Vec<u8> {
    format!("{group:04}/").into_bytes()
}

pub(crate) fn key(group: u64, name: &str) -> Vec<u8> {
    [prefix(group), name.as_bytes().to_vec()].concat()
}

impl Machine for Folding {
    fn apply(&self, group: u64, index: u64, _term: u64, payload: &Payload, batch: &mut Batch) -> Bytes {
        fold(batch, group, index, &payload.bytes)
    }

    fn ranges(&self, group: u64) -> Vec<KeyRange> {
        vec![KeyRange { from: prefix(group), to: prefix(group + 1) }]
    }
}

/// One group of an open store, driven by hand.
pub(crate) struct Group {
    pub(crate) number: u64,
    pub(crate) log: LogStore,
    pub(crate) state: StateMachine,
}

impl Group {
    pub(crate) fn open(store: &Store, number: u64) -> Result<Group, Error> {
        let (log, state) = store.group(number, Arc::new(Folding))?;
        Ok(Group { number, log, state })
    }

    /// Appends an entry of term 1; what is returned hears when it is durable.
    pub(crate) async fn append(&mut self, index: u64, payload: &[u8]) -> Durable {
        self.append_all(vec![entry(1, index, payload)]).await
    }

    pub(crate) async fn append_all(&mut self, entries: Vec<Entry>) -> Durable {
        let (sender, durable) = Types::oneshot();
        // An append that fails says so through its callback, too.
        let _ = self.log.append(entries, IOFlushed::signal(sender)).await;
        durable
    }

    pub(crate) async fn append_durably(&mut self, index: u64, payload: &[u8]) {
        self.append(index, payload).await.await.expect("the callback is called").expect("it is durable");
    }

    pub(crate) async fn read(&mut self, from: u64, to: u64) -> Vec<Entry> {
        self.log.try_get_log_entries(from..to).await.expect("entries are readable")
    }

    /// Applies entries of the log.
    pub(crate) async fn apply(&mut self, from: u64, to: u64) -> Result<(), std::io::Error> {
        let entries = self.log.try_get_log_entries(from..to).await?;
        assert_eq!(entries.len() as u64, to - from, "entries {from} to {to} are there");
        self.state.apply(stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await
    }

    pub(crate) async fn applied(&mut self) -> Option<u64> {
        let (applied, _) = self.state.applied_state().await.expect("it is known");
        applied.map(|applied| applied.index)
    }

    pub(crate) async fn last(&mut self) -> Option<u64> {
        let state = self.log.get_log_state().await.expect("it is known");
        state.last_log_id.map(|last| last.index)
    }
}

pub(crate) fn log_id(term: u64, index: u64) -> LogIdOf<Types> {
    LogIdOf::<Types> { leader_id: LeaderId { term, node_id: 1 }, index }
}

pub(crate) fn entry(term: u64, index: u64, payload: &[u8]) -> Entry {
    let payload = EntryPayload::Normal(Payload::new(Bytes::copy_from_slice(payload)));
    Entry { log_id: log_id(term, index), payload }
}

pub(crate) fn payload(entry: &Entry) -> Bytes {
    match &entry.payload {
        EntryPayload::Normal(payload) => payload.bytes.clone(),
        other => panic!("{other:?} is no payload"),
    }
}

pub(crate) fn vote(term: u64) -> VoteOf<Types> {
    VoteOf::<Types>::new(term, 1)
}

/// All rows of a group.
pub(crate) fn rows(store: &Store, group: u64) -> Model {
    let rows = store.tables().scan(prefix(group), prefix(group + 1));
    rows.map(|(key, value)| (key, value.to_bytes())).collect()
}

/// Runs a test's story.
pub(crate) fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(story)
}
