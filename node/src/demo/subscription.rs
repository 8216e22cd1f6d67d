//! The work: a subscription as a workflow, a charge as an activity, and the worker that runs them.

use std::{path::Path, sync::Arc};

use everlog_client::prelude::*;

use super::ledger::{Entry, Ledger};

pub(super) const QUEUE: &str = "subscriptions";

/// What a customer has agreed to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) customer: String,
    pub(super) cents: u64,
    pub(super) trial: Duration,
    pub(super) period: Duration,
}

/// What a subscription says of itself when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) charges: u64,
    pub(super) cents: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Change {
    Amount(u64),
    Cancel,
}

#[derive(Debug, thiserror::Error, AppError, Serialize, Deserialize)]
pub(super) enum SubscriptionError {
    #[error("a charge failed")]
    Charge(#[from] CallError<LedgerError>),
    #[error("stopped by the operator")]
    Stopped(#[from] Cancelled),
}

#[derive(Debug, thiserror::Error, AppError, Serialize, Deserialize)]
pub(super) enum LedgerError {
    #[error("the ledger cannot be written: {0}")]
    Unwritten(String),
}

#[activity(start_to_close = "3s", retry(initial = "100ms", backoff = 1.5, max_interval = "1s"))]
async fn charge(acx: &Acx, customer: String, period: u64, cents: u64) -> Result<(), LedgerError> {
    let entry = Entry { key: acx.idempotency_key(), customer, period, cents, attempt: acx.attempt() };
    let ledger = acx.dep::<Arc<Ledger>>().clone();
    let written = tokio::task::spawn_blocking(move || ledger.append(&entry)).await;
    let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    written.map_err(|error| LedgerError::Unwritten(error.to_string()))
}

/// A trial, then a charge every period until the customer cancels.
#[workflow]
pub(super) async fn subscription(cx: &Cx, mut terms: Terms) -> Result<Receipt, SubscriptionError> {
    let inbox = cx.inbox::<Change>();
    cx.on_query("period", |terms: &Terms| terms.period);
    cx.publish(&terms);
    let mut receipt = Receipt { charges: 0, cents: 0 };
    let mut due = cx.sleep(terms.trial);
    loop {
        loop {
            select! { cx;
                message = inbox.recv() => match message? {
                    Change::Amount(cents) => {
                        terms.cents = cents;
                        cx.publish(&terms);
                    }
                    Change::Cancel => return Ok(receipt),
                },
                slept = &mut due => break slept?,
            }
        }
        due = cx.sleep(terms.period);
        cx.call(charge, (terms.customer.clone(), receipt.charges + 1, terms.cents)).await?;
        receipt.charges += 1;
        receipt.cents += terms.cents;
    }
}

/// Runs a worker until the standard input ends.
pub(super) async fn work(addresses: &str, ledger: &Path) -> anyhow::Result<()> {
    let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
    let ledger = Arc::new(Ledger::open(ledger)?);
    let client = Client::connect(addresses).lazy().await?;
    let worker = Worker::new(&client, QUEUE).workflow(subscription).activity(charge).dep(ledger);
    worker.run_until(crate::cli::stdin_ended()).await?;
    Ok(())
}
