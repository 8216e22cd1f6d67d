//! Restarts that are meant: an upgrade takes one node after the other, and a node finds its data again.

use std::time::Duration;

use anyhow::{Result, ensure};
use everlog_cluster_tests::{
    cluster::{Cluster, NODES},
    scenario::Load,
};

/// A node hands over its leaderships, ends its polls, flushes and is gone.
const TERMINATE_LIMIT: Duration = Duration::from_secs(30);

/// What a client may meet while a node that it uses is stopped with care. A client repeats all of it.
const EXPECTED: [&str; 4] = [
    "Unavailable",
    // Said by the client's own library of a call that it had not sent when the connection was closed.
    "Cancelled: operation was canceled",
    // The old leader handed the task out and did not write that down. It is offered again.
    "NotFound: Workflow task not found",
    // A completion that was repeated, because the answer to the first got lost.
    "NotFound: invalid activityID",
];

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
    let errors = load.api.errors();
    println!("{errors:#?}");
    for error in errors.keys() {
        ensure!(EXPECTED.iter().any(|expected| error.starts_with(expected)), "a client met: {error}");
    }
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
