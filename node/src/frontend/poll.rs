//! Workers wait for tasks.
//!
//! A poll goes to the queue's home and stays there until a task comes or time is up. It is answered empty
//! a moment before the caller gives up, because an answer that crosses with the end of the call would
//! take a task away that nobody got.

use std::time::Duration;

use everlog_proto::api::{
    enums::v1::TaskQueueKind,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, PollNexusTaskQueueRequest,
        PollNexusTaskQueueResponse, PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse,
    },
};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::{
    backend::Poll,
    call::{Answer, Scope, encode},
    events,
    history::ANSWERED_BEFORE,
    validate,
    workflow_task::worker_version,
};
use crate::route::{Repeat, to_home};

/// A caller who waits less would be answered before a task could come.
const TIMEOUT_MIN: Duration = Duration::from_secs(2);

pub(super) async fn workflow_task(scope: Scope, mut request: PollWorkflowTaskQueueRequest) -> Answer {
    check_timeout(&scope)?;
    validate::identity(&request.identity, &scope.limits)?;
    #[allow(deprecated)]
    let stamp = request.worker_version_capabilities.as_ref().map(version_stamp);
    worker_version(&scope, stamp.as_ref(), request.deployment_options.as_ref(), request.task_queue.as_ref())?;
    let queue = validate::task_queue(&mut request.task_queue, &scope.limits)?;
    let build_id = stamp.map(|stamp| stamp.build_id).unwrap_or_default();
    let deployment = request.deployment_options.clone();
    let poll =
        Poll { build_id, deployment, ..poll(&scope, queue, &request.identity, &request.worker_instance_key) };
    let (scope, poll) = (&scope, &poll);
    // Naming the poll is all that makes a second try safe: a task is given twice to one name only.
    to_home(&scope.call, scope.namespace_id(), &poll.queue, Repeat::Safe, |_| async move {
        match scope.call.shared.backend.poll_workflow_task(poll.clone()).await? {
            Some(task) => events::workflow_task(&scope.call.shared, &task).await,
            None => Ok(encode(&PollWorkflowTaskQueueResponse::default())),
        }
    })
    .await
}

pub(super) async fn activity_task(scope: Scope, mut request: PollActivityTaskQueueRequest) -> Answer {
    check_timeout(&scope)?;
    let queue = validate::task_queue(&mut request.task_queue, &scope.limits)?.clone();
    validate::identity(&request.identity, &scope.limits)?;
    #[allow(deprecated)]
    let stamp = request.worker_version_capabilities.as_ref().map(version_stamp);
    worker_version(&scope, stamp.as_ref(), request.deployment_options.as_ref(), Some(&queue))?;
    let tasks_per_second = request.task_queue_metadata.as_ref().and_then(|m| m.max_tasks_per_second);
    let poll = Poll {
        build_id: stamp.map(|stamp| stamp.build_id).unwrap_or_default(),
        deployment: request.deployment_options.clone(),
        tasks_per_second_max: tasks_per_second,
        ..poll(&scope, &queue, &request.identity, &request.worker_instance_key)
    };
    let (scope, poll) = (&scope, &poll);
    to_home(&scope.call, scope.namespace_id(), &poll.queue, Repeat::Safe, |_| async move {
        let task = scope.call.shared.backend.poll_activity_task(poll.clone()).await?;
        let Some(mut task) = task else { return Ok(encode(&PollActivityTaskQueueResponse::default())) };
        task.workflow_namespace = scope.namespace.name.clone();
        Ok(encode(&*task))
    })
    .await
}

pub(super) async fn nexus_task(scope: Scope, mut request: PollNexusTaskQueueRequest) -> Answer {
    check_timeout(&scope)?;
    let queue = validate::task_queue(&mut request.task_queue, &scope.limits)?.clone();
    validate::identity(&request.identity, &scope.limits)?;
    #[allow(deprecated)]
    let stamp = request.worker_version_capabilities.as_ref().map(version_stamp);
    worker_version(&scope, stamp.as_ref(), request.deployment_options.as_ref(), Some(&queue))?;
    if !scope.call.forwarded {
        scope.call.shared.backend.hear_workers(scope.namespace_id(), &request.worker_heartbeat);
    }
    let build_id = stamp.map(|stamp| stamp.build_id).unwrap_or_default();
    let poll = Poll { build_id, ..poll(&scope, &queue, &request.identity, &request.worker_instance_key) };
    let (scope, poll) = (&scope, &poll);
    to_home(&scope.call, scope.namespace_id(), &poll.queue, Repeat::Safe, |_| async move {
        let task = scope.call.shared.backend.poll_nexus_task(poll.clone()).await?;
        Ok(task.map_or_else(|| encode(&PollNexusTaskQueueResponse::default()), |task| encode(&*task)))
    })
    .await
}

fn check_timeout(scope: &Scope) -> Result<(), Status> {
    // A forwarded poll was checked where it came from, and has waited a little since.
    match scope.call.remaining() {
        Some(remaining) if remaining < TIMEOUT_MIN && !scope.call.forwarded => {
            Err(Status::failed_precondition("Context timeout is too short."))
        }
        None => Err(Status::failed_precondition("Context timeout is not set.")),
        Some(_) => Ok(()),
    }
}

fn poll(scope: &Scope, queue: &TaskQueue, identity: &str, worker_instance_key: &str) -> Poll {
    let longest = scope.call.shared.api(&scope.namespace.name).poll_timeout;
    let longest = longest + ANSWERED_BEFORE;
    let deadline = scope.call.deadline_or(longest).min(Instant::now() + longest);
    Poll {
        namespace_id: scope.namespace.id.clone(),
        namespace: scope.namespace.name.clone(),
        queue: queue.name.clone(),
        sticky: queue.kind == TaskQueueKind::Sticky as i32,
        normal_queue: queue.normal_name.clone(),
        identity: identity.to_owned(),
        worker_instance_key: worker_instance_key.to_owned(),
        request_id: Uuid::new_v4().to_string(),
        build_id: String::new(),
        deployment: None,
        sdk_name: scope.call.client.name.clone(),
        sdk_version: scope.call.client.version.clone(),
        tasks_per_second_max: None,
        deadline,
    }
}

#[allow(deprecated)]
fn version_stamp(
    capabilities: &everlog_proto::api::common::v1::WorkerVersionCapabilities,
) -> everlog_proto::api::common::v1::WorkerVersionStamp {
    everlog_proto::api::common::v1::WorkerVersionStamp {
        build_id: capabilities.build_id.clone(),
        use_versioning: capabilities.use_versioning,
    }
}
