//! Durable bytes for the many Raft groups of one node.
//!
//! Two things are kept. The *log* ([`wal`]) is ours: one append-only sequence of segments for all groups,
//! written and synced once for everybody who waits. What was acknowledged is in it. The *tables*
//! ([`table`]) are what committed entries were folded into: ordered rows, in memory until a checkpoint
//! moves them to sled. They can always be rebuilt from the log, so they are never on the path of an
//! answer.
//!
//! This crate does not know what the bytes mean. It hands committed payloads to a [`Machine`] and writes
//! the rows that the machine names.

mod codec;
pub mod disk;
mod group;
mod keys;
mod snapshot;
mod state;
mod store;
pub mod table;
#[cfg(test)]
mod tests;
mod types;
mod wal;

use std::sync::Arc;

pub use group::LogStore;
pub use snapshot::{SnapshotData, SnapshotWriter};
pub use state::{SnapshotBuilder, StateMachine};
pub use store::{Options, Store, StoreMetrics};
pub use table::{Batch, Deferred, KeyRange, Tables, Value, checkpoint::CheckpointOptions};
pub use types::{Machine, Member, Payload, Types};
pub use wal::WalOptions;

/// Why the store cannot go on, or cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("another process uses the data folder {0}")]
    Locked(String),
    /// A record that was once good is not readable any more. Nothing is cut: the node must not vote as if
    /// it knew what it lost.
    #[error("the log is damaged: segment {segment} at byte {offset}: {what}")]
    Corrupt { segment: String, offset: u64, what: String },
    /// Entries that must be there are not.
    #[error(
        "the log is damaged: group {group} has lost entry {index}, which was committed or is followed by others"
    )]
    Missing { group: u64, index: u64 },
    /// What the log says of a group can't be read by this release.
    #[error("the log of group {group} holds {what}")]
    Damaged { group: u64, what: String },
    #[error("the tables are damaged: {0}")]
    Tables(String),
    /// The log has them, so nothing is lost: the next start begins with them.
    #[error("the last changes could not be moved to the tables' file: {0}")]
    Checkpoint(Arc<Error>),
    #[error("a snapshot was not read for too long; it has to be asked for again")]
    SnapshotGone,
    #[error("the store is closed")]
    Closed,
    #[error("the {0} thread died")]
    ThreadDied(&'static str),
    #[error("group {0} is open already")]
    GroupOpen(u64),
}

impl Error {
    pub(crate) fn io(path: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |error| Error::Io { path, error }
    }

    /// Whether it is only room on the disk that is missing.
    pub fn is_full(&self) -> bool {
        match self {
            Error::Io { error, .. } => disk::is_full(error),
            Error::Checkpoint(error) => error.is_full(),
            _ => false,
        }
    }
}

/// Why an open store doesn't do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub why: String,
    /// Room is missing on the disk.
    pub is_full: bool,
    /// It passes when somebody has made room. Otherwise only a new start can tell what the disk holds.
    pub may_pass: bool,
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        match error {
            Error::Io { path, error } => std::io::Error::new(error.kind(), format!("{path}: {error}")),
            other => std::io::Error::other(other),
        }
    }
}
