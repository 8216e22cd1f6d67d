//! Starting a workflow, alone or together with a signal.
//!
//! One id has at most one running workflow. What happens when a start meets another run is a table:
//! request id first, then the conflict policy if the other runs, the reuse policy if it is closed
//! (service/history/api/startworkflow/api.go, api/workflow_id_dedup.go).

use std::time::Duration;

use everlog_proto::api::{
    common::v1::{Link, Payload, Payloads, WorkflowExecution},
    enums::v1::{
        ContinueAsNewInitiator, EventType, TaskQueueKind, WorkflowExecutionStatus,
        WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse,
    },
    history::v1::{
        WorkflowExecutionOptionsUpdatedEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        SignalWithStartWorkflowExecutionRequest, SignalWorkflowExecutionRequest,
        StartWorkflowExecutionRequest,
    },
};

use crate::{
    codec::Proto,
    decide::{
        retry, signal,
        terminate::{self, SERVER_IDENTITY},
        workflow_task,
    },
    deployment::WorkerVersion,
    execution::Execution,
    fact::Record,
    key::{RunKey, WorkflowKey},
    limits::Limits,
    message::{Message, Outcome, StartChild},
    planted,
    reject::Reject,
    reply::{Reply, Started},
    schedule::cron,
    stamp::Stamp,
    time::{duration, proto_duration, set_duration},
    turn::{NewRun, Turn},
    versioning::Override,
    volatile::Volatile,
};

/// What a start did: to the run it met, if any, and the run it created, if any.
#[derive(Debug)]
pub struct StartDecided<'a> {
    pub current: Option<Turn<'a>>,
    pub new: Option<NewRun>,
    pub reply: Reply,
}

pub fn start<'a>(
    stamp: &'a Stamp<'a>,
    key: &WorkflowKey,
    current: Option<Turn<'a>>,
    request: &StartWorkflowExecutionRequest,
) -> Result<StartDecided<'a>, Reject> {
    let (reuse, conflict) =
        policies(request.workflow_id_reuse_policy(), request.workflow_id_conflict_policy(), Conflict::Fail);
    let Some(mut current) = current else {
        return Ok(create(stamp, key, None, request, None));
    };
    if let Some(repeated) = repeated(&current, &request.request_id) {
        return Ok(StartDecided { current: None, new: None, reply: repeated });
    }
    if !current.execution.is_running() || planted::is("second_open_run") {
        check_reuse(&current.execution, reuse)?;
        return Ok(create(stamp, key, None, request, None));
    }
    match conflict {
        Conflict::UseExisting => {
            let attached = attach(&mut current, request)?;
            let reply = Reply::Started(Started {
                started: false,
                // Also while it is paused.
                status: WorkflowExecutionStatus::Running,
                attached_request_id: attached,
                ..started(&current.execution)
            });
            Ok(StartDecided { current: Some(current), new: None, reply })
        }
        Conflict::TerminateExisting => {
            check_interval(&current)?;
            Ok(create(stamp, key, Some(current), request, None))
        }
        _ => Err(already_running(&current.execution)),
    }
}

pub fn signal_with_start<'a>(
    stamp: &'a Stamp<'a>,
    key: &WorkflowKey,
    current: Option<Turn<'a>>,
    request: &SignalWithStartWorkflowExecutionRequest,
) -> Result<StartDecided<'a>, Reject> {
    let (reuse, conflict) = policies(
        request.workflow_id_reuse_policy(),
        request.workflow_id_conflict_policy(),
        Conflict::UseExisting,
    );
    let (start, signal) = split(request);
    let Some(mut current) = current else {
        return Ok(create(stamp, key, None, &start, Some(&signal)));
    };
    if current.execution.is_running() {
        match conflict {
            Conflict::TerminateExisting => {
                check_interval(&current)?;
                return Ok(create(stamp, key, Some(current), &start, Some(&signal)));
            }
            Conflict::Fail => {
                return match repeated(&current, &request.request_id) {
                    Some(reply) => Ok(StartDecided { current: None, new: None, reply }),
                    None => Err(already_running(&current.execution)),
                };
            }
            _ => {}
        }
        let reply = signaled_already(&current.execution);
        if signal::is_repeated(&current, &signal.request_id) {
            return Ok(StartDecided { current: None, new: None, reply });
        }
        signal::check_room(&current)?;
        signal::add(&mut current, &signal, None);
        workflow_task::schedule_even_backing_off(&mut current);
        return Ok(StartDecided { current: Some(current), new: None, reply });
    }
    // A repetition begins no second run when the first one is over.
    if signal::is_repeated(&current, &signal.request_id) {
        let reply = signaled_already(&current.execution);
        return Ok(StartDecided { current: None, new: None, reply });
    }
    check_reuse(&current.execution, reuse)?;
    Ok(create(stamp, key, None, &start, Some(&signal)))
}

/// A child is created without its first workflow task, which comes when its parent has written down that it
/// was started.
pub fn start_child<'a>(
    stamp: &'a Stamp<'a>,
    key: &WorkflowKey,
    current: Option<Turn<'a>>,
    message: &Message,
    start: &StartChild,
) -> Result<StartDecided<'a>, Reject> {
    let request = &start.request;
    let (reuse, conflict) =
        policies(request.workflow_id_reuse_policy(), request.workflow_id_conflict_policy(), Conflict::Fail);
    let replaced = match current {
        Some(current) if !current.execution.is_running() => {
            check_reuse(&current.execution, reuse)?;
            None
        }
        Some(current) if conflict == Conflict::TerminateExisting => {
            check_interval(&current)?;
            Some(current)
        }
        Some(current) => return Err(already_running(&current.execution)),
        None => None,
    };
    let mut replaced = replaced;
    if let Some(old) = &mut replaced {
        end_replaced(old, &start.run_id);
    }
    let parent = WorkflowExecution {
        workflow_id: message.from.workflow.workflow_id.to_string(),
        run_id: message.from.run_id.to_string(),
    };
    let mut attributes = WorkflowExecutionStartedEventAttributes {
        parent_workflow_namespace: message.from_namespace.clone(),
        parent_workflow_namespace_id: message.from.workflow.namespace_id.to_string(),
        parent_workflow_execution: Some(parent),
        parent_initiated_event_id: start.initiated_event_id,
        root_workflow_execution: Some(start.root.0.clone()),
        ..attributes(stamp, key, &start.run_id, request, false)
    };
    start.inherited.put(&mut attributes);
    let run = key.run(&start.run_id);
    let metadata = request.user_metadata.clone();
    let mut turn = open(stamp, run, attributes, request.request_id.clone(), metadata, Vec::new());
    turn.record(Record::HeldByParent(true));
    let reply = Reply::Message(Outcome::Started { run_id: start.run_id.clone() });
    Ok(StartDecided { current: replaced, new: Some(close(turn)), reply })
}

/// The deprecated reuse policy "terminate if running" is a conflict policy in truth.
fn policies(reuse: Reuse, conflict: Conflict, default: Conflict) -> (Reuse, Conflict) {
    #[allow(deprecated)]
    if reuse == Reuse::TerminateIfRunning {
        return (Reuse::AllowDuplicate, Conflict::TerminateExisting);
    }
    let reuse = if reuse == Reuse::Unspecified { Reuse::AllowDuplicate } else { reuse };
    let conflict = if conflict == Conflict::Unspecified { default } else { conflict };
    (reuse, conflict)
}

/// The answer that this request id has been given before, whatever has become of the run.
fn repeated(current: &Turn<'_>, request_id: &str) -> Option<Reply> {
    let execution = &current.execution;
    if execution.create_request_id == request_id {
        let mut reply = started(execution);
        let first =
            current.volatile.started.as_ref().filter(|task| task.attempt == 1 && task.started_event_id == 3);
        if first.is_some_and(|task| task.request_id == request_id) {
            reply.eager_task = Some(workflow_task::held(current));
        }
        return Some(Reply::Started(reply));
    }
    attached_to(execution, request_id)
}

/// What an earlier run of the workflow was told when it took this start, if it did.
pub fn repeated_of(execution: &Execution, request_id: &str) -> Option<Reply> {
    if execution.create_request_id == request_id {
        return Some(Reply::Started(started(execution)));
    }
    attached_to(execution, request_id)
}

/// The answer to a signal-with-start that found this run.
pub fn signaled_already(execution: &Execution) -> Reply {
    Reply::Started(Started { started: false, ..started(execution) })
}

fn attached_to(execution: &Execution, request_id: &str) -> Option<Reply> {
    let attached = execution.request_ids.get(request_id)?;
    (attached.event_type == EventType::WorkflowExecutionOptionsUpdated as i32).then(|| {
        Reply::Started(Started {
            started: false,
            attached_request_id: Some(request_id.to_owned()),
            ..started(execution)
        })
    })
}

fn started(execution: &Execution) -> Started {
    Started {
        run_id: execution.run_id().to_owned(),
        first_run_id: execution.start.first_execution_run_id.clone(),
        started: true,
        status: execution.status(),
        attached_request_id: None,
        eager_task: None,
    }
}

fn already_running(execution: &Execution) -> Reject {
    let message = format!(
        "Workflow execution is already running. WorkflowId: {}, RunId: {}.",
        execution.workflow_id(),
        execution.run_id()
    );
    already_started(execution, message)
}

fn already_started(execution: &Execution, message: String) -> Reject {
    Reject::AlreadyStarted {
        message,
        start_request_id: execution.create_request_id.clone(),
        run_id: execution.run_id().to_owned(),
        first_run_id: execution.start.first_execution_run_id.clone(),
    }
}

fn check_reuse(execution: &Execution, reuse: Reuse) -> Result<(), Reject> {
    let failed = matches!(
        execution.status(),
        WorkflowExecutionStatus::Failed
            | WorkflowExecutionStatus::Canceled
            | WorkflowExecutionStatus::Terminated
            | WorkflowExecutionStatus::TimedOut
    );
    let (how, policy) = match reuse {
        Reuse::AllowDuplicateFailedOnly if !failed => {
            ("finished successfully", "allow duplicate workflow Id if last run failed")
        }
        Reuse::RejectDuplicate => ("finished", "reject duplicate workflow Id"),
        _ => return Ok(()),
    };
    let message = format!(
        "Workflow execution already {how}. WorkflowId: {}, RunId: {}. Workflow Id reuse policy: {policy}.",
        execution.workflow_id(),
        execution.run_id()
    );
    Err(already_started(execution, message))
}

/// Starts that replace each other too quickly are refused, since each of them would do work in vain.
fn check_interval(current: &Turn<'_>) -> Result<(), Reject> {
    let age = current.stamp.now.since(current.execution.start_time);
    if age < current.stamp.limits.workflow_id_reuse_interval_min {
        return Err(Reject::BusyWorkflow(format!(
            "Too many starts for workflow {}. Time since last start: {} ms",
            current.execution.workflow_id(),
            age.as_millis()
        )));
    }
    Ok(())
}

/// What a start may leave with the running workflow that it is content to use.
fn attach(current: &mut Turn<'_>, request: &StartWorkflowExecutionRequest) -> Result<Option<String>, Reject> {
    let Some(options) = &request.on_conflict_options else { return Ok(None) };
    if !options.attach_request_id && !options.attach_completion_callbacks && !options.attach_links {
        return Ok(None);
    }
    let request_id = if options.attach_request_id { request.request_id.clone() } else { String::new() };
    let callbacks =
        if options.attach_completion_callbacks { request.completion_callbacks.clone() } else { Vec::new() };
    let (there, most) = (current.execution.callbacks.len(), current.stamp.limits.callbacks_max);
    if there + callbacks.len() > most {
        return Err(Reject::FailedPrecondition(format!(
            "cannot attach more than {most} callbacks to a workflow ({there} callbacks already attached)"
        )));
    }
    let links = if options.attach_links { request.links.clone() } else { Vec::new() };
    let attributes = Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(
        WorkflowExecutionOptionsUpdatedEventAttributes {
            attached_request_id: request_id.clone(),
            attached_completion_callbacks: callbacks,
            ..Default::default()
        },
    );
    current.ignorable_event(attributes, links);
    Ok((!request_id.is_empty()).then_some(request_id))
}

fn create<'a>(
    stamp: &'a Stamp<'a>,
    key: &WorkflowKey,
    mut replaced: Option<Turn<'a>>,
    request: &StartWorkflowExecutionRequest,
    signal: Option<&SignalWorkflowExecutionRequest>,
) -> StartDecided<'a> {
    let run_id = stamp.uuid();
    if let Some(old) = &mut replaced {
        end_replaced(old, &run_id);
    }
    let backoff = first_backoff(stamp, request);
    let eager = request.request_eager_execution
        && stamp.limits.eager_workflow_start
        && backoff.is_zero()
        && signal.is_none();
    let attributes = attributes(stamp, key, &run_id, request, eager);
    let mut turn = open(
        stamp,
        key.run(&run_id),
        attributes,
        request.request_id.clone(),
        request.user_metadata.clone(),
        request.links.clone(),
    );
    if let Some(signal) = signal {
        signal::add(&mut turn, signal, None);
    }
    if signal.is_none() || backoff.is_zero() {
        workflow_task::schedule_if_needed(&mut turn);
    }
    let version = WorkerVersion::of_worker(request.eager_worker_deployment_options.as_ref());
    let mut reply = Started { status: WorkflowExecutionStatus::Running, ..started(&turn.execution) };
    if eager {
        reply.eager_task = Some(workflow_task::take_eagerly(
            &mut turn,
            &request.identity,
            &request.request_id,
            version.as_ref(),
        ));
    }
    StartDecided { current: replaced, new: Some(close(turn)), reply: Reply::Started(reply) }
}

fn end_replaced(old: &mut Turn<'_>, new_run_id: &str) {
    let reason = "TerminateIfRunning WorkflowIdReusePolicy";
    let details = text_payloads(&format!("terminated by new runID: {new_run_id}"));
    terminate::end(old, reason, Some(details), SERVER_IDENTITY, Vec::new());
}

/// Opens a run: its first event, and its first workflow task unless that has to wait.
pub fn begin(
    stamp: &Stamp<'_>,
    key: RunKey,
    attributes: WorkflowExecutionStartedEventAttributes,
    create_request_id: String,
    user_metadata: Option<UserMetadata>,
    links: Vec<Link>,
) -> NewRun {
    let mut turn = open(stamp, key, attributes, create_request_id, user_metadata, links);
    workflow_task::schedule_if_needed(&mut turn);
    close(turn)
}

fn open<'a>(
    stamp: &'a Stamp<'a>,
    key: RunKey,
    attributes: WorkflowExecutionStartedEventAttributes,
    create_request_id: String,
    user_metadata: Option<UserMetadata>,
    links: Vec<Link>,
) -> Turn<'a> {
    let mut turn = Turn::new(stamp, Execution::fresh(key), Volatile::default());
    let started = Attributes::WorkflowExecutionStartedEventAttributes(attributes);
    turn.full_event(stamp.now, started, user_metadata.clone(), links);
    turn.record(Record::Created { request_id: create_request_id, user_metadata: user_metadata.map(Proto) });
    turn
}

fn close(turn: Turn<'_>) -> NewRun {
    NewRun { execution: turn.execution, volatile: turn.volatile, facts: turn.facts }
}

fn attributes(
    stamp: &Stamp<'_>,
    key: &WorkflowKey,
    run_id: &str,
    request: &StartWorkflowExecutionRequest,
    eager: bool,
) -> WorkflowExecutionStartedEventAttributes {
    let execution_timeout = set_duration(request.workflow_execution_timeout.as_ref());
    let run_timeout = duration(request.workflow_run_timeout.as_ref());
    let run_timeout = match execution_timeout {
        Some(all) if run_timeout.is_zero() || run_timeout > all => all,
        _ => run_timeout,
    };
    let backoff = first_backoff(stamp, request);
    let timeout = duration(request.workflow_task_timeout.as_ref());
    let name = request.task_queue.as_ref().map_or("", |queue| &queue.name);
    WorkflowExecutionStartedEventAttributes {
        workflow_type: request.workflow_type.clone(),
        task_queue: Some(TaskQueue {
            name: name.to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: request
                .task_queue
                .as_ref()
                .map(|queue| queue.normal_name.clone())
                .unwrap_or_default(),
        }),
        input: request.input.clone(),
        // A zero that was given is shown, and means the same as nothing.
        workflow_execution_timeout: request.workflow_execution_timeout,
        workflow_run_timeout: (request.workflow_run_timeout.is_some() || execution_timeout.is_some())
            .then(|| proto_duration(run_timeout)),
        workflow_task_timeout: Some(proto_duration(task_timeout(timeout, run_timeout, stamp.limits))),
        continued_failure: request.continued_failure.clone(),
        last_completion_result: request.last_completion_result.clone(),
        original_execution_run_id: run_id.to_owned(),
        identity: request.identity.clone(),
        first_execution_run_id: run_id.to_owned(),
        retry_policy: request
            .retry_policy
            .as_ref()
            .map(|policy| retry::with_defaults(Some(policy), stamp.limits)),
        attempt: 1,
        workflow_execution_expiration_time: execution_timeout
            .map(|timeout| (stamp.now + timeout + backoff).proto()),
        cron_schedule: request.cron_schedule.clone(),
        initiator: if request.cron_schedule.is_empty() {
            ContinueAsNewInitiator::Unspecified
        } else {
            ContinueAsNewInitiator::CronSchedule
        } as i32,
        first_workflow_task_backoff: Some(proto_duration(backoff)),
        memo: request.memo.clone().filter(|memo| !memo.fields.is_empty()),
        search_attributes: request
            .search_attributes
            .clone()
            .filter(|fields| !fields.indexed_fields.is_empty()),
        header: request.header.clone(),
        workflow_id: key.workflow_id.to_string(),
        completion_callbacks: request.completion_callbacks.clone(),
        priority: request.priority.clone(),
        eager_execution_accepted: eager,
        versioning_override: Override::from_api(request.versioning_override.as_ref())
            .map(|by_hand| by_hand.api()),
        ..Default::default()
    }
}

/// How long the first workflow task waits: for the delay that was asked for, or the first time of the cron
/// schedule.
fn first_backoff(stamp: &Stamp<'_>, request: &StartWorkflowExecutionRequest) -> Duration {
    match set_duration(request.workflow_start_delay.as_ref()) {
        Some(delay) => delay,
        None => cron::backoff(&request.cron_schedule, stamp.now, stamp.now).unwrap_or_default(),
    }
}

/// The time a worker has for one workflow task: the default if not set, never beyond the maximum or the
/// run itself.
pub fn task_timeout(asked: Duration, run_timeout: Duration, limits: &Limits) -> Duration {
    let timeout = if asked.is_zero() { limits.workflow_task_timeout } else { asked };
    let timeout = timeout.min(limits.workflow_task_timeout_max);
    if run_timeout.is_zero() { timeout } else { timeout.min(run_timeout) }
}

fn split(
    request: &SignalWithStartWorkflowExecutionRequest,
) -> (StartWorkflowExecutionRequest, SignalWorkflowExecutionRequest) {
    let r = request.clone();
    let signal = SignalWorkflowExecutionRequest {
        namespace: r.namespace.clone(),
        signal_name: r.signal_name,
        input: r.signal_input,
        identity: r.identity.clone(),
        request_id: r.request_id.clone(),
        header: r.header.clone(),
        links: r.links.clone(),
        ..Default::default()
    };
    let start = StartWorkflowExecutionRequest {
        namespace: r.namespace,
        workflow_id: r.workflow_id,
        workflow_type: r.workflow_type,
        task_queue: r.task_queue,
        input: r.input,
        workflow_execution_timeout: r.workflow_execution_timeout,
        workflow_run_timeout: r.workflow_run_timeout,
        workflow_task_timeout: r.workflow_task_timeout,
        identity: r.identity,
        request_id: r.request_id,
        retry_policy: r.retry_policy,
        cron_schedule: r.cron_schedule,
        memo: r.memo,
        search_attributes: r.search_attributes,
        header: r.header,
        workflow_start_delay: r.workflow_start_delay,
        user_metadata: r.user_metadata,
        links: r.links,
        versioning_override: r.versioning_override,
        priority: r.priority,
        ..Default::default()
    };
    (start, signal)
}

/// A text as payloads, in the encoding that every SDK reads.
fn text_payloads(text: &str) -> Payloads {
    let mut payload = Payload { data: json_string(text).into_bytes(), ..Payload::default() };
    payload.metadata.insert("encoding".into(), b"json/plain".to_vec());
    Payloads { payloads: vec![payload] }
}

pub(crate) fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
