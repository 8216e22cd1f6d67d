//! What the code of a workflow and the engine share.
//!
//! The code sees it through `Cx` and through the futures that `Cx` builds; the engine changes it when it
//! applies an event. It lives on one thread and is never locked: each side borrows it for the length of
//! one small operation, and never while the code of the user runs.
//! `code` has the operations of the code, `engine` those of the engine.

mod code;
mod engine;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::Waker;
use std::time::{SystemTime, UNIX_EPOCH};

use everlog_proto::api::common::v1::{Payload, Payloads};
use everlog_proto::api::failure::v1::Failure;

use super::check::Divergence;
use super::command::{Command, ContinueAsNew};
use crate::activity::ActivityOptions;
use crate::random::Random;
use crate::workflow::Info;

/// A handler of a query.
pub(crate) type QueryHandler = Rc<dyn Fn(Option<&Payloads>, Option<&Payload>) -> Result<Payloads, String>>;

pub(crate) struct RunState {
    pub(crate) info: Info,
    /// Depth of shielded scopes that are being polled.
    pub(crate) shields: Cell<u32>,
    inner: RefCell<Inner>,
}

struct Inner {
    now: SystemTime,
    replaying: bool,
    cancelled: bool,
    /// Set while the workflow is put away: futures that are dropped then cancel nothing.
    closing: bool,
    history_length: i64,
    history_size_bytes: i64,
    suggest_continue_as_new: bool,
    next_seq: u64,
    next_wait: u64,
    /// Commands of the current step, in the order in which their futures were built.
    commands: Vec<Command>,
    /// Futures that were given up during the current poll, to be cancelled at its end, by number.
    given_up: BTreeSet<u64>,
    slots: BTreeMap<u64, Slot>,
    activities: BTreeMap<i64, u64>,
    channels: BTreeMap<String, Channel>,
    cancel_waits: BTreeMap<u64, Waker>,
    patches: BTreeMap<String, bool>,
    ahead: Ahead,
    divergence: Option<Box<Divergence>>,
    next_run: Option<ContinueAsNew>,
    published: Option<Payload>,
    queries: BTreeMap<String, QueryHandler>,
    random: Random,
    last_call: String,
}

/// What the history is known to hold beyond the events applied so far: the markers that the current
/// step left. The code meets them before their events are reached.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) patches: BTreeSet<String>,
    pub(crate) values: BTreeMap<u64, (String, Payload)>,
    /// The event that closes the current step, for reports.
    pub(crate) closing_event_id: i64,
}

/// A future that waits for the server, or for a local activity.
#[derive(Debug)]
struct Slot {
    what: String,
    phase: Phase,
    /// The code is no longer interested, but the server may still answer.
    abandoned: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Phase {
    /// Its command is among those of the current step, and can still be taken back.
    Queued,
    /// The server knows it. An activity is cancelled by the id of its event.
    Issued {
        event_id: Option<i64>,
        kind: Kind,
    },
    /// A local activity that has not been started by this worker yet.
    LocalWaiting(Box<LocalTask>),
    LocalRunning {
        name: String,
    },
    Done(Resolution),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Timer,
    Activity,
}

/// What came of a future.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    Fired,
    Completed(Option<Payloads>),
    Failed(Option<Box<Failure>>),
    Cancelled,
}

/// A local activity, to be run by the worker that runs the workflow.
#[derive(Debug, Clone)]
pub(crate) struct LocalTask {
    pub(crate) seq: u64,
    pub(crate) name: String,
    pub(crate) input: Payloads,
    pub(crate) options: ActivityOptions,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Payloads>,
    waits: BTreeMap<u64, Waker>,
}

/// A future that was just built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) seq: u64,
    /// Built in a shielded scope: the cancellation of the workflow does not concern it.
    pub(crate) shielded: bool,
    /// Built after the cancellation, outside a shielded scope: nothing was asked for.
    pub(crate) refused: bool,
}

/// What the history says about a value that the code computes once.
pub(crate) enum Recorded {
    Known(Payload),
    Compute,
}

impl RunState {
    pub(crate) fn new(info: Info, seed: &str) -> Rc<Self> {
        let inner = Inner {
            now: UNIX_EPOCH,
            replaying: false,
            cancelled: false,
            closing: false,
            history_length: 0,
            history_size_bytes: 0,
            suggest_continue_as_new: false,
            next_seq: 1,
            next_wait: 1,
            commands: Vec::new(),
            given_up: BTreeSet::new(),
            slots: BTreeMap::new(),
            activities: BTreeMap::new(),
            channels: BTreeMap::new(),
            cancel_waits: BTreeMap::new(),
            patches: BTreeMap::new(),
            ahead: Ahead::default(),
            divergence: None,
            next_run: None,
            published: None,
            queries: BTreeMap::new(),
            random: Random::from_text(seed),
            last_call: "none".into(),
        };
        Rc::new(Self { info, shields: Cell::new(0), inner: RefCell::new(inner) })
    }
}

impl Inner {
    fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn add_slot(&mut self, seq: u64, what: String, phase: Phase) {
        self.slots.insert(seq, Slot { what, phase, abandoned: false, waker: None });
    }

    fn abandon(&mut self, seq: u64) {
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        match slot.phase {
            Phase::Queued => {
                self.commands.retain(|command| command.begins() != Some(seq));
                self.slots.remove(&seq);
            }
            Phase::Issued { .. } => {
                slot.abandoned = true;
                slot.waker = None;
                self.given_up.insert(seq);
            }
            Phase::LocalWaiting(_) | Phase::LocalRunning { .. } | Phase::Done(_) => {
                self.slots.remove(&seq);
            }
        }
    }
}
