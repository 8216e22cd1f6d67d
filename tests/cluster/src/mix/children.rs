//! A parent with several children: it adds up what they come to, so that a result lost or doubled is seen.

#![allow(deprecated, reason = "workers still name the namespace")]

use std::collections::BTreeMap;

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    command::v1::{
        Command, StartChildWorkflowExecutionCommandAttributes, command::Attributes as CommandAttributes,
    },
    common::v1::WorkflowType,
    enums::v1::CommandType,
    history::v1::history_event::Attributes,
};

use super::{
    client::{Client, WORKFLOW_TASK_TIMEOUT, queue},
    feature::{Expected, Feature, Told},
    steps,
};
use crate::{
    api::{duration, number, payloads},
    program::{Program, command, complete},
    unique::Chance,
};

const TYPE: &str = "parent";

pub(super) struct Children;

impl Feature for Children {
    fn name(&self) -> &'static str {
        "children"
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        let programs: Vec<&str> = told.input.split(',').collect();
        let (mut initiated, mut results) = (0, BTreeMap::new());
        for event in told.events {
            match &event.attributes {
                Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)) => initiated += 1,
                Some(Attributes::ChildWorkflowExecutionCompletedEventAttributes(it)) => {
                    results.insert(it.initiated_event_id, number(it.result.as_ref()));
                }
                _ => {}
            }
        }
        if initiated == 0 {
            return programs.iter().enumerate().map(|(n, program)| start(told, n, program)).collect();
        }
        if results.len() < programs.len() { Vec::new() } else { vec![complete(results.values().sum())] }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let programs: Vec<Program> =
                (0..1 + chance.below(4)).map(|_| Program::random(chance, false)).collect();
            let id = client.id();
            let words: Vec<String> = programs.iter().map(Program::to_string).collect();
            client.start(TYPE, &id, &words.join(",")).await?;
            let sum = programs.iter().map(Program::result).sum();
            let children = programs.iter().enumerate();
            let children = children.map(|(n, program)| Expected::new(&child_id(&id, n), program.result()));
            Ok([Expected::new(&id, sum)].into_iter().chain(children).collect())
        })
    }
}

fn child_id(parent: &str, number: usize) -> String {
    format!("{parent}-child-{number}")
}

fn start(told: &Told<'_>, number: usize, program: &str) -> Command {
    command(
        CommandType::StartChildWorkflowExecution,
        CommandAttributes::StartChildWorkflowExecutionCommandAttributes(
            StartChildWorkflowExecutionCommandAttributes {
                workflow_id: child_id(told.workflow_id, number),
                workflow_type: Some(WorkflowType { name: steps::TYPE.into() }),
                task_queue: Some(queue()),
                input: Some(payloads(&serde_json::json!(program).to_string())),
                workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
                ..Default::default()
            },
        ),
    )
}
