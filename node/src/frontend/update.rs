//! Updates: asked for by clients, accepted and completed by workers, and waited for.
//!
//! A call waits until the update has got as far as its caller wants to know, at most for the time of a long
//! poll; then it is answered with how far it got, and the caller asks again.

use std::time::Duration;

use everlog_engine::{
    key::{RunKey, WorkflowKey},
    reject::Reject,
    reply::{Reply, UpdateOutcome, UpdateReply},
    request::Request,
};
use everlog_proto::api::{
    common::v1::{Link, WorkflowExecution, link},
    enums::v1::{EventType, UpdateWorkflowExecutionLifecycleStage as Stage},
    failure::v1::Failure as ApiFailure,
    history::v1::{History, history_event::Attributes},
    update::v1::{Outcome, UpdateRef, outcome},
    workflowservice::v1::{
        PollWorkflowExecutionUpdateRequest, PollWorkflowExecutionUpdateResponse,
        UpdateWorkflowExecutionRequest, UpdateWorkflowExecutionResponse,
    },
};
use prost::Message;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::{
    backend::{CallError, Order},
    call::{Answer, Scope, encode},
    events::read_page,
    history::ANSWERED_BEFORE,
    start::request_link,
    status, validate,
    workflow::unexpected,
};
use crate::route::{Failure, Repeat, to_home};

/// Where an update that came to nothing points to: there is no event of it.
const REJECTED: &str = "Update rejected";

pub(super) async fn update(mut scope: Scope, mut request: UpdateWorkflowExecutionRequest) -> Answer {
    prepare(&scope, &mut request)?;
    // Named before anybody else sees it, so that this node may repeat it.
    scope.call.rewrite(&request);
    let execution = request.workflow_execution.clone().unwrap_or_default();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let (scope, request, key) = (&scope, &request, &key);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        let patience = Patience::of(scope);
        let asked = Request::Update { request: Box::new(request.clone()), timeout_ms: patience.timeout_ms() };
        let reply = patience.ask(scope, shard, key, asked, stage_of(request)).await?;
        Ok(encode(&response(scope, key, request, reply).await?))
    })
    .await
}

pub(super) async fn poll(scope: Scope, request: PollWorkflowExecutionUpdateRequest) -> Answer {
    let Some(reference) = &request.update_ref else {
        return Err(Status::invalid_argument("UpdateRef is not set on request."));
    };
    let execution = reference.workflow_execution.clone().unwrap_or_default();
    validate::loaded(&execution.workflow_id, &execution.run_id)?;
    let stage = request.wait_policy.as_ref().map_or(Stage::Unspecified, |policy| policy.lifecycle_stage());
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let (scope, key, run_id, update_id) = (&scope, &key, &execution.run_id, &reference.update_id);
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        let patience = Patience::of(scope);
        let asked = Request::PollUpdate {
            run_id: run_id.clone(),
            update_id: update_id.clone(),
            stage,
            timeout_ms: patience.timeout_ms(),
        };
        let reply = patience.ask(scope, shard, key, asked, stage).await?;
        let outcome = outcome(scope, key, &reply).await?;
        Ok(encode(&PollWorkflowExecutionUpdateResponse {
            outcome,
            stage: reply.stage as i32,
            update_ref: Some(reference_to(key, &reply.run_id, update_id)),
        }))
    })
    .await
}

/// The order of the checks is part of the contract. What the request leaves open is filled in.
pub(super) fn prepare(scope: &Scope, request: &mut UpdateWorkflowExecutionRequest) -> Result<(), Status> {
    let invalid = |message: &str| Err(Status::invalid_argument(message));
    validate::execution(request.workflow_execution.as_ref())?;
    let Some(body) = &mut request.request else { return invalid("Update meta is not set on request.") };
    let Some(meta) = &mut body.meta else { return invalid("Update meta is not set on request.") };
    if meta.update_id.len() > scope.limits.id_bytes_max {
        return invalid("UpdateId length exceeds limit.");
    }
    if meta.update_id.is_empty() {
        meta.update_id = Uuid::new_v4().to_string();
    }
    match &body.input {
        None => return invalid("Update input is not set on request."),
        Some(input) if input.name.is_empty() => return invalid("Update name is not set on request."),
        Some(_) => {}
    }
    validate::request_id(&body.request_id, &scope.limits)?;
    validate::links(&body.links, scope.call.shared.api(&scope.namespace.name))?;
    let policy = request.wait_policy.get_or_insert_default();
    match policy.lifecycle_stage() {
        Stage::Admitted => Err(status::permission_denied(
            "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.",
        )),
        Stage::Unspecified if policy.lifecycle_stage == Stage::Unspecified as i32 => {
            policy.lifecycle_stage = Stage::Completed as i32;
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn stage_of(request: &UpdateWorkflowExecutionRequest) -> Stage {
    request.wait_policy.as_ref().map_or(Stage::Unspecified, |policy| policy.lifecycle_stage())
}

/// How long a call waits for an update.
pub(super) struct Patience {
    timeout: Duration,
    /// The caller gives up before the server would.
    is_callers: bool,
}

impl Patience {
    pub(super) fn of(scope: &Scope) -> Patience {
        let longest = scope.call.shared.api(&scope.namespace.name).history_poll_timeout;
        match scope.call.remaining().filter(|remaining| *remaining < longest) {
            Some(remaining) => Patience { timeout: remaining, is_callers: true },
            None => Patience { timeout: longest, is_callers: false },
        }
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks and waits until the update has reached the stage. A caller who gives up gets nothing less.
    pub(super) async fn ask(
        &self,
        scope: &Scope,
        shard: u64,
        key: &WorkflowKey,
        request: Request,
        stage: Stage,
    ) -> Result<Box<UpdateReply>, CallError> {
        let deadline = Instant::now() + self.timeout + ANSWERED_BEFORE;
        match scope.call.shared.backend.call(shard, key.clone(), request, deadline).await? {
            Reply::Update(reply) if reply.stage < stage && self.is_callers => {
                Err(Reject::DeadlineExceeded("context deadline exceeded".into()).into())
            }
            Reply::Update(reply) => Ok(reply),
            _ => Err(unexpected("update").into()),
        }
    }
}

/// What the caller of an update is told.
pub(super) async fn response(
    scope: &Scope,
    key: &WorkflowKey,
    request: &UpdateWorkflowExecutionRequest,
    reply: Box<UpdateReply>,
) -> Result<UpdateWorkflowExecutionResponse, Failure> {
    let outcome = outcome(scope, key, &reply).await?;
    let body = request.request.as_ref();
    let update_id = body.and_then(|body| body.meta.as_ref()).map_or("", |meta| &meta.update_id);
    let request_id = body.map_or("", |body| &body.request_id);
    let link = (reply.is_linked && reply.stage > Stage::Admitted)
        .then(|| link(scope, key, &reply.run_id, request_id, outcome.as_ref()));
    Ok(UpdateWorkflowExecutionResponse {
        update_ref: Some(reference_to(key, &reply.run_id, update_id)),
        outcome,
        stage: reply.stage as i32,
        link,
    })
}

/// Points to the event that says that the update was accepted. One that failed points to the workflow alone, as
/// if it had been rejected.
fn link(scope: &Scope, key: &WorkflowKey, run_id: &str, request_id: &str, outcome: Option<&Outcome>) -> Link {
    let failed = match outcome.and_then(|outcome| outcome.value.as_ref()) {
        Some(outcome::Value::Failure(failure)) => *failure != ApiFailure::default(),
        _ => false,
    };
    if !failed {
        let accepted = EventType::WorkflowExecutionUpdateAccepted;
        return request_link(scope, &key.workflow_id, run_id, request_id, accepted);
    }
    Link {
        variant: Some(link::Variant::Workflow(link::Workflow {
            namespace: scope.namespace.name.clone(),
            workflow_id: key.workflow_id.to_string(),
            run_id: run_id.to_owned(),
            reason: REJECTED.to_owned(),
        })),
    }
}

fn reference_to(key: &WorkflowKey, run_id: &str, update_id: &str) -> UpdateRef {
    UpdateRef {
        workflow_execution: Some(WorkflowExecution {
            workflow_id: key.workflow_id.to_string(),
            run_id: run_id.to_owned(),
        }),
        update_id: update_id.to_owned(),
    }
}

/// The outcome of an update that has one: told with the answer, or to be read in the history.
async fn outcome(scope: &Scope, key: &WorkflowKey, reply: &UpdateReply) -> Result<Option<Outcome>, Failure> {
    match &reply.outcome {
        None => Ok(None),
        Some(UpdateOutcome::Value(outcome)) => Ok(Some((**outcome).clone())),
        Some(UpdateOutcome::Event(id)) => written(scope, &key.run(&reply.run_id), *id).await.map(Some),
    }
}

async fn written(scope: &Scope, run: &RunKey, event_id: i64) -> Result<Outcome, Failure> {
    let page = read_page(&scope.call.shared, run, event_id, event_id, Order::Forward, 1).await?;
    let history = History::decode(page.history.as_slice()).unwrap_or_default();
    match history.events.into_iter().next().and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
            Ok(a.outcome.unwrap_or_default())
        }
        _ => Err(Reject::Internal(format!("event {event_id} has no outcome of an update")).into()),
    }
}
