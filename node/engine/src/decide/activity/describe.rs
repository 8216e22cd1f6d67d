//! An activity as DescribeWorkflowExecution shows it.

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    enums::v1::PendingActivityState,
    taskqueue::v1::TaskQueue,
    workflow::v1::{
        PendingActivityInfo,
        pending_activity_info::{PauseInfo, pause_info},
    },
};

use crate::{
    deployment::WorkerVersion,
    execution::{Activity, Pause},
    time::{Time, proto_duration, set_duration},
};

#[allow(deprecated, reason = "older clients read the version's text")]
/// What is to be seen of a pending activity at `now`.
pub fn pending_info(activity: &Activity, now: Time) -> PendingActivityInfo {
    let state = state(activity);
    // Once a retry may be handed out it waits for a worker, no longer for its moment.
    let backs_off = state == PendingActivityState::Scheduled && now < activity.scheduled_time;
    let scheduled = &activity.scheduled;
    let version = activity.last_version.as_ref();
    PendingActivityInfo {
        activity_id: scheduled.activity_id.clone(),
        activity_type: scheduled.activity_type.clone(),
        state: state as i32,
        // Without a time there is no heartbeat, hence none of its details.
        heartbeat_details: activity.heartbeat_time.and(activity.heartbeat_details.clone()).map(|d| d.0),
        last_heartbeat_time: activity.heartbeat_time.map(Time::proto),
        last_started_time: activity.started.as_ref().map(|start| start.time.proto()),
        attempt: activity.attempt.max(1),
        maximum_attempts: scheduled.retry_policy.as_ref().map_or(0, |policy| policy.maximum_attempts),
        scheduled_time: Some(activity.scheduled_time.proto()),
        expiration_time: expiration(activity).map(Time::proto),
        last_failure: activity.last_failure.clone().map(|failure| failure.0),
        last_worker_identity: activity.last_identity.clone(),
        current_retry_interval: activity.retry_interval.filter(|_| backs_off).map(proto_duration),
        last_attempt_complete_time: activity
            .last_attempt_complete_time
            .filter(|_| !ended_by_timeout(activity))
            .map(Time::proto),
        next_attempt_schedule_time: backs_off.then(|| activity.scheduled_time.proto()),
        priority: scheduled.priority.clone(),
        paused: activity.is_paused(),
        pause_info: activity.pause.as_ref().map(pause_info),
        activity_options: Some(options(activity)),
        last_worker_deployment_version: version.map(WorkerVersion::dotted).unwrap_or_default(),
        last_deployment_version: version.map(WorkerVersion::api),
        ..Default::default()
    }
}

fn state(activity: &Activity) -> PendingActivityState {
    if activity.cancel_requested() {
        return PendingActivityState::CancelRequested;
    }
    match (activity.started.is_some(), activity.is_paused()) {
        (false, false) => PendingActivityState::Scheduled,
        (false, true) => PendingActivityState::Paused,
        (true, false) => PendingActivityState::Started,
        (true, true) => PendingActivityState::PauseRequested,
    }
}

fn pause_info(pause: &Pause) -> PauseInfo {
    let manual = pause_info::Manual { identity: pause.identity.clone(), reason: pause.reason.clone() };
    PauseInfo { pause_time: Some(pause.time.proto()), paused_by: Some(pause_info::PausedBy::Manual(manual)) }
}

/// The moment that its schedule named. Time-outs that were set by hand count, but the real server does not
/// show them here.
fn expiration(activity: &Activity) -> Option<Time> {
    let timeout = activity.original_options().schedule_to_close_timeout;
    set_duration(timeout.as_ref()).map(|timeout| activity.first_scheduled_time + timeout)
}

fn options(activity: &Activity) -> ActivityOptions {
    let queue = activity.queue().to_owned();
    ActivityOptions {
        task_queue: Some(TaskQueue { name: queue.clone(), normal_name: queue, ..Default::default() }),
        ..activity.options()
    }
}

/// The real server tells when an attempt ended only if its worker reported that.
fn ended_by_timeout(activity: &Activity) -> bool {
    let info = activity.last_failure.as_ref().and_then(|failure| failure.failure_info.as_ref());
    matches!(info, Some(everlog_proto::api::failure::v1::failure::FailureInfo::TimeoutFailureInfo(_)))
}
