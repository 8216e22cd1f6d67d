//! The one writer of the log.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use super::{
    Shared, WalMetrics, WalOptions,
    record::{self, BEGUN, Header, Kind},
    segment::{self, Location, SEGMENT_HEADER_BYTES, Segment},
};

/// Told once, in order: the record is durable, or never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<Option<Location>, io::Error>) + Send>;

pub(crate) struct Append {
    pub(crate) group: u64,
    pub(crate) kind: Kind,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) body: Vec<u8>,
    /// Called as soon as the record is written; it may not be durable yet.
    pub(crate) done: Option<Done>,
}

/// Where the writer begins.
pub(crate) struct Start {
    pub(crate) segment: Option<(u64, Arc<Segment>, u64)>,
    pub(crate) chains: BTreeMap<u64, u64>,
    pub(crate) votes: BTreeMap<u64, Vec<u8>>,
    pub(crate) purged: BTreeMap<u64, (u64, Vec<u8>)>,
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Append>,
    closing: bool,
    ended: bool,
    /// Set for ever when a write or sync failed.
    poisoned: Option<String>,
}

impl Queue {
    pub(crate) fn push(&self, append: Append) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &state.poisoned {
            let error = poisoned(why);
            drop(state);
            finish(append, Err(error));
            return;
        }
        if state.closing {
            drop(state);
            finish(append, Err(io::Error::other("the log is closed")));
            return;
        }
        state.waiting.push_back(append);
        drop(state);
        self.filled.notify_one();
    }

    pub(crate) fn close(&self) -> Result<(), io::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closing = true;
        self.filled.notify_one();
        while !state.ended {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match &state.poisoned {
            Some(why) => Err(poisoned(why)),
            None => Ok(()),
        }
    }

    /// Waits for something to write; none when the log is being closed and all is written.
    fn take(&self, bytes_max: usize) -> Option<Vec<Append>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting.is_empty() {
            if state.closing {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut bytes = 0;
        let mut taken = Vec::with_capacity(state.waiting.len());
        while let Some(next) = state.waiting.front() {
            let size = next.body.len() + record::HEADER_BYTES;
            if bytes > 0 && bytes + size > bytes_max {
                break;
            }
            bytes += size;
            taken.extend(state.waiting.pop_front());
        }
        Some(taken)
    }

    fn poison(&self, why: &io::Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.poisoned = Some(why.to_string());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for append in waiting {
            finish(append, Err(poisoned(&why.to_string())));
        }
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        self.emptied.notify_all();
    }
}

fn poisoned(why: &str) -> io::Error {
    io::Error::other(format!("the log failed earlier and takes nothing more: {why}"))
}

fn finish(append: Append, outcome: Result<Option<Location>, io::Error>) {
    if let Some(done) = append.done {
        done(outcome);
    }
}

pub(crate) fn start(shared: Arc<Shared>, options: WalOptions, start: Start) {
    let mut writer = Writer {
        shared,
        options,
        current: start.segment,
        chains: start.chains,
        votes: start.votes,
        purged: start.purged,
        buffer: Vec::new(),
    };
    thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer.run())
        .expect("a thread can be started when the node starts");
}

struct Writer {
    shared: Arc<Shared>,
    options: WalOptions,
    /// The segment that is written to, and where it goes on.
    current: Option<(u64, Arc<Segment>, u64)>,
    chains: BTreeMap<u64, u64>,
    votes: BTreeMap<u64, Vec<u8>>,
    purged: BTreeMap<u64, (u64, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(&mut self) {
        while let Some(batch) = self.shared.queue.take(self.options.batch_bytes_max) {
            match self.write(&batch) {
                Ok(locations) => {
                    for (append, location) in batch.into_iter().zip(locations) {
                        finish(append, Ok(location));
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be written; this node takes no more entries");
                    self.shared.queue.poison(&error);
                    for append in batch {
                        finish(append, Err(poisoned(&error.to_string())));
                    }
                }
            }
        }
        self.shared.queue.end();
    }

    /// Writes a batch once and syncs once.
    fn write(&mut self, batch: &[Append]) -> io::Result<Vec<Option<Location>>> {
        let bytes: usize = batch.iter().map(|append| append.body.len() + record::HEADER_BYTES).sum();
        let fits = self.current.as_ref().is_some_and(|(_, segment, at)| at + bytes as u64 <= segment.bytes);
        if !fits {
            self.roll(bytes as u64)?;
        }
        let Some((number, segment, at)) = self.current.clone() else {
            return Err(io::Error::other("there is no segment to write to"));
        };
        self.buffer.clear();
        let mut locations = Vec::with_capacity(batch.len());
        for append in batch {
            let offset = at + self.buffer.len() as u64;
            self.put(append.group, append.kind, append.term, append.index, &append.body, at);
            let bytes = (at + self.buffer.len() as u64 - offset) as u32;
            let is_entry = append.kind == Kind::Entry;
            locations.push(is_entry.then_some(Location { segment: number, offset, bytes }));
        }
        segment.file.write_at(at, &self.buffer)?;
        sync(&segment)?;
        let mut last = segment.last_index.lock().unwrap_or_else(PoisonError::into_inner);
        for append in batch.iter().filter(|append| append.kind == Kind::Entry) {
            last.insert(append.group, append.index);
        }
        drop(last);
        self.current = Some((number, segment, at + self.buffer.len() as u64));
        let metrics = &self.shared.metrics;
        WalMetrics::add(&metrics.records, batch.len() as u64);
        WalMetrics::add(&metrics.batches, 1);
        WalMetrics::add(&metrics.syncs, 1);
        WalMetrics::add(&metrics.bytes, self.buffer.len() as u64);
        Ok(locations)
    }

    fn put(&mut self, group: u64, kind: Kind, term: u64, index: u64, body: &[u8], batch: u64) {
        let chain = self.chains.get(&group).copied().unwrap_or_default();
        let header = Header { group, kind, term, index, chain, batch };
        let next = record::write(&mut self.buffer, &header, body);
        match kind {
            Kind::Begin => return,
            Kind::Vote => {
                self.votes.insert(group, body.to_vec());
            }
            Kind::Purge => {
                self.purged.insert(group, (index, body.to_vec()));
            }
            Kind::Entry | Kind::Truncate => {}
        }
        self.chains.insert(group, next);
    }

    /// Begins a new segment with where every group stands, so that older segments can go.
    fn roll(&mut self, bytes: u64) -> io::Result<()> {
        let number = self.current.as_ref().map_or(1, |(number, _, _)| number + 1);
        let standing = self.votes.values().map(|vote| vote.len() + record::HEADER_BYTES).sum::<usize>()
            + self.purged.values().map(|(_, body)| body.len() + record::HEADER_BYTES).sum::<usize>()
            + (self.chains.len() + 1) * record::HEADER_BYTES;
        let needed = SEGMENT_HEADER_BYTES + standing as u64 + bytes;
        let segment = segment::create(&*self.shared.disk, number, self.options.segment_bytes.max(needed))?;
        let segment = Arc::new(segment);
        self.buffer.clear();
        let at = SEGMENT_HEADER_BYTES;
        for (group, chain) in self.chains.clone() {
            let header = Header { group, kind: Kind::Begin, term: 0, index: 0, chain, batch: at };
            record::write(&mut self.buffer, &header, &[]);
        }
        for (group, vote) in self.votes.clone() {
            self.put(group, Kind::Vote, 0, 0, &vote, at);
        }
        for (group, (index, body)) in self.purged.clone() {
            self.put(group, Kind::Purge, 0, index, &body, at);
        }
        let begun = Header { group: BEGUN, kind: Kind::Begin, term: 0, index: 0, chain: 0, batch: at };
        record::write(&mut self.buffer, &begun, &[]);
        segment.file.write_at(at, &self.buffer)?;
        sync(&segment)?;
        WalMetrics::add(&self.shared.metrics.syncs, 1);
        let end = at + self.buffer.len() as u64;
        self.shared.segments.lock().unwrap_or_else(PoisonError::into_inner).insert(number, segment.clone());
        self.current = Some((number, segment, end));
        Ok(())
    }
}

/// The sync that everything rests on. A planted bug leaves it out, and the power-cut test must notice.
fn sync(segment: &Segment) -> io::Result<()> {
    if cfg!(planted = "no_sync") {
        return Ok(());
    }
    segment.file.sync_data()
}
