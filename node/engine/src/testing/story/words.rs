//! The words of a story as requests and commands.

use std::time::Duration;

use everlog_proto::api::{
    command::v1::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
        RequestCancelActivityTaskCommandAttributes, RequestCancelExternalWorkflowExecutionCommandAttributes,
        RequestCancelNexusOperationCommandAttributes, ScheduleActivityTaskCommandAttributes,
        ScheduleNexusOperationCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
        command::Attributes as Attrs,
    },
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, WorkflowExecution, WorkflowType},
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{
        CommandType, ParentClosePolicy, WorkerVersioningMode, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    },
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{
        PauseWorkflowExecutionRequest, SignalWithStartWorkflowExecutionRequest,
        SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest,
    },
};

use super::nexus::ENDPOINT;
use crate::{deployment::WorkerVersion, request::Routed, time::proto_duration};

pub(super) fn word<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

pub(super) fn start_request(id: &str, words: &[&str]) -> StartWorkflowExecutionRequest {
    let seconds = |key: &str| word(words, key).map(|text| proto_duration(duration(text)));
    StartWorkflowExecutionRequest {
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType { name: word(words, "type").unwrap_or("Type").into() }),
        task_queue: Some(TaskQueue {
            name: word(words, "queue").unwrap_or("q").into(),
            ..Default::default()
        }),
        input: word(words, "input").map(payloads),
        workflow_execution_timeout: seconds("execution-timeout"),
        workflow_run_timeout: seconds("run-timeout"),
        workflow_task_timeout: seconds("task-timeout"),
        workflow_start_delay: seconds("delay"),
        request_id: word(words, "request")
            .map_or_else(|| format!("start-{id}-{}", words.len()), str::to_owned),
        identity: "client".into(),
        retry_policy: word(words, "retry").map(retry_policy),
        request_eager_execution: words.contains(&"eager"),
        workflow_id_reuse_policy: match word(words, "reuse") {
            Some("failed-only") => WorkflowIdReusePolicy::AllowDuplicateFailedOnly as i32,
            Some("reject") => WorkflowIdReusePolicy::RejectDuplicate as i32,
            Some("terminate") => 4,
            _ => 0,
        },
        workflow_id_conflict_policy: match word(words, "conflict") {
            Some("use") => WorkflowIdConflictPolicy::UseExisting as i32,
            Some("terminate") => WorkflowIdConflictPolicy::TerminateExisting as i32,
            Some("fail") => WorkflowIdConflictPolicy::Fail as i32,
            _ => 0,
        },
        on_conflict_options: words.contains(&"attach").then(|| {
            everlog_proto::api::workflow::v1::OnConflictOptions {
                attach_request_id: true,
                ..Default::default()
            }
        }),
        ..Default::default()
    }
}

pub(super) fn signal_with_start(id: &str, words: &[&str]) -> SignalWithStartWorkflowExecutionRequest {
    let start = start_request(id, words);
    SignalWithStartWorkflowExecutionRequest {
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        request_id: start.request_id,
        identity: start.identity,
        workflow_start_delay: start.workflow_start_delay,
        workflow_id_reuse_policy: start.workflow_id_reuse_policy,
        workflow_id_conflict_policy: start.workflow_id_conflict_policy,
        signal_name: word(words, "signal").unwrap_or("signal").into(),
        ..Default::default()
    }
}

pub(super) fn signal_request(id: &str, words: &[&str]) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        workflow_execution: Some(WorkflowExecution { workflow_id: id.to_owned(), run_id: String::new() }),
        signal_name: words.get(1).copied().unwrap_or("signal").into(),
        request_id: word(words, "request").unwrap_or_default().into(),
        identity: "client".into(),
        ..Default::default()
    }
}

pub(super) fn pause_request(words: &[&str]) -> PauseWorkflowExecutionRequest {
    PauseWorkflowExecutionRequest {
        reason: word(words, "reason").unwrap_or_default().into(),
        request_id: word(words, "request").unwrap_or_default().into(),
        identity: "operator".into(),
        ..Default::default()
    }
}

pub(super) fn unpause_request() -> UnpauseWorkflowExecutionRequest {
    UnpauseWorkflowExecutionRequest { identity: "operator".into(), ..Default::default() }
}

/// `initial,maximum-attempts`
fn retry_policy(text: &str) -> RetryPolicy {
    let (initial, attempts) = text.split_once(',').unwrap_or((text, "0"));
    RetryPolicy {
        initial_interval: Some(proto_duration(duration(initial))),
        maximum_attempts: attempts.parse().unwrap_or_default(),
        ..Default::default()
    }
}

pub(super) fn sticky(queue: &str) -> StickyExecutionAttributes {
    StickyExecutionAttributes {
        worker_task_queue: Some(TaskQueue { name: queue.to_owned(), ..Default::default() }),
        schedule_to_start_timeout: Some(proto_duration(Duration::from_secs(5))),
    }
}

/// `timer=id,5s` `cancel-timer=id` `activity=id,stc=5s` `cancel-activity=5` `marker=name` `complete`
/// `fail=why` `canceled` `again` `operation=name,s2c:5s` `cancel-operation=5` `child=id,policy:abandon`
/// `signal-external=id,name` `cancel-external=id` and, to be refused, `unknown`.
pub(super) fn command(word: &str) -> Command {
    let (verb, rest) = word.split_once('=').unwrap_or((word, ""));
    let parts: Vec<&str> = rest.split(',').collect();
    let part = |key: &str| parts.iter().find_map(|part| part.strip_prefix(key)?.strip_prefix(':'));
    let seconds = |key: &str| part(key).map(|text| proto_duration(duration(text)));
    let (kind, attributes) = match verb {
        "timer" => (
            CommandType::StartTimer,
            Attrs::StartTimerCommandAttributes(StartTimerCommandAttributes {
                timer_id: parts[0].to_owned(),
                start_to_fire_timeout: parts.get(1).map(|text| proto_duration(duration(text))),
            }),
        ),
        "cancel-timer" => (
            CommandType::CancelTimer,
            Attrs::CancelTimerCommandAttributes(CancelTimerCommandAttributes { timer_id: rest.to_owned() }),
        ),
        "activity" => (
            CommandType::ScheduleActivityTask,
            Attrs::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
                activity_id: parts[0].to_owned(),
                activity_type: Some(ActivityType { name: "act".into() }),
                task_queue: Some(TaskQueue {
                    name: part("queue").unwrap_or("q").into(),
                    ..Default::default()
                }),
                schedule_to_close_timeout: seconds("s2c"),
                schedule_to_start_timeout: seconds("s2s"),
                start_to_close_timeout: seconds("stc").or_else(|| {
                    (part("s2c").is_none() && !rest.contains("bare"))
                        .then(|| proto_duration(Duration::from_secs(10)))
                }),
                heartbeat_timeout: seconds("hb"),
                retry_policy: part("max").map(|attempts| RetryPolicy {
                    maximum_attempts: attempts.parse().unwrap_or_default(),
                    ..Default::default()
                }),
                request_eager_execution: rest.contains("eager"),
                ..Default::default()
            }),
        ),
        "cancel-activity" => (
            CommandType::RequestCancelActivityTask,
            Attrs::RequestCancelActivityTaskCommandAttributes(RequestCancelActivityTaskCommandAttributes {
                scheduled_event_id: rest.parse().unwrap_or_default(),
            }),
        ),
        "marker" => (
            CommandType::RecordMarker,
            Attrs::RecordMarkerCommandAttributes(RecordMarkerCommandAttributes {
                marker_name: rest.to_owned(),
                ..Default::default()
            }),
        ),
        "complete" => (
            CommandType::CompleteWorkflowExecution,
            Attrs::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
                result: Some(payloads(rest)),
            }),
        ),
        "fail" => (
            CommandType::FailWorkflowExecution,
            Attrs::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: Some(failure(rest)),
            }),
        ),
        "canceled" => (
            CommandType::CancelWorkflowExecution,
            Attrs::CancelWorkflowExecutionCommandAttributes(
                CancelWorkflowExecutionCommandAttributes::default(),
            ),
        ),
        "child" => (
            CommandType::StartChildWorkflowExecution,
            Attrs::StartChildWorkflowExecutionCommandAttributes(
                StartChildWorkflowExecutionCommandAttributes {
                    workflow_id: parts[0].to_owned(),
                    workflow_type: Some(WorkflowType { name: "Child".into() }),
                    parent_close_policy: match part("policy") {
                        Some("abandon") => ParentClosePolicy::Abandon,
                        Some("cancel") => ParentClosePolicy::RequestCancel,
                        _ => ParentClosePolicy::Unspecified,
                    } as i32,
                    retry_policy: part("retry").map(|attempts| retry_policy(&format!("1s,{attempts}"))),
                    ..Default::default()
                },
            ),
        ),
        "signal-external" => (
            CommandType::SignalExternalWorkflowExecution,
            Attrs::SignalExternalWorkflowExecutionCommandAttributes(
                SignalExternalWorkflowExecutionCommandAttributes {
                    execution: Some(WorkflowExecution {
                        workflow_id: parts[0].to_owned(),
                        run_id: String::new(),
                    }),
                    signal_name: parts.get(1).copied().unwrap_or_default().to_owned(),
                    child_workflow_only: rest.contains("child-only"),
                    ..Default::default()
                },
            ),
        ),
        "cancel-external" => (
            CommandType::RequestCancelExternalWorkflowExecution,
            Attrs::RequestCancelExternalWorkflowExecutionCommandAttributes(
                RequestCancelExternalWorkflowExecutionCommandAttributes {
                    workflow_id: parts[0].to_owned(),
                    child_workflow_only: rest.contains("child-only"),
                    ..Default::default()
                },
            ),
        ),
        "operation" => (
            CommandType::ScheduleNexusOperation,
            Attrs::ScheduleNexusOperationCommandAttributes(ScheduleNexusOperationCommandAttributes {
                endpoint: part("endpoint").unwrap_or(ENDPOINT.0).to_owned(),
                service: "service".into(),
                operation: parts[0].to_owned(),
                schedule_to_close_timeout: seconds("s2c"),
                schedule_to_start_timeout: seconds("s2s"),
                start_to_close_timeout: seconds("stc"),
                ..Default::default()
            }),
        ),
        "cancel-operation" => (
            CommandType::RequestCancelNexusOperation,
            Attrs::RequestCancelNexusOperationCommandAttributes(
                RequestCancelNexusOperationCommandAttributes {
                    scheduled_event_id: rest.parse().unwrap_or_default(),
                },
            ),
        ),
        "again" => (
            CommandType::ContinueAsNewWorkflowExecution,
            Attrs::ContinueAsNewWorkflowExecutionCommandAttributes(
                ContinueAsNewWorkflowExecutionCommandAttributes::default(),
            ),
        ),
        "unknown" => return Command::default(),
        _ => panic!("no such command: {word}"),
    };
    Command { command_type: kind as i32, attributes: Some(attributes), ..Default::default() }
}

pub(super) fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.as_bytes().to_vec(), ..Default::default() }] }
}

pub(super) fn text_of(payloads: &Payloads) -> String {
    let texts = payloads.payloads.iter().map(|payload| String::from_utf8_lossy(&payload.data).into_owned());
    texts.collect::<Vec<_>>().join(" ")
}

/// `why`, or `why!` for one that must not be retried.
pub(super) fn failure(text: &str) -> Failure {
    Failure {
        message: text.trim_end_matches('!').to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: "Error".into(),
            non_retryable: text.ends_with('!'),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn duration(text: &str) -> Duration {
    let parse = |digits: &str| digits.parse::<f64>().unwrap_or_else(|_| panic!("no duration: {text}"));
    if let Some(digits) = text.strip_suffix("ms") {
        Duration::from_secs_f64(parse(digits) / 1000.0)
    } else if let Some(digits) = text.strip_suffix('s') {
        Duration::from_secs_f64(parse(digits))
    } else if let Some(digits) = text.strip_suffix('m') {
        Duration::from_secs_f64(parse(digits) * 60.0)
    } else if let Some(digits) = text.strip_suffix('h') {
        Duration::from_secs_f64(parse(digits) * 3600.0)
    } else {
        panic!("no duration: {text}")
    }
}

/// The options of a worker of a version: `1` is the build `1` of the deployment `d`.
pub(super) fn worker_of(build_id: &str) -> WorkerDeploymentOptions {
    WorkerDeploymentOptions {
        deployment_name: "d".into(),
        build_id: build_id.into(),
        worker_versioning_mode: WorkerVersioningMode::Versioned as i32,
    }
}

/// `on=1` is the worker's version, `target=2` where free tasks go, if that is elsewhere.
pub(super) fn routed(words: &[&str]) -> Routed {
    let version = |name: &str| word(words, name).map(|build_id| WorkerVersion::new("d", build_id));
    let target = version("target").or_else(|| version("on"));
    let revision = target.as_ref().map_or(0, |target| target.build_id.parse().unwrap_or_default());
    Routed { version: version("on"), target, revision, independent: words.contains(&"independent") }
}
