//! Activities: scheduled by a workflow's commands, tried until they close.
//!
//! The history shows one Scheduled event and, much later, one Started event next to the event that closed
//! the activity. What happens in between (attempts, their failures, heartbeats) are records: a thousand
//! retries cost the history nothing. So the Started event tells of the last attempt only, and carries the
//! time at which that attempt really began.
//!
//! That an attempt was handed out is recorded, but nobody waits for it: if the record is lost with its
//! leader, the attempt is handed out once more, and whoever answers first has done it. The token says
//! what the record would have said. Where only one attempt is allowed that would be one too many, hence
//! [`must_be_durable_before_dispatch`].

mod command;
mod describe;
mod dispatch;
mod failure;
mod named;
mod options;
mod pause;
mod reset;
mod respond;
mod timeout;

#[cfg(test)]
mod tests;

pub use command::{check_options, normalise_start, request_cancel, schedule};
pub use describe::pending_info;
pub use dispatch::{priority, start_eagerly, take};
pub use failure::oversize;
pub use options::update as update_options;
pub use pause::{pause, unpause};
pub use reset::reset;
pub use respond::{cancel, complete, fail, heartbeat};
pub use timeout::wake;

// What activities that run on their own share with those of workflows.
pub(crate) use command::{normalise_timeouts, priority_fault};
pub(crate) use failure::{
    CANCEL_DETAILS_TOO_LARGE, HEARTBEAT_TOO_LARGE, RESULT_TOO_LARGE, by_server, kept, no_time_to_retry,
    reported, timeout as timed_out,
};
pub use options::camel_case;
pub(crate) use options::merge as merge_options;
pub(crate) use timeout::{all_deadlines, rank as timeout_rank};

use std::time::Duration;

use everlog_proto::api::{
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{ActivityTaskStartedEventAttributes, history_event::Attributes},
};

use crate::{
    codec::Proto,
    decide::retry::{self, Next},
    execution::{Activity, ActivityStart},
    fact::Record,
    time::Time,
    turn::Turn,
};

/// At most one attempt may ever run: its start has to be on disk before a worker hears of it.
pub fn must_be_durable_before_dispatch(activity: &Activity) -> bool {
    activity.scheduled.retry_policy.as_ref().is_some_and(|policy| policy.maximum_attempts == 1)
}

/// Owes another attempt after this failure, or says why there is none.
fn retry(turn: &mut Turn<'_>, scheduled_event_id: i64, failure: Option<&Failure>) -> Result<(), RetryState> {
    let now = turn.stamp.now;
    let Some(activity) = turn.execution.activities.get(&scheduled_event_id) else {
        return Err(RetryState::InternalServerError);
    };
    let after = match next(activity, failure, now) {
        Next::Retry { after } => after,
        Next::Stop(state) => return Err(state),
    };
    // Whoever lets a paused one go on says when the next attempt may run.
    let scheduled_time = if activity.is_paused() { activity.scheduled_time } else { now + after };
    let kept_bytes_max = turn.stamp.limits.activity_failure_bytes_max;
    let record = Record::ActivityRetry {
        scheduled_event_id,
        attempt: activity.attempt + 1,
        scheduled_time,
        interval: after,
        failure: failure.map(|failure| Proto(failure::kept(failure, kept_bytes_max))),
        at: now,
    };
    turn.record(record);
    Ok(())
}

fn next(activity: &Activity, failure: Option<&Failure>, now: Time) -> Next {
    let policy = activity.scheduled.retry_policy.as_ref();
    if policy.is_some() && activity.cancel_requested() {
        return Next::Stop(RetryState::CancelRequested);
    }
    if policy.is_some() && failure.is_some_and(is_of_schedule) {
        return Next::Stop(RetryState::Timeout);
    }
    if activity.is_paused()
        && let Some(policy) = policy
    {
        // Attempts and time are not counted while it is paused: that is for whoever paused it to judge.
        let is_final =
            failure.is_some_and(|failure| !retry::is_retryable(failure, &policy.non_retryable_error_types));
        let stop = Next::Stop(RetryState::NonRetryableFailure);
        return if is_final { stop } else { Next::Retry { after: Duration::ZERO } };
    }
    retry::next_of_activity(policy, activity.attempt, activity.expiration(), failure, now)
}

/// These time-outs are counted from the schedule, so another attempt would run into them as well.
pub(crate) fn is_of_schedule(failure: &Failure) -> bool {
    let Some(FailureInfo::TimeoutFailureInfo(info)) = &failure.failure_info else { return false };
    matches!(info.timeout_type(), TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose)
}

/// Writes the event that closes an activity, after the Started event of the attempt that is in a worker's
/// hands, if one is. The closing event is told the id of that one, or 0 (an id that has to wait for the
/// running workflow task is filled in later).
fn close(
    turn: &mut Turn<'_>,
    scheduled_event_id: i64,
    start: Option<&ActivityStart>,
    closing: impl FnOnce(i64) -> Attributes,
) {
    let started_event_id = match start {
        Some(start) => write_started(turn, scheduled_event_id, start),
        None => 0,
    };
    turn.event(closing(started_event_id));
}

fn write_started(turn: &mut Turn<'_>, scheduled_event_id: i64, start: &ActivityStart) -> i64 {
    let activity = turn.execution.activities.get(&scheduled_event_id);
    let attributes = ActivityTaskStartedEventAttributes {
        scheduled_event_id,
        identity: start.identity.clone(),
        request_id: start.request_id.clone(),
        attempt: activity.map_or(1, |activity| activity.attempt),
        last_failure: activity.and_then(|activity| activity.last_failure.clone()).map(|failure| failure.0),
        #[allow(deprecated, reason = "workers without deployments say only this")]
        worker_version: super::workflow_task::stamp_of(&start.build_id),
        ..Default::default()
    };
    turn.event_at(start.time, Attributes::ActivityTaskStartedEventAttributes(attributes))
}
