//! Histories that were recorded on a real server still replay.
//!
//! `histories/subscription.json` is what `temporal workflow show --output json` printed for a run of the
//! workflow below (the one of `examples/subscription.rs`) on Temporal's development server.

use everlog_client::Replayer;
use everlog_client::prelude::*;
use everlog_client::replay::ReplayError;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories/subscription.json");

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Subscription {
    customer: String,
    cents: u64,
    trial: Duration,
    period: Duration,
    charges: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Change {
    Amount(u64),
    Cancel,
}

#[activity(start_to_close = "5s")]
async fn charge(_customer: String, _cents: u64) -> Result<()> {
    Ok(())
}

#[activity(start_to_close = "5s")]
async fn mail(_customer: String, _text: String) -> Result<()> {
    Ok(())
}

#[workflow]
async fn subscription(cx: &Cx, mut sub: Subscription) -> Result<u64> {
    let inbox = cx.inbox::<Change>();
    cx.sleep(sub.trial).await?;
    'paying: loop {
        cx.call(charge, (sub.customer.clone(), sub.cents)).await?;
        sub.charges += 1;
        let mut due = cx.sleep(sub.period);
        loop {
            select! { cx;
                message = inbox.recv() => match message? {
                    Change::Amount(cents) => sub.cents = cents,
                    Change::Cancel => break 'paying,
                },
                slept = &mut due => break slept?,
            }
        }
    }
    cx.call(mail, (sub.customer.clone(), String::new())).await?;
    Ok(sub.charges)
}

/// The same, but the timer is built anew after each message.
#[workflow(name = "subscription")]
async fn impatient(cx: &Cx, sub: Subscription) -> Result<u64> {
    let inbox = cx.inbox::<Change>();
    cx.sleep(sub.trial).await?;
    loop {
        cx.call(charge, (sub.customer.clone(), sub.cents)).await?;
        select! { cx;
            message = inbox.recv() => if matches!(message?, Change::Cancel) { return Ok(0); },
            slept = cx.sleep(sub.period) => slept?,
        }
    }
}

#[test]
fn a_recorded_history_replays() {
    let report = Replayer::new().workflow(subscription).check_file(RECORDED).unwrap();
    assert_eq!(report.workflow, "subscription");
    assert!(report.tasks > 8 && report.events > 40, "{report:?}");
}

#[test]
fn changed_code_is_found_out_at_its_event() {
    let error = Replayer::new().workflow(impatient).check_file(RECORDED).unwrap_err();
    let divergence = error.divergence().expect("a divergence");
    assert!(divergence.produced.starts_with("ScheduleActivity(charge"), "{error}");
    assert!(error.to_string().contains("subscription.json"), "{error}");
}

#[test]
fn a_directory_is_replayed_as_a_whole_and_must_have_something_in_it() {
    let directory = std::path::Path::new(RECORDED).parent().unwrap();
    let replayer = Replayer::new().workflow(subscription);
    assert_eq!(replayer.check_dir(directory).unwrap().len(), 1);
    let empty = concat!(env!("CARGO_MANIFEST_DIR"), "/src/replay/state");
    assert!(matches!(replayer.check_dir(empty), Err(ReplayError::NoHistories(_))));
}

#[test]
fn what_is_not_a_history_is_an_error() {
    for text in ["", "{}", r#"{"events": 7}"#, r#"{"events": [{"eventId": "2"}]}"#] {
        Replayer::new().workflow(subscription).check_json(text).unwrap_err();
    }
}
