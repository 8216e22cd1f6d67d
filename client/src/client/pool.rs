//! Calls to whichever node answers.
//!
//! A call is repeated only when it is known, or safe to assume, that repeating does no harm: when the
//! server says Unavailable, ResourceExhausted or Aborted, or when the connection broke before an answer
//! came. The latter is safe because every request that changes something carries an id or a task token. Waits between the attempts
//! grow and are random; there is a bound in time for each attempt and for all of them.

use std::error::Error as _;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everlog_proto::api::workflowservice::v1::workflow_service_client::WorkflowServiceClient;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::connect::Addresses;
use crate::error::ClientError;
use crate::retry::Backoff;
use crate::{SDK_NAME, SDK_VERSION};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer that does not answer a ping for the interval and the timeout together is taken for dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Histories come in pages of up to 4 MiB, and one event may be as large again.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Where there is another node to ask, an attempt gets only so long.
const ATTEMPT_WITH_OTHERS: Duration = Duration::from_secs(4);

pub(crate) type Stub = WorkflowServiceClient<InterceptedService<Channel, Headers>>;

/// Calls a method of the service: `rpc!(pool, plan, method, request)`.
macro_rules! rpc {
    ($pool:expr, $plan:expr, $method:ident, $request:expr) => {
        $pool.call($plan, $request, |mut stub, request| async move { stub.$method(request).await }).await
    };
}
pub(crate) use rpc;

/// The nodes of a cluster.
pub(crate) struct Pool {
    nodes: Vec<Node>,
    preferred: AtomicUsize,
    pub(crate) namespace: String,
    pub(crate) identity: String,
    pub(crate) deadline: Duration,
}

struct Node {
    address: String,
    stub: Stub,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    attempt: Option<Duration>,
    total: Option<Duration>,
}

impl Plan {
    /// An ordinary call, within the client's own deadline.
    pub(crate) fn quick() -> Self {
        Self { attempt: None, total: None }
    }

    /// A call that may take long, tried for `total`.
    pub(crate) fn slow(attempt: Duration, total: Duration) -> Self {
        Self { attempt: Some(attempt), total: Some(total) }
    }
}

/// A caller's own choice of a node, so that many callers spread over the nodes.
#[derive(Debug, Default)]
pub(crate) struct Route {
    at: AtomicUsize,
}

impl Route {
    pub(crate) fn new(at: usize) -> Self {
        Self { at: AtomicUsize::new(at) }
    }

    /// Takes the next node from now on.
    pub(crate) fn turn(&self) {
        self.at.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(
        addresses: Addresses,
        namespace: String,
        identity: String,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let headers = Headers::new(&namespace)?;
        let nodes: Result<Vec<_>, _> =
            addresses.into_iter().map(|address| Node::new(address, headers.clone())).collect();
        let nodes = nodes?;
        if nodes.is_empty() {
            return Err(ClientError::Address {
                address: String::new(),
                reason: "no address was given".into(),
            });
        }
        Ok(Self { nodes, preferred: AtomicUsize::new(0), namespace, identity, deadline })
    }

    /// The stub of the node that a route is at.
    pub(crate) fn stub(&self, route: &Route) -> Stub {
        self.nodes[route.at.load(Ordering::Relaxed) % self.nodes.len()].stub.clone()
    }

    /// Calls until there is an answer that would be the same the next time.
    pub(crate) async fn call<Req, Res, Send, Sent>(
        &self,
        plan: Plan,
        message: Req,
        send: Send,
    ) -> Result<Res, ClientError>
    where
        Req: Clone,
        Send: Fn(Stub, Request<Req>) -> Sent,
        Sent: Future<Output = Result<Response<Res>, Status>>,
    {
        let started = Instant::now();
        let total = plan.total.unwrap_or(self.deadline);
        let mut backoff = Backoff::new(FIRST_WAIT, WAIT_MAX);
        loop {
            let left = total.saturating_sub(started.elapsed());
            let attempt = match plan.attempt {
                Some(attempt) => attempt.min(left),
                None if self.nodes.len() > 1 => ATTEMPT_WITH_OTHERS.min(left),
                None => left,
            };
            let preferred = self.preferred.load(Ordering::Relaxed);
            let stub = self.nodes[preferred % self.nodes.len()].stub.clone();
            let mut request = Request::new(message.clone());
            request.set_timeout(attempt);
            let status = match tokio::time::timeout(attempt, send(stub, request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::unavailable(format!("no answer within {attempt:?}")),
            };
            let verdict = Verdict::of(&status);
            if verdict == Verdict::Final {
                return Err(status.into());
            }
            if verdict == Verdict::ElsewhereMaybe {
                // Only if nobody else has turned away from this node meanwhile.
                let next = preferred.wrapping_add(1);
                let _ =
                    self.preferred.compare_exchange(preferred, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            let wait = backoff.wait();
            if started.elapsed() + wait >= total {
                return Err(self.give_up(status, started.elapsed()));
            }
            tracing::debug!(%status, ?wait, "the call is tried again");
            tokio::time::sleep(wait).await;
        }
    }

    fn give_up(&self, status: Status, after: Duration) -> ClientError {
        match status.code() {
            Code::ResourceExhausted | Code::Aborted => status.into(),
            _ => {
                let addresses: Vec<_> = self.nodes.iter().map(|node| node.address.as_str()).collect();
                ClientError::Unreachable { after, addresses: addresses.join(", "), last: explain(&status) }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Final,
    Again,
    ElsewhereMaybe,
}

impl Verdict {
    pub(crate) fn of(status: &Status) -> Self {
        match status.code() {
            _ if is_too_large(status) => Verdict::Final,
            Code::ResourceExhausted | Code::Aborted => Verdict::Again,
            Code::Unavailable => Verdict::ElsewhereMaybe,
            // What a server says has no source; this came from the connection.
            _ if status.source().is_some() => Verdict::ElsewhereMaybe,
            _ => Verdict::Final,
        }
    }
}

/// Whether the server found the request too long to read at all.
pub(crate) fn is_too_large(status: &Status) -> bool {
    matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange)
        && (status.message().contains("message larger than max")
            || status.message().contains("message length too large"))
}

/// A status with the causes that its own text leaves out.
pub(crate) fn explain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = status.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        next = source.source();
    }
    text
}

impl Node {
    fn new(address: String, headers: Headers) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::Address { address: address.clone(), reason };
        let url = if address.contains("://") { address.clone() } else { format!("http://{address}") };
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| bad(error.to_string()))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .user_agent(format!("{SDK_NAME}/{SDK_VERSION}"))
            .map_err(|error| bad(error.to_string()))?;
        let endpoint = if url.starts_with("https://") { secure(endpoint, bad)? } else { endpoint };
        let stub = WorkflowServiceClient::with_interceptor(endpoint.connect_lazy(), headers)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { address, stub })
    }
}

#[cfg(feature = "tls")]
fn secure(endpoint: Endpoint, bad: impl Fn(String) -> ClientError) -> Result<Endpoint, ClientError> {
    let tls = tonic::transport::ClientTlsConfig::new().with_native_roots();
    endpoint.tls_config(tls).map_err(|error| bad(error.to_string()))
}

#[cfg(not(feature = "tls"))]
fn secure(_: Endpoint, bad: impl Fn(String) -> ClientError) -> Result<Endpoint, ClientError> {
    Err(bad("https needs the feature `tls` of everlog-client".into()))
}

/// The headers of every call.
#[derive(Debug, Clone)]
pub(crate) struct Headers {
    namespace: MetadataValue<Ascii>,
}

impl Headers {
    fn new(namespace: &str) -> Result<Self, ClientError> {
        let parsed = namespace.parse().map_err(|_| ClientError::Address {
            address: namespace.to_owned(),
            reason: "not a namespace".into(),
        });
        Ok(Self { namespace: parsed? })
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("client-name", MetadataValue::from_static(SDK_NAME));
        metadata.insert("client-version", MetadataValue::from_static(SDK_VERSION));
        metadata.insert("temporal-namespace", self.namespace.clone());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_repeated_is_repeated() {
        assert_eq!(Verdict::of(&Status::unavailable("")), Verdict::ElsewhereMaybe);
        assert_eq!(Verdict::of(&Status::resource_exhausted("")), Verdict::Again);
        assert_eq!(Verdict::of(&Status::aborted("")), Verdict::Again);
        for code in [Code::InvalidArgument, Code::NotFound, Code::Internal, Code::DeadlineExceeded] {
            assert_eq!(Verdict::of(&Status::new(code, "")), Verdict::Final, "{code}");
        }
        let long = Status::resource_exhausted("grpc: received message larger than max (5000000 vs. 4194304)");
        assert_eq!(Verdict::of(&long), Verdict::Final);
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        assert_eq!(Verdict::of(&broken), Verdict::ElsewhereMaybe);
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_is_reported_with_its_addresses() {
        let addresses = Addresses::from("127.0.0.1:1,127.0.0.1:2");
        let pool = Pool::new(addresses, "default".into(), "me".into(), Duration::from_millis(300)).unwrap();
        let request = everlog_proto::api::workflowservice::v1::GetSystemInfoRequest {};
        let started = Instant::now();
        let error = rpc!(pool, Plan::quick(), get_system_info, request).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(error.contains("127.0.0.1:1, 127.0.0.1:2"), "{error}");
    }
}
