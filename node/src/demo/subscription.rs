//! The workflow of the demo: a subscription.
//!
//! It begins with a trial, is charged every period until it is cancelled, and its amount can be changed
//! while it runs. Nothing in it speaks of failures: that a node or a worker may die at any `await` is the
//! engine's business.

use everlog_client::prelude::*;

use super::ledger::{Charge, Ledger};

/// The name of the workflow, for lists.
pub(super) const WORKFLOW: &str = "subscription";
/// The name of the activity, as histories have it.
pub(super) const CHARGE: &str = "charge";
/// The query that says how far a subscription is.
pub(super) const PERIOD_QUERY: &str = "period";

/// A run is closed and continued as a new one after so many charges, so that the history of a
/// subscription stays short however long it is kept.
const CHARGES_PER_RUN: u32 = 8;
/// How long the bank takes to answer. A worker that dies meanwhile has charged and will never say so.
const BANK_TAKES: Duration = Duration::from_millis(60);

/// What a subscription knows about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) cents: u64,
    pub(super) trial: Duration,
    pub(super) period: Duration,
    pub(super) so_far: Summary,
}

/// What was charged, by the subscription's own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) charges: u32,
    pub(super) cents: u64,
}

/// What a customer may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    Amount(u64),
    Cancel,
}

#[workflow]
pub(super) async fn subscription(cx: &Cx, mut sub: Subscription) -> Result<Summary> {
    let inbox = cx.inbox::<Change>();
    cx.on_query(PERIOD_QUERY, |so_far: &Summary| so_far.charges);
    let first_wait = if sub.so_far.charges == 0 { sub.trial } else { sub.period };
    let mut due = cx.sleep(first_wait);
    loop {
        cx.publish(&sub.so_far);
        select! { cx;
            message = inbox.recv() => match message? {
                Change::Amount(cents) => sub.cents = cents,
                Change::Cancel => return Ok(sub.so_far),
            },
            slept = &mut due => {
                slept?;
                let period = sub.so_far.charges + 1;
                cx.call(charge, (period, sub.cents)).await?;
                sub.so_far.charges = period;
                sub.so_far.cents += sub.cents;
                if period.is_multiple_of(CHARGES_PER_RUN) {
                    match cx.continue_as_new(subscription, &sub).await {}
                }
                due = cx.sleep(sub.period);
            }
        }
    }
}

/// Charges a customer for a period. It may be attempted more than once; the bank knows by the key whether
/// it has seen the charge before.
#[activity(start_to_close = "3s", retry(initial = "100ms", backoff = 2.0, max_interval = "1s"))]
pub(super) async fn charge(acx: &Acx, period: u32, cents: u64) -> Result<()> {
    let key = Charge { workflow: acx.workflow_id().into(), run: acx.run_id().into(), period };
    acx.dep::<Ledger>().charge(key, cents, acx.attempt()).await?;
    tokio::time::sleep(BANK_TAKES).await;
    Ok(())
}
