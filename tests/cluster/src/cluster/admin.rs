//! What an operator asks of a cluster, through the binary's own commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::Cluster;

const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// Replicas may be a few entries apart for a moment after the last write.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until all nodes have applied the same entries of every shard, and compares the hashes of what
/// they made of them. Returns how many shards were compared.
pub async fn compare_replicas(cluster: &Cluster) -> Result<usize> {
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    loop {
        let shards = hashes(cluster).await?;
        ensure!(!shards.is_empty(), "`everlog cluster hashes` shows no shards");
        let apart: Vec<u64> =
            shards.iter().filter(|(_, views)| !views.is_level()).map(|(id, _)| *id).collect();
        for (shard, views) in &shards {
            ensure!(views.agree(), "shard {shard} differs between nodes: {views:?}");
        }
        if apart.is_empty() {
            return Ok(shards.len());
        }
        if Instant::now() > deadline {
            bail!("the replicas of shards {apart:?} stay apart: {shards:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Moves the leadership of a shard to a node.
pub async fn transfer_leader(cluster: &Cluster, shard: u64, to: usize) -> Result<()> {
    let (shard, to) = (shard.to_string(), to.to_string());
    run(cluster, &["transfer-leader", "--shard", &shard, "--to", &to]).await.map(drop)
}

/// What each node has of one shard: its applied index and the hash at it.
#[derive(Debug, Default)]
struct Views(Vec<(u64, u64, String)>);

impl Views {
    /// Every node is there and has applied the same entries.
    fn is_level(&self) -> bool {
        let indexes: BTreeSet<u64> = self.0.iter().map(|(_, index, _)| *index).collect();
        self.0.len() == super::NODES && indexes.len() == 1
    }

    /// Those that have applied the same entries have the same bytes.
    fn agree(&self) -> bool {
        let by_index: BTreeSet<(u64, &str)> =
            self.0.iter().map(|(_, at, hash)| (*at, hash.as_str())).collect();
        let indexes: BTreeSet<u64> = self.0.iter().map(|(_, index, _)| *index).collect();
        by_index.len() == indexes.len()
    }
}

async fn hashes(cluster: &Cluster) -> Result<BTreeMap<u64, Views>> {
    let answer: Value = serde_json::from_str(&run(cluster, &["hashes", "--json"]).await?)?;
    let mut shards = BTreeMap::new();
    for shard in answer["shards"].as_array().context("no shards")? {
        let id = shard["shard"].as_u64().context("a shard without a number")?;
        let mut views = Views::default();
        for node in shard["nodes"].as_array().context("a shard without nodes")? {
            views.0.push((
                node["node"].as_u64().context("a node without a number")?,
                node["applied_index"].as_u64().context("a node without an index")?,
                node["hash"].as_str().context("a node without a hash")?.to_owned(),
            ));
        }
        shards.insert(id, views);
    }
    Ok(shards)
}

async fn run(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let node = cluster.nodes.iter().find(|node| node.is_running()).context("no node is running")?;
    let command = Command::new(super::binary()?)
        .arg("cluster")
        .args(arguments)
        .args(["--peer", &node.addresses.peer])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(COMMAND_LIMIT, command).await.context("the command does not end")??;
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "everlog cluster {}: {said}{wrong}", arguments.join(" "));
    Ok(said.into_owned())
}

#[cfg(test)]
mod tests {
    use super::Views;

    fn views(of: &[(u64, u64, &str)]) -> Views {
        Views(of.iter().map(|(node, index, hash)| (*node, *index, (*hash).to_owned())).collect())
    }

    #[test]
    fn replicas_agree_where_they_can_be_compared() {
        assert!(views(&[(1, 5, "a"), (2, 5, "a"), (3, 5, "a")]).agree());
        assert!(views(&[(1, 5, "a"), (2, 5, "a"), (3, 4, "b")]).agree(), "another index says nothing");
        assert!(!views(&[(1, 5, "a"), (2, 5, "b"), (3, 5, "a")]).agree());
    }

    #[test]
    fn a_replica_that_is_missing_or_behind_is_not_level() {
        assert!(views(&[(1, 5, "a"), (2, 5, "a"), (3, 5, "a")]).is_level());
        assert!(!views(&[(1, 5, "a"), (2, 5, "a")]).is_level());
        assert!(!views(&[(1, 5, "a"), (2, 5, "a"), (3, 4, "a")]).is_level());
    }
}
