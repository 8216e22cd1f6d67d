//! `cargo x chaos`: a mix of all features while a leader is killed every few seconds, for as long as one likes.
//!
//! A short run of it is among the process tests of `cargo x cluster`.

use anyhow::{Context, Result, bail};

use crate::{
    chore::unit::cargo_test,
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

const SECONDS: u64 = 300;

/// `--seconds N`: how long the leaders die.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let seconds = match arguments {
        [] => SECONDS,
        [flag, seconds] if flag == "--seconds" => seconds.parse().context("--seconds needs a number")?,
        _ => bail!("usage: cargo x chaos [--seconds N]"),
    };
    let server = tools::server_binary(workspace, Build::Checked)?;
    let mut command = workspace.cargo(["test", "--workspace", "--test", "chaos", "--", "--show-output"]);
    command.env("EVERLOG_CHAOS_SECONDS", seconds.to_string());
    cargo_test("chaos", command.env("EVERLOG_BIN", server).env("RUST_LIB_BACKTRACE", "0"))
}
