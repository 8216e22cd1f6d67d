//! `cargo x client`: the Rust client and its worker against a running node.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    chore::unit::cargo_test,
    tally::Tally,
    tools::{self, Build},
    workspace::Workspace,
};

pub const FOLDER: &str = "client/tests/server.rs";

/// Where three free ports in a known distance are looked for.
const PORTS: std::ops::Range<u16> = 15_233..17_233;
/// `everlog dev` takes its other ports in this distance.
const PORT_STEP: u16 = 100;

/// Arguments are names of tests to run, as `cargo test` takes them.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let data = workspace.path(format!("target/tests/client-{}", std::process::id()));
    let server = Server::start(tools::server_binary(workspace, Build::Checked)?, data)?;
    let mut command = workspace.cargo(["test", "--package", "everlog-client", "--test", "server", "--"]);
    command.arg("--ignored").args(arguments).env("EVERLOG_TEST_ADDRESS", &server.address);
    cargo_test("client", &mut command)
}

/// A node that ends with this value.
struct Server {
    child: Child,
    address: String,
    data: PathBuf,
}

impl Server {
    fn start(binary: PathBuf, data: PathBuf) -> Result<Server> {
        let is_free =
            |port: &u16| (0..3).all(|kind| TcpListener::bind(("127.0.0.1", port + kind * PORT_STEP)).is_ok());
        let port = PORTS.step_by(7).find(is_free).context("no free port")?;
        let mut child = Command::new(binary)
            .args(["dev", "--port", &port.to_string(), "--data-dir"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let output = child.stdout.take().context("the server has no output")?;
        let server = Server { child, address: format!("http://127.0.0.1:{port}"), data };
        let ready = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "ready");
        anyhow::ensure!(ready, "the server ended before it was ready");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of its data is wanted afterwards, so it need not stop in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}
