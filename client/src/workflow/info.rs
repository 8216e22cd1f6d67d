//! What a workflow may know about itself.

use std::time::SystemTime;

use everlog_proto::api::history::v1::{HistoryEvent, WorkflowExecutionStartedEventAttributes};

use crate::replay::run::Identity;
use crate::time::timestamp_to_system;

/// The facts about a run that never change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// The namespace.
    pub namespace: String,
    /// The workflow id, which the next runs keep.
    pub workflow_id: String,
    /// The id of this run.
    pub run_id: String,
    /// The id of the first run of the chain.
    pub first_run_id: String,
    /// The run that continued as this one; empty for a first run.
    pub continued_run_id: String,
    /// The name of the workflow.
    pub workflow_type: String,
    /// The task queue.
    pub task_queue: String,
    /// The attempt, from 1, if the workflow itself has a retry policy.
    pub attempt: u32,
    /// When this run was started.
    pub start_time: SystemTime,
    /// The id of the workflow that started this one as its child.
    pub parent_workflow_id: Option<String>,
}

impl Info {
    pub(crate) fn new(
        identity: &Identity,
        first: &HistoryEvent,
        started: &WorkflowExecutionStartedEventAttributes,
    ) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            workflow_id: identity.workflow_id.clone(),
            run_id: identity.run_id.clone(),
            first_run_id: started.first_execution_run_id.clone(),
            continued_run_id: started.continued_execution_run_id.clone(),
            workflow_type: started.workflow_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
            task_queue: started.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default(),
            attempt: u32::try_from(started.attempt).unwrap_or(1).max(1),
            start_time: timestamp_to_system(first.event_time.as_ref()),
            parent_workflow_id: started.parent_workflow_execution.as_ref().map(|p| p.workflow_id.clone()),
        }
    }
}
