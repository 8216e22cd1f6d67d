//! A cluster of three processes on this machine, each of which can be killed, stopped and started again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{api::Api, unique::unique};

pub mod admin;
pub mod metrics;
pub mod network;
pub mod node;
mod ports;
pub mod small_disk;

pub use network::Network;
pub use node::Node;
pub use small_disk::SmallDisk;

pub const NODES: usize = 3;
/// From the start of the processes to the first request they serve.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Leadership is spread over the nodes after the start; until then the first node leads everything.
const SPREAD_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Three nodes and the folder they live in. Dropped, the processes are gone; the folder with the logs goes
/// with them only if the test says that it passed.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    folder: Option<TempDir>,
}

impl Cluster {
    /// Starts and waits until every node leads its part, as in a cluster that has been up for a while.
    pub async fn start() -> Result<Self> {
        let cluster = Self::start_with(&[]).await?;
        cluster.wait_spread().await?;
        Ok(cluster)
    }

    /// Starts at once, with a network between the nodes that can be cut.
    pub async fn start_over_network(settings: &[&str]) -> Result<(Self, Network)> {
        let members = addresses()?;
        let network = Network::start(&members).await?;
        let mut cluster = Self::prepare(&members, |node| network.seen_from(node, &members), settings)?;
        cluster.launch().await?;
        Ok((cluster, network))
    }

    /// Starts at once, with some keys of the configuration set, each as `key=value`.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let members = addresses()?;
        let mut cluster = Self::prepare(&members, |_| members.clone(), settings)?;
        cluster.launch().await?;
        Ok(cluster)
    }

    /// Until every node leads something.
    pub async fn wait_spread(&self) -> Result<()> {
        let deadline = Instant::now() + SPREAD_LIMIT;
        loop {
            let leaders: BTreeSet<usize> = self.leaders().await.into_values().collect();
            if leaders.len() == NODES {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "after {SPREAD_LIMIT:?} only nodes {leaders:?} lead anything");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Starts at once, with the data of one node on a disk of its own.
    pub async fn start_on_disk(id: usize, disk: &Path, settings: &[&str]) -> Result<Self> {
        let members = addresses()?;
        let mut cluster = Self::prepare(&members, |_| members.clone(), settings)?;
        cluster.node(id).put_data_in(disk, &members, settings)?;
        cluster.launch().await?;
        Ok(cluster)
    }

    /// Writes what the nodes need, each of which finds the others where `seen_from` says.
    fn prepare(
        members: &[node::Addresses],
        seen_from: impl Fn(usize) -> Vec<node::Addresses>,
        settings: &[&str],
    ) -> Result<Self> {
        let binary = binary()?;
        let folder = TempDir::with_prefix("everlog-cluster-")?;
        let mut nodes = Vec::new();
        for (addresses, id) in members.iter().zip(1..) {
            let folder = folder.path().join(format!("node-{id}"));
            nodes.push(Node::new(id, addresses, &binary, folder, &seen_from(id), settings)?);
        }
        Ok(Self { nodes, folder: Some(folder) })
    }

    async fn launch(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.wait_ready().await?;
        self.ensure_namespace().await
    }

    pub fn api(&self) -> Result<Api> {
        Api::new(&self.nodes.iter().map(|node| node.addresses.api.clone()).collect::<Vec<_>>())
    }

    pub fn node(&mut self, id: usize) -> &mut Node {
        &mut self.nodes[id - 1]
    }

    /// Until every node says that it serves.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        for index in 0..self.nodes.len() {
            loop {
                if let Some(status) = self.nodes[index].exited()? {
                    bail!(
                        "node {} ended while starting: {status}\n{}",
                        index + 1,
                        self.nodes[index].log_tail()
                    );
                }
                let answer = metrics::get(&self.nodes[index].addresses.metrics, "/readyz").await;
                let why = match answer {
                    Ok((200, _)) => break,
                    Ok((_, body)) => body,
                    Err(error) => error.to_string(),
                };
                if Instant::now() > deadline {
                    bail!("node {} is not ready: {why}\n{}", index + 1, self.nodes[index].log_tail());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Which node leads each shard, as the nodes say of themselves. Nodes that don't answer lead nothing.
    pub async fn leaders(&self) -> BTreeMap<u64, usize> {
        let mut leaders = BTreeMap::new();
        for node in &self.nodes {
            let Ok(figures) = metrics::read(&node.addresses.metrics).await else { continue };
            for (labels, value) in figures.all("raft_is_leader") {
                if let (Some(shard), true) = (metrics::label(labels, "shard"), value == 1.0) {
                    leaders.extend(shard.parse::<u64>().ok().map(|shard| (shard, node.id)));
                }
            }
        }
        leaders
    }

    /// The node that leads the most shards, and how many.
    pub async fn busiest_leader(&self) -> Result<(usize, usize)> {
        let leaders = self.leaders().await;
        let count = |id: usize| leaders.values().filter(|leader| **leader == id).count();
        let busiest = (1..=NODES).max_by_key(|id| count(*id)).context("there are no nodes")?;
        ensure!(count(busiest) > 0, "no node says that it leads anything");
        Ok((busiest, count(busiest)))
    }

    /// The sum over all nodes of a figure whose labels contain `label`.
    pub async fn total(&self, figure: &str, label: &str) -> Result<u64> {
        let mut total = 0.0;
        for node in &self.nodes {
            let figures = metrics::read(&node.addresses.metrics).await?;
            total += figures
                .all(figure)
                .filter(|(labels, _)| labels.contains(label))
                .map(|(_, value)| value)
                .sum::<f64>();
        }
        Ok(total as u64)
    }

    /// The last line of a test: there is nothing to look at.
    pub fn passed(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.kill();
        }
        if let Some(folder) = self.folder.take() {
            folder.close()?;
        }
        Ok(())
    }

    /// A cluster may come with the namespace `default` or without any.
    async fn ensure_namespace(&self) -> Result<()> {
        use temporalio_protos::temporal::api::workflowservice::v1::{
            DescribeNamespaceRequest, RegisterNamespaceRequest,
        };
        let api = self.api()?;
        let describe =
            DescribeNamespaceRequest { namespace: crate::api::NAMESPACE.into(), ..Default::default() };
        let register = RegisterNamespaceRequest {
            namespace: crate::api::NAMESPACE.into(),
            description: unique("made-by"),
            workflow_execution_retention_period: Some(crate::api::duration(Duration::from_secs(24 * 3600))),
            ..Default::default()
        };
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let found = api.node(0).describe_namespace(describe.clone()).await;
            match found {
                Ok(_) => return Ok(()),
                Err(status) if status.code() == tonic::Code::NotFound => {
                    // Somebody else may have made it meanwhile; the next look tells.
                    let _ = api.node(0).register_namespace(register.clone()).await;
                }
                Err(status) if Instant::now() > deadline => return Err(status).context("no namespace"),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
        }
        if let Some(folder) = self.folder.take() {
            println!("the logs stay in {}", folder.keep().display());
        }
    }
}

/// The server: named by `EVERLOG_BIN` (as `cargo x cluster` does), else what was built last in this checkout.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("EVERLOG_BIN") {
        return Ok(path.into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    ["release", "debug"]
        .map(|profile| target.join(profile).join("everlog"))
        .into_iter()
        .find(|path| path.is_file())
        .context("there is no server to test: run `cargo x cluster`, or set EVERLOG_BIN")
}

/// Three free ports for each node.
fn addresses() -> Result<Vec<node::Addresses>> {
    let addresses = |ports: &[u16]| node::Addresses {
        api: local(ports[0]),
        peer: local(ports[1]),
        metrics: local(ports[2]),
    };
    Ok(ports::free(NODES * 3)?.chunks(3).map(addresses).collect())
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
