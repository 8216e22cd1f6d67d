//! One group's view of the log, as openraft wants it.
//!
//! Entries are readable as soon as they are appended, durable when the writer says so. The newest stay in
//! memory, with whatever their proposer attached; of older ones only the place is known.
//!
//! Memory and log change together, under the group's lock: records enter the queue in the order in which
//! the group changed, so what a restart finds is a state that the group once was in.

mod entries;

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
    type_config::alias::{EntryOf, LogIdOf, VoteOf},
};

use crate::{
    Error,
    codec::{decode, decode_entry, encode, encode_entry},
    types::Types,
    wal::{
        Batch, Place, Recovered, Wal,
        record::{self, Head, Kind},
    },
};
use entries::Entries;

/// A restart learns what is committed from the log up to so many entries late. The leader knows the rest.
const COMMITTED_HINT_EVERY: u64 = 64;
/// What is read at once from a segment, when older entries are wanted.
const READ_BYTES_MAX: u64 = 1 << 20;
/// Records of other groups between two of ours that are read over rather than skipped.
const READ_GAP_BYTES_MAX: u64 = 64 << 10;

#[derive(Clone)]
pub struct LogStore {
    group: u64,
    wal: Wal,
    log: Arc<Mutex<GroupLog>>,
    /// Set when entries were purged, so that somebody looks for segments that can go.
    purged: Arc<AtomicBool>,
}

struct GroupLog {
    vote: Option<VoteOf<Types>>,
    committed: Option<LogIdOf<Types>>,
    /// What the log itself says of `committed`.
    hinted: u64,
    purged: Option<LogIdOf<Types>>,
    last: Option<LogIdOf<Types>>,
    entries: Entries,
}

impl LogStore {
    pub(crate) fn new(
        group: u64,
        wal: Wal,
        recovered: Recovered,
        purged: Arc<AtomicBool>,
    ) -> Result<LogStore, Error> {
        let damaged = |error: crate::codec::Error| Error::Damaged { group, what: error.to_string() };
        let standing = &recovered.standing;
        let purged_id: Option<LogIdOf<Types>> =
            standing.purged.as_ref().map(|(_, log_id)| decode(log_id)).transpose().map_err(damaged)?;
        let committed: Option<LogIdOf<Types>> =
            standing.committed.as_ref().map(|(_, log_id)| decode(log_id)).transpose().map_err(damaged)?;
        let log = GroupLog {
            vote: standing.vote.as_deref().map(decode).transpose().map_err(damaged)?,
            hinted: committed.map_or(0, |log_id| log_id.index),
            committed,
            purged: purged_id,
            last: purged_id,
            entries: Entries::new(recovered.first(), recovered.entries.into_values()),
        };
        let store = LogStore { group, wal, log: Arc::new(Mutex::new(log)), purged };
        let last_place = store.lock().entries.places().last().copied();
        if let Some(place) = last_place {
            let index = store.lock().entries.end() - 1;
            let last = store.read(index, &[place])?.pop().map(|entry| entry.log_id);
            store.lock().last = last;
        }
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, GroupLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self, kind: Kind, term: u64, index: u64) -> Head {
        Head { group: self.group, kind, term, index }
    }

    /// The index before the first entry and that of the last, as far as there are any.
    pub(crate) fn extent(&self) -> (Option<u64>, Option<u64>) {
        let log = self.lock();
        (log.purged.map(|log_id| log_id.index), log.last.map(|log_id| log_id.index))
    }

    /// The oldest segment that holds an entry of this group, and the bytes of all entries.
    pub(crate) fn needs(&self) -> (Option<u64>, u64) {
        let log = self.lock();
        let written = log.entries.places().filter(|place| place.is_written());
        let oldest = written.map(|place| place.segment).min();
        (oldest, log.entries.places().map(|place| u64::from(place.bytes)).sum())
    }

    /// Copies entries forward that are in an old segment, a piece at a time. False when there are none left.
    ///
    /// The group is locked meanwhile, so that nothing is copied behind its own truncation.
    pub(crate) fn move_from(&self, segment: u64) -> Result<bool, Error> {
        let log = self.lock();
        let mut records = Vec::new();
        let mut bytes = 0;
        for (index, place) in log.entries.numbered().filter(|(_, place)| place.segment == segment) {
            records.push((index, self.wal.read(&place, place.bytes as usize)?));
            bytes += u64::from(place.bytes);
            if bytes >= READ_BYTES_MAX {
                break;
            }
        }
        if records.is_empty() {
            return Ok(false);
        }
        let mut moved = Vec::with_capacity(records.len());
        let mut batch = self.wal.batch();
        for (index, content) in &records {
            let entry = record::read(content).filter(|entry| self.is_entry(entry, *index));
            let entry =
                entry.ok_or_else(|| self.unreadable(&Place { segment, ..Place::default() }, *index))?;
            let head = self.head(Kind::Moved, entry.head.term, *index);
            moved.push((*index, batch.put(&head, |out| out.extend_from_slice(entry.body)) as u32));
        }
        self.wal.metrics().moved.fetch_add(moved.len() as u64, Ordering::Relaxed);
        let shared = self.log.clone();
        batch.submit(Some(Box::new(move |outcome| {
            if let Ok(first) = outcome {
                let mut log = shared.lock().unwrap_or_else(PoisonError::into_inner);
                log.entries.moved(&moved, segment, first);
            }
        })));
        Ok(true)
    }

    /// Lets go of what proposers attached to entries that are applied.
    pub(crate) fn release(&self, applied: u64) {
        self.lock().entries.release(applied);
    }

    /// Lets go of entries that are kept in memory for followers that are close: those read from the disk what
    /// is older than the last checkpoint.
    pub(crate) fn forget(&self) {
        self.lock().entries.evict(0);
    }

    /// Leaves a record with the writer that nobody waits for.
    fn leave(&self, head: &Head, body: &[u8]) {
        let mut batch = self.wal.batch();
        batch.put(head, |out| out.extend_from_slice(body));
        batch.submit(None);
    }

    /// A hint of what is committed, from time to time and never ahead of the entries.
    fn hint(&self, log: &mut GroupLog, batch: &mut Batch<'_>) -> Result<(), io::Error> {
        let Some(committed) = log.committed else { return Ok(()) };
        let is_due = committed.index >= log.hinted + COMMITTED_HINT_EVERY;
        if is_due && log.last.is_some_and(|last| committed.index <= last.index) {
            let body = encode(&committed)?;
            let head = self.head(Kind::Committed, committed.leader_id.term, committed.index);
            batch.put(&head, |out| out.extend_from_slice(&body));
            log.hinted = committed.index;
        }
        Ok(())
    }

    /// Reads entries that follow each other from their places.
    fn read(&self, first: u64, places: &[Place]) -> Result<Vec<EntryOf<Types>>, Error> {
        let mut found = Vec::with_capacity(places.len());
        while found.len() < places.len() {
            let left = &places[found.len()..];
            let (count, bytes) = readable_at_once(left);
            let content = self.wal.read(&left[0], bytes as usize)?;
            for place in &left[..count] {
                let index = first + found.len() as u64;
                let at = (place.offset - left[0].offset) as usize;
                let entry =
                    content.get(at..).and_then(record::read).filter(|entry| self.is_entry(entry, index));
                let entry = entry.ok_or_else(|| self.unreadable(place, index))?;
                let decoded = decode_entry(&entry.head, entry.body);
                found.push(decoded.map_err(|error| self.wal.damaged(place, &error.to_string()))?);
            }
        }
        Ok(found)
    }

    fn is_entry(&self, record: &record::Read<'_>, index: u64) -> bool {
        let is_kind = matches!(record.head.kind, Kind::Entry | Kind::Moved);
        is_kind && (record.head.group, record.head.index) == (self.group, index)
    }

    fn unreadable(&self, place: &Place, index: u64) -> Error {
        self.wal.damaged(place, &format!("entry {index} of group {} is unreadable", self.group))
    }
}

/// How many of these places are worth one read, and its size.
fn readable_at_once(places: &[Place]) -> (usize, u64) {
    let first = places[0];
    let mut end = first.offset + u64::from(first.bytes);
    let mut count = 1;
    for place in &places[1..] {
        let next_end = place.offset + u64::from(place.bytes);
        let is_near = place.segment == first.segment
            && (end..=end + READ_GAP_BYTES_MAX).contains(&place.offset)
            && next_end - first.offset <= READ_BYTES_MAX;
        if !is_near {
            break;
        }
        end = next_end;
        count += 1;
    }
    (count, end - first.offset)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(from) => from + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(to) => to.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        loop {
            let (first, places, cached) = self.lock().entries.get(from, to);
            match self.read(first, &places) {
                Ok(mut found) => {
                    found.extend(cached);
                    return Ok(found);
                }
                // What was purged meanwhile may be gone; that is no damage.
                Err(_) if self.lock().entries.first() > first => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let log = self.lock();
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: log.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        let body = encode(vote)?;
        let (sender, durable) = tokio::sync::oneshot::channel();
        {
            let mut batch = self.wal.batch();
            batch.put(&self.head(Kind::Vote, 0, 0), |out| out.extend_from_slice(&body));
            batch.submit(Some(Box::new(move |outcome| {
                let _ = sender.send(outcome.map(|_| ()));
            })));
        }
        durable.await.map_err(|_| io::Error::other("the log is closed"))??;
        self.lock().vote = Some(*vote);
        Ok(())
    }

    /// Kept in memory. The log hears of it with a later append, and never for its own sake.
    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types>>, io::Error> {
        Ok(self.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.wal.room().await;
        let mut log = self.lock();
        let first = log.entries.end();
        let ticket = log.entries.ticket();
        let mut batch = self.wal.batch();
        for entry in entries {
            let log_id = entry.log_id;
            if log_id.index != log.entries.end() && !log.entries.begin_at(log_id.index) {
                return Err(io::Error::other(format!(
                    "entry {} can't follow entry {} of group {}",
                    log_id.index,
                    log.entries.end().wrapping_sub(1),
                    self.group
                )));
            }
            let mut encoded = Ok(());
            let head = self.head(Kind::Entry, log_id.leader_id.term, log_id.index);
            let bytes = batch.put(&head, |out| encoded = encode_entry(&entry, out));
            encoded?;
            log.entries.push(entry, bytes as u32, ticket);
            log.last = Some(log_id);
        }
        let first = first.max(log.entries.first());
        let count = log.entries.end() - first;
        self.hint(&mut log, &mut batch)?;
        let cached_bytes_max = self.wal.options().cached_bytes_max;
        let shared = self.log.clone();
        batch.submit(Some(Box::new(move |outcome| {
            let outcome = outcome.map(|place| {
                let mut log = shared.lock().unwrap_or_else(PoisonError::into_inner);
                log.entries.written(first, count, place, ticket);
                log.entries.evict(cached_bytes_max);
            });
            callback.io_completed(outcome);
        })));
        Ok(())
    }

    /// Not waited for: whatever is appended next becomes durable after this, and if nothing does, nobody
    /// was told that the entries are gone.
    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index + 1);
        let mut log = self.lock();
        if from < log.entries.end() {
            log.entries.truncate(from);
            log.last = last.or(log.purged);
            self.leave(&self.head(Kind::Truncate, 0, from), &[]);
        }
        Ok(())
    }

    /// Not waited for: entries that come back after a power cut are purged again.
    async fn purge(&mut self, log_id: LogIdOf<Types>) -> Result<(), io::Error> {
        let body = encode(&log_id)?;
        let mut log = self.lock();
        if log.purged.is_some_and(|purged| purged.index >= log_id.index) {
            return Ok(());
        }
        log.entries.purge(log_id.index + 1);
        log.purged = Some(log_id);
        if log.last.is_none_or(|last| last.index <= log_id.index) {
            log.last = Some(log_id);
        }
        self.leave(&self.head(Kind::Purge, log_id.leader_id.term, log_id.index), &body);
        self.purged.store(true, Ordering::Release);
        Ok(())
    }
}
