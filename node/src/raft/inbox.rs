//! Messages of other nodes, on their way to the groups.

use everlog_proto::cluster as proto;
use everlog_proto::cluster::raft_message::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::{Status, Streaming};

use super::group::Raft;
use super::{Groups, snapshot, wire};
use crate::peer::Inbox;

impl Inbox for Groups {
    fn handle(&self, from: u64, group: u64, body: Body) -> BoxFuture<'static, Body> {
        if self.is_closed() {
            return futures::future::ready(Body::Refused("the node has stopped".to_owned())).boxed();
        }
        let Ok(group) = self.get(group) else {
            let why = format!("group {group} does not exist here");
            return futures::future::ready(Body::Refused(why)).boxed();
        };
        let mut answer = handle(from, group.raft().clone(), body).boxed();
        // The first step of the future puts the message in the group's line. It is taken here, before
        // the next message of the same stream is looked at, whatever is left of the task's budget.
        match tokio::task::coop::unconstrained(&mut answer).now_or_never() {
            Some(done) => futures::future::ready(done).boxed(),
            None => answer,
        }
    }

    fn snapshot(
        &self,
        from: u64,
        chunks: Streaming<proto::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<proto::SnapshotReply, Status>> {
        let groups = self.clone();
        async move { snapshot::receive(from, &groups, chunks).await }.boxed()
    }
}

async fn handle(from: u64, raft: Raft, body: Body) -> Body {
    match answer(from, &raft, body).await {
        Ok(answer) => answer,
        Err(why) => Body::Refused(why),
    }
}

async fn answer(from: u64, raft: &Raft, body: Body) -> Result<Body, String> {
    let malformed = |error: wire::Error| error.to_string();
    let stopped = |error: &dyn std::fmt::Display| format!("the group has stopped: {error}");
    match body {
        Body::Append(append) => {
            let request = wire::append_back(append).map_err(malformed)?;
            let reply = raft.append_entries(request).await.map_err(|error| stopped(&error))?;
            Ok(wire::append_reply(reply))
        }
        Body::Vote(vote) => {
            let pre_vote = vote.pre_vote;
            let request = wire::vote_request_back(vote).map_err(malformed)?;
            let reply = if pre_vote { raft.pre_vote(request).await } else { raft.vote(request).await };
            Ok(wire::vote_reply(reply.map_err(|error| stopped(&error))?))
        }
        Body::Transfer(transfer) => {
            let request = wire::transfer_back(transfer).map_err(malformed)?;
            let reply = raft.handle_transfer_leader(request).await.map_err(|error| stopped(&error))?;
            Ok(wire::transfer_reply(reply))
        }
        Body::AppendReply(_) | Body::VoteReply(_) | Body::TransferReply(_) | Body::Refused(_) => {
            Err(format!("node {from} sent an answer where a request belongs"))
        }
    }
}
