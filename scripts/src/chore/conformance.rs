//! `cargo x conformance`: the official SDK and CLI against our server, the real server as the judge.

use std::process::Command;

use anyhow::Result;

use crate::{chore::sim::summary_of, tally::Tally, tools, workspace::Workspace};

pub const FOLDER: &str = "tests/conformance/run.py";

/// Arguments are passed on; see `tests/conformance/run.py --help`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let server = tools::server_binary(workspace)?;
    let mut command = Command::new("python3");
    command.arg(workspace.path(FOLDER)).arg("--everlog").arg(server).args(arguments);
    summary_of("conformance", command.current_dir(&workspace.root))
}
