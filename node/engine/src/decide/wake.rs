//! Time has passed: everything of this run that fell due happens, in one turn.

use everlog_proto::api::{
    enums::v1::{RetryState, TimeoutType, WorkflowTaskFailedCause},
    failure::v1::{Failure, TimeoutFailureInfo, failure::FailureInfo},
    history::v1::{WorkflowExecutionTimedOutEventAttributes, history_event::Attributes},
};

use crate::{
    decide::{
        Decided, activity, continue_as_new, delete, nexus, query,
        retry::{self, Next},
        terminate::{self, SERVER_IDENTITY},
        timer, workflow_task,
    },
    reply::Reply,
    time::Time,
    todo,
    turn::Turn,
};

pub fn wake(turn: &mut Turn<'_>) -> Decided {
    query::wake(turn);
    if turn.execution.deleted {
        // It is gone from the tables, and only in memory until the next turn of its workflow.
        return Ok(Some(Reply::Done));
    }
    if !turn.execution.is_running() {
        let is_over = turn.execution.retain_until.is_some_and(|until| until <= turn.stamp.now);
        if is_over && todo::messages(&turn.execution).is_empty() {
            delete::erase(turn);
        }
        return Ok(Some(Reply::Done));
    }
    if time_out_run(turn) {
        return Ok(Some(Reply::Done));
    }
    if turn.execution.is_backing_off() && turn.execution.execution_time <= turn.stamp.now {
        workflow_task::schedule_even_backing_off(turn);
    }
    let task_ended = workflow_task::wake(turn);
    let fired = timer::wake(turn);
    let closed = activity::wake(turn);
    let timed_out = nexus::wake(turn);
    if task_ended || fired || closed || timed_out {
        workflow_task::schedule_if_needed(turn);
    }
    Ok(Some(Reply::Done))
}

/// The run's own time-out and that of its whole chain.
fn time_out_run(turn: &mut Turn<'_>) -> bool {
    let now = turn.stamp.now;
    let due = |time: Option<Time>| time.is_some_and(|time| time <= now);
    let chain_ends = due(turn.execution.expiration());
    if !chain_ends && !due(turn.execution.run_expiration) {
        return false;
    }
    let failure = Failure {
        message: "workflow timeout".into(),
        source: "Server".into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: TimeoutType::StartToClose as i32,
            ..Default::default()
        })),
        ..Failure::default()
    };
    let next = if chain_ends {
        Next::Stop(RetryState::Timeout)
    } else {
        let execution = &turn.execution;
        let policy = execution.start.retry_policy.as_ref();
        retry::next(policy, execution.start.attempt, execution.expiration(), &failure, now)
    };
    workflow_task::fail_started(turn, WorkflowTaskFailedCause::ForceCloseCommand, None, SERVER_IDENTITY);
    turn.flush_buffer();
    let (retry_state, new_run_id) = match next {
        Next::Retry { after } => {
            let run_id = continue_as_new::retry(turn, after, failure);
            (RetryState::InProgress, run_id)
        }
        // A chain that has run out of time has no further run.
        Next::Stop(state) if chain_ends => (state, String::new()),
        Next::Stop(state) => (state, continue_as_new::cron(turn, None, Some(failure))),
    };
    turn.event(Attributes::WorkflowExecutionTimedOutEventAttributes(
        WorkflowExecutionTimedOutEventAttributes {
            retry_state: retry_state as i32,
            new_execution_run_id: new_run_id,
        },
    ));
    terminate::closed(turn);
    true
}
