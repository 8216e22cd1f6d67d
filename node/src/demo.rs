//! `everlog demo`: the main job of Everlog, shown and judged in half a minute.
//!
//! Three nodes and two workers, each a process of this binary, run a hundred subscriptions that are
//! charged every second. Meanwhile nodes and workers are killed with SIGKILL and started again. At the end
//! every charge is accounted for: what had to be charged follows from the histories, what was charged is
//! in the ledger of a bank, and all nodes must hold the same state. If anything is missing, doubled or
//! different, the command says so and ends with an error.
//!
//! The demo is a user like any other: it starts nodes as an operator would and talks to them with the
//! Rust client. It knows nothing of the engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use everlog_client::Client;
use serde_json::json;
use tokio::time::Instant;

use crate::cli::{runtime, signalled};
use crate::clock::Clock;
use crate::dev::DataDir;

mod chaos;
mod check;
mod customers;
mod facts;
mod leaders;
mod ledger;
mod processes;
mod screen;
mod subscription;
pub(crate) mod worker;

use check::{Evidence, Verdict};
use customers::{Customers, Glimpse, Terms};
use leaders::{Record, Watch};
use processes::Processes;
use screen::{Moment, Screen, grouped, seconds};

const NODES: usize = 3;
const WORKERS: usize = 2;
const QUEUE: &str = "subscriptions";
const TRIAL: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(1);
/// How long the nodes may take from their start until they serve.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Right after the start one node leads everything. So long the others may take to get their share; the demo
/// goes on without.
const SPREAD_TIMEOUT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LINE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many subscriptions to run.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workflows: u32,
    /// How long they run before they are cancelled, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=86_400))]
    seconds: u32,
    /// How often a node and a worker are killed meanwhile.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: u32,
    /// Decides who is killed and when customers change their minds; random if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// A new folder for everything that the demo writes. It stays.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Keep the temporary folder too.
    #[arg(long)]
    keep: bool,
    /// Print the outcome as JSON on the standard output, and what people read on the standard error.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let mut folder = DataDir::choose(options.data_dir.as_deref(), "demo")?;
    anyhow::ensure!(
        !folder.path().exists(),
        "{} exists; the demo wants a new folder, or it would count old charges",
        folder.path().display()
    );
    std::fs::create_dir_all(folder.path())?;
    if options.keep {
        folder.keep();
    }
    let screen = Screen::new(options.json);
    let told = runtime()?.block_on(async {
        tokio::select! {
            outcome = play(&options, &folder, screen.clone()) => Some(outcome),
            // Dropping the play kills all that it started.
            () = signalled() => None,
        }
    });
    let outcome = match told {
        Some(outcome) => outcome,
        None => anyhow::bail!("stopped before the end: nothing was judged"),
    };
    if !matches!(outcome, Ok(true)) {
        // The evidence stays.
        folder.keep();
    }
    if folder.is_kept() {
        screen.line(&format!("Logs, ledger and data are in {}.", folder.path().display()));
    }
    anyhow::ensure!(outcome?, "the demo found faults");
    Ok(())
}

/// The whole story. Says whether all is well.
async fn play(options: &Options, folder: &DataDir, mut screen: Screen) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(|| u64::from(Clock.seed() as u32));
    let time = Duration::from_secs(options.seconds.into());
    let terms = Terms { count: options.workflows as usize, trial: TRIAL, period: PERIOD, seed };
    introduce(&screen, options, seed);

    let mut processes = Processes::prepare(folder.path(), NODES, WORKERS, QUEUE)?;
    let peers: BTreeMap<u64, String> =
        processes.configs.iter().map(|config| (config.node_id, config.peer.listen.to_string())).collect();
    let watch = Watch::start(peers.clone())?;
    raise(&mut processes, &watch).await?;
    show(&screen, &processes, &watch);

    let client =
        Client::connect(processes.api_addresses()).queue(QUEUE).deadline(customers::CALL_TIMEOUT).await?;
    let glimpse = Glimpse::default();
    watch.begin();
    screen.begin();
    let customers = Customers::come(&client, terms);
    let acts = async {
        let started = Instant::now();
        customers.subscribed().await;
        let killed = chaos::reign(&mut processes, &watch, &screen, options.kills, time, seed).await?;
        while started.elapsed() < time && !customers.any_ended() {
            processes.ensure_alive()?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        screen.note("everybody cancels");
        Ok::<_, anyhow::Error>((killed, customers.leave().await?))
    };
    let (killed, ended) = tokio::select! {
        acts = acts => acts?,
        failed = narrate(&screen, &watch, &glimpse, folder) => return Err(failed),
        () = customers::curious(client.clone(), terms, &glimpse) => anyhow::bail!("nobody asks any more"),
    };
    let leaders = watch.record();
    let mut evidence = Evidence {
        customers: customers::testimony(&client, ended).await?,
        shards: leaders::replicas(&peers).await?,
        ledger: ledger::Reader::new(&processes::ledger(folder.path())).read_new()?,
        nodes: NODES,
        queries: glimpse.queries(),
        stale_answers: glimpse.stale_answers(),
        bad_ends: Vec::new(),
    };
    drop((watch, client));
    evidence.bad_ends = processes.stop().await;
    report(&screen, options.json, seed, killed, &leaders, &check::check(&evidence))
}

fn introduce(screen: &Screen, options: &Options, seed: u64) {
    screen.line(&format!(
        "{} subscriptions on {NODES} nodes and {WORKERS} workers: a trial of {}, then a charge every {} until they",
        options.workflows,
        seconds(TRIAL),
        seconds(PERIOD)
    ));
    screen.line(&format!(
        "are cancelled after {} s. Meanwhile nodes and workers are killed, {} of each. To kill the same: --seed {seed}",
        options.seconds, options.kills
    ));
    screen.line("");
}

/// Starts everything, and waits until the cluster serves and leadership is spread.
async fn raise(processes: &mut Processes, watch: &Watch) -> anyhow::Result<()> {
    for node in &mut processes.nodes {
        node.start()?;
    }
    let started = Instant::now();
    while !watch.is_whole(NODES) {
        processes.ensure_alive()?;
        anyhow::ensure!(started.elapsed() < READY_TIMEOUT, "the nodes do not serve after {READY_TIMEOUT:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    for worker in &mut processes.workers {
        worker.start()?;
    }
    while !is_spread(watch) && started.elapsed() < SPREAD_TIMEOUT {
        processes.ensure_alive()?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// No node leads more than its part.
fn is_spread(watch: &Watch) -> bool {
    let part = watch.shards().len().div_ceil(NODES);
    watch.leads().values().all(|shards| *shards <= part)
}

fn show(screen: &Screen, processes: &Processes, watch: &Watch) {
    let leads = watch.leads();
    for (node, config) in processes.nodes.iter().zip(&processes.configs) {
        screen.line(&format!(
            "{}    process {:<7} API at {}, leads {} shards",
            node.name,
            node.pid().unwrap_or_default(),
            config.api.listen,
            leads.get(&config.node_id).copied().unwrap_or_default()
        ));
    }
    for worker in &processes.workers {
        screen.line(&format!("{}  process {}", worker.name, worker.pid().unwrap_or_default()));
    }
}

/// Prints a line a second. Returns only with an error.
async fn narrate(screen: &Screen, watch: &Watch, glimpse: &Glimpse, folder: &DataDir) -> anyhow::Error {
    let mut book = ledger::Reader::new(&processes::ledger(folder.path()));
    let mut moment = Moment::default();
    let mut ticks = tokio::time::interval_at(Instant::now() + LINE_EVERY, LINE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let records = match book.read_new() {
            Ok(records) => records,
            Err(error) => return anyhow::anyhow!("the ledger cannot be read: {error}"),
        };
        for record in records {
            match record.entry {
                ledger::Entry::Charged => moment.charged += 1,
                ledger::Entry::Repeated => moment.repeated += 1,
            }
        }
        moment.leaders = watch.record();
        (moment.open, moment.answer) = glimpse.take();
        screen.moment(&moment);
    }
}

/// Prints what came of it. Says whether all is well.
fn report(
    screen: &Screen,
    as_json: bool,
    seed: u64,
    killed: chaos::Killed,
    leaders: &Record,
    verdict: &Verdict,
) -> anyhow::Result<bool> {
    screen.table(verdict);
    screen.figure(
        "attempts to charge",
        &format!(
            "{}, of which {} repeats moved no money",
            grouped(verdict.attempts),
            grouped(verdict.repeats)
        ),
    );
    screen.figure("events", &format!("{} in {} histories", grouped(verdict.events), grouped(verdict.runs)));
    screen.figure("queries answered", &grouped(verdict.queries));
    screen.figure("killed with SIGKILL", &format!("nodes: {}, workers: {}", killed.nodes, killed.workers));
    screen.figure(
        "changes of leaders",
        &format!("{}; the longest time a shard had none: {}", leaders.changes, seconds(leaders.longest)),
    );
    screen.line("");
    let good = verdict.is_good();
    screen.line(match good {
        true => "Nothing is missing, nothing is doubled, all nodes agree.",
        false => "Something is wrong. This is a bug in Everlog: please report it, with the folder below.",
    });
    if as_json {
        let outcome = json!({
            "good": good, "seed": seed, "table": verdict.rows, "faults": verdict.faults,
            "attempts": verdict.attempts, "repeats": verdict.repeats, "runs": verdict.runs, "events": verdict.events,
            "queries": verdict.queries, "killed": killed, "leader_changes": leaders.changes,
            "seconds_without_leader": leaders.without.as_secs_f64(),
            "seconds_without_leader_max": leaders.longest.as_secs_f64(),
        });
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    }
    Ok(good)
}
