//! How they lie in the tables: the latest run by id, the state by run, a wake-up by time, a row for lists.
//!
//! There is no row for tasks that are owed: the wake-up of an attempt that waits for a worker lies at the
//! moment from which it may be handed out, so a new leader finds it among what is due.

use std::sync::Arc;

use super::{
    fact::{StandaloneChange, evolve_change},
    key::{Kind as StandaloneKind, StandaloneKey, StandaloneRun},
    list,
    state::Standalone,
};
use crate::{
    key::WorkflowKey,
    rows::{self, ApplyError, Kind, Rows},
    time::Time,
};

/// Applies one committed change. A wrong version is a bug, and the caller must stop the shard.
pub fn apply(rows: &mut impl Rows, change: &StandaloneChange) -> Result<Arc<Standalone>, ApplyError> {
    let before = rows.standalone(&change.run)?;
    let found = before.as_ref().map_or(0, |state| state.version);
    if found != change.version {
        return Err(ApplyError::StandaloneVersion {
            run: change.run.clone(),
            expected: change.version,
            found,
        });
    }
    let after = match &change.prepared {
        Some(prepared) => prepared.clone(),
        None => {
            let fresh = || Standalone::fresh(change.run.clone());
            let mut state = before.as_deref().cloned().unwrap_or_else(fresh);
            evolve_change(&mut state, change);
            Arc::new(state)
        }
    };
    let current = current_key(&change.run.key());
    if before.is_none() {
        rows.put(current.clone(), change.run.run.run_id.as_bytes().to_vec());
    }
    let before = before.as_deref();
    rows::replace(rows, before.and_then(wake_row), wake_row(&after));
    if !before.is_some_and(|before| list::is_same(before, &after)) {
        rows::replace(rows, before.and_then(list_row), list_row(&after));
    }
    let key = state_key(&change.run);
    if after.deleted {
        if rows.get(&current).as_deref() == Some(change.run.run.run_id.as_bytes()) {
            rows.delete(current);
        }
        rows.delete(key);
    } else {
        rows.put_standalone(key, after.clone());
    }
    Ok(after)
}

/// The key under which a run is found when it is due.
pub fn wake_row(state: &Standalone) -> Option<rows::Row> {
    Some((wake_key(state.wake_row()?, &state.run), Vec::new()))
}

/// Key and value of the row in lists.
pub fn list_row(state: &Standalone) -> Option<rows::Row> {
    let row = (!state.deleted).then(|| list::row(state))?;
    let mut key = list_start(state.run.slot(), state.run.kind, &state.run.run.workflow.namespace_id);
    key.extend(row.sort_key());
    Some((key, row.encode()))
}

pub fn current_key(key: &StandaloneKey) -> Vec<u8> {
    let mut bytes = kind_start(key.slot(), Kind::StandaloneCurrent, key.kind);
    push(&mut bytes, &key.named);
    bytes
}

pub fn state_key(run: &StandaloneRun) -> Vec<u8> {
    let mut bytes = kind_start(run.slot(), Kind::Standalone, run.kind);
    push_run(&mut bytes, run);
    bytes
}

/// Whether a key is that of a state.
pub fn is_state(key: &[u8]) -> bool {
    key.get(2) == Some(&(Kind::Standalone as u8))
}

/// Rows of one slot in the order in which they fall due begin here.
pub fn wakes_start(slot: u16) -> Vec<u8> {
    rows::kind_start(slot, Kind::StandaloneWake)
}

/// Rows due at `at` or later begin here.
pub fn wake_time_key(slot: u16, at: Time) -> Vec<u8> {
    let mut bytes = wakes_start(slot);
    bytes.extend((at.0 as u64 ^ (1 << 63)).to_be_bytes());
    bytes
}

pub fn wake_key(at: Time, run: &StandaloneRun) -> Vec<u8> {
    let mut bytes = wake_time_key(run.slot(), at);
    bytes.push(run.kind.letter());
    push_run(&mut bytes, run);
    bytes
}

/// Where the rows behind this one begin; without one, where all of a slot do.
pub fn due_from(slot: u16, after: Option<&(Time, StandaloneRun)>) -> Vec<u8> {
    let Some((at, run)) = after else { return wakes_start(slot) };
    let mut key = wake_key(*at, run);
    key.push(0);
    key
}

/// When and whom a wake row wakes.
pub fn parse_wake(key: &[u8]) -> Option<(Time, StandaloneRun)> {
    const TIME_AT: usize = 3;
    let (time, rest) = key.get(TIME_AT..)?.split_first_chunk::<8>()?;
    let (letter, rest) = rest.split_first()?;
    let kind = StandaloneKind::of_letter(*letter)?;
    let (namespace_id, rest) = rows::take_text(rest)?;
    let (id, rest) = rows::take_text(rest)?;
    let (run_id, _) = rows::take_text(rest)?;
    let time = Time((u64::from_be_bytes(*time) ^ (1 << 63)) as i64);
    Some((time, StandaloneKey::new(kind, namespace_id, id).run(run_id)))
}

/// Rows of a namespace in list order lie between this prefix and its successor.
pub fn list_start(slot: u16, kind: StandaloneKind, namespace_id: &str) -> Vec<u8> {
    let mut bytes = kind_start(slot, Kind::StandaloneList, kind);
    rows::push_text(&mut bytes, namespace_id);
    bytes
}

fn kind_start(slot: u16, row: Kind, kind: StandaloneKind) -> Vec<u8> {
    let mut bytes = rows::kind_start(slot, row);
    bytes.push(kind.letter());
    bytes
}

fn push_run(bytes: &mut Vec<u8>, run: &StandaloneRun) {
    push(bytes, &run.run.workflow);
    rows::push_text(bytes, &run.run.run_id);
}

fn push(bytes: &mut Vec<u8>, named: &WorkflowKey) {
    rows::push_text(bytes, &named.namespace_id);
    rows::push_text(bytes, &named.workflow_id);
}
