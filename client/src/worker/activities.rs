//! Activity tasks, from the answer of a poll to the report.

use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::workflowservice::v1::{
    PollActivityTaskQueueResponse, RespondActivityTaskCanceledRequest, RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
};
use tokio::sync::OwnedSemaphorePermit;

use super::heartbeat;
use super::shared::Shared;
use crate::activity::{Acx, Beats, Outcome, Stop, Task};
use crate::client::{Plan, rpc};
use crate::failure;
use crate::time::{from_wire, timestamp_to_system};

/// How long a report is tried, and one attempt of it. The work is done; it would be a pity to repeat it.
const REPORT_TOTAL: Duration = Duration::from_secs(120);
const REPORT_ATTEMPT: Duration = Duration::from_secs(5);

pub(super) async fn handle(
    shared: Arc<Shared>,
    polled: PollActivityTaskQueueResponse,
    slot: OwnedSemaphorePermit,
) {
    let task = to_task(&polled);
    let outcome = run(&shared, &polled, task).await;
    if let Some(outcome) = outcome {
        report(&shared, &polled, outcome).await;
    }
    drop(slot);
}

/// Runs one attempt. `None` if nobody wants to know any more.
async fn run(shared: &Arc<Shared>, polled: &PollActivityTaskQueueResponse, task: Task) -> Option<Outcome> {
    let Some(definition) = shared.activities.get(task.name.as_str()) else {
        let message = format!("no activity named {:?} is registered with this worker", task.name);
        return Some(Outcome::Failed(Box::new(failure::plain(message, "UnknownActivity", true))));
    };
    let definition = Arc::clone(definition);
    let beats = Beats::new();
    let timeout = task.start_to_close;
    let reporter = heartbeat::Reporter {
        shared: Arc::clone(shared),
        beats: Arc::clone(&beats),
        task_token: polled.task_token.clone(),
        heartbeat_timeout: task.heartbeat_timeout,
    };
    let acx = Acx::new(task, Arc::clone(&beats), Arc::clone(&shared.deps));
    let input = polled.input.clone();
    // A task of its own, so that a panic ends the attempt and not the worker.
    let mut running = tokio::spawn(async move { (definition.run)(acx, input.as_ref()).await });
    let aborts = Abort(running.abort_handle());
    let reports = tokio::spawn(reporter.run());
    let reports = Abort(reports.abort_handle());
    let outcome = tokio::select! {
        joined = &mut running => Some(match joined {
            Ok(outcome) => outcome,
            Err(error) => {
                let message = match error.try_into_panic() {
                    Ok(panic) => failure::panic_message(&*panic),
                    Err(error) => error.to_string(),
                };
                Outcome::Failed(Box::new(failure::plain(message, failure::PANIC, true)))
            }
        }),
        // The server has given this attempt up, or will have by the time a report could come.
        () = expires(timeout) => None,
    };
    drop((aborts, reports));
    match outcome {
        // The activity noticed that the server does not want it any more; a report would be refused.
        Some(_) if *beats.stop.borrow() == Stop::Gone && !shared.is_stopping() => None,
        outcome => outcome,
    }
}

async fn expires(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

async fn report(shared: &Shared, polled: &PollActivityTaskQueueResponse, outcome: Outcome) {
    let namespace = shared.client.namespace().to_owned();
    let identity = shared.client.pool.identity.clone();
    let task_token = polled.task_token.clone();
    let plan = Plan::slow(REPORT_ATTEMPT, REPORT_TOTAL);
    let pool = &shared.client.pool;
    let reported = match outcome {
        Outcome::Completed(result) => {
            let request = RespondActivityTaskCompletedRequest {
                task_token,
                result: Some(result),
                identity,
                namespace,
                ..Default::default()
            };
            rpc!(pool, plan, respond_activity_task_completed, request).map(drop)
        }
        Outcome::Failed(failure) => {
            let request = RespondActivityTaskFailedRequest {
                task_token,
                failure: Some(*failure),
                identity,
                namespace,
                ..Default::default()
            };
            rpc!(pool, plan, respond_activity_task_failed, request).map(drop)
        }
        Outcome::Cancelled => {
            let request =
                RespondActivityTaskCanceledRequest { task_token, identity, namespace, ..Default::default() };
            rpc!(pool, plan, respond_activity_task_canceled, request).map(drop)
        }
    };
    if let Err(error) = reported {
        if error.is_too_large() {
            let message = format!("the outcome of the activity is too large to report: {error}");
            let failure = Box::new(failure::plain(message, "TooLarge", false));
            Box::pin(report(shared, polled, Outcome::Failed(failure))).await;
            return;
        }
        tracing::debug!(activity = polled.activity_id, %error, "the report of an activity was not accepted");
    }
}

fn to_task(polled: &PollActivityTaskQueueResponse) -> Task {
    let execution = polled.workflow_execution.clone().unwrap_or_default();
    Task {
        name: polled.activity_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
        activity_id: polled.activity_id.clone(),
        workflow_id: execution.workflow_id,
        run_id: execution.run_id,
        attempt: u32::try_from(polled.attempt).unwrap_or(1).max(1),
        scheduled: timestamp_to_system(polled.scheduled_time.as_ref()),
        heartbeat_timeout: from_wire(polled.heartbeat_timeout.as_ref()).filter(|timeout| !timeout.is_zero()),
        start_to_close: from_wire(polled.start_to_close_timeout.as_ref())
            .filter(|timeout| !timeout.is_zero()),
        last_details: polled.heartbeat_details.clone(),
    }
}

/// Ends a task of the runtime when it is dropped.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
