//! What operators do: pause, let go on, begin anew.
//!
//! A paused activity is not handed out; the time for all its attempts goes on. An attempt that a worker
//! holds goes on too, and its heartbeats tell the worker what is asked for; if it fails, what was asked for
//! takes effect.

use std::time::Duration;

use everlog_proto::api::workflowservice::v1::{
    PauseActivityExecutionRequest, ResetActivityExecutionRequest, UnpauseActivityExecutionRequest,
};

use super::{Stage, options, record};
use crate::{
    execution::Pause,
    reject::Reject,
    reply::Reply,
    standalone::{control::in_terminal_state, fact::ActivityFact, state::ResetRequest, turn::Turn},
    time::{Time, set_duration},
};

pub fn pause(turn: &mut Turn<'_>, request: &PauseActivityExecutionRequest) -> Result<Reply, Reject> {
    let stage = Stage::of(&turn.state);
    let pause = turn.state.activity().and_then(|body| body.activity.pause.as_ref());
    match stage {
        Stage::Scheduled | Stage::Started => {}
        Stage::Paused | Stage::PauseRequested
            if pause.is_some_and(|pause| pause.request_id == request.request_id) =>
        {
            return Ok(Reply::Done);
        }
        _ => {
            let message = format!("activity is in non-pausable state {}", stage.name());
            return Err(Reject::FailedPrecondition(message));
        }
    }
    let pause = Pause {
        time: turn.stamp.now,
        identity: request.identity.clone(),
        reason: request.reason.clone(),
        request_id: request.request_id.clone(),
    };
    record(turn, ActivityFact::Paused(pause));
    Ok(Reply::Done)
}

/// A back-off that has not passed goes on.
pub fn unpause(turn: &mut Turn<'_>, request: &UnpauseActivityExecutionRequest) -> Result<Reply, Reject> {
    let now = turn.stamp.now;
    let scheduled_time = match Stage::of(&turn.state) {
        Stage::PauseRequested => None,
        Stage::Paused => {
            let waits_until = turn.state.activity().map_or(now, |body| body.activity.scheduled_time);
            (waits_until <= now).then(|| jittered(turn, request.jitter.as_ref()))
        }
        Stage::Closed(status) => return Err(in_terminal_state(turn.state.run.kind, status)),
        stage => {
            let message = format!("activity is in non-unpausable state {}", stage.name());
            return Err(Reject::FailedPrecondition(message));
        }
    };
    record(turn, ActivityFact::Unpaused { scheduled_time });
    Ok(Reply::Done)
}

pub fn reset(turn: &mut Turn<'_>, request: &ResetActivityExecutionRequest) -> Result<Reply, Reject> {
    let refuse = |message: &str| Err(Reject::FailedPrecondition(message.into()));
    let stage = Stage::of(&turn.state);
    match stage {
        Stage::Scheduled | Stage::Paused | Stage::Started | Stage::PauseRequested => {}
        Stage::CancelRequested => return refuse("cannot reset an activity with a pending cancellation"),
        Stage::ResetRequested => return refuse("cannot reset an activity with a pending reset"),
        Stage::Closed(_) => return refuse("activity execution is not running"),
    }
    let is_paused = matches!(stage, Stage::Paused | Stage::PauseRequested);
    let keeps_pause = is_paused && request.keep_paused;
    if matches!(stage, Stage::Started | Stage::PauseRequested) {
        record(
            turn,
            ActivityFact::ResetRequested(ResetRequest {
                drops_heartbeats: request.reset_heartbeat,
                keeps_pause,
                restores_options: request.restore_original_options,
            }),
        );
        return Ok(Reply::Done);
    }
    if request.restore_original_options {
        options::restore(turn);
    }
    let scheduled_time = jittered(turn, request.jitter.as_ref());
    let drops_heartbeats = request.reset_heartbeat;
    record(turn, ActivityFact::Reset { scheduled_time, drops_heartbeats, keeps_pause });
    Ok(Reply::Done)
}

/// Now, or within the jitter that the caller asks for; not before the start delay of what nobody has had yet.
fn jittered(turn: &Turn<'_>, jitter: Option<&prost_types::Duration>) -> Time {
    let jitter = set_duration(jitter).map_or(0, |jitter| jitter.as_nanos() as u64);
    let offset = if jitter == 0 { 0 } else { turn.stamp.chance() % jitter };
    let at = turn.stamp.now + Duration::from_nanos(offset);
    match turn.state.activity() {
        Some(body) if body.activity.last_started_time.is_none() => at.max(body.activity.first_scheduled_time),
        _ => at,
    }
}
