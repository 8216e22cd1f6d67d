//! What a schedule asks of workflows, which mostly live in other shards.
//!
//! A question is repeated until it is answered, also by the next leader, so each of them is one that may be
//! asked twice: a start names itself by its request id, a cancellation or termination names the chain that it
//! is meant for, and looking changes nothing.

use everlog_proto::api::{
    common::v1::{Payloads, WorkflowExecution},
    enums::v1::WorkflowExecutionStatus,
    failure::v1::Failure,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        RequestCancelWorkflowExecutionRequest, StartWorkflowExecutionRequest,
        TerminateWorkflowExecutionRequest,
    },
};
use serde::{Deserialize, Serialize};

use crate::{codec::Proto, execution::Execution, reject::Reject, reply::Reply, request::Request};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    Start(Box<Proto<StartWorkflowExecutionRequest>>),
    Cancel(Stopping),
    Terminate(Stopping),
    /// Whether the chain that began with this run has come to its end; answered when it has, or after a time.
    Watch {
        first_run_id: String,
        timeout_ms: u64,
    },
}

/// Whom to stop, and how to say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    pub first_run_id: String,
    pub request_id: String,
    pub identity: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Asked {
    Started { run_id: String },
    Done,
    Running,
    Closed(Box<Closed>),
    Refused(Reject),
}

/// How a chain of runs ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    pub status: i32,
    pub result: Option<Proto<Payloads>>,
    pub failure: Option<Proto<Failure>>,
}

impl Ask {
    pub fn request(&self, workflow_id: &str) -> Request {
        let execution =
            || Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: String::new() });
        match self {
            Ask::Start(start) => Request::Start(Box::new(start.0.clone())),
            Ask::Cancel(stopping) => Request::Cancel(Box::new(RequestCancelWorkflowExecutionRequest {
                workflow_execution: execution(),
                identity: stopping.identity.clone(),
                request_id: stopping.request_id.clone(),
                first_execution_run_id: stopping.first_run_id.clone(),
                reason: stopping.reason.clone(),
                ..Default::default()
            })),
            Ask::Terminate(stopping) => Request::Terminate(Box::new(TerminateWorkflowExecutionRequest {
                workflow_execution: execution(),
                identity: stopping.identity.clone(),
                first_execution_run_id: stopping.first_run_id.clone(),
                reason: stopping.reason.clone(),
                ..Default::default()
            })),
            Ask::Watch { timeout_ms, .. } => Request::Watch {
                run_id: String::new(),
                seen: i64::MAX,
                until_closed: true,
                until_paused: false,
                timeout_ms: *timeout_ms,
            },
        }
    }

    /// What a workflow's answer means. `last_event` reads the event that closed a run, `creator` the request
    /// that created one: only the latest run of a chain knows its own, and a start that is repeated after the
    /// chain has gone on has to find out whether it is the one that began it.
    pub fn conclude(
        &self,
        answer: Result<Reply, Reject>,
        last_event: impl FnOnce(&Execution) -> Option<HistoryEvent>,
        creator: impl FnOnce(&str) -> Option<String>,
    ) -> Asked {
        match (self, answer) {
            (Ask::Start(_), Ok(Reply::Started(started))) => Asked::Started { run_id: started.run_id },
            (Ask::Start(start), Err(Reject::AlreadyStarted { first_run_id, .. }))
                if creator(&first_run_id).is_some_and(|creator| creator == start.request_id) =>
            {
                Asked::Started { run_id: first_run_id }
            }
            (Ask::Cancel(_) | Ask::Terminate(_), Ok(_) | Err(Reject::NotFound(_))) => Asked::Done,
            (Ask::Watch { first_run_id, .. }, Ok(Reply::State(state))) => {
                let execution = &state.execution;
                if execution.start.first_execution_run_id != *first_run_id {
                    return unknown_end();
                }
                if execution.is_running() || !execution.new_run_id.is_empty() {
                    return Asked::Running;
                }
                Asked::Closed(Box::new(closed(execution, last_event(execution))))
            }
            (Ask::Watch { .. }, Err(Reject::NotFound(_))) => unknown_end(),
            (_, Err(reject)) => Asked::Refused(reject),
            (_, Ok(_)) => Asked::Refused(Reject::Internal("unexpected answer to a schedule".to_owned())),
        }
    }
}

/// The chain is gone, and nobody knows what came of it: it runs no more, which is what matters.
fn unknown_end() -> Asked {
    Asked::Closed(Box::new(Closed { status: WorkflowExecutionStatus::Completed as i32, ..Closed::default() }))
}

fn closed(execution: &Execution, event: Option<HistoryEvent>) -> Closed {
    let (result, failure) = match event.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => (a.result, None),
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => (None, a.failure),
        _ => (None, None),
    };
    Closed { status: execution.status, result: result.map(Proto), failure: failure.map(Proto) }
}

/// Whether asking again may help.
pub fn is_passing(reject: &Reject) -> bool {
    matches!(
        reject,
        Reject::Unavailable(_)
            | Reject::Overloaded(_)
            | Reject::BusyWorkflow(_)
            | Reject::DeadlineExceeded(_)
            | Reject::Internal(_)
    )
}
