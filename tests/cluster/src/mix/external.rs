//! Signals from one workflow to another: each arrives once, and the sender learns that it did.

#![allow(deprecated, reason = "workers still name the namespace")]

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    command::v1::{
        Command, SignalExternalWorkflowExecutionCommandAttributes, command::Attributes as CommandAttributes,
    },
    enums::v1::CommandType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{
    client::Client,
    feature::{Expected, Feature, Told},
};
use crate::{
    api::{execution, payloads},
    program::{command, complete, signal_value},
    unique::Chance,
};

const SENDER: &str = "sender";
/// Adds up so many signals.
pub(super) const COLLECTOR: &str = "collector";

pub(super) struct External;

impl Feature for External {
    fn name(&self) -> &'static str {
        "external"
    }

    fn types(&self) -> &'static [&'static str] {
        &[SENDER, COLLECTOR]
    }

    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        if told.workflow_type == SENDER { send(told) } else { collect(told) }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let count = 1 + chance.below(6);
            let (collector, sender) = (client.id(), client.id());
            client.start(COLLECTOR, &collector, &count.to_string()).await?;
            client.start(SENDER, &sender, &format!("{collector} {count}")).await?;
            let sum = (0..count).map(signal_value).sum();
            Ok(vec![Expected::new(&collector, sum), Expected::new(&sender, count)])
        })
    }
}

/// The input is how many signals will come.
fn collect(told: &Told<'_>) -> Vec<Command> {
    let (wanted, got) = (told.numbers(), told.signals());
    if wanted.first().is_some_and(|wanted| got.len() as u64 >= *wanted) {
        vec![complete(got.iter().sum())]
    } else {
        Vec::new()
    }
}

/// The input is to whom, and how many.
fn send(told: &Told<'_>) -> Vec<Command> {
    let Some((collector, count)) = told.input.split_once(' ') else { return Vec::new() };
    let count: u64 = count.parse().unwrap_or_default();
    let number_of = |which: fn(&HistoryEvent) -> bool| told.events.iter().filter(|e| which(e)).count() as u64;
    if number_of(is_initiated) == 0 {
        return (0..count).map(|index| signal(collector, signal_value(index))).collect();
    }
    let arrived = number_of(has_arrived);
    if arrived < count { Vec::new() } else { vec![complete(arrived)] }
}

fn is_initiated(event: &HistoryEvent) -> bool {
    use Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes as Initiated;
    matches!(event.attributes, Some(Initiated(_)))
}

fn has_arrived(event: &HistoryEvent) -> bool {
    matches!(event.attributes, Some(Attributes::ExternalWorkflowExecutionSignaledEventAttributes(_)))
}

fn signal(workflow_id: &str, value: u64) -> Command {
    command(
        CommandType::SignalExternalWorkflowExecution,
        CommandAttributes::SignalExternalWorkflowExecutionCommandAttributes(
            SignalExternalWorkflowExecutionCommandAttributes {
                execution: Some(execution(workflow_id, "")),
                signal_name: "number".into(),
                input: Some(payloads(&value.to_string())),
                ..Default::default()
            },
        ),
    )
}
