//! What the server says about a workflow.

use std::collections::BTreeMap;
use std::time::SystemTime;

use everlog_proto::api::common::v1::Payload;
use everlog_proto::api::enums::v1::WorkflowExecutionStatus;
use everlog_proto::api::workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo};
use everlog_proto::api::workflowservice::v1::DescribeWorkflowExecutionResponse;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::RemoteError;
use crate::failure;
use crate::time::timestamp_to_system;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecutionStatus {
    /// It is open.
    Running,
    /// It returned a value.
    Completed,
    /// It returned an error.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// Somebody terminated it.
    Terminated,
    /// It went on as a new run.
    ContinuedAsNew,
    /// A timeout passed.
    TimedOut,
    /// Something that this version does not know.
    Other(i32),
}

impl ExecutionStatus {
    pub(super) fn from_wire(status: i32) -> Self {
        match WorkflowExecutionStatus::try_from(status) {
            Ok(WorkflowExecutionStatus::Running) => Self::Running,
            Ok(WorkflowExecutionStatus::Completed) => Self::Completed,
            Ok(WorkflowExecutionStatus::Failed) => Self::Failed,
            Ok(WorkflowExecutionStatus::Canceled) => Self::Cancelled,
            Ok(WorkflowExecutionStatus::Terminated) => Self::Terminated,
            Ok(WorkflowExecutionStatus::ContinuedAsNew) => Self::ContinuedAsNew,
            Ok(WorkflowExecutionStatus::TimedOut) => Self::TimedOut,
            _ => Self::Other(status),
        }
    }
}

/// A run, as lists show it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Execution {
    /// The workflow id.
    pub id: String,
    /// The run id.
    pub run_id: String,
    /// The name of the workflow.
    pub workflow_type: String,
    /// How it stands.
    pub status: ExecutionStatus,
    /// The task queue.
    pub queue: String,
    /// When it was started.
    pub start_time: SystemTime,
    /// When it closed.
    pub close_time: Option<SystemTime>,
    /// The number of its events.
    pub history_length: u64,
    memo: BTreeMap<String, Payload>,
    search_attributes: BTreeMap<String, Payload>,
}

impl Execution {
    pub(super) fn from_wire(info: WorkflowExecutionInfo) -> Self {
        let execution = info.execution.unwrap_or_default();
        Self {
            id: execution.workflow_id,
            run_id: execution.run_id,
            workflow_type: info.r#type.map(|kind| kind.name).unwrap_or_default(),
            status: ExecutionStatus::from_wire(info.status),
            queue: info.task_queue,
            start_time: timestamp_to_system(info.start_time.as_ref()),
            close_time: info.close_time.as_ref().map(|time| timestamp_to_system(Some(time))),
            history_length: info.history_length.unsigned_abs(),
            memo: info.memo.map(|memo| memo.fields.into_iter().collect()).unwrap_or_default(),
            search_attributes: info
                .search_attributes
                .map(|attributes| attributes.indexed_fields.into_iter().collect())
                .unwrap_or_default(),
        }
    }

    /// A note that was given at the start.
    pub fn memo<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        codec::decode(self.memo.get(key)?).ok()
    }

    /// A search attribute.
    pub fn search_attribute<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        codec::decode(self.search_attributes.get(name)?).ok()
    }
}

/// A run in detail.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Description {
    /// What lists show.
    pub execution: Execution,
    /// Activities that are not finished.
    pub pending_activities: Vec<PendingActivity>,
    /// The answer of the server, for what is not here.
    pub raw: Box<DescribeWorkflowExecutionResponse>,
}

/// An activity that is not finished.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PendingActivity {
    /// The id of the call within the run.
    pub activity_id: String,
    /// The name of the activity.
    pub activity_type: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Why the last attempt failed.
    pub last_failure: Option<RemoteError>,
}

impl Description {
    pub(super) fn from_wire(response: DescribeWorkflowExecutionResponse) -> Self {
        let info = response.workflow_execution_info.clone().unwrap_or_default();
        Self {
            execution: Execution::from_wire(info),
            pending_activities: response.pending_activities.iter().map(PendingActivity::from_wire).collect(),
            raw: Box::new(response),
        }
    }
}

impl PendingActivity {
    fn from_wire(info: &PendingActivityInfo) -> Self {
        Self {
            activity_id: info.activity_id.clone(),
            activity_type: info.activity_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
            attempt: u32::try_from(info.attempt).unwrap_or(1),
            last_failure: info.last_failure.as_ref().map(failure::remote),
        }
    }
}
