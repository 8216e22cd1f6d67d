//! The next segment, made before it is needed.
//!
//! Filling a segment takes far longer than a write may wait, so a thread of its own does it while the
//! current segment is still half empty. It is also the reserve for a full disk: when no further segment can
//! be made, the log goes on in the spare, says that it is short, and tries again until there is room.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::segment::{self, Segment};
use crate::disk::{self, Disk};

/// The first segment is small: a node starts often, and soon.
const FIRST_SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// How often a full disk is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Spares {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: Option<Segment>,
    next: u64,
    is_wanted: bool,
    /// Why no segment can be made for the time being.
    short: Option<String>,
    /// Why none will ever be made again.
    failed: Option<Failure>,
    /// A full disk is waited for.
    is_patient: bool,
    is_closing: bool,
}

impl State {
    fn has_work(&self) -> bool {
        self.is_wanted && self.failed.is_none()
    }
}

/// An error that several are told of.
struct Failure {
    kind: io::ErrorKind,
    why: String,
}

impl Failure {
    fn full(why: String) -> Failure {
        Failure { kind: io::ErrorKind::StorageFull, why }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.why.clone())
    }
}

impl Spares {
    /// `ready` is a spare that was found, `next` the number of the one after it.
    pub(crate) fn new(ready: Option<Segment>, next: u64) -> Spares {
        let (short, failed, is_wanted) = (None, None, false);
        let state = State { ready, next, is_wanted, short, failed, is_patient: true, is_closing: false };
        Spares { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a spare without waiting for it.
    pub(crate) fn want(&self) {
        let mut state = self.lock();
        if state.ready.is_none() && !state.is_wanted {
            state.is_wanted = true;
            self.changed.notify_all();
        }
    }

    /// Waits for the spare: for as long as the disk is full, if it must be.
    pub(crate) fn take(&self) -> io::Result<Segment> {
        self.want();
        let mut state = self.lock();
        loop {
            if let Some(ready) = state.ready.take() {
                return Ok(ready);
            }
            if let Some(failure) = &state.failed {
                return Err(failure.error());
            }
            if state.is_closing {
                return Err(io::Error::other("the log is closed"));
            }
            state = self.wait(state);
        }
    }

    /// Why the log can't grow, if it can't.
    pub(crate) fn short(&self) -> Option<String> {
        self.lock().short.clone()
    }

    /// Who waits for room waits no longer, and nobody will again.
    pub(crate) fn lose_patience(&self) {
        let mut state = self.lock();
        state.is_patient = false;
        if let Some(why) = state.short.clone() {
            state.failed.get_or_insert_with(|| Failure::full(why));
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
    }
}

/// Starts the thread that makes segments.
pub(crate) fn start(
    spares: Arc<Spares>,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
) -> io::Result<thread::JoinHandle<()>> {
    let run = move || while make_next(&spares, &*disk, segment_bytes) {};
    thread::Builder::new().name("log-spare".to_owned()).spawn(run)
}

/// Makes one spare when it is wanted; false when the log is being closed.
fn make_next(spares: &Spares, disk: &dyn Disk, segment_bytes: u64) -> bool {
    let mut state = spares.lock();
    while !state.has_work() && !state.is_closing {
        state = spares.wait(state);
    }
    if state.is_closing {
        return false;
    }
    let number = state.next;
    drop(state);
    let bytes = if number == 1 { segment_bytes.min(FIRST_SEGMENT_BYTES_MAX) } else { segment_bytes };
    let made = segment::create(disk, number, bytes);
    let mut state = spares.lock();
    match made {
        Ok(segment) => {
            state.ready = Some(segment);
            state.next += 1;
            state.is_wanted = false;
            if state.short.take().is_some() {
                tracing::info!("the log can grow again");
            }
        }
        Err(error) if disk::is_full(&error) => {
            if state.short.is_none() {
                tracing::error!(%error, "there is no room for a further log segment; free some space");
            }
            state.short = Some(error.to_string());
            if !state.is_patient {
                state.failed = Some(Failure::full(error.to_string()));
                drop(state);
                spares.changed.notify_all();
                return true;
            }
            let waited = spares.changed.wait_timeout(state, RETRY_EVERY);
            return !waited.unwrap_or_else(PoisonError::into_inner).0.is_closing;
        }
        Err(error) => {
            state.failed = Some(Failure { kind: error.kind(), why: error.to_string() });
            state.is_wanted = false;
        }
    }
    drop(state);
    spares.changed.notify_all();
    true
}
