//! What workers, and others who know an activity's id, say about its attempts.
//!
//! By a token the worker means the attempt that it holds; by an id whoever calls means the attempt that
//! runs now, whichever it is. What is too large to keep is the activity's own verdict: the engine turns it
//! into a failure.

use everlog_engine::{
    codec::Proto,
    decide::activity::oversize,
    key::WorkflowKey,
    reply::Reply,
    request::{ActivityRef, Request},
    token::TokenTask,
};
use everlog_proto::api::{
    common::v1::Payloads,
    workflowservice::v1::{
        RecordActivityTaskHeartbeatByIdRequest, RecordActivityTaskHeartbeatByIdResponse,
        RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse,
        RespondActivityTaskCanceledByIdRequest, RespondActivityTaskCanceledByIdResponse,
        RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse,
        RespondActivityTaskCompletedByIdRequest, RespondActivityTaskCompletedByIdResponse,
        RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse,
        RespondActivityTaskFailedByIdRequest, RespondActivityTaskFailedByIdResponse,
        RespondActivityTaskFailedRequest, RespondActivityTaskFailedResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    status, validate,
    workflow::{ask, unexpected},
};
use crate::route::{Repeat, to_home};

/// An attempt, and the workflow that it belongs to.
struct Target {
    key: WorkflowKey,
    of: ActivityRef,
}

pub(super) async fn heartbeat(scope: Scope, request: RecordActivityTaskHeartbeatRequest) -> Answer {
    let target = by_token(&scope)?;
    beat(&scope, target, request.details, request.identity, |heard| encode(&heard)).await
}

pub(super) async fn heartbeat_by_id(scope: Scope, request: RecordActivityTaskHeartbeatByIdRequest) -> Answer {
    let target = by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, None)?;
    beat(&scope, target, request.details, request.identity, |heard| {
        encode(&RecordActivityTaskHeartbeatByIdResponse {
            cancel_requested: heard.cancel_requested,
            activity_paused: heard.activity_paused,
            activity_reset: heard.activity_reset,
        })
    })
    .await
}

async fn beat(
    scope: &Scope,
    target: Target,
    details: Option<Payloads>,
    identity: String,
    answer: impl Fn(RecordActivityTaskHeartbeatResponse) -> bytes::Bytes + Sync,
) -> Answer {
    let details = details.map(|details| Box::new(Proto(details)));
    let Target { key, of } = &target;
    let (details, identity, answer) = (&details, &identity, &answer);
    to_home(&scope.call, scope.namespace_id(), &key.workflow_id, Repeat::Unsafe, |shard| async move {
        let beat = Request::HeartbeatActivity {
            of: of.clone(),
            details: details.clone(),
            identity: identity.clone(),
        };
        match ask(scope, shard, key, beat).await? {
            Reply::Heartbeat { cancel_requested, paused, reset } => {
                Ok(answer(RecordActivityTaskHeartbeatResponse {
                    cancel_requested,
                    activity_paused: paused,
                    activity_reset: reset,
                }))
            }
            _ => Err(unexpected("heartbeat").into()),
        }
    })
    .await
}

pub(super) async fn completed(scope: Scope, request: RespondActivityTaskCompletedRequest) -> Answer {
    let Target { key, of } = by_token(&scope)?;
    validate::identity(&request.identity, &scope.limits)?;
    let completion = Request::CompleteActivity { of, request: Box::new(request) };
    settle(&scope, key, completion, encode(&RespondActivityTaskCompletedResponse {})).await
}

pub(super) async fn completed_by_id(
    scope: Scope,
    request: RespondActivityTaskCompletedByIdRequest,
) -> Answer {
    let identity = Some(request.identity.as_str());
    let Target { key, of } =
        by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskCompletedRequest {
        result: request.result,
        identity: request.identity,
        ..Default::default()
    };
    let completion = Request::CompleteActivity { of, request: Box::new(request) };
    settle(&scope, key, completion, encode(&RespondActivityTaskCompletedByIdResponse {})).await
}

pub(super) async fn failed(scope: Scope, request: RespondActivityTaskFailedRequest) -> Answer {
    let Target { key, of } = by_token(&scope)?;
    let no_application_failure = request.failure.as_ref().is_some_and(|failure| {
        use everlog_proto::api::failure::v1::failure::FailureInfo;
        !matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_)))
    });
    if no_application_failure {
        return Err(Status::invalid_argument("Failure must have ApplicationFailureInfo."));
    }
    validate::identity(&request.identity, &scope.limits)?;
    let failures = oversize(&request, &scope.limits);
    let failed = Request::FailActivity { of, request: Box::new(request) };
    settle(&scope, key, failed, encode(&RespondActivityTaskFailedResponse { failures })).await
}

pub(super) async fn failed_by_id(scope: Scope, request: RespondActivityTaskFailedByIdRequest) -> Answer {
    let identity = Some(request.identity.as_str());
    let Target { key, of } =
        by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskFailedRequest {
        failure: request.failure,
        identity: request.identity,
        last_heartbeat_details: request.last_heartbeat_details,
        ..Default::default()
    };
    let failures = oversize(&request, &scope.limits);
    let failed = Request::FailActivity { of, request: Box::new(request) };
    settle(&scope, key, failed, encode(&RespondActivityTaskFailedByIdResponse { failures })).await
}

pub(super) async fn canceled(scope: Scope, request: RespondActivityTaskCanceledRequest) -> Answer {
    let Target { key, of } = by_token(&scope)?;
    validate::identity(&request.identity, &scope.limits)?;
    let canceled = Request::CancelActivity { of, request: Box::new(request) };
    settle(&scope, key, canceled, encode(&RespondActivityTaskCanceledResponse {})).await
}

pub(super) async fn canceled_by_id(scope: Scope, request: RespondActivityTaskCanceledByIdRequest) -> Answer {
    let identity = Some(request.identity.as_str());
    let Target { key, of } =
        by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskCanceledRequest {
        details: request.details,
        identity: request.identity,
        ..Default::default()
    };
    let canceled = Request::CancelActivity { of, request: Box::new(request) };
    settle(&scope, key, canceled, encode(&RespondActivityTaskCanceledByIdResponse {})).await
}

/// Ends an attempt. A second try of the same finds it ended, and says so.
async fn settle(scope: &Scope, key: WorkflowKey, request: Request, answer: bytes::Bytes) -> Answer {
    let (key, request, answer) = (&key, &request, &answer);
    to_home(&scope.call, scope.namespace_id(), &key.workflow_id, Repeat::Unsafe, |shard| async move {
        ask(scope, shard, key, request.clone()).await?;
        Ok(answer.clone())
    })
    .await
}

fn by_token(scope: &Scope) -> Result<Target, Status> {
    match &scope.token {
        Some(token) if matches!(token.task, TokenTask::Activity { .. }) => {
            Ok(Target { key: token.workflow().clone(), of: ActivityRef::Token(token.clone()) })
        }
        _ => Err(status::not_found(
            "invalid activityID or activity already timed out or invoking workflow is completed",
        )),
    }
}

fn by_id(
    scope: &Scope,
    workflow_id: &str,
    run_id: &str,
    activity_id: &str,
    identity: Option<&str>,
) -> Result<Target, Status> {
    if activity_id.is_empty() {
        return Err(Status::invalid_argument("ActivityId is not set on request."));
    }
    if let Some(identity) = identity {
        validate::identity(identity, &scope.limits)?;
    }
    if workflow_id.is_empty() {
        // It would name an activity that runs on its own, outside of any workflow.
        return Err(status::not_found(format!("activity not found for ID: {activity_id}")));
    }
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("RunId is not valid UUID."));
    }
    Ok(Target {
        key: WorkflowKey::new(scope.namespace_id(), workflow_id),
        of: ActivityRef::Id { run_id: run_id.to_owned(), activity_id: activity_id.to_owned() },
    })
}
