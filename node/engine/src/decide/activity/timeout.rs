//! The four time-outs of an activity.
//!
//! Two are counted from a schedule and end the activity: nobody took the attempt in time, or all attempts
//! together took too long. Two are counted from the start of an attempt and end that attempt only; whether
//! there is another is decided as for a failure.

use everlog_proto::api::{
    enums::v1::{RetryState, TimeoutType},
    failure::v1::failure::FailureInfo,
    history::v1::{ActivityTaskTimedOutEventAttributes, history_event::Attributes},
};

use super::failure;
use crate::{
    execution::Activity,
    time::{Time, set_duration},
    turn::Turn,
};

/// A time-out of one attempt, in the order in which such fall due: by time, then activity, then type
/// (service/history/workflow/timer_sequence.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Time,
    scheduled_event_id: i64,
    kind: TimeoutType,
    attempt: i32,
}

/// Carries out what is due. Returns whether an activity was closed by it, which the workflow has to hear
/// of. A retry whose back-off has passed needs nothing here: it simply is owed.
pub fn wake(turn: &mut Turn<'_>) -> bool {
    let now = turn.stamp.now;
    let mut due: Vec<Due> = turn
        .execution
        .activities
        .iter()
        .flat_map(|(id, activity)| {
            deadlines(activity).map(|(kind, at)| Due {
                at,
                scheduled_event_id: *id,
                kind,
                attempt: activity.attempt,
            })
        })
        .filter(|due| due.at <= now)
        .collect();
    // Of two at the same moment the one that says more decides: nobody took it, all took too long, one did.
    due.sort_unstable_by_key(|due| (due.at, due.scheduled_event_id, rank(due.kind)));
    let mut closed = false;
    for due in due {
        // An earlier time-out may have closed the activity, or replaced the attempt that this is of.
        let attempt = turn.execution.activities.get(&due.scheduled_event_id).map(|activity| activity.attempt);
        if attempt == Some(due.attempt) {
            closed |= time_out(turn, due.scheduled_event_id, due.kind);
        }
    }
    closed
}

pub(crate) fn rank(kind: TimeoutType) -> u8 {
    match kind {
        TimeoutType::ScheduleToStart => 0,
        TimeoutType::ScheduleToClose => 1,
        TimeoutType::StartToClose => 2,
        _ => 3,
    }
}

/// All time-outs that an activity, as it stands, can run into.
/// A paused one runs into none; what has fallen due meanwhile happens when it goes on.
pub(super) fn deadlines(activity: &Activity) -> impl Iterator<Item = (TimeoutType, Time)> + use<> {
    let paused = activity.is_paused();
    all_deadlines(activity).filter(move |_| !paused)
}

/// The same, paused or not.
pub(crate) fn all_deadlines(activity: &Activity) -> impl Iterator<Item = (TimeoutType, Time)> + use<> {
    let scheduled = &activity.scheduled;
    let after = |from: Time, timeout: Option<&prost_types::Duration>| {
        set_duration(timeout).map(|timeout| from + timeout)
    };
    let schedule_to_start = match &activity.started {
        None => after(activity.scheduled_time, scheduled.schedule_to_start_timeout.as_ref()),
        Some(_) => None,
    };
    let (start_to_close, heartbeat) = match &activity.started {
        None => (None, None),
        Some(start) => {
            let alive = activity.heartbeat_time.map_or(start.time, |beat| beat.max(start.time));
            (
                after(start.time, scheduled.start_to_close_timeout.as_ref()),
                after(alive, scheduled.heartbeat_timeout.as_ref()),
            )
        }
    };
    [
        (TimeoutType::ScheduleToClose, activity.expiration()),
        (TimeoutType::ScheduleToStart, schedule_to_start),
        (TimeoutType::StartToClose, start_to_close),
        (TimeoutType::Heartbeat, heartbeat),
    ]
    .into_iter()
    .filter_map(|(kind, at)| Some((kind, at?)))
}

fn time_out(turn: &mut Turn<'_>, scheduled_event_id: i64, kind: TimeoutType) -> bool {
    let failure = failure::timeout(kind);
    let Err(retry_state) = super::retry(turn, scheduled_event_id, Some(&failure)) else { return false };
    let Some(activity) = turn.execution.activities.get(&scheduled_event_id) else { return false };
    let mut failure = if retry_state == RetryState::Timeout && kind != TimeoutType::ScheduleToStart {
        failure::no_time_to_retry()
    } else {
        failure
    };
    if let Some(FailureInfo::TimeoutFailureInfo(info)) = &mut failure.failure_info {
        info.last_heartbeat_details = activity.heartbeat_details.clone().map(|details| details.0);
    }
    failure.cause = activity.last_failure.clone().map(|failure| Box::new(failure.0));
    let start = activity.started.clone();
    super::close(turn, scheduled_event_id, start.as_ref(), |started_event_id| {
        Attributes::ActivityTaskTimedOutEventAttributes(ActivityTaskTimedOutEventAttributes {
            failure: Some(failure),
            scheduled_event_id,
            started_event_id,
            retry_state: retry_state as i32,
        })
    });
    true
}
