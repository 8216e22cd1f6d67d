//! `everlog server`: one node of a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Layers, start_log};
use crate::config::Config;
use crate::node::{self, Application};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    layers: Layers,
    /// This node's number.
    #[arg(long)]
    node_id: Option<u64>,
    /// Where everything durable is kept.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Form the cluster as soon as all configured peers, which must be so many, are reachable.
    #[arg(long)]
    bootstrap_expect: Option<usize>,
    /// Accept addresses that other machines can reach although there is no TLS.
    #[arg(long)]
    insecure: bool,
    /// How much to log: a level, or directives.
    #[arg(long)]
    log_level: Option<String>,
    /// Stop when the standard input ends, so that no node outlives whoever started it.
    #[arg(long, hide = true)]
    stop_on_stdin_end: bool,
}

pub(super) fn run<A: Application>(options: Options, application: impl FnOnce() -> A) -> anyhow::Result<()> {
    let mut flags = Vec::new();
    let mut flag =
        |key: &str, value: Option<String>| flags.extend(value.map(|value| format!("{key}={value}")));
    flag("node_id", options.node_id.map(|id| id.to_string()));
    flag("data_dir", options.data_dir.map(|path| quoted(&path.to_string_lossy())));
    flag("bootstrap_expect", options.bootstrap_expect.map(|count| count.to_string()));
    flag("insecure", options.insecure.then(|| "true".to_owned()));
    flag("log.level", options.log_level.map(|level| quoted(&level)));
    let config = options.layers.load(&flags)?;
    start_log(&config.log)?;
    let stop_on_stdin_end = options.stop_on_stdin_end;
    runtime()?.block_on(async move {
        let stop = async move {
            tokio::select! {
                () = signalled() => {}
                () = stdin_ended(), if stop_on_stdin_end => {}
            }
        };
        run_node(config, application(), stop).await
    })
}

/// Runs a node until it is told to stop, and logs where it can be reached.
pub(crate) async fn run_node<A: Application>(
    config: Config,
    application: A,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let up = |node: &node::Node, addresses: &node::Addresses| {
        tracing::info!(
            node = node.identity.node_id,
            cluster = node.identity.cluster_id(),
            api = %addresses.api,
            http = addresses.http.map(tracing::field::display),
            ui = addresses.ui.map(tracing::field::display),
            peer = %addresses.peer,
            metrics = %addresses.metrics,
            data = %node.config.data_dir.display(),
            "node started"
        );
    };
    node::run(config, Arc::new(application), up, stop).await?;
    tracing::info!("node stopped");
    Ok(())
}

/// The threads of a node.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Resolves when the process is asked to stop.
pub(crate) async fn signalled() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Resolves when the standard input ends. A thread of its own waits for it: a runtime would wait for the
/// thread before it ends.
pub(crate) async fn stdin_ended() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// The text as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
