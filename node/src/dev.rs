//! `everlog dev`: a node, or a small cluster, to develop against.
//!
//! One node runs inside this process. Several are processes of the same binary, each as it would run
//! on a machine of its own, so that one can be killed to see what happens; this process only starts
//! them, starts a dead one again, and stops them all.
//!
//! Without `--data-dir` the data is in a folder below the system's folder for temporary files and goes
//! when the command ends; with it, the data stays.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{run_node, runtime, signalled, start_log, stdin_ended};
use crate::config::{self, Config, LogFormat, Member};
use crate::node::Application;

mod children;
mod data_dir;

pub(crate) use children::CONFIG_FILE;
pub(crate) use data_dir::DataDir;

/// The ports of one kind are this far from those of the next.
const PORT_STEP: u16 = 100;
/// The HTTP port is this far from that of the API, as at the real server.
const HTTP_PORT_STEP: u16 = 10;

#[derive(Debug, Args)]
pub struct Options {
    /// The port of the public API; the next nodes get the next ports.
    #[arg(long, default_value_t = 7233)]
    port: u16,
    /// The port where nodes talk to each other; 100 above `--port` if not given.
    #[arg(long)]
    peer_port: Option<u16>,
    /// The port of `/metrics`, `/livez` and `/readyz`; 200 above `--port` if not given.
    #[arg(long)]
    metrics_port: Option<u16>,
    /// The port of the same API over HTTP with JSON; 10 above `--port` if not given.
    #[arg(long)]
    http_port: Option<u16>,
    /// The port of the Web UI, which is not served if it is not given.
    #[arg(long, requires = "ui_assets")]
    ui_port: Option<u16>,
    /// The folder with the files of the Web UI, as `cargo x ui-assets` makes it.
    #[arg(long, value_name = "FOLDER", requires = "ui_port")]
    ui_assets: Option<PathBuf>,
    /// Where the data is kept; a temporary folder if not given.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How many nodes to run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=7))]
    nodes: u16,
    /// Leave a node that died dead.
    #[arg(long)]
    no_restart: bool,
    /// A limit or switch under its usual name, as in `limit.blobSize.error=1000000`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    dynamic_config_value: Vec<String>,
    /// How much to log: a level, or directives.
    #[arg(long, default_value = "warn")]
    log_level: String,
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Set any key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Stop when the standard input ends, so that no node outlives whoever started it.
    #[arg(long, hide = true)]
    stop_on_stdin_end: bool,
}

pub(crate) fn run<A: Application>(options: Options, application: impl FnOnce() -> A) -> anyhow::Result<()> {
    let data = DataDir::choose(options.data_dir.as_deref(), &format!("dev-{}", options.port))?;
    let configs = configs(&options, data.path())?;
    if let [config] = configs.as_slice() {
        start_log(&config.log)?;
        println!("node 1 pid {} {} data {}", std::process::id(), ports(config), config.data_dir.display());
        return runtime()?.block_on(async {
            let watch = children::announce_ready(vec![config.peer.listen]);
            tokio::select! {
                ran = run_node(config.clone(), application(), stopped(options.stop_on_stdin_end)) => ran,
                never = watch => never,
            }
        });
    }
    start_log(&configs[0].log)?;
    runtime()?.block_on(children::run(&configs, !options.no_restart, stopped(options.stop_on_stdin_end)))
}

/// Resolves when the process is asked to stop.
async fn stopped(on_stdin_end: bool) {
    tokio::select! {
        () = signalled() => {}
        () = stdin_ended(), if on_stdin_end => {}
    }
}

/// Where a node can be reached, for people and for programs that start it.
fn ports(config: &Config) -> String {
    let mut ports =
        format!("api {} peer {} metrics {}", config.api.listen, config.peer.listen, config.metrics.listen);
    for (name, listen) in [("http", config.api.http_listen), ("ui", config.ui.listen)] {
        if let Some(listen) = listen {
            ports.push_str(&format!(" {name} {listen}"));
        }
    }
    ports
}

/// A configuration for each node.
fn configs(options: &Options, data: &Path) -> anyhow::Result<Vec<Config>> {
    let port = |first: Option<u16>, step: u16, node: u16| {
        first
            .or_else(|| options.port.checked_add(step))
            .and_then(|first| first.checked_add(node))
            .ok_or_else(|| anyhow::anyhow!("port {} leaves no room for the others", options.port))
    };
    let address = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut members = Vec::new();
    for node in 0..options.nodes {
        members.push(Member {
            id: u64::from(node) + 1,
            peer: address(port(options.peer_port, PORT_STEP, node)?).to_string(),
            api: address(port(None, 0, node)?).to_string(),
        });
    }
    let mut assignments: Vec<String> =
        options.dynamic_config_value.iter().map(|value| format!("dynamic.{value}")).collect();
    assignments.extend(options.set.iter().cloned());
    let mut configs = Vec::new();
    for node in 0..options.nodes {
        let mut config = config::load(None, std::env::vars(), &assignments)?;
        config.node_id = u64::from(node) + 1;
        config.data_dir =
            if options.nodes == 1 { data.to_owned() } else { data.join(format!("node-{}", node + 1)) };
        config.api.listen = address(port(None, 0, node)?);
        config.api.http_listen = Some(address(port(options.http_port, HTTP_PORT_STEP, node)?));
        if let Some(ui_port) = options.ui_port {
            config.ui.listen = Some(address(port(Some(ui_port), 0, node)?));
            config.ui.assets = std::path::absolute(options.ui_assets.clone().unwrap_or_default())?;
        }
        config.peer.listen = address(port(options.peer_port, PORT_STEP, node)?);
        config.metrics.listen = address(port(options.metrics_port, 2 * PORT_STEP, node)?);
        config.log = config::Log { format: options.log_format, level: options.log_level.clone() };
        config.bootstrap_expect = usize::from(options.nodes);
        if options.nodes > 1 {
            config.peers = members.clone();
        }
        config.validate()?;
        configs.push(config);
    }
    Ok(configs)
}
