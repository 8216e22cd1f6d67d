//! Nexus operations: commands of workers, what calls and handlers answered, and time-outs.

#![allow(deprecated, reason = "older workers read the operation's id where newer ones read its token")]

use std::time::Duration;

use everlog_proto::api::{
    command::v1::{
        Command, RequestCancelNexusOperationCommandAttributes, ScheduleNexusOperationCommandAttributes,
    },
    common::v1::{Link, Payload},
    enums::v1::{TimeoutType, WorkflowTaskFailedCause as Cause},
    failure::v1::{Failure, NexusOperationFailureInfo, TimeoutFailureInfo, failure::FailureInfo},
    history::v1::{
        NexusOperationCancelRequestCompletedEventAttributes,
        NexusOperationCancelRequestFailedEventAttributes, NexusOperationCancelRequestedEventAttributes,
        NexusOperationCanceledEventAttributes, NexusOperationCompletedEventAttributes,
        NexusOperationFailedEventAttributes, NexusOperationScheduledEventAttributes,
        NexusOperationStartedEventAttributes, NexusOperationTimedOutEventAttributes,
        history_event::Attributes,
    },
};
use prost::Message as _;

use crate::{
    codec::Proto,
    decide::{BadCommand, command::Task, workflow_task},
    event::finished_operation,
    fact::Record,
    nexus::{
        Outcome, Owed, TimeoutKind,
        callback::{Completion, End, refusal},
    },
    stamp::Stamp,
    time::{self, Time, duration, proto_duration},
    turn::Turn,
};

/// Headers that workers may not set: they are the server's own.
pub const RESERVED_HEADERS: [&str; 5] =
    ["request-timeout", "xdc-redirection-api", "caller-name", "caller-type", "call-initiation"];
/// The pause after the first failed call; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// `component.nexusoperations.retryPolicy.maxInterval`
const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);
/// More doublings than the longest pause needs.
const DOUBLINGS_MAX: u32 = 16;
/// So much of a pause is chance, so that what failed together is not tried again together.
const JITTER_PERCENT: u64 = 20;

pub fn schedule(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &ScheduleNexusOperationCommandAttributes,
    task: Task<'_>,
) -> Result<(), BadCommand> {
    let limits = turn.stamp.limits;
    let bad = |message: String| Err(BadCommand::new(Cause::BadScheduleNexusOperationAttributes, message));
    let on = "ScheduleNexusOperationCommandAttributes";
    let Some(endpoint_id) = task.namespaces.endpoints.get(&a.endpoint) else {
        return bad(format!("endpoint {:?} not found", a.endpoint));
    };
    for (field, name) in [("Service", &a.service), ("Operation", &a.operation)] {
        if name.len() > limits.id_bytes_max {
            return bad(format!("{on}.{field} exceeds length limit of {}", limits.id_bytes_max));
        }
    }
    for (field, timeout) in [
        ("ScheduleToCloseTimeout", &a.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", &a.schedule_to_start_timeout),
        ("StartToCloseTimeout", &a.start_to_close_timeout),
    ] {
        if let Some(fault) = time::fault(timeout.as_ref()) {
            return bad(format!("{on}.{field} is invalid: {fault}"));
        }
    }
    if a.input.as_ref().map_or(0, Payload::encoded_len) > limits.blob_bytes_max {
        let message = format!("{on}.Input exceeds size limit");
        return Err(BadCommand::too_large(Cause::BadScheduleNexusOperationAttributes, message));
    }
    let mut header_bytes = 0;
    for (name, value) in &a.nexus_header {
        let lower = name.to_lowercase();
        if RESERVED_HEADERS.contains(&lower.as_str()) {
            return bad(format!("{on}.NexusHeader contains a disallowed header key: {name:?}"));
        }
        header_bytes += lower.len() + value.len();
    }
    if header_bytes > limits.nexus_header_bytes_max {
        return bad(format!("{on}.NexusHeader exceeds size limit"));
    }
    let most = limits.pending_nexus_operations_max;
    if turn.execution.nexus_operations.len() >= most {
        return Err(BadCommand::new(
            Cause::PendingNexusOperationsLimitExceeded,
            format!("workflow has reached the pending nexus operation limit of {most} for this namespace"),
        ));
    }
    let [close, start, run] = trimmed(turn, a);
    let attributes = NexusOperationScheduledEventAttributes {
        endpoint: a.endpoint.clone(),
        endpoint_id: endpoint_id.clone(),
        service: a.service.clone(),
        operation: a.operation.clone(),
        input: a.input.clone(),
        schedule_to_close_timeout: close,
        schedule_to_start_timeout: start,
        start_to_close_timeout: run,
        nexus_header: a
            .nexus_header
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()))
            .collect(),
        request_id: turn.stamp.uuid(),
        workflow_task_completed_event_id: task.completed_event_id,
    };
    turn.full_event(
        turn.stamp.now,
        Attributes::NexusOperationScheduledEventAttributes(attributes),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}

type Timeout = Option<prost_types::Duration>;

/// Schedule-to-close, schedule-to-start and start-to-close: none is longer than the run may be, nor the others
/// than the first.
fn trimmed(turn: &Turn<'_>, a: &ScheduleNexusOperationCommandAttributes) -> [Timeout; 3] {
    let run = duration(turn.execution.start.workflow_run_timeout.as_ref());
    let mut close = a.schedule_to_close_timeout;
    let asked = duration(close.as_ref());
    if !run.is_zero() && (asked.is_zero() || asked > run) {
        close = Some(proto_duration(run));
    }
    let most = duration(close.as_ref());
    let within = |timeout: &Timeout| {
        let longer = !most.is_zero() && duration(timeout.as_ref()) > most;
        if longer { close } else { *timeout }
    };
    [close, within(&a.schedule_to_start_timeout), within(&a.start_to_close_timeout)]
}

pub fn request_cancel(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &RequestCancelNexusOperationCommandAttributes,
    task: Task<'_>,
) -> Result<(), BadCommand> {
    let id = a.scheduled_event_id;
    let bad =
        |message: String| Err(BadCommand::new(Cause::BadRequestCancelNexusOperationAttributes, message));
    let execution = &turn.execution;
    // An end that the worker has not seen yet is no fault of its.
    let has_ended_unseen = || execution.buffered.iter().any(|event| finished_operation(event) == Some(id));
    match execution.nexus_operations.get(&id) {
        None if !has_ended_unseen() => {
            return bad(format!(
                "requested cancelation for a non-existing or already completed operation with scheduled event \
                 ID of {id}"
            ));
        }
        Some(operation) if operation.cancel.is_some() => {
            return bad(format!(
                "cancelation was already requested for an operation with scheduled event ID {id}"
            ));
        }
        _ => {}
    }
    let attributes = NexusOperationCancelRequestedEventAttributes {
        scheduled_event_id: id,
        workflow_task_completed_event_id: task.completed_event_id,
    };
    turn.full_event(
        turn.stamp.now,
        Attributes::NexusOperationCancelRequestedEventAttributes(attributes),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}

/// What came of a call. It counts only for the attempt that it was.
pub fn called(turn: &mut Turn<'_>, id: i64, call: Owed, outcome: &Outcome) {
    let Some(operation) = turn.execution.nexus_operations.get(&id) else { return };
    let is_owed = operation.owed().is_some_and(|(owed, _)| owed == call);
    if !turn.execution.is_running() || !is_owed {
        return;
    }
    match call {
        Owed::Start(made) => start_called(turn, id, made, outcome),
        Owed::Cancel(made) => cancel_called(turn, id, made, outcome),
    }
}

fn start_called(turn: &mut Turn<'_>, id: i64, made: i32, outcome: &Outcome) {
    let now = turn.stamp.now;
    match outcome {
        Outcome::Started { operation_token, links } => {
            started(turn, id, operation_token, now, &plain(links));
        }
        Outcome::Succeeded { payload, links } => {
            succeeded(turn, id, payload.clone().map(|payload| payload.0), plain(links));
        }
        Outcome::Unsuccessful { failure, canceled } => unsuccessful(turn, id, &failure.0, *canceled),
        Outcome::Error { failure, retryable: true } => {
            let record = Record::NexusStartFailed {
                scheduled_event_id: id,
                at: now,
                failure: Some((**failure).clone()),
                next_time: next_time(turn.stamp, made),
            };
            turn.record(record);
            return;
        }
        Outcome::Error { failure, retryable: false } => unsuccessful(turn, id, &failure.0, false),
        Outcome::TooLate(TimeoutKind::ScheduleToStart) => time_out(turn, id, TimeoutType::ScheduleToStart),
        Outcome::TooLate(TimeoutKind::ScheduleToClose) => time_out(turn, id, TimeoutType::ScheduleToClose),
        Outcome::Taken => return,
    }
    workflow_task::schedule_if_needed(turn);
}

fn cancel_called(turn: &mut Turn<'_>, id: i64, made: i32, outcome: &Outcome) {
    let cancel = turn.execution.nexus_operations.get(&id).and_then(|operation| operation.cancel.as_ref());
    let Some(requested_event_id) = cancel.map(|cancel| cancel.requested_event_id) else { return };
    match outcome {
        Outcome::Error { failure, retryable: true } => {
            let record = Record::NexusCancelFailed {
                scheduled_event_id: id,
                at: turn.stamp.now,
                failure: Some((**failure).clone()),
                next_time: next_time(turn.stamp, made),
            };
            turn.record(record);
            return;
        }
        Outcome::Error { failure, .. } | Outcome::Unsuccessful { failure, .. } => {
            let attributes = NexusOperationCancelRequestFailedEventAttributes {
                requested_event_id,
                workflow_task_completed_event_id: 0,
                failure: Some(failure.0.clone()),
                scheduled_event_id: id,
            };
            turn.ignorable_event(
                Attributes::NexusOperationCancelRequestFailedEventAttributes(attributes),
                Vec::new(),
            );
        }
        // The time-out itself is about to say so.
        Outcome::TooLate(_) => return,
        Outcome::Taken | Outcome::Started { .. } | Outcome::Succeeded { .. } => {
            let attributes = NexusOperationCancelRequestCompletedEventAttributes {
                requested_event_id,
                workflow_task_completed_event_id: 0,
                scheduled_event_id: id,
            };
            turn.ignorable_event(
                Attributes::NexusOperationCancelRequestCompletedEventAttributes(attributes),
                Vec::new(),
            );
        }
    }
    workflow_task::schedule_if_needed(turn);
}

/// The operation's end, told by whoever carried it out. One that is not known to have been started was.
pub fn completed(turn: &mut Turn<'_>, completion: &Completion, from_namespace: &str) -> Outcome {
    let no = |kind: &str, why: &str| Outcome::Error {
        failure: Box::new(Proto(refusal(kind, why, false))),
        retryable: false,
    };
    let Some(of) = &completion.operation else { return no("BAD_REQUEST", "invalid callback token") };
    let id = of.scheduled_event_id;
    if turn.execution.ended_operations.contains(&id) {
        return Outcome::Taken;
    }
    if !turn.execution.is_running() {
        return no("NOT_FOUND", "workflow execution already completed");
    }
    let known = turn.execution.nexus_operations.get(&id);
    let Some(operation) = known.filter(|operation| operation.scheduled.request_id == of.request_id) else {
        return no("NOT_FOUND", "operation not found");
    };
    if !operation.is_started() {
        let links: Vec<Link> =
            completion.links.iter().map(|link| with_namespace(&link.0, from_namespace)).collect();
        started(turn, id, &completion.operation_token, completion.started, &links);
    }
    match &completion.end {
        End::Succeeded(payload) => {
            succeeded(turn, id, payload.clone().map(|payload| payload.0), Vec::new());
        }
        End::Failed { failure, canceled } => unsuccessful(turn, id, &failure.0, *canceled),
    }
    workflow_task::schedule_if_needed(turn);
    Outcome::Taken
}

/// Times out what has taken too long. Returns whether anything has.
pub fn wake(turn: &mut Turn<'_>) -> bool {
    let now = turn.stamp.now;
    let due: Vec<(i64, TimeoutType)> = turn
        .execution
        .nexus_operations
        .iter()
        .filter_map(|(id, operation)| operation.deadline().map(|(at, kind)| (*id, at, kind)))
        .filter(|(_, at, _)| *at <= now)
        .map(|(id, _, kind)| (id, kind))
        .collect();
    for (id, kind) in &due {
        time_out(turn, *id, *kind);
    }
    !due.is_empty()
}

fn started(turn: &mut Turn<'_>, id: i64, token: &str, at: Time, links: &[Link]) {
    let Some(operation) = turn.execution.nexus_operations.get(&id) else { return };
    let attributes = NexusOperationStartedEventAttributes {
        scheduled_event_id: id,
        operation_id: token.to_owned(),
        request_id: operation.scheduled.request_id.clone(),
        operation_token: token.to_owned(),
    };
    turn.full_event(at, Attributes::NexusOperationStartedEventAttributes(attributes), None, links.to_vec());
}

fn succeeded(turn: &mut Turn<'_>, id: i64, result: Option<Payload>, links: Vec<Link>) {
    let Some(operation) = turn.execution.nexus_operations.get(&id) else { return };
    let attributes = NexusOperationCompletedEventAttributes {
        scheduled_event_id: id,
        result,
        request_id: operation.scheduled.request_id.clone(),
    };
    let attributes = Attributes::NexusOperationCompletedEventAttributes(attributes);
    turn.full_event(turn.stamp.now, attributes, None, links);
}

fn unsuccessful(turn: &mut Turn<'_>, id: i64, cause: &Failure, canceled: bool) {
    let Some((failure, request_id)) = failure(turn, id, cause.clone()) else { return };
    let (scheduled_event_id, failure) = (id, Some(failure));
    turn.event(if canceled {
        Attributes::NexusOperationCanceledEventAttributes(NexusOperationCanceledEventAttributes {
            scheduled_event_id,
            failure,
            request_id,
        })
    } else {
        Attributes::NexusOperationFailedEventAttributes(NexusOperationFailedEventAttributes {
            scheduled_event_id,
            failure,
            request_id,
        })
    });
}

/// How an operation fails that has taken too long.
pub fn timed_out(kind: TimeoutType) -> Failure {
    Failure {
        message: "operation timed out".into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: kind as i32,
            ..TimeoutFailureInfo::default()
        })),
        ..Failure::default()
    }
}

fn time_out(turn: &mut Turn<'_>, id: i64, kind: TimeoutType) {
    let Some((failure, request_id)) = failure(turn, id, timed_out(kind)) else { return };
    turn.event(Attributes::NexusOperationTimedOutEventAttributes(NexusOperationTimedOutEventAttributes {
        scheduled_event_id: id,
        failure: Some(failure),
        request_id,
    }));
}

/// What the workflow reads of an operation that did not succeed.
fn failure(turn: &Turn<'_>, id: i64, cause: Failure) -> Option<(Failure, String)> {
    let operation = turn.execution.nexus_operations.get(&id)?;
    let a = &operation.scheduled;
    let info = NexusOperationFailureInfo {
        scheduled_event_id: id,
        endpoint: a.endpoint.clone(),
        service: a.service.clone(),
        operation: a.operation.clone(),
        operation_id: operation.operation_token.clone(),
        operation_token: operation.operation_token.clone(),
    };
    let failure = Failure {
        message: "nexus operation completed unsuccessfully".into(),
        cause: Some(Box::new(cause)),
        failure_info: Some(FailureInfo::NexusOperationExecutionFailureInfo(info)),
        ..Failure::default()
    };
    Some((failure, a.request_id.clone()))
}

/// When a call that has failed, after so many others, is to be made again.
pub fn next_time(stamp: &Stamp<'_>, made: i32) -> Time {
    let doublings = u32::try_from(made).unwrap_or_default().min(DOUBLINGS_MAX);
    let pause = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let chance = stamp.chance() % (JITTER_PERCENT + 1);
    stamp.now + pause.mul_f64((100 - chance) as f64 / 100.0)
}

fn plain(links: &[Proto<Link>]) -> Vec<Link> {
    links.iter().map(|link| link.0.clone()).collect()
}

/// A link of a workflow, which leaves out its own namespace's name.
pub fn with_namespace(link: &Link, namespace: &str) -> Link {
    use everlog_proto::api::common::v1::link::Variant;
    let mut link = link.clone();
    if let Some(Variant::WorkflowEvent(event)) = &mut link.variant
        && event.namespace.is_empty()
    {
        event.namespace = namespace.to_owned();
    }
    link
}
