//! Giving back what the log does not need any more.
//!
//! A segment can go when no group needs an entry of it, and what is not purged is needed. A group that is
//! seldom written would so keep the oldest segment for ever, and all that came after it. So when the log is
//! several times larger than what is needed of it, the needed entries of the oldest segment are copied to
//! the end.

use std::sync::atomic::Ordering;

use super::Inner;
use crate::{Error, group::LogStore};

/// Segments are emptied by copying when the log is so many times larger than what is needed of it.
const WASTE_FACTOR: u64 = 4;

impl Inner {
    /// Removes segments, if entries were purged since the last time or somebody wants it.
    pub(super) fn tidy(&self, is_wanted: bool) {
        if is_wanted {
            self.groups().values().for_each(LogStore::forget);
        }
        if !self.purged.swap(false, Ordering::AcqRel) && !is_wanted {
            return;
        }
        if let Err(error) = self.drop_segments().and_then(|()| self.empty_segments()) {
            tracing::warn!(%error, "the log could not be made smaller");
        }
    }

    fn drop_segments(&self) -> Result<(), Error> {
        let needs = self.needs();
        // That entries were purged must be durable before they go, or they would be missed.
        if !cfg!(planted = "early_purge") {
            self.wal.barrier()?;
        }
        self.wal.drop_before(needs.oldest)?;
        Ok(())
    }

    fn empty_segments(&self) -> Result<(), Error> {
        loop {
            let (extent, needs) = (self.wal.extent(), self.needs());
            let is_wasteful = extent.bytes > WASTE_FACTOR * needs.bytes;
            if extent.count <= self.wal.options().segments_min || !is_wasteful || needs.oldest < extent.oldest
            {
                return Ok(());
            }
            let logs: Vec<LogStore> = self.groups().values().cloned().collect();
            for log in logs {
                while log.move_from(extent.oldest)? {
                    self.wal.barrier()?;
                }
            }
            if self.needs().oldest <= extent.oldest {
                // A group that nobody has opened.
                return Ok(());
            }
            self.drop_segments()?;
        }
    }

    fn needs(&self) -> Needs {
        let durable = self.tables.durable();
        let mut needs = Needs { oldest: u64::MAX, bytes: 0 };
        for (group, log) in &*self.groups() {
            let (oldest, bytes) = log.needs();
            needs.add(oldest, bytes);
            if log.extent().0 > durable.get(group).copied() {
                // What was purged is not durable in the tables: it may be asked for again after a restart.
                needs.oldest = 0;
            }
        }
        for recovered in self.recovered().values() {
            let oldest = recovered.entries.values().map(|place| place.segment).min();
            needs.add(oldest, recovered.entries.values().map(|place| u64::from(place.bytes)).sum());
        }
        needs
    }
}

/// What is needed of the log.
struct Needs {
    oldest: u64,
    bytes: u64,
}

impl Needs {
    fn add(&mut self, oldest: Option<u64>, bytes: u64) {
        self.oldest = self.oldest.min(oldest.unwrap_or(u64::MAX));
        self.bytes += bytes;
    }
}
