//! The peer port: Raft traffic, internal requests, forwarded public calls, and an operator's questions.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use everlog_proto::cluster as proto;
use everlog_proto::cluster::raft_message::Body;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{FutureExt as _, Stream};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{CLUSTER_ID, FORWARDED, FROM, Identity, MESSAGE_BYTES_MAX, Peers, TARGET, not_applied};
use crate::node::risen;

/// Requests of one stream that are being handled; then the stream is not read further.
const HANDLING_MAX: usize = 4_096;
/// Frames of answers that wait to be sent.
const ANSWERS_MAX: usize = 16;
/// Messages of one frame of answers.
const FRAME_MESSAGES_MAX: usize = 128;

/// Who handles Raft messages. The call puts the message in the group's line before it returns; the
/// future is the answer.
pub trait Inbox: Send + Sync + 'static {
    fn handle(&self, from: u64, group: u64, body: Body) -> BoxFuture<'static, Body>;

    fn snapshot(
        &self,
        from: u64,
        chunks: Streaming<proto::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<proto::SnapshotReply, Status>>;
}

/// The service that other nodes call.
pub struct PeerService {
    peers: Peers,
    inbox: Arc<dyn Inbox>,
}

/// All services of the peer port; what none of them knows is a forwarded public call.
pub fn routes<A: proto::admin_server::Admin>(peers: &Peers, inbox: Arc<dyn Inbox>, admin: A) -> Routes {
    let peer = proto::peer_server::PeerServer::new(PeerService { peers: peers.clone(), inbox })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let admin = proto::admin_server::AdminServer::new(admin);
    let peers = peers.clone();
    let router = Routes::new(peer).add_service(admin).into_axum_router().fallback_service(tower::service_fn(
        move |request: http::Request<axum::body::Body>| {
            forwarded(peers.clone(), request.map(tonic::body::Body::new))
                .map(Ok::<_, std::convert::Infallible>)
        },
    ));
    Routes::from(router)
}

/// Serves until `stop` becomes true.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(std::time::Duration::from_secs(5)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_routes(routes)
        // The builder's own `tcp_nodelay` is ignored for a listener that is handed over.
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            risen(&mut stop).await;
        })
        .await
}

/// Gives a public call to whoever serves the public API here.
async fn forwarded(
    peers: Peers,
    request: http::Request<tonic::body::Body>,
) -> http::Response<tonic::body::Body> {
    let metadata = MetadataMap::from_headers(request.headers().clone());
    if let Err(status) = check(&peers.inner.identity, &metadata) {
        return status.into_http();
    }
    if metadata.get(FORWARDED).is_none() {
        return Status::unimplemented("clients are served on another port").into_http();
    }
    match peers.handlers() {
        Ok(handlers) => handlers.forward.handle(request).await,
        Err(status) => status.into_http(),
    }
}

/// Refuses what is meant for another cluster or another node. Returns the node that calls.
fn check(me: &Identity, metadata: &MetadataMap) -> Result<u64, Status> {
    let text = |key| metadata.get(key).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(cluster_id) = me.cluster_id() else {
        return Err(not_applied(format!("node {} does not belong to a cluster yet", me.node_id)));
    };
    if text(CLUSTER_ID) != cluster_id {
        return Err(stranger(format!(
            "node {} belongs to cluster {cluster_id}, and the call is meant for cluster {}",
            me.node_id,
            text(CLUSTER_ID)
        )));
    }
    if text(TARGET).parse() != Ok(me.node_id) {
        return Err(stranger(format!(
            "this is node {}, and the call is meant for node {}",
            me.node_id,
            text(TARGET)
        )));
    }
    text(FROM).parse().map_err(|_| stranger("the call does not say which node calls".to_owned()))
}

/// The refusal of a call that came to the wrong place. It was not carried out, and whoever forwarded it
/// must not take this for the answer.
fn stranger(why: String) -> Status {
    let mut status = not_applied("");
    let metadata = std::mem::take(status.metadata_mut());
    Status::with_metadata(Code::FailedPrecondition, why, metadata)
}

#[tonic::async_trait]
impl proto::peer_server::Peer for PeerService {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<proto::LinkFrame, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<proto::LinkFrame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let from = check(&self.peers.inner.identity, request.metadata())?;
        let (answers, outbound) = mpsc::channel(ANSWERS_MAX);
        tokio::spawn(answer_link(from, request.into_inner(), answers, self.inbox.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotChunk>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        let from = check(&self.peers.inner.identity, request.metadata())?;
        self.inbox.snapshot(from, request.into_inner()).await.map(Response::new)
    }

    async fn internal(
        &self,
        request: Request<proto::InternalMessage>,
    ) -> Result<Response<proto::InternalMessage>, Status> {
        let from = check(&self.peers.inner.identity, request.metadata())?;
        let handlers = self.peers.handlers()?;
        let payload: Bytes = handlers.internal.handle(from, request.into_inner().payload).await?;
        Ok(Response::new(proto::InternalMessage { payload }))
    }
}

/// Handles one stream: requests are started in their order, and answered as they are done.
async fn answer_link(
    from: u64,
    mut requests: Streaming<proto::LinkFrame>,
    answers: mpsc::Sender<Result<proto::LinkFrame, Status>>,
    inbox: Arc<dyn Inbox>,
) {
    let mut handling = FuturesUnordered::new();
    loop {
        tokio::select! {
            frame = requests.message(), if handling.len() < HANDLING_MAX => {
                let Ok(Some(frame)) = frame else { return };
                for proto::RaftMessage { id, group, body } in frame.messages {
                    let Some(body) = body else { continue };
                    let answer = inbox.handle(from, group, body);
                    handling.push(async move { proto::RaftMessage { id, group, body: Some(answer.await) } });
                }
            }
            Some(first) = handling.next(), if !handling.is_empty() => {
                let mut messages = vec![first];
                while messages.len() < FRAME_MESSAGES_MAX
                    && let Some(Some(next)) = handling.next().now_or_never()
                {
                    messages.push(next);
                }
                if answers.send(Ok(proto::LinkFrame { messages })).await.is_err() {
                    return;
                }
            }
        }
    }
}
