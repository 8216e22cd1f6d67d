//! Several nodes as processes of this binary.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use everlog_proto::cluster::StatusRequest;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;

use crate::config::{Config, ENVIRONMENT_PREFIX};
use crate::node::risen;
use crate::peer;

/// The name of the configuration that is written for each node, next to its data.
pub(crate) const CONFIG_FILE: &str = "everlog.toml";
/// Pause before a dead node is started again; it grows while the node dies young.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
const YOUNG: Duration = Duration::from_secs(5);
/// A node that ended by itself so often in a row, and young each time, will not do better the next time.
/// At the first start once is enough: a port that somebody else has, a folder of another node.
const FAILURES_MAX: u32 = 3;
/// How long a node may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(12);
const READY_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs all nodes until a signal.
pub(super) async fn run(
    configs: &[Config],
    restart: bool,
    asked_to_stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut asked_to_stop = std::pin::pin!(asked_to_stop);
    for config in configs {
        fs::create_dir_all(&config.data_dir)
            .and_then(|()| fs::write(config.data_dir.join(CONFIG_FILE), config.to_toml().unwrap_or_default()))
            .with_context(|| format!("cannot prepare {}", config.data_dir.display()))?;
    }
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let mut nodes = JoinSet::new();
    for config in configs {
        nodes.spawn(keep(config.clone(), restart, stopping.clone()));
    }
    let ready = announce_ready(configs.iter().map(|config| config.peer.listen).collect());
    let outcome = tokio::select! {
        () = &mut asked_to_stop => Ok(()),
        never = ready => never,
        Some(ended) = nodes.join_next() => match ended? {
            Err(error) => Err(error),
            Ok(()) => {
                // Without restarts the others go on; wait for the signal.
                asked_to_stop.await;
                Ok(())
            }
        },
    };
    stop.send_replace(true);
    while let Some(ended) = nodes.join_next().await {
        if let Ok(Err(error)) = ended {
            eprintln!("everlog: {error:#}");
        }
    }
    outcome
}

/// Prints `ready` once all nodes serve; never returns.
pub(super) async fn announce_ready(peers: Vec<SocketAddr>) -> anyhow::Result<()> {
    for address in peers {
        while !is_ready(address).await {
            tokio::time::sleep(READY_LOOK_EVERY).await;
        }
    }
    println!("ready");
    std::future::pending().await
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut client) = peer::admin_client(&address.to_string()).await else { return false };
    let status = tokio::time::timeout(peer::STATUS_TIMEOUT, client.status(StatusRequest {})).await;
    matches!(status, Ok(Ok(status)) if status.get_ref().ready)
}

/// Keeps one node running until `stopping`.
async fn keep(
    config: Config,
    restart: bool,
    mut stopping: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let node = config.node_id;
    let mut pause = RESTART_PAUSE;
    let (mut starts, mut failures) = (0, 0);
    loop {
        starts += 1;
        let started = Instant::now();
        let mut child = start(&config)?;
        // Waiting for a child closes its input, which would tell the node to stop.
        let pipe = child.stdin.take();
        tokio::select! {
            ended = child.wait() => {
                let ended = ended?;
                println!("node {node} ended: {ended}");
                let is_young = started.elapsed() < YOUNG;
                // Without a code it was killed, which is what it is started again for.
                let has_failed = is_young && ended.code().is_some_and(|code| code != 0);
                failures = if has_failed { failures + 1 } else { 0 };
                anyhow::ensure!(
                    failures < if starts == 1 { 1 } else { FAILURES_MAX },
                    "node {node} cannot run; what it said is above"
                );
                if !restart {
                    return Ok(());
                }
                pause = if is_young { (pause * 2).min(RESTART_PAUSE_MAX) } else { RESTART_PAUSE };
            }
            () = risen(&mut stopping) => return stop(node, child, pipe).await,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = risen(&mut stopping) => return Ok(()),
        }
    }
}

fn start(config: &Config) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program cannot be found again")?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        // They are in the written configuration already, and must not override what differs by node.
        if name.to_string_lossy().starts_with(ENVIRONMENT_PREFIX) {
            command.env_remove(name);
        }
    }
    let child = command
        .arg("server")
        .arg("--config")
        .arg(config.data_dir.join(CONFIG_FILE))
        .arg("--stop-on-stdin-end")
        // The end of this pipe tells the node that this process is gone, however it went.
        .stdin(Stdio::piped())
        // A signal from the terminal goes to this process alone, which then stops the nodes.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("a node cannot be started")?;
    println!("node {} pid {} {}", config.node_id, child.id().unwrap_or_default(), super::ports(config));
    Ok(child)
}

/// Asks a node to stop, and insists if it does not.
async fn stop(node: u64, mut child: Child, pipe: Option<ChildStdin>) -> anyhow::Result<()> {
    // Closing the pipe is the request.
    drop(pipe);
    match tokio::time::timeout(STOP_TIMEOUT, child.wait()).await {
        Ok(ended) => anyhow::ensure!(ended?.success(), "node {node} did not stop cleanly"),
        Err(_) => {
            child.kill().await?;
            anyhow::bail!("node {node} did not stop and was killed");
        }
    }
    Ok(())
}
