//! Activities reset by hand: attempts are counted from one again.
//!
//! What waits is handed out at once. An attempt that a worker holds goes on if it was the first, and its
//! heartbeats tell the worker; a later one is no longer known by its number, so what its worker reports is
//! refused and the next attempt comes when it times out, as on the real server.

use everlog_proto::api::workflowservice::v1::{ResetActivityRequest, reset_activity_request};

use super::named::{Named, find, reschedule};
use crate::{codec::Proto, decide::Decided, fact::Record, reply::Reply, turn::Turn};

pub fn reset(turn: &mut Turn<'_>, request: &ResetActivityRequest) -> Decided {
    let named = match &request.activity {
        Some(reset_activity_request::Activity::Id(id)) => Named::Id(id),
        Some(reset_activity_request::Activity::Type(kind)) => Named::Type(kind),
        Some(reset_activity_request::Activity::MatchAll(_)) => Named::All,
        None => Named::Id(""),
    };
    for scheduled_event_id in find(turn, named)? {
        reset_one(turn, scheduled_event_id, request);
    }
    Ok(Some(Reply::Done))
}

fn reset_one(turn: &mut Turn<'_>, scheduled_event_id: i64, request: &ResetActivityRequest) {
    let Some(activity) = turn.execution.activities.get(&scheduled_event_id) else { return };
    let (waits, is_paused) = (activity.started.is_none(), activity.is_paused());
    let original = activity.original_options.clone().filter(|_| request.restore_original_options);

    turn.record(Record::ActivityAttemptsReset { scheduled_event_id });
    turn.record(Record::ActivityReset { scheduled_event_id, heartbeats: request.reset_heartbeat });
    if let Some(Proto(original)) = original {
        turn.record(Record::ActivityOptions { scheduled_event_id, options: Proto(original) });
    }
    if is_paused && request.keep_paused {
        return;
    }
    if is_paused {
        turn.record(Record::ActivityPaused { scheduled_event_id, pause: None });
    }
    if waits {
        reschedule(turn, scheduled_event_id, request.jitter.as_ref());
    }
}
