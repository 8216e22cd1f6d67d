//! How runs lie in the tables: which rows a change writes, under which keys.
//!
//! The slot leads every key, so slots can move to another shard without rewriting; what lists read is kept
//! by the block of slots instead (`key::block`). All rows of a change are written in the same apply: a list, a
//! wake-up and a history never disagree. Keys carry lengths, so no id can run into its neighbour.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::{
    codec::{self, CodecError},
    evolve::evolve_change,
    execution::Execution,
    fact::{Change, Event, Fact},
    key::{RunKey, WorkflowKey},
    planted,
    schedule::state::ScheduleKey,
    standalone::{Standalone, StandaloneRun},
    time::Time,
    todo,
    visibility::{Row as ListRow, index},
};

pub const EXECUTION_KIND: u8 = b'X';
const EXECUTION_VERSION: u8 = 1;

/// What a row is, as the byte that follows the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Workflow id to its latest run.
    Current = b'C',
    /// The state of a run.
    Execution = b'X',
    /// Events of a run, one row a change.
    History = b'H',
    /// Runs in list order, by what lists often ask for.
    Index = b'I',
    /// The row of a schedule in lists, in list order.
    ScheduleList = b'L',
    /// How many runs there are.
    Tally = b'N',
    /// Runs that owe tasks: what a new leader looks at first.
    Owed = b'O',
    /// The state of a schedule.
    Schedule = b'S',
    /// Schedules by the time at which something falls due.
    ScheduleWake = b'T',
    /// The row of a run in lists, in list order.
    Visibility = b'V',
    /// Runs by the time at which something falls due.
    Wake = b'W',
    // In lower case the same of what runs on its own.
    /// Id to its latest run.
    StandaloneCurrent = b'c',
    /// Rows in lists, in list order.
    StandaloneList = b'v',
    /// By the time at which something falls due.
    StandaloneWake = b'w',
    /// States.
    Standalone = b'x',
}

/// Tables as an apply sees them: reads include its own writes.
pub trait Rows {
    fn execution(&self, run: &RunKey) -> Result<Option<Arc<Execution>>, CodecError>;
    fn current(&self, workflow: &WorkflowKey) -> Option<String>;
    /// Any other row.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    fn put_execution(&mut self, key: Vec<u8>, execution: Arc<Execution>);
    fn standalone(&self, run: &StandaloneRun) -> Result<Option<Arc<Standalone>>, CodecError>;
    fn put_standalone(&mut self, key: Vec<u8>, state: Arc<Standalone>);
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);
    /// Puts a row that is not there: if it goes soon, it leaves no trace.
    fn put_new(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.put(key, value);
    }
    fn delete(&mut self, key: Vec<u8>);
    fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>);
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("change of {run:?} follows version {expected}, the run is at {found}")]
    Version { run: RunKey, expected: u64, found: u64 },
    #[error("change of {key:?} follows version {expected}, the schedule is at {found}")]
    ScheduleVersion { key: ScheduleKey, expected: u64, found: u64 },
    #[error("change of {run:?} follows version {expected}, it is at {found}")]
    StandaloneVersion { run: StandaloneRun, expected: u64, found: u64 },
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// A row in the place of another.
pub(crate) fn replace(rows: &mut impl Rows, old: Option<Row>, new: Option<Row>) {
    if old == new {
        return;
    }
    if let Some((old, _)) = old
        && new.as_ref().map(|(new, _)| new) != Some(&old)
    {
        rows.delete(old);
    }
    if let Some((new, value)) = new {
        rows.put(new, value);
    }
}

/// Applies one committed change. A wrong version is a bug, and the caller must stop the shard.
pub fn apply(rows: &mut impl Rows, change: &Change) -> Result<Arc<Execution>, ApplyError> {
    let before = rows.execution(&change.run)?;
    let found = before.as_ref().map_or(0, |execution| execution.version);
    if found != change.version {
        return Err(ApplyError::Version { run: change.run.clone(), expected: change.version, found });
    }
    let after = match &change.prepared {
        Some(prepared) => prepared.clone(),
        None => {
            let mut execution = before.as_deref().cloned().unwrap_or_default();
            evolve_change(&mut execution, change);
            if planted::is("replica_differs") {
                execution.signal_count = 0;
            }
            Arc::new(execution)
        }
    };
    if after.deleted {
        delete(rows, before.as_deref(), &after)?;
    } else {
        write(rows, before.as_deref(), &after, change)?;
    }
    Ok(after)
}

fn write(
    rows: &mut impl Rows,
    before: Option<&Execution>,
    after: &Arc<Execution>,
    change: &Change,
) -> Result<(), CodecError> {
    let run = &change.run;
    if before.is_none() {
        rows.put(current_key(&run.workflow), run.run_id.as_bytes().to_vec());
    }
    let events: Vec<&Event> = change.facts.iter().filter_map(event_of).collect();
    for events in in_rows(&events) {
        rows.put(history_key(run, events[0].event.event_id), history_bytes(events));
    }
    let owed = (before.is_some_and(todo::owes), todo::owes(after));
    match owed {
        (false, true) if !planted::is("owed_row_missing") => {
            rows.put_new(run_row(Kind::Owed, run), Vec::new())
        }
        (true, false) => rows.delete(run_row(Kind::Owed, run)),
        _ => {}
    }
    let wakes = (before.and_then(todo::wake_at), todo::wake_at(after));
    if wakes.0 != wakes.1 {
        if let Some(old) = wakes.0 {
            rows.delete(wake_key(old, run));
        }
        if let Some(new) = wakes.1
            && !planted::is("wake_row_missing")
        {
            rows.put_new(wake_key(new, run), Vec::new());
        }
    }
    if !before.is_some_and(|before| ListRow::is_same(before, after)) {
        let old = before.map(ListRow::of);
        index::replace(rows, run.workflow.slot(), old.as_ref(), Some(&ListRow::of(after)))?;
    }
    rows.put_execution(run_row(Kind::Execution, run), after.clone());
    Ok(())
}

fn delete(rows: &mut impl Rows, before: Option<&Execution>, after: &Execution) -> Result<(), CodecError> {
    let run = after.key();
    if rows.current(&run.workflow).as_deref() == Some(&*run.run_id) {
        rows.delete(current_key(&run.workflow));
    }
    rows.delete(run_row(Kind::Execution, run));
    rows.delete_range(history_key(run, 0), history_key(run, i64::MAX));
    rows.delete(run_row(Kind::Owed, run));
    if let Some(before) = before {
        if let Some(wake) = todo::wake_at(before) {
            rows.delete(wake_key(wake, run));
        }
        index::replace(rows, run.workflow.slot(), Some(&ListRow::of(before)), None)?;
    }
    Ok(())
}

fn event_of(fact: &Fact) -> Option<&Event> {
    match fact {
        Fact::Event(event) | Fact::Flushed(event) => Some(event),
        Fact::Record(_) => None,
    }
}

/// A row of a history is read as a whole, so it ends with the event that crosses this bound. Only a reset
/// writes so many events at once.
const HISTORY_ROW_BYTES_MAX: usize = 1 << 20;

/// The events of one change as rows.
fn in_rows<'a>(events: &'a [&'a Event]) -> impl Iterator<Item = &'a [&'a Event]> {
    let mut bytes = 0;
    events.chunk_by(move |before, _| {
        bytes += before.bytes.len();
        let fits = bytes < HISTORY_ROW_BYTES_MAX;
        bytes = if fits { bytes } else { 0 };
        fits
    })
}

/// Events as the API's `History` message has them: rows put end to end are a `History` again.
fn history_bytes(events: &[&Event]) -> Vec<u8> {
    const EVENTS_FIELD: u8 = 1 << 3 | 2;
    let mut bytes = Vec::with_capacity(events.iter().map(|event| event.bytes.len() + 6).sum());
    for event in events {
        bytes.push(EVENTS_FIELD);
        prost::encoding::encode_varint(event.bytes.len() as u64, &mut bytes);
        bytes.extend_from_slice(&event.bytes);
    }
    bytes
}

/// The events of history rows, put end to end.
pub fn decode_history(bytes: &[u8]) -> Result<everlog_proto::api::history::v1::History, prost::DecodeError> {
    everlog_proto::api::history::v1::History::decode(bytes)
}

/// The events of a history row from an id on, each with its bytes as they were written.
pub fn events_of(mut row: &[u8], from: i64) -> Result<Vec<Event>, prost::DecodeError> {
    let mut events = Vec::new();
    while !row.is_empty() {
        let whole = row;
        prost::encoding::decode_key(&mut row)?;
        let length = prost::encoding::decode_varint(&mut row)? as usize;
        let Some((bytes, rest)) = row.split_at_checked(length) else {
            // Cut short, which this says in its own words.
            return decode_history(whole).map(|_| events);
        };
        row = rest;
        let event = Event::of_bytes(Bytes::copy_from_slice(bytes))?;
        if event.event.event_id >= from {
            events.push(event);
        }
    }
    Ok(events)
}

impl Execution {
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(EXECUTION_KIND, EXECUTION_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Execution, CodecError> {
        codec::decode(EXECUTION_KIND, EXECUTION_VERSION, bytes)
    }
}

/// All keys of a slot lie in `slot_start(slot)..slot_start(slot + 1)`.
pub fn slot_start(slot: u16) -> Vec<u8> {
    slot.to_be_bytes().to_vec()
}

pub fn kind_start(slot: u16, kind: Kind) -> Vec<u8> {
    let mut key = slot_start(slot);
    key.push(kind as u8);
    key
}

/// The end of all keys of a kind in a slot.
pub fn kind_end(slot: u16, kind: Kind) -> Vec<u8> {
    let mut key = slot_start(slot);
    key.push(kind as u8 + 1);
    key
}

pub fn current_key(workflow: &WorkflowKey) -> Vec<u8> {
    let mut key = kind_start(workflow.slot(), Kind::Current);
    push_workflow(&mut key, workflow);
    key
}

/// The rows of runs that owe tasks begin here, or behind that of a run.
pub fn owed_after(slot: u16, run: Option<&RunKey>) -> Vec<u8> {
    let behind = |run| {
        let mut key = run_row(Kind::Owed, run);
        key.push(0);
        key
    };
    run.map_or_else(|| kind_start(slot, Kind::Owed), behind)
}

/// Whether a key is that of a run's state.
pub fn is_execution(key: &[u8]) -> bool {
    key.get(2) == Some(&(Kind::Execution as u8))
}

pub fn execution_key(run: &RunKey) -> Vec<u8> {
    run_row(Kind::Execution, run)
}

pub fn history_key(run: &RunKey, first_event_id: i64) -> Vec<u8> {
    let mut key = run_row(Kind::History, run);
    key.extend(first_event_id.to_be_bytes());
    key
}

/// The first event id of a history row.
pub fn history_first_event(key: &[u8]) -> Option<i64> {
    let at = key.len().checked_sub(size_of::<i64>())?;
    key[at..].try_into().ok().map(i64::from_be_bytes)
}

pub fn wake_key(at: Time, run: &RunKey) -> Vec<u8> {
    let mut key = wake_time_key(run.workflow.slot(), at);
    push_run(&mut key, run);
    key
}

/// Rows due at `at` or later begin here.
pub fn wake_time_key(slot: u16, at: Time) -> Vec<u8> {
    let mut key = kind_start(slot, Kind::Wake);
    key.extend((at.0 as u64 ^ (1 << 63)).to_be_bytes());
    key
}

/// When and whom a wake row wakes.
pub fn parse_wake(key: &[u8]) -> Option<(Time, RunKey)> {
    const TIME_AT: usize = 3;
    let time = key.get(TIME_AT..TIME_AT + 8)?.try_into().ok().map(u64::from_be_bytes)?;
    Some((Time((time ^ (1 << 63)) as i64), parse_run(&key[TIME_AT + 8..])?))
}

/// The run that an Owed or Execution row belongs to.
pub fn parse_run_row(key: &[u8]) -> Option<RunKey> {
    parse_run(key.get(3..)?)
}

/// The states of all runs of a workflow lie behind this.
pub fn executions_start(workflow: &WorkflowKey) -> Vec<u8> {
    let mut key = kind_start(workflow.slot(), Kind::Execution);
    push_workflow(&mut key, workflow);
    key
}

/// What lies behind all keys that begin like this.
pub fn end_of(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

fn run_row(kind: Kind, run: &RunKey) -> Vec<u8> {
    let mut key = kind_start(run.workflow.slot(), kind);
    push_run(&mut key, run);
    key
}

fn push_run(key: &mut Vec<u8>, run: &RunKey) {
    push_workflow(key, &run.workflow);
    push_text(key, &run.run_id);
}

fn push_workflow(key: &mut Vec<u8>, workflow: &WorkflowKey) {
    push_text(key, &workflow.namespace_id);
    push_text(key, &workflow.workflow_id);
}

pub(crate) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend((text.len() as u16).to_be_bytes());
    key.extend(text.as_bytes());
}

fn parse_run(mut bytes: &[u8]) -> Option<RunKey> {
    let mut text = || {
        let (text, rest) = take_text(bytes)?;
        bytes = rest;
        Some(text)
    };
    let (namespace_id, workflow_id, run_id) = (text()?, text()?, text()?);
    Some(WorkflowKey::new(namespace_id, workflow_id).run(run_id))
}

/// A text that [`push_text`] wrote, and what follows it.
pub(crate) fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}
