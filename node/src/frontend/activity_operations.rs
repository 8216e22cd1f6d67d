//! What operators do to the activities of a workflow: pause, unpause, reset, set other options.
//!
//! Each operation has two methods. The older names a workflow, and its activities by id, by type or all. The
//! newer names one activity, and will also serve activities that run on their own; it is turned into the
//! older here, so that the engine knows one of each.

use everlog_engine::{key::WorkflowKey, reply::Reply, request::Request};
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
    call::{Answer, Scope, encode},
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

pub(super) async fn pause_execution(scope: Scope, request: PauseActivityExecutionRequest) -> Answer {
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
    request: UpdateActivityExecutionOptionsRequest,
) -> Answer {
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
    if workflow_id.is_empty() {
        return Err(Status::unimplemented("activities outside of workflows are not served"));
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
