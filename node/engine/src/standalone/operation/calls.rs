//! Calls to the handler, what came of them, and what ends an operation without one.

use everlog_proto::api::{
    common::v1::{Link, Payload, Payloads},
    enums::v1::TimeoutType,
    failure::v1::Failure,
};

use super::record;
use crate::{
    codec::Proto,
    decide::nexus::{next_time, timed_out, with_namespace},
    message::{self, Message, Subject},
    nexus::{
        Outcome as Called, Owed, TimeoutKind,
        callback::{Completion, End, OperationRef, refusal},
        null,
    },
    planted,
    standalone::{
        fact::{OperationFact, StandaloneFact},
        state::{OperationBody, Outcome, Standalone, Status},
        turn::Turn,
    },
    time::Time,
};

/// The call that is to be made now.
pub fn owed(state: &Standalone, now: Time) -> Option<Message> {
    let body = state.operation().filter(|_| state.is_running())?;
    let operation = &body.operation;
    let (owed, from) = operation.owed()?;
    if from > now {
        return None;
    }
    let run = &state.run.run;
    let callback = OperationRef::on_its_own(run.clone(), &operation.scheduled.request_id);
    let call = match owed {
        Owed::Start(_) => operation.start_call(callback),
        Owed::Cancel(_) => operation.cancel_call(),
    };
    Some(message::nexus_call(run.clone(), Subject::Operation(owed), call))
}

/// Back-offs that have passed, and another call was owed: as often as calls were begun, but for the first of
/// each kind.
pub(in crate::standalone) fn passed_backoffs(state: &Standalone, now: Time) -> i64 {
    let Some(body) = state.operation() else { return 0 };
    let seen_at = seen_at(state, now);
    let again = |begun: i32| i64::from((begun - 1).max(0));
    again(starts_begun(body, seen_at)) + again(cancels_begun(body, seen_at))
}

/// What has closed is seen as it was then.
pub(super) fn seen_at(state: &Standalone, now: Time) -> Time {
    state.close_time.unwrap_or(now)
}

/// How many calls to start it were begun by then.
pub(super) fn starts_begun(body: &OperationBody, at: Time) -> i32 {
    let start = &body.operation.start;
    start.made + i32::from(!body.operation.is_started() && start.next_time <= at)
}

/// The same of calls to cancel it.
pub(super) fn cancels_begun(body: &OperationBody, at: Time) -> i32 {
    let Some(cancel) = body.operation.cancel.as_ref().filter(|_| body.operation.is_started()) else {
        return 0;
    };
    cancel.attempts.made + i32::from(cancel.settled.is_none() && cancel.attempts.next_time <= at)
}

/// What came of a call. It counts only for the attempt that it was.
pub fn called(turn: &mut Turn<'_>, call: Owed, outcome: &Called) {
    let Some(body) = turn.state.operation().filter(|_| turn.state.is_running()) else { return };
    if body.operation.owed().is_none_or(|(owed, _)| owed != call) {
        return;
    }
    match call {
        Owed::Start(made) => start_called(turn, made, outcome),
        Owed::Cancel(made) => cancel_called(turn, made, outcome),
    }
}

fn start_called(turn: &mut Turn<'_>, made: i32, outcome: &Called) {
    let at = turn.stamp.now;
    let (status, failure) = match outcome {
        Called::Started { operation_token, links } => {
            attach(turn, links.iter().map(|link| link.0.clone()));
            let operation_token = operation_token.clone();
            return record(turn, OperationFact::Started { at, started: at, operation_token });
        }
        Called::Succeeded { payload, links } => {
            attach(turn, links.iter().map(|link| link.0.clone()));
            record(turn, OperationFact::StartEnded { at, failure: None });
            return succeed(turn, payload.clone());
        }
        Called::Error { failure, retryable: true } => {
            let next_time = next_time(turn.stamp, made);
            let failure = Some((**failure).clone());
            return record(turn, OperationFact::StartFailed { at, failure, next_time });
        }
        Called::Unsuccessful { failure, canceled: true } => (Status::Canceled, (**failure).clone()),
        Called::Unsuccessful { failure, .. } | Called::Error { failure, .. } => {
            (Status::Failed, (**failure).clone())
        }
        Called::TooLate(kind) => (Status::TimedOut, Proto(timed_out(kind.timeout_type()))),
        Called::Taken => return,
    };
    record(turn, OperationFact::StartEnded { at, failure: Some(failure.clone()) });
    end(turn, status, failure);
}

fn cancel_called(turn: &mut Turn<'_>, made: i32, outcome: &Called) {
    let at = turn.stamp.now;
    let fact = match outcome {
        Called::Error { failure, retryable: true } => {
            let next_time = next_time(turn.stamp, made);
            OperationFact::CancelFailed { at, failure: Some((**failure).clone()), next_time }
        }
        Called::Error { failure, .. } | Called::Unsuccessful { failure, .. } => {
            OperationFact::CancelSettled { at, failure: Some((**failure).clone()) }
        }
        // The time-out itself is about to say so.
        Called::TooLate(_) => return,
        Called::Taken | Called::Started { .. } | Called::Succeeded { .. } => {
            OperationFact::CancelSettled { at, failure: None }
        }
    };
    record(turn, fact);
}

/// The operation's end, told by the run that carried it out. One that is not known to have been started was,
/// unless its last call is known to have failed.
pub fn completed(turn: &mut Turn<'_>, completion: &Completion, by_run: &str, from_namespace: &str) -> Called {
    let no = |kind: &str, why: &str| Called::Error {
        failure: Box::new(Proto(refusal(kind, why, false))),
        retryable: false,
    };
    let Some(body) = turn.state.operation() else { return no("NOT_FOUND", "operation not found") };
    let request_id = completion.operation.as_ref().map(|operation| operation.request_id.as_str());
    if request_id != Some(body.operation.scheduled.request_id.as_str()) {
        return no("NOT_FOUND", "operation not found");
    }
    if !turn.state.is_running() && !planted::is("standalone_ends_twice") {
        // It says again what was heard before.
        let is_known = !by_run.is_empty() && body.completed_by == by_run;
        return if is_known { Called::Taken } else { no("BAD_REQUEST", "bad request") };
    }
    let at = turn.stamp.now;
    let backs_off = body.operation.start.is_backing_off(at);
    if !body.operation.is_started() && !backs_off {
        let links = completion.links.iter().map(|link| with_namespace(&link.0, from_namespace));
        attach(turn, links);
        let operation_token = completion.operation_token.clone();
        record(turn, OperationFact::Started { at, started: completion.started, operation_token });
    }
    record(turn, OperationFact::CompletedBy { run_id: by_run.to_owned() });
    match &completion.end {
        End::Succeeded(payload) => succeed(turn, payload.clone()),
        End::Failed { failure, canceled: true } => end(turn, Status::Canceled, (**failure).clone()),
        End::Failed { failure, .. } => end(turn, Status::Failed, (**failure).clone()),
    }
    Called::Taken
}

/// Ends what has taken too long.
pub(in crate::standalone) fn time_out(turn: &mut Turn<'_>) {
    let deadline = turn.state.operation().and_then(|body| body.operation.deadline());
    if let Some((_, kind)) = deadline.filter(|(at, _)| *at <= turn.stamp.now) {
        end(turn, Status::TimedOut, Proto(timed_out(kind)));
    }
}

/// Nothing is a result too.
fn succeed(turn: &mut Turn<'_>, payload: Option<Proto<Payload>>) {
    let payload = payload.map_or_else(null, |payload| payload.0);
    let result = Some(Proto(Payloads { payloads: vec![payload] }));
    turn.close(Status::Completed, Outcome { result, failure: None, retry_state: 0 }, "");
}

fn end(turn: &mut Turn<'_>, status: Status, failure: Proto<Failure>) {
    turn.close(status, Outcome { result: None, failure: Some(failure), retry_state: 0 }, "");
}

/// Keeps links of whoever carries it out.
fn attach(turn: &mut Turn<'_>, links: impl Iterator<Item = Link>) {
    let links: Vec<Proto<Link>> = links.map(Proto).collect();
    if let Some(body) = turn.state.operation().filter(|_| !links.is_empty()) {
        let request_id = body.operation.scheduled.request_id.clone();
        turn.fact(StandaloneFact::LinksAttached { request_id, links });
    }
}

impl TimeoutKind {
    fn timeout_type(self) -> TimeoutType {
        match self {
            TimeoutKind::ScheduleToStart => TimeoutType::ScheduleToStart,
            TimeoutKind::ScheduleToClose => TimeoutType::ScheduleToClose,
        }
    }
}
