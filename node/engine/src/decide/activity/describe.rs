//! An activity as DescribeWorkflowExecution shows it.

use everlog_proto::api::{
    activity::v1::ActivityOptions, common::v1::RetryPolicy, enums::v1::PendingActivityState,
    taskqueue::v1::TaskQueue, workflow::v1::PendingActivityInfo,
};

use crate::{
    execution::Activity,
    time::{Time, proto_duration},
};

/// What is to be seen of a pending activity at `now`.
pub fn pending_info(activity: &Activity, now: Time) -> PendingActivityInfo {
    let state = state(activity);
    // Once a retry may be handed out it waits for a worker, no longer for its moment.
    let backs_off = state == PendingActivityState::Scheduled && now < activity.scheduled_time;
    let scheduled = &activity.scheduled;
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
        expiration_time: activity.expiration().map(Time::proto),
        last_failure: activity.last_failure.clone().map(|failure| failure.0),
        last_worker_identity: activity.last_identity.clone(),
        current_retry_interval: activity.retry_interval.filter(|_| backs_off).map(proto_duration),
        last_attempt_complete_time: activity
            .last_attempt_complete_time
            .filter(|_| !ended_by_timeout(activity))
            .map(Time::proto),
        next_attempt_schedule_time: backs_off.then(|| activity.scheduled_time.proto()),
        priority: scheduled.priority.clone(),
        activity_options: Some(options(activity)),
        ..Default::default()
    }
}

fn state(activity: &Activity) -> PendingActivityState {
    if activity.cancel_requested() {
        PendingActivityState::CancelRequested
    } else if activity.started.is_some() {
        PendingActivityState::Started
    } else {
        PendingActivityState::Scheduled
    }
}

fn options(activity: &Activity) -> ActivityOptions {
    let scheduled = &activity.scheduled;
    let queue = activity.queue().to_owned();
    let retry_policy = scheduled.retry_policy.as_ref().map(|policy| RetryPolicy {
        initial_interval: policy.initial_interval,
        backoff_coefficient: policy.backoff_coefficient,
        maximum_interval: policy.maximum_interval,
        maximum_attempts: policy.maximum_attempts,
        // The real server does not list them here.
        non_retryable_error_types: Vec::new(),
    });
    ActivityOptions {
        task_queue: Some(TaskQueue { name: queue.clone(), normal_name: queue, ..Default::default() }),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy,
        priority: scheduled.priority.clone(),
        ..Default::default()
    }
}

/// The real server tells when an attempt ended only if its worker reported that.
fn ended_by_timeout(activity: &Activity) -> bool {
    let info = activity.last_failure.as_ref().and_then(|failure| failure.failure_info.as_ref());
    matches!(info, Some(everlog_proto::api::failure::v1::failure::FailureInfo::TimeoutFailureInfo(_)))
}
