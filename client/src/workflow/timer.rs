//! Waiting for time, and for the end.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Cx;
use crate::error::Cancelled;
use crate::replay::command::Command;
use crate::replay::state::{RunState, Ticket};

/// A timer that runs. Dropping it cancels it.
#[must_use = "a timer that is dropped is cancelled; `.await` it"]
pub struct Sleep {
    state: Rc<RunState>,
    ticket: Ticket,
    done: bool,
}

impl Sleep {
    pub(super) fn start(cx: &Cx, duration: Duration) -> Self {
        Self { ticket: cx.state.start_timer(duration), state: Rc::clone(&cx.state), done: false }
    }

    /// What the timer is for, to be shown by the web interface.
    pub fn summary(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.state.configure(self.ticket, |command| {
            if let Command::StartTimer { summary, .. } = command {
                *summary = Some(text);
            }
        });
        self
    }
}

impl Future for Sleep {
    type Output = Result<(), Cancelled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.state.poll_slot(self.ticket, context.waker());
        self.done |= polled.is_ready();
        polled.map_ok(|_| ())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.done {
            self.state.abandon(self.ticket);
        }
    }
}

/// Returns when the cancellation of the workflow is requested.
#[must_use = "futures do nothing unless awaited"]
pub struct WaitCancelled {
    state: Rc<RunState>,
    wait: u64,
}

impl WaitCancelled {
    pub(super) fn new(cx: &Cx) -> Self {
        Self { wait: cx.state.next_wait(), state: Rc::clone(&cx.state) }
    }
}

impl Future for WaitCancelled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.state.poll_cancelled(self.wait, context.waker())
    }
}

impl Drop for WaitCancelled {
    fn drop(&mut self) {
        self.state.forget_cancel_wait(self.wait);
    }
}
