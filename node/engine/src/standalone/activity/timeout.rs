//! The four time-outs. Two are counted from a schedule and end the activity; two are counted from the start
//! of an attempt and end that attempt, which may be followed by another.

use everlog_proto::api::{
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use super::{deadlines, end_attempt};
use crate::{
    codec::Proto,
    decide::activity::{no_time_to_retry, timed_out, timeout_rank},
    standalone::{
        state::{Outcome, Status},
        turn::Turn,
    },
    time::Time,
};

/// Carries out what is due. A back-off that has passed needs nothing here: an attempt simply is owed.
pub(in crate::standalone) fn time_out(turn: &mut Turn<'_>) {
    let now = turn.stamp.now;
    let Some(body) = turn.state.activity() else { return };
    // Of two at the same moment the one that says more decides. One is all that can happen to an attempt.
    let due: Option<(Time, u8, TimeoutType)> = deadlines(body)
        .filter(|(_, at)| *at <= now)
        .map(|(kind, at)| (at, timeout_rank(kind), kind))
        .min_by_key(|(at, rank, _)| (*at, *rank));
    let Some((_, _, kind)) = due else { return };
    // Only the last of several that follow each other tells of what was before.
    let plain = Failure { source: String::new(), ..timed_out(kind) };
    let failure = described(turn, plain.clone());
    let retry_state = match kind {
        TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose => RetryState::Timeout,
        _ => match end_attempt(turn, None, Some(&plain), Some(&failure)) {
            Ok(()) => return,
            Err(state) => state,
        },
    };
    let is_of_attempt = matches!(kind, TimeoutType::StartToClose | TimeoutType::Heartbeat);
    let failure = if is_of_attempt && retry_state == RetryState::Timeout {
        Failure { cause: failure.cause.clone(), ..described(turn, no_time_to_retry()) }
    } else {
        failure
    };
    let outcome = Outcome { result: None, failure: Some(Proto(failure)), retry_state: retry_state as i32 };
    turn.close(Status::TimedOut, outcome, "");
}

/// With the last heartbeat, and the failure before as its cause. The real server names no source here.
fn described(turn: &Turn<'_>, mut failure: Failure) -> Failure {
    let Some(body) = turn.state.activity() else { return failure };
    if let Some(FailureInfo::TimeoutFailureInfo(info)) = &mut failure.failure_info {
        info.last_heartbeat_details = body.activity.heartbeat_details.clone().map(|details| details.0);
    }
    failure.source = String::new();
    failure.cause = body.activity.last_failure.clone().map(|failure| Box::new(failure.0));
    failure
}
