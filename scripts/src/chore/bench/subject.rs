//! Servers under measurement: started on fresh data, stopped when dropped.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::peers::Peers;
use crate::{
    process::end,
    server::{self, SETTLE, START_LIMIT, free_ports},
};

const RESTATE_SETTLE: Duration = Duration::from_secs(8);

/// Limits that a default installation sets on one client, which would be measured instead of the server.
/// Ours takes the names it knows.
const LIFTED: &[(&str, &str)] = &[
    ("frontend.rps", "200000"),
    ("frontend.namespaceRPS", "200000"),
    ("frontend.globalNamespaceRPS", "0"),
    ("frontend.namespaceCount", "100000"),
    ("frontend.namespaceBurstRatio", "2"),
    ("frontend.persistenceMaxQPS", "200000"),
    ("history.rps", "200000"),
    ("history.persistenceMaxQPS", "200000"),
    ("history.taskSchedulerGlobalMaxQPS", "0"),
    ("history.maxInFlightUpdates", "10000"),
    ("history.maxTotalUpdates", "100000"),
    ("history.maximumSignalsPerExecution", "1000000"),
    ("matching.rps", "200000"),
    ("matching.persistenceMaxQPS", "200000"),
    ("matching.numTaskqueueReadPartitions", "1"),
    ("matching.numTaskqueueWritePartitions", "1"),
    ("worker.persistenceMaxQPS", "200000"),
];
/// Of those, what exists in ours.
const LIFTED_OURS: &[&str] =
    &["frontend.namespaceRPS", "frontend.namespaceCount", "history.maximumSignalsPerExecution"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Everlog { nodes: u16 },
    Temporal,
    Restate { nodes: u16 },
}

#[derive(Debug)]
pub struct Subject {
    pub kind: Kind,
    pub addresses: Vec<String>,
    /// The processes whose cpu and memory count.
    pub pids: Vec<u32>,
    /// What the load must be told besides.
    pub load_arguments: Vec<String>,
    processes: Vec<Child>,
}

impl Kind {
    pub fn parse(name: &str) -> Result<Self> {
        let all = [
            Self::Everlog { nodes: 1 },
            Self::Everlog { nodes: 3 },
            Self::Temporal,
            Self::Restate { nodes: 1 },
            Self::Restate { nodes: 3 },
        ];
        let known = all.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        all.into_iter().find(|kind| kind.name() == name).with_context(|| format!("{name} is none of {known}"))
    }

    pub fn name(self) -> String {
        match self {
            Self::Everlog { nodes } => format!("everlog-{nodes}"),
            Self::Temporal => "temporal".into(),
            Self::Restate { nodes } => format!("restate-{nodes}"),
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Self::Everlog { .. })
    }

    /// The load generator that speaks its API.
    pub fn load(self) -> &'static str {
        match self {
            Self::Everlog { .. } | Self::Temporal => "temporal-load",
            Self::Restate { .. } => "restate-load",
        }
    }
}

/// Starts a subject on an empty folder and waits until it serves.
pub fn start(kind: Kind, everlog: Option<&Path>, peers: &Peers, data: &Path) -> Result<Subject> {
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    fs::create_dir_all(data)?;
    let port = free_ports()?;
    match kind {
        Kind::Everlog { nodes } => start_everlog(everlog.context("no server")?, nodes, port, data),
        Kind::Temporal => start_temporal(peers.temporal.as_deref().context("no program")?, port, data),
        Kind::Restate { nodes } => {
            start_restate(peers.restate.as_deref().context("no program")?, nodes, port, data)
        }
    }
}

fn start_everlog(program: &Path, nodes: u16, port: u16, data: &Path) -> Result<Subject> {
    let lifted: Vec<String> = LIFTED
        .iter()
        .filter(|(key, _)| LIFTED_OURS.contains(key))
        .map(|(key, value)| format!("--dynamic-config-value={key}={value}"))
        .collect();
    let server = server::start(program, nodes, port, data, &lifted)?;
    Ok(Subject {
        kind: Kind::Everlog { nodes },
        addresses: server.addresses,
        pids: server.pids,
        load_arguments: Vec::new(),
        processes: vec![server.process],
    })
}

fn start_temporal(program: &Path, port: u16, data: &Path) -> Result<Subject> {
    let mut command = Command::new(program);
    command.args(["server", "start-dev", "--ip", "127.0.0.1", "--headless", "--log-level", "error"]);
    command.args(["--port", &port.to_string(), "--db-filename"]).arg(data.join("temporal.db"));
    command.args(["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]);
    for (key, value) in LIFTED {
        command.args(["--dynamic-config-value", &format!("{key}={value}")]);
    }
    let mut subject = spawn(Kind::Temporal, command, data, "log")?;
    subject.addresses.push(format!("127.0.0.1:{port}"));
    wait_open(port)?;
    thread::sleep(SETTLE);
    Ok(subject)
}

/// Each node has its ports 10 apart: ingress, admin, fabric.
fn start_restate(program: &Path, nodes: u16, port: u16, data: &Path) -> Result<Subject> {
    let (ingress, admin, fabric) =
        (|node| port + 10 * node, |node| port + 10 * node + 1, |node| port + 10 * node + 2);
    let members: Vec<String> =
        (1..=nodes).map(|node| format!("\"http://127.0.0.1:{}/\"", fabric(node))).collect();
    let mut all = Subject {
        kind: Kind::Restate { nodes },
        addresses: Vec::new(),
        pids: Vec::new(),
        load_arguments: Vec::new(),
        processes: Vec::new(),
    };
    for node in 1..=nodes {
        let config = data.join(format!("node-{node}.toml"));
        let memory = if nodes == 1 { "2 GiB" } else { "1 GiB" };
        let text = format!(
            "cluster-name = \"bench\"\nnode-name = \"n{node}\"\nbase-dir = \"{}\"\nlisten-mode = \"tcp\"\n\
             bind-ip = \"127.0.0.1\"\nbind-port = {fabric}\nadvertised-address = \"http://127.0.0.1:{fabric}/\"\n\
             auto-provision = {first}\ndefault-num-partitions = 24\ndefault-replication = {copies}\n\
             rocksdb-total-memory-size = \"{memory}\"\nlog-filter = \"error\"\ndisable-telemetry = true\n\
             [metadata-client]\naddresses = [{members}]\n\
             [ingress]\nbind-address = \"127.0.0.1:{}\"\n[admin]\nbind-address = \"127.0.0.1:{}\"\n",
            data.join(format!("node-{node}")).display(),
            ingress(node),
            admin(node),
            fabric = fabric(node),
            first = node == 1,
            copies = if nodes > 1 { 2 } else { 1 },
            members = members.join(", "),
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("--config-file").arg(&config).arg("--no-logo").env("DO_NOT_TRACK", "1");
        let mut one = spawn(Kind::Restate { nodes }, command, data, &format!("log-{node}"))?;
        all.processes.append(&mut one.processes);
        all.pids.append(&mut one.pids);
        all.addresses.push(format!("127.0.0.1:{}", ingress(node)));
        if node == 1 {
            // The first forms the cluster that the others join.
            wait_open(admin(node))?;
            thread::sleep(SETTLE);
        }
    }
    for node in 1..=nodes {
        wait_open(ingress(node))?;
    }
    thread::sleep(RESTATE_SETTLE);
    let serve = port + 9;
    all.load_arguments =
        ["--admin".into(), format!("127.0.0.1:{}", admin(1)), "--serve".into(), format!("127.0.0.1:{serve}")]
            .into();
    Ok(all)
}

fn spawn(kind: Kind, mut command: Command, data: &Path, log: &str) -> Result<Subject> {
    let log = File::create(data.join(log))?;
    let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    Ok(Subject {
        kind,
        addresses: Vec::new(),
        pids: vec![child.id()],
        load_arguments: Vec::new(),
        processes: vec![child],
    })
}

fn wait_open(port: u16) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < deadline, "port {port} does not open");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

impl Drop for Subject {
    fn drop(&mut self) {
        for process in &mut self.processes {
            end(process);
        }
    }
}
