//! What waits to be written.
//!
//! Whoever appends copies its records into one buffer, in order, and leaves one callback for all of them.
//! The writer takes the buffer as a whole and writes it as it is, so a record is copied once and costs no
//! allocation of its own.

use std::{
    io,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    record::{self, Head},
    segment::Place,
};

/// Told once, in order: the records are durable and the first of them is here, or they never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<Place, io::Error>) + Send>;

/// Records that one caller left together.
pub(crate) struct Waiter {
    /// Where its first record begins in the buffer.
    pub(crate) at: usize,
    pub(crate) done: Done,
}

#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) records: Vec<u8>,
    pub(crate) count: u64,
    pub(crate) waiters: Vec<Waiter>,
}

impl Waiting {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.count = 0;
        self.waiters.clear();
    }

    /// Tells all that their records will not be durable.
    pub(crate) fn fail(&mut self, why: &Refusal) {
        for waiter in self.waiters.drain(..) {
            (waiter.done)(Err(why.error()));
        }
        self.clear();
    }
}

/// Why the log takes nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: io::ErrorKind,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn closed() -> Refusal {
        Refusal { kind: io::ErrorKind::Other, why: "it is closed".to_owned() }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.kind, format!("the log takes nothing more: {}", self.why))
    }
}

impl From<&io::Error> for Refusal {
    fn from(error: &io::Error) -> Refusal {
        Refusal { kind: error.kind(), why: error.to_string() }
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// Woken when the writer has taken what waited.
    taken: Notify,
    bytes_max: usize,
    is_full: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    writer_sleeps: bool,
    /// The writer goes on when so many bytes wait.
    writer_wants_bytes: usize,
    closing: bool,
    /// Set for ever when a write or sync failed, or the log is closed.
    refuses: Option<Refusal>,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Queue {
        Queue { bytes_max, ..Queue::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while too much waits already. Callers that only leave a few bytes need not ask.
    pub(crate) async fn room(&self) {
        while self.is_full.load(Ordering::Acquire) {
            let taken = self.taken.notified();
            tokio::pin!(taken);
            taken.as_mut().enable();
            if self.is_full.load(Ordering::Acquire) {
                taken.await;
            }
        }
    }

    /// Opens the queue for records that stay together and in order.
    pub(crate) fn open(&self) -> Batch<'_> {
        let state = self.lock();
        let (at, count) = (state.waiting.records.len(), state.waiting.count);
        Batch { queue: self, state, at, count, is_submitted: false }
    }

    /// Takes what waits, in exchange for an empty buffer; false when the log is being closed and all is
    /// written. After a large write it waits a moment for as much again, because those who were just
    /// told are about to come back.
    pub(crate) fn take(&self, into: &mut Waiting, wanted_bytes: usize, patience: Duration) -> bool {
        let mut state = self.lock();
        state.writer_wants_bytes = 0;
        while state.waiting.records.is_empty() && state.waiting.waiters.is_empty() {
            if state.closing {
                return false;
            }
            state.writer_sleeps = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + patience;
        while state.waiting.records.len() < wanted_bytes && !state.closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.writer_sleeps = true;
            state.writer_wants_bytes = wanted_bytes;
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.writer_sleeps = false;
        std::mem::swap(&mut state.waiting, into);
        self.is_full.store(false, Ordering::Release);
        drop(state);
        self.taken.notify_waiters();
        true
    }

    /// Refuses everything from now on, and what waits already.
    pub(crate) fn refuse(&self, why: &Refusal) {
        let mut waiting = {
            let mut state = self.lock();
            state.refuses.get_or_insert_with(|| why.clone());
            self.is_full.store(false, Ordering::Release);
            std::mem::take(&mut state.waiting)
        };
        self.taken.notify_waiters();
        waiting.fail(why);
    }

    /// Lets the writer end when it has written what waits.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    pub(crate) fn refuses(&self) -> Option<Refusal> {
        self.lock().refuses.clone()
    }
}

/// Records on their way into the queue. Nobody else's come in between, and none stay that are not submitted.
pub(crate) struct Batch<'a> {
    queue: &'a Queue,
    state: MutexGuard<'a, State>,
    at: usize,
    count: u64,
    is_submitted: bool,
}

impl Batch<'_> {
    /// Adds a record whose body `fill` writes, and returns its size.
    pub(crate) fn put(&mut self, head: &Head, fill: impl FnOnce(&mut Vec<u8>)) -> usize {
        let waiting = &mut self.state.waiting;
        let start = record::begin(&mut waiting.records, head);
        fill(&mut waiting.records);
        waiting.count += 1;
        record::end(&mut waiting.records, start)
    }

    /// Leaves the records with the writer.
    pub(crate) fn submit(mut self, done: Option<Done>) {
        let refusal = match &self.state.refuses {
            Some(why) => Some(why.clone()),
            None => self.state.closing.then(Refusal::closed),
        };
        if let Some(why) = refusal {
            drop(self);
            if let Some(done) = done {
                done(Err(why.error()));
            }
            return;
        }
        self.is_submitted = true;
        let at = self.at;
        self.state.waiting.waiters.extend(done.map(|done| Waiter { at, done }));
        let bytes = self.state.waiting.records.len();
        if bytes >= self.queue.bytes_max {
            self.queue.is_full.store(true, Ordering::Release);
        }
        let wakes = self.state.writer_sleeps && bytes >= self.state.writer_wants_bytes;
        if wakes {
            self.state.writer_sleeps = false;
        }
        let queue = self.queue;
        drop(self);
        if wakes {
            queue.filled.notify_one();
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.is_submitted {
            self.state.waiting.records.truncate(self.at);
            self.state.waiting.count = self.count;
        }
    }
}
