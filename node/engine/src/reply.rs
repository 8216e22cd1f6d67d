//! What a workflow answers. History is not copied through the shard: an answer names the span of events
//! that belongs to it, and whoever serves it reads the tables.

use std::sync::Arc;

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    enums::v1::{UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowExecutionStatus},
    history::v1::HistoryEvent,
    query::v1::QueryRejected,
    update::v1::Outcome,
    workflow::v1::WorkflowExecutionOptions,
    workflowservice::v1::{
        PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedResponse,
    },
};

use crate::{
    execution::{Execution, WorkflowTask},
    key::RunKey,
    message::{self, Message},
    reject::Reject,
    schedule::request::ScheduleReply,
    standalone::Standalone,
    volatile::StartedTask,
};

#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    /// The run that was signalled.
    Signaled {
        run_id: String,
    },
    Started(Started),
    /// Boxed: the largest answer, and the most frequent.
    WorkflowTask(Box<WorkflowTaskReply>),
    ActivityTask(Box<PollActivityTaskQueueResponse>),
    /// The offered task is no longer owed; the poller goes on waiting.
    TaskGone,
    Completed(Box<CompletedReply>),
    /// The heartbeats of a workflow task went on for too long; the task was timed out.
    HeartbeatTimedOut,
    /// The call is refused, yet what was decided about it (a failed task) is written.
    Refused(Reject),
    /// What the worker of an attempt has to hear.
    Heartbeat {
        cancel_requested: bool,
        paused: bool,
        reset: bool,
    },
    /// The options that an activity has now.
    ActivityOptions(Box<ActivityOptions>),
    /// The options that the workflow has now.
    WorkflowOptions(Box<WorkflowExecutionOptions>),
    /// The run that a reset has made.
    Reset {
        run_id: String,
    },
    QueryAnswer {
        result: Option<everlog_proto::api::common::v1::Payloads>,
    },
    QueryRejected(QueryRejected),
    Update(Box<UpdateReply>),
    State(StateReply),
    /// What became of a message from another workflow.
    Message(message::Outcome),
    /// The outcome of a message is noted; another message may follow from it.
    Noted(Option<Box<Message>>),
    Schedule(ScheduleReply),
    /// A start of something that runs on its own; `started` is false if a run was used that was there.
    StandaloneStarted {
        run_id: String,
        started: bool,
    },
    /// None: time is up for who waited.
    Standalone(Option<Arc<Standalone>>),
}

#[derive(Clone, Debug)]
pub struct Started {
    pub run_id: String,
    pub first_run_id: String,
    /// False if a running workflow was used instead.
    pub started: bool,
    pub status: WorkflowExecutionStatus,
    /// The link names the request, not an event: the request was attached to a running workflow.
    pub attached_request_id: Option<String>,
    pub eager_task: Option<Box<WorkflowTaskReply>>,
}

/// How far an update got.
#[derive(Clone, Debug)]
pub struct UpdateReply {
    pub run_id: String,
    pub stage: Stage,
    pub outcome: Option<UpdateOutcome>,
    /// Of the start that was asked for together with the update.
    pub started: Option<Box<Started>>,
    /// Whether the caller is told where in the history to look.
    pub is_linked: bool,
}

#[derive(Clone, Debug)]
pub enum UpdateOutcome {
    Value(Box<Outcome>),
    /// This event of the run has it.
    Event(i64),
}

/// A workflow task for a worker, but for its events.
#[derive(Clone, Debug)]
pub struct WorkflowTaskReply {
    pub response: PollWorkflowTaskQueueResponse,
    pub history: HistorySpan,
}

/// Events `from..=to` of a run as stored, then `suffix`, which is not stored yet.
#[derive(Clone, Debug)]
pub struct HistorySpan {
    pub run: RunKey,
    pub from: i64,
    pub to: i64,
    pub suffix: Vec<HistoryEvent>,
}

#[derive(Clone, Debug)]
pub struct CompletedReply {
    pub response: RespondWorkflowTaskCompletedResponse,
    /// Nothing is written of the task: the worker goes back to where it was before.
    pub is_forgotten: bool,
    pub workflow_task: Option<Box<WorkflowTaskReply>>,
}

/// A run as it stands, shared, not copied.
#[derive(Clone, Debug)]
pub struct StateReply {
    pub execution: Arc<Execution>,
    pub started: Option<StartedTask>,
    /// The pending task, if nothing is written of it yet because only updates need it.
    pub speculative: Option<WorkflowTask>,
    /// Whether this run is the workflow's latest.
    pub is_current: bool,
}

impl StateReply {
    /// The workflow task that is owed or held, written or not.
    pub fn workflow_task(&self) -> Option<&WorkflowTask> {
        self.execution.workflow_task.as_ref().or(self.speculative.as_ref())
    }
}
