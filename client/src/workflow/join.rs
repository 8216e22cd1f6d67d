//! Waiting for several futures, in an order that is written down.
//!
//! The combinators of other crates save polls by asking only those futures that were woken, and some of
//! them choose at random. Here every unfinished future is polled, in the order of the source, each time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future, or the result it left until it is asked for.
pub enum MaybeDone<F: Future> {
    /// Still running.
    Running(Pin<Box<F>>),
    /// Finished; `None` once the result was taken.
    Done(Option<F::Output>),
}

impl<F: Future> MaybeDone<F> {
    /// Wraps a future.
    pub fn new(future: impl IntoFuture<IntoFuture = F>) -> Self {
        MaybeDone::Running(Box::pin(future.into_future()))
    }

    /// Polls it unless it is finished. True if it is.
    pub fn poll_done(&mut self, context: &mut Context<'_>) -> bool {
        if let MaybeDone::Running(future) = self {
            let Poll::Ready(output) = future.as_mut().poll(context) else { return false };
            *self = MaybeDone::Done(Some(output));
        }
        true
    }

    /// The result, once.
    pub fn take(&mut self) -> Option<F::Output> {
        match self {
            MaybeDone::Running(_) => None,
            MaybeDone::Done(output) => output.take(),
        }
    }

    /// The result of a future that is known to be finished.
    ///
    /// # Panics
    /// If it is not.
    pub fn into_output(mut self) -> F::Output {
        match self.take() {
            Some(output) => output,
            None => panic!("the future is not finished"),
        }
    }
}

/// All of several futures; see [`Cx::join_all`](super::Cx::join_all).
#[must_use = "futures do nothing unless awaited"]
pub struct JoinAll<F: Future> {
    futures: Vec<MaybeDone<F>>,
}

impl<F: Future> JoinAll<F> {
    pub(super) fn new<I>(futures: I) -> Self
    where
        I: IntoIterator,
        I::Item: IntoFuture<IntoFuture = F>,
    {
        Self { futures: futures.into_iter().map(MaybeDone::new).collect() }
    }
}

impl<F: Future> Unpin for JoinAll<F> {}

impl<F: Future> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut all_done = true;
        for future in &mut self.futures {
            all_done &= future.poll_done(context);
        }
        if !all_done {
            return Poll::Pending;
        }
        Poll::Ready(self.futures.iter_mut().filter_map(MaybeDone::take).collect())
    }
}

/// The first of several futures; see [`Cx::select_all`](super::Cx::select_all).
#[must_use = "futures do nothing unless awaited"]
pub struct SelectAll<F> {
    futures: Vec<Pin<Box<F>>>,
}

impl<F: Future> SelectAll<F> {
    pub(super) fn new<I>(futures: I) -> Self
    where
        I: IntoIterator,
        I::Item: IntoFuture<IntoFuture = F>,
    {
        Self { futures: futures.into_iter().map(|future| Box::pin(future.into_future())).collect() }
    }
}

impl<F: Future> Future for SelectAll<F> {
    type Output = (usize, F::Output);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        for (position, future) in self.futures.iter_mut().enumerate() {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                self.futures.clear();
                return Poll::Ready((position, output));
            }
        }
        Poll::Pending
    }
}
