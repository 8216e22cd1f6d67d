//! An operation as descriptions show it.

use everlog_proto::api::{
    common::v1::{Payload, SearchAttributes},
    enums::v1::PendingNexusOperationState as State,
    enums::v1::{NexusOperationCancellationState as CancelState, NexusOperationExecutionStatus},
    failure::v1::Failure,
    nexus::v1::{NexusOperationExecutionCancellationInfo, NexusOperationExecutionInfo},
};

use super::calls::{cancels_begun, seen_at, starts_begun};
use crate::{
    nexus::Settled,
    standalone::state::{OperationBody, Standalone, Status},
    time::{Time, proto_duration, set_duration},
};

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    Result(Payload),
    Failure(Failure),
}

/// What is to be seen at `now`.
pub fn info(state: &Standalone, now: Time) -> NexusOperationExecutionInfo {
    let Some(body) = state.operation() else { return NexusOperationExecutionInfo::default() };
    let operation = &body.operation;
    let scheduled = &operation.scheduled;
    let at = seen_at(state, now);
    let pending = pending_state(state, body, at);
    let expires = scheduled
        .schedule_to_close_timeout
        .as_ref()
        .map(|timeout| (operation.scheduled_time + set_duration(Some(timeout)).unwrap_or_default()).proto());
    let backs_off = pending == State::BackingOff;
    let given = &state.given;
    let fields = &given.search_attributes;
    NexusOperationExecutionInfo {
        operation_id: state.id().to_owned(),
        run_id: state.run_id().to_owned(),
        endpoint: scheduled.endpoint.clone(),
        service: scheduled.service.clone(),
        operation: scheduled.operation.clone(),
        status: status(state) as i32,
        state: pending as i32,
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        attempt: starts_begun(body, at),
        schedule_time: Some(state.start_time.proto()),
        expiration_time: expires,
        close_time: state.close_time.map(Time::proto),
        last_attempt_complete_time: operation.start.last_complete_time.map(Time::proto),
        last_attempt_failure: operation.start.last_failure.clone().map(|failure| failure.0),
        next_attempt_schedule_time: backs_off.then(|| operation.start.next_time.proto()),
        execution_duration: Some(proto_duration(at.since(state.start_time))),
        cancellation_info: cancellation(state, body, at),
        blocked_reason: String::new(),
        request_id: scheduled.request_id.clone(),
        operation_token: operation.operation_token.clone(),
        state_transition_count: state.changes(now),
        search_attributes: Some(SearchAttributes {
            indexed_fields: fields.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        }),
        nexus_header: scheduled.nexus_header.clone(),
        user_metadata: given.user_metadata.clone().map(|metadata| metadata.0),
        links: state.links.iter().flat_map(|(_, links)| links).map(|link| link.0.clone()).collect(),
        identity: body.identity.clone(),
        state_size_bytes: state.encode().len() as i64,
    }
}

fn pending_state(state: &Standalone, body: &OperationBody, at: Time) -> State {
    match (state.is_running(), body.operation.is_started()) {
        (false, _) => State::Unspecified,
        (true, true) => State::Started,
        (true, false) if body.operation.start.is_backing_off(at) => State::BackingOff,
        (true, false) => State::Scheduled,
    }
}

/// Before the operation is started there is nothing to tell but why it is to be cancelled.
fn cancellation(
    state: &Standalone,
    body: &OperationBody,
    at: Time,
) -> Option<NexusOperationExecutionCancellationInfo> {
    let reason = state.cancel.as_ref()?.reason.clone();
    let started = body.operation.cancel.as_ref().filter(|_| body.operation.is_started());
    let Some(cancel) = started else {
        return Some(NexusOperationExecutionCancellationInfo { reason, ..Default::default() });
    };
    let attempts = &cancel.attempts;
    let backs_off = cancel.settled.is_none() && attempts.is_backing_off(at);
    let state = match cancel.settled {
        Some(Settled::Succeeded) => CancelState::Succeeded,
        Some(Settled::Failed) => CancelState::Failed,
        None if backs_off => CancelState::BackingOff,
        None => CancelState::Scheduled,
    };
    Some(NexusOperationExecutionCancellationInfo {
        requested_time: None,
        state: state as i32,
        attempt: cancels_begun(body, at),
        last_attempt_complete_time: attempts.last_complete_time.map(Time::proto),
        last_attempt_failure: attempts.last_failure.clone().map(|failure| failure.0),
        next_attempt_schedule_time: backs_off.then(|| attempts.next_time.proto()),
        blocked_reason: String::new(),
        reason,
    })
}

/// How it ended; none before that.
pub fn outcome(state: &Standalone) -> Option<Ended> {
    let outcome = state.outcome.as_ref()?;
    Some(match (&outcome.result, &outcome.failure) {
        (Some(result), _) => Ended::Result(result.payloads.first().cloned().unwrap_or_default()),
        (None, failure) => Ended::Failure(failure.clone().unwrap_or_default().0),
    })
}

/// Whether a handler has begun to work on it, or it is over.
pub fn is_started(state: &Standalone) -> bool {
    !state.is_running() || state.operation().is_some_and(|body| body.operation.is_started())
}

/// The status that clients see.
pub fn status(state: &Standalone) -> NexusOperationExecutionStatus {
    match state.status {
        Status::Running => NexusOperationExecutionStatus::Running,
        Status::Completed => NexusOperationExecutionStatus::Completed,
        Status::Failed => NexusOperationExecutionStatus::Failed,
        Status::Canceled => NexusOperationExecutionStatus::Canceled,
        Status::Terminated => NexusOperationExecutionStatus::Terminated,
        Status::TimedOut => NexusOperationExecutionStatus::TimedOut,
    }
}
