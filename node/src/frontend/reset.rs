//! Going back to an earlier point of a workflow, and other options for one that runs.

use everlog_engine::{key::WorkflowKey, reply::Reply, request::Request, versioning::newest_form};
use everlog_proto::api::{
    workflow::v1::{VersioningOverride, post_reset_operation::Variant},
    workflowservice::v1::{
        ResetWorkflowExecutionRequest, ResetWorkflowExecutionResponse, UpdateWorkflowExecutionOptionsRequest,
        UpdateWorkflowExecutionOptionsResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    validate, versioning,
    workflow::{ask, unexpected},
};
use crate::route::{Failure, Repeat, to_home};

pub(super) async fn reset(scope: Scope, request: ResetWorkflowExecutionRequest) -> Answer {
    if request.request_id.is_empty() {
        return Err(Status::invalid_argument("RequestId is not set on request."));
    }
    validate::request_id(&request.request_id, &scope.limits)?;
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let given = overrides_behind(&request);
    let asked = Request::Reset { request: Box::new(request), to: None };
    let (scope, key, asked, given, run_id) = (&scope, &key, &asked, &given, &execution.run_id);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        if !given.is_empty() {
            let queue = run_of(scope, shard, key, run_id).await?.queue;
            for given in given {
                versioning::check_override(scope, Some(given), &queue)?;
            }
        }
        match ask(scope, shard, key, asked.clone()).await? {
            Reply::Reset { run_id } => Ok(encode(&ResetWorkflowExecutionResponse { run_id })),
            _ => Err(unexpected("reset").into()),
        }
    })
    .await
}

/// What new options of a reset say about versions.
fn overrides_behind(request: &ResetWorkflowExecutionRequest) -> Vec<VersioningOverride> {
    let updates = request.post_reset_operations.iter().filter_map(|operation| match &operation.variant {
        Some(Variant::UpdateWorkflowOptions(update)) => update.workflow_execution_options.as_ref(),
        _ => None,
    });
    updates.filter_map(|options| options.versioning_override.clone()).collect()
}

struct Found {
    queue: String,
    is_running: bool,
}

/// What an override has to fit.
async fn run_of(scope: &Scope, shard: u64, key: &WorkflowKey, run_id: &str) -> Result<Found, Failure> {
    match ask(scope, shard, key, Request::Read { run_id: run_id.to_owned() }).await? {
        Reply::State(state) => Ok(Found {
            queue: state.execution.task_queue().to_owned(),
            is_running: state.execution.is_running(),
        }),
        _ => Err(unexpected("read").into()),
    }
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
    let given = options.versioning_override.clone();
    if !versioning::pins_where_it_is(given.as_ref()) {
        versioning::check_form(given.as_ref())?;
    }
    validate::priority(options.priority.as_ref())?;
    // A second time the options are the same, and nothing is written; but for an override in its older form.
    let repeat = if given == newest_form(given.as_ref()) { Repeat::Safe } else { Repeat::Unsafe };
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let asked = Request::UpdateOptions(Box::new(request));
    let (scope, key, asked, given, run_id) = (&scope, &key, &asked, &given, &execution.run_id);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, repeat, |shard| async move {
        if given.is_some() {
            let run = run_of(scope, shard, key, run_id).await?;
            if run.is_running {
                versioning::check_queue(scope, given.as_ref(), &run.queue)?;
            }
        }
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
