//! `cargo x lint`: formatting, and clippy without a single warning.

use anyhow::Result;

use crate::{
    chore::fmt,
    process::stream,
    tally::Tally,
    tools::{self, BUILD_LIMIT},
    workspace::Workspace,
};

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut tally = fmt::check(workspace, arguments)?;
    tools::component("clippy", "clippy")?;
    let mut clippy = workspace.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let status = stream(&mut clippy, BUILD_LIMIT, |_| {})?;
    tally.check(status.success(), "lint: clippy has something to say");
    Ok(tally)
}
