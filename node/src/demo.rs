//! `everlog demo`: the main job, shown and checked.
//!
//! Three nodes and two workers are started as processes of this binary, and many subscriptions run on them.
//! While they run, the leader of a shard and a worker are killed with SIGKILL and started again. In the end
//! three records are compared that know nothing of each other: the ledger, to which each charge was
//! appended when it happened; the results and histories that the cluster gives out; and what this process
//! was told about each call it made. Nothing is asserted by the cluster about itself alone.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use everlog_client::{Client, client::Handle};
use tokio::process::{Child, Command};

mod ledger;
mod nodes;
mod report;
mod subscription;

use ledger::Ledger;
use nodes::Nodes;
use report::{Outcome, Report};
use subscription::{Change, Receipt, SubscriptionError, Terms};

use crate::cli::{runtime, signalled};

const LEDGER_FILE: &str = "ledger";
const WORKERS: usize = 2;
/// A dead worker stays dead for so long.
const WORKER_PAUSE: Duration = Duration::from_secs(2);
/// Subscriptions are started, changed and cancelled by so many callers at once.
const CALLERS: usize = 16;
const CENTS_FIRST: u64 = 999;
const CENTS_LATER: u64 = 1499;
/// After the cancellations everything must end by itself within this time.
const END_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// How many subscriptions run.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workflows: u32,
    /// For how many seconds customers are charged.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(6..=3600))]
    seconds: u64,
    /// The first port of the nodes; free ones are looked for if it is not given.
    #[arg(long)]
    port: Option<u16>,
    /// Where the data goes, and stays; a temporary folder if not given.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// One worker process, as the demo starts it.
    #[command(hide = true)]
    Worker {
        #[arg(long)]
        addresses: String,
        #[arg(long)]
        ledger: PathBuf,
    },
}

type Subscription = Handle<Receipt, SubscriptionError>;

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    runtime()?.block_on(async move {
        if let Some(Part::Worker { addresses, ledger }) = &options.part {
            return subscription::work(addresses, ledger).await;
        }
        let folder = Folder::choose(options.data_dir.clone())?;
        tokio::select! {
            outcome = show(&options, &folder.path) => outcome,
            () = signalled() => anyhow::bail!("interrupted"),
        }
    })
}

async fn show(options: &Options, folder: &std::path::Path) -> anyhow::Result<()> {
    let ledger_path = folder.join(LEDGER_FILE);
    Ledger::open(&ledger_path).with_context(|| format!("cannot write {}", ledger_path.display()))?;
    println!("Three nodes and {WORKERS} workers start, with their data in {}.", folder.display());
    let nodes = Nodes::start(options.port, folder).await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(Worker::start(&nodes, &ledger_path)?);
    }
    let client = Client::connect(nodes.api_addresses()).queue(subscription::QUEUE).await?;
    let progress = tokio::spawn(progress(client.clone(), ledger_path.clone(), nodes.watch()));

    let started = Instant::now();
    let ids: Vec<String> = (0..options.workflows).map(|n| format!("subscription-{n:04}")).collect();
    let subscriptions = each(ids, |id| {
        let client = client.clone();
        async move {
            let terms = Terms {
                customer: id.clone(),
                cents: CENTS_FIRST,
                trial: Duration::from_secs(1),
                period: Duration::from_secs(1),
            };
            Ok(client.start(subscription::subscription, terms).id(id).await?)
        }
    })
    .await
    .context("a subscription could not be started")?;
    println!("{} subscriptions run: a trial of a second, then a charge a second.", subscriptions.len());

    let at =
        |part: u64| started + Duration::from_secs(options.seconds) * u32::try_from(part).unwrap_or(0) / 6;
    tokio::time::sleep_until(at(1).into()).await;
    let (node, shard) = nodes.kill_leader()?;
    println!("kill -9 of node {node}, which leads shard {shard} and others");

    tokio::time::sleep_until(at(2).into()).await;
    each(subscriptions.clone(), |handle: Subscription| async move {
        handle.send(Change::Amount(CENTS_LATER)).await?;
        let period: Duration = handle.query("period").await?;
        anyhow::ensure!(period == Duration::from_secs(1), "{} has a period of {period:?}", handle.id());
        Ok(())
    })
    .await
    .context("an amount could not be changed")?;
    println!("every amount was changed by a signal, every period read by a query");

    tokio::time::sleep_until(at(3).into()).await;
    workers[0].kill().await?;
    println!("kill -9 of worker 1");
    tokio::time::sleep(WORKER_PAUSE).await;
    workers[0] = Worker::start(&nodes, &ledger_path)?;
    println!("worker 1 is back as process {}", workers[0].child.id().unwrap_or_default());

    tokio::time::sleep_until(at(4).into()).await;
    let (node, shard) = nodes.kill_leader()?;
    println!("kill -9 of node {node}, which leads shard {shard} and others");

    tokio::time::sleep_until(at(6).into()).await;
    each(subscriptions.clone(), |handle: Subscription| async move { Ok(handle.send(Change::Cancel).await?) })
        .await
        .context("a subscription could not be cancelled")?;
    println!("every subscription was cancelled by a signal");

    let outcomes = tokio::time::timeout(END_TIMEOUT, each(subscriptions, outcome_of))
        .await
        .context("subscriptions are still open a minute after they were cancelled")??;
    progress.abort();
    let open = client.count("ExecutionStatus = \"Running\"").await?;
    let compared = nodes.compare().await?;
    let seen = nodes.watch();
    let report = Report {
        outcomes: outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome)).collect(),
        entries: ledger::read(&ledger_path)?,
        amounts: (CENTS_FIRST, CENTS_LATER),
        open,
        compared,
        leader_changes: seen.leader_changes(),
        without_leader: seen.without_leader(),
    };
    for worker in &mut workers {
        worker.stop().await?;
    }
    nodes.stop().await?;
    println!("\n{report}");
    let faults = report.faults();
    for fault in faults.iter().take(20) {
        println!("wrong: {fault}");
    }
    anyhow::ensure!(faults.is_empty(), "{} things are wrong", faults.len());
    println!("Nothing is missing and nothing happened twice.");
    Ok(())
}

/// Does the same for each of many, some at a time.
async fn each<T, O, F>(items: Vec<T>, work: impl Fn(T) -> F) -> anyhow::Result<Vec<O>>
where
    F: Future<Output = anyhow::Result<O>>,
{
    use futures::{StreamExt as _, TryStreamExt as _};
    futures::stream::iter(items.into_iter().map(work)).buffered(CALLERS).try_collect().await
}

/// What the cluster says about a subscription that has ended.
async fn outcome_of(handle: Subscription) -> anyhow::Result<Outcome> {
    let receipt = handle.result().await.with_context(|| format!("{} did not complete", handle.id()))?;
    let history = handle.history().await?;
    Outcome::of(handle.id(), handle.run_id().unwrap_or_default(), receipt, &history.events)
}

/// One line a second.
async fn progress(client: Client, ledger: PathBuf, seen: nodes::Watch) {
    let started = Instant::now();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let open =
            tokio::time::timeout(Duration::from_millis(900), client.count("ExecutionStatus = \"Running\""));
        let open = match open.await {
            Ok(Ok(open)) => open.to_string(),
            _ => "?".to_owned(),
        };
        let charged = ledger::read(&ledger).map(|entries| ledger::keys(&entries)).unwrap_or_default();
        println!(
            "{:>4} s   open {open:>5}   charged {charged:>6}   leader changes {:>3}   without a leader {:>4.1} s",
            started.elapsed().as_secs(),
            seen.leader_changes(),
            seen.without_leader().as_secs_f64(),
        );
    }
}

/// A worker process.
struct Worker {
    child: Child,
}

impl Worker {
    fn start(nodes: &Nodes, ledger: &std::path::Path) -> anyhow::Result<Worker> {
        let child = Command::new(std::env::current_exe().context("this program cannot be found again")?)
            .args(["demo", "worker", "--addresses", &nodes.api_addresses().join(",")])
            .arg("--ledger")
            .arg(ledger)
            // Its end tells the worker to stop, also when this process is killed.
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("a worker cannot be started")?;
        Ok(Worker { child })
    }

    async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(Duration::from_secs(15), self.child.wait());
        let ended = ended.await.context("a worker did not stop")??;
        anyhow::ensure!(ended.success(), "a worker ended with {ended}");
        Ok(())
    }
}

/// A folder that stays if it was asked for, and goes otherwise.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn choose(given: Option<PathBuf>) -> anyhow::Result<Folder> {
        let temporary = given.is_none();
        let path = match given {
            Some(path) => std::path::absolute(path)?,
            None => std::env::temp_dir().join(format!("everlog-demo-{}", std::process::id())),
        };
        if temporary && path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let used = path.join(LEDGER_FILE).exists();
        anyhow::ensure!(!used, "{} has been used by a demo before", path.display());
        Ok(Folder { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("everlog: the temporary folder {} stays: {error}", self.path.display());
        }
    }
}

/// Charges by customer, in order of their periods.
type ByCustomer<T> = BTreeMap<String, T>;
