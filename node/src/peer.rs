//! One connection to each other node, and the port where they call this one.
//!
//! Everything that two nodes say to each other goes over one HTTP/2 connection in each direction: the
//! Raft traffic of all groups (a single stream, see [`link`]), snapshots, the engine's internal
//! requests, and calls of the public API that belong to another node's shard. Each call names the
//! cluster and the node it is meant for, so that a wrong address or a node of another cluster is found
//! at once and not after it has voted.
//!
//! What is deliberately absent: retries. A caller knows what may be repeated; this module only says
//! honestly what happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use everlog_proto::cluster as proto;
use futures::future::BoxFuture;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::metrics::Metrics;

mod codec;
mod connection;
mod link;
mod server;

pub use connection::{admin_client, endpoint};
pub use link::{Link, LinkError};
pub use server::{Inbox, PeerService, routes, serve};

/// The metadata key with the cluster that a call is meant for.
pub const CLUSTER_ID: &str = "everlog-cluster-id";
/// The metadata key with the node that a call is meant for.
pub const TARGET: &str = "everlog-target";
/// The metadata key with the node that calls.
pub const FROM: &str = "everlog-from";
/// The metadata key of a public call that another node forwarded: it is answered or refused here, and
/// never forwarded again. The API port removes it, so a client cannot pretend.
pub const FORWARDED: &str = "everlog-forwarded";
/// The metadata key of a refusal that is known to have changed nothing: the call may be made again,
/// whatever it does.
pub const NOT_APPLIED: &str = "everlog-not-applied";

/// Largest message between two nodes: a batch of entries that ends with the largest legal one.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How long an internal request may take, unless the caller says otherwise.
pub const INTERNAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node may take to say how it is.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// Marks a failed call as one that reached nobody, such as a connection that was refused.
pub fn not_applied(message: impl Into<String>) -> Status {
    let mut status = Status::unavailable(message);
    status.metadata_mut().insert(NOT_APPLIED, MetadataValue::from_static("1"));
    status
}

/// Answers the engine's internal requests from other nodes.
#[tonic::async_trait]
pub trait InternalHandler: Send + Sync + 'static {
    async fn handle(&self, from: u64, request: Bytes) -> Result<Bytes, Status>;
}

/// Answers public calls that other nodes forwarded. It gets the call as it came over the wire, marked
/// with [`FORWARDED`].
pub trait ForwardHandler: Send + Sync + 'static {
    fn handle(
        &self,
        request: http::Request<tonic::body::Body>,
    ) -> BoxFuture<'static, http::Response<tonic::body::Body>>;
}

/// The services of the public API are themselves the natural handler.
impl ForwardHandler for tonic::service::Routes {
    fn handle(
        &self,
        request: http::Request<tonic::body::Body>,
    ) -> BoxFuture<'static, http::Response<tonic::body::Body>> {
        use tower::Service as _;
        let mut routes = self.clone();
        Box::pin(async move {
            match routes.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    }
}

/// Who this node is. The cluster id is settled once, at the latest when the cluster is formed.
#[derive(Clone, Debug)]
pub struct Identity {
    pub node_id: u64,
    cluster_id: Arc<OnceLock<String>>,
}

impl Identity {
    pub fn new(node_id: u64, cluster_id: Option<String>) -> Self {
        let cell = OnceLock::new();
        if let Some(cluster_id) = cluster_id {
            cell.get_or_init(|| cluster_id);
        }
        Self { node_id, cluster_id: Arc::new(cell) }
    }

    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }

    /// Settles the cluster id; false if it already is another one.
    pub fn settle(&self, cluster_id: &str) -> bool {
        self.cluster_id.get_or_init(|| cluster_id.to_owned()) == cluster_id
    }
}

/// The connections to all other nodes. A cheap handle.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    clock: Clock,
    metrics: Metrics,
    table: Mutex<BTreeMap<u64, Arc<Peer>>>,
    handlers: RwLock<Option<Handlers>>,
}

/// Who answers what other nodes send.
#[derive(Clone)]
pub struct Handlers {
    pub internal: Arc<dyn InternalHandler>,
    pub forward: Arc<dyn ForwardHandler>,
}

/// Handlers that are in place for as long as this is held. Handlers tend to know the peers, who know the
/// handlers: letting go of this is what ends that circle.
#[must_use = "the handlers go when this is dropped"]
pub struct Installed(Peers);

impl Drop for Installed {
    fn drop(&mut self) {
        *self.0.inner.handlers.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The connection to one node.
struct Peer {
    address: String,
    /// An operator said so, here.
    is_configured: bool,
    channel: tonic::transport::Channel,
    link: Link,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("node {0} is not known here")]
    UnknownNode(u64),
    #[error("`{0}` is not an address")]
    Address(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        not_applied(error.to_string())
    }
}

impl Peers {
    pub fn new(identity: Identity, clock: Clock, metrics: Metrics) -> Self {
        Self {
            inner: Arc::new(Inner {
                identity,
                clock,
                metrics,
                table: Mutex::default(),
                handlers: RwLock::default(),
            }),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Makes a node known under the address that this node's configuration says. Nothing is sent before it
    /// is needed.
    pub fn configure(&self, node: u64, address: &str) -> Result<(), Error> {
        self.add(node, address, true)
    }

    /// Makes a node known under the address that the groups have for it, unless the configuration says
    /// otherwise: it may be newer, and how a node is reached may depend on from where.
    pub fn learn(&self, node: u64, address: &str) -> Result<(), Error> {
        self.add(node, address, false)
    }

    fn add(&self, node: u64, address: &str, is_configured: bool) -> Result<(), Error> {
        if node == self.inner.identity.node_id {
            return Ok(());
        }
        let mut table = self.table();
        let stays = |peer: &Arc<Peer>| peer.address == address || (peer.is_configured && !is_configured);
        if table.get(&node).is_some_and(stays) {
            return Ok(());
        }
        let channel = endpoint(address)?.connect_lazy();
        let link = Link::start(
            self.inner.identity.clone(),
            node,
            channel.clone(),
            self.inner.clock,
            self.inner.metrics.clone(),
        );
        table.insert(node, Arc::new(Peer { address: address.to_owned(), is_configured, channel, link }));
        Ok(())
    }

    /// The Raft stream to a node.
    pub fn link(&self, node: u64) -> Result<Link, Error> {
        Ok(self.peer(node)?.link.clone())
    }

    /// Whether the Raft stream to a node has been up for at least so long.
    pub fn up_for(&self, node: u64, at_least: Duration) -> bool {
        node == self.inner.identity.node_id || self.peer(node).is_ok_and(|peer| peer.link.up_for(at_least))
    }

    /// The other nodes that are known.
    pub fn known(&self) -> Vec<(u64, String)> {
        self.table().iter().map(|(node, peer)| (*node, peer.address.clone())).collect()
    }

    /// Settles who answers what other nodes send. Until then they are told to come back.
    pub fn install(&self, handlers: Handlers) -> Installed {
        *self.inner.handlers.write().unwrap_or_else(PoisonError::into_inner) = Some(handlers);
        Installed(self.clone())
    }

    fn handlers(&self) -> Result<Handlers, Status> {
        let handlers = self.inner.handlers.read().unwrap_or_else(PoisonError::into_inner).clone();
        handlers.ok_or_else(|| not_applied("this node is still starting, or about to stop"))
    }

    /// One internal request to a node; this node answers its own requests without the network.
    pub async fn internal(&self, node: u64, request: Bytes) -> Result<Bytes, Status> {
        self.internal_within(node, request, INTERNAL_TIMEOUT).await
    }

    pub async fn internal_within(
        &self,
        node: u64,
        request: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Status> {
        if node == self.inner.identity.node_id {
            return self.handlers()?.internal.handle(node, request).await;
        }
        let peer = self.peer(node)?;
        let mut client = connection::peer_client(peer.channel.clone());
        let mut request = Request::new(proto::InternalMessage { payload: request });
        connection::address(&mut request, &self.inner.identity, node)?;
        request.set_timeout(timeout);
        let answer = connection::within(timeout, client.internal(request)).await?;
        Ok(answer.into_inner().payload)
    }

    /// One call of the public API, answered by another node as if it had been called there. `path` is
    /// the full method name with its leading slash. Status details and metadata come back as they are.
    pub async fn forward(
        &self,
        node: u64,
        path: &str,
        request: Bytes,
        metadata: MetadataMap,
        timeout: Duration,
    ) -> Result<Response<Bytes>, Status> {
        let peer = self.peer(node)?;
        let path = http::uri::PathAndQuery::try_from(path)
            .map_err(|_| Status::internal(format!("`{path}` is not a method")))?;
        let mut request = Request::from_parts(metadata, http::Extensions::default(), request);
        connection::address(&mut request, &self.inner.identity, node)?;
        request.metadata_mut().insert(FORWARDED, connection::number(self.inner.identity.node_id));
        request.set_timeout(timeout);
        let mut client = tonic::client::Grpc::new(peer.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        connection::within(timeout, async {
            client.ready().await.map_err(|error| not_applied(format!("node {node}: {error}")))?;
            client.unary(request, path, codec::Raw).await
        })
        .await
    }

    /// A node's own account of itself.
    pub async fn status(&self, node: u64) -> Result<proto::StatusReply, Status> {
        let peer = self.peer(node)?;
        let mut client = connection::admin_over(peer.channel.clone());
        let reply =
            connection::within(STATUS_TIMEOUT, client.status(proto::StatusRequest {})).await?.into_inner();
        if reply.node_id != node {
            return Err(Status::failed_precondition(format!(
                "{} is node {} and not node {node}",
                peer.address, reply.node_id
            )));
        }
        Ok(reply)
    }

    /// Gives a node without a cluster its cluster id.
    pub async fn adopt(&self, node: u64, cluster_id: &str) -> Result<(), Status> {
        let peer = self.peer(node)?;
        let mut client = connection::admin_over(peer.channel.clone());
        let request =
            proto::AdoptRequest { cluster_id: cluster_id.to_owned(), from: self.inner.identity.node_id };
        connection::within(INTERNAL_TIMEOUT, client.adopt(request)).await?;
        Ok(())
    }

    /// The channel to a node and the request made ready for it, for the snapshot transfer.
    pub(crate) fn snapshot_client(
        &self,
        node: u64,
    ) -> Result<proto::peer_client::PeerClient<tonic::transport::Channel>, Error> {
        Ok(connection::peer_client(self.peer(node)?.channel.clone()))
    }

    /// Writes on a request whom it is meant for.
    pub(crate) fn address<T>(&self, request: &mut Request<T>, node: u64) -> Result<(), Status> {
        connection::address(request, &self.inner.identity, node)
    }

    fn peer(&self, node: u64) -> Result<Arc<Peer>, Error> {
        self.table().get(&node).cloned().ok_or(Error::UnknownNode(node))
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Peer>>> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
