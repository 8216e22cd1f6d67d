//! Ends that clients ask for: cancel, terminate, delete. The same for every kind, but for what a kind does
//! when it is to be cancelled and nobody is at work on it.

use everlog_proto::api::{
    common::v1::{Payload, Payloads},
    failure::v1::{CanceledFailureInfo, Failure, TerminatedFailureInfo, failure::FailureInfo},
};

use super::{
    activity,
    fact::StandaloneFact,
    key::Kind,
    operation,
    request::{Asked, invalid_transition},
    state::{CancelRequest, Outcome, Status},
    turn::Turn,
};
use crate::{codec::Proto, decide::json_string, reject::Reject, reply::Reply};

/// A request that is repeated with its id changes nothing.
pub fn request_cancel(turn: &mut Turn<'_>, asked: &Asked) -> Result<Reply, Reject> {
    let state = &turn.state;
    if state.run.kind == Kind::Operation && !state.is_running() {
        return Err(Reject::FailedPrecondition("operation already completed".into()));
    }
    if state.cancel.as_ref().is_some_and(|cancel| cancel.request_id == asked.request_id) {
        return Ok(Reply::Done);
    }
    if !state.is_running() {
        return Err(in_terminal_state(state.run.kind, state.status));
    }
    if let Some(cancel) = &state.cancel {
        return Err(Reject::FailedPrecondition(format!(
            "cancellation already requested with request ID {}",
            cancel.request_id
        )));
    }
    turn.fact(StandaloneFact::CancelRequested(CancelRequest {
        request_id: asked.request_id.clone(),
        identity: asked.identity.clone(),
        reason: asked.reason.clone(),
        time: turn.stamp.now,
    }));
    let is_over = match turn.state.run.kind {
        Kind::Activity => !turn.state.activity().is_some_and(activity::is_held),
        // Its handler is to be asked, once there is one.
        Kind::Operation => false,
    };
    if is_over {
        cancel(turn, Some(reason(&asked.reason)), &asked.identity);
    }
    Ok(Reply::Done)
}

pub(super) fn in_terminal_state(kind: Kind, status: Status) -> Reject {
    Reject::FailedPrecondition(format!("{} is in terminal state {}", kind.noun(), status.name()))
}

/// It was to be cancelled, and is.
pub(super) fn cancel(turn: &mut Turn<'_>, details: Option<Payloads>, identity: &str) {
    let info = CanceledFailureInfo { details, identity: identity.to_owned() };
    let failure = Failure {
        message: "Activity canceled".into(),
        failure_info: Some(FailureInfo::CanceledFailureInfo(info)),
        ..Failure::default()
    };
    turn.close(Status::Canceled, Outcome { result: None, failure: Some(Proto(failure)), retry_state: 0 }, "");
}

/// The reason of a cancellation that nobody but its caller has heard of becomes its details.
fn reason(reason: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
    let payload = Payload { metadata, data: json_string(reason).into_bytes(), ..Payload::default() };
    Payloads { payloads: vec![payload] }
}

pub fn terminate(turn: &mut Turn<'_>, asked: &Asked) -> Result<Reply, Reject> {
    let state = &turn.state;
    match state.status {
        Status::Running => {}
        // The real server has it so: what was cancelled can still be terminated.
        Status::Canceled if state.run.kind == Kind::Operation => {}
        Status::Terminated if state.terminate_request_id == asked.request_id => return Ok(Reply::Done),
        Status::Terminated => {
            return Err(Reject::FailedPrecondition(format!(
                "already terminated with request ID {}",
                state.terminate_request_id
            )));
        }
        Status::Completed if state.run.kind == Kind::Operation => {
            return Err(Reject::FailedPrecondition("invalid transition from Succeeded".into()));
        }
        status => return Err(invalid_transition(status)),
    }
    let info = TerminatedFailureInfo { identity: asked.identity.clone() };
    let failure = Failure {
        message: asked.reason.clone(),
        failure_info: Some(FailureInfo::TerminatedFailureInfo(info)),
        ..Failure::default()
    };
    let outcome = Outcome { result: None, failure: Some(Proto(failure)), retry_state: 0 };
    turn.close(Status::Terminated, outcome, &asked.request_id);
    Ok(Reply::Done)
}

/// Whoever waits for the run is told that there is none.
pub fn delete(turn: &mut Turn<'_>) -> Reply {
    turn.fact(StandaloneFact::Deleted);
    Reply::Done
}

/// Something is due.
pub fn wake(turn: &mut Turn<'_>) {
    let now = turn.stamp.now;
    if !turn.state.is_running() {
        if turn.state.retain_until.is_some_and(|until| until <= now) {
            delete(turn);
        }
        return;
    }
    match turn.state.run.kind {
        Kind::Activity => activity::time_out(turn),
        Kind::Operation => operation::time_out(turn),
    }
}
