//! `cargo x power-cut`: what was not synced is dropped at any point, and nothing acknowledged is lost.
//!
//! The tests of raft-store that say `power_cut` in their name, which `cargo x unit` runs too. That a build
//! without the sync fails these very tests is one of the planted bugs (`cargo x planted`).

use std::process::Command;

use anyhow::Result;

use crate::{chore::unit::cargo_test, tally::Tally, workspace::Workspace};

const NAME: &str = "power_cut";

pub fn present(workspace: &Workspace) -> bool {
    let files = workspace.files().unwrap_or_default();
    files
        .iter()
        .filter(|file| file.starts_with("raft-store/") && file.ends_with(".rs"))
        .any(|file| file.contains(NAME) || workspace.read(file).is_ok_and(|source| source.contains(NAME)))
}

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    cargo_test("power-cut", tests(workspace).args(["--", "--show-output"]).args(arguments))
}

/// The command that runs these tests.
pub fn tests(workspace: &Workspace) -> Command {
    workspace.cargo(["test", "--package", "everlog-raft-store", NAME])
}
