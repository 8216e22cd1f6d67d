//! Starting workflows: what the request leaves open is settled here, then the workflow decides.

use everlog_engine::{
    key::WorkflowKey,
    reply::{Reply, Started},
    request::Request,
};
use everlog_proto::api::{
    common::v1::{Link, link},
    enums::v1::{EventType, WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse},
    workflowservice::v1::{
        SignalWithStartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionResponse,
        StartWorkflowExecutionRequest, StartWorkflowExecutionResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    callbacks, events, search_attributes, validate, versioning, workflow,
};
use crate::route::{Repeat, to_home};

pub(super) async fn start(mut scope: Scope, mut request: StartWorkflowExecutionRequest) -> Answer {
    prepare_start(&scope, &mut request)?;
    if request.request_id.is_empty() {
        // Named before anybody else sees it, so that this node may repeat it.
        request.request_id = Uuid::new_v4().to_string();
        scope.call.rewrite(&request);
    }
    let key = WorkflowKey::new(scope.namespace_id(), &request.workflow_id);
    let (scope, request, key) = (&scope, &request, &key);
    to_home(&scope.call, scope.namespace_id(), &request.workflow_id, Repeat::Safe, |shard| async move {
        let reply = workflow::ask(scope, shard, key, Request::Start(Box::new(request.clone()))).await?;
        let Reply::Started(started) = reply else { return Err(workflow::unexpected("start").into()) };
        let eager = match &started.eager_task {
            Some(task) => Some(events::workflow_task(&scope.call.shared, task).await?),
            None => None,
        };
        let response = StartWorkflowExecutionResponse {
            link: Some(start_link(scope, &request.workflow_id, &started)),
            status: started.status as i32,
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.started,
            eager_workflow_task: None,
        };
        const EAGER_WORKFLOW_TASK: u32 = 2;
        Ok(events::with_message(&response, EAGER_WORKFLOW_TASK, eager.as_deref()))
    })
    .await
}

pub(super) async fn signal_with_start(
    mut scope: Scope,
    mut request: SignalWithStartWorkflowExecutionRequest,
) -> Answer {
    prepare_signal_with_start(&scope, &mut request)?;
    if request.request_id.is_empty() {
        request.request_id = Uuid::new_v4().to_string();
        scope.call.rewrite(&request);
    }
    let key = WorkflowKey::new(scope.namespace_id(), &request.workflow_id);
    let (scope, request, key) = (&scope, &request, &key);
    to_home(&scope.call, scope.namespace_id(), &request.workflow_id, Repeat::Safe, |shard| async move {
        let asked = Request::SignalWithStart(Box::new(request.clone()));
        let reply = workflow::ask(scope, shard, key, asked).await?;
        let Reply::Started(started) = reply else {
            return Err(workflow::unexpected("signal with start").into());
        };
        let link = request_link(
            scope,
            &request.workflow_id,
            &started.run_id,
            &request.request_id,
            EventType::WorkflowExecutionSignaled,
        );
        Ok(encode(&SignalWithStartWorkflowExecutionResponse {
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.started,
            signal_link: Some(link),
        }))
    })
    .await
}

/// The order of the checks is part of the contract: the first fault is the one that is reported.
pub(super) fn prepare_start(
    scope: &Scope,
    request: &mut StartWorkflowExecutionRequest,
) -> Result<(), Status> {
    let limits = &scope.limits;
    let api = scope.call.shared.api(&scope.namespace.name);
    validate::new_workflow_id(&request.workflow_id, limits)?;
    validate::retry_policy(&mut request.retry_policy, limits)?;
    validate::start_delay(&request.cron_schedule, &mut request.workflow_start_delay)?;
    validate::cron(&request.cron_schedule)?;
    validate::workflow_type(request.workflow_type.as_ref(), limits)?;
    validate::start_queue(&mut request.task_queue, limits)?;
    validate::timeout(&mut request.workflow_execution_timeout, "WorkflowExecutionTimeoutSeconds")?;
    validate::timeout(&mut request.workflow_run_timeout, "WorkflowRunTimeoutSeconds")?;
    validate::timeout(&mut request.workflow_task_timeout, "WorkflowTaskTimeoutSeconds")?;
    validate::request_id(&request.request_id, limits)?;
    validate::policies(request.workflow_id_reuse_policy(), request.workflow_id_conflict_policy())?;
    let (reuse, conflict) = default_policies(
        request.workflow_id_reuse_policy,
        request.workflow_id_conflict_policy,
        Conflict::Fail,
    );
    request.workflow_id_reuse_policy = reuse;
    request.workflow_id_conflict_policy = conflict;
    if let Some(options) = &request.on_conflict_options
        && options.attach_completion_callbacks
        && !options.attach_request_id
    {
        return Err(Status::invalid_argument(
            "attaching request ID is required for attaching completion callbacks",
        ));
    }
    search_attributes::check_new(scope, &mut request.search_attributes)?;
    validate::priority(request.priority.as_ref())?;
    callbacks::check(&mut request.completion_callbacks, limits)?;
    validate::links(&request.links, api)?;
    // What a callback tells of is not told twice.
    let told = request.completion_callbacks.iter().flat_map(|callback| &callback.links);
    let told: Vec<_> = told.cloned().collect();
    request.links.retain(|link| !told.contains(link));
    validate::blob(request.input.as_ref(), limits)?;
    validate::memo(&mut request.memo, limits)?;
    let queue = request.task_queue.as_ref().map_or("", |queue| &queue.name);
    versioning::check_override(scope, request.versioning_override.as_ref(), queue)
}

fn prepare_signal_with_start(
    scope: &Scope,
    request: &mut SignalWithStartWorkflowExecutionRequest,
) -> Result<(), Status> {
    let limits = &scope.limits;
    let api = scope.call.shared.api(&scope.namespace.name);
    validate::new_workflow_id(&request.workflow_id, limits)?;
    if request.signal_name.is_empty() {
        return Err(Status::invalid_argument("signal not set"));
    }
    validate::allowed_length("signal name", &request.signal_name, limits)?;
    let kind = request.workflow_type.as_ref().map_or("", |kind| &kind.name);
    if kind.is_empty() {
        return Err(Status::invalid_argument("workflow type not set"));
    }
    validate::allowed_length("workflow type name", kind, limits)?;
    validate::start_queue(&mut request.task_queue, limits)?;
    validate::allowed_length("Request ID", &request.request_id, limits)?;
    validate::timeout(&mut request.workflow_execution_timeout, "WorkflowExecutionTimeoutSeconds")?;
    validate::timeout(&mut request.workflow_run_timeout, "WorkflowRunTimeoutSeconds")?;
    validate::timeout(&mut request.workflow_task_timeout, "WorkflowTaskTimeoutSeconds")?;
    validate::retry_policy(&mut request.retry_policy, limits)?;
    validate::start_delay(&request.cron_schedule, &mut request.workflow_start_delay)?;
    validate::policies(request.workflow_id_reuse_policy(), request.workflow_id_conflict_policy())?;
    if request.workflow_id_conflict_policy() == Conflict::Fail {
        return Err(Status::invalid_argument(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this \
             operation.",
        ));
    }
    let (reuse, conflict) = default_policies(
        request.workflow_id_reuse_policy,
        request.workflow_id_conflict_policy,
        Conflict::UseExisting,
    );
    request.workflow_id_reuse_policy = reuse;
    request.workflow_id_conflict_policy = conflict;
    validate::cron(&request.cron_schedule)?;
    search_attributes::check_new(scope, &mut request.search_attributes)?;
    validate::priority(request.priority.as_ref())?;
    validate::links(&request.links, api)?;
    validate::blob(request.signal_input.as_ref(), limits)?;
    validate::blob(request.input.as_ref(), limits)?;
    validate::memo(&mut request.memo, limits)?;
    let queue = request.task_queue.as_ref().map_or("", |queue| &queue.name);
    versioning::check_override(scope, request.versioning_override.as_ref(), queue)
}

/// The deprecated reuse policy brings its own conflict policy, so that one stays open then.
#[allow(deprecated)]
fn default_policies(reuse: i32, conflict: i32, default: Conflict) -> (i32, i32) {
    let reuse = if reuse == Reuse::Unspecified as i32 { Reuse::AllowDuplicate as i32 } else { reuse };
    let open = conflict == Conflict::Unspecified as i32 && reuse != Reuse::TerminateIfRunning as i32;
    (reuse, if open { default as i32 } else { conflict })
}

/// Points to the event that a start wrote, or to the request that was attached to another's run.
pub(super) fn start_link(scope: &Scope, workflow_id: &str, started: &Started) -> Link {
    match &started.attached_request_id {
        Some(request_id) => request_link(
            scope,
            workflow_id,
            &started.run_id,
            request_id,
            EventType::WorkflowExecutionOptionsUpdated,
        ),
        None => event_link(
            scope,
            workflow_id,
            &started.run_id,
            link::workflow_event::Reference::EventRef(link::workflow_event::EventReference {
                event_id: 1,
                event_type: EventType::WorkflowExecutionStarted as i32,
            }),
        ),
    }
}

/// Points to whatever event a request led to.
pub(super) fn request_link(
    scope: &Scope,
    workflow_id: &str,
    run_id: &str,
    request_id: &str,
    event_type: EventType,
) -> Link {
    let reference = link::workflow_event::RequestIdReference {
        request_id: request_id.to_owned(),
        event_type: event_type as i32,
    };
    event_link(scope, workflow_id, run_id, link::workflow_event::Reference::RequestIdRef(reference))
}

fn event_link(
    scope: &Scope,
    workflow_id: &str,
    run_id: &str,
    reference: link::workflow_event::Reference,
) -> Link {
    Link {
        variant: Some(link::Variant::WorkflowEvent(link::WorkflowEvent {
            namespace: scope.namespace.name.clone(),
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
            reference: Some(reference),
        })),
    }
}
