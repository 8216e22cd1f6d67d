//! Raft messages between openraft's types and the ones that travel.
//!
//! What travels is ours (`cluster.proto`), so two neighbouring versions of Everlog understand each
//! other whatever the library does to its types, and an entry's bytes are not copied on their way in:
//! they stay a slice of the frame they came in.

use bytes::Bytes;
use everlog_proto::cluster as proto;
use everlog_proto::cluster::raft_message::Body;
use everlog_raft_store::{Member, Payload};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{EntryOf, LeaderIdOf, LogIdOf, SnapshotMetaOf, VoteOf};
use openraft::vote::{RaftLeaderId as _, RaftVote as _};
use openraft::{EntryPayload, LogId, Membership};

use super::C;

/// A message that does not say what it must.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("a message of another node lacks `{0}`")]
    Missing(&'static str),
    #[error("a message of another node cannot be read: {0}")]
    Malformed(#[from] bincode::Error),
}

pub(super) fn leader_id(term: u64, node: u64) -> openraft::type_config::alias::CommittedLeaderIdOf<C> {
    LeaderIdOf::<C>::new(term, node).to_committed()
}

pub(super) fn term(log_id: &LogIdOf<C>) -> u64 {
    log_id.leader_id.term
}

pub(super) fn vote_term(vote: &VoteOf<C>) -> u64 {
    vote.leader_id().term()
}

pub(super) fn vote_node(vote: &VoteOf<C>) -> u64 {
    *vote.leader_id().node_id()
}

pub(super) fn vote(vote: &VoteOf<C>) -> proto::Vote {
    proto::Vote { term: vote_term(vote), node: vote_node(vote), committed: vote.is_committed() }
}

pub(super) fn vote_back(vote: Option<proto::Vote>) -> Result<VoteOf<C>, Error> {
    let vote = vote.ok_or(Error::Missing("vote"))?;
    Ok(VoteOf::<C>::from_leader_id(LeaderIdOf::<C>::new(vote.term, vote.node), vote.committed))
}

fn log_id(log_id: &LogIdOf<C>) -> proto::LogId {
    proto::LogId { term: log_id.leader_id.term, node: log_id.leader_id.node_id, index: log_id.index }
}

fn log_id_back(log_id: proto::LogId) -> LogIdOf<C> {
    LogId::new(leader_id(log_id.term, log_id.node), log_id.index)
}

pub(super) fn append(request: AppendEntriesRequest<C>) -> Result<Body, Error> {
    Ok(Body::Append(proto::Append {
        vote: Some(vote(&request.vote)),
        prev: request.prev_log_id.as_ref().map(log_id),
        leader_commit: request.leader_commit.as_ref().map(log_id),
        entries: request.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
    }))
}

pub(super) fn append_back(append: proto::Append) -> Result<AppendEntriesRequest<C>, Error> {
    Ok(AppendEntriesRequest {
        vote: vote_back(append.vote)?,
        prev_log_id: append.prev.map(log_id_back),
        leader_commit: append.leader_commit.map(log_id_back),
        entries: append.entries.into_iter().map(entry_back).collect::<Result<_, _>>()?,
    })
}

fn entry(entry: EntryOf<C>) -> Result<proto::Entry, Error> {
    use proto::entry::Payload as Wire;
    let payload = match entry.payload {
        EntryPayload::Blank => Wire::Blank(true),
        EntryPayload::Normal(payload) => Wire::Normal(payload.bytes),
        EntryPayload::Membership(membership) => Wire::Membership(bincode::serialize(&membership)?.into()),
    };
    Ok(proto::Entry { log_id: Some(log_id(&entry.log_id)), payload: Some(payload) })
}

fn entry_back(entry: proto::Entry) -> Result<EntryOf<C>, Error> {
    use proto::entry::Payload as Wire;
    let payload = match entry.payload.ok_or(Error::Missing("entry.payload"))? {
        Wire::Blank(_) => EntryPayload::Blank,
        Wire::Normal(bytes) => EntryPayload::Normal(Payload::new(bytes)),
        Wire::Membership(bytes) => {
            EntryPayload::Membership(bincode::deserialize::<Membership<u64, Member>>(&bytes)?)
        }
    };
    let log_id = entry.log_id.map(log_id_back).ok_or(Error::Missing("entry.log_id"))?;
    Ok(EntryOf::<C> { log_id, payload })
}

pub(super) fn append_reply(reply: AppendEntriesResponse<C>) -> Body {
    use proto::append_reply::Outcome;
    let outcome = match reply {
        AppendEntriesResponse::Success => Outcome::Success(true),
        AppendEntriesResponse::PartialSuccess(Some(upto)) => Outcome::Partial(log_id(&upto)),
        // Nothing at all was accepted: the same as an answer without an end.
        AppendEntriesResponse::PartialSuccess(None) => {
            return Body::AppendReply(proto::AppendReply { outcome: None });
        }
        AppendEntriesResponse::Conflict => Outcome::Conflict(true),
        AppendEntriesResponse::HigherVote(higher) => Outcome::HigherVote(vote(&higher)),
    };
    Body::AppendReply(proto::AppendReply { outcome: Some(outcome) })
}

pub(super) fn append_reply_back(reply: proto::AppendReply) -> Result<AppendEntriesResponse<C>, Error> {
    use proto::append_reply::Outcome;
    Ok(match reply.outcome {
        Some(Outcome::Success(_)) => AppendEntriesResponse::Success,
        Some(Outcome::Partial(upto)) => AppendEntriesResponse::PartialSuccess(Some(log_id_back(upto))),
        Some(Outcome::Conflict(_)) => AppendEntriesResponse::Conflict,
        Some(Outcome::HigherVote(higher)) => AppendEntriesResponse::HigherVote(vote_back(Some(higher))?),
        None => AppendEntriesResponse::PartialSuccess(None),
    })
}

pub(super) fn vote_request(request: VoteRequest<C>, pre_vote: bool) -> Body {
    Body::Vote(proto::VoteRequest {
        vote: Some(vote(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
    })
}

pub(super) fn vote_request_back(request: proto::VoteRequest) -> Result<VoteRequest<C>, Error> {
    let mut back = VoteRequest::new(vote_back(request.vote)?, request.last_log_id.map(log_id_back));
    back.leadership_transfer = request.leadership_transfer;
    Ok(back)
}

pub(super) fn vote_reply(reply: VoteResponse<C>) -> Body {
    Body::VoteReply(proto::VoteReply {
        vote: Some(vote(&reply.vote)),
        granted: reply.vote_granted,
        last_log_id: reply.last_log_id.as_ref().map(log_id),
    })
}

pub(super) fn vote_reply_back(reply: proto::VoteReply) -> Result<VoteResponse<C>, Error> {
    Ok(VoteResponse::new(vote_back(reply.vote)?, reply.last_log_id.map(log_id_back), reply.granted))
}

pub(super) fn transfer(request: &TransferLeaderRequest<C>) -> Body {
    Body::Transfer(proto::Transfer {
        from_leader: Some(vote(request.from_leader())),
        to: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id),
    })
}

pub(super) fn transfer_back(transfer: proto::Transfer) -> Result<TransferLeaderRequest<C>, Error> {
    let from = vote_back(transfer.from_leader)?;
    Ok(TransferLeaderRequest::new(from, transfer.to, transfer.last_log_id.map(log_id_back)))
}

pub(super) fn transfer_reply(reply: TransferLeaderResponse<C>) -> Body {
    use proto::transfer_reply::Outcome;
    let outcome = match reply {
        Ok(()) => Some(Outcome::Accepted(true)),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => Some(Outcome::VoteChanged(vote(&actual))),
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            actual.as_ref().map(|actual| Outcome::LogNotFlushed(log_id(actual)))
        }
    };
    Body::TransferReply(proto::TransferReply { outcome })
}

pub(super) fn transfer_reply_back(
    reply: proto::TransferReply,
    request: &TransferLeaderRequest<C>,
) -> Result<TransferLeaderResponse<C>, Error> {
    use proto::transfer_reply::Outcome;
    let not_flushed =
        |actual| Err(TransferLeaderError::LogNotFlushed { expected: request.last_log_id().cloned(), actual });
    Ok(match reply.outcome {
        Some(Outcome::Accepted(_)) => Ok(()),
        Some(Outcome::VoteChanged(actual)) => Err(TransferLeaderError::VoteChanged {
            expected: *request.from_leader(),
            actual: vote_back(Some(actual))?,
        }),
        Some(Outcome::LogNotFlushed(actual)) => not_flushed(Some(log_id_back(actual))),
        None => not_flushed(None),
    })
}

pub(super) fn snapshot_header(
    from: &VoteOf<C>,
    meta: &SnapshotMetaOf<C>,
) -> Result<proto::SnapshotHeader, Error> {
    Ok(proto::SnapshotHeader { vote: Some(vote(from)), meta: Bytes::from(bincode::serialize(meta)?) })
}

pub(super) fn snapshot_header_back(
    header: Option<proto::SnapshotHeader>,
) -> Result<(VoteOf<C>, SnapshotMetaOf<C>), Error> {
    let header = header.ok_or(Error::Missing("header"))?;
    Ok((vote_back(header.vote)?, bincode::deserialize(&header.meta)?))
}
