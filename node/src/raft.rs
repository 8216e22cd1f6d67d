//! Many Raft groups in one process, behind the few operations that a shard needs.
//!
//! A shard proposes entries, learns what became of them, asks whether its node still leads before it
//! answers a read, and follows who leads. Everything else about openraft (an alpha, whose interface
//! moves) stays in this module: its types, its configuration, the messages between nodes.
//!
//! Three rules carry the weight. A proposal names the term it was decided in and is refused in any
//! other, so a leader that was away for a moment cannot act on what it remembers. A leader counts as
//! one only after it has applied the first entry of its own term, so it decides nothing before it has
//! seen everything its predecessors committed. And reads are confirmed by a quorum each time, never by
//! a lease, since a lease trusts clocks and a process can be stopped for ten seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use everlog_raft_store::{Machine, Member, Store};

use crate::config;
use crate::metrics::{Metrics, PeerLabel, ShardLabel};
use crate::peer::Peers;

mod balance;
mod bootstrap;
mod bounded;
mod group;
mod inbox;
mod network;
mod propose;
mod snapshot;
mod wire;

pub use balance::{balance, hand_over, willing};
pub use bootstrap::{Bootstrap, bootstrap, check_memory};
pub use group::{Group, Leadership, ReadError, TransferError};
pub use propose::{Applied, Proposal, ProposeError};

/// The types that openraft is used with.
pub(crate) use everlog_raft_store::Types as C;
pub(crate) use group::Raft;

/// All groups of this node. Group ids are shard ids; group 0 also keeps the cluster.
#[derive(Clone)]
pub struct Groups {
    inner: Arc<Vec<Group>>,
    store: Arc<Store>,
    /// Messages of other nodes are no longer handed to the groups.
    closed: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration does not suit the library: {0}")]
    Config(String),
    #[error("group {group} cannot start")]
    Start { group: u64, source: BoxError },
    #[error("group {0} does not exist")]
    UnknownGroup(u64),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Folder(#[from] crate::node::FolderError),
}

/// A leader without a quorum is silent for so many of the longest election timeouts. The library asks for
/// two at least.
const QUIET_ELECTIONS: u64 = 3;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Groups {
    /// Opens all groups over one store. None of them stirs before the cluster is formed or, if it
    /// already was, before it hears from a leader or misses one.
    pub async fn start(
        me: u64,
        config: &config::Raft,
        store: &Arc<Store>,
        machine: Arc<dyn Machine>,
        peers: &Peers,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let library = Arc::new(library_config(config)?);
        // Each applies what its tables lack, which is the long part of a start: on all processors.
        let mut starting = Vec::new();
        for group in 0..config.shards {
            let (log, state) = store
                .group(group, machine.clone())
                .map_err(|source| Error::Start { group, source: Box::new(source) })?;
            let log = bounded::Bounded { log, bytes_max: config.append_bytes_max as usize };
            let network = network::Network::new(group, peers.clone());
            starting.push(tokio::spawn(Raft::new(me, library.clone(), network, log, state)));
        }
        let mut groups = Vec::new();
        for (group, started) in (0..).zip(starting) {
            let failed = |source| Error::Start { group, source };
            let raft = started.await.map_err(|died| failed(died.into()))?.map_err(|it| failed(it.into()))?;
            groups.push(Group::new(group, me, raft, store.tables(), machine.clone(), metrics));
        }
        store.opened();
        let groups = Self { inner: Arc::new(groups), store: store.clone(), closed: Arc::default() };
        groups.report(metrics);
        Ok(groups)
    }

    pub fn get(&self, group: u64) -> Result<&Group, Error> {
        self.inner.get(group as usize).ok_or(Error::UnknownGroup(group))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.inner.iter()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The nodes of the cluster, as the groups know them.
    pub fn members(&self) -> BTreeMap<u64, Member> {
        self.iter().flat_map(|group| group.members()).collect()
    }

    /// Stops all groups. Proposals that are in flight end with an unknown outcome.
    pub async fn shutdown(&self) {
        self.closed.store(true, Ordering::Relaxed);
        futures::future::join_all(self.iter().map(Group::shutdown)).await;
    }

    /// Keeps the figures of the groups up to date whenever they are read.
    fn report(&self, metrics: &Metrics) {
        let groups = self.clone();
        let figures = metrics.raft.clone();
        metrics.on_scrape(move || {
            for group in groups.iter() {
                let status = group.status();
                let label = ShardLabel { shard: status.group };
                let set = |family: &prometheus_client::metrics::family::Family<ShardLabel, _>, value: u64| {
                    let gauge: prometheus_client::metrics::gauge::Gauge = family.get_or_create_owned(&label);
                    gauge.set(value as i64);
                };
                set(&figures.is_leader, u64::from(status.role == "leader"));
                set(&figures.term, status.term);
                set(&figures.commit_index, status.commit_index);
                set(&figures.applied_index, status.applied_index);
                set(&figures.apply_lag, status.commit_index.saturating_sub(status.applied_index));
                set(&figures.snapshot_index, status.snapshot_index);
                set(&figures.purged_index, status.purged_index);
                for (peer, lag) in group.peer_lag() {
                    let label = PeerLabel { shard: status.group, peer };
                    figures.peer_lag.get_or_create(&label).set(lag as i64);
                }
            }
        });
    }
}

/// Our configuration in the library's terms.
fn library_config(config: &config::Raft) -> Result<openraft::Config, Error> {
    let library = openraft::Config {
        cluster_name: "everlog".to_owned(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min: config.election_min_ms,
        election_timeout_max: config.election_max_ms,
        max_payload_entries: config.append_entries_max,
        replication_lag_threshold: config.lag_entries_max,
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(config.snapshot_entries),
        max_in_snapshot_log_to_keep: config.snapshot_keep_entries,
        install_snapshot_timeout: snapshot::TIMEOUT.as_millis() as u64,
        // A node that was cut off asks before it raises the term, and disturbs nobody.
        enable_pre_vote: Some(true),
        // A leader that starts again must be elected again: what it had applied may not have reached
        // its tables, and a new term makes it see all that is committed before it serves.
        enable_leader_restore: Some(false),
        // A leader that has lost its quorum falls silent, or it would keep those who still hear it from
        // electing another: for as long as an election takes, twice over. Then it tries again.
        quorum_loss_probe_interval: Some(QUIET_ELECTIONS * config.election_max_ms),
        // Data that was once acknowledged may not go missing in silence.
        allow_log_reversion: Some(false),
        backoff: "50ms 100ms 200ms ...1s".to_owned(),
        ..openraft::Config::default()
    };
    library.validate().map_err(|error| Error::Config(error.to_string()))
}
