//! Promise: a Nexus operation is started and ended once in its caller's history, whatever was lost or repeated; it
//! ends as the workflow that carries it out does, and that one is started once.

use everlog_engine::{event::finished_operation, nexus::Settled};
use everlog_proto::api::{
    enums::v1::{EventType, WorkflowExecutionStatus as Status},
    history::v1::history_event::Attributes,
};

use super::{Checked, Evidence, Run, broken};
use crate::{handler::workflow_of, machine::text_of};

const ONCE: &str = "an operation is started and ended once, as its handler says (I1, I4)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for run in &evidence.runs {
        for event in run.events_of(EventType::NexusOperationScheduled) {
            if let Some(Attributes::NexusOperationScheduledEventAttributes(a)) = &event.attributes {
                check_operation(evidence, run, event.event_id, &a.request_id)?;
            }
        }
    }
    evidence.runs.iter().filter(|run| run.workflow().starts_with("h-")).try_for_each(check_callbacks)
}

fn check_operation(evidence: &Evidence<'_>, caller: &Run, id: i64, request_id: &str) -> Checked {
    let wrong = |text: String| broken(ONCE, caller.workflow(), format!("operation {id}: {text}"));
    let is_start = |attributes: &Attributes| match attributes {
        Attributes::NexusOperationStartedEventAttributes(a) => a.scheduled_event_id == id,
        _ => false,
    };
    let starts = caller.events.iter().filter(|e| e.attributes.as_ref().is_some_and(is_start)).count();
    let ends: Vec<_> = caller.events.iter().filter(|event| finished_operation(event) == Some(id)).collect();
    if starts > 1 || ends.len() > 1 {
        return wrong(format!("started {starts} times, ended {} times", ends.len()));
    }
    if caller.execution.status() == Status::Completed && ends.len() != 1 {
        return wrong("its workflow did not hear of its end".into());
    }
    let handler = workflow_of(request_id);
    let first_runs =
        evidence.of(&handler).filter(|r| r.execution.start.continued_execution_run_id.is_empty());
    if first_runs.count() > 1 {
        return wrong(format!("{handler} was started more than once"));
    }
    let Some(Attributes::NexusOperationCompletedEventAttributes(a)) =
        ends.first().and_then(|event| event.attributes.as_ref())
    else {
        return Ok(());
    };
    let told = a.result.as_ref().map(|result| String::from_utf8_lossy(&result.data).into_owned());
    let last = evidence.of(&handler).last().and_then(|run| run.events.last());
    match last.and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            let result = a.result.as_ref().map(text_of);
            if result != told {
                wrong(format!("it ended with {told:?}, its handler with {result:?}"))
            } else {
                Ok(())
            }
        }
        Some(_) => wrong("it was completed by a workflow that was not".into()),
        None => Ok(()),
    }
}

/// When everything is at rest, whoever asked for it has been told of the end, or there was nobody to tell.
fn check_callbacks(run: &Run) -> Checked {
    let is_last = !run.execution.is_running() && run.execution.new_run_id.is_empty();
    let untold = run.execution.callbacks.iter().any(|callback| callback.settled.is_none());
    if is_last && untold {
        return broken(ONCE, run.workflow(), "its callback was never told".into());
    }
    let failed = run.execution.callbacks.iter().any(|callback| callback.settled == Some(Settled::Failed));
    if !is_last && failed {
        return broken(ONCE, run.workflow(), "a callback was told before the end".into());
    }
    Ok(())
}
