//! The tables: ordered rows, in memory first, in sled after a checkpoint.
//!
//! An apply changes the *active* overlay, a sorted map in memory, and nothing else. From time to time that
//! overlay is frozen and moved to the durable table as a whole ([`checkpoint`]), while a new one takes the
//! writes. A row that comes and goes between two checkpoints never touches the disk, and a [`Deferred`] row
//! is not even encoded. Readers see the active overlay, the frozen ones and the durable table merged.
//!
//! No lock is held while the durable table is read or written, so neither applies nor readers wait for it.
//! What keeps a look at all layers consistent is that the durable table only ever changes to what a frozen
//! overlay already says; when a newer overlay is frozen, the generation changes, and readers look again.

mod batch;
pub mod checkpoint;
mod journal;
#[cfg(any(test, feature = "testing"))]
pub mod memory_table;
mod pin;
mod scan;
pub mod sled_table;

use std::{
    any::Any,
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use openraft::type_config::alias::{LogIdOf, StoredMembershipOf};

pub use batch::Batch;
pub(crate) use pin::View;
pub use scan::Scan;

use crate::{Error, codec, keys, types::Types};

/// A row's value.
#[derive(Clone)]
pub enum Value {
    Bytes(Bytes),
    /// Lives decoded in memory, is encoded when a checkpoint writes it.
    Deferred(Arc<dyn Deferred>),
}

/// A value that is encoded as late as possible.
pub trait Deferred: Any + Send + Sync {
    fn to_bytes(&self) -> Vec<u8>;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// How much memory it takes, roughly. It must not change while the value is in a table.
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

/// A row that is put, or removed if it has no value.
pub type Row = (Vec<u8>, Option<Bytes>);

/// A durable ordered map. Writes become durable at the next [`flush`](OrderedTable::flush), not before;
/// until then a power cut may keep any of them and lose any other.
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
    /// Puts and removes rows, in order. Readers may see some of them before others.
    fn write(&self, rows: &[Row]) -> Result<(), Error>;
    fn flush(&self) -> Result<(), Error>;
    /// Little will happen for a while: memory that is not needed may go. Says whether all of it has gone, or another
    /// call would find more.
    fn rest(&self) -> Result<bool, Error> {
        Ok(true)
    }
}

/// Rows in memory.
pub(crate) type Overlay = BTreeMap<Vec<u8>, Write>;

/// What became of a row.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// None: there is no such row any more.
    value: Option<Value>,
    /// No layer below has this row. If it goes, nothing need be said about it.
    is_new: bool,
}

/// Puts a later write over earlier ones of the same layer, and returns what it has replaced.
fn put_over(rows: &mut Overlay, key: Vec<u8>, mut write: Write) -> Option<Write> {
    match rows.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(write);
            None
        }
        Entry::Occupied(found) if found.get().is_new && write.value.is_none() => Some(found.remove()),
        Entry::Occupied(mut found) => {
            write.is_new = found.get().is_new;
            Some(found.insert(write))
        }
    }
}

/// How far a group's rows reflect its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) applied: Option<LogIdOf<Types>>,
    pub(crate) membership: Arc<StoredMembershipOf<Types>>,
    /// The index of the last snapshot that was installed: the log need not hold entries up to here.
    pub(crate) installed: Option<u64>,
}

impl Mark {
    pub(crate) fn index(&self) -> Option<u64> {
        self.applied.map(|applied| applied.index)
    }

    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        let encoded = codec::encode(&(self.applied, &*self.membership, self.installed));
        encoded.map(Bytes::from).map_err(|error| Error::Tables(error.to_string()))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Mark, Error> {
        let unreadable = |error| Error::Tables(format!("how far a group's rows are: {error}"));
        let (applied, membership, installed) = codec::decode(bytes).map_err(unreadable)?;
        Ok(Mark { applied, membership: Arc::new(membership), installed })
    }
}

pub(crate) type Marks = BTreeMap<u64, Mark>;

/// The overlays, oldest last to be looked at, and how far they reflect the log.
#[derive(Default)]
pub(crate) struct Layers {
    active: Overlay,
    active_bytes: usize,
    /// Oldest first.
    frozen: Vec<Arc<Frozen>>,
    marks: Marks,
    /// Changes whenever the durable table may come to say something new.
    generation: u64,
}

pub(crate) struct Frozen {
    rows: Overlay,
    bytes: usize,
}

impl Layers {
    /// Makes the active overlay a frozen one.
    fn freeze(&mut self) {
        self.generation += 1;
        if !self.active.is_empty() {
            let rows = std::mem::take(&mut self.active);
            self.frozen.push(Arc::new(Frozen { rows, bytes: self.active_bytes }));
            self.active_bytes = 0;
        }
    }

    fn bytes(&self) -> usize {
        self.active_bytes + self.frozen.iter().map(|frozen| frozen.bytes).sum::<usize>()
    }
}

/// A cheap handle to the tables, for reading.
#[derive(Clone)]
pub struct Tables {
    shared: Arc<Shared>,
}

struct Shared {
    layers: RwLock<Layers>,
    base: Arc<dyn OrderedTable>,
    checkpoints: checkpoint::Checkpoints,
}

impl Tables {
    pub(crate) fn new(base: Arc<dyn OrderedTable>, marks: Marks, overlay_bytes_max: usize) -> Tables {
        let checkpoints = checkpoint::Checkpoints::new(&marks, overlay_bytes_max);
        let layers = RwLock::new(Layers { marks, ..Layers::default() });
        Tables { shared: Arc::new(Shared { layers, base, checkpoints }) }
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.shared.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.shared.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, key: &[u8]) -> Option<Value> {
        {
            let layers = self.layers();
            if let Some(found) = layers.active.get(key) {
                return found.value.clone();
            }
            if let Some(found) = layers.frozen.iter().rev().find_map(|frozen| frozen.rows.get(key)) {
                return found.value.clone();
            }
        }
        let found = self.shared.base.get(&keys::user(key)).unwrap_or_else(|error| self.lost(error));
        found.map(Value::Bytes)
    }

    /// Rows of a range in order.
    pub fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Scan {
        Scan::new(self.clone(), from, to, false)
    }

    /// Rows of a range, last first.
    pub fn scan_back(&self, from: Vec<u8>, to: Vec<u8>) -> Scan {
        Scan::new(self.clone(), from, to, true)
    }

    /// The index up to which a group's rows reflect its log, or none if nothing was applied yet.
    pub fn applied(&self, group: u64) -> Option<u64> {
        self.layers().marks.get(&group).and_then(Mark::index)
    }

    /// Bytes in memory that no checkpoint has moved yet, roughly.
    pub fn overlay_bytes(&self) -> usize {
        self.layers().bytes()
    }

    pub(crate) fn mark(&self, group: u64) -> Option<Mark> {
        self.layers().marks.get(&group).cloned()
    }

    pub(crate) fn base(&self) -> &dyn OrderedTable {
        &*self.shared.base
    }

    /// Makes the writes of a batch visible, together with how far its group has come.
    pub(crate) fn commit(&self, group: u64, batch: Batch, mark: Mark) {
        let writes = batch.into_writes();
        let mut replaced = Vec::new();
        let active_bytes = {
            let mut layers = self.layers_mut();
            for (key, write) in writes {
                let key_bytes = key.len();
                let bytes = row_bytes(key_bytes, &write);
                let before = layers.active.len();
                let old = put_over(&mut layers.active, key, write);
                if layers.active.len() >= before {
                    layers.active_bytes += bytes;
                }
                if let Some(old) = old {
                    layers.active_bytes -= row_bytes(key_bytes, &old);
                    replaced.push(old);
                }
            }
            layers.marks.insert(group, mark);
            layers.active_bytes
        };
        self.shared.checkpoints.grown(active_bytes);
        // Values may be large: they are freed when nobody waits for it.
        drop(replaced);
    }
}

/// What a row takes besides its key and value, roughly.
const ROW_BYTES: usize = 96;

fn row_bytes(key_bytes: usize, write: &Write) -> usize {
    ROW_BYTES + key_bytes + write.value.as_ref().map_or(0, Value::approximate_bytes)
}
