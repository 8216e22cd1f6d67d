//! Forming the cluster, once.
//!
//! Nodes start without a cluster id and answer no Raft message. One of them, the lowest when all were
//! told to form a cluster or the one that an operator asked, waits until it reaches all the others,
//! makes up a cluster id, gives it to each of them, and only then writes the first entry of every
//! group. Each step is on disk before the next, so it can be taken up after a crash; and as the node
//! that forms the cluster gives every other node its id first, a node that finds its cluster formed
//! and has no id itself has lost its data, and says so instead of voting.
//!
//! A node that was part of a cluster asks the others as well: most of them in another cluster means that
//! this one was given the wrong folder or the wrong addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everlog_proto::cluster as proto;
use everlog_raft_store::Member;
use tokio::sync::watch;
use tonic::Status;

use super::{Error, Groups};
use crate::clock::Clock;
use crate::config;
use crate::node::Folder;
use crate::peer::{self, Peers};

/// Pause between two looks at the other nodes.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Pause between two looks for another node of this cluster.
const FIND_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for the connections before the groups are formed without them.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
const CONNECT_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What forming the cluster needs.
pub struct Bootstrap {
    pub me: u64,
    pub members: Vec<config::Member>,
    pub folder: Arc<Folder>,
    pub groups: Groups,
    pub peers: Peers,
    pub clock: Clock,
    /// Becomes true when this node is to form the cluster.
    pub requested: watch::Receiver<bool>,
}

/// Returns when the cluster is formed and this node is part of it, or with the reason why it never
/// will be.
pub async fn bootstrap(task: Bootstrap) -> Result<(), Error> {
    let mut told = false;
    loop {
        if task.formed() {
            task.folder.settle_initialized()?;
            return task.find_own_cluster().await;
        }
        let requested = *task.requested.borrow();
        match task.look().await? {
            Found::AllWaiting if requested => task.form().await?,
            Found::AllWaiting => {}
            Found::Missing(why) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(why, "waiting for the other nodes");
                }
            }
            Found::Formed => {}
        }
        if !task.formed() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The folder and the groups must agree on whether there ever was a cluster. Asked before the peer port
/// is opened: a node that has lost its log must not cast a single vote.
pub async fn check_memory(me: u64, folder: &Folder, groups: &Groups) -> Result<(), Error> {
    if !folder.initialized() {
        return Ok(());
    }
    for group in groups.iter() {
        if !group.raft().is_initialized().await.unwrap_or(true) {
            return Err(Error::Refused(format!(
                "node {me} is a member of cluster {}, but the log of group {} in {} is gone; it must not vote \
                 under its old number. Restore the folder, or remove the member and let a node with a new \
                 number join",
                folder.cluster_id().unwrap_or_default(),
                group.id(),
                folder.path().display()
            )));
        }
    }
    Ok(())
}

/// What the other nodes say.
enum Found {
    /// All can be reached, and none is part of a formed cluster.
    AllWaiting,
    /// The cluster is formed, and it is this node's; the groups will hear of it.
    Formed,
    Missing(String),
}

/// What the node at an address says of itself, whichever node of whichever cluster it is.
async fn ask(address: &str) -> Result<proto::StatusReply, Status> {
    let asked = async {
        let mut client = peer::admin_client(address).await?;
        Ok(client.status(proto::StatusRequest {}).await?.into_inner())
    };
    let silent = |_| Err(Status::deadline_exceeded("no answer"));
    tokio::time::timeout(peer::STATUS_TIMEOUT, asked).await.unwrap_or_else(silent)
}

impl Bootstrap {
    /// Returns when another node of this cluster was found, or with an error when most of the others belong
    /// to another one. A single stranger is no reason to stop: it is the one in the wrong place.
    async fn find_own_cluster(&self) -> Result<(), Error> {
        let ours = self.folder.cluster_id().unwrap_or_default();
        let mut strangers = BTreeMap::new();
        loop {
            // Where the configuration says that they are, which the log may know otherwise.
            let others: Vec<_> = self.members.iter().filter(|member| member.id != self.me).collect();
            let answers = others.iter().map(|member| async move { (member, ask(&member.peer).await) });
            for (member, answer) in futures::future::join_all(answers).await {
                match answer {
                    Ok(status) if status.cluster_id == ours => return Ok(()),
                    Ok(status) if !status.cluster_id.is_empty() => {
                        strangers.insert(member.id, (&member.peer, status.cluster_id));
                    }
                    // Without a cluster yet, or without an answer: neither a friend nor a stranger.
                    Ok(_) | Err(_) => {}
                }
            }
            if others.is_empty() {
                return Ok(());
            }
            if let Some((id, (address, theirs))) = strangers.first_key_value()
                && strangers.len() * 2 > others.len()
            {
                return Err(Error::Refused(format!(
                    "the data folder {} belongs to cluster {ours}, and node {id} at {address} to cluster \
                     {theirs}: the folder or the addresses are not those of this node",
                    self.folder.path().display()
                )));
            }
            tokio::time::sleep(FIND_EVERY).await;
        }
    }

    /// Whether every group knows its members.
    fn formed(&self) -> bool {
        self.groups.iter().all(|group| !group.voters().is_empty())
    }

    async fn look(&self) -> Result<Found, Error> {
        let others = self.members.iter().filter(|member| member.id != self.me);
        let answers = others.map(|member| async move { (member, self.peers.status(member.id).await) });
        let answers = futures::future::join_all(answers).await;
        // Looked at after the answers: the id that was given to this node before another one could say
        // that the cluster is formed must not be missed.
        let ours = self.folder.cluster_id().unwrap_or_default();
        let mut missing = None;
        let mut formed = false;
        for (member, answer) in answers {
            let status = match answer {
                Ok(status) => status,
                Err(error) => {
                    missing = Some(format!("node {} at {}: {}", member.id, member.peer, error.message()));
                    continue;
                }
            };
            if !status.cluster_id.is_empty() && !ours.is_empty() && status.cluster_id != ours {
                return Err(Error::Refused(format!(
                    "this node belongs to cluster {ours}, and node {} at {} to cluster {}",
                    member.id, member.peer, status.cluster_id
                )));
            }
            if status.initialized && ours.is_empty() {
                let listed = status.members.iter().any(|known| known.node_id == self.me);
                let what = if listed { "is a member of it" } else { "is not a member of it" };
                return Err(Error::Refused(format!(
                    "cluster {} is already formed, node {} {what}, and the data folder {} is empty. A node that \
                     lost its data must not vote under its old number: restore the folder, or remove the member \
                     and let a node with a new number join",
                    status.cluster_id,
                    self.me,
                    self.folder.path().display()
                )));
            }
            formed |= status.initialized;
        }
        Ok(match missing {
            _ if formed => Found::Formed,
            Some(why) => Found::Missing(why),
            None => Found::AllWaiting,
        })
    }

    async fn form(&self) -> Result<(), Error> {
        let cluster_id = self.folder.cluster_id().unwrap_or_else(|| self.clock.unique_id());
        self.folder.settle_cluster(&cluster_id)?;
        self.peers.identity().settle(&cluster_id);
        for member in self.members.iter().filter(|member| member.id != self.me) {
            if let Err(status) = self.peers.adopt(member.id, &cluster_id).await {
                if status.code() == tonic::Code::FailedPrecondition {
                    return Err(Error::Refused(status.message().to_owned()));
                }
                // It went away again. Nothing is formed yet, so look again.
                return Ok(());
            }
        }
        // The first elections should find their voters.
        let deadline = tokio::time::Instant::now() + CONNECT_PATIENCE;
        let connected = || self.members.iter().all(|member| self.peers.up_for(member.id, Duration::ZERO));
        while !connected() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(CONNECT_LOOK_EVERY).await;
        }
        let members: BTreeMap<u64, Member> = self
            .members
            .iter()
            .map(|member| {
                (member.id, Member { peer_address: member.peer.clone(), api_address: member.api.clone() })
            })
            .collect();
        for group in self.groups.iter() {
            let pristine = !group.raft().is_initialized().await.unwrap_or(true);
            if pristine && let Err(error) = group.raft().initialize(members.clone()).await {
                // A group that is no longer pristine was formed before a crash, which is what is wanted.
                tracing::warn!(group = group.id(), %error, "the group was not formed here");
            }
        }
        tracing::info!(cluster_id, nodes = members.len(), "cluster formed");
        Ok(())
    }
}
