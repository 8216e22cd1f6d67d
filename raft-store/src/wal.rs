//! The log of all groups: one sequence of segments, one writer, one sync for everybody who waits.
//!
//! Whoever appends leaves records with the writer and goes on. The writer takes all that has come in,
//! writes it once, syncs once, and then tells everyone in order. While the disk syncs, the next batch
//! gathers: the slower the disk, the larger the batches. Votes, truncations and purges take the same way,
//! so what is on disk is always a prefix of what was asked for.
//!
//! After a failed write or sync nobody can say what the disk holds, so the log is closed for ever and
//! every further append fails. The process ends and starts again from what is there.

mod open;
mod queue;
pub(crate) mod record;
pub(crate) mod segment;
mod spare;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

pub(crate) use open::open;
pub(crate) use queue::Batch;
use queue::Refusal;
pub(crate) use segment::Place;
use segment::Segment;
use writer::Standing;

use crate::{Error, Trouble, disk::Disk};

/// How the log is cut and gathered.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// A segment is preallocated with so many bytes; a larger batch makes a larger segment.
    pub segment_bytes: u64,
    /// When so much waits to be written, who appends waits too.
    pub batch_bytes_max: usize,
    /// Bytes of recent entries that each group keeps in memory besides those that are not durable yet.
    pub cached_bytes_max: usize,
    /// Segments that are kept in any case. With more than this, and four times more than what is needed
    /// of them, the needed entries of the oldest are copied forward so that it can go.
    pub segments_min: usize,
}

impl Default for WalOptions {
    fn default() -> WalOptions {
        WalOptions {
            segment_bytes: 64 << 20,
            batch_bytes_max: 16 << 20,
            cached_bytes_max: 256 << 10,
            segments_min: 4,
        }
    }
}

/// What the log has done so far.
#[derive(Debug, Default)]
pub(crate) struct WalMetrics {
    pub(crate) records: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) moved: AtomicU64,
}

/// The segments that are in use.
pub(crate) struct Extent {
    pub(crate) oldest: u64,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

/// What is found of a group when the log is opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) standing: Standing,
    /// By index: where the entry is.
    pub(crate) entries: BTreeMap<u64, Place>,
}

impl Recovered {
    /// The index at which the entries begin.
    pub(crate) fn first(&self) -> u64 {
        self.standing.purged.as_ref().map_or(0, |(index, _)| index + 1)
    }
}

/// A cheap handle to the log.
#[derive(Clone)]
pub(crate) struct Wal {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    metrics: WalMetrics,
    queue: queue::Queue,
    spares: Arc<spare::Spares>,
    options: WalOptions,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    fn new(
        disk: Arc<dyn Disk>,
        segments: BTreeMap<u64, Arc<Segment>>,
        spares: Arc<spare::Spares>,
        options: WalOptions,
    ) -> Shared {
        Shared {
            disk,
            segments: Mutex::new(segments),
            metrics: WalMetrics::default(),
            queue: queue::Queue::new(options.batch_bytes_max),
            spares,
            options,
            threads: Mutex::default(),
        }
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wal {
    pub(crate) fn metrics(&self) -> &WalMetrics {
        &self.shared.metrics
    }

    pub(crate) fn options(&self) -> &WalOptions {
        &self.shared.options
    }

    /// Waits while more waits to be written than should.
    pub(crate) async fn room(&self) {
        self.shared.queue.room().await;
    }

    /// Opens the queue for records that stay together.
    pub(crate) fn batch(&self) -> Batch<'_> {
        self.shared.queue.open()
    }

    /// Waits until everything is durable that was left with the writer before.
    pub(crate) fn barrier(&self) -> Result<(), Error> {
        let (sender, durable) = std::sync::mpsc::sync_channel(1);
        let told = move |outcome: std::io::Result<Place>| {
            let _ = sender.send(outcome.map(|_| ()));
        };
        self.shared.queue.open().submit(Some(Box::new(told)));
        let closed = || Err(std::io::Error::other("the log is closed"));
        durable.recv().unwrap_or_else(|_| closed()).map_err(Error::io(segment::FOLDER))
    }

    /// Why the log takes nothing more, or why it can't grow at the moment.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        if let Some(Refusal { why, kind }) = self.shared.queue.refuses() {
            let is_full = kind == std::io::ErrorKind::StorageFull;
            return Some(Trouble { why, is_full, may_pass: false });
        }
        self.shared.spares.short().map(|why| Trouble { why, is_full: true, may_pass: true })
    }

    /// From now on a full disk is not waited for: what needs room fails.
    pub(crate) fn lose_patience(&self) {
        self.shared.spares.lose_patience();
    }

    /// The bytes of records from one place on, as far as they follow each other in one segment.
    pub(crate) fn read(&self, from: &Place, bytes: usize) -> Result<Vec<u8>, Error> {
        let path = || segment::path(from.segment);
        let segment = self.shared.segments().get(&from.segment).cloned();
        let gone = || self.damaged(from, "the segment of an entry is gone");
        let mut content = vec![0; bytes];
        let read = segment.ok_or_else(gone)?.file.read_at(from.offset, &mut content);
        content.truncate(read.map_err(Error::io(path()))?);
        Ok(content)
    }

    pub(crate) fn damaged(&self, place: &Place, what: &str) -> Error {
        let segment = segment::path(place.segment);
        Error::Corrupt { segment, offset: place.offset, what: what.to_owned() }
    }

    /// What there is of the log.
    pub(crate) fn extent(&self) -> Extent {
        let segments = self.shared.segments();
        Extent {
            oldest: segments.first_key_value().map_or(0, |(number, _)| *number),
            count: segments.len(),
            bytes: segments.values().map(|segment| segment.bytes).sum(),
        }
    }

    /// Removes the segments before `needed`, but never the one that is written to.
    pub(crate) fn drop_before(&self, needed: u64) -> Result<usize, Error> {
        let mut dropped = 0;
        loop {
            let oldest = {
                let mut segments = self.shared.segments();
                if segments.len() < 2 {
                    return Ok(dropped);
                }
                match segments.first_key_value() {
                    Some((&number, _)) if number < needed => {
                        segments.remove(&number);
                        segment::path(number)
                    }
                    _ => return Ok(dropped),
                }
            };
            // One after the other: a gap between segments would look like damage.
            let removed = self.shared.disk.remove(&oldest);
            removed
                .and_then(|()| self.shared.disk.sync_folder(segment::FOLDER))
                .map_err(Error::io(oldest))?;
            dropped += 1;
        }
    }

    /// Waits until everything that was left with the writer is written, then ends its threads.
    pub(crate) fn close(&self) -> Result<(), Error> {
        if self.shared.queue.is_closing() {
            return Ok(());
        }
        // Nobody knows when there will be room again.
        self.lose_patience();
        let written = self.barrier();
        self.shared.queue.close();
        self.shared.spares.close();
        let threads = std::mem::take(&mut *self.shared.threads());
        for thread in threads {
            if thread.join().is_err() {
                return Err(Error::ThreadDied("log's"));
            }
        }
        written
    }
}

impl WalMetrics {
    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
