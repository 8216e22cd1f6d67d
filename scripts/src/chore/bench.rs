//! `cargo x bench`: speed, beside the peers, in one run on one machine.
//!
//! Figures of different days or machines say nothing about each other, so every subject is measured here
//! and now, by the same load: one node of Everlog, three nodes, the real development server (made durable,
//! its limits lifted) and Restate. The load generator is not part of this repository; `--load-dir` says where
//! its sources are. Everything that must be fetched or built is kept in the cache.
//!
//! The figures decide nothing: a run counts as passed when it could be measured.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

mod load;
mod peers;
mod report;
mod scenario;
mod subject;

use scenario::Scenario;
use subject::Kind;

const USAGE: &str =
    "cargo x bench [--load-dir DIR] [--subjects a,b] [--scenarios a,b] [--seconds N] [--warmup N]
                [--idle N] [--idle-peers N] [--markdown FILE]

  --load-dir   folder with temporal-load/ and restate-load/ (default ../shared/bench beside the checkout)
  --subjects   everlog-1, everlog-3, temporal, restate-1, restate-3 (default: the first four)
  --scenarios  by name, such as hello-c1 (default: all; `none` lists them)
  --seconds    measured time of a run (default 8)
  --warmup     load thrown away first (default 2)
  --idle       sleeping workflows for the memory figure of ours (default 100000; 0 leaves it out)
  --idle-peers the same for the peers, which take longer to start them (default 2000)
  --markdown   where the tables go as Markdown (default target/bench.md)";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    load_dir: PathBuf,
    subjects: Vec<Kind>,
    scenarios: Vec<&'static Scenario>,
    seconds: f64,
    warmup: f64,
    idle: u64,
    idle_peers: u64,
    markdown: PathBuf,
}

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let options = options(workspace, arguments)?;
    if !options.load_dir.join("temporal-load").is_dir() {
        println!("    there is no load generator in {}: nothing is measured", options.load_dir.display());
        println!("    give its folder with --load-dir");
        return Ok(Tally::default());
    }
    let load = load::build(&options.load_dir)?;
    let peers = peers::install(&options.subjects)?;
    let server = match options.subjects.iter().any(|kind| kind.is_ours()) {
        true => Some(tools::server_binary(workspace, Build::Shipped)?),
        false => None,
    };
    let data = workspace.path("target/bench-data");
    let mut tally = Tally::default();
    let mut measured = Vec::new();
    for kind in &options.subjects {
        println!("=== {}", kind.name());
        let started = subject::start(*kind, server.as_deref(), &peers, &data.join(kind.name()));
        let subject = match started {
            Ok(subject) => subject,
            Err(error) => {
                tally.failures.push(format!("bench: {}: {error:#}", kind.name()));
                continue;
            }
        };
        for scenario in options.scenarios.iter().filter(|scenario| scenario.arguments(*kind).is_some()) {
            match load.run(&subject, scenario, options.seconds, options.warmup) {
                Ok(figures) => {
                    println!("    {}", report::line(scenario.name, &figures));
                    tally.check(
                        figures.errors == 0,
                        format!("bench: {} {}: errors", kind.name(), scenario.name),
                    );
                    measured.push((scenario.name, *kind, figures));
                }
                Err(error) => {
                    println!("    {:12} failed: {error:#}", scenario.name);
                    tally.failures.push(format!("bench: {} {}: {error:#}", kind.name(), scenario.name));
                }
            }
        }
        drop(subject);
        let asleep = if kind.is_ours() { options.idle } else { options.idle_peers };
        if asleep > 0 {
            match measure_idle(*kind, asleep, &load, server.as_deref(), &peers, &data) {
                Ok(figures) => {
                    println!("    {}", report::idle_line(asleep, &figures));
                    tally.passed += 1;
                    measured.push((scenario::IDLE, *kind, figures));
                }
                Err(error) => tally.failures.push(format!("bench: {} idle: {error:#}", kind.name())),
            }
        }
    }
    // Best effort: the data of a server that was killed may be large, and is of no use to anyone.
    let _ = fs::remove_dir_all(&data);
    println!("{}", report::text(&measured));
    let markdown = report::markdown(&measured);
    if let Some(folder) = options.markdown.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.markdown, markdown)
        .with_context(|| format!("write {}", options.markdown.display()))?;
    println!("    as Markdown: {}", options.markdown.display());
    Ok(tally.not_empty("bench"))
}

/// Workflows that sleep, on a server that has done nothing else: what earlier load left in its caches would
/// hide what these take.
fn measure_idle(
    kind: Kind,
    asleep: u64,
    load: &load::Load,
    server: Option<&Path>,
    peers: &peers::Peers,
    data: &Path,
) -> Result<load::Figures> {
    let subject = subject::start(kind, server, peers, &data.join(format!("{}-idle", kind.name())))?;
    load.idle(&subject, asleep)
}

/// One run of the load must end by itself; a server that hangs must not hold up the others.
fn run_limit(seconds: f64, warmup: f64) -> Duration {
    Duration::from_secs_f64(seconds + warmup) + Duration::from_secs(120)
}

fn options(workspace: &Workspace, arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        load_dir: workspace.path("../shared/bench"),
        subjects: vec![
            Kind::Everlog { nodes: 1 },
            Kind::Everlog { nodes: 3 },
            Kind::Temporal,
            Kind::Restate { nodes: 1 },
        ],
        scenarios: scenario::ALL.iter().collect(),
        seconds: 8.0,
        warmup: 2.0,
        idle: 100_000,
        idle_peers: 2_000,
        markdown: workspace.path("target/bench.md"),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--load-dir" => options.load_dir = value()?.into(),
            "--markdown" => options.markdown = value()?.into(),
            "--seconds" => options.seconds = value()?.parse()?,
            "--warmup" => options.warmup = value()?.parse()?,
            "--idle" => options.idle = value()?.parse()?,
            "--idle-peers" => options.idle_peers = value()?.parse()?,
            "--subjects" => options.subjects = value()?.split(',').map(Kind::parse).collect::<Result<_>>()?,
            "--scenarios" => {
                options.scenarios = value()?.split(',').map(scenario::find).collect::<Result<_>>()?;
            }
            _ => bail!("{argument} is unknown\n{USAGE}"),
        }
    }
    Ok(options)
}
