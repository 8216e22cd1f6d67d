//! A legal "no". Each variant maps to one gRPC status with its typed detail, in one function of the
//! frontend; the engine knows the words, not the codes.

use everlog_proto::api::{enums::v1::WorkflowExecutionStatus, failure::v1::Failure};
use serde::{Deserialize, Serialize};

use crate::{codec::Proto, standalone::Kind};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reject {
    InvalidArgument(String),
    NotFound(String),
    NamespaceNotFound {
        namespace: String,
    },
    NamespaceAlreadyExists(String),
    AlreadyStarted {
        message: String,
        start_request_id: String,
        run_id: String,
        first_run_id: String,
    },
    FailedPrecondition(String),
    /// A query or update that cannot be served because no workflow task can run now.
    WorkflowNotReady(String),
    /// The worker's handler failed; its failure travels in the detail.
    QueryFailed {
        message: String,
        failure: Option<Box<Proto<Failure>>>,
    },
    /// The per-workflow cause BUSY_WORKFLOW.
    BusyWorkflow(String),
    /// As many batches run in the namespace as may.
    ConcurrentBatches(String),
    /// A limit of the whole system, such as a full inbox or queue.
    Overloaded(String),
    PermissionDenied(String),
    DeadlineExceeded(String),
    /// Ask again: the answer depends on a leader that is being replaced.
    Unavailable(String),
    Unimplemented(String),
    /// A transition failed its own check. The request is refused, the log stays clean.
    Internal(String),
    /// Too many updates are under way.
    TooManyUpdates(String),
    /// The workflow closed before it accepted the update.
    UpdateAborted,
    /// An update with a start: the start was refused.
    StartRefused(Box<Reject>),
    /// An update with a start: the update was refused, whether or not a workflow was started for it.
    UpdateRefused {
        reject: Box<Reject>,
        started: bool,
    },
    /// Something of this name is there.
    AlreadyExists(String),
    /// The id is taken by something that runs, or has run, on its own.
    StandaloneAlreadyStarted {
        kind: Kind,
        start_request_id: String,
        run_id: String,
    },
    /// A deployment, its version or the namespace has as many as it may have.
    DeploymentsFull(String),
}

/// The texts of the real server that more than one verb needs.
impl Reject {
    pub fn workflow_not_found(workflow_id: &str) -> Reject {
        Reject::NotFound(format!("workflow not found for ID: {workflow_id}"))
    }

    pub fn execution_not_found() -> Reject {
        Reject::NotFound("workflow execution not found".into())
    }

    pub fn already_completed() -> Reject {
        Reject::NotFound("workflow execution already completed".into())
    }

    pub fn workflow_task_not_found() -> Reject {
        Reject::NotFound("Workflow task not found.".into())
    }

    pub fn activity_not_found() -> Reject {
        Reject::NotFound(
            "invalid activityID or activity already timed out or invoking workflow is completed".into(),
        )
    }

    pub fn closing() -> Reject {
        Reject::BusyWorkflow("workflow operation can not be applied because workflow is closing".into())
    }
}

/// How a status reads in the answer to a rejected query.
pub fn is_open(status: WorkflowExecutionStatus) -> bool {
    matches!(status, WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Paused)
}
