//! A call to an activity that the workflow's own worker runs.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use everlog_proto::api::common::v1::Payloads;
use serde::de::DeserializeOwned;

use super::Cx;
use super::call::{codec_error, outcome};
use crate::activity::ActivityOptions;
use crate::codec::CodecError;
use crate::error::{AppError, CallError};
use crate::replay::state::{RunState, Ticket};
use crate::retry::Retry;

/// A local activity that runs.
#[must_use = "a local activity whose call is dropped is forgotten; `.await` it"]
pub struct Local<Out, E> {
    state: Rc<RunState>,
    ticket: Result<Ticket, CodecError>,
    settled: bool,
    types: PhantomData<fn() -> (Out, E)>,
}

impl<Out, E> Local<Out, E> {
    pub(super) fn start(
        cx: &Cx,
        name: &str,
        input: Result<Payloads, CodecError>,
        options: ActivityOptions,
    ) -> Self {
        let state = Rc::clone(&cx.state);
        let ticket = input.map(|input| state.start_local(name, input, options));
        Self { state, ticket, settled: false, types: PhantomData }
    }

    /// How long one attempt may take.
    pub fn start_to_close(self, timeout: Duration) -> Self {
        self.configure(|options| options.start_to_close = Some(timeout))
    }

    /// When a failed attempt is repeated. The attempts happen in the worker.
    pub fn retry(self, retry: Retry) -> Self {
        self.configure(|options| options.retry = Some(retry))
    }

    fn configure(self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        if let Ok(ticket) = self.ticket {
            self.state.configure_local(ticket, change);
        }
        self
    }
}

impl<Out: DeserializeOwned, E: AppError> Future for Local<Out, E> {
    type Output = Result<Out, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = match &self.ticket {
            Ok(ticket) => *ticket,
            Err(error) => return Poll::Ready(Err(CallError::Other(codec_error(error)))),
        };
        let Poll::Ready(resolution) = self.state.poll_slot(ticket, context.waker()) else {
            return Poll::Pending;
        };
        self.settled = true;
        Poll::Ready(match resolution {
            Ok(resolution) => outcome(resolution),
            Err(_) => Err(CallError::Cancelled),
        })
    }
}

impl<Out, E> Drop for Local<Out, E> {
    fn drop(&mut self) {
        if !self.settled
            && let Ok(ticket) = self.ticket
        {
            self.state.abandon(ticket);
        }
    }
}
