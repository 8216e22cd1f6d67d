//! The fold. It never fails and never refuses: what was committed has happened.
//!
//! Nothing here may depend on limits, clocks or taste, since a replica of a later release folds the same
//! entries and must reach the same bytes.

use std::collections::BTreeMap;

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    common::v1::RetryPolicy,
    enums::v1::{EventType, TaskQueueKind, VersioningBehavior, WorkflowExecutionStatus},
    history::v1::{
        HistoryEvent, WorkflowExecutionStartedEventAttributes, WorkflowTaskCompletedEventAttributes,
        history_event::Attributes,
    },
    workflow::v1::ResetPointInfo,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    codec::Proto,
    event::{finished_child, finished_operation, is_close},
    execution::{
        Activity, AdmittedUpdate, AttachedRequest, Child, Copied, Execution, ExternalCancel, ExternalSignal,
        Pause, Timer, WorkflowTask, event_type,
    },
    fact::{Change, Event, Fact, Record},
    nexus::{Attempts, NexusCancel, NexusOperation, Settled, callback::Callback},
    shared::Shared,
    time::{Time, duration, set_duration},
    versioning,
};

/// Reset points that a run remembers; the oldest give way.
const RESET_POINTS_MAX: usize = 20;

/// Resets of one run that are told from their repetitions; the oldest give way.
const RESETS_REMEMBERED_MAX: usize = 20;

/// Folds all facts of one change and counts the version.
pub fn evolve_change(execution: &mut Execution, change: &Change) {
    if execution.key.is_none() {
        *execution = Execution::fresh(change.run.clone());
    }
    for fact in &change.facts {
        evolve(execution, fact);
    }
    execution.version += 1;
    execution.state_transitions += 1;
}

pub fn evolve(execution: &mut Execution, fact: &Fact) {
    match fact {
        Fact::Event(event) => {
            take_effect(execution, &event.event);
            note_request_id(execution, &event.event);
            append(execution, event);
        }
        Fact::Flushed(event) => {
            // A flush writes the whole buffer, so its first event empties it.
            execution.buffered.clear();
            note_started_child(execution, &event.event);
            note_request_id(execution, &event.event);
            append(execution, event);
        }
        Fact::Record(record) => keep(execution, record),
    }
}

/// The event takes the next place in the history.
fn append(execution: &mut Execution, event: &Event) {
    debug_assert_eq!(event.event.event_id, execution.next_event_id, "event ids are dense");
    execution.next_event_id = event.event.event_id + 1;
    execution.history_bytes += event.bytes.len() as i64;
    execution.history_hash = xxh3_64_with_seed(&event.bytes, execution.history_hash);
}

/// What an event means for the state, at the moment it happens.
fn take_effect(execution: &mut Execution, event: &HistoryEvent) {
    let Some(attributes) = &event.attributes else { return };
    let at = event.event_time.as_ref().map(Time::from_proto).unwrap_or_default();
    match attributes {
        Attributes::WorkflowExecutionStartedEventAttributes(a) => started(execution, a, at),
        Attributes::WorkflowTaskScheduledEventAttributes(a) => {
            let queue = a.task_queue.clone().unwrap_or_default();
            let sticky = queue.kind == TaskQueueKind::Sticky as i32;
            execution.has_first_task = true;
            execution.workflow_task = Some(WorkflowTask {
                scheduled_event_id: event.event_id,
                attempt: a.attempt,
                scheduled_time: at,
                original_scheduled_time: at,
                sticky_timeout: sticky
                    .then(|| execution.sticky.as_ref().map(|s| s.schedule_to_start_timeout))
                    .flatten(),
                queue: queue.name,
                start_to_close_timeout: duration(a.start_to_close_timeout.as_ref()),
                written: true,
            });
        }
        Attributes::WorkflowTaskCompletedEventAttributes(a) => {
            execution.workflow_task = None;
            execution.next_attempt = 1;
            execution.last_completed_started_event_id = a.started_event_id;
            execution.last_completed_event_id = event.event_id;
            execution.close_attempted = false;
            note_build(execution, a, event.event_id, at);
            versioning::task_completed(&mut execution.versioning, a);
        }
        Attributes::WorkflowTaskFailedEventAttributes(_)
        | Attributes::WorkflowTaskTimedOutEventAttributes(_) => execution.workflow_task = None,
        Attributes::ActivityTaskScheduledEventAttributes(a) => {
            let activity = Activity {
                scheduled: Proto(a.clone()),
                first_scheduled_time: at,
                scheduled_time: at,
                attempt: 1,
                ..Activity::default()
            };
            execution.activities.insert(event.event_id, activity.into());
        }
        Attributes::ActivityTaskCancelRequestedEventAttributes(a) => {
            if let Some(activity) = execution.activities.get_mut(&a.scheduled_event_id) {
                activity.cancel_requested_event_id = event.event_id;
            }
        }
        Attributes::ActivityTaskCompletedEventAttributes(a) => {
            finish_activity(execution, a.scheduled_event_id)
        }
        Attributes::ActivityTaskFailedEventAttributes(a) => finish_activity(execution, a.scheduled_event_id),
        Attributes::ActivityTaskTimedOutEventAttributes(a) => {
            finish_activity(execution, a.scheduled_event_id)
        }
        Attributes::ActivityTaskCanceledEventAttributes(a) => {
            finish_activity(execution, a.scheduled_event_id)
        }
        Attributes::TimerStartedEventAttributes(a) => {
            let fire_at = at + duration(a.start_to_fire_timeout.as_ref());
            execution.timers.insert(a.timer_id.clone(), Timer { started_event_id: event.event_id, fire_at });
        }
        Attributes::TimerFiredEventAttributes(a) => {
            execution.timers.remove(&a.timer_id);
        }
        Attributes::TimerCanceledEventAttributes(a) => {
            execution.timers.remove(&a.timer_id);
        }
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a) => {
            let child = Child {
                initiated: Proto(a.clone()),
                user_metadata: event.user_metadata.clone().map(Proto),
                ..Child::default()
            };
            execution.children.insert(event.event_id, child.into());
        }
        Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => {
            if let Some(child) = execution.children.get_mut(&a.initiated_event_id) {
                child.run_id = a.workflow_execution.as_ref().map_or("", |child| &child.run_id).to_owned();
                child.started_event_id = event.event_id;
                // What the start alone needed.
                child.initiated.0.input = None;
                child.initiated.0.header = None;
                child.initiated.0.memo = None;
                child.user_metadata = None;
            }
        }
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a) => {
            let signal = ExternalSignal { initiated: Proto(a.clone()), since: at };
            execution.external_signals.insert(event.event_id, signal);
        }
        Attributes::ExternalWorkflowExecutionSignaledEventAttributes(a) => {
            execution.external_signals.remove(&a.initiated_event_id);
        }
        Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(a) => {
            execution.external_signals.remove(&a.initiated_event_id);
        }
        Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a) => {
            let cancel = ExternalCancel { initiated: Proto(a.clone()), since: at };
            execution.external_cancels.insert(event.event_id, cancel);
        }
        Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => {
            execution.external_cancels.remove(&a.initiated_event_id);
        }
        Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => {
            execution.external_cancels.remove(&a.initiated_event_id);
        }
        Attributes::WorkflowExecutionSignaledEventAttributes(_) => execution.signal_count += 1,
        Attributes::WorkflowExecutionPausedEventAttributes(a) => {
            let pause = Pause {
                time: at,
                identity: a.identity.clone(),
                reason: a.reason.clone(),
                request_id: a.request_id.clone(),
            };
            execution.status = WorkflowExecutionStatus::Paused as i32;
            execution.pause = Some(pause.into());
            note_paused(execution);
        }
        Attributes::WorkflowExecutionUnpausedEventAttributes(_) => {
            execution.status = WorkflowExecutionStatus::Running as i32;
            execution.pause = None;
            note_paused(execution);
        }
        Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => execution.cancel_requested = true,
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(a) => {
            for (name, payload) in a.search_attributes.iter().flat_map(|s| &s.indexed_fields) {
                merge(&mut execution.search_attributes, name, payload);
            }
        }
        Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a) => {
            versioning::options_updated(&mut execution.versioning, a);
            // An event that says nothing of the priority changes nothing of it.
            if a.priority.is_some() {
                execution.start.0.priority = a.priority.clone();
            }
            let attached = a.attached_completion_callbacks.iter();
            execution.callbacks.extend(attached.map(|callback| Callback::new(callback.clone(), at)));
        }
        Attributes::WorkflowPropertiesModifiedEventAttributes(a) => {
            for (name, payload) in a.upserted_memo.iter().flat_map(|m| &m.fields) {
                merge(&mut execution.memo, name, payload);
            }
        }
        Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a) => {
            let id = a.request.as_ref().and_then(|request| request.meta.as_ref()).map(|meta| &meta.update_id);
            if let Some(id) = id {
                let admitted = AdmittedUpdate { request: None, time: at };
                execution.updates.admitted.insert(id.clone(), admitted);
            }
        }
        Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a) => {
            execution.updates.admitted.remove(&a.protocol_instance_id);
            execution.updates.accepted.insert(a.protocol_instance_id.clone(), event.event_id);
        }
        Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a) => {
            let id = a.meta.as_ref().map_or("", |meta| &meta.update_id);
            execution.updates.accepted.remove(id);
            execution.updates.completed.insert(id.to_owned(), event.event_id);
        }
        Attributes::NexusOperationScheduledEventAttributes(a) => {
            let operation = NexusOperation {
                scheduled: Proto(a.clone()),
                scheduled_time: at,
                start: Attempts::from(at),
                ..NexusOperation::default()
            };
            execution.nexus_operations.insert(event.event_id, operation.into());
        }
        Attributes::NexusOperationStartedEventAttributes(a) => {
            if let Some(operation) = execution.nexus_operations.get_mut(&a.scheduled_event_id) {
                operation.start.succeed(at);
                operation.started_time = Some(at);
                operation.operation_token = a.operation_token.clone();
                // What the start alone needed.
                operation.scheduled.0.input = None;
                if let Some(cancel) = &mut operation.cancel {
                    cancel.attempts.next_time = at;
                }
            }
        }
        Attributes::NexusOperationCancelRequestedEventAttributes(a) => {
            if let Some(operation) = execution.nexus_operations.get_mut(&a.scheduled_event_id) {
                operation.cancel = Some(NexusCancel {
                    requested_event_id: event.event_id,
                    requested_time: at,
                    attempts: Attempts::from(at),
                    settled: None,
                });
            }
        }
        Attributes::NexusOperationCancelRequestCompletedEventAttributes(a) => {
            if let Some(cancel) = cancel_of(execution, a.scheduled_event_id) {
                cancel.attempts.succeed(at);
                cancel.settled = Some(Settled::Succeeded);
            }
        }
        Attributes::NexusOperationCancelRequestFailedEventAttributes(a) => {
            if let Some(cancel) = cancel_of(execution, a.scheduled_event_id) {
                cancel.attempts.fail(at, a.failure.clone().map(Proto), at);
                cancel.settled = Some(Settled::Failed);
            }
        }
        _ => {}
    }
    if let Some(scheduled_event_id) = finished_operation(event) {
        let ended = execution.nexus_operations.remove(&scheduled_event_id);
        let timed_out = event_type(event) == EventType::NexusOperationTimedOut;
        if !timed_out && ended.is_some_and(|operation| operation.is_started()) {
            execution.ended_operations.insert(scheduled_event_id);
        }
    }
    if let Some(initiated_event_id) = finished_child(event) {
        execution.children.remove(&initiated_event_id);
    }
    if is_close(event_type(event)) {
        close(execution, event, at);
    }
}

fn cancel_of(execution: &mut Execution, scheduled_event_id: i64) -> Option<&mut NexusCancel> {
    execution.nexus_operations.get_mut(&scheduled_event_id)?.cancel.as_mut()
}

/// The first task that a build of the worker completes is a point to reset to.
fn note_build(
    execution: &mut Execution,
    attributes: &WorkflowTaskCompletedEventAttributes,
    completed_event_id: i64,
    at: Time,
) {
    #[allow(deprecated, reason = "workers without deployments say only this")]
    let (checksum, stamp) = (&attributes.binary_checksum, &attributes.worker_version);
    let is_versioned = attributes.versioning_behavior != VersioningBehavior::Unspecified as i32;
    let build_id = match &attributes.deployment_version {
        Some(version) => &version.build_id,
        None => stamp.as_ref().map_or("", |stamp| &stamp.build_id),
    };
    if !build_id.is_empty() && attributes.deployment_version.is_none() {
        execution.build_id = build_id.to_owned();
    }
    let mut builds = Vec::new();
    if !is_versioned {
        builds.push("unversioned".to_owned());
        if !build_id.is_empty() && attributes.deployment_version.is_none() {
            builds.push(format!("unversioned:{build_id}"));
        }
    }
    for build in builds {
        if !execution.build_ids.contains(&build) {
            execution.build_ids.push(build);
        }
    }
    #[allow(deprecated, reason = "the same")]
    let known =
        |point: &Proto<ResetPointInfo>| point.binary_checksum == *checksum && point.build_id == build_id;
    if execution.reset_points.iter().any(known) {
        return;
    }
    if execution.reset_points.len() == RESET_POINTS_MAX {
        execution.reset_points.remove(0);
    }
    #[allow(deprecated, reason = "the same")]
    let point = ResetPointInfo {
        build_id: build_id.to_owned(),
        binary_checksum: checksum.clone(),
        run_id: execution.run_id().to_owned(),
        first_workflow_task_completed_id: completed_event_id,
        create_time: Some(at.proto()),
        expire_time: None,
        resettable: true,
    };
    execution.reset_points.push(Proto(point));
}

fn started(execution: &mut Execution, attributes: &WorkflowExecutionStartedEventAttributes, at: Time) {
    let mut kept = attributes.clone();
    let runs_again = kept.retry_policy.is_some() || !kept.cron_schedule.is_empty();
    if !runs_again {
        kept.input = None;
    }
    execution.memo = kept
        .memo
        .take()
        .into_iter()
        .flat_map(|m| m.fields)
        .map(|(k, v)| (k, Proto(v)))
        .collect::<BTreeMap<_, _>>()
        .into();
    execution.search_attributes = kept
        .search_attributes
        .take()
        .into_iter()
        .flat_map(|s| s.indexed_fields)
        .map(|(k, v)| (k, Proto(v)))
        .collect::<BTreeMap<_, _>>()
        .into();
    let points = kept.prev_auto_reset_points.take().into_iter().flat_map(|points| points.points);
    execution.reset_points = points.map(Proto).collect::<Vec<_>>().into();
    let callbacks = std::mem::take(&mut kept.completion_callbacks).into_iter();
    execution.callbacks = callbacks.map(|callback| Callback::new(callback, at)).collect::<Vec<_>>().into();
    versioning::started(&mut execution.versioning, &kept);
    execution.status = WorkflowExecutionStatus::Running as i32;
    execution.start_time = at;
    execution.execution_time = at + duration(kept.first_workflow_task_backoff.as_ref());
    execution.run_expiration =
        set_duration(kept.workflow_run_timeout.as_ref()).map(|timeout| execution.execution_time + timeout);
    execution.start = Proto(kept).into();
}

/// A payload that says "null" removes the key.
fn merge(
    map: &mut BTreeMap<String, Proto<everlog_proto::api::common::v1::Payload>>,
    name: &str,
    payload: &everlog_proto::api::common::v1::Payload,
) {
    if is_null(payload) {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), Proto(payload.clone()));
    }
}

/// Null, an empty list, or nothing at all: each unsets a memo field or search attribute. How it is said to be
/// encoded does not matter.
pub fn is_null(payload: &everlog_proto::api::common::v1::Payload) -> bool {
    payload.data.is_empty() || payload.data == b"null" || payload.data == b"[]"
}

fn finish_activity(execution: &mut Execution, scheduled_event_id: i64) {
    let finished = execution.activities.remove(&scheduled_event_id);
    if finished.is_some_and(|activity| activity.is_paused()) {
        note_paused(execution);
    }
}

/// Nobody holds an attempt any more, and what was to be said to its holder goes unsaid.
fn set_options(activity: &mut Activity, options: &Proto<ActivityOptions>) {
    if activity.original_options.is_none() {
        activity.original_options = Some(Proto(activity.options()));
    }
    let scheduled = &mut activity.scheduled.0;
    scheduled.task_queue = options.task_queue.clone();
    scheduled.schedule_to_close_timeout = options.schedule_to_close_timeout;
    scheduled.schedule_to_start_timeout = options.schedule_to_start_timeout;
    scheduled.start_to_close_timeout = options.start_to_close_timeout;
    scheduled.heartbeat_timeout = options.heartbeat_timeout;
    if let (Some(policy), Some(new)) = (&mut scheduled.retry_policy, &options.retry_policy) {
        let types = std::mem::take(&mut policy.non_retryable_error_types);
        *policy = RetryPolicy { non_retryable_error_types: types, ..new.clone() };
    }
    scheduled.priority = options.priority.clone();
    activity.stamp += 1;
}

/// The workflow itself, and why; then each type of which an activity is paused, once.
fn note_paused(execution: &mut Execution) {
    let mut entries: Vec<String> = Vec::new();
    if let Some(pause) = &execution.pause {
        entries.push(format!("Workflow:{}", execution.workflow_id()));
        entries.extend((!pause.reason.is_empty()).then(|| format!("Reason:{}", pause.reason)));
    }
    for activity in execution.activities.values().filter(|activity| activity.is_paused()) {
        let entry = format!("property:activityType={}", activity.kind());
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    execution.pause_info = entries.into();
}

fn close(execution: &mut Execution, event: &HistoryEvent, at: Time) {
    use WorkflowExecutionStatus as Status;
    let (status, new_run_id) = match &event.attributes {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            (Status::Completed, a.new_execution_run_id.clone())
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => {
            (Status::Failed, a.new_execution_run_id.clone())
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => {
            (Status::TimedOut, a.new_execution_run_id.clone())
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => {
            (Status::ContinuedAsNew, a.new_execution_run_id.clone())
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(_)) => (Status::Canceled, String::new()),
        _ => (Status::Terminated, String::new()),
    };
    execution.status = status as i32;
    execution.close_time = Some(at);
    execution.close_event_id = event.event_id;
    execution.new_run_id = new_run_id;
    // What was pending stays to be seen: descriptions of closed runs show it.
    execution.timers.clear();
    execution.buffered.clear();
    execution.external_signals = Shared::default();
    execution.external_cancels = Shared::default();
    execution.held_by_parent = false;
    execution.sticky = None;
    if !execution.updates.admitted.is_empty() {
        execution.updates.admitted.clear();
    }
    let goes_on = !execution.new_run_id.is_empty() || execution.is_ended_by_reset();
    if !goes_on && execution.start.parent_workflow_execution.is_some() {
        execution.report = Some(Proto(event.clone()).into());
    }
    if execution.new_run_id.is_empty() && !execution.callbacks.is_empty() {
        execution.end = Some(Proto(event.clone()).into());
        for callback in execution.callbacks.iter_mut() {
            callback.attempts.next_time = at;
        }
    }
}

/// The events so far are those of another run, and nobody has paused this one. Time-outs count from now, and what
/// nobody has started is scheduled now.
fn begin_anew(execution: &mut Execution, copied: &[Copied], request_id: &str, now: Time) {
    let resets = execution.resets.get_or_insert_default();
    resets.copied = copied.to_vec();
    resets.original_start_time = Some(execution.start_time);
    resets.request_id = request_id.to_owned();
    execution.status = WorkflowExecutionStatus::Running as i32;
    execution.pause = None;
    note_paused(execution);
    let backoff = execution.execution_time.since(execution.start_time);
    execution.start_time = now;
    execution.execution_time = now + backoff;
    let all = set_duration(execution.start.workflow_execution_timeout.as_ref()).map(|timeout| now + timeout);
    let run = set_duration(execution.start.workflow_run_timeout.as_ref()).map(|timeout| now + timeout);
    execution.start.0.workflow_execution_expiration_time = all.map(Time::proto);
    execution.run_expiration = run.map(|run| all.map_or(run, |all| run.min(all)));
    for activity in execution.activities.values_mut() {
        (activity.scheduled_time, activity.first_scheduled_time) = (now, now);
    }
}

/// The event that tells of a child's start has its id only now.
fn note_started_child(execution: &mut Execution, event: &HistoryEvent) {
    if let Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(a)) = &event.attributes
        && let Some(child) = execution.children.get_mut(&a.initiated_event_id)
    {
        child.started_event_id = event.event_id;
    }
}

/// Events that answer a request are found again by the request's id.
fn note_request_id(execution: &mut Execution, event: &HistoryEvent) {
    let request_id = match &event.attributes {
        Some(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a)) => &a.attached_request_id,
        Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => match &a.accepted_request {
            Some(request) => &request.request_id,
            None => return,
        },
        _ => return,
    };
    if !request_id.is_empty() {
        let attached =
            AttachedRequest { event_type: event_type(event) as EventType as i32, event_id: event.event_id };
        execution.request_ids.insert(request_id.clone(), attached);
    }
}

fn keep(execution: &mut Execution, record: &Record) {
    match record {
        Record::Created { request_id, user_metadata } => {
            execution.create_request_id = request_id.clone();
            execution.user_metadata = user_metadata.clone().map(Shared::from);
            let attached =
                AttachedRequest { event_type: EventType::WorkflowExecutionStarted as i32, event_id: 1 };
            execution.request_ids.insert(request_id.clone(), attached);
        }
        Record::Buffered(event) => {
            take_effect(execution, event);
            note_request_id(execution, event);
            execution.buffered.push(event.clone());
        }
        Record::Unbuffered { index } => {
            if (*index as usize) < execution.buffered.len() {
                execution.buffered.remove(*index as usize);
            }
        }
        Record::NextAttempt(attempt) => execution.next_attempt = *attempt,
        Record::TransientTask { attempt, scheduled_time } => {
            execution.workflow_task = Some(WorkflowTask {
                scheduled_event_id: execution.next_event_id,
                attempt: *attempt,
                scheduled_time: *scheduled_time,
                original_scheduled_time: *scheduled_time,
                queue: execution.task_queue().to_owned(),
                sticky_timeout: None,
                start_to_close_timeout: duration(execution.start.workflow_task_timeout.as_ref()),
                written: false,
            });
        }
        Record::OriginalSchedule(time) => {
            if let Some(task) = &mut execution.workflow_task {
                task.original_scheduled_time = *time;
            }
        }
        Record::Sticky(sticky) => execution.sticky = sticky.clone(),
        Record::TaskMoved { queue } => {
            if let Some(task) = &mut execution.workflow_task {
                task.queue = queue.clone();
                task.sticky_timeout = None;
            }
        }
        Record::CloseAttempted(attempted) => execution.close_attempted = *attempted,
        Record::TaskFailure { cause } => execution.cause_of_last_task_failure = *cause,
        Record::ActivityStarted { scheduled_event_id, attempt, start } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id)
                && activity.attempt == *attempt
            {
                activity.start(start);
            }
        }
        Record::ActivityRetry { scheduled_event_id, attempt, scheduled_time, interval, failure, at } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                activity.attempt = *attempt;
                activity.scheduled_time = *scheduled_time;
                activity.retry_interval = Some(*interval);
                activity.last_failure = failure.clone();
                activity.last_attempt_complete_time = Some(*at);
                activity.forget_attempt();
            }
        }
        Record::ActivityHeartbeat { scheduled_event_id, time, details } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                activity.heartbeat_time = Some(*time);
                activity.heartbeat_details = details.clone();
            }
        }
        Record::SignalRequest(id) => {
            execution.signal_request_ids.insert(id.clone());
        }
        Record::CancelRequest(id) => execution.cancel_request_id = id.clone(),
        Record::RequestAttached { request_id, event_type, event_id } => {
            let attached = AttachedRequest { event_type: *event_type, event_id: *event_id };
            execution.request_ids.insert(request_id.clone(), attached);
        }
        Record::RetainUntil(time) => execution.retain_until = Some(*time),
        Record::Deleted => execution.deleted = true,
        Record::TaskEnded => execution.workflow_task = None,
        Record::HeldByParent(held) => execution.held_by_parent = *held,
        Record::Follows(run_id) => execution.previous_run_id = run_id.clone(),
        Record::ChildTold { initiated_event_id } => {
            if let Some(child) = execution.children.get_mut(initiated_event_id) {
                child.told_of_close = true;
            }
        }
        Record::ParentTold => execution.report = None,
        Record::ActivityPaused { scheduled_event_id, pause } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                activity.pause = pause.clone();
                activity.stamp += 1;
            }
            note_paused(execution);
        }
        Record::ActivityAttemptsReset { scheduled_event_id } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id)
                && activity.attempt != 1
            {
                activity.attempt = 1;
                activity.generation += 1;
            }
        }
        Record::ActivityReset { scheduled_event_id, heartbeats } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                activity.is_reset = true;
                activity.drops_heartbeat |= heartbeats;
            }
        }
        Record::ActivityHeartbeatForgotten { scheduled_event_id } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                (activity.heartbeat_time, activity.heartbeat_details) = (None, None);
            }
        }
        Record::ActivityRescheduled { scheduled_event_id, scheduled_time } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                activity.scheduled_time = *scheduled_time;
                activity.retry_interval =
                    activity.last_attempt_complete_time.map(|ended| scheduled_time.since(ended));
                activity.last_failure = None;
                activity.stamp += 1;
                activity.forget_attempt();
            }
        }
        Record::ChildElsewhere { initiated_event_id } => {
            if let Some(child) = execution.children.get_mut(initiated_event_id) {
                child.is_elsewhere = true;
            }
        }
        Record::RoutedBy(revision) => execution.versioning.revision = *revision,
        Record::ActivityOptions { scheduled_event_id, options } => {
            if let Some(activity) = execution.activities.get_mut(scheduled_event_id) {
                set_options(activity, options);
            }
        }
        Record::UpdateAdmitted { request, time } => {
            let id = request.meta.as_ref().map_or("", |meta| &meta.update_id).to_owned();
            let admitted = AdmittedUpdate { request: Some(request.clone()), time: *time };
            execution.updates.admitted.insert(id, admitted);
        }
        Record::UpdateForgotten { update_id } => {
            execution.updates.admitted.remove(update_id);
        }
        Record::MadeByReset { copied, request_id, time } => begin_anew(execution, copied, request_id, *time),
        Record::Reset(made) => {
            let resets = execution.resets.get_or_insert_default();
            if resets.made.len() == RESETS_REMEMBERED_MAX {
                resets.made.remove(0);
            }
            resets.made.push(made.clone());
        }
        Record::EndsByReset => execution.resets.get_or_insert_default().has_ended_it = true,
        Record::NexusStartFailed { scheduled_event_id, at, failure, next_time } => {
            if let Some(operation) = execution.nexus_operations.get_mut(scheduled_event_id) {
                operation.start.fail(*at, failure.clone(), *next_time);
            }
        }
        Record::NexusCancelFailed { scheduled_event_id, at, failure, next_time } => {
            if let Some(cancel) = cancel_of(execution, *scheduled_event_id) {
                cancel.attempts.fail(*at, failure.clone(), *next_time);
            }
        }
        Record::CallbackTried { index, at, failure, next_time, settled } => {
            if let Some(callback) = execution.callbacks.get_mut(*index as usize) {
                match settled {
                    Some(Settled::Succeeded) => callback.attempts.succeed(*at),
                    _ => callback.attempts.fail(*at, failure.clone(), *next_time),
                }
                callback.settled = *settled;
            }
            if execution.callbacks.iter().all(|callback| callback.settled.is_some()) {
                execution.end = None;
            }
        }
    }
}
