//! What the code of a workflow does to the shared state, through `Cx` and its futures.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use everlog_proto::api::common::v1::{Payload, Payloads};

use super::{LocalTask, Phase, QueryHandler, Recorded, Resolution, RunState, Slot, Ticket};
use crate::activity::ActivityOptions;
use crate::error::Cancelled;
use crate::random::Random;
use crate::replay::check::Divergence;
use crate::replay::command::{Command, ContinueAsNew, ScheduleActivity};

impl RunState {
    pub(crate) fn start_timer(&self, after: Duration) -> Ticket {
        self.begin(format!("sleep({after:?})"), |seq| Command::StartTimer { seq, after, summary: None })
    }

    pub(crate) fn schedule_activity(
        &self,
        what: String,
        make: impl FnOnce(u64) -> ScheduleActivity,
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
