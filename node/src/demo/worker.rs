//! A worker process of the demo: what runs the subscriptions, and may be killed at any moment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use everlog_client::{Client, Worker};

use super::ledger::Ledger;
use super::subscription::{charge, subscription};
use crate::cli::{runtime, signalled, start_log, stdin_ended};
use crate::config::{Log, LogFormat};

/// A task for a run that this worker has cached goes to another one after so long. It is short because
/// the worker may be dead.
const STICKY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The API addresses of the nodes.
    #[arg(long)]
    api: String,
    /// The task queue.
    #[arg(long)]
    queue: String,
    /// The file to which charges are appended.
    #[arg(long)]
    ledger: PathBuf,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    start_log(&Log { format: LogFormat::Text, level: "info".to_owned() })?;
    runtime()?.block_on(async move {
        let client = Client::connect(options.api).lazy().await?;
        let worker = Worker::new(&client, options.queue)
            .workflow(subscription)
            .activity(charge)
            .dep(Ledger::open(&options.ledger)?)
            .sticky_timeout(STICKY_TIMEOUT);
        worker
            .run_until(async {
                tokio::select! {
                    () = signalled() => {}
                    // Whoever started this process is gone, or tells it to stop.
                    () = stdin_ended() => {}
                }
            })
            .await?;
        Ok(())
    })
}
