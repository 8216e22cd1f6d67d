//! What an operator can ask of a node, on the peer port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use everlog_proto::cluster as proto;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::config::Member;
use crate::metrics::Health;
use crate::node::Folder;
use crate::peer::{Identity, Peers};
use crate::raft::{self, Group, Groups, TransferError};

/// How long forming a cluster may take before the operator is told to look.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(30);
const INITIALIZE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Answers an operator.
#[derive(Clone)]
pub struct Admin {
    pub me: Member,
    /// The nodes that the configuration names.
    pub configured: Vec<Member>,
    pub identity: Identity,
    pub folder: Arc<Folder>,
    pub groups: Groups,
    pub peers: Peers,
    pub health: Health,
    pub started: Instant,
    /// The node is about to stop.
    pub draining: Arc<AtomicBool>,
    /// Set to true, the node forms the cluster.
    pub initialize: watch::Sender<bool>,
}

#[tonic::async_trait]
impl proto::admin_server::Admin for Admin {
    async fn status(
        &self,
        _request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusReply>, Status> {
        let (ready, checks) = self.health.ready();
        let not_ready = checks.lines().filter(|line| line.starts_with("[-]")).collect::<Vec<_>>().join("\n");
        let member = |(node_id, member): (u64, everlog_raft_store::Member)| proto::MemberStatus {
            node_id,
            peer_address: member.peer_address,
            api_address: member.api_address,
        };
        let mut members: BTreeMap<u64, proto::MemberStatus> =
            self.groups.members().into_iter().map(|known| (known.0, member(known))).collect();
        let is_formed = !members.is_empty();
        // Where the configuration says that they are is where this node reaches them.
        for Member { id, peer, api } in self.configured.iter().cloned() {
            if !is_formed || members.contains_key(&id) {
                members.insert(id, proto::MemberStatus { node_id: id, peer_address: peer, api_address: api });
            }
        }
        Ok(Response::new(proto::StatusReply {
            node_id: self.me.id,
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            initialized: self.folder.initialized(),
            draining: self.draining.load(Ordering::Relaxed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_address: self.me.api.clone(),
            peer_address: self.me.peer.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            process_id: u64::from(std::process::id()),
            groups: self.groups.iter().map(|group| group.status()).collect(),
            members: members.into_values().collect(),
            ready,
            not_ready,
        }))
    }

    async fn adopt(
        &self,
        request: Request<proto::AdoptRequest>,
    ) -> Result<Response<proto::AdoptReply>, Status> {
        let proto::AdoptRequest { cluster_id, from } = request.into_inner();
        if cluster_id.is_empty() || !cluster_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Status::invalid_argument("the cluster id is empty, or not printable"));
        }
        self.folder
            .settle_cluster(&cluster_id)
            .map_err(|error| Status::failed_precondition(format!("node {}: {error}", self.me.id)))?;
        self.identity.settle(&cluster_id);
        tracing::info!(cluster_id, from, "joined the cluster that is being formed");
        Ok(Response::new(proto::AdoptReply {}))
    }

    async fn initialize(
        &self,
        _request: Request<proto::InitializeRequest>,
    ) -> Result<Response<proto::InitializeReply>, Status> {
        if self.folder.initialized() {
            return Err(Status::already_exists(format!(
                "cluster {} was formed before",
                self.identity.cluster_id().unwrap_or_default()
            )));
        }
        self.initialize.send_replace(true);
        let deadline = Instant::now() + INITIALIZE_TIMEOUT;
        while !self.folder.initialized() {
            if Instant::now() > deadline {
                return Err(Status::deadline_exceeded(
                    "the cluster is not formed yet; are all configured peers running?",
                ));
            }
            tokio::time::sleep(INITIALIZE_LOOK_EVERY).await;
        }
        let cluster_id = self.identity.cluster_id().unwrap_or_default().to_owned();
        Ok(Response::new(proto::InitializeReply { cluster_id }))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderReply>, Status> {
        let proto::TransferLeaderRequest { group, to } = request.into_inner();
        let group = self.groups.get(group).map_err(|error| Status::not_found(error.to_string()))?;
        let to = match to {
            0 => self.successor(group).await.map_err(status)?,
            to => {
                group.may_hand_over(to).map_err(status)?;
                if to != self.me.id && !raft::willing(&self.peers, to).await {
                    return Err(status(TransferError::Unwilling { to }));
                }
                to
            }
        };
        group.transfer_leader(to).await.map_err(status)?;
        let leader = group.leadership().borrow().leader.unwrap_or_default();
        Ok(Response::new(proto::TransferLeaderReply { leader }))
    }

    async fn hashes(
        &self,
        _request: Request<proto::HashesRequest>,
    ) -> Result<Response<proto::HashesReply>, Status> {
        let mut groups = Vec::new();
        for group in self.groups.iter() {
            let (applied_index, hash) =
                group.state_hash().await.map_err(|error| Status::internal(error.to_string()))?;
            groups.push(proto::GroupHash { group: group.id(), applied_index, hash });
        }
        Ok(Response::new(proto::HashesReply { groups }))
    }
}

impl Admin {
    /// The best voter for a leadership that is to move.
    async fn successor(&self, group: &Group) -> Result<u64, TransferError> {
        for to in group.successors() {
            if group.may_hand_over(to).is_ok() && raft::willing(&self.peers, to).await {
                return Ok(to);
            }
        }
        Err(TransferError::NobodyReady { group: group.id() })
    }
}

fn status(error: TransferError) -> Status {
    match error {
        TransferError::NotAVoter { .. } => Status::invalid_argument(error.to_string()),
        TransferError::Timeout { .. } => Status::deadline_exceeded(error.to_string()),
        TransferError::Fatal { .. } => Status::unavailable(error.to_string()),
        TransferError::NotLeader { .. }
        | TransferError::NobodyReady { .. }
        | TransferError::Behind { .. }
        | TransferError::Silent { .. }
        | TransferError::Unwilling { .. } => Status::failed_precondition(error.to_string()),
    }
}
