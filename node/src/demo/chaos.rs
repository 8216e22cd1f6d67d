//! Who is killed, and when.
//!
//! A round kills the node that leads a certain shard, and while it is down a worker; then both are started
//! again. The next round waits until the cluster is whole, because a cluster of three promises to bear the loss
//! of one node, not of two. What the seed decides is which shard and which worker; who leads the shard at that
//! moment is up to the cluster.

use std::time::Duration;

use everlog_client::Random;
use tokio::time::Instant;

use super::leaders::Watch;
use super::processes::Processes;
use super::screen::Screen;

/// From the death of a node to that of a worker, and from there to their return.
const WORKER_DIES_AFTER: Duration = Duration::from_millis(700);
const WORKER_RETURNS_AFTER: Duration = Duration::from_millis(800);
const NODE_RETURNS_AFTER: Duration = Duration::from_millis(1_500);
/// The cluster must be whole again so long after a node was started.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Killed {
    pub(super) nodes: u32,
    pub(super) workers: u32,
}

/// A round of killing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    after: Duration,
    /// Positions in the lists of shards and workers.
    shard: usize,
    worker: usize,
}

/// Kills `rounds` times, spread over `time`, and returns when all are alive again.
pub(super) async fn reign(
    processes: &mut Processes,
    watch: &Watch,
    screen: &Screen,
    rounds: u32,
    time: Duration,
    seed: u64,
) -> anyhow::Result<Killed> {
    let started = Instant::now();
    let shards = watch.shards();
    let mut killed = Killed::default();
    for round in plan(seed, rounds, time, shards.len(), processes.workers.len()) {
        tokio::time::sleep_until(started + round.after).await;
        let leader = whole(processes, watch, shards[round.shard]).await?;
        let node = usize::try_from(leader)? - 1;
        let leads = watch.leads().get(&leader).copied().unwrap_or_default();
        let pid = processes.nodes[node].kill().await?;
        killed.nodes += 1;
        screen.note(&format!(
            "kill -9 {pid}: node {leader}, the leader of shard {} and {} more",
            shards[round.shard],
            leads.saturating_sub(1)
        ));
        tokio::time::sleep(WORKER_DIES_AFTER).await;
        let worker = &mut processes.workers[round.worker];
        let pid = worker.kill().await?;
        killed.workers += 1;
        screen.note(&format!("kill -9 {pid}: {}", worker.name));
        tokio::time::sleep(WORKER_RETURNS_AFTER).await;
        let worker = &mut processes.workers[round.worker];
        worker.start()?;
        screen.note(&format!(
            "{} is started again as process {}",
            worker.name,
            worker.pid().unwrap_or_default()
        ));
        tokio::time::sleep(NODE_RETURNS_AFTER).await;
        let node = &mut processes.nodes[node];
        node.start()?;
        screen.note(&format!("{} is started again as process {}", node.name, node.pid().unwrap_or_default()));
    }
    if let Some(shard) = shards.first() {
        whole(processes, watch, *shard).await?;
    }
    Ok(killed)
}

/// Waits until all nodes serve and all shards have leaders, and says who leads one of them.
async fn whole(processes: &mut Processes, watch: &Watch, shard: u64) -> anyhow::Result<u64> {
    let deadline = Instant::now() + WHOLE_TIMEOUT;
    loop {
        processes.ensure_alive()?;
        if watch.is_whole(processes.nodes.len())
            && let Some(leader) = watch.leader(shard)
        {
            return Ok(leader);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{WHOLE_TIMEOUT:?} after the last start, not all nodes serve or not all shards have leaders"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The rounds, evenly spread: each begins a third into its part of the time.
fn plan(seed: u64, rounds: u32, time: Duration, shards: usize, workers: usize) -> Vec<Round> {
    let mut random = Random::from_seed(seed);
    let part = time / rounds.max(1);
    (0..rounds)
        .map(|round| Round {
            after: part * round + part / 3,
            shard: random.below(shards as u64) as usize,
            worker: random.below(workers as u64) as usize,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_who_is_killed_and_rounds_are_spread() {
        let time = Duration::from_secs(30);
        let plan_of = |seed| plan(seed, 3, time, 16, 2);
        assert_eq!(plan_of(7), plan_of(7));
        assert!((0..20).any(|seed| plan_of(seed) != plan_of(7)));
        let at: Vec<u64> = plan_of(7).iter().map(|round| round.after.as_millis() as u64).collect();
        assert_eq!(at, [3_333, 13_333, 23_333]);
        assert!(plan_of(7).iter().all(|round| round.shard < 16 && round.worker < 2));
        assert!(plan(7, 0, time, 16, 2).is_empty());
    }
}
