//! What the code of a workflow and the engine share.
//!
//! The code sees it through `Cx` and through the futures that `Cx` builds; the engine changes it when it
//! applies an event. It lives on one thread and is never locked: each side borrows it for the length of
//! one small operation, and never while the code of the user runs.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use everlog_proto::api::common::v1::{Payload, Payloads};
use everlog_proto::api::failure::v1::Failure;

use super::check::Divergence;
use super::command::{Command, ContinueAsNew};
use crate::activity::ActivityOptions;
use crate::error::Cancelled;
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

// What the code does, through `Cx` and its futures.
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

    pub(crate) fn start_timer(&self, after: Duration) -> Ticket {
        self.begin(format!("sleep({after:?})"), |seq| Command::StartTimer { seq, after, summary: None })
    }

    pub(crate) fn schedule_activity(
        &self,
        what: String,
        make: impl FnOnce(u64) -> super::command::ScheduleActivity,
    ) -> Ticket {
        self.begin(what, |seq| Command::ScheduleActivity(Box::new(make(seq))))
    }

    pub(crate) fn start_local(&self, name: &str, input: Payloads, options: ActivityOptions) -> Ticket {
        let ticket = self.ticket();
        let inner = &mut *self.inner.borrow_mut();
        inner.last_call = format!("local({name})");
        if !ticket.refused {
            let task = LocalTask { seq: ticket.seq, name: name.into(), input, options };
            inner.add_slot(ticket.seq, format!("local activity {name}"), Phase::LocalWaiting(Box::new(task)));
        }
        ticket
    }

    /// Changes the command of a future that was built in this step.
    pub(crate) fn configure(&self, ticket: Ticket, change: impl FnOnce(&mut Command)) {
        let inner = &mut *self.inner.borrow_mut();
        if let Some(command) = inner.commands.iter_mut().find(|c| c.begins() == Some(ticket.seq)) {
            change(command);
        }
    }

    /// Changes the options of a local activity that was built in this step.
    pub(crate) fn configure_local(&self, ticket: Ticket, change: impl FnOnce(&mut ActivityOptions)) {
        let inner = &mut *self.inner.borrow_mut();
        if let Some(Slot { phase: Phase::LocalWaiting(task), .. }) = inner.slots.get_mut(&ticket.seq) {
            change(&mut task.options);
        }
    }

    pub(crate) fn poll_slot(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<Resolution, Cancelled>> {
        let inner = &mut *self.inner.borrow_mut();
        if ticket.refused {
            return Poll::Ready(Err(Cancelled));
        }
        let Some(slot) = inner.slots.get_mut(&ticket.seq) else { return Poll::Pending };
        if matches!(slot.phase, Phase::Done(_)) {
            let Some(Slot { phase: Phase::Done(resolution), .. }) = inner.slots.remove(&ticket.seq) else {
                return Poll::Pending;
            };
            return Poll::Ready(Ok(resolution));
        }
        if inner.cancelled && !ticket.shielded {
            inner.abandon(ticket.seq);
            return Poll::Ready(Err(Cancelled));
        }
        slot.waker = Some(waker.clone());
        Poll::Pending
    }

    /// The code has dropped a future that was not finished.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        // While the workflow itself is dropped nothing is cancelled, and the borrow may be taken.
        if let Ok(mut inner) = self.inner.try_borrow_mut()
            && !inner.closing
        {
            inner.abandon(ticket.seq);
        }
    }

    pub(crate) fn next_wait(&self) -> u64 {
        let inner = &mut *self.inner.borrow_mut();
        inner.next_wait += 1;
        inner.next_wait
    }

    pub(crate) fn poll_signal(
        &self,
        name: &str,
        wait: u64,
        shielded: bool,
        waker: &Waker,
    ) -> Poll<Result<Payloads, Cancelled>> {
        let inner = &mut *self.inner.borrow_mut();
        let channel = inner.channels.entry(name.to_owned()).or_default();
        channel.waits.remove(&wait);
        if inner.cancelled && !shielded {
            return Poll::Ready(Err(Cancelled));
        }
        match channel.queue.pop_front() {
            Some(input) => {
                inner.last_call = format!("signal {name:?} received");
                Poll::Ready(Ok(input))
            }
            None => {
                channel.waits.insert(wait, waker.clone());
                Poll::Pending
            }
        }
    }

    /// Takes a message if there is one, without waiting.
    pub(crate) fn try_signal(&self, name: &str) -> Option<Payloads> {
        self.inner.borrow_mut().channels.get_mut(name)?.queue.pop_front()
    }

    pub(crate) fn forget_signal_wait(&self, name: &str, wait: u64) {
        if let Ok(mut inner) = self.inner.try_borrow_mut()
            && let Some(channel) = inner.channels.get_mut(name)
        {
            channel.waits.remove(&wait);
        }
    }

    pub(crate) fn poll_cancelled(&self, wait: u64, waker: &Waker) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.cancelled {
            return Poll::Ready(());
        }
        inner.cancel_waits.insert(wait, waker.clone());
        Poll::Pending
    }

    pub(crate) fn forget_cancel_wait(&self, wait: u64) {
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            inner.cancel_waits.remove(&wait);
        }
    }

    /// The recorded value of a side effect, or the word to compute it. `None` means that the history
    /// disagrees; the caller then waits for ever, and the engine reports it.
    pub(crate) fn value(&self, name: &str) -> (u64, Option<Recorded>) {
        let inner = &mut *self.inner.borrow_mut();
        let seq = inner.take_seq();
        inner.last_call = format!("run({name:?})");
        if !inner.replaying {
            return (seq, Some(Recorded::Compute));
        }
        match inner.ahead.values.remove(&seq) {
            Some((recorded, data)) if recorded == name => {
                inner.commands.push(Command::Value { seq, name: name.to_owned(), data: data.clone() });
                (seq, Some(Recorded::Known(data)))
            }
            other => {
                let recorded = match other {
                    Some((recorded, _)) => format!("the value {recorded:?} (id {seq})"),
                    None => format!("no value with id {seq} in this workflow task"),
                };
                inner.divergence = Some(Box::new(Divergence {
                    event_id: inner.ahead.closing_event_id,
                    recorded,
                    produced: format!("RecordMarker(value {name:?}, id {seq})"),
                    after: inner.last_call.clone(),
                }));
                (seq, None)
            }
        }
    }

    pub(crate) fn record_value(&self, seq: u64, name: &str, data: Payload) {
        let command = Command::Value { seq, name: name.to_owned(), data };
        self.inner.borrow_mut().commands.push(command);
    }

    pub(crate) fn patched(&self, id: &str, deprecated: bool) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        if let Some(known) = inner.patches.get(id) {
            return *known;
        }
        let new_code = deprecated || !inner.replaying || inner.ahead.patches.contains(id);
        inner.patches.insert(id.to_owned(), new_code);
        if new_code {
            inner.commands.push(Command::Patch { id: id.to_owned(), deprecated });
        }
        new_code
    }

    pub(crate) fn upsert_search_attributes(&self, fields: BTreeMap<String, Payload>) {
        self.inner.borrow_mut().commands.push(Command::SearchAttributes(fields));
    }

    pub(crate) fn continue_as_new(&self, mut next: ContinueAsNew) {
        let inner = &mut *self.inner.borrow_mut();
        inner.last_call = "continue_as_new".into();
        if next.queue.is_empty() {
            next.queue = self.info.task_queue.clone();
        }
        inner.next_run = Some(next);
    }

    pub(crate) fn publish(&self, state: Payload) {
        self.inner.borrow_mut().published = Some(state);
    }

    pub(crate) fn add_query(&self, name: String, handler: QueryHandler) {
        self.inner.borrow_mut().queries.insert(name, handler);
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.inner.borrow().now
    }

    pub(crate) fn is_replaying(&self) -> bool {
        self.inner.borrow().replaying
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.borrow().cancelled
    }

    pub(crate) fn history(&self) -> (i64, i64, bool) {
        let inner = self.inner.borrow();
        (inner.history_length, inner.history_size_bytes, inner.suggest_continue_as_new)
    }

    pub(crate) fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.inner.borrow_mut().random)
    }

    fn ticket(&self) -> Ticket {
        let shielded = self.shields.get() > 0;
        let inner = &mut *self.inner.borrow_mut();
        Ticket { seq: inner.take_seq(), shielded, refused: inner.cancelled && !shielded }
    }

    fn begin(&self, what: String, make: impl FnOnce(u64) -> Command) -> Ticket {
        let ticket = self.ticket();
        let inner = &mut *self.inner.borrow_mut();
        inner.last_call.clone_from(&what);
        if !ticket.refused {
            inner.commands.push(make(ticket.seq));
            inner.add_slot(ticket.seq, what, Phase::Queued);
        }
        ticket
    }
}

pub(crate) enum Recorded {
    Known(Payload),
    Compute,
}

// What the engine does.
impl RunState {
    pub(super) fn open(&self, opening: &super::history::Opening, replaying: bool, ahead: Ahead) {
        let inner = &mut *self.inner.borrow_mut();
        inner.now = opening.now;
        inner.replaying = replaying;
        inner.history_length = opening.started_event_id;
        inner.history_size_bytes = opening.history_size_bytes;
        inner.suggest_continue_as_new = opening.suggest_continue_as_new;
        inner.ahead = ahead;
    }

    /// Resolves a future. False if there is none with this number that could be resolved.
    pub(super) fn resolve(&self, seq: u64, resolution: Resolution) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        let Some(slot) = inner.slots.get_mut(&seq) else { return false };
        // What is finished need not, and may not, be cancelled any more.
        inner.commands.retain(|command| command.cancels() != Some(seq));
        if slot.abandoned {
            inner.slots.remove(&seq);
        } else {
            slot.phase = Phase::Done(resolution);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
        true
    }

    pub(super) fn resolve_activity(&self, scheduled_event_id: i64, resolution: Resolution) -> bool {
        let seq = self.inner.borrow_mut().activities.remove(&scheduled_event_id);
        seq.is_some_and(|seq| self.resolve(seq, resolution))
    }

    pub(super) fn deliver(&self, name: &str, input: Payloads) {
        let inner = &mut *self.inner.borrow_mut();
        let channel = inner.channels.entry(name.to_owned()).or_default();
        channel.queue.push_back(input);
        std::mem::take(&mut channel.waits).into_values().for_each(Waker::wake);
    }

    pub(super) fn cancel(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.cancelled = true;
        std::mem::take(&mut inner.cancel_waits).into_values().for_each(Waker::wake);
        for channel in inner.channels.values_mut() {
            std::mem::take(&mut channel.waits).into_values().for_each(Waker::wake);
        }
        inner.slots.values_mut().filter_map(|slot| slot.waker.take()).for_each(Waker::wake);
    }

    /// Whether the code waits for something that an event can resolve.
    pub(super) fn is_waiting(&self) -> bool {
        let inner = self.inner.borrow();
        !inner.cancel_waits.is_empty()
            || inner.channels.values().any(|channel| !channel.waits.is_empty())
            || inner.slots.values().any(|slot| !slot.abandoned && slot.waker.is_some())
    }

    /// Turns the futures that were given up during a poll into cancel commands, lowest number first.
    pub(super) fn settle_given_up(&self) {
        let inner = &mut *self.inner.borrow_mut();
        for seq in std::mem::take(&mut inner.given_up) {
            match inner.slots.get(&seq).map(|slot| &slot.phase) {
                Some(Phase::Issued { kind: Kind::Timer, .. }) => {
                    inner.commands.push(Command::CancelTimer { seq });
                }
                Some(Phase::Issued { kind: Kind::Activity, event_id: Some(scheduled_event_id) }) => {
                    let scheduled_event_id = *scheduled_event_id;
                    inner.commands.push(Command::CancelActivity { seq, scheduled_event_id });
                }
                _ => {}
            }
        }
    }

    /// Forgets what was given up: a workflow that closes need not cancel what ends with it.
    pub(super) fn forget_given_up(&self) {
        self.inner.borrow_mut().given_up.clear();
    }

    pub(super) fn push(&self, command: Command) {
        self.inner.borrow_mut().commands.push(command);
    }

    /// Takes the commands of the step, which the server will know from now on.
    pub(super) fn take_commands(&self) -> Vec<Command> {
        let inner = &mut *self.inner.borrow_mut();
        let commands = std::mem::take(&mut inner.commands);
        for command in &commands {
            let kind =
                if matches!(command, Command::StartTimer { .. }) { Kind::Timer } else { Kind::Activity };
            if let Some(slot) = command.begins().and_then(|seq| inner.slots.get_mut(&seq))
                && matches!(slot.phase, Phase::Queued)
            {
                slot.phase = Phase::Issued { event_id: None, kind };
            }
            // The server never reports on a cancelled timer again.
            if let Command::CancelTimer { seq } = command {
                inner.slots.remove(seq);
            }
        }
        commands
    }

    /// Learns the ids of the events that commands left.
    pub(super) fn learn_events(&self, begun: Vec<(u64, i64)>) {
        let inner = &mut *self.inner.borrow_mut();
        for (seq, id) in begun {
            if let Some(Slot { phase: Phase::Issued { event_id, kind }, .. }) = inner.slots.get_mut(&seq) {
                *event_id = Some(id);
                if *kind == Kind::Activity {
                    inner.activities.insert(id, seq);
                }
            }
        }
    }

    /// Local activities that nobody runs yet; they count as running from now on.
    pub(super) fn take_locals(&self) -> Vec<LocalTask> {
        let inner = &mut *self.inner.borrow_mut();
        let mut tasks = Vec::new();
        for slot in inner.slots.values_mut() {
            if let Phase::LocalWaiting(task) = &slot.phase {
                tasks.push((**task).clone());
                slot.phase = Phase::LocalRunning { name: task.name.clone() };
            }
        }
        tasks
    }

    /// Whether a local activity is still running.
    pub(super) fn has_locals(&self) -> bool {
        let running = |slot: &Slot| matches!(slot.phase, Phase::LocalRunning { .. } | Phase::LocalWaiting(_));
        self.inner.borrow().slots.values().any(running)
    }

    /// The name of a local activity that waits for its outcome.
    pub(super) fn local_name(&self, seq: u64) -> Option<String> {
        match &self.inner.borrow().slots.get(&seq)?.phase {
            Phase::LocalRunning { name } => Some(name.clone()),
            Phase::LocalWaiting(task) => Some(task.name.clone()),
            _ => None,
        }
    }

    pub(super) fn take_divergence(&self) -> Option<Box<Divergence>> {
        self.inner.borrow_mut().divergence.take()
    }

    pub(super) fn take_next_run(&self) -> Option<ContinueAsNew> {
        self.inner.borrow_mut().next_run.take()
    }

    /// The messages that nobody has received.
    pub(super) fn take_unread(&self) -> Vec<(String, Payloads)> {
        let inner = &mut *self.inner.borrow_mut();
        let mut unread = Vec::new();
        for (name, channel) in &mut inner.channels {
            unread.extend(channel.queue.drain(..).map(|input| (name.clone(), input)));
        }
        unread
    }

    pub(super) fn set_closing(&self) {
        self.inner.borrow_mut().closing = true;
    }

    pub(super) fn last_call(&self) -> String {
        self.inner.borrow().last_call.clone()
    }

    pub(super) fn query_handler(&self, name: &str) -> Option<QueryHandler> {
        self.inner.borrow().queries.get(name).cloned()
    }

    pub(super) fn query_names(&self) -> Vec<String> {
        self.inner.borrow().queries.keys().cloned().collect()
    }

    pub(super) fn published(&self) -> Option<Payload> {
        self.inner.borrow().published.clone()
    }

    /// What the workflow waits for, a line each.
    pub(super) fn waits(&self) -> Vec<String> {
        let inner = self.inner.borrow();
        let slots = inner.slots.iter().filter(|(_, slot)| !slot.abandoned && slot.waker.is_some());
        let slots = slots.map(|(seq, slot)| format!("{} (id {seq})", slot.what));
        let signals = inner.channels.iter().filter(|(_, channel)| !channel.waits.is_empty());
        let signals = signals.map(|(name, _)| format!("signal {name:?}"));
        let cancel = (!inner.cancel_waits.is_empty()).then(|| "cancellation".to_owned());
        slots.chain(signals).chain(cancel).collect()
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
