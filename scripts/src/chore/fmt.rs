//! `cargo x fmt`: the formatting is the formatter's.

use std::time::Duration;

use anyhow::Result;

use crate::{process::stream, tally::Tally, tools, workspace::Workspace};

const LIMIT: Duration = Duration::from_secs(120);

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    tools::component("fmt", "rustfmt")?;
    let mut command = workspace.cargo(["fmt", "--all"]);
    if arguments.iter().any(|argument| argument == "--check") {
        command.args(["--", "--check"]);
    }
    let status = stream(&mut command, LIMIT, |_| {})?;
    let mut tally = Tally::default();
    tally.check(status.success(), "fmt: run `cargo x fmt`");
    Ok(tally)
}

pub fn check(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    run(workspace, &["--check".to_owned()])
}
