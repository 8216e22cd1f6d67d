//! Promise: a child is started once for each event that asks for it, whatever was lost or repeated; its parent
//! hears of its start and of its end once; and each signal between them is there exactly once in the chain.

use std::collections::BTreeMap;

use everlog_proto::api::{
    enums::v1::{EventType, WorkflowExecutionStatus as Status},
    history::v1::history_event::Attributes,
};

use super::{Checked, Evidence, Run, broken};
use crate::{machine::text_of, program::is_of_parent};

const ONCE: &str = "a child is started once, and its parent hears of each of its events once (I1, I4)";
const SIGNALS: &str = "a signal between workflows is there exactly once (I1, I2)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let mut first_runs: BTreeMap<(&str, i64), Vec<&Run>> = BTreeMap::new();
    for run in &evidence.runs {
        let start = &run.execution.start;
        if let Some(parent) = &start.parent_workflow_execution
            && start.continued_execution_run_id.is_empty()
        {
            let asked = (parent.run_id.as_str(), start.parent_initiated_event_id);
            first_runs.entry(asked).or_default().push(run);
        }
    }
    for ((_, asked), runs) in &first_runs {
        if runs.len() > 1 {
            let ids: Vec<&str> = runs.iter().map(|run| run.execution.run_id()).collect();
            return broken(ONCE, runs[0].workflow(), format!("event {asked} made {ids:?}"));
        }
    }
    for run in &evidence.runs {
        for event in run.events_of(EventType::StartChildWorkflowExecutionInitiated) {
            let asked = (run.execution.run_id(), event.event_id);
            check_child(evidence, run, event.event_id, first_runs.get(&asked).map(|runs| runs[0]))?;
        }
    }
    check_signals(evidence)
}

fn check_child(evidence: &Evidence<'_>, parent: &Run, asked: i64, child: Option<&Run>) -> Checked {
    let wrong = |text: String| broken(ONCE, parent.workflow(), format!("child of event {asked}: {text}"));
    let mut started = Vec::new();
    let mut ends = 0;
    for event in &parent.events {
        match &event.attributes {
            Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(a))
                if a.initiated_event_id == asked =>
            {
                started.extend(a.workflow_execution.as_ref().map(|child| child.run_id.clone()));
            }
            _ => ends += u32::from(everlog_engine::event::finished_child(event) == Some(asked)),
        }
    }
    if started.len() > 1 || ends > 1 {
        return wrong(format!("started {} times, ended {ends} times", started.len()));
    }
    if let Some(run_id) = started.first() {
        match child {
            Some(child) if child.execution.run_id() == run_id => {}
            _ => return wrong(format!("its run {run_id} is not there")),
        }
    }
    let Some(child) = child else { return Ok(()) };
    if parent.execution.status() == Status::Completed && ends != 1 {
        return wrong("its parent did not hear of its end".into());
    }
    let last = evidence.of(child.workflow()).last();
    if last.is_some_and(|run| run.execution.is_running()) {
        return wrong("it is still open".into());
    }
    Ok(())
}

fn check_signals(evidence: &Evidence<'_>) -> Checked {
    let mut places: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for run in &evidence.runs {
        for event in run.events_of(EventType::WorkflowExecutionSignaled) {
            let Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) = &event.attributes else {
                continue;
            };
            let text = a.input.as_ref().map(text_of).unwrap_or_default();
            if is_of_parent(&text) {
                *places.entry((run.workflow(), text)).or_default() += 1;
            }
        }
    }
    match places.into_iter().find(|(_, times)| *times != 1) {
        Some(((workflow, text), times)) => {
            broken(SIGNALS, workflow, format!("{text} is there {times} times"))
        }
        None => Ok(()),
    }
}
