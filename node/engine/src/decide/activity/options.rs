//! Options of a pending activity, changed by hand.
//!
//! A mask names the fields that count; what comes of them is checked as if the workflow had asked for it.
//! They hold for whatever comes next: the time-outs of a running attempt, the back-off under way, the queue
//! in which a task waits.

use std::collections::BTreeSet;

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::Priority,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{UpdateActivityOptionsRequest, update_activity_options_request},
};

use super::{
    command::{normalised, priority_fault},
    named::{Named, find},
};
use crate::{
    codec::Proto,
    decide::{Decided, retry},
    execution::Activity,
    fact::Record,
    limits::Limits,
    reject::Reject,
    reply::Reply,
    time::Time,
    turn::Turn,
};

pub fn update(turn: &mut Turn<'_>, request: &UpdateActivityOptionsRequest) -> Decided {
    use update_activity_options_request::Activity as Of;
    let named = match &request.activity {
        Some(Of::Id(id)) => Named::Id(id),
        Some(Of::Type(kind)) => Named::Type(kind),
        Some(Of::MatchAll(_)) => Named::All,
        None => Named::Id(""),
    };
    if !turn.execution.is_running() {
        return Err(Reject::already_completed());
    }
    let change = Change::of(request)?;
    let limits = turn.stamp.limits;
    // All are checked before one is changed.
    let mut changed = Vec::new();
    for id in find(turn, named)? {
        if let Some(activity) = turn.execution.activities.get(&id) {
            let merged = change.apply(activity)?;
            // The answer shows the policy without what is filled in where it says nothing.
            let policy = merged.retry_policy.clone();
            let options = if request.restore_original { merged } else { checked(activity, merged, limits)? };
            changed.push((id, options, policy));
        }
    }
    let mut shown = ActivityOptions::default();
    for (scheduled_event_id, options, policy) in changed {
        turn.record(Record::ActivityOptions { scheduled_event_id, options: Proto(options.clone()) });
        if let Some(activity) = turn.execution.activities.get(&scheduled_event_id)
            && activity.started.is_none()
        {
            let scheduled_time = next_attempt(activity);
            turn.record(Record::ActivityRescheduled { scheduled_event_id, scheduled_time });
        }
        shown = ActivityOptions { retry_policy: policy, ..options };
    }
    if request.restore_original
        && let Some(queue) = &mut shown.task_queue
    {
        *queue = TaskQueue { name: queue.name.clone(), ..TaskQueue::default() };
    }
    Ok(Some(Reply::ActivityOptions(Box::new(shown))))
}

/// When an activity that nobody holds may be handed out under the options that it has now. The real server
/// counts the attempt that is to come where it should count the one that failed; so do we.
fn next_attempt(activity: &Activity) -> Time {
    let policy = activity.scheduled.retry_policy.as_ref().filter(|_| activity.attempt > 1);
    match (policy, activity.last_attempt_complete_time) {
        (Some(policy), Some(ended)) => ended + retry::interval(policy, activity.attempt),
        _ => activity.scheduled_time,
    }
}

/// What is asked for.
enum Change<'a> {
    Restore,
    Merge { from: &'a ActivityOptions, fields: BTreeSet<String> },
}

impl<'a> Change<'a> {
    fn of(request: &'a UpdateActivityOptionsRequest) -> Result<Change<'a>, Reject> {
        let invalid = |message: &str| Err(Reject::InvalidArgument(message.into()));
        match (&request.update_mask, &request.activity_options) {
            (Some(mask), _) if request.restore_original && !mask.paths.is_empty() => {
                invalid("Both UpdateMask and RestoreOriginal are provided")
            }
            _ if request.restore_original => Ok(Change::Restore),
            (_, None) => invalid("ActivityOptions are not provided"),
            (None, _) => invalid("UpdateMask is not provided"),
            (Some(mask), Some(from)) => {
                Ok(Change::Merge { from, fields: mask.paths.iter().map(|path| camel_case(path)).collect() })
            }
        }
    }

    /// What this activity is to have afterwards.
    fn apply(&self, activity: &Activity) -> Result<ActivityOptions, Reject> {
        match self {
            Change::Restore => Ok(activity.original_options()),
            Change::Merge { from, fields } => merge(activity.options(), from, fields),
        }
    }
}

/// Masks name fields as they are in protobuf or as they are in JSON.
pub fn camel_case(path: &str) -> String {
    let part = |part: &str| {
        let mut words = part.split('_');
        let mut name = words.next().unwrap_or_default().to_owned();
        for word in words {
            let mut letters = word.chars();
            name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
            name.extend(letters);
        }
        name
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Takes the named fields; names of no field are no concern of ours.
pub(crate) fn merge(
    mut into: ActivityOptions,
    from: &ActivityOptions,
    fields: &BTreeSet<String>,
) -> Result<ActivityOptions, Reject> {
    let named = |field: &str| fields.contains(field);
    let missing = |what: &str| Reject::InvalidArgument(format!("{what} is not provided"));
    if named("taskQueue.name") {
        let queue = from.task_queue.as_ref().ok_or_else(|| missing("TaskQueue"))?;
        into.task_queue.get_or_insert_default().name = queue.name.clone();
    }
    if named("scheduleToCloseTimeout") {
        into.schedule_to_close_timeout = from.schedule_to_close_timeout;
    }
    if named("scheduleToStartTimeout") {
        into.schedule_to_start_timeout = from.schedule_to_start_timeout;
    }
    if named("startToCloseTimeout") {
        into.start_to_close_timeout = from.start_to_close_timeout;
    }
    if named("heartbeatTimeout") {
        into.heartbeat_timeout = from.heartbeat_timeout;
    }
    if named("retryPolicy") {
        into.retry_policy = Some(from.retry_policy.clone().ok_or_else(|| missing("RetryPolicy"))?);
    }
    if fields.iter().any(|field| field.starts_with("retryPolicy.")) {
        let policy = from.retry_policy.as_ref().ok_or_else(|| missing("RetryPolicy"))?;
        let own = into.retry_policy.get_or_insert_default();
        if named("retryPolicy.initialInterval") {
            own.initial_interval = policy.initial_interval;
        }
        if named("retryPolicy.backoffCoefficient") {
            own.backoff_coefficient = policy.backoff_coefficient;
        }
        if named("retryPolicy.maximumInterval") {
            own.maximum_interval = policy.maximum_interval;
        }
        if named("retryPolicy.maximumAttempts") {
            own.maximum_attempts = policy.maximum_attempts;
        }
    }
    if named("priority") {
        into.priority = from.priority.clone();
    }
    if fields.iter().any(|field| field.starts_with("priority.")) {
        let priority = from.priority.as_ref().ok_or_else(|| missing("Priority"))?;
        let own = into.priority.get_or_insert_default();
        merge_priority(own, priority, &named);
    }
    Ok(into)
}

fn merge_priority(own: &mut Priority, from: &Priority, named: &impl Fn(&str) -> bool) {
    if named("priority.priorityKey") {
        own.priority_key = from.priority_key;
    }
    if named("priority.fairnessKey") {
        own.fairness_key = from.fairness_key.clone();
    }
    if named("priority.fairnessWeight") {
        own.fairness_weight = from.fairness_weight;
    }
}

/// The options as they would have been scheduled.
fn checked(
    activity: &Activity,
    options: ActivityOptions,
    limits: &Limits,
) -> Result<ActivityOptions, Reject> {
    if let Some(fault) = priority_fault(options.priority.as_ref()) {
        return Err(Reject::InvalidArgument(fault.into()));
    }
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: activity.id().to_owned(),
        activity_type: activity.scheduled.activity_type.clone(),
        task_queue: options.task_queue,
        schedule_to_close_timeout: options.schedule_to_close_timeout,
        schedule_to_start_timeout: options.schedule_to_start_timeout,
        start_to_close_timeout: options.start_to_close_timeout,
        heartbeat_timeout: options.heartbeat_timeout,
        retry_policy: options.retry_policy,
        ..Default::default()
    };
    let scheduled =
        normalised(&attributes, std::time::Duration::ZERO, limits).map_err(Reject::InvalidArgument)?;
    Ok(ActivityOptions {
        task_queue: scheduled.task_queue,
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy,
        priority: options.priority,
        ..ActivityOptions::default()
    })
}
