//! Watched at every commit: a workflow id has at most one open run; an answer to a read is not older
//! than what was committed when the read was asked for.

use everlog_engine::{
    execution::event_type,
    fact::{Change, Fact, Record},
};
use everlog_proto::api::{
    enums::v1::{EventType, TimeoutType, WorkflowTaskFailedCause},
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::{record::Ended, sim::Sim};

const ONE_OPEN: &str = "a workflow id has at most one open run (I5)";
const FRESH: &str = "a read sees all that was committed before it (I15)";

/// The changes of one entry, with the states that they led to.
pub fn online(sim: &mut Sim, shard: usize, changes: &[Change]) {
    for change in changes {
        let Some(state) = &change.prepared else { continue };
        if !state.is_running() && sim.logs[shard].open.get(&change.run.workflow) == Some(&change.run) {
            sim.logs[shard].open.remove(&change.run.workflow);
        }
    }
    for change in changes {
        let Some(state) = &change.prepared else { continue };
        if change.version == 0 {
            sim.logs[shard].begun.push(change.run.clone());
        }
        if state.is_running() {
            let before = sim.logs[shard].open.insert(change.run.workflow.clone(), change.run.clone());
            if let Some(before) = before.filter(|before| *before != change.run) {
                let workflow = change.run.workflow.workflow_id.to_string();
                sim.fail(ONE_OPEN, Some(&workflow), format!("{before:?} and {:?}", change.run));
            }
        }
    }
    sim.logs[shard].open_runs = sim.logs[shard].open.len();
    for change in changes {
        count(sim, change);
    }
}

/// The vacuity counters of what only the log shows.
fn count(sim: &mut Sim, change: &Change) {
    for fact in &change.facts {
        match fact {
            Fact::Event(event) | Fact::Flushed(event) => {
                if matches!(fact, Fact::Flushed(_)) {
                    sim.coverage.hit("a buffered event got its place");
                }
                count_event(sim, &event.event);
            }
            Fact::Record(Record::Buffered(event)) => {
                sim.coverage.hit("an event was buffered");
                if event_type(event) == EventType::WorkflowExecutionPaused {
                    sim.coverage.hit("a workflow was paused while a worker had its task");
                }
            }
            Fact::Record(Record::Unbuffered { .. }) => {
                sim.coverage.hit("a timer was cancelled after it had fired unseen");
            }
            Fact::Record(Record::ActivityRetry { .. }) => sim.coverage.hit("an activity was retried"),
            Fact::Record(Record::TransientTask { .. }) => sim.coverage.hit("a workflow task was transient"),
            Fact::Record(Record::UpdateAdmitted { .. }) => sim.coverage.hit("an update was noted"),
            Fact::Record(Record::EndsByReset) => sim.coverage.hit("a run was ended by a reset"),
            Fact::Record(Record::MadeByReset { copied, .. }) => {
                let last = copied.last().map_or(0, |copied| copied.last_event_id);
                count_applied_again(sim, change, last);
            }
            Fact::Record(Record::Deleted) => sim.coverage.hit("a run was deleted"),
            Fact::Record(_) => {}
        }
    }
}

/// What a reset has found behind its point.
fn count_applied_again(sim: &mut Sim, change: &Change, last_copied: i64) {
    for fact in &change.facts {
        let Fact::Event(event) = fact else { continue };
        match event_type(&event.event) {
            _ if event.event.event_id <= last_copied => {}
            EventType::WorkflowExecutionSignaled => sim.coverage.hit("a signal was applied again"),
            EventType::WorkflowExecutionUpdateAdmitted => sim.coverage.hit("an update was applied again"),
            _ => {}
        }
    }
}

fn count_event(sim: &mut Sim, event: &HistoryEvent) {
    match &event.attributes {
        Some(Attributes::WorkflowTaskTimedOutEventAttributes(a)) => match a.timeout_type() {
            TimeoutType::ScheduleToStart => sim.coverage.hit("a sticky task timed out"),
            _ => sim.coverage.hit("a held workflow task timed out"),
        },
        Some(Attributes::WorkflowTaskFailedEventAttributes(a))
            if a.cause() == WorkflowTaskFailedCause::UnhandledCommand =>
        {
            sim.coverage.hit("a close met an event that its worker had not seen");
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => {
            sim.coverage.hit("a workflow continued as new");
        }
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(a))
            if a.reason == "by parent close policy" =>
        {
            sim.coverage.hit("a child was terminated by its parent's close");
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) if !a.new_execution_run_id.is_empty() => {
            sim.coverage.hit("a workflow was retried");
        }
        _ => {}
    }
    match event_type(event) {
        EventType::ActivityTaskTimedOut => sim.coverage.hit("an activity timed out"),
        EventType::ActivityTaskCanceled => sim.coverage.hit("an activity was cancelled"),
        EventType::TimerFired => sim.coverage.hit("a timer fired"),
        EventType::TimerCanceled => sim.coverage.hit("a timer was cancelled"),
        EventType::MarkerRecorded => sim.coverage.hit("a marker was recorded"),
        EventType::ChildWorkflowExecutionStarted => sim.coverage.hit("a child was started"),
        EventType::ChildWorkflowExecutionCompleted => sim.coverage.hit("a child ended"),
        EventType::NexusOperationStarted => sim.coverage.hit("an operation was started"),
        EventType::NexusOperationCompleted => sim.coverage.hit("an operation was completed"),
        EventType::ExternalWorkflowExecutionSignaled => sim.coverage.hit("a signal reached another workflow"),
        EventType::WorkflowExecutionCompleted => sim.coverage.hit("a workflow completed"),
        EventType::WorkflowExecutionCanceled => sim.coverage.hit("a workflow was cancelled"),
        EventType::WorkflowExecutionTerminated => sim.coverage.hit("a workflow was terminated"),
        EventType::WorkflowExecutionUnpaused => sim.coverage.hit("a paused workflow was let go on"),
        _ => {}
    }
}

/// A client has been answered.
pub fn op_ended(sim: &mut Sim, op: usize) {
    let op = sim.records.ops[op].clone();
    if !op.is(Ended::Acknowledged) {
        return;
    }
    sim.coverage.hit(match op.kind {
        crate::record::OpKind::Start => "acknowledged: start",
        crate::record::OpKind::StartUsingExisting => "acknowledged: start that uses an existing run",
        crate::record::OpKind::StartTerminating => "acknowledged: start that terminates an existing run",
        crate::record::OpKind::SignalWithStart => "acknowledged: signal with start",
        crate::record::OpKind::Signal => "acknowledged: signal",
        crate::record::OpKind::Cancel => "acknowledged: cancel",
        crate::record::OpKind::Terminate => "acknowledged: terminate",
        crate::record::OpKind::Delete => "acknowledged: delete",
        crate::record::OpKind::Query => "acknowledged: query",
        crate::record::OpKind::Read => "acknowledged: read",
        crate::record::OpKind::Watch => "acknowledged: watch",
        crate::record::OpKind::ResetSticky => "acknowledged: reset of stickiness",
        crate::record::OpKind::Pause => "acknowledged: pause",
        crate::record::OpKind::Unpause => "acknowledged: unpause",
        crate::record::OpKind::Reset => "acknowledged: reset",
        crate::record::OpKind::Update => match op.answer.as_deref() {
            Some(answer) if answer.starts_with("event") => "acknowledged: update",
            Some("failed: unwanted") => "an update was rejected",
            Some(_) => "an update was accepted and abandoned",
            None => "an update took its time",
        },
    });
    if let (Some((floor_run, floor)), Some((run, version))) = (&op.floor, &op.seen)
        && floor_run == run
        && version < floor
    {
        let text = format!(
            "{} saw version {version} of {run}, committed before it was asked: {floor}",
            op.request_id
        );
        sim.fail(FRESH, Some(&op.workflow), text);
    }
}
