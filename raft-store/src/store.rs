//! A node's store: the log, the tables, and the groups that live on both.

mod tidy;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    thread::JoinHandle,
};

use crate::{
    Error, Trouble,
    disk::{Disk, Lock, OsDisk},
    group::LogStore,
    snapshot::{SnapshotWriter, Snapshots},
    state::StateMachine,
    table::{
        OrderedTable, Tables,
        checkpoint::{self, CheckpointOptions, Checkpointer, Mover},
        sled_table::SledTable,
    },
    types::Machine,
    wal::{self, Recovered, Wal, WalMetrics, WalOptions},
};

const TABLES_FOLDER: &str = "tables";
const LOCK_FILE: &str = "lock";

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub wal: WalOptions,
    pub checkpoint: CheckpointOptions,
    /// Memory that sled uses for pages.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        let (wal, checkpoint) = (WalOptions::default(), CheckpointOptions::default());
        Options { wal, checkpoint, cache_bytes: 16 << 20 }
    }
}

/// Everything that one node keeps on disk.
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    wal: Wal,
    tables: Tables,
    mover: Arc<Mover>,
    snapshots: Arc<Snapshots>,
    /// Groups that are in the log and not opened yet.
    recovered: Mutex<BTreeMap<u64, Recovered>>,
    groups: Mutex<BTreeMap<u64, LogStore>>,
    /// Set when entries were purged.
    purged: Arc<AtomicBool>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the store is open.
    _lock: Lock,
}

/// Figures of the store, as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    pub log_records: u64,
    /// Writes, each of which is synced once.
    pub log_batches: u64,
    pub log_syncs: u64,
    pub log_bytes: u64,
    /// Records that were copied forward so that an old segment could go.
    pub log_moved: u64,
    pub log_segments: u64,
    pub overlay_bytes: u64,
    pub checkpoints: u64,
    pub checkpoints_failed: u64,
    pub checkpoint_rows: u64,
    pub checkpoint_bytes: u64,
    pub snapshots_written: u64,
    pub snapshots_installed: u64,
}

impl Store {
    /// Opens the store of a folder, alone.
    pub fn open(folder: &Path, options: Options) -> Result<Store, Error> {
        let disk = OsDisk::open(folder).map_err(Error::io(folder.display().to_string()))?;
        let lock = lock(&disk)?;
        let base = SledTable::open(&folder.join(TABLES_FOLDER), options.cache_bytes)?;
        Store::assemble(Arc::new(disk), lock, Arc::new(base), options)
    }

    /// The same over any disk and any durable map.
    pub fn over(disk: Arc<dyn Disk>, base: Arc<dyn OrderedTable>, options: Options) -> Result<Store, Error> {
        let lock = lock(&*disk)?;
        Store::assemble(disk, lock, base, options)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        lock: Lock,
        base: Arc<dyn OrderedTable>,
        options: Options,
    ) -> Result<Store, Error> {
        let journal = checkpoint::open_journal(&*disk)?;
        checkpoint::finish_interrupted(&journal, &*base)?;
        let snapshots = Arc::new(Snapshots::new(disk.clone())?);
        snapshots.finish_interrupted(&*base)?;
        let marks = checkpoint::read_marks(&*base)?;
        let (wal, recovered) = wal::open(disk, options.wal)?;
        let tables = Tables::new(base, marks, options.checkpoint.overlay_bytes_max);
        let barrier = wal.clone();
        let mover = Arc::new(Mover { journal, log_barrier: Box::new(move || barrier.barrier()) });
        let inner = Arc::new(Inner {
            wal,
            tables: tables.clone(),
            mover: mover.clone(),
            snapshots,
            recovered: Mutex::new(recovered),
            groups: Mutex::default(),
            purged: Arc::default(),
            checkpointer: Mutex::default(),
            _lock: lock,
        });
        let weak = Arc::downgrade(&inner);
        let tidy = Box::new(move |is_wanted| {
            if let Some(inner) = weak.upgrade() {
                inner.tidy(is_wanted);
            }
        });
        let checkpointer = Checkpointer { tables, mover, options: options.checkpoint, tidy };
        let thread = checkpointer.start().map_err(Error::io("the checkpointing thread"))?;
        *inner.checkpointer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Store { inner })
    }

    /// The log and the state machine of one group. Each group is opened once.
    pub fn group(&self, group: u64, machine: Arc<dyn Machine>) -> Result<(LogStore, StateMachine), Error> {
        let inner = &self.inner;
        let mut groups = inner.groups();
        if groups.contains_key(&group) {
            return Err(Error::GroupOpen(group));
        }
        let mut recovered_groups = inner.recovered();
        let recovered = recovered_groups.remove(&group).unwrap_or_default();
        let log = LogStore::new(group, inner.wal.clone(), recovered, inner.purged.clone())?;
        let mark = inner.tables.mark(group).unwrap_or_default();
        check(group, &log, mark.index(), mark.installed)?;
        groups.insert(group, log.clone());
        let state = StateMachine {
            group,
            machine,
            log: log.clone(),
            tables: inner.tables.clone(),
            mover: inner.mover.clone(),
            snapshots: inner.snapshots.clone(),
            mark,
        };
        Ok((log, state))
    }

    /// To be called when all groups have been opened and have applied what the tables lacked: a node that is killed
    /// again soon, and again, would otherwise have more to apply at each start, and in the end do nothing else.
    pub fn opened(&self) {
        self.inner.tables.checkpoint_soon();
    }

    /// The groups of which there is anything in the log or in the tables.
    pub fn groups_on_disk(&self) -> Vec<u64> {
        let mut groups: Vec<u64> = self.inner.recovered().keys().copied().collect();
        groups.extend(self.inner.groups().keys());
        groups.extend(self.inner.tables.durable().keys());
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    pub fn tables(&self) -> Tables {
        self.inner.tables.clone()
    }

    /// A file to receive a snapshot into.
    pub fn receive_snapshot(&self) -> io::Result<SnapshotWriter> {
        self.inner.snapshots.receive()
    }

    pub fn metrics(&self) -> StoreMetrics {
        let (wal, made) = (self.inner.wal.metrics(), self.inner.tables.checkpoint_metrics());
        let read = WalMetrics::read;
        StoreMetrics {
            log_records: read(&wal.records),
            log_batches: read(&wal.batches),
            log_syncs: read(&wal.syncs),
            log_bytes: read(&wal.bytes),
            log_moved: read(&wal.moved),
            log_segments: self.inner.wal.extent().count as u64,
            overlay_bytes: self.inner.tables.overlay_bytes() as u64,
            checkpoints: read(&made.made),
            checkpoints_failed: read(&made.failed),
            checkpoint_rows: read(&made.rows),
            checkpoint_bytes: read(&made.bytes),
            snapshots_written: read(&self.inner.snapshots.written),
            snapshots_installed: read(&self.inner.snapshots.installed),
        }
    }

    /// Why the store can't go on as it should, if it can't.
    pub fn trouble(&self) -> Option<Trouble> {
        self.inner.wal.trouble().or_else(|| self.inner.tables.trouble())
    }

    /// From now on a full disk is not waited for: what needs room on it fails, so that everybody who waits
    /// for the log can end.
    pub fn lose_patience(&self) {
        self.inner.wal.lose_patience();
    }

    /// Makes everything durable and stops the threads. Groups must have been shut down before. A store that
    /// is only dropped loses nothing either, but has to apply more of its log when it is opened again.
    pub fn close(&self) -> Result<(), Error> {
        self.inner.wal.lose_patience();
        let checkpointed = self.inner.tables.last_checkpoint();
        let stopped = self.inner.stop();
        checkpointed.and(stopped)
    }
}

/// The threads end first, and with them the last who might write; then the lock goes.
impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.inner.stop() {
            tracing::warn!(%error, "the store was left in trouble");
        }
    }
}

/// Log and tables of a group must fit together. The log may hold less than the tables only where a snapshot
/// was installed; the tables may hold less than the log, but nothing that was purged.
fn check(group: u64, log: &LogStore, applied: Option<u64>, installed: Option<u64>) -> Result<(), Error> {
    let (purged, last) = log.extent();
    if purged > applied {
        let what =
            format!("group {group} lost its rows: they end at {applied:?}, its log begins at {purged:?}");
        return Err(Error::Tables(what));
    }
    let reached = last.max(installed);
    if applied > reached {
        return Err(Error::Missing { group, index: reached.map_or(0, |reached| reached + 1) });
    }
    Ok(())
}

fn lock(disk: &dyn Disk) -> Result<Lock, Error> {
    disk.lock(LOCK_FILE).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked(disk.describe()),
        _ => Error::io(LOCK_FILE)(error),
    })
}

impl Inner {
    fn groups(&self) -> MutexGuard<'_, BTreeMap<u64, LogStore>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recovered(&self) -> MutexGuard<'_, BTreeMap<u64, Recovered>> {
        self.recovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) -> Result<(), Error> {
        self.wal.lose_patience();
        self.tables.close();
        let thread = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(Error::ThreadDied("checkpointing"));
        }
        self.wal.close()
    }
}
