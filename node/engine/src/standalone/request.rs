//! What can be asked of something that runs on its own, and the refusals that every kind shares.

use everlog_proto::api::workflowservice::v1::{
    PauseActivityExecutionRequest, ResetActivityExecutionRequest, RespondActivityTaskCanceledRequest,
    RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest, StartActivityExecutionRequest,
    StartNexusOperationExecutionRequest, UnpauseActivityExecutionRequest,
    UpdateActivityExecutionOptionsRequest,
};
use serde::{Deserialize, Serialize};

use super::{key::Kind, state::Status};
use crate::{
    codec::Proto,
    nexus::{self, Owed, callback::Completion},
    reject::Reject,
    token::TaskToken,
};

type Payloads = everlog_proto::api::common::v1::Payloads;

/// A request to whatever its key names. An empty run id means the latest run. What clients ask has been
/// validated, and what they left open is filled in.
#[derive(Clone, Debug)]
pub enum StandaloneRequest {
    StartActivity(Box<StartActivityExecutionRequest>),
    Cancel(Asked),
    Terminate(Asked),
    /// Removes the run, running or not.
    Delete {
        run_id: String,
    },
    /// The state.
    Read {
        run_id: String,
    },
    /// The state, once it is as wanted; nothing after `timeout_ms`.
    Watch {
        run_id: String,
        until: Until,
        timeout_ms: u64,
    },

    TakeActivity(TakeStandaloneActivity),
    CompleteActivity {
        of: AttemptRef,
        request: Box<RespondActivityTaskCompletedRequest>,
    },
    FailActivity {
        of: AttemptRef,
        request: Box<RespondActivityTaskFailedRequest>,
    },
    CancelActivity {
        of: AttemptRef,
        request: Box<RespondActivityTaskCanceledRequest>,
    },
    HeartbeatActivity {
        of: AttemptRef,
        details: Option<Box<Proto<Payloads>>>,
        identity: String,
    },
    PauseActivity(Box<PauseActivityExecutionRequest>),
    UnpauseActivity(Box<UnpauseActivityExecutionRequest>),
    ResetActivity(Box<ResetActivityExecutionRequest>),
    UpdateActivityOptions(Box<UpdateActivityExecutionOptionsRequest>),

    StartOperation {
        request: Box<StartNexusOperationExecutionRequest>,
        endpoint_id: String,
    },
    /// What came of a call to an operation's handler.
    OperationCalled {
        run_id: String,
        call: Owed,
        outcome: Box<nexus::Outcome>,
    },
    /// The end of an operation, told by the run that carried it out.
    CompleteOperation {
        run_id: String,
        completion: Box<Completion>,
        by_run: String,
        from_namespace: String,
    },
}

/// Who asks for an end, and why.
#[derive(Clone, Debug)]
pub struct Asked {
    pub run_id: String,
    pub request_id: String,
    pub identity: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Closed,
    /// A handler works on the operation, or it has closed.
    Started,
    /// Something has happened since the state had made so many transitions.
    Changed {
        seen: i64,
    },
}

/// Which attempt a worker means: the one it holds, or whichever runs.
#[derive(Clone, Debug)]
pub enum AttemptRef {
    Token(TaskToken),
    Id { run_id: String },
}

/// A poller wants an attempt that was offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeStandaloneActivity {
    pub run_id: String,
    pub attempt: i32,
    pub stamp: u32,
    pub identity: String,
    pub request_id: String,
    /// The build of the worker that takes it, if it says so.
    pub build_id: String,
    /// The client of that worker.
    pub sdk_name: String,
    pub sdk_version: String,
}

pub(super) fn not_found(kind: Kind, id: &str) -> Reject {
    Reject::NotFound(format!("{} not found for ID: {id}", kind.noun()))
}

pub(super) fn invalid_transition(status: Status) -> Reject {
    Reject::FailedPrecondition(format!("invalid transition from {}", status.name()))
}

impl Status {
    /// As messages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "Running",
            Status::Completed => "Completed",
            Status::Failed => "Failed",
            Status::Canceled => "Canceled",
            Status::Terminated => "Terminated",
            Status::TimedOut => "TimedOut",
        }
    }
}

impl StandaloneRequest {
    /// The run that is meant; empty means the latest.
    pub(crate) fn run_id(&self) -> &str {
        match self {
            StandaloneRequest::StartActivity(_) | StandaloneRequest::StartOperation { .. } => "",
            StandaloneRequest::Cancel(asked) | StandaloneRequest::Terminate(asked) => &asked.run_id,
            StandaloneRequest::Delete { run_id }
            | StandaloneRequest::Read { run_id }
            | StandaloneRequest::Watch { run_id, .. }
            | StandaloneRequest::OperationCalled { run_id, .. }
            | StandaloneRequest::CompleteOperation { run_id, .. } => run_id,
            StandaloneRequest::TakeActivity(take) => &take.run_id,
            StandaloneRequest::CompleteActivity { of, .. }
            | StandaloneRequest::FailActivity { of, .. }
            | StandaloneRequest::CancelActivity { of, .. }
            | StandaloneRequest::HeartbeatActivity { of, .. } => of.run_id(),
            StandaloneRequest::PauseActivity(request) => &request.run_id,
            StandaloneRequest::UnpauseActivity(request) => &request.run_id,
            StandaloneRequest::ResetActivity(request) => &request.run_id,
            StandaloneRequest::UpdateActivityOptions(request) => &request.run_id,
        }
    }

    /// A short name for metrics and stories.
    pub fn kind(&self) -> &'static str {
        match self {
            StandaloneRequest::StartActivity(_) => "start_activity",
            StandaloneRequest::Cancel(_) => "cancel",
            StandaloneRequest::Terminate(_) => "terminate",
            StandaloneRequest::Delete { .. } => "delete",
            StandaloneRequest::Read { .. } => "read",
            StandaloneRequest::Watch { .. } => "watch",
            StandaloneRequest::TakeActivity(_) => "take_activity_task",
            StandaloneRequest::CompleteActivity { .. } => "activity",
            StandaloneRequest::FailActivity { .. } => "activity_failed",
            StandaloneRequest::CancelActivity { .. } => "activity_canceled",
            StandaloneRequest::HeartbeatActivity { .. } => "heartbeat",
            StandaloneRequest::PauseActivity(_) => "pause_activity",
            StandaloneRequest::UnpauseActivity(_) => "unpause_activity",
            StandaloneRequest::ResetActivity(_) => "reset_activity",
            StandaloneRequest::UpdateActivityOptions(_) => "update_activity_options",
            StandaloneRequest::StartOperation { .. } => "start_operation",
            StandaloneRequest::OperationCalled { .. } => "operation_called",
            StandaloneRequest::CompleteOperation { .. } => "complete_operation",
        }
    }
}

impl AttemptRef {
    fn run_id(&self) -> &str {
        match self {
            AttemptRef::Token(token) => &token.run.run_id,
            AttemptRef::Id { run_id } => run_id,
        }
    }
}
