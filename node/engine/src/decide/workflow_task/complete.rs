//! A worker answers a workflow task with commands.
//!
//! All of a completion takes effect or none of it. A command that cannot be carried out throws away the
//! whole completion and fails the task instead (service/history/api/respondworkflowtaskcompleted).

use everlog_proto::api::{
    enums::v1::{TimeoutType, WorkflowTaskFailedCause},
    failure::v1::{Failure, ServerFailureInfo, failure::FailureInfo},
    history::v1::{
        WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes, history_event::Attributes,
    },
    workflowservice::v1::{RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse},
};

use super::{
    fail::check_holder,
    speculative::{self, is_forgettable, pending},
};
use crate::{
    decide::{
        BadCommand, Decided, command, query,
        terminate::{self, SERVER_IDENTITY},
        update::{self, Messages},
    },
    deployment::WorkerVersion,
    execution::Sticky,
    fact::Record,
    planted,
    reject::Reject,
    reply::{CompletedReply, Reply},
    request::{Namespaces, TaskEnd},
    time::{DURATION_MAX, set_duration},
    token::TaskToken,
    turn::Turn,
};

pub fn complete(
    turn: &mut Turn<'_>,
    token: &TaskToken,
    request: &RespondWorkflowTaskCompletedRequest,
    namespaces: &Namespaces,
) -> Decided {
    if !turn.execution.is_running() {
        return Err(Reject::workflow_task_not_found());
    }
    check_holder(turn, token)?;
    if turn.execution.is_paused() && request.force_create_new_workflow_task {
        let message = "Workflow is paused and force create new workflow task is not allowed.";
        return Err(Reject::FailedPrecondition(message.into()));
    }
    command::check_sequence(&request.commands)?;

    let task = pending(turn).cloned().unwrap_or_default();
    let heartbeat =
        request.force_create_new_workflow_task && request.commands.is_empty() && request.messages.is_empty();
    if heartbeat
        && task.original_scheduled_time + turn.stamp.limits.workflow_task_heartbeat_max < turn.stamp.now
    {
        end_attempt_of_heartbeat(turn);
        return Ok(Some(Reply::HeartbeatTimedOut));
    }

    let before = turn.checkpoint();
    let is_forgettable = is_forgettable(turn, request);
    let carried_out = match is_forgettable {
        true => forget(turn, request),
        false => carry_out(turn, request, namespaces),
    };
    match carried_out {
        Ok(ended) => Ok(Some(finish(turn, request, ended, heartbeat, &task))),
        Err(bad) => {
            if !planted::is("commands_half_applied") {
                turn.roll_back(before);
            }
            if bad.only_call {
                return Err(Reject::InvalidArgument(bad.message));
            }
            refuse(turn, request, &bad)
        }
    }
}

/// What the commands led to, as far as the next task depends on it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Nothing is written of the task: the worker goes back to where it was before.
    pub is_forgotten: bool,
    pub canceled_unstarted_activity: bool,
    pub eager_activities: Vec<everlog_proto::api::workflowservice::v1::PollActivityTaskQueueResponse>,
}

fn carry_out(
    turn: &mut Turn<'_>,
    request: &RespondWorkflowTaskCompletedRequest,
    namespaces: &Namespaces,
) -> Result<Outcome, BadCommand> {
    speculative::write(turn, &request.identity);
    let Some(started) = super::write_started(turn) else { return Ok(Outcome::default()) };
    turn.holding = true;
    let deployment = request.deployment_options.as_ref();
    let version = WorkerVersion::of_worker(deployment);
    #[allow(deprecated, reason = "older workers still send these fields and expect to read them back")]
    let completed = WorkflowTaskCompletedEventAttributes {
        scheduled_event_id: started.scheduled_event_id,
        started_event_id: started.started_event_id,
        identity: request.identity.clone(),
        binary_checksum: request.binary_checksum.clone(),
        worker_version: request.worker_version_stamp.clone(),
        sdk_metadata: request.sdk_metadata.clone(),
        metering_metadata: request.metering_metadata,
        versioning_behavior: request.versioning_behavior,
        worker_deployment_name: deployment.map(|options| options.deployment_name.clone()).unwrap_or_default(),
        deployment_version: version.as_ref().map(WorkerVersion::api),
        ..Default::default()
    };
    let completed_event_id = turn.event(Attributes::WorkflowTaskCompletedEventAttributes(completed));
    if turn.execution.versioning.revision != started.revision {
        turn.record(Record::RoutedBy(started.revision));
    }
    set_sticky(turn, request);
    let task = command::Task {
        completed_event_id,
        identity: &request.identity,
        build_id: build_of(request),
        version: version.as_ref(),
        namespaces,
    };
    let mut messages = Messages::new(&request.messages, completed_event_id);
    let outcome = command::run(turn, &request.commands, &mut messages, task)?;
    if !request.force_create_new_workflow_task && turn.execution.is_running() {
        update::reject_unanswered(turn);
    }
    Ok(outcome)
}

/// The worker has rejected all that the task brought: it is as if there had been no task.
fn forget(turn: &mut Turn<'_>, request: &RespondWorkflowTaskCompletedRequest) -> Result<Outcome, BadCommand> {
    turn.volatile.started = None;
    turn.volatile.speculative = None;
    Messages::new(&request.messages, 0).rest(turn)?;
    update::reject_unanswered(turn);
    let is_empty = turn.is_empty();
    set_sticky(turn, request);
    turn.soft = is_empty;
    Ok(Outcome { is_forgotten: true, ..Outcome::default() })
}

/// The build of the worker that completes the task, if it says so.
fn build_of(request: &RespondWorkflowTaskCompletedRequest) -> &str {
    #[allow(deprecated, reason = "workers without deployments say only this")]
    request.worker_version_stamp.as_ref().map_or("", |stamp| &stamp.build_id)
}

fn set_sticky(turn: &mut Turn<'_>, request: &RespondWorkflowTaskCompletedRequest) {
    let sticky = request.sticky_attributes.as_ref().and_then(|attributes| {
        let queue = attributes.worker_task_queue.as_ref().filter(|queue| !queue.name.is_empty())?;
        // Without a time-out the task waits for its sticky worker for as long as that one is alive.
        let timeout = set_duration(attributes.schedule_to_start_timeout.as_ref()).unwrap_or(DURATION_MAX);
        Some(Sticky { queue: queue.name.clone(), schedule_to_start_timeout: timeout })
    });
    if turn.execution.sticky != sticky {
        turn.record(Record::Sticky(sticky));
    }
}

/// The commands are done: events that waited get their ids, and the next task is owed or started.
fn finish(
    turn: &mut Turn<'_>,
    request: &RespondWorkflowTaskCompletedRequest,
    outcome: Outcome,
    heartbeat: bool,
    task: &crate::execution::WorkflowTask,
) -> Reply {
    turn.holding = false;
    query::task_completed(turn, &request.query_results);
    let mut reply = CompletedReply {
        response: RespondWorkflowTaskCompletedResponse {
            activity_tasks: outcome.eager_activities,
            reset_history_event_id: match outcome.is_forgotten {
                true => turn.execution.last_completed_started_event_id,
                false => 0,
            },
            ..Default::default()
        },
        is_forgotten: outcome.is_forgotten,
        workflow_task: None,
    };
    if turn.execution.is_running() {
        let owed = request.force_create_new_workflow_task
            || !turn.execution.buffered.is_empty()
            || outcome.canceled_unstarted_activity;
        if owed {
            super::schedule(turn);
            if heartbeat {
                turn.record(Record::OriginalSchedule(task.original_scheduled_time));
            }
        } else if turn.volatile.updates.iter().any(|update| !update.sent) {
            // Nothing but updates waits. Only a worker that takes them at once may forget the task.
            match request.return_new_workflow_task {
                true => super::schedule_for_updates(turn),
                false => super::schedule(turn),
            }
        }
        if request.return_new_workflow_task && pending(turn).is_some() {
            let goes_on = request.force_create_new_workflow_task;
            let version = WorkerVersion::of_worker(request.deployment_options.as_ref());
            let (identity, build_id) = (&request.identity, build_of(request));
            let task = super::take_inline(turn, identity, build_id, version.as_ref(), goes_on);
            reply.workflow_task = Some(task);
        }
    }
    query::unblock(turn);
    Reply::Completed(Box::new(reply))
}

/// The completion cannot stand: the task fails in its place, and the worker reads why.
fn refuse(turn: &mut Turn<'_>, request: &RespondWorkflowTaskCompletedRequest, bad: &BadCommand) -> Decided {
    let unhandled = bad.cause == WorkflowTaskFailedCause::UnhandledCommand;
    let attempt = pending(turn).map_or(1, |task| task.attempt);
    let text = bad.text();
    if attempt > 1 && !unhandled && !bad.terminates {
        // Nothing is written: the task will time out, which slows a broken worker down.
        return Err(Reject::InvalidArgument(text));
    }
    let failure = Failure {
        message: text.clone(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo::default())),
        ..Failure::default()
    };
    let failed = WorkflowTaskFailedEventAttributes {
        cause: bad.cause as i32,
        failure: Some(failure),
        identity: request.identity.clone(),
        #[allow(deprecated)]
        binary_checksum: request.binary_checksum.clone(),
        ..Default::default()
    };
    update::give_up_sent(turn);
    super::end_attempt(turn, TaskEnd::Failed { cause: bad.cause }, Some(failed));
    if bad.terminates {
        terminate::end(turn, &text, None, SERVER_IDENTITY, Vec::new());
    } else {
        if unhandled {
            turn.record(Record::CloseAttempted(true));
        }
        super::schedule_if_needed(turn);
    }
    Ok(Some(Reply::Refused(Reject::InvalidArgument(text))))
}

fn end_attempt_of_heartbeat(turn: &mut Turn<'_>) {
    super::end_attempt(turn, TaskEnd::TimedOut(TimeoutType::StartToClose), None);
    if turn.execution.sticky.is_some() {
        turn.record(Record::Sticky(None));
    }
    turn.record(Record::NextAttempt(1));
    super::schedule_if_needed(turn);
}
