//! What a shard sees of its surroundings: the applied tables and the limits in force.

use std::sync::Arc;

use everlog_engine::{
    execution::Execution,
    fact::Event,
    key::{RunKey, WorkflowKey},
    limits::Limits,
    rows::{self, Kind},
    schedule::{
        self,
        state::{ScheduleKey, ScheduleState},
    },
    shard::World,
    standalone::{self, Standalone, StandaloneKey, StandaloneRun},
    time::Time,
};
use everlog_raft_store::Tables;

use crate::machine;

/// The limits of a namespace, by its id.
pub type LimitsOf = Arc<dyn Fn(&str) -> Arc<Limits> + Send + Sync>;

#[derive(Clone)]
pub struct NodeWorld {
    pub tables: Tables,
    pub limits: LimitsOf,
}

impl World for NodeWorld {
    fn limits(&self, namespace_id: &str) -> Arc<Limits> {
        (self.limits)(namespace_id)
    }

    fn current(&self, workflow: &WorkflowKey) -> Option<String> {
        machine::text_of(self.tables.get(&rows::current_key(workflow))?)
    }

    fn execution(&self, run: &RunKey) -> Option<Arc<Execution>> {
        let value = self.tables.get(&rows::execution_key(run))?;
        machine::execution_of(value).inspect_err(|error| tracing::error!(?run, %error, "unreadable run")).ok()
    }

    fn history(&self, run: &RunKey, from: i64) -> Vec<Event> {
        // The row that holds the first event may begin before it.
        let first = self
            .tables
            .scan_back(rows::history_key(run, 0), rows::history_key(run, from.saturating_add(1)))
            .next()
            .map_or_else(|| rows::history_key(run, from), |(key, _)| key);
        let rows = self.tables.scan(first, rows::history_key(run, i64::MAX));
        rows.flat_map(|(_, row)| {
            let events = rows::events_of(&row.to_bytes(), from);
            events
                .inspect_err(|error| tracing::error!(?run, %error, "unreadable history"))
                .unwrap_or_default()
        })
        .collect()
    }

    fn first_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let rows = self.tables.scan(rows::wake_time_key(slot, from), rows::kind_end(slot, Kind::Wake));
        rows.take(1).find_map(|(key, _)| rows::parse_wake(&key)).map(|(time, _)| time)
    }

    fn due(&self, slot: u16, until: Time, most: usize) -> Vec<RunKey> {
        let to = rows::wake_time_key(slot, Time(until.0 + 1));
        let rows = self.tables.scan(rows::kind_start(slot, Kind::Wake), to);
        rows.take(most).filter_map(|(key, _)| rows::parse_wake(&key)).map(|(_, run)| run).collect()
    }

    fn owing(&self, slot: u16, after: Option<&RunKey>, most: usize) -> Vec<RunKey> {
        let rows = self.tables.scan(rows::owed_after(slot, after), rows::kind_end(slot, Kind::Owed));
        rows.take(most).filter_map(|(key, _)| rows::parse_run_row(&key)).collect()
    }

    fn schedule(&self, key: &ScheduleKey) -> Option<Arc<ScheduleState>> {
        let value = self.tables.get(&schedule::rows::state_key(key))?;
        let state = ScheduleState::decode(&value.to_bytes());
        state.inspect_err(|error| tracing::error!(?key, %error, "unreadable schedule")).ok().map(Arc::new)
    }

    fn first_schedule_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let from = schedule::rows::wake_time_key(slot, from);
        let mut rows = self.tables.scan(from, rows::kind_end(slot, Kind::ScheduleWake));
        rows.next().and_then(|(key, _)| schedule::rows::parse_wake(&key)).map(|(time, _)| time)
    }

    fn due_schedules(&self, slot: u16, until: Time, most: usize) -> Vec<ScheduleKey> {
        let to = schedule::rows::wake_time_key(slot, Time(until.0.saturating_add(1)));
        let rows = self.tables.scan(rows::kind_start(slot, Kind::ScheduleWake), to);
        rows.take(most).filter_map(|(key, _)| schedule::rows::parse_wake(&key)).map(|(_, key)| key).collect()
    }

    fn standalone_current(&self, key: &StandaloneKey) -> Option<String> {
        machine::text_of(self.tables.get(&standalone::rows::current_key(key))?)
    }

    fn standalone(&self, run: &StandaloneRun) -> Option<Arc<Standalone>> {
        let value = self.tables.get(&standalone::rows::state_key(run))?;
        let state = machine::standalone_of(value);
        state.inspect_err(|error| tracing::error!(?run, %error, "unreadable state")).ok()
    }

    fn first_standalone_wake(&self, slot: u16, from: Time) -> Option<Time> {
        let from = standalone::rows::wake_time_key(slot, from);
        let mut rows = self.tables.scan(from, rows::kind_end(slot, Kind::StandaloneWake));
        rows.next().and_then(|(key, _)| standalone::rows::parse_wake(&key)).map(|(time, _)| time)
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
        let rows = self.tables.scan(from, to);
        rows.take(most).filter_map(|(key, _)| standalone::rows::parse_wake(&key)).collect()
    }
}
