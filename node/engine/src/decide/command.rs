//! The commands of a completed workflow task, worked off in order.

use std::collections::BTreeSet;

use everlog_proto::api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
        ModifyWorkflowPropertiesCommandAttributes, RecordMarkerCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes as Attrs,
    },
    common::v1::Memo,
    enums::v1::{CommandType, RetryState, WorkflowTaskFailedCause as Cause},
    history::v1::{
        MarkerRecordedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowPropertiesModifiedEventAttributes,
        history_event::Attributes,
    },
};
use prost::Message;

use crate::{
    decide::{
        BadCommand, activity, attributes, child, continue_as_new, external, nexus,
        retry::{self, Next},
        terminate, timer,
        update::Messages,
        workflow_task::Outcome,
    },
    deployment::WorkerVersion,
    evolve::is_null,
    execution::Execution,
    limits::Limits,
    planted,
    reject::Reject,
    request::Namespaces,
    turn::Turn,
};

/// Nothing may follow a command that closes the run, and every command must be one that exists.
pub fn check_sequence(commands: &[Command]) -> Result<(), Reject> {
    let mut closed_by: Option<CommandType> = None;
    for command in commands {
        let kind = CommandType::try_from(command.command_type).unwrap_or(CommandType::Unspecified);
        if let Some(closing) = closed_by {
            let all: Vec<String> = commands.iter().map(|command| printed(command.command_type)).collect();
            return Err(Reject::InvalidArgument(format!(
                "invalid command sequence: [{}], command {} must be the last command.",
                all.join(", "),
                go_name(closing)
            )));
        }
        if kind == CommandType::Unspecified {
            return Err(Reject::InvalidArgument(format!(
                "unknown command type: {}",
                printed(command.command_type)
            )));
        }
        if is_close(kind) {
            closed_by = Some(kind);
        }
    }
    Ok(())
}

fn is_close(kind: CommandType) -> bool {
    matches!(
        kind,
        CommandType::CompleteWorkflowExecution
            | CommandType::FailWorkflowExecution
            | CommandType::CancelWorkflowExecution
            | CommandType::ContinueAsNewWorkflowExecution
    )
}

/// A kind as the real server prints it; a number that is no kind prints as a number.
fn printed(kind: i32) -> String {
    CommandType::try_from(kind).map_or_else(|_| kind.to_string(), go_name)
}

/// Whether the attributes are those of the kind that the command names.
fn fits(kind: CommandType, attributes: &Attrs) -> bool {
    use CommandType as T;
    match attributes {
        Attrs::ScheduleActivityTaskCommandAttributes(_) => kind == T::ScheduleActivityTask,
        Attrs::RequestCancelActivityTaskCommandAttributes(_) => kind == T::RequestCancelActivityTask,
        Attrs::StartTimerCommandAttributes(_) => kind == T::StartTimer,
        Attrs::CancelTimerCommandAttributes(_) => kind == T::CancelTimer,
        Attrs::RecordMarkerCommandAttributes(_) => kind == T::RecordMarker,
        Attrs::UpsertWorkflowSearchAttributesCommandAttributes(_) => {
            kind == T::UpsertWorkflowSearchAttributes
        }
        Attrs::ModifyWorkflowPropertiesCommandAttributes(_) => kind == T::ModifyWorkflowProperties,
        Attrs::StartChildWorkflowExecutionCommandAttributes(_) => kind == T::StartChildWorkflowExecution,
        Attrs::SignalExternalWorkflowExecutionCommandAttributes(_) => {
            kind == T::SignalExternalWorkflowExecution
        }
        Attrs::RequestCancelExternalWorkflowExecutionCommandAttributes(_) => {
            kind == T::RequestCancelExternalWorkflowExecution
        }
        Attrs::ProtocolMessageCommandAttributes(_) => kind == T::ProtocolMessage,
        Attrs::ScheduleNexusOperationCommandAttributes(_) => kind == T::ScheduleNexusOperation,
        Attrs::RequestCancelNexusOperationCommandAttributes(_) => kind == T::RequestCancelNexusOperation,
        Attrs::CompleteWorkflowExecutionCommandAttributes(_) => kind == T::CompleteWorkflowExecution,
        Attrs::FailWorkflowExecutionCommandAttributes(_) => kind == T::FailWorkflowExecution,
        Attrs::CancelWorkflowExecutionCommandAttributes(_) => kind == T::CancelWorkflowExecution,
        Attrs::ContinueAsNewWorkflowExecutionCommandAttributes(_) => {
            kind == T::ContinueAsNewWorkflowExecution
        }
    }
}

/// `COMMAND_TYPE_START_TIMER` as the real server prints it: `StartTimer`.
fn go_name(kind: CommandType) -> String {
    let name = kind.as_str_name().trim_start_matches("COMMAND_TYPE_").to_ascii_lowercase();
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').filter(|word| !word.is_empty()).map(capital).collect()
}

/// The completed workflow task that the commands came with.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub completed_event_id: i64,
    pub identity: &'a str,
    /// Empty if the worker does not say.
    pub build_id: &'a str,
    /// Of the same worker.
    pub version: Option<&'a WorkerVersion>,
    pub namespaces: &'a Namespaces,
}

/// Carries out all commands and messages, or says which one cannot be.
pub fn run(
    turn: &mut Turn<'_>,
    commands: &[Command],
    messages: &mut Messages<'_>,
    task: Task<'_>,
) -> Result<Outcome, BadCommand> {
    let Task { completed_event_id, identity, .. } = task;
    let mut started_children = BTreeSet::new();
    let mut outcome = Outcome::default();
    let mut eager = Vec::new();
    for (place, command) in commands.iter().enumerate() {
        if !turn.execution.is_running() {
            break;
        }
        let kind = command.command_type();
        let Some(attributes) = command.attributes.as_ref().filter(|attributes| fits(kind, attributes)) else {
            return Err(missing_attributes(kind));
        };
        if is_close(kind) && turn.unseen > 0 && !planted::is("unseen_events_dropped_at_close") {
            return Err(BadCommand::new(Cause::UnhandledCommand, ""));
        }
        let refused = task.namespaces.refused_attributes.get(&place).map(String::as_str);
        match attributes {
            Attrs::ScheduleActivityTaskCommandAttributes(a) => {
                let scheduled_event_id = activity::schedule(turn, command, a, completed_event_id)?;
                if a.request_eager_execution && turn.stamp.limits.eager_activities {
                    eager.push(scheduled_event_id);
                }
            }
            Attrs::RequestCancelActivityTaskCommandAttributes(a) => {
                outcome.canceled_unstarted_activity |=
                    activity::request_cancel(turn, a, completed_event_id, identity)?;
            }
            Attrs::StartTimerCommandAttributes(a) => timer::start(turn, command, a, completed_event_id)?,
            Attrs::CancelTimerCommandAttributes(a) => timer::cancel(turn, a, completed_event_id, identity)?,
            Attrs::RecordMarkerCommandAttributes(a) => marker(turn, command, a, completed_event_id)?,
            Attrs::UpsertWorkflowSearchAttributesCommandAttributes(a) => {
                upsert_search_attributes(turn, command, a, completed_event_id, refused)?;
            }
            Attrs::ModifyWorkflowPropertiesCommandAttributes(a) => {
                modify_properties(turn, command, a, completed_event_id)?;
            }
            Attrs::StartChildWorkflowExecutionCommandAttributes(a) => {
                child::start(turn, command, a, task, refused)?;
                started_children.insert(a.workflow_id.as_str());
            }
            Attrs::SignalExternalWorkflowExecutionCommandAttributes(a) => {
                external::signal(turn, command, a, task)?;
            }
            Attrs::RequestCancelExternalWorkflowExecutionCommandAttributes(a) => {
                external::cancel(turn, command, a, task, &started_children)?;
            }
            Attrs::ScheduleNexusOperationCommandAttributes(a) => nexus::schedule(turn, command, a, task)?,
            Attrs::RequestCancelNexusOperationCommandAttributes(a) => {
                nexus::request_cancel(turn, command, a, task)?;
            }
            Attrs::CompleteWorkflowExecutionCommandAttributes(a) => {
                complete(turn, command, a, completed_event_id)?;
            }
            Attrs::FailWorkflowExecutionCommandAttributes(a) => fail(turn, command, a, completed_event_id)?,
            Attrs::CancelWorkflowExecutionCommandAttributes(a) => {
                let attributes = WorkflowExecutionCanceledEventAttributes {
                    workflow_task_completed_event_id: completed_event_id,
                    details: a.details.clone(),
                };
                close(turn, command, Attributes::WorkflowExecutionCanceledEventAttributes(attributes));
            }
            Attrs::ContinueAsNewWorkflowExecutionCommandAttributes(a) => {
                let has_queue = |queue: &str| task.namespaces.queues.contains(queue);
                continue_as_new::by_command(turn, command, a, completed_event_id, refused, has_queue)?;
            }
            Attrs::ProtocolMessageCommandAttributes(a) => messages.command(turn, a)?,
        }
    }
    messages.rest(turn)?;
    if turn.execution.is_running() && !turn.execution.is_paused() {
        for scheduled_event_id in eager {
            let request_id = turn.stamp.uuid();
            outcome.eager_activities.extend(activity::start_eagerly(
                turn,
                scheduled_event_id,
                identity,
                &request_id,
                task.build_id,
                task.version,
            ));
        }
    }
    Ok(outcome)
}

fn missing_attributes(kind: CommandType) -> BadCommand {
    use CommandType as T;
    let cause = match kind {
        T::ScheduleActivityTask => Cause::BadScheduleActivityAttributes,
        T::RequestCancelActivityTask => Cause::BadRequestCancelActivityAttributes,
        T::StartTimer => Cause::BadStartTimerAttributes,
        T::CancelTimer => Cause::BadCancelTimerAttributes,
        T::RecordMarker => Cause::BadRecordMarkerAttributes,
        T::CompleteWorkflowExecution => Cause::BadCompleteWorkflowExecutionAttributes,
        T::FailWorkflowExecution => Cause::BadFailWorkflowExecutionAttributes,
        T::CancelWorkflowExecution => Cause::BadCancelWorkflowExecutionAttributes,
        T::ContinueAsNewWorkflowExecution => Cause::BadContinueAsNewAttributes,
        T::UpsertWorkflowSearchAttributes => Cause::BadSearchAttributes,
        T::StartChildWorkflowExecution => Cause::BadStartChildExecutionAttributes,
        T::SignalExternalWorkflowExecution => Cause::BadSignalWorkflowExecutionAttributes,
        T::RequestCancelExternalWorkflowExecution => {
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes
        }
        T::ScheduleNexusOperation => Cause::BadScheduleNexusOperationAttributes,
        T::RequestCancelNexusOperation => Cause::BadRequestCancelNexusOperationAttributes,
        T::ModifyWorkflowProperties => Cause::BadModifyWorkflowPropertiesAttributes,
        T::ProtocolMessage => Cause::BadUpdateWorkflowExecutionMessage,
        _ => Cause::Unspecified,
    };
    {
        let name = go_name(kind);
        BadCommand::new(cause, format!("{name}CommandAttributes is not set on {name}Command."))
    }
}

/// A name that is too long, with all that the real server says of it.
pub(super) fn too_long(field: &str, command: &str, name: &str, limits: &Limits) -> String {
    format!(
        "{field} on {command}Command exceeds length limit. {field}={name} Length={} Limit={}",
        name.len(),
        limits.id_bytes_max
    )
}

/// A queue as the real server prints it in refusals.
pub(super) fn printed_queue(name: &str) -> String {
    format!("name:{name:?} kind:TASK_QUEUE_KIND_NORMAL")
}

/// What is wrong with the name of a queue that a command asks for.
pub(super) fn queue_fault(name: &str, limits: &Limits) -> Option<&'static str> {
    const RESERVED_PREFIX: &str = "/_sys/";
    if name.len() > limits.id_bytes_max {
        Some("taskQueue length exceeds limit")
    } else if name.starts_with(RESERVED_PREFIX) {
        Some("task queue name cannot start with reserved prefix /_sys/")
    } else {
        None
    }
}

/// A payload that is too large ends the run: it can neither be kept nor be left out.
pub(super) fn check_size(bytes: usize, limits: &Limits, cause: Cause, what: &str) -> Result<(), BadCommand> {
    if bytes > limits.blob_bytes_max {
        return Err(BadCommand::too_large(cause, format!("{what} exceeds size limit.")));
    }
    Ok(())
}

fn marker(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &RecordMarkerCommandAttributes,
    completed_event_id: i64,
) -> Result<(), BadCommand> {
    let cause = Cause::BadRecordMarkerAttributes;
    if a.marker_name.is_empty() {
        return Err(BadCommand::new(cause, "MarkerName is not set on RecordMarkerCommand."));
    }
    if a.marker_name.len() > turn.stamp.limits.id_bytes_max {
        return Err(BadCommand::new(
            cause,
            too_long("MarkerName", "RecordMarker", &a.marker_name, turn.stamp.limits),
        ));
    }
    let bytes = a.details.values().map(Message::encoded_len).sum();
    check_size(bytes, turn.stamp.limits, cause, "RecordMarkerCommandAttributes.Details")?;
    let attributes = Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
        marker_name: a.marker_name.clone(),
        details: a.details.clone(),
        workflow_task_completed_event_id: completed_event_id,
        header: a.header.clone(),
        failure: a.failure.clone(),
    });
    turn.full_event(turn.stamp.now, attributes, command.user_metadata.clone(), Vec::new());
    Ok(())
}

fn upsert_search_attributes(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &UpsertWorkflowSearchAttributesCommandAttributes,
    completed_event_id: i64,
    refused: Option<&str>,
) -> Result<(), BadCommand> {
    let cause = Cause::BadSearchAttributes;
    let Some(search_attributes) = &a.search_attributes else {
        return Err(BadCommand::new(
            cause,
            "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
        ));
    };
    if search_attributes.indexed_fields.is_empty() {
        return Err(BadCommand::new(
            cause,
            "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.",
        ));
    }
    if let Some(why) = refused {
        return Err(BadCommand::new(cause, why));
    }
    attributes::check_upserted(&turn.execution, search_attributes, turn.stamp.limits)?;
    let attributes = Attributes::UpsertWorkflowSearchAttributesEventAttributes(
        UpsertWorkflowSearchAttributesEventAttributes {
            workflow_task_completed_event_id: completed_event_id,
            search_attributes: Some(search_attributes.clone()),
        },
    );
    turn.full_event(turn.stamp.now, attributes, command.user_metadata.clone(), Vec::new());
    Ok(())
}

fn modify_properties(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &ModifyWorkflowPropertiesCommandAttributes,
    completed_event_id: i64,
) -> Result<(), BadCommand> {
    let cause = Cause::BadModifyWorkflowPropertiesAttributes;
    let Some(memo) = &a.upserted_memo else {
        return Err(BadCommand::new(cause, "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand."));
    };
    if memo.fields.is_empty() {
        let message = "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.";
        return Err(BadCommand::new(cause, message));
    }
    let limits = turn.stamp.limits;
    if memo.encoded_len() > limits.blob_bytes_max {
        return Err(BadCommand::too_large(
            cause,
            "ModifyWorkflowPropertiesCommandAttributes exceeds size limit.",
        ));
    }
    if memo_with(&turn.execution, memo).encoded_len() > limits.memo_bytes_max {
        return Err(BadCommand::too_large(
            cause,
            "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit.",
        ));
    }
    let attributes =
        Attributes::WorkflowPropertiesModifiedEventAttributes(WorkflowPropertiesModifiedEventAttributes {
            workflow_task_completed_event_id: completed_event_id,
            upserted_memo: Some(memo.clone()),
        });
    turn.full_event(turn.stamp.now, attributes, command.user_metadata.clone(), Vec::new());
    Ok(())
}

/// The memo of a run as it would be.
fn memo_with(execution: &Execution, upserted: &Memo) -> Memo {
    let mut memo = continue_as_new::memo(execution).unwrap_or_default();
    for (name, payload) in &upserted.fields {
        if is_null(payload) {
            memo.fields.remove(name);
        } else {
            memo.fields.insert(name.clone(), payload.clone());
        }
    }
    memo
}

fn close(turn: &mut Turn<'_>, command: &Command, attributes: Attributes) {
    turn.full_event(turn.stamp.now, attributes, command.user_metadata.clone(), Vec::new());
    terminate::closed(turn);
}

fn complete(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &CompleteWorkflowExecutionCommandAttributes,
    completed_event_id: i64,
) -> Result<(), BadCommand> {
    let bytes = a.result.as_ref().map_or(0, Message::encoded_len);
    let what = "CompleteWorkflowExecutionCommandAttributes.Result";
    // The real server names this cause, and clients may look for it.
    check_size(bytes, turn.stamp.limits, Cause::BadScheduleActivityAttributes, what)?;
    let attributes = WorkflowExecutionCompletedEventAttributes {
        result: a.result.clone(),
        workflow_task_completed_event_id: completed_event_id,
        new_execution_run_id: continue_as_new::cron(turn, a.result.clone(), None),
    };
    close(turn, command, Attributes::WorkflowExecutionCompletedEventAttributes(attributes));
    Ok(())
}

fn fail(
    turn: &mut Turn<'_>,
    command: &Command,
    a: &FailWorkflowExecutionCommandAttributes,
    completed_event_id: i64,
) -> Result<(), BadCommand> {
    let cause = Cause::BadFailWorkflowExecutionAttributes;
    let Some(failure) = &a.failure else {
        return Err(BadCommand::new(cause, "Failure is not set on FailWorkflowExecutionCommand."));
    };
    let what = "FailWorkflowExecutionCommandAttributes.Failure";
    check_size(failure.encoded_len(), turn.stamp.limits, cause, what)?;
    let execution = &turn.execution;
    let policy = execution.start.retry_policy.as_ref();
    let next = retry::next(policy, execution.start.attempt, execution.expiration(), failure, turn.stamp.now);
    let (retry_state, new_run_id) = match next {
        Next::Retry { after } => {
            (RetryState::InProgress, continue_as_new::retry(turn, after, failure.clone()))
        }
        Next::Stop(state) => (state, continue_as_new::cron(turn, None, Some(failure.clone()))),
    };
    let attributes = WorkflowExecutionFailedEventAttributes {
        failure: Some(failure.clone()),
        retry_state: retry_state as i32,
        workflow_task_completed_event_id: completed_event_id,
        new_execution_run_id: new_run_id,
    };
    close(turn, command, Attributes::WorkflowExecutionFailedEventAttributes(attributes));
    Ok(())
}
