//! The worker: asks the cluster for tasks, runs workflows and activities, and reports what came of them.
//!
//! A worker keeps nothing that would be missed. It may be killed at any moment; the cluster then gives its
//! tasks to another one. What it caches, the state of workflows it has run lately, only saves replays.
//!
//! Workflows run on threads of their own, without an async runtime, so that code that would not survive a
//! replay fails at once (see [`replay`](crate::replay)). Activities run on the runtime of the caller.

mod activities;
mod cache;
mod heartbeat;
mod lane;
mod locals;
mod poll;
mod shared;
mod workflows;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::enums::v1::TaskQueueType;
use everlog_proto::api::workflowservice::v1::{DescribeNamespaceRequest, ShutdownWorkerRequest};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::Code;

use crate::activity::{self, Activity, Deps};
use crate::client::{Client, Plan, rpc};
use crate::error::ClientError;
use crate::retry::Backoff;
use crate::workflow::{self, Workflow};
use lane::Lanes;
use shared::{EndWithMe, Phase, Shared};

const CONCURRENT_DEFAULT: usize = 100;
const CONCURRENT_MAX: usize = 1_000_000;
/// Workflow tasks come from two queues, and neither may keep the other waiting.
const WORKFLOW_SLOTS_MIN: usize = 2;
const CACHED_RUNS_DEFAULT: usize = 1_000;
const STICKY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const GRACE_DEFAULT: Duration = Duration::from_secs(10);
const WORKFLOW_THREADS_MAX: usize = 4;
const NORMAL_POLLERS: usize = 2;
const STICKY_POLLERS: usize = 4;
const ACTIVITY_POLLERS: usize = 5;
const START_WAIT: Duration = Duration::from_millis(200);
const START_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long activities get to notice that the worker gives them up.
const CANCEL_GRACE: Duration = Duration::from_secs(1);
const SHUTDOWN_CALL_MAX: Duration = Duration::from_secs(2);

/// A worker that is being set up; [`Worker::run_until`] runs it.
pub struct Worker {
    client: Client,
    queue: String,
    workflows: HashMap<&'static str, Arc<crate::replay::run::Definition>>,
    activities: HashMap<&'static str, Arc<activity::Definition>>,
    deps: Deps,
    max_concurrent: usize,
    cached_runs: usize,
    sticky_timeout: Duration,
    threads: usize,
    workflow_pollers: usize,
    activity_pollers: usize,
    grace: Duration,
}

/// Why a worker stopped although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The namespace does not exist, or this client may not use it.
    #[error("the worker cannot start: {0}")]
    Start(#[source] ClientError),
    /// Nothing was registered.
    #[error("the worker has neither workflows nor activities")]
    Empty,
    /// The operating system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Worker {
    /// A worker for a task queue.
    pub fn new(client: &Client, queue: impl Into<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            client: client.clone(),
            queue: queue.into(),
            workflows: HashMap::new(),
            activities: HashMap::new(),
            deps: Deps::default(),
            max_concurrent: CONCURRENT_DEFAULT,
            cached_runs: CACHED_RUNS_DEFAULT,
            sticky_timeout: STICKY_TIMEOUT_DEFAULT,
            threads: cores.min(WORKFLOW_THREADS_MAX),
            workflow_pollers: NORMAL_POLLERS + STICKY_POLLERS,
            activity_pollers: ACTIVITY_POLLERS,
            grace: GRACE_DEFAULT,
        }
    }

    /// Runs this workflow.
    pub fn workflow<W: Workflow>(mut self, _: W) -> Self {
        self.workflows.insert(W::NAME, Arc::new(workflow::definition::<W>()));
        self
    }

    /// Runs this activity.
    pub fn activity<A: Activity>(mut self, _: A) -> Self {
        self.activities.insert(A::NAME, Arc::new(activity::definition::<A>()));
        self
    }

    /// Gives activities something they need, such as a connection: `acx.dep::<T>()` finds it by its type.
    pub fn dep<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.deps.insert(value);
        self
    }

    /// How many activities, and how many workflow tasks, run at the same time.
    pub fn max_concurrent(mut self, count: usize) -> Self {
        self.max_concurrent = count.clamp(1, CONCURRENT_MAX);
        self
    }

    /// How many workflows are kept between their tasks. 0 replays the whole history for each task.
    pub fn cached_runs(mut self, count: usize) -> Self {
        self.cached_runs = count;
        self
    }

    /// How long a task waits for the worker that keeps its workflow, before any worker may have it; ten
    /// seconds if nothing is said. Less brings the workflows of a dead worker back sooner, more spares
    /// replays while a worker is busy.
    pub fn sticky_timeout(mut self, timeout: Duration) -> Self {
        self.sticky_timeout = timeout;
        self
    }

    /// How many threads run workflows.
    pub fn threads(mut self, count: usize) -> Self {
        self.threads = count.max(1);
        self
    }

    /// How many requests for tasks wait at the cluster at the same time.
    pub fn pollers(mut self, workflow: usize, activity: usize) -> Self {
        self.workflow_pollers = workflow.max(2);
        self.activity_pollers = activity.max(1);
        self
    }

    /// How long running activities get to finish after the worker was told to stop.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Runs until `stop` is ready, then takes no new tasks, finishes those it has, and returns. A
    /// cluster that does not answer is no reason to return: the worker waits for it to come back.
    ///
    /// If the future is dropped instead, everything ends at once, as if the process had died.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        if self.workflows.is_empty() && self.activities.is_empty() {
            return Err(WorkerError::Empty);
        }
        tokio::pin!(stop);
        let ends_polls = tokio::select! {
            checked = self.check_namespace() => checked?,
            () = &mut stop => return Ok(()),
        };
        let grace = self.grace;
        let (runs_workflows, runs_activities) = (!self.workflows.is_empty(), !self.activities.is_empty());
        // A poll holds a slot while it waits, so more polls than slots would starve one another.
        let workflow_slots = self.max_concurrent.max(WORKFLOW_SLOTS_MIN);
        let workflow_pollers = self.workflow_pollers.min(workflow_slots);
        let activity_pollers = self.activity_pollers.min(self.max_concurrent);
        let shared = self.into_shared(ends_polls)?;
        let _guard = EndWithMe(Arc::clone(&shared));
        let mut pollers = JoinSet::new();
        if runs_workflows {
            let sticky = if shared.sticky_queue.is_some() { (workflow_pollers * 2 / 3).max(1) } else { 0 };
            for at in 0..workflow_pollers {
                pollers.spawn(poll::workflows(Arc::clone(&shared), at, at < sticky));
            }
        }
        if runs_activities {
            for at in 0..activity_pollers {
                pollers.spawn(poll::activities(Arc::clone(&shared), at));
            }
        }
        tracing::info!(queue = shared.queue, identity = shared.client.pool.identity, "the worker runs");
        stop.await;
        tracing::info!(queue = shared.queue, "the worker stops");
        shared.phase.send_replace(Phase::Stopping);
        tokio::join!(shared.say_goodbye(runs_workflows, runs_activities), async {
            while pollers.join_next().await.is_some() {}
        });
        shared.drain(grace).await;
        Ok(())
    }

    /// Waits for the cluster, and asks whether the namespace is there. Says whether the cluster ends the
    /// polls of a worker that takes its leave.
    async fn check_namespace(&self) -> Result<bool, WorkerError> {
        let mut backoff = Backoff::new(START_WAIT, START_WAIT_MAX);
        loop {
            let request = DescribeNamespaceRequest {
                namespace: self.client.namespace().to_owned(),
                ..Default::default()
            };
            let error = match rpc!(self.client.pool, Plan::quick(), describe_namespace, request) {
                Ok(response) => {
                    let capabilities = response.namespace_info.and_then(|info| info.capabilities);
                    return Ok(capabilities.is_some_and(|can| can.worker_poll_complete_on_shutdown));
                }
                Err(error) => error,
            };
            match error.code() {
                Some(Code::Unimplemented) => return Ok(false),
                Some(
                    Code::NotFound | Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument,
                ) => return Err(WorkerError::Start(error)),
                _ => tracing::warn!(%error, "the worker waits for the cluster"),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    fn into_shared(self, ends_polls: bool) -> Result<Arc<Shared>, WorkerError> {
        let workflow_slots = self.max_concurrent.max(WORKFLOW_SLOTS_MIN);
        let lanes = Lanes::start(self.workflows, self.threads, self.cached_runs)?;
        let instance = uuid::Uuid::new_v4().simple().to_string();
        let sticky_queue = (self.cached_runs > 0).then(|| format!("{}-{instance}", self.queue));
        Ok(Arc::new(Shared {
            client: self.client,
            queue: self.queue,
            sticky_queue,
            sticky_timeout: self.sticky_timeout,
            instance,
            ends_polls,
            lanes,
            activities: self.activities,
            deps: Arc::new(self.deps),
            workflow_slots: Arc::new(Semaphore::new(workflow_slots)),
            activity_slots: Arc::new(Semaphore::new(self.max_concurrent)),
            slots: (workflow_slots, self.max_concurrent),
            phase: watch::Sender::new(Phase::Running),
        }))
    }
}

impl Shared {
    /// Tells the cluster not to keep tasks for this worker any more, and to end its polls.
    async fn say_goodbye(&self, workflows: bool, activities: bool) {
        let mut task_queue_types = Vec::new();
        if workflows {
            task_queue_types.push(TaskQueueType::Workflow as i32);
        }
        if activities {
            task_queue_types.push(TaskQueueType::Activity as i32);
        }
        let request = ShutdownWorkerRequest {
            namespace: self.client.namespace().to_owned(),
            sticky_task_queue: self.sticky_queue.clone().unwrap_or_default(),
            identity: self.client.pool.identity.clone(),
            reason: "graceful shutdown".into(),
            worker_instance_key: self.instance.clone(),
            task_queue: self.queue.clone(),
            task_queue_types,
            ..Default::default()
        };
        let plan = Plan::slow(SHUTDOWN_CALL_MAX, SHUTDOWN_CALL_MAX);
        if let Err(error) = rpc!(self.client.pool, plan, shutdown_worker, request) {
            tracing::debug!(%error, "the cluster did not take leave of this worker");
        }
    }

    /// Waits for what is running; what takes longer than `grace` is told to stop, and then dropped.
    async fn drain(&self, grace: Duration) {
        let all = |slots: usize| u32::try_from(slots).unwrap_or(u32::MAX);
        let idle = async {
            let _ = self.workflow_slots.acquire_many(all(self.slots.0)).await;
            let _ = self.activity_slots.acquire_many(all(self.slots.1)).await;
        };
        tokio::pin!(idle);
        if tokio::time::timeout(grace, &mut idle).await.is_ok() {
            return;
        }
        tracing::warn!(?grace, "tasks are still running after the grace period, and are cancelled");
        self.phase.send_replace(Phase::Cancelling);
        let _ = tokio::time::timeout(CANCEL_GRACE, &mut idle).await;
    }
}
