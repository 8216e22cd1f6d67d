//! The cluster of the demo: `everlog dev --nodes 3` as a process, and somebody who watches it.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use everlog_proto::cluster::{HashesRequest, StatusReply, StatusRequest};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
};

use crate::peer;

const NODES: u16 = 3;
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the watcher asks who leads.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// After the last write the members agree within this time.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(30);
/// Where free ports are looked for: below those that the system hands out.
const PORTS: std::ops::Range<u16> = 17_233..27_233;

pub(super) struct Nodes {
    child: Child,
    pipe: Option<ChildStdin>,
    port: u16,
    /// The process of each node, as last announced.
    processes: Arc<Mutex<BTreeMap<u64, u32>>>,
    watch: Watch,
}

/// What the watcher has seen so far.
#[derive(Clone, Default)]
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// The newest term and its leader, by shard.
    leaders: BTreeMap<u64, (u64, u64)>,
    changes: u64,
    without: Duration,
}

/// Whether the members have the same state.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) shards: usize,
    pub(super) equal: usize,
}

impl Nodes {
    pub(super) async fn start(port: Option<u16>, folder: &Path) -> anyhow::Result<Nodes> {
        let port = match port {
            Some(port) => port,
            None => free_port().context("there are no free ports")?,
        };
        let mut child = Command::new(std::env::current_exe().context("this program cannot be found again")?)
            .args(["dev", "--nodes", &NODES.to_string(), "--port", &port.to_string(), "--stop-on-stdin-end"])
            .args(["--log-level", "error", "--data-dir"])
            .arg(folder.join("nodes"))
            // Its end tells the nodes to stop, also when this process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("the nodes cannot be started")?;
        let pipe = child.stdin.take();
        let output = child.stdout.take().context("the nodes have no output")?;
        let processes = Arc::new(Mutex::new(BTreeMap::new()));
        let (ready, mut is_ready) = watch::channel(false);
        tokio::spawn({
            let processes = processes.clone();
            async move {
                let mut lines = BufReader::new(output).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    if let Some((node, process)) = announced(&line) {
                        println!("node {node} is process {process}");
                        lock(&processes).insert(node, process);
                    }
                    if line == "ready" {
                        ready.send_replace(true);
                    }
                }
            }
        });
        let started = tokio::time::timeout(START_TIMEOUT, is_ready.wait_for(|ready| *ready)).await;
        started.context("the nodes do not get ready")?.context("the nodes ended")?;
        let watch = Watch::default();
        tokio::spawn(watch.clone().look(peers(port)));
        Ok(Nodes { child, pipe, port, processes, watch })
    }

    pub(super) fn api_addresses(&self) -> Vec<String> {
        (0..NODES).map(|node| format!("http://127.0.0.1:{}", self.port + node)).collect()
    }

    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Kills the node that leads most shards with SIGKILL. It is started again by itself.
    pub(super) fn kill_leader(&self) -> anyhow::Result<(u64, u64)> {
        let leaders = lock(&self.watch.seen).leaders.clone();
        let leads = |node: u64| leaders.values().filter(|(_, leader)| *leader == node).count();
        let (shard, (_, node)) =
            leaders.iter().max_by_key(|(_, (_, node))| leads(*node)).context("no shard has a leader")?;
        let process = *lock(&self.processes).get(node).context("the leader's process is not known")?;
        let killed = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status()?;
        anyhow::ensure!(killed.success(), "node {node} could not be killed");
        Ok((*node, *shard))
    }

    /// Compares the state of all members at the same log indexes, histories included.
    pub(super) async fn compare(&self) -> anyhow::Result<Compared> {
        let deadline = Instant::now() + COMPARE_TIMEOUT;
        loop {
            let hashes = self.hashes().await;
            if let Ok(hashes) = &hashes {
                let level = |views: &Vec<(u64, bytes::Bytes)>| {
                    views.len() == usize::from(NODES) && views.windows(2).all(|pair| pair[0].0 == pair[1].0)
                };
                let equal =
                    |views: &Vec<(u64, bytes::Bytes)>| views.windows(2).all(|pair| pair[0] == pair[1]);
                // Members that are at different entries cannot be compared yet.
                if hashes.values().all(level) || Instant::now() > deadline {
                    let equal = hashes.values().filter(|views| level(views) && equal(views)).count();
                    return Ok(Compared { shards: hashes.len(), equal });
                }
            }
            if Instant::now() > deadline {
                hashes.context("the members cannot be compared")?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// By shard, the applied index and the hash of each member.
    async fn hashes(&self) -> anyhow::Result<BTreeMap<u64, Vec<(u64, bytes::Bytes)>>> {
        let mut found: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for address in peers(self.port) {
            let mut client = peer::admin_client(&address).await?;
            for group in client.hashes(HashesRequest {}).await?.into_inner().groups {
                found.entry(group.group).or_default().push((group.applied_index, group.hash));
            }
        }
        Ok(found)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.pipe.take());
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait());
        let ended = ended.await.context("the nodes did not stop")??;
        anyhow::ensure!(ended.success(), "the nodes ended with {ended}");
        Ok(())
    }
}

impl Watch {
    pub(super) fn leader_changes(&self) -> u64 {
        lock(&self.seen).changes
    }

    /// How long some shard had no leader, all in all.
    pub(super) fn without_leader(&self) -> Duration {
        lock(&self.seen).without
    }

    async fn look(self, peers: Vec<String>) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let answers = futures::future::join_all(peers.iter().map(|address| status(address))).await;
            let mut seen = lock(&self.seen);
            let answers: Vec<StatusReply> = answers.into_iter().flatten().collect();
            let led = seen.take(&answers);
            let passed = last.elapsed();
            last = Instant::now();
            if !led {
                seen.without += passed;
            }
        }
    }
}

impl Seen {
    /// Takes in what the nodes say. Whether every shard has a leader now.
    fn take(&mut self, answers: &[StatusReply]) -> bool {
        let mut leaders: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for answer in answers {
            for group in answer.groups.iter().filter(|group| group.role == "leader" && group.serving) {
                let newest = leaders.entry(group.group).or_default();
                *newest = (*newest).max((group.term, answer.node_id));
            }
        }
        for (shard, leader) in &leaders {
            let known = self.leaders.insert(*shard, *leader);
            self.changes += u64::from(known.is_some_and(|known| known != *leader));
        }
        let current = |(shard, known): (&u64, &(u64, u64))| leaders.get(shard) == Some(known);
        !self.leaders.is_empty() && self.leaders.iter().all(current)
    }
}

async fn status(address: &str) -> Option<StatusReply> {
    let asked = async { peer::admin_client(address).await?.status(StatusRequest {}).await };
    Some(tokio::time::timeout(LOOK_TIMEOUT, asked).await.ok()?.ok()?.into_inner())
}

fn peers(port: u16) -> Vec<String> {
    (0..NODES).map(|node| format!("127.0.0.1:{}", port + crate::dev::PORT_STEP + node)).collect()
}

/// `node 2 pid 4711 ...`
fn announced(line: &str) -> Option<(u64, u32)> {
    let mut words = line.strip_prefix("node ")?.split(' ');
    let node = words.next()?.parse().ok()?;
    (words.next()? == "pid").then_some(())?;
    Some((node, words.next()?.parse().ok()?))
}

/// The first of three blocks of free ports.
fn free_port() -> Option<u16> {
    let first = PORTS.start + (std::process::id() % 9_000) as u16;
    (first..PORTS.end).chain(PORTS.start..first).step_by(usize::from(NODES)).find(|port| {
        let wanted =
            (0..3).flat_map(|kind| (0..NODES).map(move |node| port + kind * crate::dev::PORT_STEP + node));
        wanted.map(|port| TcpListener::bind(("127.0.0.1", port))).all(|bound| bound.is_ok())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
