//! Questions of schedules, carried to the workflows that they are about.
//!
//! Nothing is kept here: a schedule asks again what was not answered. The workflow's shard answers, here or
//! on the node that leads it, and the result of a run that has closed is read where it was written.

use std::time::Duration;

use everlog_engine::{
    execution::Execution,
    key::WorkflowKey,
    reject::Reject,
    reply::Reply,
    rows,
    schedule::ask::{Ask, Asked},
};
use everlog_proto::api::history::v1::HistoryEvent;

use crate::{
    frontend::backend::{HistoryRead, Order},
    history,
    internal::{Internal, InternalReply},
    machine,
    router::{Place, Router},
};

/// How long an answer may take beyond what the question itself waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks wherever the workflow lives.
pub async fn anywhere(router: &Router, workflow: &WorkflowKey, ask: &Ask) -> Asked {
    let patience = match ask {
        Ask::Watch { timeout_ms, .. } => Duration::from_millis(*timeout_ms) + ANSWER_TIMEOUT,
        _ => ANSWER_TIMEOUT,
    };
    let answer = async {
        match router.locate(&workflow.namespace_id, &workflow.workflow_id) {
            Place::Here { .. } => here(router, workflow, ask).await,
            Place::There { node, .. } => {
                let request = Internal::Ask { workflow: workflow.clone(), ask: ask.clone() };
                match router.internal_within(node, &request, patience).await {
                    Ok(InternalReply::Asked(answer)) => answer,
                    Ok(InternalReply::Reject(reject)) | Err(reject) => Asked::Refused(reject),
                    Ok(_) => Asked::Refused(Reject::Unavailable("no answer to a schedule".into())),
                }
            }
            Place::Nowhere { .. } => {
                Asked::Refused(Reject::Unavailable("the workflow's shard has no leader".into()))
            }
        }
    };
    tokio::time::timeout(patience, answer)
        .await
        .unwrap_or_else(|_| Asked::Refused(Reject::Unavailable("no answer in time".into())))
}

/// Asks a workflow whose shard this node leads.
pub async fn here(router: &Router, workflow: &WorkflowKey, ask: &Ask) -> Asked {
    let answer = router.call(workflow.clone(), ask.request(&workflow.workflow_id)).await;
    let event = match &answer {
        Ok(Reply::State(state)) if !state.execution.is_running() => {
            match last_event(router, &state.execution).await {
                Ok(event) => event,
                Err(reject) => return Asked::Refused(reject),
            }
        }
        _ => None,
    };
    ask.conclude(
        answer,
        |_| event,
        |run_id| {
            let value = router.tables().get(&rows::execution_key(&workflow.run(run_id)))?;
            Some(machine::execution_of(value).ok()?.create_request_id.clone())
        },
    )
}

/// The event that closed a run.
async fn last_event(router: &Router, execution: &Execution) -> Result<Option<HistoryEvent>, Reject> {
    let id = execution.close_event_id;
    let read = HistoryRead { from: id, to: id, order: Order::Forward, rows_max: 1, bytes_max: usize::MAX };
    let rows = history::read(router.tables(), execution.key(), read).await?;
    let events =
        rows.iter().filter_map(|row| rows::decode_history(row).ok()).flat_map(|history| history.events);
    Ok(events.into_iter().find(|event| event.event_id == id))
}
