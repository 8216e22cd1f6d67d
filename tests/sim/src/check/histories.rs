//! Promise (I3): a history has the events 1 to n, begins with Started, ends with exactly one close event,
//! and every event follows those that it refers to. Chains of runs are unbroken.

use everlog_engine::{event::is_close, execution::event_type};
use everlog_proto::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{Checked, Evidence, Run, broken};

const PROMISE: &str = "a history is gapless, in legal order, and closes once (I3)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for run in &evidence.runs {
        let wrong =
            |text: String| broken(PROMISE, run.workflow(), format!("{}: {text}", run.execution.run_id()));
        for (index, event) in run.events.iter().enumerate() {
            if event.event_id != index as i64 + 1 {
                return wrong(format!("event {} is at place {}", event.event_id, index + 1));
            }
            if (event_type(event) == EventType::WorkflowExecutionStarted) != (index == 0) {
                return wrong(format!("{:?} is event {}", event_type(event), event.event_id));
            }
            if let Err(text) = check_event(run, event) {
                return wrong(text);
            }
        }
        let closes: Vec<i64> =
            run.events.iter().filter(|e| is_close(event_type(e))).map(|e| e.event_id).collect();
        let last = run.events.len() as i64;
        match closes.as_slice() {
            [] if run.execution.is_running() => {}
            [close] if *close == last && *close == run.execution.close_event_id => {}
            _ => {
                return wrong(format!(
                    "close events {closes:?} of {last}, status {:?}",
                    run.execution.status()
                ));
            }
        }
        check_chain(evidence, run)?;
    }
    Ok(())
}

/// An event refers to an earlier one of the right type.
fn check_event(run: &Run, event: &HistoryEvent) -> Result<(), String> {
    use EventType as T;
    let refers = |id: i64, kinds: &[T]| match run.events.get((id - 1).max(0) as usize) {
        _ if id < 1 => Err(format!("event {} {:?} refers to nothing", event.event_id, event_type(event))),
        Some(earlier) if id < event.event_id && kinds.contains(&event_type(earlier)) => Ok(()),
        found => Err(format!(
            "event {} {:?} refers to {id}, {:?}",
            event.event_id,
            event_type(event),
            found.map(event_type)
        )),
    };
    // The event right before this one.
    let follows = |id: i64| match id + 1 == event.event_id {
        true => Ok(()),
        false => Err(format!("event {} does not follow its Started event {id}", event.event_id)),
    };
    let command = |id: i64| refers(id, &[T::WorkflowTaskCompleted]);
    match event.attributes.as_ref().ok_or("an event without attributes")? {
        Attributes::WorkflowTaskStartedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::WorkflowTaskScheduled])
        }
        Attributes::WorkflowTaskCompletedEventAttributes(a) => {
            follows(a.started_event_id)?;
            refers(a.started_event_id, &[T::WorkflowTaskStarted])
        }
        Attributes::WorkflowTaskFailedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::WorkflowTaskScheduled])?;
            if a.started_event_id != 0 { follows(a.started_event_id) } else { Ok(()) }
        }
        Attributes::ActivityTaskScheduledEventAttributes(a) => command(a.workflow_task_completed_event_id),
        Attributes::ActivityTaskStartedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])
        }
        Attributes::ActivityTaskCompletedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])?;
            refers(a.started_event_id, &[T::ActivityTaskStarted])
        }
        Attributes::ActivityTaskFailedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])?;
            refers(a.started_event_id, &[T::ActivityTaskStarted])
        }
        Attributes::ActivityTaskTimedOutEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])?;
            if a.started_event_id != 0 {
                refers(a.started_event_id, &[T::ActivityTaskStarted])
            } else {
                Ok(())
            }
        }
        Attributes::ActivityTaskCancelRequestedEventAttributes(a) => {
            command(a.workflow_task_completed_event_id)?;
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])
        }
        Attributes::ActivityTaskCanceledEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::ActivityTaskScheduled])?;
            refers(a.latest_cancel_requested_event_id, &[T::ActivityTaskCancelRequested])
        }
        Attributes::TimerStartedEventAttributes(a) => command(a.workflow_task_completed_event_id),
        Attributes::TimerFiredEventAttributes(a) => refers(a.started_event_id, &[T::TimerStarted]),
        Attributes::TimerCanceledEventAttributes(a) => {
            command(a.workflow_task_completed_event_id)?;
            refers(a.started_event_id, &[T::TimerStarted])
        }
        Attributes::MarkerRecordedEventAttributes(a) => command(a.workflow_task_completed_event_id),
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a) => {
            command(a.workflow_task_completed_event_id)
        }
        Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => {
            refers(a.initiated_event_id, &[T::StartChildWorkflowExecutionInitiated])
        }
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(a) => {
            refers(a.initiated_event_id, &[T::StartChildWorkflowExecutionInitiated])?;
            refers(a.started_event_id, &[T::ChildWorkflowExecutionStarted])
        }
        Attributes::NexusOperationScheduledEventAttributes(a) => command(a.workflow_task_completed_event_id),
        Attributes::NexusOperationStartedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::NexusOperationScheduled])
        }
        Attributes::NexusOperationCompletedEventAttributes(a) => {
            refers(a.scheduled_event_id, &[T::NexusOperationScheduled])
        }
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a) => {
            command(a.workflow_task_completed_event_id)
        }
        Attributes::ExternalWorkflowExecutionSignaledEventAttributes(a) => {
            refers(a.initiated_event_id, &[T::SignalExternalWorkflowExecutionInitiated])
        }
        _ => Ok(()),
    }
}

/// A run that names its successor has it, and the other way round.
fn check_chain(evidence: &Evidence<'_>, run: &Run) -> Checked {
    if evidence.may_be_deleted(run.workflow()) {
        return Ok(());
    }
    let wrong = |text: String| broken("a chain of runs is unbroken (I3)", run.workflow(), text);
    let next = &run.execution.new_run_id;
    if !next.is_empty() {
        let successor = evidence.of(run.workflow()).find(|other| other.execution.run_id() == next);
        let Some(successor) = successor else { return wrong(format!("no run {next}")) };
        let start = &successor.execution.start;
        if start.continued_execution_run_id != run.execution.run_id()
            || start.first_execution_run_id != run.execution.start.first_execution_run_id
        {
            return wrong(format!("{next} does not continue {}", run.execution.run_id()));
        }
    }
    let former = &run.execution.start.continued_execution_run_id;
    // A run that a reset has made begins as another one did.
    if run.last_copied() > 0 {
        return Ok(());
    }
    let has_former = evidence.of(run.workflow()).any(|other| {
        other.execution.run_id() == former && other.execution.new_run_id == run.execution.run_id()
    });
    if !former.is_empty() && !has_former {
        return wrong(format!("{} continues {former}, which does not say so", run.execution.run_id()));
    }
    Ok(())
}
