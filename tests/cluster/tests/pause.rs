//! SIGSTOP: a leader that sleeps and wakes must not answer from the past.
//!
//! A stopped process believes on waking that no time has passed: it may still think that it leads, and its
//! memory is as it was. Requests that piled up in its sockets are the first thing it sees.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use everlog_cluster_tests::{
    api::Api,
    cluster::{Cluster, NODES},
    load,
    past::{Tally, count, observe, signals_seen},
    program::Program,
    record::Recorder,
    scenario::Load,
    unique::unique,
};
use futures::future::join_all;

const STOPPED: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);
/// Enough that every node leads the shards of some.
const WORKFLOWS: usize = 48;
/// For so long after waking every answer of the node is checked.
const WATCHED: Duration = Duration::from_secs(3);
/// Every call has its own limit; this is for all of them.
const QUEUED_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_under_load() -> Result<()> {
    let cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(3)).await;
    let (leader, shards) = cluster.busiest_leader().await?;
    println!("node {leader}, leader of {shards} shards, is stopped for {} s", STOPPED.as_secs());
    cluster.nodes[leader - 1].stop()?;
    load.run(STOPPED).await;
    cluster.nodes[leader - 1].go_on()?;
    load.run(Duration::from_secs(3)).await;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_wakes_does_not_answer_from_the_past() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api()?;
    let recorder = Recorder::new();
    // Nobody works on them, so the only events after the first two are the signals.
    let program: Program = "s9".parse().map_err(anyhow::Error::msg)?;
    let ids: Vec<String> = (0..WORKFLOWS).map(|_| unique("paused")).collect();
    for id in &ids {
        load::start(&api, &recorder, 0, id, &program, PATIENCE)
            .await
            .context("a start was not acknowledged")?;
    }
    let (leader, shards) = cluster.busiest_leader().await?;
    let sleeper = leader - 1;
    // The connection must exist before the process stops, or nothing would pile up in it.
    let stale = Api::new(std::slice::from_ref(&cluster.nodes[sleeper].addresses.api))?;
    signals_seen(&stale, &ids[0]).await.context("the node does not answer before it is stopped")?;

    cluster.nodes[sleeper].stop()?;
    let stopped = Instant::now();
    let others: Vec<usize> = (0..NODES).filter(|node| *node != sleeper).collect();
    let mut expected = BTreeMap::new();
    for (index, id) in ids.iter().enumerate() {
        let told = load::signal(&api, &recorder, others[index % others.len()], id, 0, PATIENCE).await;
        ensure!(told, "a signal was not acknowledged by the other nodes");
        expected.insert(id.clone(), 1);
    }
    let new = unique("paused");
    load::start(&api, &recorder, others[0], &new, &program, PATIENCE)
        .await
        .context("no start while one sleeps")?;
    expected.insert(new, 0);
    tokio::time::sleep(STOPPED.saturating_sub(stopped.elapsed())).await;

    // These wait in the sleeper's sockets, and all that is asked for was acknowledged before they were sent.
    let queued: Vec<_> = expected
        .iter()
        .map(|(id, signals)| tokio::spawn(observe(stale.clone(), id.clone(), *signals)))
        .collect();
    let counted = tokio::spawn(count(stale.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.nodes[sleeper].go_on()?;

    let mut answers = Tally::default();
    for observed in
        tokio::time::timeout(QUEUED_LIMIT, join_all(queued)).await.context("no answer after waking")?
    {
        answers.add(observed??);
    }
    if let Some(total) = counted.await?? {
        ensure!(
            total >= expected.len() as i64,
            "it counts {total} workflows where {} were started",
            expected.len()
        );
    }
    let watched = Instant::now();
    while watched.elapsed() < WATCHED {
        for (id, signals) in &expected {
            answers.add(observe(stale.clone(), id.clone(), *signals).await?);
        }
    }
    println!(
        "node {leader}, leader of {shards} shards, slept {} s: {} answers were right, {} calls were refused",
        STOPPED.as_secs(),
        answers.right,
        answers.refused
    );
    ensure!(answers.right > 0, "the node never answered again, which proves nothing");
    cluster.passed()
}
