//! `cargo x fmt`: the formatting is the formatter's.

use std::time::Duration;

use anyhow::Result;

use crate::{process::stream, tally::Tally, tools, workspace::Workspace};

/// The workspace, and the package that is none of it.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "tests/conformance/sdk/rust/Cargo.toml"];
const LIMIT: Duration = Duration::from_secs(120);

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    tools::component("fmt", "rustfmt")?;
    let mut tally = Tally::default();
    for manifest in MANIFESTS {
        let mut command = workspace.cargo(["fmt", "--all", "--manifest-path", manifest]);
        if arguments.iter().any(|argument| argument == "--check") {
            command.args(["--", "--check"]);
        }
        let status = stream(&mut command, LIMIT, |_| {})?;
        tally.check(status.success(), format!("fmt: {manifest}: run `cargo x fmt`"));
    }
    Ok(tally)
}

pub fn check(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    run(workspace, &["--check".to_owned()])
}
