//! Local activities: run by the worker that runs the workflow, within its workflow task.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use everlog_proto::api::common::v1::WorkflowExecution;
use everlog_proto::api::failure::v1::Failure;
use everlog_proto::api::failure::v1::failure::FailureInfo;
use tokio::task::JoinSet;

use super::lane::LocalDone;
use super::shared::Shared;
use crate::activity::{Acx, Beats, Outcome, Stop, Task};
use crate::failure;
use crate::replay::state::LocalTask;

const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// The local activities of one run.
pub(super) struct Locals {
    shared: Arc<Shared>,
    running: JoinSet<LocalDone>,
}

impl Locals {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), running: JoinSet::new() }
    }

    pub(super) fn begin(&mut self, execution: &WorkflowExecution, tasks: Vec<LocalTask>) {
        for task in tasks {
            self.running.spawn(run(Arc::clone(&self.shared), execution.clone(), task));
        }
    }

    /// The next one that ends. Waits for ever if none is running.
    pub(super) async fn next(&mut self) -> LocalDone {
        loop {
            match self.running.join_next().await {
                Some(Ok(done)) => return done,
                // Only an aborted one ends otherwise, and then nobody waits for it.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.running.abort_all();
        self.running = JoinSet::new();
    }
}

/// Runs a local activity, with all its attempts.
async fn run(shared: Arc<Shared>, execution: WorkflowExecution, task: LocalTask) -> LocalDone {
    let retry = task.options.retry.clone().unwrap_or_default();
    let mut attempt = 1;
    loop {
        let failed = match attempt_once(&shared, &execution, &task, attempt).await {
            Outcome::Completed(result) => {
                return LocalDone { seq: task.seq, attempt, result: Ok(Some(result)) };
            }
            Outcome::Failed(failed) => failed,
            Outcome::Cancelled => Box::new(failure::cancelled(None)),
        };
        let delay = match retryable_kind(&failed) {
            Some(kind) => retry.next_delay(attempt, kind),
            None => None,
        };
        let Some(delay) = delay else { return LocalDone { seq: task.seq, attempt, result: Err(failed) } };
        tokio::time::sleep(delay).await;
        attempt += 1;
    }
}

async fn attempt_once(
    shared: &Arc<Shared>,
    execution: &WorkflowExecution,
    task: &LocalTask,
    attempt: u32,
) -> Outcome {
    let Some(definition) = shared.activities.get(task.name.as_str()) else {
        let message = format!("no activity named {:?} is registered with this worker", task.name);
        return Outcome::Failed(Box::new(failure::plain(message, "UnknownActivity", true)));
    };
    let timeout = task.options.start_to_close.or(task.options.schedule_to_close);
    let timeout = timeout.unwrap_or(ATTEMPT_TIMEOUT_DEFAULT);
    let beats = Beats::new();
    let context = Task {
        name: task.name.clone(),
        activity_id: task.seq.to_string(),
        workflow_id: execution.workflow_id.clone(),
        run_id: execution.run_id.clone(),
        attempt,
        scheduled: SystemTime::now(),
        heartbeat_timeout: None,
        start_to_close: Some(timeout),
        last_details: None,
    };
    let acx = Acx::new(context, Arc::clone(&beats), Arc::clone(&shared.deps));
    let (definition, input) = (Arc::clone(definition), task.input.clone());
    let mut running = JoinSet::new();
    running.spawn(async move { (definition.run)(acx, Some(&input)).await });
    match tokio::time::timeout(timeout, running.join_next()).await {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(error))) => {
            let message = match error.try_into_panic() {
                Ok(panic) => failure::panic_message(&*panic),
                Err(error) => error.to_string(),
            };
            Outcome::Failed(Box::new(failure::plain(message, failure::PANIC, true)))
        }
        Ok(None) | Err(_) => {
            beats.set_stop(Stop::Gone);
            Outcome::Failed(Box::new(failure::timed_out()))
        }
    }
}

/// The kind of a failure that may be followed by another attempt.
fn retryable_kind(failure: &Failure) -> Option<&str> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) if info.non_retryable => None,
        Some(FailureInfo::ApplicationFailureInfo(info)) => Some(&info.r#type),
        Some(FailureInfo::CanceledFailureInfo(_)) => None,
        _ => Some(""),
    }
}
