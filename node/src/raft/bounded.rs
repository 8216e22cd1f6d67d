//! The log of a group, read in pieces that fit into one message.
//!
//! The library bounds a message by the number of its entries alone. Entries may be large, so what is
//! read for a follower is also bounded by bytes: it ends with the entry that crosses the bound.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

use everlog_raft_store::LogStore;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};

use super::C;

/// Entries that are looked at together while the bytes are counted.
const PIECE_ENTRIES: u64 = 32;
/// What an entry weighs beside its payload.
const ENTRY_BYTES: usize = 64;

#[derive(Clone)]
pub(super) struct Bounded {
    pub(super) log: LogStore,
    pub(super) bytes_max: usize,
}

impl RaftLogReader<C> for Bounded {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<C>>, io::Error> {
        self.log.try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<C>>, io::Error> {
        self.log.read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryOf<C>>, io::Error> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut next = start;
        while next < end {
            let piece = self.log.try_get_log_entries(next..end.min(next + PIECE_ENTRIES)).await?;
            if piece.is_empty() {
                break;
            }
            next += piece.len() as u64;
            for entry in piece {
                bytes += weigh(&entry);
                found.push(entry);
                if bytes >= self.bytes_max {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

impl RaftLogStorage<C> for Bounded {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<C>, io::Error> {
        self.log.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self {
        Self { log: self.log.get_log_reader().await, bytes_max: self.bytes_max }
    }

    async fn save_vote(&mut self, vote: &VoteOf<C>) -> Result<(), io::Error> {
        self.log.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        self.log.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<C>>, io::Error> {
        self.log.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<C>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<C>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.log.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<C>>) -> Result<(), io::Error> {
        self.log.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogIdOf<C>) -> Result<(), io::Error> {
        self.log.purge(upto).await
    }
}

fn weigh(entry: &EntryOf<C>) -> usize {
    ENTRY_BYTES
        + match &entry.payload {
            EntryPayload::Normal(payload) => payload.bytes.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}
