//! A snapshot on its way: one stream of pieces, beside the stream of the other messages.
//!
//! The file is read and written on threads that may block, a few pieces ahead of the network. The
//! receiver installs nothing before it has the whole file, synced and checked; a transfer that breaks
//! off leaves nothing behind.

use std::time::Duration;

use bytes::Bytes;
use everlog_proto::cluster as proto;
use everlog_raft_store::SnapshotData;
use openraft::RPCTypes;
use openraft::errors::{NetworkError, StreamingError, Timeout, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::{C, Groups, wire};
use crate::peer::Peers;

/// A whole transfer and its installation may take so long.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);
/// A sender may be silent for so long before its transfer is given up.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pieces that are read ahead of the network, or received ahead of the disk.
const PIECES_AHEAD: usize = 4;

/// Sends a snapshot and waits until it is installed.
pub(super) async fn send(
    peers: &Peers,
    group: u64,
    target: u64,
    vote: VoteOf<C>,
    snapshot: SnapshotOf<C, SnapshotData>,
    option: RPCOption,
) -> Result<SnapshotResponse<C>, StreamingError<C>> {
    let lost = |why: String| StreamingError::Network(NetworkError::from_string(why));
    let gone = |why: String| StreamingError::Unreachable(Unreachable::from_string(why));
    let header = wire::snapshot_header(&vote, &snapshot.meta).map_err(|error| lost(error.to_string()))?;
    let pieces =
        snapshot.snapshot.chunks().map_err(|error| lost(format!("the snapshot cannot be read: {error}")))?;

    let (queue, outbound) = mpsc::channel(PIECES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || read(group, header, pieces, &queue));
    let mut client = peers.snapshot_client(target).map_err(|error| gone(error.to_string()))?;
    let mut request = Request::new(ReceiverStream::new(outbound));
    peers.address(&mut request, target).map_err(|status| gone(status.message().to_owned()))?;
    let timeout = option.soft_ttl();
    let reply = tokio::time::timeout(timeout, client.snapshot(request)).await;
    // The pieces end when the call has ended, one way or the other.
    let read = reading.await.map_err(|error| lost(error.to_string()))?;
    match reply {
        Ok(Ok(reply)) => {
            let higher = wire::vote_back(reply.into_inner().vote).map_err(|error| lost(error.to_string()))?;
            Ok(SnapshotResponse::new(higher))
        }
        Ok(Err(status)) => {
            let why = match read {
                Err(error) => format!("the snapshot cannot be read: {error}"),
                Ok(()) => status.message().to_owned(),
            };
            Err(if status.code() == Code::Unavailable { gone(why) } else { lost(why) })
        }
        Err(_) => Err(StreamingError::Timeout(Timeout {
            action: RPCTypes::InstallSnapshot,
            id: peers.identity().node_id,
            target,
            timeout,
        })),
    }
}

/// Puts the header and then the pieces into the queue, until nobody takes them any more.
fn read(
    group: u64,
    header: proto::SnapshotHeader,
    pieces: impl Iterator<Item = std::io::Result<Bytes>>,
    queue: &mpsc::Sender<proto::SnapshotChunk>,
) -> std::io::Result<()> {
    let first = proto::SnapshotChunk { group, header: Some(header), data: Bytes::new() };
    if queue.blocking_send(first).is_err() {
        return Ok(());
    }
    for piece in pieces {
        // Without its end the receiver refuses the file, so an error needs no message of its own.
        if queue.blocking_send(proto::SnapshotChunk { group, header: None, data: piece? }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Receives a snapshot, and installs it if its sender may still lead.
pub(super) async fn receive(
    from: u64,
    groups: &Groups,
    mut pieces: Streaming<proto::SnapshotChunk>,
) -> Result<proto::SnapshotReply, Status> {
    let first = next(&mut pieces).await?.ok_or_else(|| Status::invalid_argument("the snapshot is empty"))?;
    let malformed = |error: wire::Error| Status::invalid_argument(error.to_string());
    let (vote, meta) = wire::snapshot_header_back(first.header).map_err(malformed)?;
    let group = groups.get(first.group).map_err(|error| Status::not_found(error.to_string()))?;

    let unwritten = |error: std::io::Error| Status::internal(format!("the snapshot cannot be kept: {error}"));
    let mut file = groups.store().receive_snapshot().map_err(unwritten)?;
    let (queue, mut received) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = received.blocking_recv() {
            file.write(&piece)?;
        }
        Ok::<_, std::io::Error>(file)
    });
    while let Some(piece) = next(&mut pieces).await? {
        if queue.send(piece.data).await.is_err() {
            break;
        }
    }
    drop(queue);
    let file = writing.await.map_err(|error| Status::internal(error.to_string()))?.map_err(unwritten)?;
    let data = tokio::task::spawn_blocking(move || file.finish())
        .await
        .map_err(|error| Status::internal(error.to_string()))?
        .map_err(|error| Status::data_loss(format!("the snapshot arrived damaged: {error}")))?;
    tracing::info!(
        group = group.id(),
        from,
        index = meta.last_log_id.map(|id| id.index),
        "snapshot received"
    );
    let snapshot = SnapshotOf::<C, SnapshotData> { meta, snapshot: data };
    let reply = group
        .raft()
        .install_full_snapshot(vote, snapshot)
        .await
        .map_err(|error| Status::unavailable(format!("the group has stopped: {error}")))?;
    Ok(proto::SnapshotReply { vote: Some(wire::vote(&reply.vote)) })
}

async fn next(pieces: &mut Streaming<proto::SnapshotChunk>) -> Result<Option<proto::SnapshotChunk>, Status> {
    tokio::time::timeout(PIECE_TIMEOUT, pieces.message())
        .await
        .map_err(|_| Status::deadline_exceeded("the sender of the snapshot is silent"))?
}
