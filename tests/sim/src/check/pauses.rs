//! Promise: while a run is paused, no workflow task of it is scheduled, started or completed. What a worker had
//! before is written before the pause.

use everlog_engine::execution::event_type;
use everlog_proto::api::enums::v1::EventType;

use super::{Checked, Evidence, broken};

const PROMISE: &str = "a paused run makes no progress";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    use EventType as T;
    for run in &evidence.runs {
        let mut paused = false;
        for event in &run.events {
            let kind = event_type(event);
            match kind {
                T::WorkflowExecutionPaused | T::WorkflowExecutionUnpaused => {
                    let pauses = kind == T::WorkflowExecutionPaused;
                    if pauses == paused {
                        let text = format!("event {} {kind:?} changes nothing", event.event_id);
                        return broken(PROMISE, run.workflow(), text);
                    }
                    paused = pauses;
                }
                T::WorkflowTaskScheduled | T::WorkflowTaskStarted | T::WorkflowTaskCompleted if paused => {
                    let text = format!("event {} is {kind:?}", event.event_id);
                    return broken(PROMISE, run.workflow(), text);
                }
                _ => {}
            }
        }
        if paused != run.execution.is_paused() && run.execution.is_running() {
            let text = format!("the state says paused: {}", run.execution.is_paused());
            return broken(PROMISE, run.workflow(), text);
        }
    }
    Ok(())
}
