//! How schedules lie in the tables: the state by id, a wake-up by time, a row for lists.

use std::sync::Arc;

use super::{
    fact::{ScheduleChange, evolve_change},
    list,
    state::{ScheduleKey, ScheduleState},
};
use crate::{
    rows::{self, ApplyError, Kind, Rows},
    time::Time,
};

/// Applies one committed change. A wrong version is a bug, and the caller must stop the shard.
pub fn apply(rows: &mut impl Rows, change: &ScheduleChange) -> Result<Arc<ScheduleState>, ApplyError> {
    let key = state_key(&change.key);
    let before = rows.get(&key).map(|bytes| ScheduleState::decode(&bytes)).transpose()?;
    let found = before.as_ref().map_or(0, |state| state.version);
    if found != change.version {
        return Err(ApplyError::ScheduleVersion { key: change.key.clone(), expected: change.version, found });
    }
    let after = match &change.prepared {
        Some(prepared) => prepared.clone(),
        None => {
            let mut state = before.clone().unwrap_or_else(|| ScheduleState::fresh(change.key.clone()));
            evolve_change(&mut state, change);
            Arc::new(state)
        }
    };
    let before = before.as_ref();
    let wake = |state: &ScheduleState| Some((wake_row(state)?, Vec::new()));
    rows::replace(rows, before.and_then(wake), wake(&after));
    rows::replace(rows, before.and_then(list_row), list_row(&after));
    if after.forgotten {
        rows.delete(key);
    } else {
        rows.put(key, after.encode());
    }
    Ok(after)
}

/// The key under which a schedule is found when it is due.
pub fn wake_row(state: &ScheduleState) -> Option<Vec<u8>> {
    state.wake_row().map(|at| wake_key(at, &state.key))
}

/// Key and value of the row in lists.
pub fn list_row(state: &ScheduleState) -> Option<rows::Row> {
    let row = state.is_open().then(|| list::row(state))?;
    Some((list_key(&state.key, &row), row.encode()))
}

pub fn state_key(key: &ScheduleKey) -> Vec<u8> {
    let mut bytes = rows::kind_start(key.slot(), Kind::Schedule);
    push(&mut bytes, key);
    bytes
}

fn wake_key(at: Time, key: &ScheduleKey) -> Vec<u8> {
    let mut bytes = wake_time_key(key.slot(), at);
    push(&mut bytes, key);
    bytes
}

/// Rows due at `at` or later begin here.
pub fn wake_time_key(slot: u16, at: Time) -> Vec<u8> {
    let mut bytes = rows::kind_start(slot, Kind::ScheduleWake);
    bytes.extend((at.0 as u64 ^ (1 << 63)).to_be_bytes());
    bytes
}

/// When and whom a wake row wakes.
pub fn parse_wake(key: &[u8]) -> Option<(Time, ScheduleKey)> {
    const TIME_AT: usize = 3;
    let (time, rest) = key.get(TIME_AT..)?.split_first_chunk::<8>()?;
    let (namespace_id, rest) = rows::take_text(rest)?;
    let (schedule_id, _) = rows::take_text(rest)?;
    let time = Time((u64::from_be_bytes(*time) ^ (1 << 63)) as i64);
    Some((time, ScheduleKey::new(namespace_id, schedule_id)))
}

/// Rows of a namespace's schedules in list order lie between this prefix and its successor.
pub fn list_start(slot: u16, namespace_id: &str) -> Vec<u8> {
    let mut bytes = rows::kind_start(slot, Kind::ScheduleList);
    rows::push_text(&mut bytes, namespace_id);
    bytes
}

fn list_key(key: &ScheduleKey, row: &crate::visibility::Row) -> Vec<u8> {
    let mut bytes = list_start(key.slot(), key.namespace_id());
    bytes.extend(row.sort_key());
    bytes
}

fn push(bytes: &mut Vec<u8>, key: &ScheduleKey) {
    rows::push_text(bytes, key.namespace_id());
    rows::push_text(bytes, key.schedule_id());
}
