//! Which activities of a run somebody means who operates on them by hand.

use crate::{fact::Record, reject::Reject, time::set_duration, turn::Turn};

#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Id(&'a str),
    Type(&'a str),
    All,
}

/// The pending activities that are meant, by their scheduled event ids: at least one.
pub(super) fn find(turn: &Turn<'_>, named: Named<'_>) -> Result<Vec<i64>, Reject> {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    let chosen: Vec<i64> = turn
        .execution
        .activities
        .iter()
        .filter(|(_, activity)| match named {
            Named::Id(id) => activity.id() == id,
            Named::Type(kind) => activity.kind() == kind,
            Named::All => true,
        })
        .map(|(id, _)| *id)
        .collect();
    if chosen.is_empty() {
        let message =
            "Can't find pending activity with such ID. Invalid activityID or activity already completed";
        return Err(Reject::NotFound(message.into()));
    }
    Ok(chosen)
}

/// An activity that nobody holds may be handed out now, or within the jitter that the caller asks for: many
/// that are set going together shall not arrive together.
pub(super) fn reschedule(
    turn: &mut Turn<'_>,
    scheduled_event_id: i64,
    jitter: Option<&prost_types::Duration>,
) {
    let jitter = set_duration(jitter).map_or(0, |jitter| jitter.as_nanos() as u64);
    let offset = if jitter == 0 { 0 } else { turn.stamp.chance() % jitter };
    let scheduled_time = turn.stamp.now + std::time::Duration::from_nanos(offset);
    turn.record(Record::ActivityRescheduled { scheduled_event_id, scheduled_time });
}
