//! A server of ours, `everlog dev`, for a chore that needs one.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::process::end;

pub const START_LIMIT: Duration = Duration::from_secs(90);
/// A server whose ports are open is not yet at rest: leadership is spread after the start.
pub const SETTLE: Duration = Duration::from_secs(4);
/// Ports that a server may use, counted from its first.
const PORTS: u16 = 500;

/// A server that serves. Whoever starts it ends it.
#[derive(Debug)]
pub struct Server {
    /// The API of each node.
    pub addresses: Vec<String>,
    /// The process of each node.
    pub pids: Vec<u32>,
    pub process: Child,
}

/// Starts it with its data and its log in a folder, and waits until it is at rest.
pub fn start(program: &Path, nodes: u16, port: u16, data: &Path, arguments: &[String]) -> Result<Server> {
    let log = data.join("log");
    let mut command = Command::new(program);
    command.args(["dev", "--port", &port.to_string(), "--nodes", &nodes.to_string(), "--no-restart"]);
    command.arg("--data-dir").arg(data.join("data")).args(arguments);
    let stderr = File::create(&log)?;
    let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
    let mut server = Server { addresses: Vec::new(), pids: Vec::new(), process };
    match wait_ready(&mut server, nodes) {
        Ok(()) => Ok(server),
        Err(error) => {
            end(&mut server.process);
            Err(error.context(fs::read_to_string(log).unwrap_or_default().trim().to_owned()))
        }
    }
}

/// It prints a line for each node, `node N pid PID api ADDRESS ...`, and then `ready`.
fn wait_ready(server: &mut Server, nodes: u16) -> Result<()> {
    let stdout = server.process.stdout.take().context("no stdout")?;
    let (sender, lines) = mpsc::channel();
    // Reads to the end, or the server would block on a full pipe.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else { bail!("it is not ready") };
        let words: Vec<&str> = line.split_whitespace().collect();
        if line == "ready" {
            break;
        }
        if let ["node", _, "pid", pid, "api", address, ..] = words.as_slice() {
            server.pids.push(pid.parse()?);
            server.addresses.push((*address).to_owned());
        }
    }
    ensure!(server.pids.len() == usize::from(nodes), "it names {} nodes", server.pids.len());
    thread::sleep(SETTLE);
    Ok(())
}

/// The first of a row of ports, none of which is in use where servers will look.
pub fn free_ports() -> Result<u16> {
    let used_offsets = [0, 1, 2, 9, 10, 11, 12, 20, 30, 100, 101, 102, 200, 201, 202];
    (20..60u16)
        .map(|block| block * PORTS)
        .find(|first| {
            used_offsets.iter().all(|offset| TcpListener::bind(("127.0.0.1", first + offset)).is_ok())
        })
        .context("no free ports")
}
