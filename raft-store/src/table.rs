//! The tables: ordered rows, in memory first, in sled after a checkpoint.
//!
//! An apply changes the *overlay*, a sorted map in memory, and nothing else. From time to time the
//! overlay is frozen and moved to sled as a whole ([`checkpoint`]), while a new one takes the writes. A
//! row that comes and goes between two checkpoints never touches the disk, and a [`Deferred`] row is
//! not even encoded. Readers see overlay, frozen overlay and sled merged.

pub mod checkpoint;
mod scan;
pub mod sled_table;

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;

pub use scan::Scan;

use crate::Error;

/// A row's value.
#[derive(Clone)]
pub enum Value {
    Bytes(Bytes),
    /// Lives decoded in memory, is encoded when a checkpoint writes it.
    Deferred(Arc<dyn Deferred>),
}

pub trait Deferred: Send + Sync + 'static {
    fn to_bytes(&self) -> Vec<u8>;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// How much memory it takes, roughly.
    fn approximate_bytes(&self) -> usize;
}

impl Value {
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Deferred(deferred) => deferred.to_bytes().into(),
        }
    }

    fn approximate_bytes(&self) -> usize {
        match self {
            Value::Bytes(bytes) => bytes.len(),
            Value::Deferred(deferred) => deferred.approximate_bytes(),
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({} bytes)", self.approximate_bytes())
    }
}

/// Keys from `from` up to but not including `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// A durable ordered map. Writes become durable at the next [`OrderedTable::flush`], not before.
pub trait OrderedTable: Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// The first `most` rows of a range, or the last, in the direction of reading.
    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, Error>;
    /// Puts rows, and removes those without a value.
    fn write(&self, rows: &[(Vec<u8>, Option<Bytes>)]) -> Result<(), Error>;
    fn flush(&self) -> Result<(), Error>;
}

/// Rows in memory: a value, or that there is none any more.
pub(crate) type Overlay = BTreeMap<Vec<u8>, Option<Value>>;

/// How far a group's rows reflect its log. An opaque record of the state machine.
pub(crate) type Applied = BTreeMap<u64, AppliedMark>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppliedMark {
    pub(crate) index: u64,
    pub(crate) record: Bytes,
}

#[derive(Default)]
pub(crate) struct Layers {
    pub(crate) active: Overlay,
    pub(crate) active_bytes: usize,
    pub(crate) applied: Applied,
    pub(crate) frozen: Option<Arc<Overlay>>,
}

/// A cheap handle to the tables.
#[derive(Clone)]
pub struct Tables {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) layers: RwLock<Layers>,
    pub(crate) base: Arc<dyn OrderedTable>,
    pub(crate) checkpoints: Mutex<checkpoint::Progress>,
    pub(crate) checkpoint_wanted: Condvar,
    pub(crate) checkpoint_done: Condvar,
}

impl Tables {
    pub(crate) fn new(base: Arc<dyn OrderedTable>, applied: Applied) -> Tables {
        let durable = applied.iter().map(|(group, mark)| (*group, mark.index)).collect();
        Tables {
            shared: Arc::new(Shared {
                layers: RwLock::new(Layers { applied, ..Layers::default() }),
                base,
                checkpoints: Mutex::new(checkpoint::Progress { durable, ..Default::default() }),
                checkpoint_wanted: Condvar::new(),
                checkpoint_done: Condvar::new(),
            }),
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<Value> {
        let layers = self.shared.layers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = layers.active.get(key) {
            return found.clone();
        }
        if let Some(found) = layers.frozen.as_ref().and_then(|frozen| frozen.get(key)) {
            return found.clone();
        }
        drop(layers);
        match self.shared.base.get(&user_key(key)) {
            Ok(found) => found.map(Value::Bytes),
            Err(error) => damaged(&error),
        }
    }

    /// Rows of a range in order.
    pub fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Scan {
        Scan::new(self.clone(), from, to, false)
    }

    /// Rows of a range, last first.
    pub fn scan_back(&self, from: Vec<u8>, to: Vec<u8>) -> Scan {
        Scan::new(self.clone(), from, to, true)
    }

    pub(crate) fn applied(&self, group: u64) -> Option<AppliedMark> {
        self.shared.layers.read().unwrap_or_else(PoisonError::into_inner).applied.get(&group).cloned()
    }

    /// Makes a batch visible together with how far its group has come.
    pub(crate) fn commit(&self, group: u64, batch: Batch, mark: AppliedMark) {
        let mut layers = self.shared.layers.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.writes {
            layers.active_bytes += key.len() + value.as_ref().map_or(0, Value::approximate_bytes);
            layers.active.insert(key, value);
        }
        layers.applied.insert(group, mark);
    }

    pub(crate) fn active_bytes(&self) -> usize {
        self.shared.layers.read().unwrap_or_else(PoisonError::into_inner).active_bytes
    }
}

/// The machine cannot go on without the rows that it has lost; the process must not answer from a guess.
pub(crate) fn damaged(error: &Error) -> ! {
    tracing::error!(%error, "the tables cannot be read");
    panic!("the tables cannot be read: {error}");
}

/// Rows of the machine and records of our own do not mix.
pub(crate) fn user_key(key: &[u8]) -> Vec<u8> {
    [b"u", key].concat()
}

/// Writes of one apply: visible to itself at once, to others together.
pub struct Batch {
    tables: Tables,
    writes: Overlay,
}

impl Batch {
    pub(crate) fn new(tables: Tables) -> Batch {
        Batch { tables, writes: Overlay::new() }
    }

    pub fn get(&self, key: &[u8]) -> Option<Value> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.tables.get(key),
        }
    }

    pub fn put(&mut self, key: Vec<u8>, value: Value) {
        self.writes.insert(key, Some(value));
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Removes all rows of a range.
    pub fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        let mut keys: Vec<Vec<u8>> = self.tables.scan(from.clone(), to.clone()).map(|(key, _)| key).collect();
        keys.extend(self.writes.range(from..to).map(|(key, _)| key.clone()));
        for key in keys {
            self.writes.insert(key, None);
        }
    }
}
