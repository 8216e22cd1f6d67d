//! The customers: they subscribe, change their minds, ask, and cancel, through the Rust client like anybody.
//!
//! Each writes down what was acknowledged. The client repeats a call whose answer was lost, so a customer
//! who is told nothing for [`CALL_TIMEOUT`] has met a fault.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everlog_client::Random;
use everlog_client::client::Handle;
use everlog_client::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use super::check::Customer;
use super::facts;
use super::subscription::{Change, PERIOD_QUERY, Subscription, Summary, WORKFLOW, subscription};
use crate::node::risen;

const FIRST_CENTS: u64 = 900;
/// Each change of an amount adds so much, so that no two amounts of a subscription are equal.
const STEP_CENTS: u64 = 10;
/// Customers change their amount after a random time up to this, on average every half of it.
const CHANGE_EVERY_MAX: Duration = Duration::from_secs(12);
/// The last customer cancels so much later than the first.
const CANCEL_SPREAD: Duration = Duration::from_secs(1);
/// How long one call may take, whatever is killed meanwhile.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a subscription may take to end after it was cancelled.
const END_TIMEOUT: Duration = Duration::from_secs(90);
/// A worker may hold a workflow task so long before another worker gets it. It is short because workers are
/// killed.
const TASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two questions of the curious customer.
const ASK_EVERY: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const COUNT_EVERY: Duration = Duration::from_millis(300);

/// What the customers see of their subscriptions while they run.
#[derive(Debug, Default)]
pub(super) struct Glimpse {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Open subscriptions, by the last count.
    open: u64,
    /// How many questions were answered, and the last answer that nobody has read.
    queries: u64,
    answer: Option<String>,
    /// Answers that were older than earlier ones.
    stale_answers: Vec<String>,
}

impl Glimpse {
    /// How many subscriptions are open, and what one of them said, if any did since the last time.
    pub(super) fn take(&self) -> (u64, Option<String>) {
        let mut seen = self.seen();
        (seen.open, seen.answer.take())
    }

    pub(super) fn queries(&self) -> u64 {
        self.seen().queries
    }

    /// The answers that were older than earlier ones.
    pub(super) fn stale_answers(&self) -> Vec<String> {
        self.seen().stale_answers.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the subscriptions are to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) count: usize,
    pub(super) trial: Duration,
    pub(super) period: Duration,
    pub(super) seed: u64,
}

/// A subscription that was cancelled, and how it ended.
pub(super) struct Ended {
    handle: Handle<Summary, Error>,
    asked: Vec<Change>,
    result: Result<Summary, String>,
}

/// One customer from the first call to the result. Cancels when `cancel` becomes true.
async fn customer(
    client: Client,
    terms: Terms,
    number: usize,
    started: watch::Sender<usize>,
    mut cancel: watch::Receiver<bool>,
) -> Result<Ended, ClientError> {
    let mut random = Random::from_seed(terms.seed.wrapping_add(number as u64));
    let mut draw = |max: Duration| Duration::from_millis(random.below(max.as_millis() as u64));
    let sub = Subscription {
        cents: FIRST_CENTS,
        trial: terms.trial,
        period: terms.period,
        so_far: Summary::default(),
    };
    let handle = client.start(subscription, sub).id(id(number)).task_timeout(TASK_TIMEOUT).await?;
    started.send_modify(|count| *count += 1);
    let mut asked = Vec::new();
    let mut cents = FIRST_CENTS;
    loop {
        tokio::select! {
            () = tokio::time::sleep(draw(CHANGE_EVERY_MAX)) => {
                cents += STEP_CENTS;
                asked.push(Change::Amount(cents));
                handle.send(Change::Amount(cents)).await?;
            }
            () = risen(&mut cancel) => break,
        }
    }
    tokio::time::sleep(draw(CANCEL_SPREAD)).await;
    asked.push(Change::Cancel);
    handle.send(Change::Cancel).await?;
    let result = match tokio::time::timeout(END_TIMEOUT, handle.result()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("still open {END_TIMEOUT:?} after it was cancelled")),
    };
    Ok(Ended { handle, asked, result })
}

/// All customers.
pub(super) struct Customers {
    client: Client,
    tasks: Vec<tokio::task::JoinHandle<Result<Ended, ClientError>>>,
    started: watch::Receiver<usize>,
    cancel: watch::Sender<bool>,
}

impl Customers {
    /// Lets all of them subscribe.
    pub(super) fn come(client: &Client, terms: Terms) -> Self {
        let (started, starts) = watch::channel(0);
        let (cancel, cancels) = watch::channel(false);
        let tasks = (1..=terms.count)
            .map(|number| {
                tokio::spawn(customer(client.clone(), terms, number, started.clone(), cancels.clone()))
            })
            .collect();
        Self { client: client.clone(), tasks, started: starts, cancel }
    }

    /// Returns when all have subscribed, or one has given up.
    pub(super) async fn subscribed(&self) {
        while *self.started.borrow() < self.tasks.len() && !self.any_ended() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether one of them has given up already.
    pub(super) fn any_ended(&self) -> bool {
        self.tasks.iter().any(tokio::task::JoinHandle::is_finished)
    }

    /// Lets all of them cancel, waits for the ends, and collects their notes and the histories.
    pub(super) async fn leave(self) -> anyhow::Result<Vec<Ended>> {
        self.cancel.send_replace(true);
        let mut ended = Vec::new();
        for (task, number) in self.tasks.into_iter().zip(1..) {
            ended.push(task.await?.map_err(|error| anyhow::anyhow!("{}: {error}", id(number)))?);
        }
        drop(self.client);
        Ok(ended)
    }
}

/// What the judge has to know about the customers.
pub(super) async fn testimony(client: &Client, ended: Vec<Ended>) -> anyhow::Result<Vec<Customer>> {
    let mut customers = Vec::new();
    for Ended { handle, asked, result } in ended {
        let first = handle.run_id().unwrap_or_default();
        let runs = facts::runs(client, handle.id(), first).await?;
        let id = handle.id().to_owned();
        customers.push(Customer { id, cents: FIRST_CENTS, asked, result, runs });
    }
    Ok(customers)
}

/// Counts the open subscriptions and asks one after the other for its period, until it is dropped. An
/// answer may be late, and there may be none for a while; but it must never be older than an earlier one.
pub(super) async fn curious(client: Client, terms: Terms, glimpse: &Glimpse) {
    tokio::join!(count(&client, glimpse), ask(&client, terms, glimpse));
}

async fn count(client: &Client, glimpse: &Glimpse) {
    let filter = format!("WorkflowType = '{WORKFLOW}' AND ExecutionStatus = 'Running'");
    loop {
        if let Ok(open) = client.count(filter.as_str()).await {
            glimpse.seen().open = open;
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

async fn ask(client: &Client, terms: Terms, glimpse: &Glimpse) {
    let mut random = Random::from_seed(terms.seed ^ u64::MAX);
    let mut newest: BTreeMap<usize, u32> = BTreeMap::new();
    loop {
        let number = 1 + random.below(terms.count as u64) as usize;
        let began = Instant::now();
        // A subscription that has just begun has published nothing, and one that ended answers no more.
        if let Ok(period) = client.handle::<subscription>(id(number)).query::<u32>(PERIOD_QUERY).await {
            let before = newest.insert(number, period).unwrap_or_default();
            let mut seen = glimpse.seen();
            seen.queries += 1;
            seen.answer =
                Some(format!("{} is in period {period} ({} ms)", id(number), began.elapsed().as_millis()));
            if period < before {
                seen.stale_answers.push(format!(
                    "{} was in period {before}, and said later that it was in {period}",
                    id(number)
                ));
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn id(number: usize) -> String {
    format!("sub-{number:03}")
}
