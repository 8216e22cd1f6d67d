//! Restarts that are meant: an upgrade takes one node after the other, and a node finds its data again.

use std::time::Duration;

use anyhow::Result;
use everlog_cluster_tests::{
    cluster::{Cluster, NODES},
    scenario::Load,
};

/// A node hands over its leaderships, ends its polls, flushes and is gone.
const TERMINATE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_after_the_other() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(2)).await;
    for id in 1..=NODES {
        let took = cluster.node(id).terminate(TERMINATE_LIMIT)?;
        cluster.node(id).start()?;
        cluster.wait_ready().await?;
        println!("node {id} ended {:.2} s after SIGTERM and serves again", took.as_secs_f64());
        load.run(Duration::from_secs(1)).await;
    }
    println!("{}", load.slowest_write());
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_cluster_on_the_same_data() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(3)).await;
    for id in 1..=NODES {
        cluster.node(id).terminate(TERMINATE_LIMIT)?;
    }
    for id in 1..=NODES {
        cluster.node(id).start()?;
    }
    cluster.wait_ready().await?;
    load.run(Duration::from_secs(2)).await;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}
