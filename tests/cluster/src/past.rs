//! Answers from the past: who asks after an acknowledgement must be shown what was acknowledged.
//!
//! A node that was stopped or cut off may still think that it leads, and its memory is as it was. Each answer
//! of such a node must show every write that was acknowledged before the question was sent, or be a refusal.

use anyhow::{Result, bail, ensure};
use temporalio_protos::temporal::api::{
    enums::v1::EventType,
    workflowservice::v1::{CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest},
};
use tonic::{Code, Status};

use crate::{
    api::{Api, CALL_TIMEOUT, NAMESPACE, execution, history, limited},
    history::Run,
};

/// How often a node answered, and how often it refused to.
#[derive(Debug, Default)]
pub struct Tally {
    pub right: usize,
    pub refused: usize,
}

impl Tally {
    pub fn add(&mut self, answered: bool) {
        if answered {
            self.right += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// Asks a node in two ways how far a workflow is of which nobody works: it was started, and so many signals
/// were acknowledged. True if both answers were right, false if there was no answer.
pub async fn observe(api: Api, id: String, signals: usize) -> Result<bool> {
    match signals_seen(&api, &id).await {
        Ok(seen) => {
            ensure!(
                seen >= signals,
                "{id}: of {signals} signals acknowledged before the question {seen} were shown"
            );
        }
        Err(status) if status.code() == Code::NotFound => {
            bail!("{id}: was acknowledged before the question and is said not to exist")
        }
        Err(_) => return Ok(false),
    }
    let request =
        DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution(&id, "")) };
    let described = limited(CALL_TIMEOUT, api.node(0).describe_workflow_execution(request)).await;
    let Ok(described) = described else { return Ok(false) };
    let length = described.into_inner().workflow_execution_info.map_or(0, |info| info.history_length);
    // Started and scheduled come before the signals.
    ensure!(
        length >= 2 + signals as i64,
        "{id}: described with {length} events, and {signals} signals are in it"
    );
    Ok(true)
}

/// How many signals the history shows.
pub async fn signals_seen(api: &Api, id: &str) -> Result<usize, Status> {
    let run = Run::new(id, "", &history(api.node(0), id, "").await?);
    Ok(run.events.iter().filter(|event| event.kind == EventType::WorkflowExecutionSignaled).count())
}

/// How many workflows a node counts, if it answers.
pub async fn count(api: Api) -> Result<Option<i64>> {
    let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let counted = limited(CALL_TIMEOUT, api.node(0).count_workflow_executions(request)).await;
    Ok(counted.ok().map(|answer| answer.into_inner().count))
}
