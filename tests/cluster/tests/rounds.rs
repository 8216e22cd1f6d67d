//! How many consensus rounds a request waits for: counted, not timed, so the machine does not matter.
//!
//! | request | rounds |
//! | --- | --- |
//! | start | 1 |
//! | activity step: the workflow task's completion and the activity's | 2 |
//! | signal | 1 |
//! | query, poll | 0 |
//!
//! And the rounds are shared: what waits for a busy workflow is decided together.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use everlog_cluster_tests::{
    api::{Answer, Api, NAMESPACE, execution, history, number},
    cluster::Cluster,
    load::{self, Workers},
    program::Program,
    record::Recorder,
    unique::unique,
};
use futures::future::join_all;
use temporalio_protos::temporal::api::{
    enums::v1::EventType, query::v1::WorkflowQuery, workflowservice::v1::QueryWorkflowRequest,
};

const ROUNDS: &str = "everlog_rounds_waited_total";
const ENTRIES: &str = "everlog_log_entries_total";
const PATIENCE: Duration = Duration::from_secs(20);
const STEPS: u64 = 5;
const SIGNALS: u64 = 20;
const BURST: u64 = 1_000;
const BURST_ENTRIES_MAX: u64 = 50;
/// Each new leader writes an entry of its own, so none may come while entries are counted.
const SETTLE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_one_round() -> Result<()> {
    let (cluster, api, recorder) = settled().await?;
    let before = rounds(&cluster).await?;
    let program: Program = "s1".parse().map_err(anyhow::Error::msg)?;
    for index in 0..10 {
        load::start(&api, &recorder, index, &unique("start"), &program, PATIENCE)
            .await
            .context("no start")?;
    }
    expect("10 starts", rounds(&cluster).await? - before, 10)?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_waits_for_one_round() -> Result<()> {
    let (cluster, api, recorder) = settled().await?;
    let program: Program = "s99".parse().map_err(anyhow::Error::msg)?;
    let id = unique("signals");
    load::start(&api, &recorder, 0, &id, &program, PATIENCE).await.context("no start")?;
    let before = rounds(&cluster).await?;
    for index in 0..SIGNALS {
        ensure!(load::signal(&api, &recorder, index as usize, &id, index, PATIENCE).await, "no signal");
    }
    expect("20 signals, one after the other", rounds(&cluster).await? - before, SIGNALS)?;
    cluster.passed()
}

/// N steps of one activity each: the start, then for each step the workflow task that schedules the
/// activity and the activity's completion, and the last workflow task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activity_step_waits_for_two_rounds() -> Result<()> {
    let (cluster, api, recorder) = settled().await?;
    let before = rounds(&cluster).await?;
    let program = ["a1"; STEPS as usize].join(" ");
    run_to_the_end(&api, &recorder, &program).await?;
    expect("five activity steps", rounds(&cluster).await? - before, 1 + 2 * STEPS + 1)?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_and_queries_wait_for_none() -> Result<()> {
    let (cluster, api, recorder) = settled().await?;
    let id = run_to_the_end(&api, &recorder, "a1").await?;
    let workers = Workers::start(&api, &recorder, 1, 1);
    // The polls are under way before the counting begins, and stay so.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (rounds_before, entries_before) = (rounds(&cluster).await?, cluster.total(ENTRIES, "").await?);
    for index in 0..20 {
        let known = query(&api, index, &id).await?;
        ensure!(known >= 10, "the worker knows {known} events of a history that is longer");
    }
    let entries = cluster.total(ENTRIES, "").await? - entries_before;
    workers.kill().await;
    expect("20 queries", rounds(&cluster).await? - rounds_before, 0)?;
    expect("log entries of 20 queries", entries, 0)?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_signals_at_once_share_their_rounds() -> Result<()> {
    let (cluster, api, recorder) = settled().await?;
    let program: Program = "s1000".parse().map_err(anyhow::Error::msg)?;
    let id = unique("burst");
    load::start(&api, &recorder, 0, &id, &program, PATIENCE).await.context("no start")?;
    let before = cluster.total(ENTRIES, "").await?;
    let began = Instant::now();
    let signals = (0..BURST).map(|index| {
        let (api, recorder, id) = (api.clone(), recorder.clone(), id.clone());
        // All through one node, whether it leads or not.
        tokio::spawn(async move { load::signal(&api, &recorder, 0, &id, index, PATIENCE).await })
    });
    for told in join_all(signals).await {
        ensure!(told?, "a signal was not acknowledged");
    }
    let entries = cluster.total(ENTRIES, "").await? - before;
    println!("{BURST} signals in {} ms made {entries} log entries", began.elapsed().as_millis());
    let events = history(api.node(1), &id, "").await?;
    let signaled =
        events.iter().filter(|event| event.event_type == EventType::WorkflowExecutionSignaled as i32).count();
    ensure!(signaled as u64 == BURST, "{signaled} signals are in the history");
    ensure!(entries > 0, "{ENTRIES} does not count");
    ensure!(
        entries <= BURST_ENTRIES_MAX,
        "{entries} log entries for {BURST} signals, at most {BURST_ENTRIES_MAX}"
    );
    cluster.passed()
}

/// A cluster in which no leadership moves any more.
async fn settled() -> Result<(Cluster, Api, Recorder)> {
    let cluster = Cluster::start().await?;
    let mut leaders = cluster.leaders().await;
    loop {
        tokio::time::sleep(SETTLE).await;
        let now = cluster.leaders().await;
        if now == leaders {
            break;
        }
        leaders = now;
    }
    let api = cluster.api()?;
    Ok((cluster, api, Recorder::new()))
}

async fn rounds(cluster: &Cluster) -> Result<u64> {
    cluster.total(ROUNDS, "").await
}

fn expect(what: &str, found: u64, expected: u64) -> Result<()> {
    println!("{what}: {found}");
    ensure!(found == expected, "{what}: {found}, and not {expected}");
    Ok(())
}

/// Runs one workflow with workers of its own, which are gone afterwards.
async fn run_to_the_end(api: &Api, recorder: &Recorder, program: &str) -> Result<String> {
    let program: Program = program.parse().map_err(anyhow::Error::msg)?;
    let id = unique("steps");
    let workers = Workers::start(api, recorder, 1, 1);
    load::start(api, recorder, 0, &id, &program, PATIENCE).await.context("no start")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = history(api.node(0), &id, "").await?;
        if events.last().is_some_and(|it| it.event_type == EventType::WorkflowExecutionCompleted as i32) {
            break;
        }
        if Instant::now() > deadline {
            bail!("{id} does not finish");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    workers.kill().await;
    Ok(id)
}

async fn query(api: &Api, node: usize, id: &str) -> Result<u64> {
    let request = QueryWorkflowRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution(id, "")),
        query: Some(WorkflowQuery { query_type: "events".into(), ..Default::default() }),
        ..Default::default()
    };
    let answer = api
        .persist(node, Instant::now() + PATIENCE, |mut client| {
            let request = request.clone();
            async move { client.query_workflow(request).await }
        })
        .await;
    match answer {
        Answer::Done(answered) => Ok(number(answered.query_result.as_ref())),
        Answer::Refused(status) => Err(status).context("a query was refused"),
        Answer::Unknown(..) => bail!("a query was not answered"),
    }
}
