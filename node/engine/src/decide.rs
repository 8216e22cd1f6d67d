//! The decider: one match over requests, a verb a file.
//!
//! A verb gets the [`Turn`] of the run it concerns, refuses before it adds anything, or adds events and
//! records. Nothing here waits, reads a clock or touches a disk.

pub mod activity;
pub mod attributes;
pub mod callback;
pub mod cancel;
pub mod child;
pub mod command;
pub mod continue_as_new;
pub mod delete;
pub mod deliver;
pub mod external;
pub mod nexus;
pub mod options;
pub mod pause;
pub mod query;
pub mod reset;
pub mod retry;
pub mod signal;
pub mod start;
pub mod terminate;
pub mod timer;
pub mod update;
pub mod wake;
pub mod workflow_task;

#[cfg(test)]
mod stories;

use everlog_proto::api::enums::v1::WorkflowTaskFailedCause;

pub(crate) use start::json_string;

use crate::{
    event,
    execution::{Execution, event_type},
    fact::Fact,
    reject::Reject,
    reply::Reply,
    request::Request,
    turn::Turn,
    volatile::Volatile,
};

/// The outcome of a verb: an answer for now, or none if the caller waits (a query, a watch).
pub type Decided = Result<Option<Reply>, Reject>;

/// A command of a worker that cannot be carried out. The workflow task fails with this cause; the
/// message is what the worker reads.
#[derive(Clone, Debug, PartialEq)]
pub struct BadCommand {
    pub cause: WorkflowTaskFailedCause,
    pub message: String,
    /// The command is too large to be kept: the whole run is terminated.
    pub terminates: bool,
    /// The call is refused and nothing else happens: the task stays with the worker.
    pub only_call: bool,
}

impl BadCommand {
    pub fn new(cause: WorkflowTaskFailedCause, message: impl Into<String>) -> BadCommand {
        BadCommand { cause, message: message.into(), terminates: false, only_call: false }
    }

    /// `Cause: message`, as the worker and the history read it.
    pub fn text(&self) -> String {
        let cause = cause_name(self.cause);
        if self.message.is_empty() { cause } else { format!("{cause}: {}", self.message) }
    }

    pub fn too_large(cause: WorkflowTaskFailedCause, message: impl Into<String>) -> BadCommand {
        BadCommand { terminates: true, ..BadCommand::new(cause, message) }
    }

    pub fn of_call(message: impl Into<String>) -> BadCommand {
        BadCommand { only_call: true, ..BadCommand::new(WorkflowTaskFailedCause::Unspecified, message) }
    }
}

/// Decides a request to an existing run. Starts are decided in [`start`], which may create one.
pub fn decide(turn: &mut Turn<'_>, call: u64, request: &Request) -> Decided {
    update::remember(turn);
    match request {
        Request::Signal(request) => signal::signal(turn, request),
        Request::Cancel(request) => cancel::request_cancel(turn, request),
        Request::Terminate(request) => terminate::terminate(turn, request),
        Request::Delete { .. } => delete::delete(turn),
        Request::ResetSticky { .. } => workflow_task::reset_sticky(turn),

        Request::TakeWorkflowTask(take) => workflow_task::take(turn, take),
        Request::CompleteWorkflowTask { token, request, namespaces } => {
            workflow_task::complete(turn, token, request, namespaces)
        }
        Request::FailWorkflowTask { token, request } => workflow_task::fail(turn, token, request),
        Request::NoPoller { scheduled_event_id, query, sticky, .. } => {
            workflow_task::no_poller(turn, *scheduled_event_id, *query, *sticky)
        }

        Request::TakeActivityTask(take) => activity::take(turn, take),
        Request::CompleteActivity { of, request } => activity::complete(turn, of, request),
        Request::FailActivity { of, request } => activity::fail(turn, of, request),
        Request::CancelActivity { of, request } => activity::cancel(turn, of, request),
        Request::HeartbeatActivity { of, details, identity } => {
            activity::heartbeat(turn, of, details.as_deref(), identity)
        }

        Request::PauseActivity(request) => activity::pause(turn, request),
        Request::UnpauseActivity(request) => activity::unpause(turn, request),
        Request::ResetActivity(request) => activity::reset(turn, request),
        Request::UpdateActivityOptions(request) => activity::update_options(turn, request),
        Request::UpdateOptions(request) => options::update(turn, request),
        Request::PauseWorkflow(request) => pause::pause(turn, request),
        Request::UnpauseWorkflow(request) => pause::unpause(turn, request),

        Request::Query { query, reject, timeout_ms, .. } => {
            query::query(turn, call, query, *reject, *timeout_ms)
        }
        Request::TakeQuery(take) => query::take(turn, take),
        Request::AnswerQuery { token, request } => query::answer(turn, token, request),

        Request::Update { request, timeout_ms } => update::update(turn, call, request, *timeout_ms),
        Request::PollUpdate { update_id, stage, timeout_ms, .. } => {
            update::poll(turn, call, update_id, *stage, *timeout_ms)
        }

        Request::Message(message) => deliver::deliver(turn, message),
        Request::Delivered { subject, outcome, namespace, .. } => {
            deliver::delivered(turn, *subject, outcome, namespace)
        }

        Request::Wake => wake::wake(turn),

        Request::Start(_)
        | Request::SignalWithStart(_)
        | Request::UpdateWithStart { .. }
        | Request::Reset { .. }
        | Request::Read { .. }
        | Request::Watch { .. } => {
            Err(Reject::Internal(format!("{} is not decided by a run", request.kind())))
        }
    }
}

/// The cause as the real server spells it in messages: `BadStartTimerAttributes`.
fn cause_name(cause: WorkflowTaskFailedCause) -> String {
    let name = cause.as_str_name().trim_start_matches("WORKFLOW_TASK_FAILED_CAUSE_");
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => format!("{first}{}", rest.to_ascii_lowercase()),
        None => String::new(),
    };
    name.split('_').map(word).collect()
}

/// What every turn owes before it ends: to the limits, if a buffer or a history grew too large; to the
/// callers of queries, if the run has closed and no workflow task will come to carry them; to updates.
pub fn settle(turn: &mut Turn<'_>) {
    keep_limits(turn);
    update::settle(turn);
    if !turn.execution.is_running() {
        query::unblock(turn);
    }
}

fn keep_limits(turn: &mut Turn<'_>) {
    let limits = turn.stamp.limits;
    let execution = &turn.execution;
    if !execution.is_running() {
        return;
    }
    let overflows = execution.buffered.len() > limits.buffered_events_max
        || execution.buffered_bytes() > limits.buffered_bytes_max;
    if overflows && turn.volatile.started.is_some() {
        let cause = WorkflowTaskFailedCause::ForceCloseCommand;
        workflow_task::fail_started(turn, cause, None, terminate::SERVER_IDENTITY);
        turn.flush_buffer();
        workflow_task::schedule_if_needed(turn);
    }
}

/// What a run was like before a turn.
pub struct Before {
    history_bytes: i64,
    is_started: bool,
}

impl Before {
    pub fn of(execution: &Execution, volatile: &Volatile) -> Before {
        Before { history_bytes: execution.history_bytes, is_started: volatile.started.is_some() }
    }
}

/// Why a turn must not be, if the run has outgrown its limits: then the run ends instead, and the request is refused.
/// Its size is that before the turn; of its events those count that a workflow task has to wait for.
pub fn outgrown(turn: &Turn<'_>, before: &Before) -> Option<&'static str> {
    let (execution, limits) = (&turn.execution, turn.stamp.limits);
    let is_started = turn.volatile.started.is_some();
    if !execution.is_running() || (turn.facts.is_empty() && is_started == before.is_started) {
        return None;
    }
    // That a task was started is written with its completion.
    let started = turn.volatile.started.as_ref().is_some_and(|task| task.attempt == 1);
    let unseen = turn.facts.iter().rev().map_while(|fact| match fact {
        Fact::Event(fact) => event::waits_for_task(event_type(&fact.event)).then_some(1),
        Fact::Record(_) => Some(0),
        Fact::Flushed(_) => None,
    });
    let events = execution.history_length() + i64::from(started) - unseen.sum::<i64>();
    if before.history_bytes > limits.history_bytes_max {
        Some("Workflow history size exceeds limit.")
    } else if events > limits.history_events_max {
        Some("Workflow history count exceeds limit.")
    } else {
        None
    }
}

/// The end of a run that has outgrown its limits.
pub fn end_outgrown(turn: &mut Turn<'_>, reason: &str) -> Reply {
    terminate::end(turn, reason, None, terminate::SERVER_IDENTITY, Vec::new());
    settle(turn);
    Reply::Refused(Reject::InvalidArgument(reason.to_owned()))
}
