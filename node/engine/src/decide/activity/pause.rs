//! Activities paused by hand, and let go on.
//!
//! A paused activity is not handed out and does not time out. An attempt that a worker holds goes on, and
//! its heartbeats tell the worker; if it fails, the next one waits. No event tells of any of this: to the
//! workflow the activity merely takes longer.

use everlog_proto::api::workflowservice::v1::{
    PauseActivityRequest, UnpauseActivityRequest, pause_activity_request, unpause_activity_request,
};

use super::named::{Named, find, reschedule};
use crate::{decide::Decided, execution::Pause, fact::Record, reject::Reject, reply::Reply, turn::Turn};

pub fn pause(turn: &mut Turn<'_>, request: &PauseActivityRequest) -> Decided {
    let named = match &request.activity {
        Some(pause_activity_request::Activity::Id(id)) => Named::Id(id),
        Some(pause_activity_request::Activity::Type(kind)) => Named::Type(kind),
        None => Named::Id(""),
    };
    let chosen = find(turn, named)?;
    let paused = |id: &i64| turn.execution.activities.get(id).and_then(|activity| activity.pause.as_ref());
    let is_other = |pause: &Pause| pause.request_id != request.request_id;
    if chosen.iter().filter_map(paused).any(is_other) {
        return Err(Reject::FailedPrecondition("activity is already paused".into()));
    }
    let chosen: Vec<i64> = chosen.into_iter().filter(|id| paused(id).is_none()).collect();
    for scheduled_event_id in chosen {
        let pause = Pause {
            time: turn.stamp.now,
            identity: request.identity.clone(),
            reason: request.reason.clone(),
            request_id: request.request_id.clone(),
        };
        turn.record(Record::ActivityPaused { scheduled_event_id, pause: Some(pause) });
    }
    Ok(Some(Reply::Done))
}

/// What is not paused is left as it is.
pub fn unpause(turn: &mut Turn<'_>, request: &UnpauseActivityRequest) -> Decided {
    let named = match &request.activity {
        Some(unpause_activity_request::Activity::Id(id)) => Named::Id(id),
        Some(unpause_activity_request::Activity::Type(kind)) => Named::Type(kind),
        Some(unpause_activity_request::Activity::UnpauseAll(_)) => Named::All,
        None => Named::Id(""),
    };
    for scheduled_event_id in find(turn, named)? {
        let Some(activity) = turn.execution.activities.get(&scheduled_event_id) else { continue };
        if !activity.is_paused() {
            continue;
        }
        let waits = activity.started.is_none();
        turn.record(Record::ActivityPaused { scheduled_event_id, pause: None });
        if request.reset_attempts {
            turn.record(Record::ActivityAttemptsReset { scheduled_event_id });
        }
        if request.reset_heartbeat {
            turn.record(Record::ActivityHeartbeatForgotten { scheduled_event_id });
        }
        if waits {
            reschedule(turn, scheduled_event_id, request.jitter.as_ref());
        }
    }
    Ok(Some(Reply::Done))
}
