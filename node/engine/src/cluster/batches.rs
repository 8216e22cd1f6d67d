//! Batches: one operation on many workflows, which the leader of shard 0 carries out.
//!
//! How far a batch has come is part of the cluster's state, so the next leader goes on from there. A page of targets
//! is written down before the first of them is operated on: what a list tells then may be another thing after that,
//! since those that were terminated are not among the running ones any more, and those that were reset have other
//! runs. Each target is operated on at least once, under a request id that follows from the batch and the target.

use std::{collections::BTreeMap, sync::Arc};

use everlog_proto::api::{
    batch::v1::BatchOperationInfo,
    common::v1::Execution,
    enums::v1::{BatchOperationState as State, BatchOperationType as Kind, ExecutionType},
    workflowservice::v1::{
        DescribeBatchOperationResponse, StartBatchOperationRequest, start_batch_operation_request::Operation,
    },
};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{Cluster, Fact, Reply};
use crate::{codec::Proto, reject::Reject, stamp::Stamp, time::Time};

/// Batches of one namespace that are kept; the oldest that have ended give way.
pub const BATCHES_MAX: usize = 100;
/// What all batches of the cluster may weigh: every node has all of them in memory.
pub const BATCHES_BYTES_MAX: usize = 32 << 20;

/// By namespace id and job id.
pub type Batches = BTreeMap<(String, String), Arc<Batch>>;

/// Stored as it is, in facts and in snapshots: frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    pub namespace_id: String,
    pub job_id: String,
    /// Tells this batch from others that had its job id.
    pub run_id: String,
    pub start_request_id: String,
    pub request: Proto<StartBatchOperationRequest>,
    /// The API's `BatchOperationState`.
    pub state: i32,
    pub start_time: Time,
    pub close_time: Option<Time>,
    /// How many targets there are, once they were counted.
    pub total: Option<i64>,
    pub completed: i64,
    pub failed: i64,
    /// Behind the last target that was operated on: a place in a list, or a number.
    pub cursor: Vec<u8>,
    /// The targets behind the cursor that are operated on now.
    pub page: Option<Page>,
    /// A batch that has ended is forgotten after this moment.
    pub keep_until: Option<Time>,
}

/// Targets that are operated on together, and counted when all of them are done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Workflow ids and run ids.
    pub targets: Vec<(String, String)>,
    /// The cursor behind them.
    pub to: Vec<u8>,
    /// There are no more.
    pub ends: bool,
}

/// How far a batch has come, in place of what was known of it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    pub namespace_id: String,
    pub job_id: String,
    pub cursor: Vec<u8>,
    pub page: Option<Page>,
    pub total: Option<i64>,
    pub completed: i64,
    pub failed: i64,
    pub state: i32,
    pub close_time: Option<Time>,
    pub keep_until: Option<Time>,
}

/// A step of a batch that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub namespace_id: String,
    pub job_id: String,
    pub run_id: String,
    /// Where the batch is believed to be. Whoever is mistaken is no longer the one who carries it out.
    pub from: Vec<u8>,
    pub what: Progress,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Progress {
    /// These targets are next; and how many there are in all, if they were counted now.
    Page { page: Page, total: Option<i64> },
    /// All of the page were operated on.
    Done { completed: i64, failed: i64 },
}

pub(super) fn start(
    cluster: &Cluster,
    namespace_id: &str,
    request: &StartBatchOperationRequest,
    running_max: usize,
    stamp: &Stamp<'_>,
) -> Result<(Vec<Fact>, Reply), Reject> {
    let own: Vec<&Arc<Batch>> = of_namespace(cluster, namespace_id).collect();
    if own.iter().filter(|batch| batch.is_running()).count() >= running_max {
        return Err(Reject::ConcurrentBatches("Max concurrent batch operations is reached".into()));
    }
    if let Some(known) = cluster.batches.get(&key(namespace_id, &request.job_id)) {
        return Err(already_started(known));
    }
    let bytes: usize = cluster.batches.values().map(|batch| batch.request.encoded_len()).sum();
    if bytes + request.encoded_len() > BATCHES_BYTES_MAX {
        return Err(Reject::Overloaded("the batches of this cluster take too much room".into()));
    }
    let mut ended: Vec<&Arc<Batch>> = own.iter().copied().filter(|batch| !batch.is_running()).collect();
    ended.sort_by_key(|batch| batch.close_time);
    let too_many = (own.len() + 1).saturating_sub(BATCHES_MAX);
    let mut facts: Vec<Fact> = ended
        .iter()
        .enumerate()
        .filter(|(place, batch)| {
            *place < too_many || batch.keep_until.is_some_and(|until| until <= stamp.now)
        })
        .map(|(_, batch)| forgotten(batch))
        .collect();
    let batch = Batch {
        namespace_id: namespace_id.to_owned(),
        job_id: request.job_id.clone(),
        run_id: stamp.uuid(),
        start_request_id: stamp.uuid(),
        request: Proto(request.clone()),
        state: State::Running as i32,
        start_time: stamp.now,
        close_time: None,
        total: Some(targets_of(request).len() as i64).filter(|total| *total > 0),
        completed: 0,
        failed: 0,
        cursor: Vec::new(),
        page: None,
        keep_until: None,
    };
    facts.push(Fact::Batch(Box::new(batch)));
    Ok((facts, Reply::Done))
}

pub(super) fn stop(
    cluster: &Cluster,
    namespace_id: &str,
    job_id: &str,
    stamp: &Stamp<'_>,
) -> Result<(Vec<Fact>, Reply), Reject> {
    let batch = find(cluster, namespace_id, job_id)?;
    if !batch.is_running() {
        return Err(Reject::already_completed());
    }
    let moved = ended(cluster, Moved::of(batch), State::Failed, stamp);
    Ok((vec![Fact::BatchMoved(moved)], Reply::Done))
}

pub(super) fn step(cluster: &Cluster, step: &Step, stamp: &Stamp<'_>) -> Result<(Vec<Fact>, Reply), Reject> {
    let batch = find(cluster, &step.namespace_id, &step.job_id)?;
    if !batch.is_running() || batch.run_id != step.run_id || batch.cursor != step.from {
        return Err(Reject::already_completed());
    }
    let mut moved = Moved::of(batch);
    match (&step.what, moved.page.take()) {
        (Progress::Page { page, total }, None) => {
            moved.page = Some(page.clone());
            moved.total = total.or(moved.total);
        }
        (Progress::Done { completed, failed }, Some(page)) => {
            moved.cursor = page.to;
            moved.failed += failed;
            // A target that was met twice counts once.
            let rest = moved.total.map_or(i64::MAX, |total| (total - moved.failed).max(0));
            moved.completed = (moved.completed + completed).min(rest);
            if page.ends {
                moved = ended(cluster, moved, State::Completed, stamp);
            }
        }
        _ => return Err(Reject::already_completed()),
    }
    Ok((vec![Fact::BatchMoved(moved)], Reply::Done))
}

fn ended(cluster: &Cluster, moved: Moved, state: State, stamp: &Stamp<'_>) -> Moved {
    let retention = cluster.namespace_by_id(&moved.namespace_id).map(|namespace| namespace.retention);
    Moved {
        page: None,
        state: state as i32,
        close_time: Some(stamp.now),
        keep_until: Some(stamp.now + retention.unwrap_or_default()),
        ..moved
    }
}

impl Moved {
    fn of(batch: &Batch) -> Moved {
        Moved {
            namespace_id: batch.namespace_id.clone(),
            job_id: batch.job_id.clone(),
            cursor: batch.cursor.clone(),
            page: batch.page.clone(),
            total: batch.total,
            completed: batch.completed,
            failed: batch.failed,
            state: batch.state,
            close_time: batch.close_time,
            keep_until: batch.keep_until,
        }
    }
}

pub(super) fn put(cluster: &mut Cluster, batch: Batch) {
    cluster.batches.insert(key(&batch.namespace_id, &batch.job_id), Arc::new(batch));
}

pub(super) fn moved(cluster: &mut Cluster, moved: &Moved) {
    if let Some(batch) = cluster.batches.get_mut(&key(&moved.namespace_id, &moved.job_id)) {
        let batch = Arc::make_mut(batch);
        batch.cursor = moved.cursor.clone();
        batch.page = moved.page.clone();
        (batch.total, batch.completed, batch.failed) = (moved.total, moved.completed, moved.failed);
        (batch.state, batch.close_time, batch.keep_until) = (moved.state, moved.close_time, moved.keep_until);
    }
}

pub(super) fn forget(cluster: &mut Cluster, namespace_id: &str, job_id: &str) {
    cluster.batches.remove(&key(namespace_id, job_id));
}

fn forgotten(batch: &Batch) -> Fact {
    Fact::BatchForgotten { namespace_id: batch.namespace_id.clone(), job_id: batch.job_id.clone() }
}

/// Facts that forget the batches of a namespace that is gone.
pub(super) fn purge(cluster: &Cluster, namespace_id: &str) -> Vec<Fact> {
    of_namespace(cluster, namespace_id).map(|batch| forgotten(batch)).collect()
}

fn already_started(batch: &Batch) -> Reject {
    let (job_id, run_id) = (&batch.job_id, &batch.run_id);
    let message = if batch.is_running() {
        format!("Workflow execution is already running. WorkflowId: {job_id}, RunId: {run_id}.")
    } else {
        format!(
            "Workflow execution already finished. WorkflowId: {job_id}, RunId: {run_id}. Workflow Id reuse \
             policy: reject duplicate workflow Id."
        )
    };
    Reject::AlreadyStarted {
        message,
        start_request_id: batch.start_request_id.clone(),
        run_id: run_id.clone(),
        first_run_id: run_id.clone(),
    }
}

fn key(namespace_id: &str, job_id: &str) -> (String, String) {
    (namespace_id.to_owned(), job_id.to_owned())
}

/// A batch by its job id.
pub fn find<'a>(cluster: &'a Cluster, namespace_id: &str, job_id: &str) -> Result<&'a Arc<Batch>, Reject> {
    let found = cluster.batches.get(&key(namespace_id, job_id));
    found.ok_or_else(|| Reject::workflow_not_found(job_id))
}

/// All batches of a namespace, by job id.
pub fn of_namespace<'a>(cluster: &'a Cluster, namespace_id: &str) -> impl Iterator<Item = &'a Arc<Batch>> {
    let from = key(namespace_id, "");
    let namespace_id = namespace_id.to_owned();
    cluster
        .batches
        .range(from..)
        .map(|(_, batch)| batch)
        .take_while(move |batch| batch.namespace_id == namespace_id)
}

/// The batches of a namespace as lists have them: those that run first, then the latest.
pub fn listed(cluster: &Cluster, namespace_id: &str) -> Vec<Arc<Batch>> {
    let mut batches: Vec<Arc<Batch>> = of_namespace(cluster, namespace_id).cloned().collect();
    batches.sort_by_key(|batch| {
        std::cmp::Reverse((batch.close_time.unwrap_or(Time::NEVER), batch.start_time, batch.job_id.clone()))
    });
    batches
}

/// The targets that a request names one by one, however it names them.
pub fn targets_of(request: &StartBatchOperationRequest) -> Vec<Execution> {
    #[allow(deprecated, reason = "clients name workflows so")]
    let workflows = request.executions.iter().map(|execution| Execution {
        r#type: ExecutionType::Workflow as i32,
        business_id: execution.workflow_id.clone(),
        run_id: execution.run_id.clone(),
    });
    workflows.chain(request.target_executions.iter().cloned()).collect()
}

impl Batch {
    pub fn is_running(&self) -> bool {
        self.state == State::Running as i32
    }

    pub fn kind(&self) -> Kind {
        match &self.request.operation {
            Some(Operation::TerminationOperation(_)) => Kind::TerminateWorkflow,
            Some(Operation::SignalOperation(_)) => Kind::SignalWorkflow,
            Some(Operation::CancellationOperation(_)) => Kind::CancelWorkflow,
            Some(Operation::DeletionOperation(_)) => Kind::DeleteWorkflow,
            Some(Operation::ResetOperation(_)) => Kind::ResetWorkflow,
            Some(Operation::UpdateWorkflowOptionsOperation(_)) => Kind::UpdateWorkflowExecutionOptions,
            Some(Operation::UnpauseActivitiesOperation(_)) => Kind::UnpauseActivity,
            Some(Operation::ResetActivitiesOperation(_)) => Kind::ResetActivity,
            Some(Operation::UpdateActivityOptionsOperation(_)) => Kind::UpdateActivityOptions,
            _ => Kind::Unspecified,
        }
    }

    fn identity(&self) -> &str {
        match &self.request.operation {
            Some(Operation::TerminationOperation(operation)) => &operation.identity,
            Some(Operation::SignalOperation(operation)) => &operation.identity,
            Some(Operation::CancellationOperation(operation)) => &operation.identity,
            Some(Operation::DeletionOperation(operation)) => &operation.identity,
            Some(Operation::ResetOperation(operation)) => &operation.identity,
            Some(Operation::UpdateWorkflowOptionsOperation(operation)) => &operation.identity,
            Some(Operation::UnpauseActivitiesOperation(operation)) => &operation.identity,
            Some(Operation::ResetActivitiesOperation(operation)) => &operation.identity,
            Some(Operation::UpdateActivityOptionsOperation(operation)) => &operation.identity,
            _ => "",
        }
    }

    pub fn description(&self) -> DescribeBatchOperationResponse {
        DescribeBatchOperationResponse {
            operation_type: self.kind() as i32,
            job_id: self.job_id.clone(),
            state: self.state,
            start_time: Some(self.start_time.proto()),
            close_time: self.close_time.map(Time::proto),
            total_operation_count: self.total.unwrap_or_default(),
            complete_operation_count: self.completed,
            failure_operation_count: self.failed,
            identity: self.identity().to_owned(),
            reason: self.request.reason.clone(),
            query: self.request.visibility_query.clone(),
            executions: targets_of(&self.request),
        }
    }

    pub fn info(&self) -> BatchOperationInfo {
        BatchOperationInfo {
            job_id: self.job_id.clone(),
            state: self.state,
            start_time: Some(self.start_time.proto()),
            close_time: self.close_time.map(Time::proto),
            operation_type: self.kind() as i32,
        }
    }
}
