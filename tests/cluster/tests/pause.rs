//! SIGSTOP: a leader that sleeps and wakes must not answer from the past.
//!
//! A stopped process believes on waking that no time has passed: it may still think that it leads, and its
//! memory is as it was. Requests that piled up in its sockets are the first thing it sees. Each answer
//! must show every write that was acknowledged before the request was sent, or be a refusal.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use everlog_cluster_tests::{
    api::{Api, CALL_TIMEOUT, NAMESPACE, execution, history, limited},
    cluster::{Cluster, NODES},
    history::Run,
    load,
    program::Program,
    record::Recorder,
    scenario::Load,
    unique::unique,
};
use futures::future::join_all;
use temporalio_protos::temporal::api::{
    enums::v1::EventType,
    workflowservice::v1::{CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest},
};
use tonic::{Code, Status};

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

#[derive(Default)]
struct Tally {
    right: usize,
    refused: usize,
}

impl Tally {
    fn add(&mut self, answered: bool) {
        if answered {
            self.right += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// Asks in two ways how far a workflow is. True if both answers were right, false if there was no answer.
async fn observe(api: Api, id: String, signals: usize) -> Result<bool> {
    match signals_seen(&api, &id).await {
        Ok(seen) => {
            ensure!(
                seen >= signals,
                "{id}: of {signals} signals acknowledged before the question {seen} were shown"
            );
        }
        Err(status) if status.code() == Code::NotFound => {
            bail!("{id}: was acknowledged before the question and is said not to exist")
        }
        Err(_) => return Ok(false),
    }
    let request =
        DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution(&id, "")) };
    let described = limited(CALL_TIMEOUT, api.node(0).describe_workflow_execution(request)).await;
    let Ok(described) = described else { return Ok(false) };
    let length = described.into_inner().workflow_execution_info.map_or(0, |info| info.history_length);
    // Started and scheduled come before the signals.
    ensure!(
        length >= 2 + signals as i64,
        "{id}: described with {length} events, and {signals} signals are in it"
    );
    Ok(true)
}

/// How many signals the history shows.
async fn signals_seen(api: &Api, id: &str) -> Result<usize, Status> {
    let run = Run::new(id, "", &history(api.node(0), id, "").await?);
    Ok(run.events.iter().filter(|event| event.kind == EventType::WorkflowExecutionSignaled).count())
}

async fn count(api: Api) -> Result<Option<i64>> {
    let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let counted = limited(CALL_TIMEOUT, api.node(0).count_workflow_executions(request)).await;
    Ok(counted.ok().map(|answer| answer.into_inner().count))
}
