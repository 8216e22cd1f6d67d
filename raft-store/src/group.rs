//! One group's view of the log, as openraft wants it.
//!
//! Entries are readable as soon as they are appended, durable when the writer says so. The newest stay in
//! memory, with whatever their proposer attached; older ones are read from their segment.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bincode::Options as _;
use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
    type_config::alias::{EntryOf, LogIdOf, VoteOf},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    types::Types,
    wal::{Append, Location, Recovered, Wal, record::Kind},
};

/// Bytes of entries that a group keeps in memory besides those that are not durable yet.
const CACHED_BYTES_MAX: usize = 8 << 20;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, io::Error> {
    codec().serialize(value).map_err(io::Error::other)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, io::Error> {
    codec().deserialize(bytes).map_err(io::Error::other)
}

fn codec() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes()
}

#[derive(Clone)]
pub struct LogStore {
    group: u64,
    wal: Wal,
    log: Arc<Mutex<GroupLog>>,
    /// Called when entries were purged, so that segments can go.
    purged: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct GroupLog {
    vote: Option<VoteOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    entries: BTreeMap<u64, Slot>,
    cached_bytes: usize,
    /// Entries below this index are not in memory.
    cached_from: u64,
}

struct Slot {
    log_id: Option<LogIdOf<Types>>,
    entry: Option<EntryOf<Types>>,
    location: Option<Location>,
    bytes: usize,
}

impl LogStore {
    pub(crate) fn new(
        group: u64,
        wal: Wal,
        recovered: Recovered,
        purged: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<LogStore, io::Error> {
        let mut log = GroupLog {
            vote: recovered.vote.map(|vote| decode(&vote)).transpose()?,
            purged: recovered.purged.map(|(_, log_id)| decode(&log_id)).transpose()?,
            ..GroupLog::default()
        };
        for (index, location) in recovered.entries {
            let slot = Slot { log_id: None, entry: None, location: Some(location), bytes: 0 };
            log.entries.insert(index, slot);
            log.cached_from = index + 1;
        }
        let store = LogStore { group, wal, log: Arc::new(Mutex::new(log)), purged };
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, GroupLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index up to which entries are gone.
    pub(crate) fn purged_index(&self) -> Option<u64> {
        self.lock().purged.map(|log_id| log_id.index)
    }

    fn read(&self, location: &Location) -> Result<EntryOf<Types>, io::Error> {
        decode(&self.wal.read(location)?)
    }

    /// Leaves a record that is waited for.
    async fn write(&self, kind: Kind, index: u64, body: Vec<u8>) -> Result<(), io::Error> {
        let (sender, durable) = tokio::sync::oneshot::channel();
        self.wal.append(Append {
            group: self.group,
            kind,
            term: 0,
            index,
            body,
            done: Some(Box::new(move |outcome| {
                let _ = sender.send(outcome.map(|_| ()));
            })),
        });
        durable.await.map_err(|_| io::Error::other("the log is closed"))?
    }
}

impl GroupLog {
    fn last_log_id(&self) -> Option<LogIdOf<Types>> {
        self.entries.values().next_back().map_or(self.purged, |slot| slot.log_id)
    }

    fn written(&mut self, index: u64, location: Option<Location>) {
        if let Some(slot) = self.entries.get_mut(&index) {
            slot.location = location;
        }
        while self.cached_bytes > CACHED_BYTES_MAX {
            let Some((index, slot)) = self.entries.range_mut(self.cached_from..).next() else { break };
            if slot.location.is_none() {
                break;
            }
            self.cached_bytes -= slot.bytes;
            slot.entry = None;
            self.cached_from = *index + 1;
        }
    }

    fn forget(&mut self, gone: BTreeMap<u64, Slot>) {
        let cached = gone.values().filter(|slot| slot.entry.is_some());
        self.cached_bytes -= cached.map(|slot| slot.bytes).sum::<usize>();
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let mut found = Vec::new();
        let mut absent = Vec::new();
        {
            let log = self.lock();
            for (at, slot) in log.entries.range(range).map(|(_, slot)| slot).enumerate() {
                match (&slot.entry, &slot.location) {
                    (Some(entry), _) => found.push(Some(entry.clone())),
                    (None, Some(location)) => {
                        found.push(None);
                        absent.push((at, *location));
                    }
                    (None, None) => {
                        return Err(io::Error::other("an entry is neither in memory nor in the log"));
                    }
                }
            }
        }
        for (at, location) in absent {
            found[at] = Some(self.read(&location)?);
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let unread = {
            let log = self.lock();
            let last = log.entries.iter().next_back();
            last.filter(|(_, slot)| slot.log_id.is_none()).and_then(|(i, slot)| Some((*i, slot.location?)))
        };
        if let Some((index, location)) = unread {
            let log_id = self.read(&location)?.log_id;
            if let Some(slot) = self.lock().entries.get_mut(&index) {
                slot.log_id = Some(log_id);
            }
        }
        let log = self.lock();
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: log.last_log_id() })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        self.write(Kind::Vote, 0, encode(vote)?).await?;
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut callback = Some(callback);
        let mut entries = entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let body = encode(&entry)?;
            let log_id = entry.log_id;
            let bytes = body.len();
            {
                let mut log = self.lock();
                let slot = Slot { log_id: Some(log_id), entry: Some(entry), location: None, bytes };
                log.entries.insert(log_id.index, slot);
                log.cached_bytes += bytes;
            }
            let last = if entries.peek().is_none() { callback.take() } else { None };
            let log = self.log.clone();
            self.wal.append(Append {
                group: self.group,
                kind: Kind::Entry,
                term: log_id.leader_id.term,
                index: log_id.index,
                body,
                done: Some(Box::new(move |outcome| {
                    let outcome = outcome.map(|location| {
                        log.lock().unwrap_or_else(PoisonError::into_inner).written(log_id.index, location);
                    });
                    if let Some(callback) = last {
                        callback.io_completed(outcome);
                    }
                })),
            });
        }
        if let Some(callback) = callback {
            callback.io_completed(Ok(()));
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let keep = last.map_or(0, |last| last.index + 1);
        {
            let mut log = self.lock();
            let gone = log.entries.split_off(&keep);
            log.forget(gone);
            log.cached_from = log.cached_from.min(keep);
        }
        // An index before the first says that nothing is kept.
        self.write(Kind::Truncate, keep.wrapping_sub(1), Vec::new()).await
    }

    async fn purge(&mut self, log_id: LogIdOf<Types>) -> Result<(), io::Error> {
        {
            let mut log = self.lock();
            let kept = log.entries.split_off(&(log_id.index + 1));
            let gone = std::mem::replace(&mut log.entries, kept);
            log.forget(gone);
            log.purged = Some(log_id);
        }
        // Not waited for: entries that come back after a power cut are purged again.
        self.wal.append(Append {
            group: self.group,
            kind: Kind::Purge,
            term: 0,
            index: log_id.index,
            body: encode(&log_id)?,
            done: None,
        });
        (self.purged)();
        Ok(())
    }
}
