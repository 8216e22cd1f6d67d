//! What workers, and clients on their behalf, report of an attempt: done, failed, cancelled, still at it.

use everlog_proto::api::{
    common::v1::Payloads,
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{
        ActivityTaskCanceledEventAttributes, ActivityTaskCompletedEventAttributes,
        ActivityTaskFailedEventAttributes, history_event::Attributes,
    },
    workflowservice::v1::{
        RespondActivityTaskCanceledRequest, RespondActivityTaskCompletedRequest,
        RespondActivityTaskFailedRequest,
    },
};
use prost::Message;

use super::failure;
use crate::{
    codec::Proto,
    decide::{Decided, workflow_task::schedule_if_needed},
    execution::ActivityStart,
    fact::Record,
    planted,
    reject::Reject,
    reply::Reply,
    request::ActivityRef,
    token::{TaskToken, TokenTask},
    turn::Turn,
};

pub fn complete(
    turn: &mut Turn<'_>,
    of: &ActivityRef,
    request: &RespondActivityTaskCompletedRequest,
) -> Decided {
    let found = find(turn, of, &request.identity)?;
    if is_too_large(turn, request.result.as_ref()) {
        let failure = failure::by_server(failure::RESULT_TOO_LARGE);
        end_attempt(turn, &found.started()?, Some(failure), &request.identity);
        return Ok(Some(Reply::Done));
    }
    // Whoever knows the id may complete what no worker has, as if he had been that worker.
    let start = found.start.unwrap_or_else(|| ActivityStart {
        time: turn.stamp.now,
        identity: request.identity.clone(),
        request_id: String::new(),
        build_id: String::new(),
        version: None,
    });
    let scheduled_event_id = found.scheduled_event_id;
    super::close(turn, scheduled_event_id, Some(&start), |started_event_id| {
        Attributes::ActivityTaskCompletedEventAttributes(ActivityTaskCompletedEventAttributes {
            result: request.result.clone(),
            scheduled_event_id,
            started_event_id,
            identity: request.identity.clone(),
            ..Default::default()
        })
    });
    schedule_if_needed(turn);
    Ok(Some(Reply::Done))
}

pub fn fail(turn: &mut Turn<'_>, of: &ActivityRef, request: &RespondActivityTaskFailedRequest) -> Decided {
    let is_of_code =
        |failure: &Failure| matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_)));
    if request.failure.as_ref().is_some_and(|failure| !is_of_code(failure)) {
        return Err(Reject::InvalidArgument("Failure must have ApplicationFailureInfo.".into()));
    }
    let attempt = find(turn, of, &request.identity)?.started()?;
    if let Some(details) = &request.last_heartbeat_details
        && !is_too_large(turn, Some(details))
    {
        record_progress(turn, attempt.scheduled_event_id, Some(Proto(details.clone())));
    }
    let failure = request.failure.as_ref().map(|failure| failure::reported(failure, turn.stamp.limits));
    end_attempt(turn, &attempt, failure, &request.identity);
    Ok(Some(Reply::Done))
}

pub fn cancel(
    turn: &mut Turn<'_>,
    of: &ActivityRef,
    request: &RespondActivityTaskCanceledRequest,
) -> Decided {
    let attempt = find(turn, of, &request.identity)?.started()?;
    if is_too_large(turn, request.details.as_ref()) {
        let failure = failure::by_server(failure::CANCEL_DETAILS_TOO_LARGE);
        end_attempt(turn, &attempt, Some(failure), &request.identity);
        return Ok(Some(Reply::Done));
    }
    let scheduled_event_id = attempt.scheduled_event_id;
    let cancel_requested_event_id = turn
        .execution
        .activities
        .get(&scheduled_event_id)
        .map_or(0, |activity| activity.cancel_requested_event_id);
    if cancel_requested_event_id == 0 {
        return Err(Reject::InvalidArgument(
            "unable to mark activity as canceled without activity being request canceled first".into(),
        ));
    }
    super::close(turn, scheduled_event_id, Some(&attempt.start), |started_event_id| {
        Attributes::ActivityTaskCanceledEventAttributes(ActivityTaskCanceledEventAttributes {
            details: request.details.clone(),
            latest_cancel_requested_event_id: cancel_requested_event_id,
            scheduled_event_id,
            started_event_id,
            identity: request.identity.clone(),
            ..Default::default()
        })
    });
    schedule_if_needed(turn);
    Ok(Some(Reply::Done))
}

/// The worker is alive, and this far. Details replace the former ones, also by none.
pub fn heartbeat(
    turn: &mut Turn<'_>,
    of: &ActivityRef,
    details: Option<&Proto<Payloads>>,
    identity: &str,
) -> Decided {
    let attempt = find(turn, of, identity)?.started()?;
    if is_too_large(turn, details.map(|details| &details.0)) {
        let failure = failure::by_server(failure::HEARTBEAT_TOO_LARGE);
        end_attempt(turn, &attempt, Some(failure), identity);
        // The attempt is over, and this is the only way to tell the worker so.
        let over = Reply::Heartbeat { cancel_requested: true, paused: false, reset: false };
        return Ok(Some(over));
    }
    restore_start(turn, &attempt);
    record_progress(turn, attempt.scheduled_event_id, details.cloned());
    let Some(activity) = turn.execution.activities.get(&attempt.scheduled_event_id) else {
        return Err(Reject::activity_not_found());
    };
    Ok(Some(Reply::Heartbeat {
        cancel_requested: activity.cancel_requested(),
        paused: activity.is_paused(),
        reset: activity.is_reset,
    }))
}

/// An activity that a report is about, with the start of its current attempt, if that has one.
struct Found {
    scheduled_event_id: i64,
    start: Option<ActivityStart>,
}

/// An attempt that a worker holds.
struct Attempt {
    scheduled_event_id: i64,
    start: ActivityStart,
}

impl Found {
    fn started(self) -> Result<Attempt, Reject> {
        let start = self.start.ok_or_else(Reject::activity_not_found)?;
        Ok(Attempt { scheduled_event_id: self.scheduled_event_id, start })
    }
}

fn find(turn: &Turn<'_>, of: &ActivityRef, identity: &str) -> Result<Found, Reject> {
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    match of {
        ActivityRef::Token(token) => find_by_token(turn, token, identity),
        ActivityRef::Id { activity_id, .. } => find_by_id(turn, activity_id),
    }
}

/// A token is proof enough that its attempt was started, even where the record of it was lost.
fn find_by_token(turn: &Turn<'_>, token: &TaskToken, identity: &str) -> Result<Found, Reject> {
    let TokenTask::Activity { scheduled_event_id, attempt, started, request_id, generation, .. } =
        &token.task
    else {
        return Err(Reject::InvalidArgument("Error deserializing task token.".into()));
    };
    let activity = turn
        .execution
        .activities
        .get(scheduled_event_id)
        .filter(|activity| activity.attempt == *attempt || planted::is("old_attempt_completes"))
        .filter(|activity| activity.generation == *generation)
        .ok_or_else(Reject::activity_not_found)?;
    let start = match &activity.started {
        Some(start) if start.time == *started && start.request_id == *request_id => start.clone(),
        _ => ActivityStart {
            time: *started,
            identity: identity.to_owned(),
            request_id: request_id.clone(),
            build_id: String::new(),
            version: None,
        },
    };
    Ok(Found { scheduled_event_id: *scheduled_event_id, start: Some(start) })
}

fn find_by_id(turn: &Turn<'_>, activity_id: &str) -> Result<Found, Reject> {
    if activity_id.is_empty() {
        return Err(Reject::InvalidArgument("ActivityId is not set on request.".into()));
    }
    let (scheduled_event_id, activity) =
        turn.execution.activities.iter().find(|(_, activity)| activity.id() == activity_id).ok_or_else(
            || {
                Reject::NotFound(format!(
                    "cannot find pending activity with ActivityID {activity_id}, \
                     check workflow execution history for more details"
                ))
            },
        )?;
    Ok(Found { scheduled_event_id: *scheduled_event_id, start: activity.started.clone() })
}

/// The attempt failed: there will be another, or the activity fails with it.
fn end_attempt(turn: &mut Turn<'_>, attempt: &Attempt, failure: Option<Failure>, identity: &str) {
    restore_start(turn, attempt);
    let scheduled_event_id = attempt.scheduled_event_id;
    let Err(retry_state) = super::retry(turn, scheduled_event_id, failure.as_ref()) else { return };
    super::close(turn, scheduled_event_id, Some(&attempt.start), |started_event_id| {
        Attributes::ActivityTaskFailedEventAttributes(ActivityTaskFailedEventAttributes {
            failure,
            scheduled_event_id,
            started_event_id,
            identity: identity.to_owned(),
            retry_state: retry_state as i32,
            ..Default::default()
        })
    });
    schedule_if_needed(turn);
}

/// Records a start again that was lost with a former leader, so that its time-outs run.
fn restore_start(turn: &mut Turn<'_>, attempt: &Attempt) {
    let Some(activity) = turn.execution.activities.get(&attempt.scheduled_event_id) else { return };
    if activity.started.is_none() {
        let record = Record::ActivityStarted {
            scheduled_event_id: attempt.scheduled_event_id,
            attempt: activity.attempt,
            start: attempt.start.clone(),
        };
        turn.record(record);
    }
}

fn record_progress(turn: &mut Turn<'_>, scheduled_event_id: i64, details: Option<Proto<Payloads>>) {
    turn.record(Record::ActivityHeartbeat { scheduled_event_id, time: turn.stamp.now, details });
}

fn is_too_large(turn: &Turn<'_>, payloads: Option<&Payloads>) -> bool {
    payloads.map_or(0, Message::encoded_len) > turn.stamp.limits.blob_bytes_max
}
