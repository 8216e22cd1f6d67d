//! Figures for operators, and the port where they are read.
//!
//! A figure that changes with every event is counted where the event happens; a figure that merely
//! describes a state (who leads, how far a group has applied) is read when somebody asks, by the
//! functions given to [`Metrics::on_scrape`], so it costs nothing between two readings. Names are the
//! real server's where the meaning is equal; labels never hold an id that users choose.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use prometheus_client::registry::Registry;

mod http;
pub mod store;

pub use http::{Health, serve};

/// All figures of one node. A cheap handle; clones count into the same figures.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
    pub raft: RaftMetrics,
    /// Consensus rounds that somebody waited for, by the kind of request.
    rounds_waited: Family<KindLabel, Counter>,
    /// Entries that this node's shards proposed.
    log_entries: Counter,
    list_rows_read: Counter,
}

struct Inner {
    registry: Mutex<Registry>,
    readers: Mutex<Vec<Reader>>,
}

/// Brings the figures that describe a state up to date.
type Reader = Box<dyn Fn() + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShardLabel {
    pub shard: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeerLabel {
    pub shard: u64,
    pub peer: u64,
}

/// What consensus is doing, by shard.
#[derive(Clone, Default)]
pub struct RaftMetrics {
    pub is_leader: Family<ShardLabel, Gauge>,
    pub term: Family<ShardLabel, Gauge>,
    pub commit_index: Family<ShardLabel, Gauge>,
    pub applied_index: Family<ShardLabel, Gauge>,
    pub apply_lag: Family<ShardLabel, Gauge>,
    pub snapshot_index: Family<ShardLabel, Gauge>,
    pub purged_index: Family<ShardLabel, Gauge>,
    pub peer_lag: Family<PeerLabel, Gauge>,
    pub leader_changes: Family<ShardLabel, Counter>,
    pub proposals: Family<ShardLabel, Counter>,
    pub proposals_failed: Family<ShardLabel, Counter>,
    pub proposals_pending: Family<ShardLabel, Gauge>,
    pub read_indexes: Family<ShardLabel, Counter>,
    pub link_messages: Family<KindLabel, Counter>,
}

impl Metrics {
    pub fn new() -> Self {
        let metrics = Self {
            inner: Arc::new(Inner { registry: Mutex::default(), readers: Mutex::default() }),
            raft: RaftMetrics::default(),
            rounds_waited: Family::default(),
            log_entries: Counter::default(),
            list_rows_read: Counter::default(),
        };
        metrics.register(|registry| {
            metrics.raft.register(registry);
            registry.register(
                "everlog_rounds_waited",
                "Consensus rounds that a request waited for",
                metrics.rounds_waited.clone(),
            );
            registry.register(
                "everlog_log_entries",
                "Log entries proposed by the shards that this node leads",
                metrics.log_entries.clone(),
            );
            registry.register(
                "everlog_list_rows_read",
                "Rows read for lists and counts of the shards that this node leads",
                metrics.list_rows_read.clone(),
            );
        });
        metrics
    }

    /// Somebody waited for a consensus round.
    pub fn round_waited(&self, kind: &'static str) {
        self.rounds_waited.get_or_create(&KindLabel { kind }).inc();
    }

    /// Entries of ours were proposed.
    pub fn log_entries(&self, count: u64) {
        self.log_entries.inc_by(count);
    }

    /// Rows were read for a list or a count.
    pub fn list_rows_read(&self, rows: u64) {
        self.list_rows_read.inc_by(rows);
    }

    /// Adds figures of another part of the node.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds a function that brings figures up to date before each reading. It must not block.
    pub fn on_scrape(&self, reader: impl Fn() + Send + Sync + 'static) {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(reader));
    }

    /// All figures in Prometheus' text form.
    pub fn text(&self) -> String {
        for reader in self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            reader();
        }
        let mut text = String::new();
        let registry = self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = encode(&mut text, &registry) {
            // A half-written page would be read as truth.
            text.clear();
            let _ = writeln!(text, "# {error}");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl RaftMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("raft_is_leader", "1 where this node leads the shard", self.is_leader.clone());
        registry.register("raft_term", "The shard's term", self.term.clone());
        registry.register(
            "raft_commit_index",
            "Index of the last committed entry",
            self.commit_index.clone(),
        );
        registry.register(
            "raft_applied_index",
            "Index of the last applied entry",
            self.applied_index.clone(),
        );
        registry.register("raft_apply_lag", "Entries committed and not yet applied", self.apply_lag.clone());
        registry.register("raft_snapshot_index", "Last index in the snapshot", self.snapshot_index.clone());
        registry.register("raft_purged_index", "Last index that left the log", self.purged_index.clone());
        registry.register("raft_peer_lag", "Entries that a peer is behind its leader", self.peer_lag.clone());
        registry.register(
            "raft_leader_changes",
            "Changes of leader seen by this node",
            self.leader_changes.clone(),
        );
        registry.register("raft_proposals", "Entries proposed by this node", self.proposals.clone());
        registry.register(
            "raft_proposals_failed",
            "Proposals refused, or lost with an unknown outcome",
            self.proposals_failed.clone(),
        );
        registry.register(
            "raft_proposals_pending",
            "Proposals without an outcome yet",
            self.proposals_pending.clone(),
        );
        registry.register(
            "raft_read_indexes",
            "Rounds that confirmed a leader for reads",
            self.read_indexes.clone(),
        );
        registry.register("raft_link_messages", "Messages sent to peers", self.link_messages.clone());
    }
}

/// A histogram of durations from 50 microseconds to about 26 seconds, in seconds.
pub fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_when_asked() {
        let metrics = Metrics::new();
        let term = metrics.raft.term.clone();
        metrics.on_scrape(move || {
            term.get_or_create(&ShardLabel { shard: 3 }).set(7);
        });
        metrics.round_waited("start");
        metrics.round_waited("start");
        metrics.log_entries(5);
        let text = metrics.text();
        assert!(text.contains("raft_term{shard=\"3\"} 7"), "{text}");
        assert!(text.contains("everlog_rounds_waited_total{kind=\"start\"} 2"), "{text}");
        assert!(text.contains("everlog_log_entries_total 5"), "{text}");
    }
}
