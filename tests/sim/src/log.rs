//! A replicated log that keeps Raft's promises and no more.
//!
//! What is committed stays, in one order, for everybody. What is proposed may be committed late, may be
//! committed although its proposer was deposed meanwhile, or may vanish with its leader; the proposer
//! learns which of it late or never. A proposal is appended only by the leader of exactly its term. The
//! rules by which leaders come and go are in [`crate::raft`]; here is what they act on.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use everlog_engine::{
    fact::Entry,
    key::{RunKey, WorkflowKey},
    testing::MemoryTables,
    time::Time,
};

/// Which shell proposed something: a restarted node is another shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposer {
    pub node: usize,
    pub life: u64,
    pub proposal: u64,
}

/// An entry in the log of the leader, not committed yet.
#[derive(Clone, Debug)]
pub struct Pending {
    pub record: Record,
    pub ready_at: Time,
    /// The leader could reach others when it appended this: a successor may have it.
    pub reached_others: bool,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub term: u64,
    /// None for the entry that opens a term.
    pub change: Option<Proposed>,
}

#[derive(Clone, Debug)]
pub struct Proposed {
    pub by: Proposer,
    pub bytes: Arc<Vec<u8>>,
    /// What the proposer computed; only its own apply makes use of it.
    pub entry: Arc<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    Committed,
    Lost,
}

#[derive(Default)]
pub struct Log {
    pub term: u64,
    pub leader: Option<usize>,
    pub pending: VecDeque<Pending>,
    pub committed: Vec<Record>,
    /// The fold of everything committed, ahead of every node.
    pub truth: MemoryTables,
    /// Digests of the tables at some indexes, to compare members with each other.
    pub digests: BTreeMap<usize, u64>,
    /// Runs that are open in `truth`, by workflow.
    pub open: BTreeMap<WorkflowKey, RunKey>,
    pub open_runs: usize,
    /// All runs in the order in which they began.
    pub begun: Vec<RunKey>,
}

impl Log {
    pub fn fate(&self, by: Proposer) -> Fate {
        let is = |record: &Record| record.change.as_ref().is_some_and(|change| change.by == by);
        if self.pending.iter().any(|pending| is(&pending.record)) {
            Fate::Open
        } else if self.committed.iter().rev().any(is) {
            Fate::Committed
        } else {
            Fate::Lost
        }
    }
}
