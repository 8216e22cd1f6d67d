//! Work that a cancellation does not concern.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Cx;
use crate::replay::state::RunState;

/// A scope whose futures are not cancelled with the workflow. What counts is where a future is built.
#[must_use = "futures do nothing unless awaited"]
pub struct Shielded<F> {
    state: Rc<RunState>,
    work: Pin<Box<F>>,
}

impl<F: Future> Shielded<F> {
    pub(super) fn new(cx: &Cx, work: F) -> Self {
        Self { state: Rc::clone(&cx.state), work: Box::pin(work) }
    }
}

impl<F: Future> Future for Shielded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let depth = self.state.shields.get();
        self.state.shields.set(depth + 1);
        let polled = self.work.as_mut().poll(context);
        self.state.shields.set(depth);
        polled
    }
}
