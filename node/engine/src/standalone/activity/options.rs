//! Options changed by hand. They hold for whatever comes next: the time-outs of a running attempt, the
//! back-off under way, the queue in which a task waits.

use std::{collections::BTreeSet, time::Duration};

use everlog_proto::api::{
    activity::v1::ActivityOptions, workflowservice::v1::UpdateActivityExecutionOptionsRequest,
};

use super::{Stage, record};
use crate::{
    codec::Proto,
    decide::{
        activity::{camel_case, merge_options, normalise_timeouts},
        retry,
    },
    reject::Reject,
    reply::Reply,
    standalone::{
        fact::{ActivityFact, options_of},
        state::ActivityBody,
        turn::Turn,
    },
    time::{Time, duration, proto_duration},
};

pub fn update(turn: &mut Turn<'_>, request: &UpdateActivityExecutionOptionsRequest) -> Result<Reply, Reject> {
    let stage = Stage::of(&turn.state);
    if matches!(stage, Stage::CancelRequested | Stage::ResetRequested | Stage::Closed(_)) {
        let message = format!("Cannot update options for activity in state {}", stage.name());
        return Err(Reject::FailedPrecondition(message));
    }
    if request.restore_original {
        restore(turn);
    } else {
        let Some(body) = turn.state.activity() else { return Err(Reject::Internal("no activity".into())) };
        let (options, start_delay) = merged(body, stage, request, turn.stamp.now)?;
        change(turn, options, start_delay);
    }
    let shown = turn.state.activity().map(|body| ActivityOptions {
        start_delay: body.start_delay.map(proto_duration),
        ..options_of(body)
    });
    Ok(Reply::ActivityOptions(Box::new(shown.unwrap_or_default())))
}

fn merged(
    body: &ActivityBody,
    stage: Stage,
    request: &UpdateActivityExecutionOptionsRequest,
    now: Time,
) -> Result<(ActivityOptions, Option<Duration>), Reject> {
    let from = request.activity_options.clone().unwrap_or_default();
    let paths = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    let fields: BTreeSet<String> = paths.iter().map(|path| camel_case(path)).collect();
    let activity = &body.activity;
    let mut start_delay = body.start_delay;
    if fields.contains("startDelay") {
        let waits = activity.last_started_time.is_none() && activity.first_scheduled_time > now;
        if stage != Stage::Scheduled || !waits {
            return Err(Reject::FailedPrecondition(
                "cannot update start_delay: the first activity attempt has already been dispatched".into(),
            ));
        }
        start_delay = from.start_delay.map(|delay| duration(Some(&delay)));
    }
    let mut options = merge_options(options_of(body), &from, &fields)?;
    normalise_timeouts(activity.id(), activity.kind(), &mut options).map_err(Reject::InvalidArgument)?;
    Ok((options, start_delay))
}

/// The options of the start count again.
pub(super) fn restore(turn: &mut Turn<'_>) {
    let Some(body) = turn.state.activity() else { return };
    let Some(original) = body.activity.original_options.clone() else { return };
    let is_untouched = body.activity.last_started_time.is_none();
    let start_delay = if is_untouched { body.original_start_delay } else { body.start_delay };
    change(turn, original.0, start_delay);
}

fn change(turn: &mut Turn<'_>, options: ActivityOptions, start_delay: Option<Duration>) {
    let Some(body) = turn.state.activity() else { return };
    let activity = &body.activity;
    let first = turn.state.start_time + start_delay.unwrap_or_default();
    let waits = activity.started.is_none();
    let (scheduled_time, interval) = match (activity.retry_interval, activity.last_attempt_complete_time) {
        (Some(_), Some(ended)) if waits => {
            let policy = options.retry_policy.clone().unwrap_or_default();
            let interval = retry::interval(&policy, activity.attempt - 1);
            (ended + interval, Some(interval))
        }
        _ if waits && activity.last_started_time.is_none() => {
            let is_moved = start_delay != body.start_delay;
            (if is_moved { first } else { activity.scheduled_time }, None)
        }
        (interval, _) => (activity.scheduled_time, interval),
    };
    record(turn, ActivityFact::Options { options: Proto(options), start_delay, scheduled_time, interval });
}
