//! Promise (I18, I20): every workflow ends as its program says, whatever happened on the way.

use everlog_proto::api::{
    enums::v1::{EventType, WorkflowExecutionStatus as Status},
    history::v1::{WorkflowExecutionStartedEventAttributes, history_event::Attributes},
};

use super::{Checked, Evidence, Run, broken};
use crate::{
    machine::{Input, text_of},
    program::is_of_parent,
    record::{Ended, OpKind},
};

const PROMISE: &str = "every workflow ends as its program says (I18)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for run in &evidence.runs {
        check_end(evidence, run)?;
    }
    for op in evidence.sim.records.ops.iter().filter(|op| op.workflow.starts_with("wf-")) {
        let starts = matches!(op.kind, OpKind::Start | OpKind::StartUsingExisting | OpKind::SignalWithStart);
        let runs = evidence.of(&op.workflow).count();
        if starts && op.is(Ended::Acknowledged) && runs == 0 {
            return broken(PROMISE, &op.workflow, "it was started and is not there".into());
        }
    }
    Ok(())
}

fn check_end(evidence: &Evidence<'_>, run: &Run) -> Checked {
    let wrong = |text: String| broken(PROMISE, run.workflow(), text);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
        run.events.first().and_then(|event| event.attributes.as_ref())
    else {
        return wrong("no first event".into());
    };
    let Some(input) = started.input.as_ref().and_then(Input::decode) else { return wrong("no input".into()) };
    let Some(program) = evidence.sim.programs.get(input.program) else { return wrong("no program".into()) };
    let asked = |kinds: &[OpKind]| evidence.ops(run.workflow()).any(|op| kinds.contains(&op.kind));
    match run.execution.status() {
        Status::Completed => {
            let completed = run.events_of(EventType::WorkflowExecutionCompleted).next();
            let Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) =
                completed.and_then(|event| event.attributes.as_ref())
            else {
                return wrong("completed without the event".into());
            };
            let result = a.result.as_ref().map(text_of).unwrap_or_default();
            let is_child = started.parent_workflow_execution.is_some();
            let sent = |signal: &str| {
                if is_child {
                    return is_of_parent(signal);
                }
                let ops = &evidence.sim.records.ops;
                let op =
                    signal.strip_prefix("op-").and_then(|n| n.parse().ok()).and_then(|n: usize| ops.get(n));
                op.is_some_and(|op| op.workflow == run.workflow())
            };
            program
                .check_result(&evidence.sim.programs, &result, &sent)
                .or_else(|why| wrong(format!("{why}; the result is {result}")))
        }
        Status::ContinuedAsNew if program.continues() => Ok(()),
        Status::Canceled if program.heeds_cancel && asked(&[OpKind::Cancel]) => Ok(()),
        Status::Terminated if asked(&[OpKind::Terminate, OpKind::StartTerminating, OpKind::Delete]) => Ok(()),
        Status::Terminated if run.execution.is_ended_by_reset() && asked(&[OpKind::Reset]) => Ok(()),
        // Its parent did not wait for it.
        Status::Terminated if ended_early(evidence, started) => Ok(()),
        Status::Failed if started.attempt <= program.failing_runs => Ok(()),
        status => wrong(format!("{} ended as {status:?}", run.execution.run_id())),
    }
}

/// Whether the parent of a run closed without the child's result.
fn ended_early(evidence: &Evidence<'_>, child: &WorkflowExecutionStartedEventAttributes) -> bool {
    let Some(parent) = &child.parent_workflow_execution else { return false };
    let parent = evidence.of(&parent.workflow_id).find(|run| run.execution.run_id() == parent.run_id);
    // A parent that is not there any more was deleted.
    parent.is_none_or(|run| {
        matches!(run.execution.status(), Status::Canceled | Status::Terminated)
            && run.execution.children.values().any(|known| known.initiated.workflow_id == child.workflow_id)
    })
}
