//! An activity as descriptions show it.

use everlog_proto::api::{
    activity::v1::{ActivityExecutionInfo, ActivityExecutionOutcome, activity_execution_outcome::Value},
    common::v1::SearchAttributes,
    enums::v1::{ActivityExecutionStatus, PendingActivityState},
};

use super::Stage;
use crate::{
    standalone::state::{Standalone, Status},
    time::{Time, proto_duration},
};

/// What a description has, beside what every one has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    pub heartbeat_details: bool,
    pub last_failure: bool,
}

/// What is to be seen at `now`.
pub fn info(state: &Standalone, shown: Shown, now: Time) -> ActivityExecutionInfo {
    let Some(body) = state.activity() else { return ActivityExecutionInfo::default() };
    let stage = Stage::of(state);
    let activity = &body.activity;
    let scheduled = &activity.scheduled;
    // Once an attempt may be handed out it waits for a worker, no longer for its moment.
    let backs_off = stage == Stage::Scheduled && now < activity.scheduled_time;
    let details = activity.heartbeat_details.clone().filter(|_| shown.heartbeat_details);
    let failure = activity.last_failure.clone().filter(|_| shown.last_failure);
    let given = &state.given;
    let fields = &given.search_attributes;
    ActivityExecutionInfo {
        activity_id: state.id().to_owned(),
        run_id: state.run_id().to_owned(),
        activity_type: scheduled.activity_type.clone(),
        status: status(state) as i32,
        run_state: run_state(stage) as i32,
        task_queue: activity.queue().to_owned(),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy.clone(),
        heartbeat_details: details.map(|details| details.0),
        last_heartbeat_time: activity.heartbeat_time.map(Time::proto),
        last_started_time: activity.last_started_time.map(Time::proto),
        attempt: activity.attempt,
        execution_duration: state.close_time.map(|close| proto_duration(close.since(state.start_time))),
        schedule_time: Some(state.start_time.proto()),
        expiration_time: activity.expiration().map(Time::proto),
        close_time: state.close_time.map(Time::proto),
        last_failure: failure.map(|failure| failure.0),
        last_worker_identity: activity.last_identity.clone(),
        current_retry_interval: activity.retry_interval.filter(|_| backs_off).map(proto_duration),
        last_attempt_complete_time: activity.last_attempt_complete_time.map(Time::proto),
        next_attempt_schedule_time: backs_off.then(|| activity.scheduled_time.proto()),
        priority: scheduled.priority.clone(),
        state_transition_count: state.transitions,
        state_size_bytes: state.encode().len() as i64,
        search_attributes: Some(SearchAttributes {
            indexed_fields: fields.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        }),
        header: given.header.clone().map(|header| header.0),
        user_metadata: given.user_metadata.clone().map(|metadata| metadata.0),
        canceled_reason: state.cancel.as_ref().map(|cancel| cancel.reason.clone()).unwrap_or_default(),
        links: state.links.iter().flat_map(|(_, links)| links).map(|link| link.0.clone()).collect(),
        total_heartbeat_count: body.heartbeats,
        sdk_name: body.sdk_name.clone(),
        sdk_version: body.sdk_version.clone(),
        start_delay: body.start_delay.map(proto_duration),
        execution_time: Some(activity.first_scheduled_time.proto()),
        ..Default::default()
    }
}

/// How it ended; none before that.
pub fn outcome(state: &Standalone) -> Option<ActivityExecutionOutcome> {
    let outcome = state.outcome.as_ref()?;
    let value = match (&outcome.result, &outcome.failure) {
        (Some(result), _) => Some(Value::Result(result.0.clone())),
        (None, failure) => failure.clone().map(|failure| Value::Failure(failure.0)),
    };
    Some(ActivityExecutionOutcome { value, retry_state: outcome.retry_state })
}

/// The status that clients see.
pub(in crate::standalone) fn status(state: &Standalone) -> ActivityExecutionStatus {
    match state.status {
        Status::Running if Stage::of(state) == Stage::Paused => ActivityExecutionStatus::Paused,
        Status::Running => ActivityExecutionStatus::Running,
        Status::Completed => ActivityExecutionStatus::Completed,
        Status::Failed => ActivityExecutionStatus::Failed,
        Status::Canceled => ActivityExecutionStatus::Canceled,
        Status::Terminated => ActivityExecutionStatus::Terminated,
        Status::TimedOut => ActivityExecutionStatus::TimedOut,
    }
}

fn run_state(stage: Stage) -> PendingActivityState {
    match stage {
        Stage::Scheduled => PendingActivityState::Scheduled,
        Stage::Started | Stage::ResetRequested => PendingActivityState::Started,
        Stage::CancelRequested => PendingActivityState::CancelRequested,
        Stage::Paused => PendingActivityState::Paused,
        Stage::PauseRequested => PendingActivityState::PauseRequested,
        Stage::Closed(_) => PendingActivityState::Unspecified,
    }
}
