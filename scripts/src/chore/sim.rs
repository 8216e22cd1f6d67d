//! `cargo x sim`: the real engine over a fake log and network, from seeds.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    process::stream,
    tally::{Reader, Tally},
    tools::BUILD_LIMIT,
    workspace::Workspace,
};

pub const FOLDER: &str = "tests/sim/Cargo.toml";

const SEEDS_DEFAULT: &str = "200";

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut command = workspace.cargo(["run", "--release", "--package", "everlog-sim", "--"]);
    if arguments.is_empty() {
        command.args(["--seeds", SEEDS_DEFAULT]);
    }
    summary_of("sim", command.args(arguments))
}

/// Runs a program that ends with `N passed, N failed`, and counts.
pub fn summary_of(part: &str, command: &mut Command) -> Result<Tally> {
    let mut reader = Reader::default();
    let status = stream(command, BUILD_LIMIT, |line| reader.line(line))?;
    let tally = reader.summary().with_context(|| format!("{part} ended without a summary ({status})"))?;
    let mut tally = tally.not_empty(part);
    if !status.success() && tally.failed() == 0 {
        tally.failures.push(format!("{part}: counted no failure but ended with {status}"));
    }
    Ok(tally)
}
