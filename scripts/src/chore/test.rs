//! `cargo x test`: everything a change must pass, cheapest first.
//!
//! All parts run even when an early one fails, so that one run shows everything. A part whose folder
//! is not in the checkout is named and left out. The power cuts are among the unit tests.
//!
//! The process tests wait for elections and restarts more than they compute. What comes behind them runs
//! beside them, as a program of its own whose output is shown when its turn comes. It stands back where both
//! want the processor: a node that is kept from it for a second is taken for dead.

use std::{
    env,
    process::Command,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    chore::{client, cluster, conformance, deny, lint, planted, purity, sim, tidy, unit},
    process::watch,
    tally::{Reader, Tally},
    tools::BUILD_LIMIT,
    workspace::Workspace,
};

struct Part {
    name: &'static str,
    present: fn(&Workspace) -> bool,
    run: fn(&Workspace, &[String]) -> Result<Tally>,
}

/// What one part came to, and how long it took.
type Outcome = (Result<Tally>, Duration);

const PARTS: &[Part] = &[
    Part { name: "tidy", present: always, run: tidy::run },
    Part { name: "purity", present: always, run: purity::run },
    Part { name: "lint", present: always, run: lint::run },
    Part { name: "deny", present: always, run: deny::run },
    Part { name: "unit", present: always, run: unit::run },
    Part { name: "sim", present: |workspace| workspace.has(sim::FOLDER), run: sim::run },
    Part { name: "planted", present: planted::present, run: planted::run },
    Part { name: "cluster", present: |workspace| workspace.has(cluster::FOLDER), run: cluster::run },
    Part { name: "client", present: |workspace| workspace.has(client::FOLDER), run: client::run },
    Part {
        name: "conformance",
        present: |workspace| workspace.has(conformance::FOLDER),
        run: conformance::run,
    },
];

/// The part beside which those behind it run, and how far they stand back.
const BESIDE: &str = "cluster";
const NICENESS: &str = "10";

pub fn run(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    let mut total = Tally::default();
    let mut table = Vec::new();
    let mut lane = None;
    for (at, part) in PARTS.iter().enumerate() {
        println!("=== {}", part.name);
        if !(part.present)(workspace) {
            println!("    not in this checkout, left out");
            table.push(format!("{:12}    left out", part.name));
            continue;
        }
        let (tally, took) = match &lane {
            None => {
                if part.name == BESIDE {
                    let behind = PARTS[at + 1..].iter().filter(|part| (part.present)(workspace));
                    lane = Some(start_lane(behind.map(|part| part.name).collect()));
                }
                let started = Instant::now();
                ((part.run)(workspace, &[]), started.elapsed())
            }
            Some(lane) => outcome_of_next(lane),
        };
        let tally = tally
            .unwrap_or_else(|error| Tally::failure(format!("{}: {error:#}", part.name)))
            .not_empty(part.name);
        table.push(format!(
            "{:12} {:6} ok {:4} failed {:5} s",
            part.name,
            tally.passed,
            tally.failed(),
            took.as_secs()
        ));
        total.add(tally);
    }
    println!("=== all");
    for line in table {
        println!("    {line}");
    }
    Ok(total)
}

/// Runs parts one after the other in processes of their own, and tells what each has written and come to.
fn start_lane(names: Vec<&'static str>) -> Receiver<(Vec<String>, Outcome)> {
    let (sender, lane) = mpsc::channel();
    thread::spawn(move || {
        for name in names {
            let (started, mut lines) = (Instant::now(), Vec::new());
            let tally = chore_of_its_own(name, &mut lines);
            if sender.send((lines, (tally, started.elapsed()))).is_err() {
                return;
            }
        }
    });
    lane
}

fn chore_of_its_own(name: &str, lines: &mut Vec<String>) -> Result<Tally> {
    let mut command = Command::new("nice");
    command.args(["-n", NICENESS]).arg(env::current_exe().context("find the program of this chore")?);
    let mut reader = Reader::default();
    let status = watch(command.arg(name), BUILD_LIMIT, |line| {
        reader.line(line);
        lines.push(line.to_owned());
    })?;
    let mut tally = reader.summary().with_context(|| format!("it ended without a summary ({status})"))?;
    if !status.success() && tally.failed() == 0 {
        tally.failures.push(format!("{name}: counted no failure but ended with {status}"));
    }
    Ok(tally)
}

fn outcome_of_next(lane: &Receiver<(Vec<String>, Outcome)>) -> Outcome {
    let Ok((lines, outcome)) = lane.recv() else {
        return (Err(anyhow::anyhow!("the lane beside the process tests has broken off")), Duration::ZERO);
    };
    for line in lines {
        println!("    {line}");
    }
    outcome
}

fn always(_: &Workspace) -> bool {
    true
}
