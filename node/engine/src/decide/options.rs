//! Options of a running workflow, changed by hand: whose versions it follows, how urgent it is.
//!
//! A mask names the fields that count. What comes of them is written as one event if it differs from what
//! there was; no workflow task follows from it. An override in its older form always differs: what there was
//! is in the newest form. It is answered as it was asked for.

use std::collections::BTreeSet;

use everlog_proto::api::{
    common::v1::Priority,
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::VersioningBehavior,
    history::v1::{WorkflowExecutionOptionsUpdatedEventAttributes, history_event::Attributes},
    workflow::v1::{
        VersioningOverride, WorkflowExecutionOptions, versioning_override::Override as ApiOverride,
    },
    workflowservice::v1::UpdateWorkflowExecutionOptionsRequest,
};

use crate::{
    decide::Decided,
    execution::Execution,
    reject::Reject,
    reply::Reply,
    turn::Turn,
    versioning::{Override, newest_form},
};

pub fn update(turn: &mut Turn<'_>, request: &UpdateWorkflowExecutionOptionsRequest) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    let mut asked = request.workflow_execution_options.clone().unwrap_or_default();
    if let Some(VersioningOverride { r#override: Some(ApiOverride::Pinned(pinned)), .. }) =
        &mut asked.versioning_override
        && pinned.version.is_none()
    {
        pinned.version = Some(pinned_to(&turn.execution)?);
    }
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    let merged = apply(turn, &asked, paths, &request.identity)?;
    Ok(Some(Reply::WorkflowOptions(Box::new(merged))))
}

/// The version to which a run is pinned whose override names none.
fn pinned_to(execution: &Execution) -> Result<WorkerDeploymentVersion, Reject> {
    let versioning = &execution.versioning;
    if let (true, Some(version)) = (versioning.is_pinned(), versioning.version()) {
        return Ok(version.api());
    }
    let behavior = match versioning.behavior() {
        VersioningBehavior::Unspecified => "Unspecified",
        VersioningBehavior::Pinned => "Pinned",
        VersioningBehavior::AutoUpgrade => "AutoUpgrade",
    };
    Err(Reject::FailedPrecondition(format!(
        "must specify a specific pinned override version because workflow with id {} has behavior {behavior} \
         and is not yet pinned to any version",
        execution.workflow_id()
    )))
}

/// The options that a workflow has now.
pub fn of(execution: &Execution) -> WorkflowExecutionOptions {
    WorkflowExecutionOptions {
        versioning_override: execution.versioning.by_hand.as_ref().map(Override::api),
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
                versioning_override: newest_form(merged.versioning_override.as_ref()),
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
