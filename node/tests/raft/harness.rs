//! Three nodes in this process, each with threads of its own, so that one can be killed: dropping its
//! threads stops it in the middle of whatever it does, and its folder stays as it was.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use everlog_node::config::{Config, Member};
use everlog_node::node::bare::{Bare, Counting};
use everlog_node::node::{self, Node};
use everlog_node::raft::{Applied, Group, Leadership, ProposeError};
use everlog_raft_store::Payload;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Cluster {
    pub(crate) configs: Vec<Config>,
    pub(crate) nodes: Vec<Option<Running>>,
    _data: TempDir,
}

/// A node, numbered from 1, and the threads it runs on.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) machine: Arc<Counting>,
    runtime: Runtime,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    ended: mpsc::Receiver<anyhow::Result<()>>,
}

impl Cluster {
    /// Starts a cluster and waits until every shard has a leader everywhere.
    pub(crate) fn start(nodes: u64, change: impl Fn(&mut Config)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let configs = configs(nodes, data.path(), change);
        let mut cluster = Self { nodes: configs.iter().map(|_| None).collect(), configs, _data: data };
        for id in 1..=nodes {
            cluster.start_node(id).expect("the node starts");
        }
        cluster.wait_ready();
        cluster
    }

    pub(crate) fn start_node(&mut self, id: u64) -> anyhow::Result<()> {
        self.nodes[id as usize - 1] = Some(Running::start(self.configs[id as usize - 1].clone())?);
        Ok(())
    }

    /// Stops a node in the middle of whatever it does. Its files are closed, which a real kill would not
    /// do; the tests with processes do that.
    pub(crate) fn kill(&mut self, id: u64) {
        let Running { node, runtime, .. } = self.nodes[id as usize - 1].take().expect("runs");
        runtime.shutdown_timeout(PATIENCE);
        node.store.close().expect("closes");
    }

    /// Stops a node as SIGTERM does.
    pub(crate) fn stop(&mut self, id: u64) -> anyhow::Result<()> {
        let mut running = self.nodes[id as usize - 1].take().expect("runs");
        running.stop.take().expect("not stopped before").send(()).expect("it listens");
        let ended = running.ended.recv_timeout(PATIENCE).expect("it ends");
        running.runtime.shutdown_timeout(PATIENCE);
        ended
    }

    pub(crate) fn running(&self, id: u64) -> &Running {
        self.nodes[id as usize - 1].as_ref().expect("runs")
    }

    pub(crate) fn group(&self, id: u64, group: u64) -> Group {
        self.running(id).node.groups.get(group).expect("the group exists").clone()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        (1..=self.nodes.len() as u64).filter(|id| self.nodes[*id as usize - 1].is_some()).collect()
    }

    pub(crate) fn wait_ready(&self) {
        for id in self.ids() {
            let health = &self.running(id).node.health;
            wait_until("the node is ready", || health.ready().0);
        }
    }

    /// The node that leads a group and may decide, and its term.
    pub(crate) fn leader(&self, group: u64) -> (u64, u64) {
        let mut found = None;
        wait_until("the group has a leader", || {
            found = self.ids().into_iter().find_map(|id| {
                let now: Leadership = *self.group(id, group).leadership().borrow();
                now.is_me.then_some((id, now.term))
            });
            found.is_some()
        });
        found.expect("waited for it")
    }

    pub(crate) fn propose(
        &self,
        id: u64,
        group: u64,
        term: u64,
        text: &str,
    ) -> Result<Applied, ProposeError> {
        let proposal = self.group(id, group).propose(term, payload(text));
        self.on(id, proposal)
    }

    /// Proposes until some node takes it; returns how long that took.
    pub(crate) fn propose_anywhere(&self, group: u64, text: &str) -> (Applied, Duration) {
        let started = Instant::now();
        let mut applied = None;
        wait_until("an entry is taken", || {
            let (id, term) = self.leader(group);
            applied = self.propose(id, group, term, text).ok();
            applied.is_some()
        });
        (applied.expect("waited for it"), started.elapsed())
    }

    /// Runs a future on a node's threads.
    pub(crate) fn on<T: Send + 'static>(
        &self,
        id: u64,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let running = self.running(id);
        running
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("ends in time") })
    }
}

impl Running {
    fn start(config: Config) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (up, is_up) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let application = Bare::default();
        let machine = application.machine.clone();
        runtime.spawn(async move {
            let stop = async move {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            let outcome = node::run(
                config,
                Arc::new(application),
                move |node, _| {
                    let _ = up.send(node.clone());
                },
                stop,
            )
            .await;
            let _ = end.send(outcome);
        });
        let node = match is_up.recv_timeout(PATIENCE) {
            Ok(node) => node,
            Err(_) => {
                let outcome = ended.recv_timeout(PATIENCE).expect("it is up or it ended");
                runtime.shutdown_timeout(PATIENCE);
                anyhow::bail!(outcome.expect_err("it did not come up"));
            }
        };
        Ok(Self { node, machine, runtime, stop: Some(stop), ended })
    }

    /// Why the node ended by itself.
    pub(crate) fn ended(&self) -> anyhow::Result<()> {
        self.ended.recv_timeout(PATIENCE).expect("it ends")
    }
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::new(Bytes::from(text.to_owned()))
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn configs(nodes: u64, data: &Path, change: impl Fn(&mut Config)) -> Vec<Config> {
    let ports: Vec<u16> = (0..nodes * 3).map(|_| free_port()).collect();
    let address = |at: u64| SocketAddr::from(([127, 0, 0, 1], ports[at as usize]));
    let peers: Vec<Member> = (0..nodes)
        .map(|at| Member {
            id: at + 1,
            peer: address(at * 3).to_string(),
            api: address(at * 3 + 1).to_string(),
        })
        .collect();
    (0..nodes)
        .map(|at| {
            let mut config = Config {
                node_id: at + 1,
                data_dir: data.join(format!("node-{}", at + 1)),
                bootstrap_expect: nodes as usize,
                peers: if nodes > 1 { peers.clone() } else { Vec::new() },
                ..Config::default()
            };
            config.peer.listen = address(at * 3);
            config.api.listen = address(at * 3 + 1);
            config.metrics.listen = address(at * 3 + 2);
            config.raft.shards = 3;
            // Leaderships stay where a test put them.
            config.raft.balance_ms = 0;
            change(&mut config);
            config
        })
        .collect()
}

/// A port that nobody has, below those that the system hands out for connections.
fn free_port() -> u16 {
    const FIRST: u16 = 22_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 97) as u16 * 100;
    loop {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
