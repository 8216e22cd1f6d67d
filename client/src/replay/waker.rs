//! The waker of a workflow, which knows who calls it.
//!
//! A workflow may be woken only by an event that the engine applies. A wake that comes at another time,
//! or from another thread, proves that the code awaits something outside its history, for example a
//! channel; such a workflow would behave differently when it is replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::thread::ThreadId;

#[derive(Debug)]
pub(super) struct Alarm {
    home: ThreadId,
    /// Set while the engine works on this run.
    inside: AtomicBool,
    rung: AtomicBool,
    foreign: AtomicBool,
}

impl Alarm {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            home: std::thread::current().id(),
            inside: AtomicBool::new(false),
            rung: AtomicBool::new(false),
            foreign: AtomicBool::new(false),
        })
    }

    pub(super) fn set_inside(&self, inside: bool) {
        self.inside.store(inside, Ordering::SeqCst);
    }

    /// Whether the workflow was woken since the last call.
    pub(super) fn take_rung(&self) -> bool {
        self.rung.swap(false, Ordering::SeqCst)
    }

    /// Whether something that is not the engine has woken the workflow.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign.load(Ordering::SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.inside.load(Ordering::SeqCst) && std::thread::current().id() == self.home {
            self.rung.store(true, Ordering::SeqCst);
        } else {
            self.foreign.store(true, Ordering::SeqCst);
        }
    }
}
