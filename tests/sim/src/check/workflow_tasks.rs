//! Promise (I13, I14): the commands of a workflow task take effect together or not at all, once, and only
//! for the holder of the task. What an accepted answer was based on is what the history says. Replaying
//! the history gives the same commands at every task.

use std::collections::BTreeMap;

use everlog_engine::execution::event_type;
use everlog_proto::api::{
    command::v1::{Command, command::Attributes as Attrs},
    enums::v1::{CommandType, EventType},
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{Checked, Evidence, Run, broken};
use crate::{
    machine,
    record::{self, Ended},
};

const ONCE: &str = "an accepted answer to a workflow task is there once, a refused one never (I1, I13)";
const TOLD: &str = "a worker is told what the history says (I3)";
const ALL: &str = "the commands of a workflow task take effect all together (I13, I14)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let records = &evidence.sim.records;
    let mut seen: BTreeMap<usize, u32> = BTreeMap::new();
    for run in &evidence.runs {
        for event in run.events_of(EventType::WorkflowTaskCompleted) {
            let Some(Attributes::WorkflowTaskCompletedEventAttributes(a)) = &event.attributes else {
                continue;
            };
            if event.event_id <= run.last_copied() {
                continue;
            }
            #[allow(deprecated, reason = "names the worker's answer")]
            let name = &a.binary_checksum;
            let number: Option<usize> = name.strip_prefix("completion-").and_then(|n| n.parse().ok());
            let sent = number.and_then(|number| records.completions.get(number));
            let (Some(number), Some(sent)) = (number, sent) else {
                return broken(ONCE, run.workflow(), format!("nobody sent {name}"));
            };
            if sent.run != *run.execution.key() || sent.spent {
                return broken(
                    ONCE,
                    run.workflow(),
                    format!("{name} had no right to event {}", event.event_id),
                );
            }
            *seen.entry(number).or_default() += 1;
        }
        check_commands(evidence, run)?;
    }
    for (number, completion) in records.completions.iter().enumerate() {
        let workflow = &*completion.run.workflow.workflow_id;
        let times = seen.get(&number).copied().unwrap_or_default();
        let wrong = match completion.ended {
            Some(Ended::Acknowledged) if completion.forgotten => times != 0,
            Some(Ended::Acknowledged) => times != 1 && !evidence.may_be_deleted(workflow),
            Some(Ended::Refused) => times != 0,
            _ => times > 1,
        };
        if wrong {
            let text = format!("completion-{number} {:?} is there {times} times", completion.ended);
            return broken(ONCE, workflow, text);
        }
    }
    for told in &records.told {
        let Some(run) = evidence.run(&told.run) else { continue };
        if run.events.get(..told.events).map(record::digest) != Some(told.digest) {
            let text = format!("the first {} events of {:?} are not what was told", told.events, told.run);
            return broken(TOLD, run.workflow(), text);
        }
    }
    Ok(())
}

fn check_commands(evidence: &Evidence<'_>, run: &Run) -> Checked {
    let (_, completed, _) = machine::replay(&evidence.sim.programs, &run.events);
    for (id, advance) in completed {
        let written: Vec<String> = run.events[id as usize..]
            .iter()
            .take_while(|event| is_of_command(event, id))
            .filter_map(effect)
            .collect();
        let expected: Vec<String> = advance.commands.iter().map(intent).collect();
        if written != expected {
            let text =
                format!("after event {id}: the worker wants {expected:?}, the history has {written:?}");
            return broken(ALL, run.workflow(), text);
        }
    }
    Ok(())
}

/// Whether an event comes from the commands of the task that was completed at `completed`.
fn is_of_command(event: &HistoryEvent, completed: i64) -> bool {
    match &event.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::ActivityTaskCancelRequestedEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::TimerStartedEventAttributes(a)) => a.workflow_task_completed_event_id == completed,
        Some(Attributes::TimerCanceledEventAttributes(a)) => a.workflow_task_completed_event_id == completed,
        Some(Attributes::MarkerRecordedEventAttributes(a)) => a.workflow_task_completed_event_id == completed,
        Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::NexusOperationScheduledEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => {
            a.workflow_task_completed_event_id == completed
        }
        // Among them, in the places that the worker gave them.
        Some(
            Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(_)
            | Attributes::WorkflowExecutionUpdateCompletedEventAttributes(_),
        ) => true,
        _ => false,
    }
}

fn effect(event: &HistoryEvent) -> Option<String> {
    Some(match &event.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => format!("activity {}", a.activity_id),
        Some(Attributes::ActivityTaskCancelRequestedEventAttributes(a)) => {
            format!("cancel activity {}", a.scheduled_event_id)
        }
        Some(Attributes::TimerStartedEventAttributes(a)) => format!("timer {}", a.timer_id),
        Some(Attributes::TimerCanceledEventAttributes(a)) => format!("cancel timer {}", a.timer_id),
        Some(Attributes::MarkerRecordedEventAttributes(a)) => format!("marker {}", a.marker_name),
        Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => {
            format!("child {}", a.workflow_id)
        }
        Some(Attributes::NexusOperationScheduledEventAttributes(a)) => format!("operation {}", a.operation),
        Some(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
            format!("signal {}", a.input.as_ref().map(machine::text_of).unwrap_or_default())
        }
        _ => match event_type(event) {
            EventType::WorkflowExecutionCompleted => "complete".into(),
            EventType::WorkflowExecutionFailed => "fail".into(),
            EventType::WorkflowExecutionCanceled => "canceled".into(),
            EventType::WorkflowExecutionContinuedAsNew => "again".into(),
            _ => return None,
        },
    })
}

fn intent(command: &Command) -> String {
    match &command.attributes {
        Some(Attrs::ScheduleActivityTaskCommandAttributes(a)) => format!("activity {}", a.activity_id),
        Some(Attrs::RequestCancelActivityTaskCommandAttributes(a)) => {
            format!("cancel activity {}", a.scheduled_event_id)
        }
        Some(Attrs::StartTimerCommandAttributes(a)) => format!("timer {}", a.timer_id),
        Some(Attrs::CancelTimerCommandAttributes(a)) => format!("cancel timer {}", a.timer_id),
        Some(Attrs::RecordMarkerCommandAttributes(a)) => format!("marker {}", a.marker_name),
        Some(Attrs::StartChildWorkflowExecutionCommandAttributes(a)) => format!("child {}", a.workflow_id),
        Some(Attrs::ScheduleNexusOperationCommandAttributes(a)) => format!("operation {}", a.operation),
        Some(Attrs::SignalExternalWorkflowExecutionCommandAttributes(a)) => {
            format!("signal {}", a.input.as_ref().map(machine::text_of).unwrap_or_default())
        }
        _ => match command.command_type() {
            CommandType::CompleteWorkflowExecution => "complete",
            CommandType::FailWorkflowExecution => "fail",
            CommandType::CancelWorkflowExecution => "canceled",
            CommandType::ContinueAsNewWorkflowExecution => "again",
            _ => "unknown",
        }
        .into(),
    }
}
