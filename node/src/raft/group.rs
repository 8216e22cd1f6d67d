//! A handle to one group.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use everlog_proto::cluster::GroupStatus;
use everlog_raft_store::{KeyRange, Machine, Member, Payload, StateMachine, Tables};
use futures::FutureExt as _;
use openraft::async_runtime::WatchReceiver as _;
use openraft::impls::ProgressResponder;
use openraft::storage::RaftStateMachine as _;
use openraft::{Instant as _, ReadPolicy, ServerState};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::sync::watch;

use super::propose::{Pending, Proposal, ProposeError};
use super::{C, wire};
use crate::metrics::{Metrics, ShardLabel};

/// How long a confirmed read may wait until this node has applied what was committed before it.
const READ_APPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the quorum may take to confirm a leader. The library gives up earlier by itself.
const READ_CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transfer of leadership may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3);
/// A voter that is further behind does not get the leadership: writes would wait for it to catch up.
const TRANSFER_LAG_MAX: u64 = 64;
/// A voter that was silent for longer does not get it either.
const TRANSFER_SILENCE_MAX: Duration = Duration::from_millis(1_500);

pub(crate) type Raft = openraft::Raft<C, StateMachine>;

/// One Raft group on this node. Cloning is cheap, and all clones are the same group.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

struct Inner {
    id: u64,
    me: u64,
    raft: Raft,
    tables: Tables,
    machine: Arc<dyn Machine>,
    leadership: watch::Receiver<Leadership>,
    proposals: Counter,
    failed: Counter,
    pending: Gauge,
    read_indexes: Counter,
}

/// Who leads a group, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    pub leader: Option<u64>,
    pub term: u64,
    /// This node leads in `term`, and has applied that term's first entry: it may decide.
    pub is_me: bool,
}

/// Why a read could not be confirmed. Nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("not the leader; the leader is {leader:?}")]
    NotLeader { leader: Option<u64> },
    #[error("a quorum did not confirm this leader in time")]
    NoQuorum,
    #[error("this node is too far behind to read")]
    Behind,
    #[error("the group has stopped on this node")]
    Fatal,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("this node does not lead group {group}; the leader is {leader:?}")]
    NotLeader { group: u64, leader: Option<u64> },
    #[error("node {to} is not a voter of group {group}")]
    NotAVoter { group: u64, to: u64 },
    #[error("no voter of group {group} is ready to lead")]
    NobodyReady { group: u64 },
    #[error("node {to} is {lag} entries behind in group {group}")]
    Behind { group: u64, to: u64, lag: u64 },
    #[error("node {to} was not heard of lately")]
    Silent { to: u64 },
    #[error("node {to} does not answer, or is about to stop")]
    Unwilling { to: u64 },
    #[error("node {to} did not take over group {group} in time")]
    Timeout { group: u64, to: u64 },
    #[error("group {group} has stopped on this node")]
    Fatal { group: u64 },
}

impl Group {
    pub(super) fn new(
        id: u64,
        me: u64,
        raft: Raft,
        tables: Tables,
        machine: Arc<dyn Machine>,
        metrics: &Metrics,
    ) -> Self {
        let label = ShardLabel { shard: id };
        let (publish, leadership) = watch::channel(Leadership::default());
        let changes = metrics.raft.leader_changes.get_or_create(&label).clone();
        tokio::spawn(follow_leadership(id, me, raft.clone(), publish, changes));
        let group = Self {
            inner: Arc::new(Inner {
                id,
                me,
                raft,
                tables,
                machine,
                leadership,
                proposals: metrics.raft.proposals.get_or_create(&label).clone(),
                failed: metrics.raft.proposals_failed.get_or_create(&label).clone(),
                pending: metrics.raft.proposals_pending.get_or_create(&label).clone(),
                read_indexes: metrics.raft.read_indexes.get_or_create(&label).clone(),
            }),
        };
        tokio::spawn(rest_alone(Arc::downgrade(&group.inner)));
        group
    }

    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Puts an entry in line, to be appended only if this node leads in exactly this term. It is in
    /// line when the call returns, so consecutive calls are appended in their order; the future is the
    /// outcome. What waits at the same moment is appended, synced and sent as one batch.
    pub fn propose(&self, term: u64, payload: Payload) -> Proposal {
        let inner = &*self.inner;
        inner.proposals.inc();
        let (responder, answer) = ProgressResponder::complete_only();
        let write =
            inner.raft.write(payload).responder(responder).with_leader(wire::leader_id(term, inner.me));
        // Without the task's budget: it would stop a long run of proposals although there is room.
        match tokio::task::coop::unconstrained(write.into_future()).now_or_never() {
            Some(Ok(())) => {
                Proposal::waiting(answer, Pending::new(inner.pending.clone()), inner.failed.clone())
            }
            Some(Err(_)) => Proposal::refused(ProposeError::Fatal, inner.failed.clone()),
            // Dropped before it got a place in the queue: certainly not proposed.
            None if self.stopped().is_some() => Proposal::refused(ProposeError::Fatal, inner.failed.clone()),
            None => {
                Proposal::refused(ProposeError::NotProposed("too many proposals wait"), inner.failed.clone())
            }
        }
    }

    /// Puts several entries in line, next to each other.
    pub fn propose_many(&self, term: u64, payloads: impl IntoIterator<Item = Payload>) -> Vec<Proposal> {
        payloads.into_iter().map(|payload| self.propose(term, payload)).collect()
    }

    /// Confirms with a quorum that this node still leads, then waits until everything that was
    /// committed before the call is applied here. A read after that is linearizable. One call serves
    /// all reads of a turn; calls at the same moment share their round of messages.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let inner = &*self.inner;
        inner.read_indexes.inc();
        let confirm = inner.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let confirmed = match tokio::time::timeout(READ_CONFIRM_TIMEOUT, confirm).await {
            Ok(Ok(confirmed)) => confirmed,
            Ok(Err(openraft::errors::RaftError::APIError(error))) => {
                use openraft::errors::LinearizableReadError;
                return Err(match error {
                    LinearizableReadError::ForwardToLeader(forward) => {
                        ReadError::NotLeader { leader: forward.leader_id }
                    }
                    LinearizableReadError::QuorumNotEnough(_) => ReadError::NoQuorum,
                });
            }
            Ok(Err(openraft::errors::RaftError::Fatal(_))) => return Err(ReadError::Fatal),
            Err(_) => return Err(ReadError::NoQuorum),
        };
        let index = confirmed.read_log_id().index();
        match confirmed.try_await_ready(&inner.raft, Some(READ_APPLY_TIMEOUT)).await {
            Ok(Ok(_)) => Ok(index),
            Ok(Err(_)) => Err(ReadError::Behind),
            Err(_) => Err(ReadError::Fatal),
        }
    }

    /// Who leads, now and whenever it changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// Hands the leadership to a voter that is able to take it at once. Returns when it has.
    pub async fn transfer_leader(&self, to: u64) -> Result<(), TransferError> {
        let group = self.inner.id;
        let seen = *self.inner.leadership.borrow();
        self.may_hand_over(to)?;
        if to == self.inner.me {
            return Ok(());
        }
        self.inner.raft.trigger().transfer_leader(to).await.map_err(|_| TransferError::Fatal { group })?;
        let mut leadership = self.inner.leadership.clone();
        let moved = leadership.wait_for(|now| now.term > seen.term && now.leader.is_some());
        match tokio::time::timeout(TRANSFER_TIMEOUT, moved).await {
            Ok(Ok(now)) if now.leader == Some(to) => Ok(()),
            Ok(Ok(now)) if now.leader != Some(self.inner.me) => Ok(()),
            Ok(Ok(_)) | Err(_) => Err(TransferError::Timeout { group, to }),
            Ok(Err(_)) => Err(TransferError::Fatal { group }),
        }
    }

    /// Whether this node leads and a voter is close enough to take the leadership without a pause.
    ///
    /// The library stops writing and sending heartbeats as soon as a transfer starts, and does not take
    /// that back: whoever could not take over costs the group an election. So look first.
    pub fn may_hand_over(&self, to: u64) -> Result<(), TransferError> {
        let group = self.inner.id;
        let leader = self.inner.leadership.borrow().leader;
        if leader != Some(self.inner.me) {
            return Err(TransferError::NotLeader { group, leader });
        }
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        if !metrics.membership_config.membership().voter_ids().any(|voter| voter == to) {
            return Err(TransferError::NotAVoter { group, to });
        }
        if to == self.inner.me {
            return Ok(());
        }
        let last = metrics.last_log_index.unwrap_or_default();
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&to)).cloned().flatten();
        let lag = last.saturating_sub(matched.map_or(0, |log_id| log_id.index));
        if lag > TRANSFER_LAG_MAX {
            return Err(TransferError::Behind { group, to, lag });
        }
        let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&to)).cloned().flatten();
        match heard {
            Some(at) if at.elapsed() <= TRANSFER_SILENCE_MAX => Ok(()),
            _ => Err(TransferError::Silent { to }),
        }
    }

    /// The voters but this node, the furthest ahead first.
    pub fn successors(&self) -> Vec<u64> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = |node: &u64| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(node)).cloned().flatten();
            matched.map_or(0, |log_id| log_id.index)
        };
        let mut voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
        voters.retain(|voter| *voter != self.inner.me);
        voters.sort_by_key(|voter| std::cmp::Reverse(matched(voter)));
        voters
    }

    /// The voters of the group in the order of their numbers.
    pub fn voters(&self) -> Vec<u64> {
        let metrics = self.inner.raft.metrics();
        let mut voters: Vec<u64> =
            metrics.borrow_watched().membership_config.membership().voter_ids().collect();
        voters.sort_unstable();
        voters.dedup();
        voters
    }

    /// All nodes of the group and where they are.
    pub fn members(&self) -> BTreeMap<u64, Member> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.nodes().map(|(id, member)| (*id, member.clone())).collect()
    }

    /// How far each other node is behind, if this node leads.
    pub fn peer_lag(&self) -> Vec<(u64, u64)> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index.unwrap_or_default();
        let lag = |matched: &Option<openraft::type_config::alias::LogIdOf<C>>| {
            last.saturating_sub(matched.as_ref().map_or(0, |log_id| log_id.index))
        };
        metrics
            .replication
            .iter()
            .flatten()
            .filter(|(node, _)| **node != self.inner.me)
            .map(|(node, matched)| (*node, lag(matched)))
            .collect()
    }

    /// Everything an operator wants to know.
    pub fn status(&self) -> GroupStatus {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |log_id: &Option<openraft::type_config::alias::LogIdOf<C>>| {
            log_id.as_ref().map_or(0, |id| id.index)
        };
        let membership = metrics.membership_config.membership();
        let leadership = *self.inner.leadership.borrow();
        GroupStatus {
            group: self.inner.id,
            role: match (&metrics.running_state, metrics.state) {
                (Err(_), _) => "stopped",
                (Ok(()), ServerState::Leader) => "leader",
                (Ok(()), ServerState::Follower) => "follower",
                (Ok(()), ServerState::Candidate) => "candidate",
                (Ok(()), ServerState::Learner) => "learner",
                (Ok(()), ServerState::Shutdown) => "stopped",
            }
            .to_owned(),
            leader: metrics.current_leader.unwrap_or_default(),
            term: metrics.current_term,
            last_log_index: metrics.last_log_index.unwrap_or_default(),
            commit_index: index(&metrics.cluster_committed).max(index(&metrics.local_committed)),
            applied_index: index(&metrics.last_applied),
            snapshot_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            voters: membership.voter_ids().collect::<std::collections::BTreeSet<u64>>().into_iter().collect(),
            learners: membership.learner_ids().collect(),
            error: metrics.running_state.as_ref().err().map(ToString::to_string).unwrap_or_default(),
            serving: leadership.is_me,
        }
    }

    /// Why the group has stopped, if it has.
    pub fn stopped(&self) -> Option<String> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.running_state.as_ref().err().map(ToString::to_string)
    }

    /// The hash of all rows of the group, and the index that they reflect. Nothing is applied to the
    /// group meanwhile, so members can be compared; it takes as long as reading all rows does.
    pub async fn state_hash(&self) -> Result<(u64, Bytes), ProposeError> {
        let (tables, machine) = (self.inner.tables.clone(), self.inner.machine.clone());
        let ranges = machine.ranges(self.inner.id);
        let hashed = self.inner.raft.with_state_machine(move |state| {
            Box::pin(async move {
                let (applied, _) = state.applied_state().await?;
                let hash = tokio::task::spawn_blocking(move || hash_rows(&tables, &*machine, ranges));
                let hash = hash.await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>((applied.map_or(0, |log_id| log_id.index), hash))
            })
        });
        hashed.await.map_err(|_| ProposeError::Fatal)?.map_err(|_| ProposeError::Fatal)
    }

    /// Takes a snapshot now, whatever the policy says.
    pub async fn snapshot(&self) -> Result<(), ProposeError> {
        self.inner.raft.trigger().snapshot().await.map_err(|_| ProposeError::Fatal)
    }

    /// Removes entries up to the index from the log, as far as they are in a snapshot.
    pub async fn purge(&self, upto: u64) -> Result<(), ProposeError> {
        self.inner.raft.trigger().purge_log(upto).await.map_err(|_| ProposeError::Fatal)
    }

    /// How long ago a quorum last confirmed this leader; `None` if it does not lead.
    pub fn quorum_age(&self) -> Option<Duration> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.last_quorum_acked.as_ref().map(|at| at.elapsed())
    }

    pub(super) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    pub(super) async fn shutdown(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(group = self.inner.id, %error, "the group did not stop cleanly");
        }
    }
}

fn hash_rows(tables: &Tables, machine: &dyn Machine, ranges: Vec<KeyRange>) -> Bytes {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for KeyRange { from, to } in ranges {
        for (key, value) in tables.scan(from, to) {
            let value = machine.comparable(&key, value);
            // With their lengths, so that no two different rows look alike.
            hash.update(&(key.len() as u64).to_le_bytes());
            hash.update(&key);
            hash.update(&(value.len() as u64).to_le_bytes());
            hash.update(&value);
        }
    }
    Bytes::copy_from_slice(&hash.digest128().to_be_bytes())
}

/// A leader that is the only member sends no heartbeats and waits for no election. The library's clock, which
/// wakes a core 25 times a second for each group, stands still meanwhile.
async fn rest_alone(group: Weak<Inner>) {
    let watched = group.upgrade().map(|inner| (inner.leadership.clone(), inner.raft.server_metrics()));
    let Some((mut leadership, mut server)) = watched else { return };
    loop {
        let is_me = leadership.borrow_and_update().is_me;
        // The handle would keep the group alive after everyone else has let go of it.
        match group.upgrade() {
            None => return,
            Some(inner) => {
                let group = Group { inner };
                let is_alone = is_me && group.members().len() == 1;
                group.inner.raft.runtime_config().tick(!is_alone);
            }
        }
        // The members may change, or the leader.
        let changed = tokio::select! {
            changed = leadership.changed() => changed.is_ok(),
            changed = server.changed() => changed.is_ok(),
        };
        if !changed {
            return;
        }
    }
}

/// Publishes who leads. Leading counts from the moment the term's own first entry is applied.
async fn follow_leadership(
    id: u64,
    me: u64,
    raft: Raft,
    publish: watch::Sender<Leadership>,
    changes: Counter,
) {
    let mut server = raft.server_metrics();
    let mut applied = raft.watch_apply_progress();
    // The handle would keep the group alive after everyone else has let go of it.
    drop(raft);
    let mut without_since = Instant::now();
    loop {
        let (leader, term, elected) = {
            let now = server.borrow_and_update();
            let elected = now.state == ServerState::Leader
                && now.vote.committed
                && wire::vote_node(&now.vote) == me
                && now.current_leader == Some(me);
            (now.current_leader, wire::vote_term(&now.vote), elected)
        };
        let caught_up = applied.get().is_some_and(|log_id| wire::term(&log_id) == term);
        let next = Leadership { leader, term, is_me: elected && caught_up };
        publish.send_if_modified(|before| {
            if before.leader != next.leader && next.leader.is_some() {
                changes.inc();
                let without_ms = without_since.elapsed().as_millis() as u64;
                tracing::info!(group = id, leader = next.leader, term = next.term, without_ms, "new leader");
            }
            if before.leader.is_some() && next.leader.is_none() {
                without_since = Instant::now();
                tracing::info!(group = id, was = before.leader, term = next.term, "no leader");
            }
            std::mem::replace(before, next) != next
        });
        let changed = if elected && !caught_up {
            tokio::select! {
                changed = server.changed() => changed.is_ok(),
                changed = applied.changed() => changed.is_ok(),
            }
        } else {
            server.changed().await.is_ok()
        };
        if !changed {
            publish.send_replace(Leadership { leader: None, term, is_me: false });
            return;
        }
    }
}
