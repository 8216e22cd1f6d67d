//! `cargo x cluster`: three processes of the binary, killed, stopped and restarted under load.

use anyhow::Result;

use crate::{
    chore::unit::cargo_test,
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

pub const FOLDER: &str = "tests/cluster/Cargo.toml";

/// Arguments are names of tests to run, as `cargo test` takes them.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let server = tools::server_binary(workspace, Build::Checked)?;
    let mut command = workspace.cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(workspace.tests_in("tests/cluster")?).args([
        "--",
        // One cluster at a time: the tests measure how the servers behave, not how a crowd of them does.
        "--test-threads=1",
        "--show-output",
    ]);
    cargo_test("cluster", command.args(arguments).env("EVERLOG_BIN", server).env("RUST_LIB_BACKTRACE", "0"))
}
