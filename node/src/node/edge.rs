//! The edge where calls come in: each gets an answer, also when the node stops, and also when it has a bug.
//!
//! A poll waits for a minute, here or at the node where its queue lives. When the node stops it ends empty, as
//! it would have at its end, and the worker polls another node. Whatever else is still under way after a
//! moment ends with UNAVAILABLE, which clients repeat elsewhere. A connection that is cut instead is an error
//! that not every client knows how to take.
//!
//! A panic concerns the one call in which it happened, which ends with INTERNAL. What shards and groups do
//! is done elsewhere: their panics end the node.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;
use tonic::{Status, body::Body};

use super::risen;

/// The polls of this node's own queues are ended by the queues, which know what was just handed out.
const POLLS_END_AFTER: Duration = Duration::from_millis(200);
const CALLS_END_AFTER: Duration = Duration::from_secs(1);

/// Calls whose empty answer says that there was nothing to do.
const POLLS: [&str; 3] = ["PollWorkflowTaskQueue", "PollActivityTaskQueue", "PollNexusTaskQueue"];

/// Sees to it that each call is answered.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) stopping: watch::Receiver<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Answering<S> {
    inner: S,
    stopping: watch::Receiver<bool>,
}

impl<S> tower::Layer<S> for Edge {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { inner, stopping: self.stopping.clone() }
    }
}

impl<S, B> tower::Service<http::Request<B>> for Answering<S>
where
    S: tower::Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let is_poll = request.uri().path().rsplit('/').next().is_some_and(|method| POLLS.contains(&method));
        let mut stopping = self.stopping.clone();
        // A poll that comes now would only come again at once.
        let is_late = *stopping.borrow();
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let over = async {
                risen(&mut stopping).await;
                tokio::time::sleep(if is_poll { POLLS_END_AFTER } else { CALLS_END_AFTER }).await;
            };
            tokio::select! {
                answer = answer => answer.unwrap_or_else(|_| Ok(panicked())),
                () = over => Ok(if is_poll && !is_late { empty() } else { stopped() }),
            }
        })
    }
}

fn stopped() -> http::Response<Body> {
    Status::unavailable("this node is stopping, try another one").into_http()
}

/// What went wrong is in the log, where the panic was reported.
fn panicked() -> http::Response<Body> {
    Status::internal("this is a bug of the server").into_http()
}

/// A message without fields, and the status that says that all is well.
fn empty() -> http::Response<Body> {
    const MESSAGE: &[u8] = &[0; 5];
    let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from_static(MESSAGE)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    use everlog_proto::api::workflowservice::v1::PollWorkflowTaskQueueResponse;
    use prost::Message as _;
    use tower::{Layer as _, Service as _};

    use super::*;

    /// Calls a service that never answers, and stops the node meanwhile, or before.
    async fn call(path: &str, stop_before: bool) -> http::Response<Body> {
        let (stop, stopping) = watch::channel(stop_before);
        let never = tower::service_fn(|_: http::Request<Body>| std::future::pending());
        let mut service = Edge { stopping }.layer(never);
        let request = http::Request::builder().uri(path).body(Body::empty()).expect("a request");
        let call = tokio::spawn(service.call(request));
        tokio::task::yield_now().await;
        stop.send_replace(true);
        call.await.expect("no panic").expect("an answer")
    }

    const POLL: &str = "/temporal.api.workflowservice.v1.WorkflowService/PollWorkflowTaskQueue";
    const SIGNAL: &str = "/temporal.api.workflowservice.v1.WorkflowService/SignalWorkflowExecution";

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_waits_ends_empty() {
        let response = call(POLL, false).await;
        let collected = response.into_body().collect().await.expect("a body");
        let trailers = collected.trailers().expect("trailers").clone();
        assert_eq!(trailers[&Status::GRPC_STATUS], "0");
        let body = collected.to_bytes();
        let message = PollWorkflowTaskQueueResponse::decode(&body[5..]).expect("a message");
        assert_eq!(message, PollWorkflowTaskQueueResponse::default());
    }

    #[tokio::test(start_paused = true)]
    async fn everything_else_may_be_repeated_elsewhere() {
        for (path, stop_before) in [(SIGNAL, false), (SIGNAL, true), (POLL, true)] {
            let status = call(path, stop_before).await.headers()[&Status::GRPC_STATUS].clone();
            assert_eq!(status, "14", "{path}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_too() {
        let (_stop, stopping) = watch::channel(false);
        let panics = tower::service_fn(|_: http::Request<Body>| async { panic!("as it is meant to") });
        let mut service = Edge { stopping }.layer(panics);
        let response = service.call(http::Request::new(Body::empty())).await.expect("an answer");
        assert_eq!(response.headers()[&Status::GRPC_STATUS], "13");
    }
}
