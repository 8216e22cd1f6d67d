//! The command line.
//!
//! A command either runs a node (`dev`, `server`) or asks one (`cluster`); `config` shows what a node
//! would run with. Every failure is one line on the standard error and a non-zero exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, LogFormat};
use crate::node::Application;
use crate::{demo, dev};

mod cluster;
mod server;

pub(crate) use server::{run_node, runtime, signalled, stdin_ended};

/// Durable execution in one binary, without a database.
#[derive(Debug, Parser)]
#[command(name = "everlog", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node, or a small cluster on this machine, to develop against.
    Dev(dev::Options),
    /// See workflows survive: three nodes, two workers, a hundred subscriptions, and kill -9.
    Demo(demo::Options),
    /// A worker of the demo, which starts it.
    #[command(hide = true)]
    DemoWorker(demo::worker::Options),
    /// Run one node of a cluster.
    Server(server::Options),
    /// Ask or change a running cluster.
    Cluster(cluster::Options),
    /// Show or check a configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the configuration that would be used, with every default.
    Show(Layers),
    /// Say whether the configuration is valid.
    Validate(Layers),
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct Layers {
    /// The configuration file, in TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, as in `raft.shards=4`; may be repeated and wins over the file and the environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Layers {
    fn load(&self, more: &[String]) -> Result<Config, config::Error> {
        let assignments: Vec<String> = self.set.iter().chain(more).cloned().collect();
        config::load(self.config.as_deref(), std::env::vars(), &assignments)
    }
}

/// Runs the command line with a guest that serves the public API.
pub fn main<A: Application>(application: impl FnOnce() -> A) -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Dev(options) => dev::run(options, application),
        Command::Demo(options) => demo::run(options),
        Command::DemoWorker(options) => demo::worker::run(options),
        Command::Server(options) => server::run(options, application),
        Command::Cluster(options) => cluster::run(options),
        Command::Config { command } => show(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everlog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Show(layers) => print!("{}", layers.load(&[])?.to_toml()?),
        ConfigCommand::Validate(layers) => {
            layers.load(&[])?;
            println!("the configuration is valid");
        }
    }
    Ok(())
}

/// Sends the log to the standard error. A second call changes nothing, as in tests.
pub(crate) fn start_log(log: &config::Log) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&log.level)
        .map_err(|error| anyhow::anyhow!("log.level `{}`: {error}", log.level))?;
    // The library tells every step of every election, and a connection that is refused is no news.
    let filter = ["openraft=error", "h2=warn", "hyper=warn", "tower=warn", "sled=warn"]
        .into_iter()
        .filter(|quiet| !log.level.contains(quiet.split('=').next().unwrap_or_default()))
        .try_fold(filter, |filter, quiet| Ok::<_, anyhow::Error>(filter.add_directive(quiet.parse()?)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(())
}
