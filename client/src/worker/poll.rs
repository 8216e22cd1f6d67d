//! The loops that ask for tasks.
//!
//! A loop takes a slot before it asks, so that the worker never holds a task that it cannot begin. It never
//! ends because of an error: it waits a little longer each time, and asks another node.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::enums::v1::TaskQueueKind;
use everlog_proto::api::taskqueue::v1::TaskQueue;
use everlog_proto::api::workflowservice::v1::{
    PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Request, Response, Status};

use super::shared::{Phase, Shared};
use super::{activities as activity_tasks, workflows as workflow_tasks};
use crate::client::Route;
use crate::replay::command::to_queue;
use crate::retry::Backoff;

/// The server answers a poll after a minute at the latest.
const POLL_TIMEOUT: Duration = Duration::from_secs(70);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(3);
/// A refusal that asking again will hardly change.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a stopping worker lets the cluster end its polls, so that no task is lost on the way.
const LAST_POLL_MAX: Duration = Duration::from_secs(2);

pub(super) async fn workflows(shared: Arc<Shared>, at: usize, sticky: bool) {
    let task_queue = match shared.sticky_queue.clone().filter(|_| sticky) {
        Some(name) => {
            TaskQueue { name, kind: TaskQueueKind::Sticky as i32, normal_name: shared.queue.clone() }
        }
        None => to_queue(shared.queue.clone()),
    };
    let request = PollWorkflowTaskQueueRequest {
        namespace: shared.client.namespace().to_owned(),
        task_queue: Some(task_queue),
        identity: shared.client.pool.identity.clone(),
        worker_instance_key: shared.instance.clone(),
        ..Default::default()
    };
    let slots = Arc::clone(&shared.workflow_slots);
    let (asking, running) = (Arc::clone(&shared), Arc::clone(&shared));
    run(
        &shared,
        slots,
        at,
        |route| {
            let mut stub = asking.client.pool.stub(route);
            let request = with_timeout(request.clone());
            async move { stub.poll_workflow_task_queue(request).await }
        },
        |task: &PollWorkflowTaskQueueResponse| task.task_token.is_empty(),
        |task, slot| running.spawn(workflow_tasks::handle(Arc::clone(&running), task, slot)),
    )
    .await;
}

pub(super) async fn activities(shared: Arc<Shared>, at: usize) {
    let request = PollActivityTaskQueueRequest {
        namespace: shared.client.namespace().to_owned(),
        task_queue: Some(to_queue(shared.queue.clone())),
        identity: shared.client.pool.identity.clone(),
        worker_instance_key: shared.instance.clone(),
        ..Default::default()
    };
    let slots = Arc::clone(&shared.activity_slots);
    let (asking, running) = (Arc::clone(&shared), Arc::clone(&shared));
    run(
        &shared,
        slots,
        at,
        |route| {
            let mut stub = asking.client.pool.stub(route);
            let request = with_timeout(request.clone());
            async move { stub.poll_activity_task_queue(request).await }
        },
        |task: &PollActivityTaskQueueResponse| task.task_token.is_empty(),
        |task, slot| running.spawn(activity_tasks::handle(Arc::clone(&running), task, slot)),
    )
    .await;
}

async fn run<Task, Asked>(
    shared: &Shared,
    slots: Arc<Semaphore>,
    at: usize,
    ask: impl Fn(&Route) -> Asked,
    is_empty: impl Fn(&Task) -> bool,
    begin: impl Fn(Task, OwnedSemaphorePermit),
) where
    Asked: Future<Output = Result<Response<Task>, Status>>,
{
    let route = Route::new(at);
    let mut trouble: Option<Backoff> = None;
    while !shared.is_stopping() {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = shared.reached(Phase::Stopping) => return,
        };
        let Ok(slot) = slot else { return };
        let answer = tokio::select! {
            answer = tokio::time::timeout(POLL_TIMEOUT, ask(&route)) => answer,
            () = last_poll(shared) => return,
        };
        let status = match answer {
            Ok(Ok(task)) => {
                if trouble.take().is_some() {
                    tracing::info!(queue = shared.queue, "the cluster answers again");
                }
                let task = task.into_inner();
                if !is_empty(&task) {
                    begin(task, slot);
                }
                continue;
            }
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable("a poll was not answered"),
        };
        drop(slot);
        if shared.is_stopping() {
            return;
        }
        route.turn();
        let backoff = trouble.get_or_insert_with(|| {
            let reason = crate::client::explain(&status);
            tracing::warn!(queue = shared.queue, code = ?status.code(), reason, "a poll failed; polling goes on");
            let max = if is_refusal(&status) { REFUSED_WAIT_MAX } else { WAIT_MAX };
            Backoff::new(FIRST_WAIT, max)
        });
        let wait = backoff.wait();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.reached(Phase::Stopping) => return,
        }
    }
}

async fn last_poll(shared: &Shared) {
    shared.reached(Phase::Stopping).await;
    if shared.ends_polls {
        tokio::time::sleep(LAST_POLL_MAX).await;
    }
}

fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::NotFound | Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated
    )
}

fn with_timeout<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(POLL_TIMEOUT);
    request
}
