//! `cargo x planted`: the tests are tested.
//!
//! Known bugs are compiled into the code and asleep until one is chosen. With a bug awake the test that
//! should find it must fail; a bug that goes uncaught is a failure here. With no bug awake the same build must
//! pass, which shows that it is the bug that is caught and not the build.
//!
//! The engine's bugs are behind the feature `planted` and chosen when the simulation is run. The log's are
//! chosen when it is compiled (`--cfg planted="..."`), because a branch at run time has no place in its path.

use std::time::Duration;

use anyhow::Result;

use crate::{
    chore::{power_cut, sim},
    process::{output, stream},
    tally::{Reader, Tally},
    workspace::Workspace,
};

const CONTROL_SEEDS: &str = "20";
const BUG_LIMIT: Duration = Duration::from_secs(600);

/// Bugs of the log, found by the simulated power cut.
const STORE_BUGS: &[&str] =
    &["no_sync", "early_ack", "no_folder_sync", "no_table_flush", "forgotten_vote", "early_purge"];

pub fn present(workspace: &Workspace) -> bool {
    simulation_has_bugs(workspace) || power_cut::present(workspace)
}

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut tally = Tally::default();
    if simulation_has_bugs(workspace) {
        tally.add(simulation(workspace, arguments)?);
    }
    if power_cut::present(workspace) {
        tally.add(store(workspace, arguments)?);
    }
    Ok(tally)
}

fn simulation(workspace: &Workspace, only: &[String]) -> Result<Tally> {
    let run = ["run", "--release", "--package", "everlog-sim", "--features", "planted", "--"];
    let mut control = workspace.cargo(run);
    let mut tally = sim::summary_of("planted: control", control.args(["--seeds", CONTROL_SEEDS]))?;
    // The control is one test of this chore, however many seeds it takes.
    if tally.failed() == 0 {
        tally.passed = 1;
    }
    let bugs = output(workspace.cargo(run).arg("--list-planted"))?;
    // A line is a name and what the bug does.
    let bugs: Vec<&str> = bugs.lines().filter_map(|line| line.split_whitespace().next()).collect();
    tally.check(!bugs.is_empty(), "planted: the simulation lists no bug");
    for bug in wanted(&bugs, only) {
        let mut command = workspace.cargo(run);
        command.args(["--planted", bug]);
        // Only a broken promise that was named is a catch: a simulation that crashed has caught nothing.
        let (mut named, caught_line) = (false, format!("caught {bug} after "));
        let status = stream(&mut command, BUG_LIMIT, |line| named |= line.starts_with(&caught_line))?;
        conclude(&mut tally, bug, named && status.success());
    }
    Ok(tally)
}

fn store(workspace: &Workspace, only: &[String]) -> Result<Tally> {
    let mut tally = Tally::default();
    for bug in wanted(STORE_BUGS, only) {
        let mut reader = Reader::default();
        let mut command = power_cut::tests_with_bug(workspace, bug)?;
        // Where it fails is of no interest, only that it does.
        let status = stream(command.env("RUST_BACKTRACE", "0"), BUG_LIMIT, |line| reader.line(line))?;
        let caught = reader.harness("planted").failed() > 0 && !status.success();
        conclude(&mut tally, bug, caught);
    }
    Ok(tally)
}

/// One bug is one check.
fn conclude(tally: &mut Tally, bug: &str, caught: bool) {
    if caught {
        println!("    planted {bug} caught");
    }
    tally.check(caught, format!("planted: {bug} was not caught"));
}

/// All bugs, or those named on the command line.
fn wanted<'a>(bugs: &[&'a str], only: &[String]) -> Vec<&'a str> {
    bugs.iter().copied().filter(|bug| only.is_empty() || only.iter().any(|name| name == bug)).collect()
}

fn simulation_has_bugs(workspace: &Workspace) -> bool {
    workspace.read(sim::FOLDER).is_ok_and(|manifest| declares_bugs(&manifest))
}

fn declares_bugs(manifest: &str) -> bool {
    manifest.lines().any(|line| line.starts_with("planted ="))
}
