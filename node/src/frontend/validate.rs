//! Checks that several methods share, with the words of the real server.
//!
//! Lengths are in bytes, as there. What a request leaves open and the real server fills in is filled in
//! here, because the history shows it.

use std::time::Duration;

use everlog_engine::{
    evolve::is_null,
    limits::Limits,
    schedule::cron,
    time::{is_negative, proto_duration, set_duration},
};
use everlog_proto::api::{
    common::v1::{Link, Memo, Priority, RetryPolicy, WorkflowExecution, WorkflowType, link},
    enums::v1::{
        EventType, TaskQueueKind, TimeoutType, WorkflowIdConflictPolicy as Conflict,
        WorkflowIdReusePolicy as Reuse,
    },
    taskqueue::v1::TaskQueue,
};
use everlog_proto::prost::Message;
use tonic::Status;
use uuid::Uuid;

use super::dynamic_config::ApiLimits;

type Check<T = ()> = Result<T, Status>;

/// Longer time-outs than this are cut to it.
const TIMEOUT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
const FAIRNESS_KEY_BYTES_MAX: usize = 64;
const QUEUE_RESERVED_PREFIX: &str = "/_sys/";
/// Where the real server runs its own workflows of a namespace.
const QUEUE_INTERNAL: &str = "temporal-sys-per-ns-tq";
const TIMEOUT_TYPE_PREFIX: &str = "TemporalTimeout:";

fn invalid<T>(message: impl Into<String>) -> Check<T> {
    Err(Status::invalid_argument(message))
}

/// The execution that a request names.
pub(super) fn execution(execution: Option<&WorkflowExecution>) -> Check<&WorkflowExecution> {
    let Some(execution) = execution else { return invalid("Execution is not set on request.") };
    if execution.workflow_id.is_empty() {
        return invalid("WorkflowId is not set on request.");
    }
    if !execution.run_id.is_empty() && Uuid::parse_str(&execution.run_id).is_err() {
        return invalid("Invalid RunId.");
    }
    Ok(execution)
}

/// The same of a request that the real server does not look at before it loads the execution.
pub(super) fn loaded(workflow_id: &str, run_id: &str) -> Check {
    if workflow_id.is_empty() {
        return invalid("Can't load workflow execution. WorkflowId not set.");
    }
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return invalid("RunId is not valid UUID.");
    }
    Ok(())
}

pub(super) fn new_workflow_id(id: &str, limits: &Limits) -> Check {
    if id.is_empty() {
        return invalid("WorkflowId is not set on request.");
    }
    allowed_length("WorkflowId", id, limits)
}

/// In the words in which the real server speaks of ids of new workflows, and of all that signal-with-start names.
pub(super) fn allowed_length(what: &str, text: &str, limits: &Limits) -> Check {
    let (bytes, most) = (text.len(), limits.id_bytes_max);
    if bytes > most {
        return invalid(format!("{what} exceeds maximum allowed length ({bytes}/{most})"));
    }
    Ok(())
}

pub(super) fn workflow_type(kind: Option<&WorkflowType>, limits: &Limits) -> Check {
    match kind.map_or("", |kind| &kind.name) {
        "" => invalid("WorkflowType is not set on request."),
        name if name.len() > limits.id_bytes_max => invalid("WorkflowType length exceeds limit."),
        _ => Ok(()),
    }
}

pub(super) fn identity(identity: &str, limits: &Limits) -> Check {
    if identity.len() > limits.id_bytes_max {
        return invalid("Identity length exceeds limit.");
    }
    Ok(())
}

pub(super) fn request_id(id: &str, limits: &Limits) -> Check {
    if id.len() > limits.id_bytes_max {
        return invalid("RequestId length exceeds limit.");
    }
    Ok(())
}

/// A task queue that is polled or looked at. Its kind is filled in.
pub(super) fn task_queue<'a>(queue: &'a mut Option<TaskQueue>, limits: &Limits) -> Check<&'a TaskQueue> {
    let queue = named_queue(queue, limits)?;
    if queue.kind != TaskQueueKind::Sticky as i32 && !queue.normal_name.is_empty() {
        return invalid(format!(
            "only sticky queues can have normal name. tq: {}, normal name: {}",
            queue.name, queue.normal_name
        ));
    }
    if queue.normal_name.len() > limits.id_bytes_max {
        return invalid("taskQueue length exceeds limit");
    }
    Ok(queue)
}

fn named_queue<'a>(queue: &'a mut Option<TaskQueue>, limits: &Limits) -> Check<&'a TaskQueue> {
    let Some(queue) = queue else { return invalid("taskQueue is not set") };
    if queue.kind == TaskQueueKind::Unspecified as i32 {
        queue.kind = TaskQueueKind::Normal as i32;
    }
    if queue.name.is_empty() {
        return invalid("missing task queue name");
    }
    if queue.name.len() > limits.id_bytes_max {
        return invalid("taskQueue length exceeds limit");
    }
    if queue.name.starts_with(QUEUE_RESERVED_PREFIX) {
        return invalid(format!("task queue name cannot start with reserved prefix {QUEUE_RESERVED_PREFIX}"));
    }
    Ok(queue)
}

/// What is wrong with the name of a queue that an endpoint leads to.
pub(super) fn queue_name_fault(name: &str, limits: &Limits) -> Option<String> {
    if name.is_empty() {
        Some("taskQueue is not set".into())
    } else if name.len() > limits.id_bytes_max {
        Some("taskQueue length exceeds limit".into())
    } else if name.starts_with(QUEUE_RESERVED_PREFIX) {
        Some(format!("task queue name cannot start with reserved prefix {QUEUE_RESERVED_PREFIX}"))
    } else {
        None
    }
}

/// A task queue on which a user's workflow may run.
pub(super) fn start_queue(queue: &mut Option<TaskQueue>, limits: &Limits) -> Check {
    let queue = named_queue(queue, limits)?;
    if queue.name == QUEUE_INTERNAL {
        return invalid(format!("cannot use internal per-namespace task queue:{QUEUE_INTERNAL}"));
    }
    Ok(())
}

/// Why a duration is none, if so.
fn duration_fault(duration: &prost_types::Duration) -> Option<&'static str> {
    let mixed = duration.seconds != 0 && duration.nanos != 0;
    if mixed && (duration.seconds < 0) != (duration.nanos < 0) {
        return Some("duration has seconds and nanos with different signs");
    }
    is_negative(Some(duration)).then_some("negative duration")
}

/// A time-out of a start; `name` is the field's name in the refusal.
pub(super) fn timeout(timeout: &mut Option<prost_types::Duration>, name: &str) -> Check {
    let Some(set) = timeout else { return Ok(()) };
    if let Some(fault) = duration_fault(set) {
        return invalid(format!("An invalid {name} is set on request. cause: {fault}"));
    }
    if set.seconds >= TIMEOUT_MAX.as_secs() as i64 {
        *set = proto_duration(TIMEOUT_MAX);
    }
    Ok(())
}

/// A retry policy, filled up with the defaults.
pub(super) fn retry_policy(policy: &mut Option<RetryPolicy>, limits: &Limits) -> Check {
    let Some(policy) = policy else { return Ok(()) };
    let is_zero = |duration: &Option<prost_types::Duration>| {
        duration.as_ref().is_none_or(|duration| duration.seconds == 0 && duration.nanos == 0)
    };
    if is_zero(&policy.initial_interval) {
        policy.initial_interval = Some(proto_duration(limits.retry_initial_interval));
    }
    if is_zero(&policy.maximum_interval) {
        let initial = set_duration(policy.initial_interval.as_ref()).unwrap_or_default();
        // The real server multiplies by whole numbers too.
        let factor = limits.retry_maximum_interval_coefficient as u32;
        policy.maximum_interval = Some(proto_duration(initial.saturating_mul(factor)));
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = limits.retry_backoff_coefficient;
    }
    check_retry_policy(policy)
}

fn check_retry_policy(policy: &RetryPolicy) -> Check {
    if policy.maximum_attempts == 1 {
        // There are no retries, so nothing else matters.
        return Ok(());
    }
    let fault = |duration: &Option<prost_types::Duration>| duration.as_ref().and_then(duration_fault);
    if let Some(fault) = fault(&policy.initial_interval) {
        return invalid(format!("invalid InitialInterval set on retry policy: {fault}"));
    }
    if policy.backoff_coefficient < 1.0 || policy.backoff_coefficient.is_nan() {
        return invalid("BackoffCoefficient cannot be less than 1 on retry policy.");
    }
    if let Some(fault) = fault(&policy.maximum_interval) {
        return invalid(format!("invalid MaximumInterval set on retry policy: {fault}"));
    }
    let maximum = set_duration(policy.maximum_interval.as_ref());
    if maximum.is_some() && maximum < set_duration(policy.initial_interval.as_ref()) {
        return invalid("MaximumInterval cannot be less than InitialInterval on retry policy.");
    }
    if policy.maximum_attempts < 0 {
        return invalid("MaximumAttempts cannot be negative on retry policy.");
    }
    for kind in &policy.non_retryable_error_types {
        if let Some(name) = kind.strip_prefix(TIMEOUT_TYPE_PREFIX)
            && !is_timeout_type(name)
        {
            return invalid(format!("Invalid timeout type value: {name}."));
        }
    }
    Ok(())
}

/// Both spellings of the API are known: `StartToClose` and `TIMEOUT_TYPE_START_TO_CLOSE`.
fn is_timeout_type(name: &str) -> bool {
    const SHORT: [&str; 4] = ["StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"];
    SHORT.contains(&name)
        || TimeoutType::from_str_name(name).is_some_and(|kind| kind != TimeoutType::Unspecified)
}

/// Cron and start delay exclude each other.
pub(super) fn start_delay(cron: &str, delay: &mut Option<prost_types::Duration>) -> Check {
    if !cron.is_empty() && delay.is_some() {
        return invalid("CronSchedule and WorkflowStartDelay may not be used together.");
    }
    timeout(delay, "WorkflowStartDelaySeconds")
}

pub(super) fn cron(schedule: &str) -> Check {
    match cron::check(schedule) {
        Err(error) if !schedule.is_empty() => invalid(cron::refusal(&error)),
        _ => Ok(()),
    }
}

#[allow(deprecated)]
pub(super) fn policies(reuse: Reuse, conflict: Conflict) -> Check {
    if conflict != Conflict::Unspecified && reuse == Reuse::TerminateIfRunning {
        return invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used \
             together with a WorkflowIDConflictPolicy",
        );
    }
    if conflict == Conflict::TerminateExisting && reuse == Reuse::RejectDuplicate {
        return invalid(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used \
             together with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
        );
    }
    Ok(())
}

pub(super) fn priority(priority: Option<&Priority>) -> Check {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        return invalid("priority key can't be negative");
    }
    if priority.fairness_key.len() > FAIRNESS_KEY_BYTES_MAX {
        return invalid("fairness key length exceeds limit");
    }
    if priority.fairness_weight < 0.0 {
        return invalid("must be greater than zero");
    }
    Ok(())
}

pub(super) fn links(links: &[Link], api: &ApiLimits) -> Check {
    if links.len() > api.links_max {
        return invalid(format!(
            "cannot attach more than {} links per request, got {}",
            api.links_max,
            links.len()
        ));
    }
    for link in links {
        let bytes = link.encoded_len();
        if bytes > api.link_bytes_max {
            return invalid(format!("link exceeds allowed size of {}, got {bytes}", api.link_bytes_max));
        }
        match &link.variant {
            Some(link::Variant::WorkflowEvent(event)) => workflow_event_link(event)?,
            Some(link::Variant::BatchJob(job)) if job.job_id.is_empty() => {
                return invalid("batch job link must not have an empty job ID");
            }
            Some(link::Variant::BatchJob(_)) => {}
            Some(link::Variant::Activity(of)) => {
                complete_link("activity", &of.namespace, ("activity ID", &of.activity_id), &of.run_id)?;
            }
            Some(link::Variant::NexusOperation(of)) => {
                let id = ("operation ID", of.operation_id.as_str());
                complete_link("nexus operation", &of.namespace, id, &of.run_id)?;
            }
            _ => return invalid("unsupported link variant"),
        }
    }
    Ok(())
}

fn complete_link(kind: &str, namespace: &str, id: (&str, &str), run_id: &str) -> Check {
    for (name, value) in [("namespace", namespace), id, ("run ID", run_id)] {
        if value.is_empty() {
            return invalid(format!("{kind} link must not have an empty {name} field"));
        }
    }
    Ok(())
}

fn workflow_event_link(event: &link::WorkflowEvent) -> Check {
    let id = ("workflow ID", event.workflow_id.as_str());
    complete_link("workflow event", &event.namespace, id, &event.run_id)?;
    if let Some(link::workflow_event::Reference::EventRef(event)) = &event.reference
        && event.event_type == EventType::Unspecified as i32
        && event.event_id != 0
    {
        return invalid(
            "workflow event link ref cannot have an unspecified event type and a non-zero event ID",
        );
    }
    Ok(())
}

/// A payload-carrying part of a request.
pub(super) fn blob(message: Option<&impl Message>, limits: &Limits) -> Check {
    if is_too_large(message, limits) {
        return invalid("Blob data size exceeds limit.");
    }
    Ok(())
}

pub(super) fn is_too_large(message: Option<&impl Message>, limits: &Limits) -> bool {
    message.is_some_and(|message| message.encoded_len() > limits.blob_bytes_max)
}

/// A memo with which something begins.
pub(super) fn memo(memo: &mut Option<Memo>, limits: &Limits) -> Check {
    leave_out_nulls(memo);
    if memo.as_ref().is_some_and(|memo| memo.encoded_len() > limits.memo_bytes_max) {
        return invalid("Memo size exceeds limit.");
    }
    Ok(())
}

/// A field that says "null" is as good as not given.
pub(super) fn leave_out_nulls(memo: &mut Option<Memo>) {
    if let Some(memo) = memo {
        memo.fields.retain(|_, payload| !is_null(payload));
    }
    memo.take_if(|memo| memo.fields.is_empty());
}

#[cfg(test)]
mod tests {
    use everlog_proto::api::common::v1::{Payload, Payloads};

    use super::*;

    fn seconds(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos })
    }

    fn text(check: Check) -> String {
        check.err().map(|status| status.message().to_owned()).unwrap_or_default()
    }

    #[test]
    fn ids_may_be_as_long_as_the_limit() {
        let limits = Limits { id_bytes_max: 10, ..Limits::default() };
        for length in [1, 9, 10] {
            assert_eq!(text(new_workflow_id(&"w".repeat(length), &limits)), "");
            assert_eq!(text(identity(&"w".repeat(length), &limits)), "");
        }
        // Bytes count, not characters.
        assert_eq!(
            text(new_workflow_id("éééééé", &limits)),
            "WorkflowId exceeds maximum allowed length (12/10)"
        );
        assert_eq!(text(new_workflow_id("", &limits)), "WorkflowId is not set on request.");
        assert_eq!(text(identity("12345678901", &limits)), "Identity length exceeds limit.");
        assert_eq!(text(request_id("12345678901", &limits)), "RequestId length exceeds limit.");
        let kind = |name: &str| WorkflowType { name: name.into() };
        assert_eq!(text(workflow_type(Some(&kind("1234567890")), &limits)), "");
        assert_eq!(
            text(workflow_type(Some(&kind("12345678901")), &limits)),
            "WorkflowType length exceeds limit."
        );
        assert_eq!(text(workflow_type(None, &limits)), "WorkflowType is not set on request.");
    }

    #[test]
    fn queues_have_names() {
        let limits = Limits { id_bytes_max: 10, ..Limits::default() };
        let check = |name: Option<&str>| {
            let mut queue = name.map(|name| TaskQueue { name: name.into(), ..TaskQueue::default() });
            let refused = text(start_queue(&mut queue, &limits));
            (refused, queue.map(|queue| queue.kind))
        };
        assert_eq!(check(Some("q")), (String::new(), Some(TaskQueueKind::Normal as i32)));
        assert_eq!(check(None).0, "taskQueue is not set");
        assert_eq!(check(Some("")).0, "missing task queue name");
        assert_eq!(check(Some("1234567890")).0, "");
        assert_eq!(check(Some("12345678901")).0, "taskQueue length exceeds limit");
        assert_eq!(check(Some("/_sys/x/1")).0, "task queue name cannot start with reserved prefix /_sys/");
        let mut internal = Some(TaskQueue { name: QUEUE_INTERNAL.into(), ..TaskQueue::default() });
        assert_eq!(
            text(start_queue(&mut internal, &Limits::default())),
            "cannot use internal per-namespace task queue:temporal-sys-per-ns-tq"
        );
    }

    #[test]
    fn timeouts_are_not_negative_and_end() {
        for (timeout_given, refused) in [
            (None, ""),
            (seconds(0, 0), ""),
            (seconds(1, 5), ""),
            (seconds(-1, 0), "negative duration"),
            (seconds(0, -1), "negative duration"),
            (seconds(1, -1), "duration has seconds and nanos with different signs"),
            (seconds(-1, 1), "duration has seconds and nanos with different signs"),
        ] {
            let mut given = timeout_given;
            let expected = match refused {
                "" => String::new(),
                fault => format!("An invalid Name is set on request. cause: {fault}"),
            };
            assert_eq!(text(timeout(&mut given, "Name")), expected);
        }
        let mut endless = seconds(i64::MAX, 0);
        timeout(&mut endless, "Name").unwrap();
        assert_eq!(endless, Some(proto_duration(TIMEOUT_MAX)));
    }

    #[test]
    fn retry_policies_are_filled_up_and_checked() {
        let limits = Limits::default();
        let check = |policy: RetryPolicy| {
            let mut policy = Some(policy);
            let refused = text(retry_policy(&mut policy, &limits));
            (refused, policy.unwrap())
        };
        let (refused, filled) = check(RetryPolicy::default());
        assert_eq!(refused, "");
        assert_eq!(filled.initial_interval, seconds(1, 0));
        assert_eq!(filled.maximum_interval, seconds(100, 0));
        assert_eq!(filled.backoff_coefficient, 2.0);
        let cases = [
            (
                RetryPolicy { backoff_coefficient: 0.5, ..Default::default() },
                "BackoffCoefficient cannot be less than 1 on retry policy.",
            ),
            (
                RetryPolicy { initial_interval: seconds(-1, 0), ..Default::default() },
                "invalid InitialInterval set on retry policy: negative duration",
            ),
            (
                RetryPolicy { maximum_interval: seconds(-1, 0), ..Default::default() },
                "invalid MaximumInterval set on retry policy: negative duration",
            ),
            (
                RetryPolicy {
                    initial_interval: seconds(10, 0),
                    maximum_interval: seconds(1, 0),
                    ..Default::default()
                },
                "MaximumInterval cannot be less than InitialInterval on retry policy.",
            ),
            (
                RetryPolicy { maximum_attempts: -1, ..Default::default() },
                "MaximumAttempts cannot be negative on retry policy.",
            ),
            (RetryPolicy { maximum_attempts: 1, backoff_coefficient: 0.5, ..Default::default() }, ""),
            (
                RetryPolicy {
                    non_retryable_error_types: vec!["TemporalTimeout:Foo".into()],
                    ..Default::default()
                },
                "Invalid timeout type value: Foo.",
            ),
            (
                RetryPolicy {
                    non_retryable_error_types: vec!["TemporalTimeout:Heartbeat".into(), "Mine".into()],
                    ..Default::default()
                },
                "",
            ),
        ];
        for (policy, expected) in cases {
            assert_eq!(check(policy).0, expected);
        }
    }

    #[test]
    fn links_are_few_and_complete() {
        let api = ApiLimits::default();
        let event = link::WorkflowEvent {
            namespace: "n".into(),
            workflow_id: "w".into(),
            run_id: "r".into(),
            reference: None,
        };
        let link =
            |event: &link::WorkflowEvent| Link { variant: Some(link::Variant::WorkflowEvent(event.clone())) };
        assert_eq!(text(links(&vec![link(&event); 10], &api)), "");
        assert_eq!(
            text(links(&vec![link(&event); 11], &api)),
            "cannot attach more than 10 links per request, got 11"
        );
        let nameless = link::WorkflowEvent { run_id: String::new(), ..event.clone() };
        assert_eq!(
            text(links(&[link(&nameless)], &api)),
            "workflow event link must not have an empty run ID field"
        );
        let long = link::WorkflowEvent { namespace: "n".repeat(5000), ..event };
        assert_eq!(text(links(&[link(&long)], &api)), "link exceeds allowed size of 4000, got 5012");
        assert_eq!(text(links(&[Link { variant: None }], &api)), "unsupported link variant");
    }

    #[test]
    fn a_payload_may_be_as_large_as_the_limit() {
        let limits = Limits { blob_bytes_max: 100, memo_bytes_max: 100, ..Limits::default() };
        let payloads =
            |data: usize| Payloads { payloads: vec![Payload { data: vec![1; data], ..Payload::default() }] };
        assert_eq!(payloads(96).encoded_len(), 100);
        assert_eq!(text(blob(Some(&payloads(96)), &limits)), "");
        assert_eq!(text(blob(Some(&payloads(97)), &limits)), "Blob data size exceeds limit.");
        assert_eq!(text(blob(None::<&Payloads>, &limits)), "");
    }

    #[test]
    fn a_memo_has_no_nulls_and_a_limit() {
        let limits = Limits { memo_bytes_max: 20, ..Limits::default() };
        let payload = |data: &[u8]| Payload { data: data.to_vec(), ..Payload::default() };
        let memo_of = |data: &[u8]| {
            let fields = [("a".to_owned(), payload(data)), ("n".to_owned(), payload(b"null"))];
            Some(Memo { fields: fields.into() })
        };
        let mut fits = memo_of(&[1; 11]);
        assert_eq!(text(memo(&mut fits, &limits)), "");
        assert_eq!(fits.map(|memo| memo.fields.into_keys().collect()), Some(vec!["a".to_owned()]));
        assert_eq!(text(memo(&mut memo_of(&[1; 12]), &limits)), "Memo size exceeds limit.");
        let mut nothing = memo_of(b"[]");
        assert_eq!(text(memo(&mut nothing, &limits)), "");
        assert_eq!(nothing, None);
    }
}
