//! A node's store: the log, the tables, and the groups that live on both.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
};

use crate::{
    Error,
    disk::{Disk, OsDisk},
    group::LogStore,
    snapshot::{SnapshotWriter, Snapshots},
    state::StateMachine,
    table::{
        OrderedTable, Tables,
        checkpoint::{self, CheckpointOptions},
        sled_table::SledTable,
    },
    types::Machine,
    wal::{self, Recovered, Wal, WalOptions},
};

const LOG_FOLDER: &str = "log";
const TABLES_FOLDER: &str = "tables";
const SNAPSHOTS_FOLDER: &str = "snapshots";
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
        Options { wal, checkpoint, cache_bytes: 128 << 20 }
    }
}

/// Everything that one node keeps on disk.
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    wal: Wal,
    tables: Tables,
    snapshots: Arc<Snapshots>,
    recovered: Mutex<BTreeMap<u64, Recovered>>,
    groups: Mutex<BTreeMap<u64, LogStore>>,
    /// Held for as long as the store is open.
    _lock: Option<File>,
}

/// Figures of the store, as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    pub log_records: u64,
    pub log_batches: u64,
    pub log_syncs: u64,
    pub log_bytes: u64,
    pub overlay_bytes: u64,
}

impl Store {
    /// Opens the store of a folder, alone.
    pub fn open(folder: &Path, options: Options) -> Result<Store, Error> {
        let name = |path: &Path| path.display().to_string();
        fs::create_dir_all(folder).map_err(Error::io(name(folder)))?;
        let lock = lock(folder)?;
        let log = folder.join(LOG_FOLDER);
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::open(&log).map_err(Error::io(name(&log)))?);
        let base: Arc<dyn OrderedTable> =
            Arc::new(SledTable::open(&folder.join(TABLES_FOLDER), options.cache_bytes)?);
        Store::over(disk, base, folder.join(SNAPSHOTS_FOLDER), options, Some(lock))
    }

    /// The same over any disk and any durable map.
    pub fn over(
        disk: Arc<dyn Disk>,
        base: Arc<dyn OrderedTable>,
        snapshots: PathBuf,
        options: Options,
        lock: Option<File>,
    ) -> Result<Store, Error> {
        checkpoint::redo(&*disk, &*base)?;
        let snapshots = Arc::new(Snapshots::open(snapshots, &*base)?);
        let applied = checkpoint::read_applied(&*base)?;
        let (wal, recovered) = wal::open(disk.clone(), options.wal)?;
        let tables = Tables::new(base, applied);
        let inner = Arc::new(Inner {
            wal,
            tables: tables.clone(),
            snapshots,
            recovered: Mutex::new(recovered),
            groups: Mutex::default(),
            _lock: lock,
        });
        let weak = Arc::downgrade(&inner);
        checkpoint::start(tables, disk, options.checkpoint, move || drop_segments(&weak));
        Ok(Store { inner })
    }

    /// The log and the state machine of one group. Each group is opened once.
    pub fn group(&self, group: u64, machine: Arc<dyn Machine>) -> Result<(LogStore, StateMachine), Error> {
        let inner = &self.inner;
        let mut groups = inner.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.contains_key(&group) {
            return Err(Error::GroupOpen(group));
        }
        let recovered =
            inner.recovered.lock().unwrap_or_else(PoisonError::into_inner).remove(&group).unwrap_or_default();
        let weak = Arc::downgrade(inner);
        let name = format!("group {group}");
        let log = LogStore::new(group, inner.wal.clone(), recovered, Arc::new(move || drop_segments(&weak)))
            .map_err(Error::io(name.clone()))?;
        groups.insert(group, log.clone());
        let state = StateMachine::new(group, machine, inner.tables.clone(), inner.snapshots.clone());
        Ok((log, state.map_err(Error::io(name))?))
    }

    pub fn tables(&self) -> Tables {
        self.inner.tables.clone()
    }

    /// A file to receive a snapshot into.
    pub fn receive_snapshot(&self) -> io::Result<SnapshotWriter> {
        self.inner.snapshots.receive()
    }

    pub fn metrics(&self) -> StoreMetrics {
        let wal = self.inner.wal.metrics();
        StoreMetrics {
            log_records: wal.records.load(Ordering::Relaxed),
            log_batches: wal.batches.load(Ordering::Relaxed),
            log_syncs: wal.syncs.load(Ordering::Relaxed),
            log_bytes: wal.bytes.load(Ordering::Relaxed),
            overlay_bytes: self.inner.tables.active_bytes() as u64,
        }
    }

    /// Makes everything durable and stops the threads. Groups must have been shut down before.
    pub fn close(&self) -> Result<(), Error> {
        self.inner.wal.close().map_err(Error::io("log"))?;
        self.inner.tables.close()
    }
}

/// Segments go when every group has purged what is in them and has it in durable tables.
fn drop_segments(inner: &Weak<Inner>) {
    let Some(inner) = inner.upgrade() else { return };
    let durable = inner.tables.durable();
    let groups = inner.groups.lock().unwrap_or_else(PoisonError::into_inner);
    let keep_from = groups
        .iter()
        .map(|(group, log)| {
            let purged = log.purged_index().map_or(0, |index| index + 1);
            let applied = durable.get(group).map_or(0, |index| index + 1);
            (*group, purged.min(applied))
        })
        .collect();
    drop(groups);
    if let Err(error) = inner.wal.drop_segments(&keep_from) {
        tracing::warn!(%error, "a log segment could not be removed");
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK_FILE);
    let name = path.display().to_string();
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io(name.clone()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(folder.display().to_string())),
        Err(TryLockError::Error(source)) => Err(Error::Io { path: name, source }),
    }
}
