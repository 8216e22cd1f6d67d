//! The processes of the demo: started, killed, started again, and stopped.
//!
//! Nodes and workers are processes of this very binary, as they would run on machines of their own. Each has a
//! pipe as its standard input and stops when that ends, so that none outlives the demo, however the demo
//! ends. What they log goes to files.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use everlog_client::Random;
use tokio::process::{Child, ChildStdin, Command};

use crate::config::{Config, ENVIRONMENT_PREFIX, Member};
use crate::dev::CONFIG_FILE;

/// Ports are taken from here, which is below those that systems give to outgoing connections: one of these
/// could otherwise take the port of a node that has just been killed.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORTS_PER_NODE: usize = 3;
/// How long a process may take to stop when it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// So much of a log is shown when its process ended by itself.
const LOG_TAIL_LINES: usize = 15;

/// A process, or one that was.
pub(super) struct Process {
    pub(super) name: String,
    arguments: Vec<String>,
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    /// Waiting for a child closes its input, so the pipe is kept apart.
    pipe: Option<ChildStdin>,
    pid: u32,
}

/// All processes of the demo.
pub(super) struct Processes {
    pub(super) nodes: Vec<Process>,
    pub(super) workers: Vec<Process>,
    pub(super) configs: Vec<Config>,
}

impl Processes {
    /// Prepares the nodes and the workers in a folder. Nothing is started yet.
    pub(super) fn prepare(folder: &Path, nodes: usize, workers: usize, queue: &str) -> anyhow::Result<Self> {
        let configs = configs(folder, nodes)?;
        let mut all = Self { nodes: Vec::new(), workers: Vec::new(), configs };
        for config in &all.configs {
            let file = config.data_dir.join(CONFIG_FILE);
            fs::create_dir_all(&config.data_dir)
                .and_then(|()| fs::write(&file, config.to_toml().unwrap_or_default()))
                .with_context(|| format!("cannot prepare {}", config.data_dir.display()))?;
            let arguments = ["server", "--stop-on-stdin-end", "--config"].map(str::to_owned);
            all.nodes.push(Process {
                name: format!("node {}", config.node_id),
                arguments: arguments.into_iter().chain([file.display().to_string()]).collect(),
                log: folder.join(format!("node-{}.log", config.node_id)),
                running: None,
            });
        }
        let api: Vec<String> = all.configs.iter().map(|config| config.api.listen.to_string()).collect();
        for number in 1..=workers {
            let ledger = ledger(folder).display().to_string();
            let arguments = ["demo-worker", "--api", &api.join(","), "--queue", queue, "--ledger", &ledger];
            all.workers.push(Process {
                name: format!("worker {number}"),
                arguments: arguments.map(str::to_owned).to_vec(),
                log: folder.join(format!("worker-{number}.log")),
                running: None,
            });
        }
        Ok(all)
    }

    pub(super) fn api_addresses(&self) -> Vec<String> {
        self.configs.iter().map(|config| config.api.listen.to_string()).collect()
    }

    /// Fails if a process ended that nobody killed.
    pub(super) fn ensure_alive(&mut self) -> anyhow::Result<()> {
        for process in self.nodes.iter_mut().chain(&mut self.workers) {
            if let Some(status) = process.ended()? {
                anyhow::bail!("{} ended by itself: {status}\n{}", process.name, process.log_tail());
            }
        }
        Ok(())
    }

    /// Asks everybody to stop, workers first, and says who did not do it cleanly.
    pub(super) async fn stop(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for group in [&mut self.workers, &mut self.nodes] {
            let stops = group.iter_mut().map(Process::stop);
            faults.extend(futures::future::join_all(stops).await.into_iter().filter_map(Result::err));
        }
        faults
    }
}

/// The file that stands for the bank.
pub(super) fn ledger(folder: &Path) -> PathBuf {
    folder.join("ledger.txt")
}

impl Process {
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // What is set for other nodes on this machine is not meant for these.
            if name.to_string_lossy().starts_with(ENVIRONMENT_PREFIX) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A signal from the terminal goes to this process alone, which then ends the others.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        let pipe = child.stdin.take();
        let pid = child.id().unwrap_or_default();
        self.running = Some(Running { child, pipe, pid });
        Ok(())
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// Ends it with SIGKILL, and gives the id of the process that was.
    pub(super) async fn kill(&mut self) -> anyhow::Result<u32> {
        let mut running = self.running.take().with_context(|| format!("{} is not running", self.name))?;
        running.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))?;
        Ok(running.pid)
    }

    /// How it ended, if it did so by itself.
    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        match &mut self.running {
            Some(running) => Ok(running.child.try_wait()?),
            None => Ok(None),
        }
    }

    async fn stop(&mut self) -> Result<(), String> {
        let Some(Running { mut child, pipe, .. }) = self.running.take() else { return Ok(()) };
        drop(pipe);
        match tokio::time::timeout(STOP_TIMEOUT, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{} did not stop cleanly: {status}", self.name)),
            Ok(Err(error)) => Err(format!("{} cannot be waited for: {error}", self.name)),
            Err(_) => Err(format!("{} did not stop within {STOP_TIMEOUT:?} and was killed", self.name)),
        }
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

/// A configuration for each node: the defaults, and what must differ.
fn configs(folder: &Path, nodes: usize) -> anyhow::Result<Vec<Config>> {
    let ports = free_ports(nodes * PORTS_PER_NODE)?;
    let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut configs = Vec::new();
    for (number, ports) in (1_u64..).zip(ports.chunks_exact(PORTS_PER_NODE)) {
        let mut config = Config { node_id: number, bootstrap_expect: nodes, ..Config::default() };
        config.data_dir = folder.join(format!("node-{number}"));
        config.api.listen = address(ports[0]);
        config.peer.listen = address(ports[1]);
        config.metrics.listen = address(ports[2]);
        configs.push(config);
    }
    let members: Vec<Member> = configs.iter().map(Config::me).collect();
    for config in &mut configs {
        config.peers = members.clone();
        config.validate()?;
    }
    Ok(configs)
}

/// Ports that nobody uses now.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut random = Random::from_seed(crate::clock::Clock.seed());
    let span = PORTS.len() as u64;
    // Held until all are found, so that they differ.
    let mut found = Vec::new();
    for _ in 0..span {
        let port = PORTS.start + random.below(span) as u16;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            found.push((port, listener));
        }
        if found.len() == count {
            return Ok(found.into_iter().map(|(port, _)| port).collect());
        }
    }
    anyhow::bail!("there are no {count} free ports from {} to {}", PORTS.start, PORTS.end - 1)
}
