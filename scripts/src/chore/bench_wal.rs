//! `cargo x bench-wal`: what the log costs, beside a bare append-and-fdatasync loop on the same disk.
//!
//! The figures are the program's own, printed as they come; its two goals are the checks. It needs a quiet
//! machine and is no part of `cargo x test`.

use anyhow::Result;

use crate::{process::stream, tally::Tally, tools::BUILD_LIMIT, workspace::Workspace};

/// What the program promises to judge, and how it says that a goal was not reached.
const GOALS: u64 = 2;
const MISSED: &str = "missed: ";

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut command = workspace.cargo(["run", "--release", "--package", "everlog-raft-store"]);
    command.args(["--example", "wal_bench", "--"]).args(arguments);
    let mut missed = Vec::new();
    let status = stream(&mut command, BUILD_LIMIT, |line| {
        missed.extend(line.strip_prefix(MISSED).map(|what| format!("bench-wal: {what}")));
    })?;
    if !status.success() && missed.is_empty() {
        return Ok(Tally::failure(format!("bench-wal: it ended with {status}")));
    }
    let passed = GOALS.saturating_sub(missed.len() as u64);
    Ok(Tally { passed, failures: missed, ..Tally::default() })
}
