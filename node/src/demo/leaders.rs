//! Who leads which shard, and for how long nobody did.
//!
//! A leader is one who says so of itself, with the highest term. What others believe doesn't count: a dead
//! leader is believed in for a while. A node that is only slow to answer keeps what it said last; one whose
//! connection is broken leads nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use everlog_proto::cluster::admin_client::AdminClient;
use everlog_proto::cluster::{HashesRequest, StatusReply, StatusRequest};
use tonic::Code;
use tonic::transport::Channel;

use super::check::Replica;
use crate::peer;

/// How often each node is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the state of the shards may take to come to rest after the last request.
const REST_TIMEOUT: Duration = Duration::from_secs(60);
const REST_LOOK_EVERY: Duration = Duration::from_millis(200);
/// Reading the whole state of a node.
const HASHES_TIMEOUT: Duration = Duration::from_secs(60);

/// Watches all nodes for as long as it is held.
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What is known at a moment.
#[derive(Debug, Default)]
struct Seen {
    nodes: BTreeMap<u64, StatusReply>,
    record: Record,
}

/// The history of leadership.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    leaders: BTreeMap<u64, Option<u64>>,
    last_leaders: BTreeMap<u64, u64>,
    /// Since when each shard without a leader has none.
    vacant_since: BTreeMap<u64, Instant>,
    looked: Option<Instant>,
    pub(super) changes: u64,
    /// Time during which at least one shard had no leader.
    pub(super) without: Duration,
    /// The longest time that a shard had none.
    pub(super) longest: Duration,
}

impl Watch {
    /// Begins to watch the nodes at these peer addresses, by their numbers.
    pub(super) fn start(addresses: BTreeMap<u64, String>) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = Vec::new();
        for (node, address) in addresses {
            tasks.push(tokio::spawn(look(node, admin(&address)?, Arc::clone(&seen))));
        }
        Ok(Self { seen, tasks })
    }

    /// Forgets what was counted so far.
    pub(super) fn begin(&self) {
        let mut seen = lock(&self.seen);
        let leaders = std::mem::take(&mut seen.record.leaders);
        let last_leaders = std::mem::take(&mut seen.record.last_leaders);
        seen.record = Record { leaders, last_leaders, ..Record::default() };
    }

    pub(super) fn record(&self) -> Record {
        lock(&self.seen).record.clone()
    }

    /// All nodes serve, and all shards have leaders.
    pub(super) fn is_whole(&self, nodes: usize) -> bool {
        let seen = lock(&self.seen);
        seen.nodes.len() == nodes
            && seen.nodes.values().all(|status| status.ready)
            && !seen.record.leaders.is_empty()
            && seen.record.leaders.values().all(Option::is_some)
    }

    /// How many shards each node leads.
    pub(super) fn leads(&self) -> BTreeMap<u64, usize> {
        let mut leads = BTreeMap::new();
        for node in lock(&self.seen).record.leaders.values().flatten() {
            *leads.entry(*node).or_default() += 1;
        }
        leads
    }

    /// The shards there are.
    pub(super) fn shards(&self) -> Vec<u64> {
        lock(&self.seen).record.leaders.keys().copied().collect()
    }

    pub(super) fn leader(&self, shard: u64) -> Option<u64> {
        lock(&self.seen).record.leaders.get(&shard).copied().flatten()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Record {
    /// Takes note of who leads now.
    fn observe(&mut self, now: Instant, leaders: BTreeMap<u64, Option<u64>>) {
        if let Some(before) = self.looked.replace(now)
            && self.leaders.values().any(Option::is_none)
        {
            self.without += now - before;
        }
        for (shard, leader) in &leaders {
            match leader {
                Some(leader) => {
                    if self.last_leaders.insert(*shard, *leader).is_some_and(|last| last != *leader) {
                        self.changes += 1;
                    }
                    if let Some(since) = self.vacant_since.remove(shard) {
                        self.longest = self.longest.max(now - since);
                    }
                }
                None => {
                    let since = *self.vacant_since.entry(*shard).or_insert(now);
                    self.longest = self.longest.max(now - since);
                }
            }
        }
        self.leaders = leaders;
    }
}

/// Asks one node, again and again.
async fn look(node: u64, mut admin: AdminClient<Channel>, seen: Arc<Mutex<Seen>>) {
    loop {
        let answer = tokio::time::timeout(peer::STATUS_TIMEOUT, admin.status(StatusRequest {})).await;
        {
            let mut seen = lock(&seen);
            match answer {
                Ok(Ok(status)) => drop(seen.nodes.insert(node, status.into_inner())),
                Ok(Err(status)) if status.code() != Code::DeadlineExceeded => drop(seen.nodes.remove(&node)),
                // Slow, which is not the same as gone.
                Ok(Err(_)) | Err(_) => {}
            }
            let leaders = leaders(&seen.nodes, seen.record.leaders.keys().copied());
            seen.record.observe(Instant::now(), leaders);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Who says of itself that it leads, for each shard that is known.
fn leaders(
    nodes: &BTreeMap<u64, StatusReply>,
    known: impl Iterator<Item = u64>,
) -> BTreeMap<u64, Option<u64>> {
    let mut claims: BTreeMap<u64, Option<(u64, u64)>> = known.map(|shard| (shard, None)).collect();
    for (node, status) in nodes {
        for group in &status.groups {
            let best = claims.entry(group.group).or_default();
            if group.role == "leader" && group.serving {
                *best = (*best).max(Some((group.term, *node)));
            }
        }
    }
    claims.into_iter().map(|(shard, claim)| (shard, claim.map(|(_, node)| node))).collect()
}

/// What each node holds of each shard, once all have applied the same.
pub(super) async fn replicas(
    addresses: &BTreeMap<u64, String>,
) -> anyhow::Result<BTreeMap<u64, Vec<Replica>>> {
    let deadline = Instant::now() + REST_TIMEOUT;
    loop {
        let mut shards: BTreeMap<u64, Vec<Replica>> = BTreeMap::new();
        for (node, address) in addresses {
            let mut admin = admin(address)?;
            let answer = tokio::time::timeout(HASHES_TIMEOUT, admin.hashes(HashesRequest {})).await;
            let answer = answer
                .map_err(|_| anyhow::anyhow!("node {node} does not say what it holds"))?
                .map_err(|status| anyhow::anyhow!("node {node}: {}", status.message()))?;
            for group in answer.into_inner().groups {
                let hash = group.hash.iter().map(|byte| format!("{byte:02x}")).collect();
                let replica = Replica { node: *node, applied_index: group.applied_index, hash };
                shards.entry(group.group).or_default().push(replica);
            }
        }
        let at_rest = shards
            .values()
            .all(|replicas| replicas.windows(2).all(|pair| pair[0].applied_index == pair[1].applied_index));
        if at_rest || Instant::now() > deadline {
            return Ok(shards);
        }
        tokio::time::sleep(REST_LOOK_EVERY).await;
    }
}

fn admin(address: &str) -> anyhow::Result<AdminClient<Channel>> {
    Ok(AdminClient::new(peer::endpoint(address)?.connect_lazy())
        .max_decoding_message_size(peer::MESSAGE_BYTES_MAX))
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use everlog_proto::cluster::GroupStatus;

    use super::*;

    fn claim(shard: u64, term: u64) -> StatusReply {
        let group =
            GroupStatus { group: shard, role: "leader".into(), serving: true, term, ..Default::default() };
        StatusReply { groups: vec![group], ..Default::default() }
    }

    #[test]
    fn the_highest_term_leads_and_a_shard_that_nobody_claims_has_no_leader() {
        let nodes = [(1, claim(0, 3)), (2, claim(0, 4))].into();
        let found = leaders(&nodes, [0, 1].into_iter());
        assert_eq!(found, [(0, Some(2)), (1, None)].into());
    }

    #[test]
    fn vacancies_are_timed_and_changes_counted() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut record = Record::default();
        record.observe(at(0), [(0, Some(1)), (1, Some(2))].into());
        record.observe(at(100), [(0, None), (1, Some(2))].into());
        record.observe(at(900), [(0, None), (1, None)].into());
        record.observe(at(1_100), [(0, Some(2)), (1, None)].into());
        record.observe(at(1_200), [(0, Some(2)), (1, Some(2))].into());
        record.observe(at(5_000), [(0, Some(2)), (1, Some(2))].into());
        assert_eq!(record.changes, 1, "shard 1 has its old leader again");
        assert_eq!(record.without, Duration::from_millis(1_100));
        assert_eq!(record.longest, Duration::from_millis(1_000));
    }
}
