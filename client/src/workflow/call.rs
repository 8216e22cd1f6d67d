//! A call to an activity.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use everlog_proto::api::common::v1::Payloads;
use serde::de::DeserializeOwned;

use super::Cx;
use crate::activity::ActivityOptions;
use crate::codec::{self, CodecError};
use crate::error::{AppError, CallError, Error, RemoteError};
use crate::failure;
use crate::replay::command::{Command, ScheduleActivity};
use crate::replay::state::{Resolution, RunState, Ticket};
use crate::retry::Retry;

/// An activity that is scheduled. Dropping it before it is finished asks the activity to stop.
#[must_use = "an activity whose call is dropped is cancelled; `.await` it, or `.detach()` it"]
pub struct Call<Out, E = Error> {
    state: Rc<RunState>,
    /// None if the input could not be encoded.
    ticket: Result<Ticket, CodecError>,
    settled: bool,
    types: PhantomData<fn() -> (Out, E)>,
}

impl<Out, E> Call<Out, E> {
    pub(super) fn schedule(
        cx: &Cx,
        name: &str,
        input: Result<Payloads, CodecError>,
        options: ActivityOptions,
    ) -> Self {
        let state = Rc::clone(&cx.state);
        let ticket = input.map(|input| {
            state.schedule_activity(format!("call({name})"), |seq| ScheduleActivity {
                seq,
                name: name.to_owned(),
                input,
                own_queue: cx.info().task_queue.clone(),
                options,
            })
        });
        Self { state, ticket, settled: false, types: PhantomData }
    }

    /// How long one attempt may take.
    pub fn start_to_close(self, timeout: Duration) -> Self {
        self.configure(|options| options.start_to_close = Some(timeout))
    }

    /// How long all attempts together may take.
    pub fn schedule_to_close(self, timeout: Duration) -> Self {
        self.configure(|options| options.schedule_to_close = Some(timeout))
    }

    /// How long the task may wait for a worker.
    pub fn schedule_to_start(self, timeout: Duration) -> Self {
        self.configure(|options| options.schedule_to_start = Some(timeout))
    }

    /// How long the activity may be silent.
    pub fn heartbeat(self, timeout: Duration) -> Self {
        self.configure(|options| options.heartbeat = Some(timeout))
    }

    /// When a failed attempt is repeated.
    pub fn retry(self, retry: Retry) -> Self {
        self.configure(|options| options.retry = Some(retry))
    }

    /// The task queue, if it is not the workflow's.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.configure(|options| options.queue = Some(queue.into()))
    }

    /// What the call is for, to be shown by the web interface.
    pub fn summary(self, text: impl Into<String>) -> Self {
        self.configure(|options| options.summary = Some(text.into()))
    }

    /// Lets the activity go on although nobody waits for its result.
    pub fn detach(mut self) {
        self.settled = true;
    }

    fn configure(self, change: impl FnOnce(&mut ActivityOptions)) -> Self {
        if let Ok(ticket) = self.ticket {
            self.state.configure(ticket, |command| {
                if let Command::ScheduleActivity(schedule) = command {
                    change(&mut schedule.options);
                }
            });
        }
        self
    }
}

impl<Out: DeserializeOwned, E: AppError> Future for Call<Out, E> {
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

impl<Out, E> Drop for Call<Out, E> {
    fn drop(&mut self) {
        if !self.settled
            && let Ok(ticket) = self.ticket
        {
            self.state.abandon(ticket);
        }
    }
}

/// What the outcome of an activity means to its caller.
pub(super) fn outcome<Out: DeserializeOwned, E: AppError>(
    resolution: Resolution,
) -> Result<Out, CallError<E>> {
    match resolution {
        Resolution::Completed(result) => {
            codec::decode_one(result.as_ref()).map_err(|error| CallError::Other(codec_error(&error)))
        }
        Resolution::Failed(failure) => Err(failure::to_call_error(failure.as_deref())),
        Resolution::Cancelled | Resolution::Fired => Err(CallError::Cancelled),
    }
}

pub(super) fn codec_error(error: &CodecError) -> RemoteError {
    RemoteError { kind: "Codec".into(), message: error.to_string(), retryable: false, cause: None }
}
