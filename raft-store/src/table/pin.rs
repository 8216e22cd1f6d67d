//! Who may change the durable table, and who needs it to stay as it is.
//!
//! A checkpoint or an installation moves rows into the durable table: one at a time. A snapshot wants the
//! rows of one moment, without stopping applies: it freezes the active overlay and pins what is below.
//! While a pin is held, nothing newer moves into the durable table. A pin that makes no progress for a while
//! is revoked: its reader gets an error and asks again.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Frozen, KeyRange, Mark, Marks, Tables, Value, scan::Left};
use crate::Error;

/// A pin that nobody reads through is revoked after so long, if somebody waits for it.
const PIN_IDLE_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_moving: bool,
    pins: Vec<Weak<Pin>>,
}

struct Pin {
    is_revoked: AtomicBool,
    last_read: Mutex<Instant>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody reads any more.
    pub(super) fn revoke_all(&self) {
        for pin in self.lock().pins.iter().filter_map(Weak::upgrade) {
            pin.is_revoked.store(true, Ordering::SeqCst);
        }
        self.changed.notify_all();
    }
}

impl State {
    /// Whether a pin is in the way; those that have been idle for too long are not.
    fn is_pinned(&mut self) -> bool {
        self.pins.retain(|pin| pin.strong_count() > 0);
        for pin in self.pins.iter().filter_map(Weak::upgrade) {
            let last_read = *pin.last_read.lock().unwrap_or_else(PoisonError::into_inner);
            if last_read.elapsed() > PIN_IDLE_MAX {
                pin.is_revoked.store(true, Ordering::SeqCst);
            }
        }
        self.pins.iter().filter_map(Weak::upgrade).any(|pin| !pin.is_revoked.load(Ordering::SeqCst))
    }
}

/// The right to change the durable table, and what is to be moved there.
pub(crate) struct Moving {
    tables: Tables,
    pub(super) frozen: Vec<Arc<Frozen>>,
    pub(super) marks: Marks,
}

impl Tables {
    /// Waits until nobody else moves rows and nothing is pinned, and freezes what there is.
    pub(crate) fn begin_move(&self) -> Moving {
        let gate = &self.shared.checkpoints.gate;
        let mut state = gate.lock();
        while state.is_moving || state.is_pinned() {
            state = gate.changed.wait_timeout(state, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_moving = true;
        let mut layers = self.layers_mut();
        layers.freeze();
        let (frozen, marks) = (layers.frozen.clone(), layers.marks.clone());
        drop(layers);
        self.shared.checkpoints.frozen();
        Moving { tables: self.clone(), frozen, marks }
    }

    /// What was to be moved is moved, and then a group's rows were replaced by those of another index.
    pub(crate) fn installed(&self, moving: &Moving, group: u64, mark: Mark) {
        let mut layers = self.layers_mut();
        layers.generation += 1;
        layers.marks.insert(group, mark.clone());
        drop(layers);
        let mut durable = moving.marks.clone();
        durable.insert(group, mark);
        self.shared.checkpoints.set_durable(durable);
    }

    /// The rows as they are now, to be read at leisure.
    pub(crate) fn pin(&self) -> View {
        let gate = &self.shared.checkpoints.gate;
        let mut state = gate.lock();
        let pin = Arc::new(Pin { is_revoked: AtomicBool::new(false), last_read: Mutex::new(Instant::now()) });
        state.pins.push(Arc::downgrade(&pin));
        let mut layers = self.layers_mut();
        layers.freeze();
        let frozen = layers.frozen.clone();
        drop(layers);
        self.shared.checkpoints.frozen();
        View { tables: self.clone(), frozen, pin: Some(pin) }
    }
}

impl Moving {
    /// The frozen overlays are in the durable table; readers need them no more.
    pub(super) fn done(&mut self) {
        let moved = std::mem::take(&mut self.frozen);
        self.tables
            .layers_mut()
            .frozen
            .retain(|frozen| !moved.iter().any(|moved| Arc::ptr_eq(frozen, moved)));
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        let gate = &self.tables.shared.checkpoints.gate;
        gate.lock().is_moving = false;
        gate.changed.notify_all();
    }
}

/// The rows of one moment.
pub(crate) struct View {
    tables: Tables,
    frozen: Vec<Arc<Frozen>>,
    pin: Option<Arc<Pin>>,
}

impl View {
    /// Gives all rows of a range to `row`, in order.
    pub(crate) fn read<E: From<Error>>(
        &self,
        range: &KeyRange,
        mut row: impl FnMut(Vec<u8>, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = Left::all(range.from.clone(), range.to.clone());
        while !left.is_empty() {
            let (rows, next) = left.look(self.tables.base(), &self.frozen, Vec::new())?;
            self.still_holds()?;
            left.advance(next);
            for (key, value) in rows {
                row(key, value)?;
            }
        }
        Ok(())
    }

    fn still_holds(&self) -> Result<(), Error> {
        let Some(pin) = &self.pin else { return Ok(()) };
        if pin.is_revoked.load(Ordering::SeqCst) {
            return Err(Error::SnapshotGone);
        }
        *pin.last_read.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        drop(self.pin.take());
        self.tables.shared.checkpoints.gate.changed.notify_all();
    }
}
