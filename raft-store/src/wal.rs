//! The log of all groups: one sequence of segments, one writer, one sync for everybody who waits.
//!
//! Whoever appends leaves the encoded record with the writer and goes on. The writer takes all that has
//! come in, writes it once, syncs once, and then tells everyone in order. While the disk syncs, the next
//! batch gathers: the slower the disk, the larger the batches.
//!
//! After a failed write or sync nobody can say what the disk holds, so the log is closed for ever
//! ("poisoned") and every further append fails. The process ends and starts again from what is there.

mod open;
pub mod record;
mod segment;
mod writer;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use open::open;
pub(crate) use segment::{Location, Segment};
pub(crate) use writer::Append;

use crate::{Error, disk::Disk};

/// What the log has done so far, for `/metrics` and for tests that count.
#[derive(Debug, Default)]
pub struct WalMetrics {
    pub records: AtomicU64,
    pub batches: AtomicU64,
    pub syncs: AtomicU64,
    pub bytes: AtomicU64,
}

impl WalMetrics {
    fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// How the log is cut and gathered.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// A segment is preallocated with so many bytes; a larger batch makes a larger segment.
    pub segment_bytes: u64,
    /// The most that is written and synced at once.
    pub batch_bytes_max: usize,
}

impl Default for WalOptions {
    fn default() -> WalOptions {
        WalOptions { segment_bytes: 64 << 20, batch_bytes_max: 16 << 20 }
    }
}

/// What is found of a group when the log is opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) chain: u64,
    pub(crate) vote: Option<Vec<u8>>,
    /// The body of the last purge record: the log id up to which entries are gone.
    pub(crate) purged: Option<(u64, Vec<u8>)>,
    /// By index: where the entry is.
    pub(crate) entries: BTreeMap<u64, Location>,
}

/// A cheap handle to the log.
#[derive(Clone)]
pub struct Wal {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    pub(crate) metrics: Arc<WalMetrics>,
    queue: writer::Queue,
}

impl Wal {
    pub fn metrics(&self) -> Arc<WalMetrics> {
        self.shared.metrics.clone()
    }

    /// Leaves a record with the writer. `done` hears when it is durable, or that it never will be.
    pub(crate) fn append(&self, append: Append) {
        self.shared.queue.push(append);
    }

    /// The body of an entry's record.
    pub(crate) fn read(&self, location: &Location) -> Result<Vec<u8>, Error> {
        let segments = self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = segments.get(&location.segment).cloned();
        drop(segments);
        let lost = |what: &str| Error::Corrupt {
            segment: segment::name(location.segment),
            offset: location.offset,
            what: what.to_owned(),
        };
        let segment = segment.ok_or_else(|| lost("the segment is gone"))?;
        let mut bytes = vec![0; location.bytes as usize];
        let read = segment
            .file
            .read_at(location.offset, &mut bytes)
            .map_err(Error::io(segment::name(location.segment)))?;
        match record::read(&bytes[..read]) {
            Some(record) => Ok(record.body.to_vec()),
            None => Err(lost("an entry is not readable any more")),
        }
    }

    /// Removes segments in which no group needs anything: all their entries are at or below what the
    /// group has purged and what its tables hold durably.
    pub(crate) fn drop_segments(&self, keep_from: &BTreeMap<u64, u64>) -> Result<usize, Error> {
        let mut segments = self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let active = segments.keys().next_back().copied();
        let mut dropped = 0;
        while let Some((number, segment)) = segments.first_key_value().map(|(n, s)| (*n, s.clone())) {
            let last = segment.last_index.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let needed =
                last.iter().any(|(group, last)| keep_from.get(group).is_none_or(|from| from <= last));
            if Some(number) == active || needed {
                break;
            }
            let name = segment::name(number);
            self.shared.disk.remove(&name).map_err(Error::io(name))?;
            segments.remove(&number);
            dropped += 1;
        }
        if dropped > 0 {
            self.shared.disk.sync_dir().map_err(Error::io("log folder"))?;
        }
        Ok(dropped)
    }

    /// Waits until everything that was left with the writer is durable, then ends it.
    pub fn close(&self) -> Result<(), io::Error> {
        self.shared.queue.close()
    }
}
