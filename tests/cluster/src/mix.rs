//! A mix of all features at once, for as long as somebody wants, while nodes die.
//!
//! A feature is a file: workflows that know beforehand what they will come to, how a worker answers their tasks, and
//! a client that plays one round of them ([`feature::Feature`]). To add one, write the file and a line in [`FEATURES`].
//! The workers keep nothing between tasks; clients repeat each write until it is acknowledged. At the end every
//! workflow must have completed, on every node, with the number that was computed before it began; nothing that was
//! started, signalled or answered may be missing or there twice ([`verdict`]).

pub mod client;
pub mod feature;
pub mod verdict;

mod activities;
mod batches;
mod chain;
mod children;
mod external;
mod nexus;
mod resets;
mod schedule;
mod standalone;
mod steps;
mod updates;
mod versions;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::{sync::watch, task::JoinSet};

use self::{
    client::Client,
    feature::{Expected, Feature, Told},
};
use crate::{
    api::Api,
    load::{Answer, Task, Workers},
    record::Recorder,
    unique::{Chance, unique},
};

/// Everything that is in the mix.
pub const FEATURES: &[&dyn Feature] = &[
    &steps::Steps,
    &children::Children,
    &chain::Chain,
    &external::External,
    &schedule::Schedule,
    &updates::Updates,
    &nexus::Nexus,
    &standalone::Standalone,
    &resets::Resets,
    &batches::Batches,
    &versions::Versions,
    &activities::Activities,
];

/// The queue of all workflows and activities of the mix.
pub const QUEUE: &str = "mix";
const CLIENT_PAUSE: Duration = Duration::from_millis(400);
/// Pollers of each kind at each node.
const POLLERS: usize = 4;
const SEED: u64 = 31;

/// The mix, at work.
#[derive(Debug)]
pub struct Mix {
    api: Api,
    workers: Workers,
    clients: JoinSet<Result<Vec<Expected>>>,
    stop: watch::Sender<bool>,
    /// Workflow ids of this run begin so.
    prefix: String,
}

impl Mix {
    pub fn start(api: &Api) -> Self {
        let prefix = unique("mix");
        let (stop, stopping) = watch::channel(false);
        let mut clients = JoinSet::new();
        let all = FEATURES.iter().flat_map(|feature| std::iter::repeat_n(feature, feature.clients()));
        for (number, feature) in all.enumerate() {
            let client = Client::new(api.clone(), &format!("{prefix}-{}", feature.name()), number);
            clients.spawn(rounds(*feature, client, stopping.clone(), SEED + number as u64));
        }
        let mut workers = Workers::start_on(QUEUE, answer, api, &Recorder::new(), POLLERS, SEED);
        workers.handle_nexus(QUEUE, nexus::handle, api, POLLERS);
        Self { api: api.clone(), workers, clients, stop, prefix }
    }

    /// Lets every client finish its round, waits until every workflow has ended, and judges.
    pub async fn conclude(mut self) -> Result<()> {
        self.stop.send_replace(true);
        let mut expected = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            expected.extend(client??);
        }
        let verdict = verdict::judge(&self.api, &self.prefix, &expected).await;
        self.workers.kill().await;
        verdict
    }
}

async fn rounds(
    feature: &'static dyn Feature,
    client: Client,
    stopping: watch::Receiver<bool>,
    seed: u64,
) -> Result<Vec<Expected>> {
    let mut chance = Chance::new(seed);
    let mut expected = Vec::new();
    while !*stopping.borrow() {
        let round = feature.round(&client, &mut chance).await;
        expected.extend(round.with_context(|| format!("a round of {}", feature.name()))?);
        tokio::time::sleep(CLIENT_PAUSE).await;
    }
    Ok(expected)
}

/// What a worker of the mix answers: what the feature says that the workflow's type belongs to.
fn answer(task: &Task<'_>) -> Option<Answer> {
    let told = Told::of(task.workflow_id, task.events)?;
    let feature = FEATURES.iter().find(|feature| feature.types().contains(&told.workflow_type))?;
    Some(feature.answer(&told, task.messages))
}
