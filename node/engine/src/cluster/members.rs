//! The nodes of the cluster and how they come and go.
//!
//! A node joins as a learner, is promoted once it has caught up, and leaves by being removed. Its id is
//! never used again: a node that lost its disk must not vote as if it still knew what it once promised.

use serde::{Deserialize, Serialize};

use super::{Cluster, FEATURE_LEVEL, Fact, MEMBERS_MAX, Namespace, Reply, SHARDS_MAX};
use crate::{reject::Reject, stamp::Stamp, time::Time};

pub type NodeId = u64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub id: NodeId,
    /// Where other nodes reach it.
    pub peer_address: String,
    /// Where clients and workers reach it.
    pub public_address: String,
    /// The newest feature level that its build can read.
    pub feature_level: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub info: NodeInfo,
    pub state: MemberState,
    pub joined: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// Receives the log and does not vote.
    Learner,
    Voter,
    /// Votes, and leads nothing.
    Draining,
    /// Gone for ever; the id stays taken.
    Removed,
}

impl Member {
    pub fn votes(&self) -> bool {
        matches!(self.state, MemberState::Voter | MemberState::Draining)
    }
}

impl Cluster {
    /// The members that are still there.
    pub fn active_members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.state != MemberState::Removed)
    }

    fn member(&self, node: NodeId) -> Result<&Member, Reject> {
        match self.members.get(&node) {
            None => Err(Reject::NotFound(format!("node {node} is no member of the cluster"))),
            Some(member) if member.state == MemberState::Removed => Err(was_removed(node)),
            Some(member) => Ok(member),
        }
    }
}

pub(super) fn init(
    cluster: &Cluster,
    shards: u16,
    voters: &[NodeInfo],
    stamp: &Stamp,
) -> Result<(Vec<Fact>, Reply), Reject> {
    if cluster.is_founded() {
        return Err(refuse(format!("the cluster is initialised already, as {}", cluster.id)));
    }
    if shards == 0 || shards > SHARDS_MAX {
        return Err(Reject::InvalidArgument(format!("{shards} shards are not between 1 and {SHARDS_MAX}")));
    }
    let Some(feature_level) = voters.iter().map(|node| node.feature_level).min() else {
        return Err(Reject::InvalidArgument("a cluster needs a voter".into()));
    };
    let feature_level = feature_level.min(FEATURE_LEVEL);
    let mut facts = vec![Fact::Founded { cluster_id: stamp.uuid(), feature_level, shards }];
    for (i, node) in voters.iter().enumerate() {
        check(node)?;
        if voters[..i].iter().any(|other| other.id == node.id) {
            return Err(Reject::InvalidArgument(format!("node {} is named twice", node.id)));
        }
        let member = Member { info: node.clone(), state: MemberState::Voter, joined: stamp.now };
        facts.push(Fact::Member(member));
    }
    facts.push(Fact::Namespace(Namespace::system(stamp.now)));
    Ok((facts, Reply::Done))
}

pub(super) fn join(cluster: &Cluster, node: &NodeInfo, stamp: &Stamp) -> Result<(Vec<Fact>, Reply), Reject> {
    check(node)?;
    if node.feature_level < cluster.feature_level {
        return Err(refuse(format!(
            "node {} reads feature level {}, the cluster writes {}: upgrade the node first",
            node.id, node.feature_level, cluster.feature_level
        )));
    }
    let member = match cluster.members.get(&node.id) {
        Some(member) if member.state == MemberState::Removed => return Err(was_removed(node.id)),
        Some(member) if member.info == *node => return Ok((Vec::new(), Reply::Done)),
        Some(member) => Member { info: node.clone(), ..member.clone() },
        None if cluster.members.len() >= MEMBERS_MAX => {
            return Err(refuse(format!("the cluster has had {MEMBERS_MAX} members, which is the limit")));
        }
        None => Member { info: node.clone(), state: MemberState::Learner, joined: stamp.now },
    };
    Ok((vec![Fact::Member(member)], Reply::Done))
}

pub(super) fn promote(cluster: &Cluster, node: NodeId) -> Result<(Vec<Fact>, Reply), Reject> {
    let member = cluster.member(node)?;
    match member.state {
        MemberState::Learner => Ok(become_state(member, MemberState::Voter)),
        _ => Ok((Vec::new(), Reply::Done)),
    }
}

pub(super) fn drain(cluster: &Cluster, node: NodeId) -> Result<(Vec<Fact>, Reply), Reject> {
    let member = cluster.member(node)?;
    let other_in = |state: MemberState| {
        cluster.active_members().find(|other| other.info.id != node && other.state == state)
    };
    match member.state {
        MemberState::Draining => return Ok((Vec::new(), Reply::Done)),
        MemberState::Voter => {}
        _ => return Err(refuse(format!("node {node} does not vote, there is nothing to drain"))),
    }
    if let Some(other) = other_in(MemberState::Draining) {
        return Err(refuse(format!("node {} is draining already; drain one node at a time", other.info.id)));
    }
    if other_in(MemberState::Voter).is_none() {
        return Err(refuse(format!("node {node} is the only voter, nobody could take over")));
    }
    Ok(become_state(member, MemberState::Draining))
}

pub(super) fn resume(cluster: &Cluster, node: NodeId) -> Result<(Vec<Fact>, Reply), Reject> {
    let member = cluster.member(node)?;
    match member.state {
        MemberState::Draining => Ok(become_state(member, MemberState::Voter)),
        _ => Ok((Vec::new(), Reply::Done)),
    }
}

pub(super) fn remove(cluster: &Cluster, node: NodeId, live: &[NodeId]) -> Result<(Vec<Fact>, Reply), Reject> {
    let member = match cluster.members.get(&node) {
        Some(member) if member.state == MemberState::Removed => return Ok((Vec::new(), Reply::Done)),
        _ => cluster.member(node)?,
    };
    if member.votes() {
        let remaining: Vec<NodeId> = cluster
            .active_members()
            .filter(|other| other.votes() && other.info.id != node)
            .map(|other| other.info.id)
            .collect();
        let alive = remaining.iter().filter(|id| live.contains(id)).count();
        if remaining.is_empty() {
            return Err(refuse(format!("node {node} is the last voter")));
        }
        if alive <= remaining.len() / 2 {
            return Err(refuse(format!(
                "without node {node} only {alive} of {} voters would be alive, which is no quorum",
                remaining.len()
            )));
        }
    }
    Ok(become_state(member, MemberState::Removed))
}

pub(super) fn raise_feature_level(cluster: &Cluster, level: u32) -> Result<(Vec<Fact>, Reply), Reject> {
    if level <= cluster.feature_level {
        return Ok((Vec::new(), Reply::Done));
    }
    if level > FEATURE_LEVEL {
        return Err(refuse(format!("this build knows feature levels up to {FEATURE_LEVEL}")));
    }
    if let Some(behind) = cluster.active_members().find(|member| member.info.feature_level < level) {
        return Err(refuse(format!(
            "node {} reads feature levels up to {}",
            behind.info.id, behind.info.feature_level
        )));
    }
    Ok((vec![Fact::FeatureLevelRaised { level }], Reply::Done))
}

fn check(node: &NodeInfo) -> Result<(), Reject> {
    if node.id == 0 {
        return Err(Reject::InvalidArgument("node ids begin at 1".into()));
    }
    if node.peer_address.is_empty() {
        return Err(Reject::InvalidArgument(format!("node {} has no peer address", node.id)));
    }
    Ok(())
}

fn become_state(member: &Member, state: MemberState) -> (Vec<Fact>, Reply) {
    (vec![Fact::Member(Member { state, ..member.clone() })], Reply::Done)
}

fn was_removed(node: NodeId) -> Reject {
    refuse(format!("node {node} was removed from the cluster; join under a new id, with empty data"))
}

fn refuse(message: String) -> Reject {
    Reject::FailedPrecondition(message)
}
