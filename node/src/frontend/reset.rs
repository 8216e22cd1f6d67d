//! Going back to an earlier point of a workflow, and other options for one that runs.

use everlog_engine::{key::WorkflowKey, reply::Reply, request::Request};
use everlog_proto::api::{
    workflow::v1::VersioningOverride,
    workflowservice::v1::{
        ResetWorkflowExecutionRequest, ResetWorkflowExecutionResponse, UpdateWorkflowExecutionOptionsRequest,
        UpdateWorkflowExecutionOptionsResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    validate,
    workflow::{ask, unexpected},
};
use crate::route::{Repeat, to_home};

pub(super) async fn reset(scope: Scope, request: ResetWorkflowExecutionRequest) -> Answer {
    if request.request_id.is_empty() {
        return Err(Status::invalid_argument("RequestId is not set on request."));
    }
    validate::request_id(&request.request_id, &scope.limits)?;
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let asked = Request::Reset { request: Box::new(request), to: None };
    let (scope, key, asked) = (&scope, &key, &asked);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        match ask(scope, shard, key, asked.clone()).await? {
            Reply::Reset { run_id } => Ok(encode(&ResetWorkflowExecutionResponse { run_id })),
            _ => Err(unexpected("reset").into()),
        }
    })
    .await
}

pub(super) async fn update_options(scope: Scope, request: UpdateWorkflowExecutionOptionsRequest) -> Answer {
    let execution = request.workflow_execution.clone().unwrap_or_default();
    if execution.workflow_id.is_empty() {
        return Err(Status::invalid_argument("WorkflowId is not set on request."));
    }
    if !execution.run_id.is_empty() && Uuid::parse_str(&execution.run_id).is_err() {
        return Err(Status::invalid_argument("RunId is not valid UUID."));
    }
    let Some(options) = &request.workflow_execution_options else {
        return Err(Status::invalid_argument("WorkflowExecutionOptions is required"));
    };
    let Some(mask) = &request.update_mask else {
        return Err(Status::invalid_argument("UpdateMask is required"));
    };
    check_mask(&mask.paths)?;
    if options.time_skipping_config.is_some() {
        let message = "The Time-Skipping feature is not enabled for namespace.";
        return Err(Status::unimplemented(message));
    }
    check_override(options.versioning_override.as_ref())?;
    validate::priority(options.priority.as_ref())?;
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let asked = Request::UpdateOptions(Box::new(request));
    let (scope, key, asked) = (&scope, &key, &asked);
    // A second time the options are the same, and nothing is written.
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        match ask(scope, shard, key, asked.clone()).await? {
            Reply::WorkflowOptions(options) => Ok(encode(&UpdateWorkflowExecutionOptionsResponse {
                workflow_execution_options: Some(*options),
                ..Default::default()
            })),
            _ => Err(unexpected("update options").into()),
        }
    })
    .await
}

/// The fields of the options, and of the messages in them.
const FIELDS: [(&str, &[&str]); 3] = [
    (
        "versioning_override",
        &["pinned", "auto_upgrade", "one_time", "behavior", "deployment", "pinned_version"],
    ),
    ("priority", &["priority_key", "fairness_key", "fairness_weight"]),
    ("time_skipping_config", &["enabled", "fast_forward", "disable_propagation"]),
];

pub(super) fn check_mask(paths: &[String]) -> Result<(), Status> {
    let is_known = |path: &str| {
        let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
        let within = FIELDS.iter().find(|(name, _)| *name == field).map(|(_, within)| within);
        within.is_some_and(|within| {
            rest.is_none_or(|rest| within.contains(&rest.split('.').next().unwrap_or_default()))
        })
    };
    match paths.iter().find(|path| !is_known(path)) {
        Some(path) => Err(Status::invalid_argument(format!(
            "error parsing UpdateMask: proto:\u{a0}invalid path {path:?} for message \
             \"temporal.api.workflow.v1.WorkflowExecutionOptions\""
        ))),
        None => Ok(()),
    }
}

#[allow(deprecated, reason = "older clients say only this")]
fn check_override(asked: Option<&VersioningOverride>) -> Result<(), Status> {
    use everlog_proto::api::{
        enums::v1::VersioningBehavior as Behavior, workflow::v1::versioning_override::Override,
    };
    let Some(asked) = asked else { return Ok(()) };
    let invalid = |message: &str| Err(Status::invalid_argument(message.to_owned()));
    match &asked.r#override {
        Some(Override::AutoUpgrade(_)) => return Ok(()),
        Some(_) => return Ok(()),
        None => {}
    }
    let names_version = asked.deployment.is_some() || !asked.pinned_version.is_empty();
    match asked.behavior() {
        Behavior::Unspecified => invalid("override behavior is required"),
        Behavior::Pinned if !names_version => {
            invalid("must provide deployment (deprecated) or pinned version if behavior is 'PINNED'")
        }
        Behavior::AutoUpgrade if !asked.pinned_version.is_empty() => {
            invalid("only provide pinned version if behavior is 'PINNED'")
        }
        Behavior::AutoUpgrade if asked.deployment.is_some() => {
            invalid("only provide deployment if behavior is 'PINNED'")
        }
        _ => Ok(()),
    }
}
