//! How the groups of this node reach those of the others.
//!
//! Entries are pipelined: a request is on its way as soon as the log has it, up to a bound, and answers
//! come back in order. The time that an answer may take is longer than the library's heartbeat allows,
//! because the follower answers after its disk did: on a slow disk a short limit would send the same
//! entries again and again, which makes the disk no faster. Heartbeats keep the short limit.

use std::time::Duration;

use everlog_proto::cluster::raft_message::Body;
use everlog_raft_store::{Member, SnapshotData};
use futures::{Stream, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use openraft::{OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2};

use super::{C, snapshot, wire};
use crate::peer::{LinkError, Peers};

/// Requests with entries on their way to one follower of one group.
const PIPELINE_DEPTH: usize = 32;
/// A follower's answer to entries may take so many times what the library allows for a heartbeat: with
/// the default heartbeat, 1.5 seconds.
const APPEND_PATIENCE: u32 = 10;
/// Pauses after a node could not be reached, growing from the first to the last.
const BACKOFF_MS: [u64; 5] = [50, 100, 200, 400, 800];

/// Makes the connections of one group.
pub(super) struct Network {
    group: u64,
    peers: Peers,
}

/// The connection of one group to one node.
pub(super) struct Connection {
    group: u64,
    target: u64,
    peers: Peers,
}

impl Network {
    pub(super) fn new(group: u64, peers: Peers) -> Self {
        Self { group, peers }
    }
}

impl RaftNetworkFactory<C> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &Member) -> Connection {
        if let Err(error) = self.peers.learn(target, &node.peer_address) {
            tracing::error!(group = self.group, target, %error, "the member's address cannot be used");
        }
        Connection { group: self.group, target, peers: self.peers.clone() }
    }
}

impl Connection {
    /// Puts a request in line now; the future is the answer.
    fn send(
        &self,
        action: RPCTypes,
        body: Result<Body, wire::Error>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Body, RPCError<C>>> + Send + use<> {
        let (group, target) = (self.group, self.target);
        let me = self.peers.identity().node_id;
        let answer = body.map_err(|error| error.to_string()).and_then(|body| {
            let link = self.peers.link(target).map_err(|error| error.to_string())?;
            Ok(link.request(group, body, timeout))
        });
        async move {
            match answer {
                Ok(answer) => answer.await.map_err(|error| failure(error, action, me, target)),
                Err(why) => Err(RPCError::Unreachable(Unreachable::from_string(why))),
            }
        }
    }

    fn append(
        &self,
        request: AppendEntriesRequest<C>,
        timeout: Duration,
    ) -> impl Future<Output = Result<AppendEntriesResponse<C>, RPCError<C>>> + Send + use<> {
        let answer = self.send(RPCTypes::AppendEntries, wire::append(request), timeout);
        async move {
            match answer.await? {
                Body::AppendReply(reply) => wire::append_reply_back(reply).map_err(malformed),
                _ => Err(unexpected()),
            }
        }
    }

    async fn ask(&self, body: Body, option: &RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        match self.send(RPCTypes::Vote, Ok(body), option.soft_ttl()).await? {
            Body::VoteReply(reply) => wire::vote_reply_back(reply).map_err(malformed),
            _ => Err(unexpected()),
        }
    }
}

impl RaftNetworkV2<C> for Connection {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        self.append(request, option.soft_ttl()).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C>, RPCError<C>>>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + OptionalSend + Unpin + 'static,
    {
        let timeout = option.soft_ttl() * APPEND_PATIENCE;
        let connection = &*self;
        let answers = input
            .map(move |request| {
                let first = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id).or(first);
                let answer = connection.append(request, timeout);
                async move { Ok(answer.await?.into_stream_result(first, last)) }
            })
            .buffered(PIPELINE_DEPTH);
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(futures::future::ready(Ok(answers)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        self.ask(wire::vote_request(request, false), &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        self.ask(wire::vote_request(request, true), &option).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let body = Ok(wire::transfer(&request));
        match self.send(RPCTypes::TransferLeader, body, option.soft_ttl()).await? {
            Body::TransferReply(reply) => wire::transfer_reply_back(reply, &request).map_err(malformed),
            _ => Err(unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<C>,
        snapshot: SnapshotOf<C, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        tokio::select! {
            sent = snapshot::send(&self.peers, self.group, self.target, vote, snapshot, option) => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MS[BACKOFF_MS.len() - 1];
        let pauses = BACKOFF_MS.into_iter().chain(std::iter::repeat(last));
        Some(Backoff::new(pauses.map(Duration::from_millis)))
    }
}

fn failure(error: LinkError, action: RPCTypes, me: u64, target: u64) -> RPCError<C> {
    match error {
        LinkError::Down { .. } | LinkError::Refused { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        LinkError::Full { .. } => RPCError::Network(NetworkError::new(&error)),
        LinkError::Timeout { after, .. } => {
            RPCError::Timeout(Timeout { action, id: me, target, timeout: after })
        }
    }
}

fn malformed(error: wire::Error) -> RPCError<C> {
    RPCError::Network(NetworkError::new(&error))
}

fn unexpected() -> RPCError<C> {
    RPCError::Network(NetworkError::from_string("the answer does not fit the request"))
}
