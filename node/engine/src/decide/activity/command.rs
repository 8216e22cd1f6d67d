//! What a workflow asks of its activities: to schedule one, and to cancel it.

use std::{collections::BTreeSet, time::Duration};

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    command::v1::{
        Command, RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
    },
    common::v1::{ActivityType, Payload, Payloads, Priority},
    enums::v1::{TaskQueueKind, WorkflowTaskFailedCause as Cause},
    history::v1::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskCanceledEventAttributes,
        ActivityTaskScheduledEventAttributes, history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
    workflowservice::v1::StartActivityExecutionRequest,
};
use prost::Message;

use crate::{
    decide::{BadCommand, retry},
    limits::Limits,
    time::{self, duration, proto_duration},
    turn::Turn,
};

/// Names that begin so belong to the server.
const RESERVED_QUEUE_PREFIX: &str = "/_sys/";

const FAIRNESS_KEY_BYTES_MAX: usize = 64;

/// The details of an activity that was cancelled before any worker had it.
const NOT_STARTED_DETAILS: &[u8] = b"\"ACTIVITY_ID_NOT_STARTED\"";

/// Writes ActivityTaskScheduled with everything filled in that the command left open.
pub fn schedule(
    turn: &mut Turn<'_>,
    command: &Command,
    attributes: &ScheduleActivityTaskCommandAttributes,
    completed_event_id: i64,
) -> Result<i64, BadCommand> {
    let limits = turn.stamp.limits;
    let run_timeout = duration(turn.execution.start.workflow_run_timeout.as_ref());
    let scheduled = normalised(attributes, run_timeout, limits)
        .map_err(|message| BadCommand::new(Cause::BadScheduleActivityAttributes, message))?;
    if attributes.input.as_ref().map_or(0, Message::encoded_len) > limits.blob_bytes_max {
        return Err(BadCommand::too_large(
            Cause::BadScheduleActivityAttributes,
            "ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
        ));
    }
    let pending = turn.execution.activities.len();
    if pending >= limits.pending_activities_max {
        let message = format!(
            "the number of pending activities, {pending}, has reached the per-workflow limit of {}",
            limits.pending_activities_max
        );
        return Err(BadCommand::new(Cause::PendingActivitiesLimitExceeded, message));
    }
    if turn.execution.activities.values().any(|activity| activity.id() == attributes.activity_id) {
        let message = format!(
            "invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: {}",
            attributes.activity_id
        );
        return Err(BadCommand::new(Cause::ScheduleActivityDuplicateId, message));
    }
    let scheduled = ActivityTaskScheduledEventAttributes {
        workflow_task_completed_event_id: completed_event_id,
        ..scheduled
    };
    let event = Attributes::ActivityTaskScheduledEventAttributes(scheduled);
    Ok(turn.full_event(turn.stamp.now, event, command.user_metadata.clone(), Vec::new()))
}

/// The attributes as the history will show them, or what is wrong with them, in the real server's words
/// and order (chasm/lib/activity/validator.go).
pub(crate) fn normalised(
    attributes: &ScheduleActivityTaskCommandAttributes,
    run_timeout: Duration,
    limits: &Limits,
) -> Result<ActivityTaskScheduledEventAttributes, String> {
    let task_queue = normalised_queue(attributes.task_queue.as_ref(), limits)?;
    let kind = attributes.activity_type.as_ref().map_or("", |kind| &kind.name);
    if attributes.activity_id.is_empty() {
        return Err("activityId is not set".into());
    }
    if kind.is_empty() {
        return Err("activityType is not set".into());
    }
    let retry_policy = retry::with_defaults(attributes.retry_policy.as_ref(), limits);
    retry::validate(&retry_policy)?;
    check_length("activityId", &attributes.activity_id, limits)?;
    check_length("activityType", kind, limits)?;
    check_priority(attributes.priority.as_ref())?;
    let timeouts = Timeouts::of(attributes, run_timeout)?;
    Ok(ActivityTaskScheduledEventAttributes {
        activity_id: attributes.activity_id.clone(),
        activity_type: attributes.activity_type.clone(),
        #[allow(deprecated, reason = "workers without deployments say only this")]
        use_workflow_build_id: attributes.use_workflow_build_id,
        task_queue: Some(task_queue),
        header: attributes.header.clone(),
        input: attributes.input.clone(),
        // Set even where they are zero: an SDK reads them without looking whether they are there.
        schedule_to_close_timeout: Some(proto_duration(timeouts.schedule_to_close)),
        schedule_to_start_timeout: Some(proto_duration(timeouts.schedule_to_start)),
        start_to_close_timeout: Some(proto_duration(timeouts.start_to_close)),
        heartbeat_timeout: Some(proto_duration(timeouts.heartbeat)),
        retry_policy: Some(retry_policy),
        priority: attributes.priority.clone(),
        ..Default::default()
    })
}

fn normalised_queue(queue: Option<&TaskQueue>, limits: &Limits) -> Result<TaskQueue, String> {
    let mut queue = queue.cloned().ok_or("taskQueue is not set")?;
    if queue.name.is_empty() {
        return Err("missing task queue name".into());
    }
    if queue.name.len() > limits.id_bytes_max {
        return Err("taskQueue length exceeds limit".into());
    }
    if queue.name.starts_with(RESERVED_QUEUE_PREFIX) {
        return Err(format!("task queue name cannot start with reserved prefix {RESERVED_QUEUE_PREFIX}"));
    }
    if queue.kind() == TaskQueueKind::Unspecified {
        queue.kind = TaskQueueKind::Normal as i32;
    }
    Ok(queue)
}

fn check_length(what: &str, value: &str, limits: &Limits) -> Result<(), String> {
    let (length, limit) = (value.len(), limits.id_bytes_max);
    if length > limit {
        return Err(format!("{what} exceeds length limit. Length={length} Limit={limit}"));
    }
    Ok(())
}

fn check_priority(priority: Option<&Priority>) -> Result<(), String> {
    priority_fault(priority).map_or(Ok(()), |fault| Err(format!("invalid priorities: {fault}")))
}

/// What is wrong with a priority, in the real server's words.
pub(crate) fn priority_fault(priority: Option<&Priority>) -> Option<&'static str> {
    let priority = priority?;
    if priority.priority_key < 0 {
        Some("priority key can't be negative")
    } else if priority.fairness_key.len() > FAIRNESS_KEY_BYTES_MAX {
        Some("fairness key length exceeds limit")
    } else if priority.fairness_weight < 0.0 {
        Some("must be greater than zero")
    } else {
        None
    }
}

/// The four time-outs of an activity; zero means none.
struct Timeouts {
    schedule_to_close: Duration,
    schedule_to_start: Duration,
    start_to_close: Duration,
    heartbeat: Duration,
}

impl Timeouts {
    /// Fills what is missing from what is there, and lets none outlive the run.
    fn of(
        attributes: &ScheduleActivityTaskCommandAttributes,
        run_timeout: Duration,
    ) -> Result<Timeouts, String> {
        let mut timeouts = Timeouts {
            schedule_to_close: given(
                "ScheduleToCloseTimeout",
                attributes.schedule_to_close_timeout.as_ref(),
            )?,
            schedule_to_start: given(
                "ScheduleToStartTimeout",
                attributes.schedule_to_start_timeout.as_ref(),
            )?,
            start_to_close: given("StartToCloseTimeout", attributes.start_to_close_timeout.as_ref())?,
            heartbeat: given("HeartbeatTimeout", attributes.heartbeat_timeout.as_ref())?,
        };
        if !timeouts.schedule_to_close.is_zero() {
            timeouts.schedule_to_start = capped(timeouts.schedule_to_start, timeouts.schedule_to_close);
            timeouts.start_to_close = capped(timeouts.start_to_close, timeouts.schedule_to_close);
        } else if !timeouts.start_to_close.is_zero() {
            timeouts.schedule_to_close = run_timeout;
            if timeouts.schedule_to_start.is_zero() {
                timeouts.schedule_to_start = run_timeout;
            }
        } else {
            let kind = attributes.activity_type.as_ref().map_or("", |kind| &kind.name);
            return Err(format!(
                "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. \
                 ActivityId={} ActivityType={kind}",
                attributes.activity_id
            ));
        }
        if !run_timeout.is_zero() {
            timeouts.schedule_to_close = timeouts.schedule_to_close.min(run_timeout);
            timeouts.schedule_to_start = timeouts.schedule_to_start.min(run_timeout);
            timeouts.start_to_close = timeouts.start_to_close.min(run_timeout);
            timeouts.heartbeat = timeouts.heartbeat.min(run_timeout);
        }
        timeouts.heartbeat = timeouts.heartbeat.min(timeouts.start_to_close);
        Ok(timeouts)
    }
}

/// Brings the start of an activity that runs on its own into the form in which it is kept: the checks are
/// those of a command's, and precede all others.
pub fn normalise_start(request: &mut StartActivityExecutionRequest, limits: &Limits) -> Result<(), String> {
    if let Some(fault) = time::fault(request.start_delay.as_ref()) {
        return Err(format!("invalid StartDelay: {fault}"));
    }
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: request.activity_id.clone(),
        activity_type: request.activity_type.clone(),
        task_queue: request.task_queue.clone(),
        schedule_to_close_timeout: request.schedule_to_close_timeout,
        schedule_to_start_timeout: request.schedule_to_start_timeout,
        start_to_close_timeout: request.start_to_close_timeout,
        heartbeat_timeout: request.heartbeat_timeout,
        retry_policy: request.retry_policy.clone(),
        priority: request.priority.clone(),
        ..Default::default()
    };
    let normalised = normalised(&attributes, Duration::ZERO, limits)?;
    request.task_queue = normalised.task_queue;
    request.schedule_to_close_timeout = normalised.schedule_to_close_timeout;
    request.schedule_to_start_timeout = normalised.schedule_to_start_timeout;
    request.start_to_close_timeout = normalised.start_to_close_timeout;
    request.heartbeat_timeout = normalised.heartbeat_timeout;
    request.retry_policy = normalised.retry_policy;
    Ok(())
}

/// What is wrong with new options of an activity that runs on its own, before anybody looks at that activity.
/// A whole policy of retries is filled in.
pub fn check_options(
    options: &mut ActivityOptions,
    fields: &BTreeSet<String>,
    limits: &Limits,
) -> Result<(), String> {
    let named = |field: &str| fields.contains(field);
    let fault = |name: &str, duration: Option<&prost_types::Duration>, what: &str| match time::fault(duration)
    {
        Some(fault) if named(name) => Err(format!("{what}: {fault}")),
        _ => Ok(()),
    };
    if named("taskQueue.name") {
        normalised_queue(options.task_queue.as_ref(), limits)?;
    }
    let to_close = options.schedule_to_close_timeout.as_ref();
    fault("scheduleToCloseTimeout", to_close, "invalid ScheduleToCloseTimeout")?;
    let to_start = options.schedule_to_start_timeout.as_ref();
    fault("scheduleToStartTimeout", to_start, "invalid ScheduleToStartTimeout")?;
    let attempt = options.start_to_close_timeout.as_ref();
    fault("startToCloseTimeout", attempt, "invalid StartToCloseTimeout")?;
    fault("heartbeatTimeout", options.heartbeat_timeout.as_ref(), "invalid HeartbeatTimeout")?;
    if fields.iter().any(|field| field.starts_with("priority")) {
        priority_fault(options.priority.as_ref()).map_or(Ok(()), |fault| Err(fault.to_owned()))?;
    }
    if named("retryPolicy") {
        let policy = retry::with_defaults(options.retry_policy.as_ref(), limits);
        retry::validate(&policy)?;
        options.retry_policy = Some(policy);
    }
    if let Some(policy) = &options.retry_policy {
        let what = "invalid InitialInterval set on retry policy";
        fault("retryPolicy.initialInterval", policy.initial_interval.as_ref(), what)?;
        if named("retryPolicy.backoffCoefficient") && policy.backoff_coefficient < 1.0 {
            return Err("BackoffCoefficient cannot be less than 1 on retry policy.".into());
        }
        let what = "invalid MaximumInterval set on retry policy";
        fault("retryPolicy.maximumInterval", policy.maximum_interval.as_ref(), what)?;
        if named("retryPolicy.maximumAttempts") && policy.maximum_attempts < 0 {
            return Err("MaximumAttempts cannot be negative on retry policy.".into());
        }
    }
    fault("startDelay", options.start_delay.as_ref(), "invalid StartDelay")
}

/// Brings the time-outs of options into the form in which they count: filled in, and none longer than the
/// one around it.
pub(crate) fn normalise_timeouts(id: &str, kind: &str, options: &mut ActivityOptions) -> Result<(), String> {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: id.to_owned(),
        activity_type: Some(ActivityType { name: kind.to_owned() }),
        schedule_to_close_timeout: options.schedule_to_close_timeout,
        schedule_to_start_timeout: options.schedule_to_start_timeout,
        start_to_close_timeout: options.start_to_close_timeout,
        heartbeat_timeout: options.heartbeat_timeout,
        ..Default::default()
    };
    let timeouts = Timeouts::of(&attributes, Duration::ZERO)?;
    options.schedule_to_close_timeout = Some(proto_duration(timeouts.schedule_to_close));
    options.schedule_to_start_timeout = Some(proto_duration(timeouts.schedule_to_start));
    options.start_to_close_timeout = Some(proto_duration(timeouts.start_to_close));
    options.heartbeat_timeout = Some(proto_duration(timeouts.heartbeat));
    Ok(())
}

fn given(name: &str, timeout: Option<&prost_types::Duration>) -> Result<Duration, String> {
    match time::fault(timeout) {
        Some(fault) => Err(format!("invalid {name}: {fault}")),
        None => Ok(duration(timeout).min(time::DURATION_MAX)),
    }
}

/// A time-out that is not set is as long as the one around it.
fn capped(timeout: Duration, around: Duration) -> Duration {
    if timeout.is_zero() { around } else { timeout.min(around) }
}

/// Writes ActivityTaskCancelRequested. An activity that no worker holds, also one that waits for its next
/// attempt, is cancelled at once; true tells that the workflow has to hear of it.
pub fn request_cancel(
    turn: &mut Turn<'_>,
    attributes: &RequestCancelActivityTaskCommandAttributes,
    completed_event_id: i64,
    identity: &str,
) -> Result<bool, BadCommand> {
    let bad = |message: String| BadCommand::new(Cause::BadRequestCancelActivityAttributes, message);
    let scheduled_event_id = attributes.scheduled_event_id;
    if scheduled_event_id <= 0 {
        return Err(bad("ScheduledEventId is not set on RequestCancelActivityTaskCommand.".into()));
    }
    let no_such = || {
        bad(format!(
            "invalid history builder state for action: add-activitytask-cancel-requested-event, \
             ScheduledEventID: {scheduled_event_id}"
        ))
    };
    let cancels_at_once = match turn.execution.activities.get(&scheduled_event_id) {
        Some(activity) if activity.cancel_requested() => return Err(no_such()),
        Some(activity) => activity.started.is_none(),
        // It closed while the worker was deciding, which the worker could not know.
        None if turn.execution.has_buffered_finish_of(scheduled_event_id) => false,
        None => return Err(no_such()),
    };
    let cancel_requested_event_id = turn.event(Attributes::ActivityTaskCancelRequestedEventAttributes(
        ActivityTaskCancelRequestedEventAttributes {
            scheduled_event_id,
            workflow_task_completed_event_id: completed_event_id,
        },
    ));
    if cancels_at_once {
        let canceled = ActivityTaskCanceledEventAttributes {
            details: Some(not_started_details()),
            latest_cancel_requested_event_id: cancel_requested_event_id,
            scheduled_event_id,
            identity: identity.to_owned(),
            ..Default::default()
        };
        super::close(turn, scheduled_event_id, None, |_| {
            Attributes::ActivityTaskCanceledEventAttributes(canceled)
        });
    }
    Ok(cancels_at_once)
}

fn not_started_details() -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
    let payload = Payload { metadata, data: NOT_STARTED_DETAILS.to_vec(), ..Default::default() };
    Payloads { payloads: vec![payload] }
}
