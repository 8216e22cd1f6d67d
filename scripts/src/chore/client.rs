//! `cargo x client`: the tests of the Rust client that need a server, against three nodes of ours.

use std::{env, fs, process};

use anyhow::{Context, Result};

use crate::{
    chore::unit::cargo_test,
    process::end,
    server,
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

pub const FOLDER: &str = "client/tests/server.rs";

const NODES: u16 = 3;

/// Arguments are names of tests to run, as `cargo test` takes them.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let program = tools::server_binary(workspace, Build::Checked)?;
    let data = env::temp_dir().join(format!("everlog-client-tests-{}", process::id()));
    fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
    let mut server = server::start(&program, NODES, server::free_ports()?, &data, &[])?;
    let mut command = workspace.cargo(["test", "--workspace", "--test", "server"]);
    command.args(["--", "--ignored"]).args(arguments);
    let tally = cargo_test("client", command.env("EVERLOG_TEST_ADDRESS", server.addresses.join(",")));
    end(&mut server.process);
    if tally.as_ref().is_ok_and(|tally| tally.failed() == 0) {
        fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    } else {
        println!("    the log and the data stay in {}", data.display());
    }
    tally
}
