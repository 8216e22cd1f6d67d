//! Options of a running workflow, changed by hand: whose versions it follows, how urgent it is.
//!
//! A mask names the fields that count. What comes of them is written as one event if it differs from what
//! there was; no workflow task follows from it.

use std::collections::BTreeSet;

use everlog_proto::api::{
    common::v1::Priority,
    history::v1::{WorkflowExecutionOptionsUpdatedEventAttributes, history_event::Attributes},
    workflow::v1::WorkflowExecutionOptions,
    workflowservice::v1::UpdateWorkflowExecutionOptionsRequest,
};

use crate::{decide::Decided, execution::Execution, reject::Reject, reply::Reply, turn::Turn};

pub fn update(turn: &mut Turn<'_>, request: &UpdateWorkflowExecutionOptionsRequest) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    let asked = request.workflow_execution_options.clone().unwrap_or_default();
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    let merged = apply(turn, &asked, paths, &request.identity)?;
    Ok(Some(Reply::WorkflowOptions(Box::new(merged))))
}

/// The options that a workflow has now.
pub fn of(execution: &Execution) -> WorkflowExecutionOptions {
    WorkflowExecutionOptions {
        versioning_override: execution.start.versioning_override.clone(),
        priority: execution.start.priority.clone(),
        ..WorkflowExecutionOptions::default()
    }
}

/// Takes over the named fields. Returns the options as they are to be.
pub fn apply(
    turn: &mut Turn<'_>,
    asked: &WorkflowExecutionOptions,
    paths: &[String],
    identity: &str,
) -> Result<WorkflowExecutionOptions, Reject> {
    let before = of(&turn.execution);
    let merged = merge(before.clone(), asked, paths)?;
    if merged != before {
        let attributes = Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(
            WorkflowExecutionOptionsUpdatedEventAttributes {
                unset_versioning_override: merged.versioning_override.is_none(),
                versioning_override: merged.versioning_override.clone(),
                priority: merged.priority.clone(),
                identity: identity.to_owned(),
                ..Default::default()
            },
        );
        turn.ignorable_event(attributes, Vec::new());
    }
    Ok(merged)
}

fn merge(
    mut into: WorkflowExecutionOptions,
    asked: &WorkflowExecutionOptions,
    paths: &[String],
) -> Result<WorkflowExecutionOptions, Reject> {
    let paths: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    if paths.iter().any(|path| path.starts_with("versioning_override.")) {
        let message = "error applying update_options: versioning_override fields must be updated together";
        return Err(Reject::InvalidArgument(message.into()));
    }
    if paths.contains("versioning_override") {
        into.versioning_override = asked.versioning_override.clone();
    }
    if paths.contains("priority") {
        into.priority = asked.priority.clone();
    }
    if paths.iter().any(|path| path.starts_with("priority.")) {
        merge_priority(
            into.priority.get_or_insert_default(),
            &asked.priority.clone().unwrap_or_default(),
            &paths,
        );
    }
    Ok(into)
}

fn merge_priority(into: &mut Priority, asked: &Priority, paths: &BTreeSet<&str>) {
    if paths.contains("priority.priority_key") {
        into.priority_key = asked.priority_key;
    }
    if paths.contains("priority.fairness_key") {
        into.fairness_key = asked.fairness_key.clone();
    }
    if paths.contains("priority.fairness_weight") {
        into.fairness_weight = asked.fairness_weight;
    }
}
