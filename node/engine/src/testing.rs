//! A world in memory: tables as a sorted map and a log that commits at once or when told to.
//!
//! Stories and the simulation run the real shard on it. It is compiled for tests only (feature
//! `testing`), and it is as strict as the real thing: an apply checks versions and folds the encoded
//! entry, so that what a replica computes is compared with what the leader prepared.

mod story;

use std::{collections::BTreeMap, sync::Arc};

pub use story::{Story, check, check_with};

use crate::{
    codec::CodecError,
    execution::Execution,
    fact::{Change, Entry, Event},
    key::{RunKey, WorkflowKey},
    limits::Limits,
    rows::{self, ApplyError, Kind, Rows},
    schedule::{
        self,
        state::{ScheduleKey, ScheduleState},
    },
    shard::World,
    standalone::{self, Standalone, StandaloneKey, StandaloneRun},
    time::Time,
};

/// The applied state of one shard.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub limits: Arc<Limits>,
}

impl MemoryTables {
    /// Applies an entry as a replica does, from its bytes, and compares the outcome with what the leader
    /// prepared.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), ApplyError> {
        let replica = Entry::decode(&entry.encode())?;
        for (ours, theirs) in replica.changes.iter().zip(&entry.changes) {
            let folded = rows::apply(self, ours)?;
            if let Some(prepared) = &theirs.prepared {
                assert_eq!(&folded, prepared, "the fold of {:?} differs from the prepared state", ours.run);
            }
        }
        for (ours, theirs) in replica.schedules.iter().zip(&entry.schedules) {
            let folded = schedule::rows::apply(self, ours)?;
            if let Some(prepared) = &theirs.prepared {
                assert_eq!(&folded, prepared, "the fold of {:?} differs from the prepared state", ours.key);
            }
        }
        for (ours, theirs) in replica.standalone.iter().zip(&entry.standalone) {
            let folded = standalone::rows::apply(self, ours)?;
            if let Some(prepared) = &theirs.prepared {
                assert_eq!(&folded, prepared, "the fold of {:?} differs from the prepared state", ours.run);
            }
        }
        Ok(())
    }

    pub fn apply_change(&mut self, change: &Change) -> Result<Arc<Execution>, ApplyError> {
        rows::apply(self, change)
    }

    pub fn history(&self, run: &RunKey) -> Vec<everlog_proto::api::history::v1::HistoryEvent> {
        let from = rows::history_key(run, 0);
        let to = rows::history_key(run, i64::MAX);
        let bytes: Vec<u8> = self.rows.range(from..to).flat_map(|(_, value)| value.clone()).collect();
        rows::decode_history(&bytes).map(|history| history.events).unwrap_or_default()
    }

    pub fn executions(&self) -> Vec<Execution> {
        self.rows
            .iter()
            .filter(|(key, _)| rows::is_execution(key))
            .filter_map(|(_, value)| Execution::decode(value).ok())
            .collect()
    }

    /// All rows, for comparing replicas byte by byte.
    pub fn rows(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.rows
    }

    fn range(&self, from: Vec<u8>, to: Vec<u8>) -> impl Iterator<Item = &Vec<u8>> {
        self.rows.range(from..to).map(|(key, _)| key)
    }
}

impl Rows for MemoryTables {
    fn execution(&self, run: &RunKey) -> Result<Option<Arc<Execution>>, CodecError> {
        self.rows
            .get(&rows::execution_key(run))
            .map(|bytes| Execution::decode(bytes).map(Arc::new))
            .transpose()
    }

    fn current(&self, workflow: &WorkflowKey) -> Option<String> {
        self.rows.get(&rows::current_key(workflow)).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(key).cloned()
    }

    fn put_execution(&mut self, key: Vec<u8>, execution: Arc<Execution>) {
        self.rows.insert(key, execution.encode());
    }

    fn standalone(&self, run: &StandaloneRun) -> Result<Option<Arc<Standalone>>, CodecError> {
        let bytes = self.rows.get(&standalone::rows::state_key(run));
        bytes.map(|bytes| Standalone::decode(bytes).map(Arc::new)).transpose()
    }

    fn put_standalone(&mut self, key: Vec<u8>, state: Arc<Standalone>) {
        self.rows.insert(key, state.encode());
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.insert(key, value);
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.rows.remove(&key);
    }

    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        let keys: Vec<Vec<u8>> = self.range(from, to).cloned().collect();
        for key in keys {
            self.rows.remove(&key);
        }
    }
}

impl World for MemoryTables {
    fn limits(&self, _: &str) -> Arc<Limits> {
        self.limits.clone()
    }

    fn current(&self, workflow: &WorkflowKey) -> Option<String> {
        Rows::current(self, workflow)
    }

    fn execution(&self, run: &RunKey) -> Option<Arc<Execution>> {
        Rows::execution(self, run).ok().flatten()
    }

    fn history(&self, run: &RunKey, from: i64) -> Vec<Event> {
        let keys = rows::history_key(run, 0)..rows::history_key(run, i64::MAX);
        self.rows.range(keys).flat_map(|(_, row)| rows::events_of(row, from).unwrap_or_default()).collect()
    }

    fn first_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let mut keys = self.range(rows::wake_time_key(slot, from), rows::kind_end(slot, Kind::Wake));
        keys.next().and_then(|key| rows::parse_wake(key)).map(|(time, _)| time)
    }

    fn due(&self, slot: u16, until: Time, most: usize) -> Vec<RunKey> {
        let to = rows::wake_time_key(slot, Time(until.0 + 1));
        let keys = self.range(rows::kind_start(slot, Kind::Wake), to);
        keys.take(most).filter_map(|key| rows::parse_wake(key)).map(|(_, run)| run).collect()
    }

    fn owing(&self, slot: u16, after: Option<&RunKey>, most: usize) -> Vec<RunKey> {
        let keys = self.range(rows::owed_after(slot, after), rows::kind_end(slot, Kind::Owed));
        keys.take(most).filter_map(|key| rows::parse_run_row(key)).collect()
    }

    fn schedule(&self, key: &ScheduleKey) -> Option<Arc<ScheduleState>> {
        let bytes = self.rows.get(&schedule::rows::state_key(key))?;
        ScheduleState::decode(bytes).ok().map(Arc::new)
    }

    fn first_schedule_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let from = schedule::rows::wake_time_key(slot, from);
        let mut keys = self.range(from, rows::kind_end(slot, Kind::ScheduleWake));
        keys.next().and_then(|key| schedule::rows::parse_wake(key)).map(|(time, _)| time)
    }

    fn due_schedules(&self, slot: u16, until: Time, most: usize) -> Vec<ScheduleKey> {
        let to = schedule::rows::wake_time_key(slot, Time(until.0 + 1));
        let keys = self.range(rows::kind_start(slot, Kind::ScheduleWake), to);
        keys.take(most).filter_map(|key| schedule::rows::parse_wake(key)).map(|(_, key)| key).collect()
    }

    fn standalone_current(&self, key: &StandaloneKey) -> Option<String> {
        let bytes = self.rows.get(&standalone::rows::current_key(key))?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn standalone(&self, run: &StandaloneRun) -> Option<Arc<Standalone>> {
        Rows::standalone(self, run).ok().flatten()
    }

    fn first_standalone_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let from = standalone::rows::wake_time_key(slot, from);
        let mut keys = self.range(from, rows::kind_end(slot, Kind::StandaloneWake));
        keys.next().and_then(|key| standalone::rows::parse_wake(key)).map(|(time, _)| time)
    }

    fn due_standalone(
        &self,
        slot: u16,
        after: Option<&(Time, StandaloneRun)>,
        until: Time,
        most: usize,
    ) -> Vec<(Time, StandaloneRun)> {
        let from = standalone::rows::due_from(slot, after);
        let to = standalone::rows::wake_time_key(slot, Time(until.0.saturating_add(1)));
        if from >= to {
            return Vec::new();
        }
        self.range(from, to).take(most).filter_map(|key| standalone::rows::parse_wake(key)).collect()
    }
}
