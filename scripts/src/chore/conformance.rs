//! `cargo x conformance`: the official SDK and CLI against our server, the real server as the judge.

use std::process::Command;

use anyhow::Result;

use crate::{
    chore::sim::summary_of,
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

pub const FOLDER: &str = "tests/conformance/run.py";

/// What is run if no arguments are given: everything against one node, and what clients do against three.
const RUNS: [(&str, &[&str]); 2] =
    [("conformance", &["all"]), ("conformance, three nodes", &["--nodes", "3", "sdk", "cli"])];

/// Arguments are passed on; see `tests/conformance/run.py --help`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let server = tools::server_binary(workspace, Build::Checked)?;
    let start = |name: &str, arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(workspace.path(FOLDER)).arg("--everlog").arg(&server).args(arguments);
        summary_of(name, command.current_dir(&workspace.root))
    };
    if !arguments.is_empty() {
        return start("conformance", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let mut tally = Tally::default();
    for (name, arguments) in RUNS {
        tally.add(start(name, arguments)?);
    }
    Ok(tally)
}
