//! kill -9, under load: nothing acknowledged is lost, nothing happens twice, nothing is stuck.

use std::time::Duration;

use anyhow::{Result, ensure};
use everlog_cluster_tests::{
    cluster::{Cluster, NODES, admin},
    scenario::{Load, writes_resumed},
};

const BEFORE: Duration = Duration::from_secs(3);
const DEAD: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(2);
/// A goal that is printed and decides nothing: this may be a busy machine.
const RESUME_GOAL: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_most_shards() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(BEFORE).await;
    let (leader, shards) = cluster.busiest_leader().await?;
    let killed = load.recorder.now();
    cluster.node(leader).kill();
    load.run(DEAD).await;
    let resumed = writes_resumed(&load.recorder.operations(), killed);
    println!(
        "node {leader}, leader of {shards} shards, was killed; all writes worked again after {:.2} s (goal {} s)",
        resumed.unwrap_or_default().as_secs_f64(),
        RESUME_GOAL.as_secs()
    );
    cluster.node(leader).start()?;
    load.run(AFTER).await;
    cluster.wait_ready().await?;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leads_nothing() -> Result<()> {
    // Leaders stay where the test puts them.
    let mut cluster = Cluster::start_with(&["raft.balance_ms=0"]).await?;
    let follower = NODES;
    for (shard, leader) in cluster.leaders().await {
        if leader == follower {
            admin::transfer_leader(&cluster, shard, 1 + shard as usize % (NODES - 1)).await?;
        }
    }
    let led = cluster.leaders().await.values().filter(|leader| **leader == follower).count();
    ensure!(led == 0, "node {follower} still leads {led} shards");

    let load = Load::start(cluster.api()?);
    load.run(BEFORE).await;
    cluster.node(follower).kill();
    load.run(DEAD).await;
    println!("a follower was killed; {}", load.slowest_write());
    cluster.node(follower).start()?;
    load.run(AFTER).await;
    cluster.wait_ready().await?;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_and_back() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(BEFORE).await;
    cluster.node(1).kill();
    load.run(Duration::from_millis(500)).await;
    cluster.node(2).kill();
    // No quorum: nothing may be acknowledged now, and what clients try stays unknown.
    load.run(DEAD).await;
    let back = load.recorder.now();
    cluster.node(1).start()?;
    load.run(Duration::from_secs(1)).await;
    cluster.node(2).start()?;
    load.run(AFTER * 2).await;
    let resumed = writes_resumed(&load.recorder.operations(), back);
    println!("writes worked {:.2} s after the quorum came back", resumed.unwrap_or_default().as_secs_f64());
    cluster.wait_ready().await?;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_at_once_and_again() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    for _ in 0..2 {
        load.run(BEFORE).await;
        for id in 1..=NODES {
            cluster.node(id).kill();
        }
        load.run(Duration::from_millis(300)).await;
        let back = load.recorder.now();
        for id in 1..=NODES {
            cluster.node(id).start()?;
        }
        cluster.wait_ready().await?;
        println!("the cluster served again after {:.2} s", (load.recorder.now() - back).as_secs_f64());
    }
    load.run(AFTER).await;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

/// One node after the other dies and returns, without a pause to recover in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_the_other() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(BEFORE).await;
    for id in 1..=NODES {
        cluster.node(id).kill();
        load.run(Duration::from_millis(1_500)).await;
        cluster.node(id).start()?;
        load.run(Duration::from_millis(1_500)).await;
    }
    load.run(AFTER).await;
    cluster.wait_ready().await?;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}
