//! Runs that follow each other and add up signals: none may get lost between two runs, or be counted in both.

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, command::Attributes as CommandAttributes,
    },
    common::v1::WorkflowType,
    enums::v1::CommandType,
};

use super::{
    client::{Client, WORKFLOW_TASK_TIMEOUT, queue},
    feature::{Expected, Feature, Told},
};
use crate::{
    api::{duration, payloads},
    program::{command, complete, signal_value},
    unique::Chance,
};

const TYPE: &str = "chain";
/// A run that has got so many hands over to the next.
const SIGNALS_PER_RUN: usize = 3;

pub(super) struct Chain;

impl Feature for Chain {
    fn name(&self) -> &'static str {
        TYPE
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    /// The input is how many signals are still to come, and the sum of those that came.
    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        let [wanted, sum] = told.numbers()[..] else { return Vec::new() };
        let got = told.signals();
        let sum = sum + got.iter().sum::<u64>();
        let left = wanted.saturating_sub(got.len() as u64);
        if left == 0 {
            vec![complete(sum)]
        } else if got.len() >= SIGNALS_PER_RUN {
            vec![continue_as_new(&format!("{left} {sum}"))]
        } else {
            Vec::new()
        }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let signals = 5 + chance.below(8);
            let id = client.id();
            client.start(TYPE, &id, &format!("{signals} 0")).await?;
            let mut expected = Expected::new(&id, (0..signals).map(signal_value).sum());
            for index in 0..signals {
                expected.signals.push(client.signal(&id, signal_value(index)).await?);
            }
            Ok(vec![expected])
        })
    }
}

fn continue_as_new(input: &str) -> Command {
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        CommandAttributes::ContinueAsNewWorkflowExecutionCommandAttributes(
            ContinueAsNewWorkflowExecutionCommandAttributes {
                workflow_type: Some(WorkflowType { name: TYPE.into() }),
                task_queue: Some(queue()),
                input: Some(payloads(&serde_json::json!(input).to_string())),
                workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
                ..Default::default()
            },
        ),
    )
}
