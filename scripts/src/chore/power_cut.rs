//! `cargo x power-cut`: what was not synced is dropped at any point, and nothing acknowledged is lost.
//!
//! That a build without the sync fails this very test is one of the planted bugs (`cargo x planted`).

use anyhow::Result;

use crate::{chore::unit::cargo_test, tally::Tally, workspace::Workspace};

pub const FOLDER: &str = "raft-store/tests/power_cut.rs";

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut command =
        workspace.cargo(["test", "--release", "--package", "everlog-raft-store", "--test", "power_cut"]);
    cargo_test("power-cut", command.args(["--", "--show-output"]).args(arguments))
}
