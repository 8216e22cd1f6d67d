//! What can be asked of a workflow. Public requests are the API's own messages; the rest are ours.

use std::collections::{BTreeMap, BTreeSet};

use everlog_proto::api::{
    enums::v1::{
        QueryRejectCondition, TimeoutType, UpdateWorkflowExecutionLifecycleStage as Stage,
        WorkflowTaskFailedCause,
    },
    query::v1::WorkflowQuery,
    workflowservice::v1::{
        PauseActivityRequest, PauseWorkflowExecutionRequest, RequestCancelWorkflowExecutionRequest,
        ResetActivityRequest, ResetWorkflowExecutionRequest, RespondActivityTaskCanceledRequest,
        RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest,
        RespondQueryTaskCompletedRequest, RespondWorkflowTaskCompletedRequest,
        RespondWorkflowTaskFailedRequest, SignalWithStartWorkflowExecutionRequest,
        SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
        UnpauseActivityRequest, UnpauseWorkflowExecutionRequest, UpdateActivityOptionsRequest,
        UpdateWorkflowExecutionOptionsRequest, UpdateWorkflowExecutionRequest,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Proto,
    deployment::WorkerVersion,
    message::{Message, Outcome, Subject},
    token::TaskToken,
};

/// A request to the workflow that its key names.
#[derive(Clone, Debug)]
pub enum Request {
    // By clients.
    Start(Box<StartWorkflowExecutionRequest>),
    SignalWithStart(Box<SignalWithStartWorkflowExecutionRequest>),
    Signal(Box<SignalWorkflowExecutionRequest>),
    Cancel(Box<RequestCancelWorkflowExecutionRequest>),
    Terminate(Box<TerminateWorkflowExecutionRequest>),
    /// Removes the run; a running one is terminated first. Empty means the current run.
    Delete {
        run_id: String,
    },
    Query {
        run_id: String,
        query: Box<WorkflowQuery>,
        reject: QueryRejectCondition,
        timeout_ms: u64,
    },
    /// The state of a run, for describe, history reads and results. Empty means the current run.
    Read {
        run_id: String,
    },
    /// Like Read, answered when the run has more than `seen` events, or has closed, or waited `timeout_ms`.
    Watch {
        run_id: String,
        seen: i64,
        until_closed: bool,
        /// A run that is paused is waited for no longer.
        until_paused: bool,
        timeout_ms: u64,
    },
    ResetSticky {
        run_id: String,
    },
    PauseActivity(Box<PauseActivityRequest>),
    UnpauseActivity(Box<UnpauseActivityRequest>),
    ResetActivity(Box<ResetActivityRequest>),
    UpdateActivityOptions(Box<UpdateActivityOptionsRequest>),
    /// Begins a run that goes on from a point in the history of another: the one that the request names, or
    /// one that is yet to be found.
    Reset {
        request: Box<ResetWorkflowExecutionRequest>,
        to: Option<ResetTo>,
    },
    UpdateOptions(Box<UpdateWorkflowExecutionOptionsRequest>),
    PauseWorkflow(Box<PauseWorkflowExecutionRequest>),
    UnpauseWorkflow(Box<UnpauseWorkflowExecutionRequest>),

    /// An update: waits for its stage, or for `timeout_ms`.
    Update {
        request: Box<UpdateWorkflowExecutionRequest>,
        timeout_ms: u64,
    },
    /// Waits for an update that was asked for before.
    PollUpdate {
        run_id: String,
        update_id: String,
        stage: Stage,
        timeout_ms: u64,
    },
    /// An update of whatever run there is, or of one that is started for it.
    UpdateWithStart {
        start: Box<StartWorkflowExecutionRequest>,
        update: Box<UpdateWorkflowExecutionRequest>,
        timeout_ms: u64,
    },

    // By task queues, on behalf of workers.
    TakeWorkflowTask(TakeWorkflowTask),
    TakeActivityTask(TakeActivityTask),
    TakeQuery(TakeQuery),
    /// No worker polls the queue of this task: a sticky one, or, of a query that cannot wait, the normal one.
    NoPoller {
        run_id: String,
        scheduled_event_id: i64,
        query: Option<u64>,
        sticky: bool,
    },

    // By workers.
    CompleteWorkflowTask {
        token: TaskToken,
        request: Box<RespondWorkflowTaskCompletedRequest>,
        namespaces: Namespaces,
    },
    FailWorkflowTask {
        token: TaskToken,
        request: Box<RespondWorkflowTaskFailedRequest>,
    },
    AnswerQuery {
        token: TaskToken,
        request: Box<RespondQueryTaskCompletedRequest>,
    },
    CompleteActivity {
        of: ActivityRef,
        request: Box<RespondActivityTaskCompletedRequest>,
    },
    FailActivity {
        of: ActivityRef,
        request: Box<RespondActivityTaskFailedRequest>,
    },
    CancelActivity {
        of: ActivityRef,
        request: Box<RespondActivityTaskCanceledRequest>,
    },
    HeartbeatActivity {
        of: ActivityRef,
        details: Option<Box<Proto<Payloads>>>,
        identity: String,
    },

    // By other workflows.
    Message(Box<Message>),
    /// What became of a message that this run has sent.
    Delivered {
        run_id: String,
        subject: Subject,
        outcome: Outcome,
        /// The name of the receiver's namespace.
        namespace: String,
    },

    /// Something of this workflow is due: timers, time-outs, retries, retention.
    Wake,
}

/// What the cluster knows of the namespaces that the commands of a completion mean.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// The name of the workflow's own.
    pub own: String,
    /// Ids by name.
    pub ids: BTreeMap<String, String>,
    /// Why the search attributes of a command cannot be set, by the command's place.
    pub refused_attributes: BTreeMap<usize, String>,
    /// The ids of Nexus endpoints that commands name, by name.
    pub endpoints: BTreeMap<String, String>,
    /// The queues that the version of the worker has.
    pub queues: BTreeSet<String>,
}

/// A point of a history that is found by what happened there.
#[derive(Clone, Debug, PartialEq)]
pub enum ResetTo {
    /// The end of the first workflow task.
    FirstTask,
    /// The end of the last one.
    LastTask,
    /// The first task that a build of the worker completed, in any run of the chain or in this one.
    Build { id: String, current_run_only: bool },
}

type Payloads = everlog_proto::api::common::v1::Payloads;

/// Which activity a worker means: the attempt it holds, or whichever runs under an id.
#[derive(Clone, Debug)]
pub enum ActivityRef {
    Token(TaskToken),
    Id { run_id: String, activity_id: String },
}

/// A poller of this queue wants the offered task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeWorkflowTask {
    pub run_id: String,
    pub scheduled_event_id: i64,
    pub attempt: i32,
    pub queue: String,
    pub identity: String,
    pub request_id: String,
    /// The build of the worker that takes it, if it says so.
    pub build_id: String,
    pub routed: Routed,
}

/// The version of a worker that takes a task, and what its queue knows of versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routed {
    pub version: Option<WorkerVersion>,
    /// Where a task that is free to go anywhere would go, and the revision of that routing.
    pub target: Option<WorkerVersion>,
    pub revision: i64,
    /// The queue is not one of the version that the run is on: whoever polls there may have the task.
    pub independent: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeActivityTask {
    pub run_id: String,
    pub scheduled_event_id: i64,
    pub attempt: i32,
    pub stamp: u32,
    pub identity: String,
    pub request_id: String,
    /// The build of the worker that takes it, if it says so.
    pub build_id: String,
    pub routed: Routed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeQuery {
    pub run_id: String,
    pub query: u64,
    pub queue: String,
    pub identity: String,
}

/// Why a workflow task ended without a completion.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEnd {
    Failed { cause: WorkflowTaskFailedCause },
    TimedOut(TimeoutType),
}

impl Request {
    /// Whether a client or a worker waits for what comes of it.
    pub fn is_waited_for(&self) -> bool {
        !matches!(self, Request::Message(_) | Request::Delivered { .. } | Request::Wake)
    }

    /// A short name for metrics and stories.
    pub fn kind(&self) -> &'static str {
        match self {
            Request::Start(_) => "start",
            Request::SignalWithStart(_) => "signal_with_start",
            Request::Signal(_) => "signal",
            Request::Cancel(_) => "cancel",
            Request::Terminate(_) => "terminate",
            Request::Delete { .. } => "delete",
            Request::Query { .. } => "query",
            Request::Read { .. } => "read",
            Request::Watch { .. } => "watch",
            Request::ResetSticky { .. } => "reset_sticky",
            Request::PauseActivity(_) => "pause_activity",
            Request::UnpauseActivity(_) => "unpause_activity",
            Request::ResetActivity(_) => "reset_activity",
            Request::UpdateActivityOptions(_) => "update_activity_options",
            Request::Update { .. } => "update",
            Request::PollUpdate { .. } => "poll_update",
            Request::UpdateWithStart { .. } => "update_with_start",
            Request::Reset { .. } => "reset",
            Request::UpdateOptions(_) => "update_options",
            Request::PauseWorkflow(_) => "pause_workflow",
            Request::UnpauseWorkflow(_) => "unpause_workflow",
            Request::TakeWorkflowTask(_) => "take_workflow_task",
            Request::TakeActivityTask(_) => "take_activity_task",
            Request::TakeQuery(_) => "take_query",
            Request::NoPoller { .. } => "no_poller",
            Request::CompleteWorkflowTask { .. } => "workflow_task",
            Request::FailWorkflowTask { .. } => "workflow_task_failed",
            Request::AnswerQuery { .. } => "answer_query",
            Request::CompleteActivity { .. } => "activity",
            Request::FailActivity { .. } => "activity_failed",
            Request::CancelActivity { .. } => "activity_canceled",
            Request::HeartbeatActivity { .. } => "heartbeat",
            Request::Message(_) => "message",
            Request::Delivered { .. } => "delivered",
            Request::Wake => "wake",
        }
    }
}
