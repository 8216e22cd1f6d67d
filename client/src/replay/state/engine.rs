//! What the engine does to the shared state, when it applies events.

use std::task::Waker;

use everlog_proto::api::common::v1::{Payload, Payloads};

use super::{Ahead, Kind, LocalTask, Phase, QueryHandler, Resolution, RunState, Slot};
use crate::replay::check::Divergence;
use crate::replay::command::{Command, ContinueAsNew};
use crate::replay::history::Opening;

impl RunState {
    pub(in crate::replay) fn open(&self, opening: &Opening, replaying: bool, ahead: Ahead) {
        let inner = &mut *self.inner.borrow_mut();
        inner.now = opening.now;
        inner.replaying = replaying;
        inner.history_length = opening.started_event_id;
        inner.history_size_bytes = opening.history_size_bytes;
        inner.suggest_continue_as_new = opening.suggest_continue_as_new;
        inner.ahead = ahead;
    }

    /// Resolves a future. False if there is none with this number that could be resolved.
    pub(in crate::replay) fn resolve(&self, seq: u64, resolution: Resolution) -> bool {
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

    pub(in crate::replay) fn resolve_activity(
        &self,
        scheduled_event_id: i64,
        resolution: Resolution,
    ) -> bool {
        let seq = self.inner.borrow_mut().activities.remove(&scheduled_event_id);
        seq.is_some_and(|seq| self.resolve(seq, resolution))
    }

    pub(in crate::replay) fn deliver(&self, name: &str, input: Payloads) {
        let inner = &mut *self.inner.borrow_mut();
        let channel = inner.channels.entry(name.to_owned()).or_default();
        channel.queue.push_back(input);
        std::mem::take(&mut channel.waits).into_values().for_each(Waker::wake);
    }

    pub(in crate::replay) fn cancel(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.cancelled = true;
        std::mem::take(&mut inner.cancel_waits).into_values().for_each(Waker::wake);
        for channel in inner.channels.values_mut() {
            std::mem::take(&mut channel.waits).into_values().for_each(Waker::wake);
        }
        inner.slots.values_mut().filter_map(|slot| slot.waker.take()).for_each(Waker::wake);
    }

    /// Whether the code waits for something that an event can resolve.
    pub(in crate::replay) fn is_waiting(&self) -> bool {
        let inner = self.inner.borrow();
        !inner.cancel_waits.is_empty()
            || inner.channels.values().any(|channel| !channel.waits.is_empty())
            || inner.slots.values().any(|slot| !slot.abandoned && slot.waker.is_some())
    }

    /// Turns the futures that were given up during a poll into cancel commands, lowest number first.
    pub(in crate::replay) fn settle_given_up(&self) {
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
    pub(in crate::replay) fn forget_given_up(&self) {
        self.inner.borrow_mut().given_up.clear();
    }

    pub(in crate::replay) fn push(&self, command: Command) {
        self.inner.borrow_mut().commands.push(command);
    }

    /// Takes the commands of the step, which the server will know from now on.
    pub(in crate::replay) fn take_commands(&self) -> Vec<Command> {
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
    pub(in crate::replay) fn learn_events(&self, begun: Vec<(u64, i64)>) {
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
    pub(in crate::replay) fn take_locals(&self) -> Vec<LocalTask> {
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
    pub(in crate::replay) fn has_locals(&self) -> bool {
        let running = |slot: &Slot| matches!(slot.phase, Phase::LocalRunning { .. } | Phase::LocalWaiting(_));
        self.inner.borrow().slots.values().any(running)
    }

    /// The name of a local activity that waits for its outcome.
    pub(in crate::replay) fn local_name(&self, seq: u64) -> Option<String> {
        match &self.inner.borrow().slots.get(&seq)?.phase {
            Phase::LocalRunning { name } => Some(name.clone()),
            Phase::LocalWaiting(task) => Some(task.name.clone()),
            _ => None,
        }
    }

    pub(in crate::replay) fn take_divergence(&self) -> Option<Box<Divergence>> {
        self.inner.borrow_mut().divergence.take()
    }

    pub(in crate::replay) fn take_next_run(&self) -> Option<ContinueAsNew> {
        self.inner.borrow_mut().next_run.take()
    }

    /// The messages that nobody has received.
    pub(in crate::replay) fn take_unread(&self) -> Vec<(String, Payloads)> {
        let inner = &mut *self.inner.borrow_mut();
        let mut unread = Vec::new();
        for (name, channel) in &mut inner.channels {
            unread.extend(channel.queue.drain(..).map(|input| (name.clone(), input)));
        }
        unread
    }

    pub(in crate::replay) fn set_closing(&self) {
        self.inner.borrow_mut().closing = true;
    }

    pub(in crate::replay) fn last_call(&self) -> String {
        self.inner.borrow().last_call.clone()
    }

    pub(in crate::replay) fn query_handler(&self, name: &str) -> Option<QueryHandler> {
        self.inner.borrow().queries.get(name).cloned()
    }

    pub(in crate::replay) fn query_names(&self) -> Vec<String> {
        self.inner.borrow().queries.keys().cloned().collect()
    }

    pub(in crate::replay) fn published(&self) -> Option<Payload> {
        self.inner.borrow().published.clone()
    }

    /// What the workflow waits for, a line each.
    pub(in crate::replay) fn waits(&self) -> Vec<String> {
        let inner = self.inner.borrow();
        let slots = inner.slots.iter().filter(|(_, slot)| !slot.abandoned && slot.waker.is_some());
        let slots = slots.map(|(seq, slot)| format!("{} (id {seq})", slot.what));
        let signals = inner.channels.iter().filter(|(_, channel)| !channel.waits.is_empty());
        let signals = signals.map(|(name, _)| format!("signal {name:?}"));
        let cancel = (!inner.cancel_waits.is_empty()).then(|| "cancellation".to_owned());
        slots.chain(signals).chain(cancel).collect()
    }
}
