//! What workers, and clients on their behalf, report of an attempt: done, failed, cancelled, still at it.

use everlog_proto::api::{
    common::v1::Payloads,
    failure::v1::{Failure, failure::FailureInfo},
    workflowservice::v1::{
        RespondActivityTaskCanceledRequest, RespondActivityTaskCompletedRequest,
        RespondActivityTaskFailedRequest,
    },
};
use prost::Message;

use super::{Stage, end_attempt, record};
use crate::{
    codec::Proto,
    decide::activity::{
        CANCEL_DETAILS_TOO_LARGE, HEARTBEAT_TOO_LARGE, RESULT_TOO_LARGE, by_server, reported,
    },
    execution::ActivityStart,
    planted,
    reject::Reject,
    reply::Reply,
    standalone::{
        control,
        fact::ActivityFact,
        request::{AttemptRef, invalid_transition, not_found},
        state::{Outcome, Status},
        turn::Turn,
    },
    token::TokenTask,
};

pub fn complete(
    turn: &mut Turn<'_>,
    of: &AttemptRef,
    request: &RespondActivityTaskCompletedRequest,
) -> Result<Reply, Reject> {
    let is_over = !turn.state.is_running() && !planted::is("standalone_ends_twice");
    if matches!(of, AttemptRef::Id { .. }) && is_over {
        return Err(invalid_transition(turn.state.status));
    }
    // Whoever knows the id may complete what no worker has, as if he had been that worker.
    let start = find(turn, of, &request.identity)?;
    if is_too_large(turn, request.result.as_ref()) {
        start.ok_or_else(|| unknown(turn))?;
        fail_attempt(turn, Some(by_server(RESULT_TOO_LARGE)), &request.identity);
        return Ok(Reply::Done);
    }
    if turn.state.activity().is_some_and(|body| body.activity.started.is_none()) {
        let start = start.unwrap_or_else(|| ActivityStart {
            time: turn.stamp.now,
            identity: request.identity.clone(),
            request_id: String::new(),
            build_id: String::new(),
            version: None,
        });
        note_start(turn, start);
    }
    let identity = Some(request.identity.clone());
    record(turn, ActivityFact::AttemptEnded { at: turn.stamp.now, identity, failure: None });
    let result = request.result.clone().unwrap_or_default();
    turn.close(Status::Completed, Outcome { result: Some(Proto(result)), failure: None, retry_state: 0 }, "");
    Ok(Reply::Done)
}

pub fn fail(
    turn: &mut Turn<'_>,
    of: &AttemptRef,
    request: &RespondActivityTaskFailedRequest,
) -> Result<Reply, Reject> {
    let is_of_code =
        |failure: &Failure| matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_)));
    if request.failure.as_ref().is_some_and(|failure| !is_of_code(failure)) {
        return Err(Reject::InvalidArgument("Failure must have ApplicationFailureInfo.".into()));
    }
    find_held(turn, of, &request.identity)?;
    if let Some(details) = &request.last_heartbeat_details
        && !is_too_large(turn, Some(details))
    {
        record_progress(turn, Some(Proto(details.clone())));
    }
    let failure = request.failure.as_ref().map(|failure| reported(failure, turn.stamp.limits));
    fail_attempt(turn, failure, &request.identity);
    Ok(Reply::Done)
}

pub fn cancel(
    turn: &mut Turn<'_>,
    of: &AttemptRef,
    request: &RespondActivityTaskCanceledRequest,
) -> Result<Reply, Reject> {
    find_held(turn, of, &request.identity)?;
    if is_too_large(turn, request.details.as_ref()) {
        fail_attempt(turn, Some(by_server(CANCEL_DETAILS_TOO_LARGE)), &request.identity);
        return Ok(Reply::Done);
    }
    if turn.state.cancel.is_none() {
        return Err(Reject::InvalidArgument(
            "unable to mark activity as canceled without activity being request canceled first".into(),
        ));
    }
    control::cancel(turn, request.details.clone(), &request.identity);
    Ok(Reply::Done)
}

/// The worker is alive, and this far. Details replace the former ones, also by none.
pub fn heartbeat(
    turn: &mut Turn<'_>,
    of: &AttemptRef,
    details: Option<&Proto<Payloads>>,
    identity: &str,
) -> Result<Reply, Reject> {
    find_held(turn, of, identity)?;
    if is_too_large(turn, details.map(|details| &details.0)) {
        fail_attempt(turn, Some(by_server(HEARTBEAT_TOO_LARGE)), identity);
        // The attempt is over, and this is the only way to tell the worker so.
        return Ok(Reply::Heartbeat { cancel_requested: true, paused: false, reset: false });
    }
    record_progress(turn, details.cloned());
    let stage = Stage::of(&turn.state);
    Ok(Reply::Heartbeat {
        cancel_requested: stage == Stage::CancelRequested,
        paused: stage == Stage::PauseRequested,
        reset: stage == Stage::ResetRequested,
    })
}

/// The start of the attempt that is meant; none if nobody holds one. A token is proof enough that its attempt
/// was started, even where the record of it was lost.
fn find(turn: &Turn<'_>, of: &AttemptRef, identity: &str) -> Result<Option<ActivityStart>, Reject> {
    let is_over = !turn.state.is_running() && !planted::is("standalone_ends_twice");
    let Some(body) = turn.state.activity().filter(|_| !is_over) else { return Err(unknown(turn)) };
    let activity = &body.activity;
    let AttemptRef::Token(token) = of else { return Ok(activity.started.clone()) };
    let TokenTask::StandaloneActivity { attempt, started, request_id, generation } = &token.task else {
        return Err(Reject::InvalidArgument("Error deserializing task token.".into()));
    };
    if activity.attempt != *attempt || activity.generation != *generation {
        return Err(unknown(turn));
    }
    Ok(Some(match &activity.started {
        Some(start) if start.time == *started && start.request_id == *request_id => start.clone(),
        _ => ActivityStart {
            time: *started,
            identity: identity.to_owned(),
            request_id: request_id.clone(),
            build_id: String::new(),
            version: None,
        },
    }))
}

/// The attempt has to be in somebody's hands. Records its start again if that was lost with a former leader.
fn find_held(turn: &mut Turn<'_>, of: &AttemptRef, identity: &str) -> Result<(), Reject> {
    let start = find(turn, of, identity)?.ok_or_else(|| unknown(turn))?;
    if turn.state.activity().is_some_and(|body| body.activity.started.is_none()) {
        note_start(turn, start);
    }
    Ok(())
}

fn note_start(turn: &mut Turn<'_>, start: ActivityStart) {
    let attempt = turn.state.activity().map_or(1, |body| body.activity.attempt);
    let (sdk_name, sdk_version) = (String::new(), String::new());
    record(turn, ActivityFact::Started { attempt, start, sdk_name, sdk_version });
}

fn unknown(turn: &Turn<'_>) -> Reject {
    not_found(turn.state.run.kind, turn.state.id())
}

/// The attempt failed: there will be another, or the activity fails with it.
fn fail_attempt(turn: &mut Turn<'_>, failure: Option<Failure>, identity: &str) {
    let Err(retry_state) = end_attempt(turn, Some(identity), failure.as_ref(), failure.as_ref()) else {
        return;
    };
    let failure = Some(Proto(failure.unwrap_or_default()));
    let outcome = Outcome { result: None, failure, retry_state: retry_state as i32 };
    turn.close(Status::Failed, outcome, "");
}

fn record_progress(turn: &mut Turn<'_>, details: Option<Proto<Payloads>>) {
    record(turn, ActivityFact::Heartbeat { time: turn.stamp.now, details });
}

fn is_too_large(turn: &Turn<'_>, payloads: Option<&Payloads>) -> bool {
    payloads.map_or(0, Message::encoded_len) > turn.stamp.limits.blob_bytes_max
}
