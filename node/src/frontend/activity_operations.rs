//! What operators do to the activities of a workflow: pause, unpause, reset, set other options.
//!
//! Each operation has two methods. The older names a workflow, and its activities by id, by type or all. The
//! newer names one activity: of a workflow, then it is turned into the older here, so that the engine knows
//! one of each; or, without a workflow's id, one that runs on its own.

use std::collections::BTreeSet;

use everlog_engine::{
    decide::activity::{camel_case, check_options},
    key::WorkflowKey,
    reply::Reply,
    request::Request,
    standalone::request::StandaloneRequest,
    time,
};
use everlog_proto::api::{
    activity::v1::ActivityOptions,
    common::v1::WorkflowExecution,
    workflowservice::v1::{
        PauseActivityExecutionRequest, PauseActivityExecutionResponse, PauseActivityRequest,
        PauseActivityResponse, ResetActivityExecutionRequest, ResetActivityExecutionResponse,
        ResetActivityRequest, ResetActivityResponse, UnpauseActivityExecutionRequest,
        UnpauseActivityExecutionResponse, UnpauseActivityRequest, UnpauseActivityResponse,
        UpdateActivityExecutionOptionsRequest, UpdateActivityExecutionOptionsResponse,
        UpdateActivityOptionsRequest, UpdateActivityOptionsResponse, pause_activity_request,
        reset_activity_request, unpause_activity_request, update_activity_options_request,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    activity_execution::key,
    call::{Answer, Scope, encode},
    standalone::{self, check_length, check_named, check_reason, check_run_id, name_request},
    workflow::{ask, unexpected},
};
use crate::route::{Repeat, to_home};

pub(super) async fn pause(scope: Scope, request: PauseActivityRequest) -> Answer {
    let workflow_id = named(request.execution.as_ref(), request.activity.is_some())?;
    tell(&scope, workflow_id, Request::PauseActivity(Box::new(request)), encode(&PauseActivityResponse {}))
        .await
}

pub(super) async fn unpause(scope: Scope, request: UnpauseActivityRequest) -> Answer {
    let workflow_id = named(request.execution.as_ref(), request.activity.is_some())?;
    let answer = encode(&UnpauseActivityResponse {});
    tell(&scope, workflow_id, Request::UnpauseActivity(Box::new(request)), answer).await
}

pub(super) async fn reset(scope: Scope, request: ResetActivityRequest) -> Answer {
    let workflow_id = named(request.execution.as_ref(), request.activity.is_some())?;
    tell(&scope, workflow_id, Request::ResetActivity(Box::new(request)), encode(&ResetActivityResponse {}))
        .await
}

pub(super) async fn update_options(scope: Scope, request: UpdateActivityOptionsRequest) -> Answer {
    let workflow_id = named(request.execution.as_ref(), request.activity.is_some())?;
    change(&scope, workflow_id, request, |activity_options| {
        encode(&UpdateActivityOptionsResponse { activity_options: Some(activity_options) })
    })
    .await
}

pub(super) async fn pause_execution(mut scope: Scope, mut request: PauseActivityExecutionRequest) -> Answer {
    if request.workflow_id.is_empty() {
        if name_request(&mut request.request_id) {
            scope.call.rewrite(&request);
        }
        let names = Names::of(&request.request_id, &request.activity_id, &request.identity, &request.run_id);
        names.check(&scope)?;
        check_reason(&scope, &request.reason)?;
        let key = key(&scope, &request.activity_id);
        let pause = StandaloneRequest::PauseActivity(Box::new(request));
        let answer = encode(&PauseActivityExecutionResponse {});
        return standalone::tell(&scope, &key, Repeat::Safe, pause, answer).await;
    }
    let execution = of_workflow(&request.workflow_id, &request.run_id, &request.activity_id)?;
    let pause = PauseActivityRequest {
        namespace: request.namespace,
        execution: Some(execution),
        identity: request.identity,
        reason: request.reason,
        // Without an id nobody can tell the second pause from the first, which is refused then.
        request_id: or_new(request.request_id),
        activity: Some(pause_activity_request::Activity::Id(request.activity_id)),
    };
    let answer = encode(&PauseActivityExecutionResponse {});
    tell(&scope, request.workflow_id, Request::PauseActivity(Box::new(pause)), answer).await
}

pub(super) async fn unpause_execution(scope: Scope, request: UnpauseActivityExecutionRequest) -> Answer {
    if request.workflow_id.is_empty() {
        let names = Names::of(&request.request_id, &request.activity_id, &request.identity, &request.run_id);
        names.check(&scope)?;
        check_jitter(request.jitter.as_ref())?;
        let key = key(&scope, &request.activity_id);
        let unpause = StandaloneRequest::UnpauseActivity(Box::new(request));
        let answer = encode(&UnpauseActivityExecutionResponse {});
        return standalone::tell(&scope, &key, Repeat::Unsafe, unpause, answer).await;
    }
    let execution = of_workflow(&request.workflow_id, &request.run_id, &request.activity_id)?;
    let unpause = UnpauseActivityRequest {
        namespace: request.namespace,
        execution: Some(execution),
        identity: request.identity,
        jitter: request.jitter,
        activity: Some(unpause_activity_request::Activity::Id(request.activity_id)),
        ..Default::default()
    };
    let answer = encode(&UnpauseActivityExecutionResponse {});
    tell(&scope, request.workflow_id, Request::UnpauseActivity(Box::new(unpause)), answer).await
}

pub(super) async fn reset_execution(scope: Scope, request: ResetActivityExecutionRequest) -> Answer {
    if request.workflow_id.is_empty() {
        let names = Names::of(&request.request_id, &request.activity_id, &request.identity, &request.run_id);
        names.check(&scope)?;
        check_jitter(request.jitter.as_ref())?;
        let key = key(&scope, &request.activity_id);
        let reset = StandaloneRequest::ResetActivity(Box::new(request));
        let answer = encode(&ResetActivityExecutionResponse {});
        return standalone::tell(&scope, &key, Repeat::Unsafe, reset, answer).await;
    }
    let execution = of_workflow(&request.workflow_id, &request.run_id, &request.activity_id)?;
    let reset = ResetActivityRequest {
        namespace: request.namespace,
        execution: Some(execution),
        identity: request.identity,
        reset_heartbeat: request.reset_heartbeat,
        keep_paused: request.keep_paused,
        jitter: request.jitter,
        restore_original_options: request.restore_original_options,
        activity: Some(reset_activity_request::Activity::Id(request.activity_id)),
    };
    let answer = encode(&ResetActivityExecutionResponse {});
    tell(&scope, request.workflow_id, Request::ResetActivity(Box::new(reset)), answer).await
}

pub(super) async fn update_execution_options(
    scope: Scope,
    mut request: UpdateActivityExecutionOptionsRequest,
) -> Answer {
    if request.workflow_id.is_empty() {
        let names = Names::of(&request.request_id, &request.activity_id, &request.identity, &request.run_id);
        names.check(&scope)?;
        check_update(&scope, &mut request)?;
        let key = key(&scope, &request.activity_id);
        let update = StandaloneRequest::UpdateActivityOptions(Box::new(request));
        return standalone::ask_at_home(&scope, &key, Repeat::Safe, update, |reply| match reply {
            Reply::ActivityOptions(options) => {
                Some(encode(&UpdateActivityExecutionOptionsResponse { activity_options: Some(*options) }))
            }
            _ => None,
        })
        .await;
    }
    let execution = of_workflow(&request.workflow_id, &request.run_id, &request.activity_id)?;
    let update = UpdateActivityOptionsRequest {
        namespace: request.namespace,
        execution: Some(execution),
        identity: request.identity,
        activity_options: request.activity_options,
        update_mask: request.update_mask,
        restore_original: request.restore_original,
        activity: Some(update_activity_options_request::Activity::Id(request.activity_id)),
    };
    change(&scope, request.workflow_id, update, |activity_options| {
        encode(&UpdateActivityExecutionOptionsResponse { activity_options: Some(activity_options) })
    })
    .await
}

/// How a request names an activity that runs on its own, and itself. None of the texts is checked yet.
struct Names<'r> {
    request_id: &'r str,
    activity_id: &'r str,
    identity: &'r str,
    run_id: &'r str,
}

impl<'r> Names<'r> {
    fn of(request_id: &'r str, activity_id: &'r str, identity: &'r str, run_id: &'r str) -> Names<'r> {
        Names { request_id, activity_id, identity, run_id }
    }

    fn check(&self, scope: &Scope) -> Result<(), Status> {
        check_length(scope, "request ID", self.request_id)?;
        check_named(scope, "activity", self.activity_id)?;
        check_length(scope, "identity", self.identity)?;
        check_run_id(self.run_id)
    }
}

fn check_jitter(jitter: Option<&prost_types::Duration>) -> Result<(), Status> {
    match time::fault(jitter) {
        Some(fault) => Err(Status::invalid_argument(format!("invalid jitter: {fault}"))),
        None => Ok(()),
    }
}

/// Options of an activity that can be changed while it runs on its own.
const CHANGEABLE: [&str; 15] = [
    "taskQueue.name",
    "scheduleToCloseTimeout",
    "scheduleToStartTimeout",
    "startToCloseTimeout",
    "heartbeatTimeout",
    "priority",
    "priority.priorityKey",
    "priority.fairnessKey",
    "priority.fairnessWeight",
    "retryPolicy",
    "retryPolicy.initialInterval",
    "retryPolicy.backoffCoefficient",
    "retryPolicy.maximumInterval",
    "retryPolicy.maximumAttempts",
    "startDelay",
];

fn check_update(scope: &Scope, request: &mut UpdateActivityExecutionOptionsRequest) -> Result<(), Status> {
    let invalid = |message: &str| Err(Status::invalid_argument(message));
    let paths = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    if request.restore_original {
        let both = "Both UpdateMask and RestoreOriginal are provided";
        return if paths.is_empty() { Ok(()) } else { invalid(both) };
    }
    let Some(options) = &mut request.activity_options else {
        return invalid("ActivityOptions are not provided");
    };
    if request.update_mask.is_none() {
        return invalid("UpdateMask is not provided");
    }
    if paths.is_empty() {
        return invalid("UpdateMask must specify at least one path");
    }
    if let Some(path) = paths.iter().find(|path| !CHANGEABLE.contains(&camel_case(path).as_str())) {
        return invalid(&format!("unsupported update_mask path: {path:?}"));
    }
    let fields: BTreeSet<String> = paths.iter().map(|path| camel_case(path)).collect();
    check_options(options, &fields, &scope.limits).map_err(Status::invalid_argument)
}

fn or_new(request_id: String) -> String {
    if request_id.is_empty() { Uuid::new_v4().to_string() } else { request_id }
}

/// The workflow that an older request is about, if it says which activities.
fn named(execution: Option<&WorkflowExecution>, names_activity: bool) -> Result<String, Status> {
    let execution = execution.filter(|execution| !execution.workflow_id.is_empty());
    let Some(execution) = execution else {
        return Err(Status::invalid_argument("WorkflowId is not set on request."));
    };
    if !execution.run_id.is_empty() && Uuid::parse_str(&execution.run_id).is_err() {
        return Err(Status::invalid_argument("RunId is not valid UUID."));
    }
    if !names_activity {
        let message = "Either Activity.Id or Activity.Type should be set on request.";
        return Err(Status::invalid_argument(message));
    }
    Ok(execution.workflow_id.clone())
}

/// The run that a newer request is about.
fn of_workflow(workflow_id: &str, run_id: &str, activity_id: &str) -> Result<WorkflowExecution, Status> {
    if activity_id.is_empty() {
        return Err(Status::invalid_argument("activity ID is required"));
    }
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("invalid run id: must be a valid UUID"));
    }
    Ok(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() })
}

/// Asks for something that is answered with nothing but yes or no. Done twice it is refused, or does more.
async fn tell(scope: &Scope, workflow_id: String, request: Request, answer: bytes::Bytes) -> Answer {
    let (key, request, answer) = (&WorkflowKey::new(scope.namespace_id(), &workflow_id), &request, &answer);
    to_home(&scope.call, scope.namespace_id(), &workflow_id, Repeat::Unsafe, |shard| async move {
        ask(scope, shard, key, request.clone()).await?;
        Ok(answer.clone())
    })
    .await
}

async fn change(
    scope: &Scope,
    workflow_id: String,
    request: UpdateActivityOptionsRequest,
    answer: impl Fn(ActivityOptions) -> bytes::Bytes + Sync,
) -> Answer {
    let key = &WorkflowKey::new(scope.namespace_id(), &workflow_id);
    let (request, answer) = (&Request::UpdateActivityOptions(Box::new(request)), &answer);
    to_home(&scope.call, scope.namespace_id(), &workflow_id, Repeat::Safe, |shard| async move {
        match ask(scope, shard, key, request.clone()).await? {
            Reply::ActivityOptions(options) => Ok(answer(*options)),
            _ => Err(unexpected("change of activity options").into()),
        }
    })
    .await
}
