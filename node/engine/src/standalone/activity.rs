//! Activities that run on their own: the attempts of one, from its start to its outcome.
//!
//! As with a workflow's activity, that an attempt was handed out is recorded and nobody waits for it, unless
//! it is the only one that is allowed ([`must_be_durable_before_dispatch`]); a token is proof enough that
//! its attempt was started.

mod describe;
mod dispatch;
mod operations;
mod options;
mod respond;
mod start;
mod timeout;

pub(super) use describe::status;
pub use describe::{Shown, info, outcome};
pub use dispatch::{Owed, owed, take};
pub use operations::{pause, reset, unpause};
pub use options::update as update_options;
pub use respond::{cancel, complete, fail, heartbeat};
pub use start::start;
pub(super) use timeout::time_out;

use everlog_proto::api::{
    enums::v1::{RetryState, TimeoutType},
    failure::v1::Failure,
};

use super::{
    fact::{ActivityFact, StandaloneFact},
    state::{ActivityBody, Standalone, Status},
    turn::Turn,
};
use crate::{
    codec::Proto,
    decide::{
        activity::{all_deadlines, is_of_schedule, kept},
        retry::{self, Next},
    },
    time::Time,
};

pub use crate::decide::activity::must_be_durable_before_dispatch;

/// What an activity is up to, in the words of the real server's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Scheduled,
    Started,
    CancelRequested,
    Paused,
    PauseRequested,
    ResetRequested,
    Closed(Status),
}

impl Stage {
    pub fn of(state: &Standalone) -> Stage {
        let Some(body) = state.activity().filter(|_| state.is_running()) else {
            return Stage::Closed(state.status);
        };
        let is_paused = body.activity.is_paused();
        match is_held(body) {
            true if state.cancel.is_some() => Stage::CancelRequested,
            true if body.reset.is_some() => Stage::ResetRequested,
            true if is_paused => Stage::PauseRequested,
            true => Stage::Started,
            false if is_paused => Stage::Paused,
            false => Stage::Scheduled,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Stage::Scheduled => "Scheduled",
            Stage::Started => "Started",
            Stage::CancelRequested => "CancelRequested",
            Stage::Paused => "Paused",
            Stage::PauseRequested => "PauseRequested",
            Stage::ResetRequested => "ResetRequested",
            Stage::Closed(status) => status.name(),
        }
    }
}

/// Whether a worker has an attempt.
pub(super) fn is_held(body: &ActivityBody) -> bool {
    body.activity.started.is_some()
}

/// When the next attempt may be handed out, if one may.
pub(super) fn dispatch_time(body: &ActivityBody) -> Option<Time> {
    let activity = &body.activity;
    (activity.started.is_none() && !activity.is_paused()).then_some(activity.scheduled_time)
}

/// The time-outs that it can run into as it stands. While it is paused nobody is late to take it.
pub(super) fn deadlines(body: &ActivityBody) -> impl Iterator<Item = (TimeoutType, Time)> + use<> {
    let paused = body.activity.is_paused();
    all_deadlines(&body.activity).filter(move |(kind, _)| !paused || *kind != TimeoutType::ScheduleToStart)
}

fn record(turn: &mut Turn<'_>, fact: ActivityFact) {
    turn.fact(StandaloneFact::Activity(fact));
}

/// An attempt is over. Says why there is no other, if there is none; `last` is its failure in that case.
fn end_attempt(
    turn: &mut Turn<'_>,
    identity: Option<&str>,
    failure: Option<&Failure>,
    last: Option<&Failure>,
) -> Result<(), RetryState> {
    let now = turn.stamp.now;
    let Some(body) = turn.state.activity() else { return Err(RetryState::InternalServerError) };
    let attempt = body.activity.attempt;
    let reset = body.reset;
    let next = next(&turn.state, body, failure, now);
    // Of the failure of an attempt that is followed by another less is kept.
    let bytes_max = turn.stamp.limits.activity_failure_bytes_max;
    let kept = match next {
        Next::Retry { .. } => failure.map(|failure| kept(failure, bytes_max)),
        Next::Stop(_) => last.cloned(),
    };
    let (identity, failure) = (identity.map(str::to_owned), Some(kept.map(Proto)));
    record(turn, ActivityFact::AttemptEnded { at: now, identity, failure });
    let after = match next {
        Next::Retry { after } => after,
        Next::Stop(state) => return Err(state),
    };
    record(turn, ActivityFact::Retry { attempt: attempt + 1, scheduled_time: now + after, interval: after });
    if let Some(reset) = reset {
        if reset.restores_options {
            options::restore(turn);
        }
        record(
            turn,
            ActivityFact::Reset {
                scheduled_time: now,
                drops_heartbeats: reset.drops_heartbeats,
                keeps_pause: reset.keeps_pause,
            },
        );
    }
    Ok(())
}

fn next(state: &Standalone, body: &ActivityBody, failure: Option<&Failure>, now: Time) -> Next {
    let activity = &body.activity;
    let policy = activity.scheduled.retry_policy.as_ref();
    if state.cancel.is_some() {
        return Next::Stop(RetryState::CancelRequested);
    }
    if failure.is_some_and(is_of_schedule) {
        return Next::Stop(RetryState::Timeout);
    }
    // What is to begin anew has all its attempts before it.
    let attempt = if body.reset.is_some() { 0 } else { activity.attempt };
    retry::next_of_activity(policy, attempt, activity.expiration(), failure, now)
}
