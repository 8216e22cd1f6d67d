//! `cargo x ui-assets` and `cargo x ui`: the official Web UI, its files and how it fares in front of our server.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    chore::{conformance::FOLDER, sim::summary_of},
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

/// The files, into the folder that is named.
pub fn assets(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let folder = arguments.first().map(PathBuf::from).context("usage: cargo x ui-assets FOLDER")?;
    let mut command = Command::new("python3");
    command.arg(workspace.path(FOLDER)).arg("--ui-assets").arg(std::path::absolute(folder)?);
    summary_of("ui-assets", command.current_dir(&workspace.root))
}

/// A look through the UI with a browser. Arguments are passed on; see `tests/conformance/run.py --help`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let server = tools::server_binary(workspace, Build::Checked)?;
    let mut command = Command::new("python3");
    command.arg(workspace.path(FOLDER)).arg("--everlog").arg(&server).arg("ui").args(arguments);
    summary_of("ui", command.current_dir(&workspace.root))
}
