//! Checkpoints: the overlay moves to the durable table, all of it or nothing.
//!
//! A thread of its own freezes the active overlay, waits until the log is durable as far as the rows reflect
//! it, writes the rows to the [journal](super::journal) and then, in small pieces, from there to the durable table.
//! When that is synced, the log up to here may be purged. Applies and readers go on meanwhile; only when the
//! next overlay has become twice as large as it should be do applies wait.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{
    Marks, OrderedTable, Overlay, Row, Tables, Value,
    journal::{self, Journal},
    pin::{Gate, Moving},
};
use crate::{Error, Trouble, disk::Disk, keys};

/// How often the thread looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it waits after a failure that may pass.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// So long behind a checkpoint, with little to move since, the durable table may rest.
const REST_AFTER: Duration = Duration::from_secs(5);
/// Little is so small a part of what an overlay may have.
const LITTLE_PART: usize = 16;
/// Applies wait when the active overlay is so many times as large as it should be.
const STALL_FACTOR: usize = 2;

/// When a checkpoint is made without being asked for.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointOptions {
    pub overlay_bytes_max: usize,
    pub every: Duration,
}

impl Default for CheckpointOptions {
    fn default() -> CheckpointOptions {
        CheckpointOptions { overlay_bytes_max: 32 << 20, every: Duration::from_secs(60) }
    }
}

#[derive(Debug, Default)]
pub(crate) struct CheckpointMetrics {
    pub(crate) made: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

pub(super) struct Checkpoints {
    progress: Mutex<Progress>,
    wanted: Condvar,
    done: Condvar,
    pub(super) gate: Gate,
    active_bytes: AtomicUsize,
    active_bytes_max: usize,
    shrunk: Notify,
    metrics: CheckpointMetrics,
}

#[derive(Default)]
struct Progress {
    /// Counts requests and those that are fulfilled, so that a caller waits for a checkpoint that began
    /// after it asked.
    wanted: u64,
    done: u64,
    /// What the durable table says of the groups.
    durable: Marks,
    /// Why no checkpoint can be made for the time being.
    trouble: Option<Arc<Error>>,
    /// Why none will be made any more.
    failed: Option<Arc<Error>>,
    /// A checkpoint that fails is not tried again.
    is_last: bool,
    is_closing: bool,
    has_ended: bool,
}

impl Checkpoints {
    pub(super) fn new(durable: &Marks, overlay_bytes_max: usize) -> Checkpoints {
        Checkpoints {
            progress: Mutex::new(Progress { durable: durable.clone(), ..Progress::default() }),
            wanted: Condvar::new(),
            done: Condvar::new(),
            gate: Gate::default(),
            active_bytes: AtomicUsize::new(0),
            active_bytes_max: overlay_bytes_max,
            shrunk: Notify::new(),
            metrics: CheckpointMetrics::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The active overlay has so many bytes now.
    pub(super) fn grown(&self, active_bytes: usize) {
        let before = self.active_bytes.swap(active_bytes, Ordering::Relaxed);
        if before < self.active_bytes_max && active_bytes >= self.active_bytes_max {
            self.wanted.notify_all();
        }
    }

    /// The active overlay is a new one.
    pub(super) fn frozen(&self) {
        self.active_bytes.store(0, Ordering::Relaxed);
        self.shrunk.notify_waiters();
    }

    pub(super) fn set_durable(&self, durable: Marks) {
        self.lock().durable.extend(durable);
    }

    fn is_little(&self) -> bool {
        self.active_bytes.load(Ordering::Relaxed) <= self.active_bytes_max / LITTLE_PART
    }

    fn is_large(&self) -> bool {
        self.active_bytes.load(Ordering::Relaxed) >= self.active_bytes_max
    }

    fn is_too_large(&self) -> bool {
        self.active_bytes.load(Ordering::Relaxed) >= STALL_FACTOR * self.active_bytes_max
    }
}

impl Tables {
    /// Waits until everything that is applied now is durable in the tables: for as long as the disk is
    /// full, if it must be.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.checkpointed(false)
    }

    /// The same, but waits neither for room on the disk nor for who still reads a snapshot.
    pub(crate) fn last_checkpoint(&self) -> Result<(), Error> {
        self.shared.checkpoints.gate.revoke_all();
        self.checkpointed(true)
    }

    fn checkpointed(&self, is_last: bool) -> Result<(), Error> {
        let checkpoints = &self.shared.checkpoints;
        let mut progress = checkpoints.lock();
        progress.is_last |= is_last;
        progress.wanted += 1;
        let ticket = progress.wanted;
        checkpoints.wanted.notify_all();
        while progress.done < ticket {
            if let Some(why) = &progress.failed {
                return Err(Error::Checkpoint(why.clone()));
            }
            if progress.has_ended {
                return Err(Error::Closed);
            }
            progress = checkpoints.done.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Asks for a checkpoint and waits for none, unless there is little to move.
    pub(crate) fn checkpoint_soon(&self) {
        let checkpoints = &self.shared.checkpoints;
        if !checkpoints.is_little() {
            checkpoints.lock().wanted += 1;
            checkpoints.wanted.notify_all();
        }
    }

    /// Waits while the overlay is much larger than it should be; an error when it will stay so.
    pub(crate) async fn room(&self) -> Result<(), Error> {
        let checkpoints = &self.shared.checkpoints;
        while checkpoints.is_too_large() {
            let shrunk = checkpoints.shrunk.notified();
            tokio::pin!(shrunk);
            shrunk.as_mut().enable();
            if let Some(why) = &checkpoints.lock().failed {
                return Err(Error::Checkpoint(why.clone()));
            }
            if checkpoints.is_too_large() {
                shrunk.await;
            }
        }
        Ok(())
    }

    /// By group: the index up to which the tables are durable.
    pub(crate) fn durable(&self) -> BTreeMap<u64, u64> {
        let progress = self.shared.checkpoints.lock();
        progress.durable.iter().filter_map(|(group, mark)| Some((*group, mark.index()?))).collect()
    }

    /// Why no checkpoint can be made, if none can, or that rows can't be read.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let progress = self.shared.checkpoints.lock();
        let trouble = |error: &Arc<Error>, may_pass| Trouble {
            why: error.to_string(),
            is_full: error.is_full(),
            may_pass,
        };
        let failed = progress.failed.as_ref().map(|error| trouble(error, false));
        failed.or_else(|| progress.trouble.as_ref().map(|error| trouble(error, true)))
    }

    /// The node can't go on without rows that it had; it must not answer from a guess. Whoever asked is
    /// stopped here, and the rest of the node hears of it as trouble.
    pub(super) fn lost(&self, error: Error) -> ! {
        tracing::error!(%error, "the tables can't be read");
        let error = Arc::new(error);
        self.shared.checkpoints.lock().failed.get_or_insert_with(|| error.clone());
        panic!("the tables can't be read: {error}");
    }

    pub(crate) fn checkpoint_metrics(&self) -> &CheckpointMetrics {
        &self.shared.checkpoints.metrics
    }

    /// Lets the checkpointing thread end.
    pub(crate) fn close(&self) {
        let checkpoints = &self.shared.checkpoints;
        checkpoints.lock().is_closing = true;
        checkpoints.wanted.notify_all();
        checkpoints.gate.revoke_all();
    }
}

/// What the thread that makes checkpoints needs of the rest of the store.
pub(crate) struct Checkpointer {
    pub(crate) tables: Tables,
    pub(crate) mover: Arc<Mover>,
    pub(crate) options: CheckpointOptions,
    /// Called behind each checkpoint, and from time to time: removes what is not needed any more.
    pub(crate) tidy: Box<dyn Fn(bool) + Send>,
}

impl Checkpointer {
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || self.run())
    }

    fn run(self) {
        let checkpoints = &self.tables.shared.checkpoints;
        let mut last = Instant::now();
        let mut is_rested = true;
        loop {
            let mut progress = checkpoints.lock();
            let is_idle = progress.wanted == progress.done && !progress.is_closing && !checkpoints.is_large();
            if is_idle {
                progress = checkpoints
                    .wanted
                    .wait_timeout(progress, LOOK_EVERY)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if progress.is_closing {
                progress.has_ended = true;
                checkpoints.done.notify_all();
                return;
            }
            let wanted = progress.wanted;
            let is_due = wanted > progress.done
                || progress.trouble.is_some()
                || checkpoints.is_large()
                || last.elapsed() >= self.options.every;
            let is_changed = self.tables.layers().marks != progress.durable;
            drop(progress);
            if !is_due {
                (self.tidy)(false);
                if !is_rested && last.elapsed() >= REST_AFTER && checkpoints.is_little() {
                    is_rested = self.tables.base().rest().unwrap_or_else(|error| {
                        tracing::warn!(%error, "the tables did not rest");
                        true
                    });
                }
                continue;
            }
            last = Instant::now();
            let made = if is_changed { self.make() } else { Ok(None) };
            let mut progress = checkpoints.lock();
            match made {
                Ok(durable) => {
                    progress.done = wanted;
                    progress.durable.extend(durable.unwrap_or_default());
                    progress.trouble = None;
                    drop(progress);
                    checkpoints.done.notify_all();
                    is_rested &= !is_changed;
                    (self.tidy)(is_changed);
                }
                Err(error) => {
                    checkpoints.metrics.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(error = %error.error, is_final = error.is_final, "a checkpoint failed");
                    let why = Arc::new(error.error);
                    if error.is_final || progress.is_last {
                        progress.failed = Some(why);
                        progress.has_ended = true;
                        drop(progress);
                        checkpoints.done.notify_all();
                        checkpoints.shrunk.notify_waiters();
                        return;
                    }
                    progress.trouble = Some(why);
                    let retry = checkpoints.wanted.wait_timeout(progress, RETRY_AFTER);
                    drop(retry.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
    }

    fn make(&self) -> Result<Option<Marks>, Failure> {
        let mut moving = self.tables.begin_move();
        self.mover.run(&self.tables, &mut moving)?;
        Ok(Some(moving.marks.clone()))
    }
}

/// A checkpoint that failed. Before the durable table was touched, it can be tried again.
pub(crate) struct Failure {
    error: Error,
    is_final: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

/// Moves frozen overlays to the durable table.
pub(crate) struct Mover {
    pub(crate) journal: Journal,
    /// Waits until the log is durable as far as anything can have been applied.
    pub(crate) log_barrier: Box<dyn Fn() -> Result<(), Error> + Send + Sync>,
}

impl Mover {
    pub(crate) fn run(&self, tables: &Tables, moving: &mut Moving) -> Result<(), Failure> {
        let passing = |error: Error| Failure { is_final: !error.is_full(), error };
        let lasting = |error: Error| Failure { is_final: true, error };
        (self.log_barrier)().map_err(lasting)?;
        let rows = overlay(moving);
        let marks =
            moving.marks.iter().map(|(group, mark)| Ok((keys::applied(*group), Some(mark.encode()?))));
        let written = self.journal.write(encoded(&rows).map(Ok).chain(marks)).map_err(passing)?;
        move_rows(tables.base(), self.journal.read(written.bytes)).map_err(lasting)?;
        self.journal.clear().map_err(lasting)?;
        moving.done();
        let metrics = tables.checkpoint_metrics();
        metrics.made.fetch_add(1, Ordering::Relaxed);
        metrics.rows.fetch_add(written.rows, Ordering::Relaxed);
        metrics.bytes.fetch_add(written.bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// What the frozen overlays say together.
fn overlay(moving: &Moving) -> Cow<'_, Overlay> {
    match &moving.frozen[..] {
        [one] => Cow::Borrowed(&one.rows),
        several => {
            let rows = several.iter().flat_map(|frozen| frozen.rows.iter());
            Cow::Owned(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
        }
    }
}

/// One row at a time: all of them encoded at once would be a second overlay.
fn encoded(rows: &Overlay) -> impl Iterator<Item = Row> {
    rows.iter().map(|(key, write)| (keys::user(key), write.value.as_ref().map(Value::to_bytes)))
}

/// Writes what the journal holds, and makes it durable. It is always read back from the file, so that what a
/// start does after an interruption is what every checkpoint does.
fn move_rows(base: &dyn OrderedTable, mut journal: journal::Pieces<'_>) -> Result<(), Error> {
    while let Some(rows) = journal.next_rows()? {
        base.write(&rows)?;
        std::thread::yield_now();
    }
    if cfg!(planted = "no_table_flush") {
        return Ok(());
    }
    base.flush()
}

pub(crate) fn open_journal(disk: &dyn Disk) -> Result<Journal, Error> {
    Journal::open(disk)
}

/// After a start: finishes a checkpoint that was interrupted.
pub(crate) fn finish_interrupted(journal: &Journal, base: &dyn OrderedTable) -> Result<(), Error> {
    if let Some(rows) = journal.interrupted()? {
        tracing::info!(bytes = rows.bytes(), "finishing a checkpoint that was interrupted");
        move_rows(base, rows)?;
        journal.clear()?;
    }
    Ok(())
}

/// How far each group had come at the last checkpoint.
pub(crate) fn read_marks(base: &dyn OrderedTable) -> Result<Marks, Error> {
    let range = keys::all_applied();
    let rows = base.range(&range.from, &range.to, usize::MAX, false)?;
    let parse = |(key, value): (Vec<u8>, Bytes)| {
        let group = keys::group(&key).ok_or_else(|| Error::Tables("a mark of no group".to_owned()))?;
        Ok((group, super::Mark::decode(&value)?))
    };
    rows.into_iter().map(parse).collect()
}
