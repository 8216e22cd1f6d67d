//! Messages to a workflow.
//!
//! A signal is never lost: one that comes before anybody receives it waits, and one that is still
//! unread when the workflow continues as a new run goes along. The state that a message changes belongs
//! to the workflow's own code, which decides at which `await` it looks at messages at all; so there are
//! no handlers that run in between, and nothing to lock.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use everlog_proto::api::common::v1::Payloads;
use serde::de::DeserializeOwned;

use super::Cx;
use crate::codec;
use crate::error::Cancelled;
use crate::replay::state::RunState;

/// The signal name of the messages that `handle.send(..)` sends.
pub const INBOX_SIGNAL: &str = "inbox";

/// The messages of one name.
pub struct Inbox<M> {
    state: Rc<RunState>,
    name: Rc<str>,
    types: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Inbox<M> {
    pub(super) fn new(cx: &Cx, name: &str) -> Self {
        Self { state: Rc::clone(&cx.state), name: name.into(), types: PhantomData }
    }

    /// The next message, in the order in which the server accepted them. A message that is not an `M`
    /// is passed over, and logged.
    pub fn recv(&self) -> Receive<M> {
        Receive {
            wait: self.state.next_wait(),
            shielded: self.state.shields.get() > 0,
            state: Rc::clone(&self.state),
            name: Rc::clone(&self.name),
            types: PhantomData,
        }
    }

    /// The next message, if one is there already.
    pub fn try_recv(&self) -> Option<M> {
        while let Some(input) = self.state.try_signal(&self.name) {
            if let Some(message) = read(&self.state, &self.name, &input) {
                return Some(message);
            }
        }
        None
    }
}

/// The next message.
#[must_use = "futures do nothing unless awaited"]
pub struct Receive<M> {
    state: Rc<RunState>,
    name: Rc<str>,
    wait: u64,
    shielded: bool,
    types: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Future for Receive<M> {
    type Output = Result<M, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.state.poll_signal(&self.name, self.wait, self.shielded, context.waker()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(cancelled)) => return Poll::Ready(Err(cancelled)),
                Poll::Ready(Ok(input)) => {
                    if let Some(message) = read(&self.state, &self.name, &input) {
                        return Poll::Ready(Ok(message));
                    }
                }
            }
        }
    }
}

impl<M> Drop for Receive<M> {
    fn drop(&mut self) {
        self.state.forget_signal_wait(&self.name, self.wait);
    }
}

fn read<M: DeserializeOwned>(state: &RunState, name: &str, input: &Payloads) -> Option<M> {
    match codec::decode_one(Some(input)) {
        Ok(message) => Some(message),
        Err(error) => {
            if !state.is_replaying() {
                let workflow = &state.info.workflow_id;
                tracing::error!(workflow, signal = name, %error, "a signal that does not fit was passed over");
            }
            None
        }
    }
}
