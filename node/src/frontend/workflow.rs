//! What clients do to a workflow that exists: signal, cancel, terminate, delete, reset its stickiness.

use std::time::Duration;

use everlog_engine::{key::WorkflowKey, reject::Reject, reply::Reply, request::Request};
use everlog_proto::api::{
    enums::v1::EventType,
    workflowservice::v1::{
        DeleteWorkflowExecutionRequest, DeleteWorkflowExecutionResponse,
        RequestCancelWorkflowExecutionRequest, RequestCancelWorkflowExecutionResponse,
        ResetStickyTaskQueueRequest, ResetStickyTaskQueueResponse, SignalWorkflowExecutionRequest,
        SignalWorkflowExecutionResponse, TerminateWorkflowExecutionRequest,
        TerminateWorkflowExecutionResponse,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    start::request_link,
    validate,
};
use crate::route::{Failure, ROUTE_TIMEOUT, Repeat, to_home};

/// Who terminates, and why, if the caller does not say.
const TERMINATE_IDENTITY: &str = "frontend-service";
const TERMINATE_REASON: &str = "terminated by user via frontend";

pub(super) async fn signal(scope: Scope, request: SignalWorkflowExecutionRequest) -> Answer {
    let limits = &scope.limits;
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    if request.signal_name.is_empty() {
        return Err(Status::invalid_argument("SignalName is not set on request."));
    }
    if request.signal_name.len() > limits.id_bytes_max {
        return Err(Status::invalid_argument("SignalName length exceeds limit."));
    }
    validate::request_id(&request.request_id, limits)?;
    validate::links(&request.links, scope.call.shared.api(&scope.namespace.name))?;
    validate::blob(request.input.as_ref(), limits)?;
    // Without an id nobody can tell the second signal from the first.
    let repeat = if request.request_id.is_empty() { Repeat::Unsafe } else { Repeat::Safe };
    let request_id = request.request_id.clone();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let asked = Request::Signal(Box::new(request));
    let (scope, key, asked, request_id) = (&scope, &key, &asked, &request_id);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, repeat, |shard| async move {
        let reply = ask(scope, shard, key, asked.clone()).await?;
        let Reply::Signaled { run_id } = reply else { return Err(unexpected("signal").into()) };
        let signaled = EventType::WorkflowExecutionSignaled;
        let link = request_link(scope, &key.workflow_id, &run_id, request_id, signaled);
        Ok(encode(&SignalWorkflowExecutionResponse { link: Some(link) }))
    })
    .await
}

pub(super) async fn cancel(scope: Scope, request: RequestCancelWorkflowExecutionRequest) -> Answer {
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    validate::links(&request.links, scope.call.shared.api(&scope.namespace.name))?;
    // A second cancel request is answered like the first.
    tell(&scope, &execution.workflow_id, Repeat::Safe, Request::Cancel(Box::new(request))).await?;
    Ok(encode(&RequestCancelWorkflowExecutionResponse {}))
}

pub(super) async fn terminate(scope: Scope, mut request: TerminateWorkflowExecutionRequest) -> Answer {
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    validate::links(&request.links, scope.call.shared.api(&scope.namespace.name))?;
    if request.reason.is_empty() {
        request.reason = TERMINATE_REASON.to_owned();
    }
    if request.identity.is_empty() {
        request.identity = TERMINATE_IDENTITY.to_owned();
    }
    tell(&scope, &execution.workflow_id, Repeat::Unsafe, Request::Terminate(Box::new(request))).await?;
    Ok(encode(&TerminateWorkflowExecutionResponse {}))
}

pub(super) async fn delete(scope: Scope, request: DeleteWorkflowExecutionRequest) -> Answer {
    let execution = validate::execution(request.workflow_execution.as_ref())?.clone();
    let deletion = Request::Delete { run_id: execution.run_id };
    tell(&scope, &execution.workflow_id, Repeat::Unsafe, deletion).await?;
    Ok(encode(&DeleteWorkflowExecutionResponse {}))
}

pub(super) async fn reset_sticky(scope: Scope, request: ResetStickyTaskQueueRequest) -> Answer {
    let execution = validate::execution(request.execution.as_ref())?.clone();
    let reset = Request::ResetSticky { run_id: execution.run_id };
    tell(&scope, &execution.workflow_id, Repeat::Safe, reset).await?;
    Ok(encode(&ResetStickyTaskQueueResponse {}))
}

/// Asks a workflow for something that it answers with nothing but yes or no. Where the call was
/// forwarded, the other node's answer is dropped, because it says the same.
pub(super) async fn tell(
    scope: &Scope,
    workflow_id: &str,
    repeat: Repeat,
    request: Request,
) -> Result<(), Status> {
    let (key, request) = (&WorkflowKey::new(scope.namespace_id(), workflow_id), &request);
    to_home(&scope.call, scope.namespace_id(), workflow_id, repeat, |shard| async move {
        ask(scope, shard, key, request.clone()).await.map(|_| bytes::Bytes::new())
    })
    .await?;
    Ok(())
}

/// One question to a workflow of a shard that this node leads.
pub(super) async fn ask(
    scope: &Scope,
    shard: u64,
    key: &WorkflowKey,
    request: Request,
) -> Result<Reply, Failure> {
    ask_within(scope, shard, key, request, ROUTE_TIMEOUT).await
}

/// The same for a question that waits for something to happen.
pub(super) async fn ask_within(
    scope: &Scope,
    shard: u64,
    key: &WorkflowKey,
    request: Request,
    default: Duration,
) -> Result<Reply, Failure> {
    let deadline = scope.call.deadline_or(default);
    match scope.call.shared.backend.call(shard, key.clone(), request, deadline).await? {
        Reply::Refused(reject) => Err(reject.into()),
        reply => Ok(reply),
    }
}

/// A workflow answered another question than the one it was asked.
pub(super) fn unexpected(asked: &str) -> Reject {
    Reject::Internal(format!("unexpected answer to a {asked} request"))
}
