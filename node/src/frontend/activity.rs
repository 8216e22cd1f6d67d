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
    standalone::{
        Kind, StandaloneKey,
        request::{AttemptRef, StandaloneRequest},
    },
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
    standalone, status, validate,
    workflow::{ask, unexpected},
};
use crate::route::{Failure, Repeat, to_home};

/// An attempt, and what it belongs to.
enum Target {
    Workflow {
        key: WorkflowKey,
        of: ActivityRef,
    },
    /// An activity that runs on its own.
    Standalone {
        key: StandaloneKey,
        of: AttemptRef,
    },
}

/// What is said about an attempt.
#[derive(Clone)]
enum Said {
    Completed(Box<RespondActivityTaskCompletedRequest>),
    Failed(Box<RespondActivityTaskFailedRequest>),
    Canceled(Box<RespondActivityTaskCanceledRequest>),
    Heartbeat { details: Option<Box<Proto<Payloads>>>, identity: String },
}

impl Target {
    fn id(&self) -> &str {
        match self {
            Target::Workflow { key, .. } => &key.workflow_id,
            Target::Standalone { key, .. } => key.id(),
        }
    }

    /// Tells it to whoever this node leads.
    async fn tell(&self, scope: &Scope, shard: u64, said: Said) -> Result<Reply, Failure> {
        match self {
            Target::Workflow { key, of } => ask(scope, shard, key, said.for_workflow(of.clone())).await,
            Target::Standalone { key, of } => {
                standalone::ask(scope, shard, key, said.for_standalone(of.clone())).await
            }
        }
    }
}

impl Said {
    fn for_workflow(self, of: ActivityRef) -> Request {
        match self {
            Said::Completed(request) => Request::CompleteActivity { of, request },
            Said::Failed(request) => Request::FailActivity { of, request },
            Said::Canceled(request) => Request::CancelActivity { of, request },
            Said::Heartbeat { details, identity } => Request::HeartbeatActivity { of, details, identity },
        }
    }

    fn for_standalone(self, of: AttemptRef) -> StandaloneRequest {
        match self {
            Said::Completed(request) => StandaloneRequest::CompleteActivity { of, request },
            Said::Failed(request) => StandaloneRequest::FailActivity { of, request },
            Said::Canceled(request) => StandaloneRequest::CancelActivity { of, request },
            Said::Heartbeat { details, identity } => {
                StandaloneRequest::HeartbeatActivity { of, details, identity }
            }
        }
    }
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
    let beat = Said::Heartbeat { details: details.map(|details| Box::new(Proto(details))), identity };
    let (target, beat, answer) = (&target, &beat, &answer);
    to_home(&scope.call, scope.namespace_id(), target.id(), Repeat::Unsafe, |shard| async move {
        match target.tell(scope, shard, beat.clone()).await? {
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
    let target = by_token(&scope)?;
    validate::identity(&request.identity, &scope.limits)?;
    let completion = Said::Completed(Box::new(request));
    settle(&scope, target, completion, encode(&RespondActivityTaskCompletedResponse {})).await
}

pub(super) async fn completed_by_id(
    scope: Scope,
    request: RespondActivityTaskCompletedByIdRequest,
) -> Answer {
    let identity = Some(request.identity.as_str());
    let target = by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskCompletedRequest {
        result: request.result,
        identity: request.identity,
        ..Default::default()
    };
    let completion = Said::Completed(Box::new(request));
    settle(&scope, target, completion, encode(&RespondActivityTaskCompletedByIdResponse {})).await
}

pub(super) async fn failed(scope: Scope, request: RespondActivityTaskFailedRequest) -> Answer {
    let target = by_token(&scope)?;
    let no_application_failure = request.failure.as_ref().is_some_and(|failure| {
        use everlog_proto::api::failure::v1::failure::FailureInfo;
        !matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_)))
    });
    if no_application_failure {
        return Err(Status::invalid_argument("Failure must have ApplicationFailureInfo."));
    }
    validate::identity(&request.identity, &scope.limits)?;
    let failures = oversize(&request, &scope.limits);
    let failed = Said::Failed(Box::new(request));
    settle(&scope, target, failed, encode(&RespondActivityTaskFailedResponse { failures })).await
}

pub(super) async fn failed_by_id(scope: Scope, request: RespondActivityTaskFailedByIdRequest) -> Answer {
    let identity = Some(request.identity.as_str());
    let target = by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskFailedRequest {
        failure: request.failure,
        identity: request.identity,
        last_heartbeat_details: request.last_heartbeat_details,
        ..Default::default()
    };
    let failures = oversize(&request, &scope.limits);
    let failed = Said::Failed(Box::new(request));
    settle(&scope, target, failed, encode(&RespondActivityTaskFailedByIdResponse { failures })).await
}

pub(super) async fn canceled(scope: Scope, request: RespondActivityTaskCanceledRequest) -> Answer {
    let target = by_token(&scope)?;
    validate::identity(&request.identity, &scope.limits)?;
    let canceled = Said::Canceled(Box::new(request));
    settle(&scope, target, canceled, encode(&RespondActivityTaskCanceledResponse {})).await
}

pub(super) async fn canceled_by_id(scope: Scope, request: RespondActivityTaskCanceledByIdRequest) -> Answer {
    let identity = Some(request.identity.as_str());
    let target = by_id(&scope, &request.workflow_id, &request.run_id, &request.activity_id, identity)?;
    let request = RespondActivityTaskCanceledRequest {
        details: request.details,
        identity: request.identity,
        ..Default::default()
    };
    let canceled = Said::Canceled(Box::new(request));
    settle(&scope, target, canceled, encode(&RespondActivityTaskCanceledByIdResponse {})).await
}

/// Ends an attempt. A second try of the same finds it ended, and says so.
async fn settle(scope: &Scope, target: Target, said: Said, answer: bytes::Bytes) -> Answer {
    let (target, said, answer) = (&target, &said, &answer);
    to_home(&scope.call, scope.namespace_id(), target.id(), Repeat::Unsafe, |shard| async move {
        target.tell(scope, shard, said.clone()).await?;
        Ok(answer.clone())
    })
    .await
}

fn by_token(scope: &Scope) -> Result<Target, Status> {
    match &scope.token {
        Some(token) if matches!(token.task, TokenTask::Activity { .. }) => {
            Ok(Target::Workflow { key: token.workflow().clone(), of: ActivityRef::Token(token.clone()) })
        }
        Some(token) if matches!(token.task, TokenTask::StandaloneActivity { .. }) => {
            let key = StandaloneKey { kind: Kind::Activity, named: token.workflow().clone() };
            Ok(Target::Standalone { key, of: AttemptRef::Token(token.clone()) })
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
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("RunId is not valid UUID."));
    }
    if workflow_id.is_empty() {
        let key = StandaloneKey::new(Kind::Activity, scope.namespace_id(), activity_id);
        return Ok(Target::Standalone { key, of: AttemptRef::Id { run_id: run_id.to_owned() } });
    }
    Ok(Target::Workflow {
        key: WorkflowKey::new(scope.namespace_id(), workflow_id),
        of: ActivityRef::Id { run_id: run_id.to_owned(), activity_id: activity_id.to_owned() },
    })
}
