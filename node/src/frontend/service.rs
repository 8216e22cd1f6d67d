//! The way that every call takes, whatever it asks.
//!
//! Read the message, find the method, admit the call, let the handler answer, write the answer. What can
//! go wrong on that way goes wrong here once for all methods: a broken message, an unknown method, an
//! expired deadline, a handler that panics. None of it stops the node.

mod admission;
mod methods;

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body, server::NamedService};

use super::{
    Shared,
    call::{self, Answer, Call},
    status,
    wire::{self, Encoding, FORWARDED_BYTES_MAX, MESSAGE_BYTES_MAX},
};

pub const WORKFLOW_SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
pub const OPERATOR_SERVICE: &str = "temporal.api.operatorservice.v1.OperatorService";

/// How long a request's message may take to arrive.
const MESSAGE_WAIT_MAX: Duration = Duration::from_secs(60);

/// A method that is served.
struct Method {
    /// `/package.Service/Name`
    path: &'static str,
    operation: &'static str,
    run: fn(Call) -> BoxFuture<'static, Answer>,
}

/// Who calls: a client, or another node on behalf of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Client,
    Node,
}

#[derive(Clone)]
struct Api {
    shared: Arc<Shared>,
    origin: Origin,
}

impl Api {
    async fn serve(self, request: Request<Body>) -> Response<Body> {
        if !wire::is_grpc(&request) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let encoding = match Encoding::of(request.headers()) {
            Ok(encoding) => encoding,
            Err(status) => return wire::refusal(&status),
        };
        let Some(method) = methods::find(request.uri().path()) else {
            return wire::refusal(&unknown_method(request.uri().path()));
        };
        match observed(self.shared.clone(), method, self.run(method, request, encoding)).await {
            Ok(message) => wire::answer(&message, encoding),
            Err(status) => wire::refusal(&status),
        }
    }

    async fn run(self, method: &'static Method, request: Request<Body>, encoding: Encoding) -> Answer {
        let (head, body) = request.into_parts();
        let arrived = Instant::now();
        let timeout = call::timeout(&head.headers)?;
        let deadline = timeout.map(|timeout| arrived + timeout);
        let bytes_max = match self.origin {
            Origin::Client => MESSAGE_BYTES_MAX,
            Origin::Node => FORWARDED_BYTES_MAX,
        };
        let read_until = deadline.unwrap_or(arrived + MESSAGE_WAIT_MAX).min(arrived + MESSAGE_WAIT_MAX);
        let message = timeout_at(read_until, wire::read(body, encoding, bytes_max))
            .await
            .map_err(|_| deadline_exceeded())??;
        handled(self.shared, method, &head.headers, message, deadline, self.origin).await
    }
}

/// Asks what a client asks that does not speak gRPC: by the method's full path, with the headers that a gRPC
/// call would have and the message that it would carry.
pub(super) async fn ask(shared: Arc<Shared>, path: &str, headers: &HeaderMap, message: Bytes) -> Answer {
    let method = methods::find(path).ok_or_else(|| unknown_method(path))?;
    let arrived = Instant::now();
    observed(shared.clone(), method, async move {
        let deadline = call::timeout(headers)?.map(|timeout| arrived + timeout);
        handled(shared, method, headers, message, deadline, Origin::Client).await
    })
    .await
}

/// Counts and times a call, and lives through its panic.
async fn observed(shared: Arc<Shared>, method: &Method, call: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    shared.observer.began(method.operation);
    let answer = AssertUnwindSafe(call).catch_unwind().await;
    let answer = answer.unwrap_or_else(|panic| {
        let reason = panic_text(panic.as_ref());
        tracing::error!(operation = method.operation, reason, "a handler panicked");
        Err(Status::internal("something went wrong inside, please retry"))
    });
    let answer = answer.map_err(status::with_short_text);
    let error = answer.as_ref().err().map(|status| code_name(status.code()));
    shared.observer.ended(method.operation, began.elapsed(), error);
    answer
}

/// Lets a call's handler answer, for as long as the caller waits.
async fn handled(
    shared: Arc<Shared>,
    method: &Method,
    headers: &HeaderMap,
    message: Bytes,
    deadline: Option<Instant>,
    origin: Origin,
) -> Answer {
    let call = Call {
        shared,
        operation: method.operation,
        path: method.path,
        message,
        metadata: call::forwarded_metadata(headers),
        client: call::client(headers),
        deadline,
        forwarded: origin == Origin::Node,
    };
    match deadline {
        Some(deadline) => {
            timeout_at(deadline, (method.run)(call)).await.unwrap_or_else(|_| Err(deadline_exceeded()))
        }
        None => (method.run)(call).await,
    }
}

fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

fn unknown_method(path: &str) -> Status {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
    Status::unimplemented(format!("unknown method {method} for service {service}"))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

/// The code's name as it is written in metrics.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "canceled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// One service by its name, for tonic's router.
macro_rules! named_service {
    ($service:ident, $name:expr) => {
        #[derive(Clone)]
        pub struct $service(Api);

        impl $service {
            /// For clients.
            pub fn public(shared: Arc<Shared>) -> $service {
                $service(Api { shared, origin: Origin::Client })
            }

            /// For calls that other nodes forward.
            pub fn forwarded(shared: Arc<Shared>) -> $service {
                $service(Api { shared, origin: Origin::Node })
            }
        }

        impl NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl tower::Service<Request<Body>> for $service {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                Box::pin(self.0.clone().serve(request).map(Ok))
            }
        }
    };
}

named_service!(WorkflowApi, WORKFLOW_SERVICE);
named_service!(OperatorApi, OPERATOR_SERVICE);
