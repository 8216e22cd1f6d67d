//! How a connection to another node is made, and how a call says whom it is meant for.

use std::time::Duration;

use everlog_proto::cluster::{admin_client::AdminClient, peer_client::PeerClient};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::{CLUSTER_ID, Error, FROM, Identity, MESSAGE_BYTES_MAX, TARGET, not_applied};

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A silent connection is asked so often whether it is still there, and given up if it says nothing.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How much may be on its way to a reader that has not taken it, for one stream and for all. A snapshot
/// fills its own stream's window and leaves room for the others.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The one place that knows how a peer is dialled; TLS will be a parameter here.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| Error::Address(address.to_owned()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

/// A connection for an operator's questions.
pub async fn admin_client(address: &str) -> Result<AdminClient<Channel>, Status> {
    let channel = endpoint(address)?
        .connect()
        .await
        .map_err(|error| Status::unavailable(format!("cannot reach {address}: {}", root_cause(&error))))?;
    Ok(admin_over(channel))
}

pub(super) fn admin_over(channel: Channel) -> AdminClient<Channel> {
    AdminClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

pub(super) fn peer_client(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Writes on a request which node of which cluster it is meant for.
pub(super) fn address<T>(request: &mut Request<T>, me: &Identity, node: u64) -> Result<(), Status> {
    let cluster_id =
        me.cluster_id().ok_or_else(|| not_applied("this node does not belong to a cluster yet"))?;
    let cluster_id =
        cluster_id.parse().map_err(|_| Status::internal("the cluster id cannot be sent as metadata"))?;
    let metadata = request.metadata_mut();
    metadata.insert(CLUSTER_ID, cluster_id);
    metadata.insert(TARGET, number(node));
    metadata.insert(FROM, number(me.node_id));
    Ok(())
}

pub(super) fn number(value: u64) -> MetadataValue<Ascii> {
    MetadataValue::from(value)
}

/// Ends a call after so long, and calls a broken connection what it is. One that was never made is told
/// from one that broke: only in the second case can the call have been carried out.
pub(super) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(Err(status)) if is_caused_by::<tonic::ConnectError>(&status) => {
            Err(not_applied(format!("the node could not be reached: {}", root_cause(&status))))
        }
        Ok(Err(status)) if is_transport(&status) => {
            Err(Status::unavailable(format!("the connection to the node broke: {}", root_cause(&status))))
        }
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded("the node did not answer in time")),
    }
}

/// Whether the status was made on this side because the connection failed.
fn is_transport(status: &Status) -> bool {
    is_caused_by::<tonic::transport::Error>(status) || is_caused_by::<std::io::Error>(status)
}

fn is_caused_by<E: std::error::Error + 'static>(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The innermost reason, which is the one that helps.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
