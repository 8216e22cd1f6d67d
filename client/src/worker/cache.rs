//! The runs that a thread remembers.
//!
//! The one that was used longest ago goes first. A run that is in the middle of a task stays. Dropping a
//! run leaves no trace in its history; it only means a replay when its next task comes.

use std::collections::{BTreeMap, HashMap};

use everlog_proto::api::query::v1::WorkflowQuery;

use crate::replay::run::Run;

pub(super) struct Cache {
    runs: HashMap<String, Entry>,
    by_use: BTreeMap<u64, String>,
    next_use: u64,
    runs_max: usize,
}

pub(super) struct Entry {
    pub(super) run: Run,
    /// Queries to be answered at the end of the task in hand.
    pub(super) queries: Vec<(String, WorkflowQuery)>,
    /// In the middle of a task.
    pub(super) busy: bool,
    used: u64,
}

impl Cache {
    pub(super) fn new(runs_max: usize) -> Self {
        Self { runs: HashMap::new(), by_use: BTreeMap::new(), next_use: 0, runs_max }
    }

    /// Takes a run out, to work on it.
    pub(super) fn take(&mut self, run_id: &str) -> Option<Entry> {
        let entry = self.runs.remove(run_id)?;
        self.by_use.remove(&entry.used);
        Some(entry)
    }

    /// Puts a run back, as the last one used.
    pub(super) fn put(
        &mut self,
        run_id: String,
        run: Run,
        queries: Vec<(String, WorkflowQuery)>,
        busy: bool,
    ) {
        self.next_use += 1;
        let used = self.next_use;
        self.by_use.insert(used, run_id.clone());
        self.runs.insert(run_id, Entry { run, queries, busy, used });
        self.evict();
    }

    fn evict(&mut self) {
        let over = self.runs.len().saturating_sub(self.runs_max);
        let idle = self.by_use.iter().filter(|(_, id)| self.runs.get(*id).is_some_and(|entry| !entry.busy));
        let victims: Vec<_> = idle.take(over).map(|(used, id)| (*used, id.clone())).collect();
        for (used, run_id) in victims {
            self.by_use.remove(&used);
            self.runs.remove(&run_id);
        }
    }
}
