//! Histories, reduced to the facts that the judge needs.

use std::collections::BTreeMap;

use everlog_client::Client;
use everlog_client::codec;
use everlog_proto::api::common::v1::Payloads;
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::history::v1::history_event::Attributes;

use super::check::{Fact, Run};
use super::subscription::{CHARGE, Change, subscription};

/// A subscription of the demo has a handful of runs; more than this would be one that never ends.
const RUNS_MAX: usize = 10_000;

/// All the runs of a subscription, the first one first.
pub(super) async fn runs(client: &Client, id: &str, first: &str) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(run_id) = next.take() {
        anyhow::ensure!(runs.len() < RUNS_MAX, "{id} has more than {RUNS_MAX} runs");
        let handle = client.handle::<subscription>(id).run(run_id.as_str());
        let events = handle.history().await?.events;
        next = match events.last().and_then(|last| last.attributes.as_ref()) {
            Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(continued)) => {
                Some(continued.new_execution_run_id.clone())
            }
            _ => None,
        };
        runs.push(run(run_id, &events));
    }
    Ok(runs)
}

/// What a history says.
fn run(run_id: String, events: &[HistoryEvent]) -> Run {
    let mut facts = Vec::new();
    let mut damage = Vec::new();
    let mut charges: BTreeMap<i64, (u32, u64)> = BTreeMap::new();
    for (event, expected) in events.iter().zip(1_i64..) {
        let id = event.event_id;
        if id != expected {
            damage.push(format!("event {expected} has the id {id}"));
        }
        match &event.attributes {
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) => {
                match codec::decode_one::<Change>(signal.input.as_ref()) {
                    Ok(change) => facts.push(Fact::Asked(change)),
                    Err(error) => damage.push(format!("the signal of event {id} cannot be read: {error}")),
                }
            }
            Some(Attributes::TimerFiredEventAttributes(_)) => facts.push(Fact::Due),
            Some(Attributes::ActivityTaskScheduledEventAttributes(activity)) => {
                let name = activity.activity_type.as_ref().map_or("", |kind| kind.name.as_str());
                match (name == CHARGE).then(|| charge_of(activity.input.as_ref())).flatten() {
                    Some(charge) => {
                        charges.insert(id, charge);
                    }
                    None => damage.push(format!("event {id} schedules `{name}` with something else")),
                }
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(completed)) => {
                match charges.get(&completed.scheduled_event_id) {
                    Some((period, cents)) => facts.push(Fact::Charged { period: *period, cents: *cents }),
                    None => damage.push(format!("event {id} completes what was never scheduled")),
                }
            }
            _ => {}
        }
    }
    Run { run_id, events: events.len(), facts, damage }
}

/// The arguments of the activity: the period and the amount.
fn charge_of(input: Option<&Payloads>) -> Option<(u32, u64)> {
    let [period, cents] = input?.payloads.as_slice() else { return None };
    Some((codec::decode(period).ok()?, codec::decode(cents).ok()?))
}
