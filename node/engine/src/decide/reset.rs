//! Going back: a new run that begins with the events of an earlier one up to a point in a workflow task.
//!
//! Three runs may change at once: the *base* whose events are copied notes what was made of it, the *current*
//! one is terminated if it runs, the *new* one takes its place. What had happened behind the point and came
//! from outside is applied again (service/history/ndc/workflow_resetter.go).

mod point;
mod reapply;

use everlog_proto::api::{
    enums::v1::{ResetReapplyExcludeType as Exclude, ResetReapplyType, RetryState, WorkflowTaskFailedCause},
    failure::v1::{Failure, ResetWorkflowFailureInfo, failure::FailureInfo},
    history::v1::{
        ActivityTaskFailedEventAttributes, ActivityTaskStartedEventAttributes, HistoryEvent,
        WorkflowTaskFailedEventAttributes, history_event::Attributes,
    },
    workflowservice::v1::ResetWorkflowExecutionRequest,
};
pub use point::{of_build as point_of_build, of_task as point_of_task};
pub use reapply::{Reapplied, excludes_all};

use crate::{
    codec::Proto,
    decide::{
        terminate::{self, SERVER_IDENTITY},
        workflow_task,
    },
    execution::{Copied, Execution, MadeByReset},
    fact::{Event, Record},
    planted,
    reject::Reject,
    stamp::Stamp,
    turn::{NewRun, Turn},
    volatile::Volatile,
};

/// How the server signs the end of a run that a reset replaces.
pub const RESETTER_IDENTITY: &str = "history-resetter";

/// The run whose events are copied.
pub struct Base<'a> {
    pub execution: &'a Execution,
    /// The id that its next event had when the reset was asked for.
    pub next_event_id: i64,
    /// All of its events, with those that its end by the reset has added.
    pub events: Vec<Event>,
}

/// The runs that a reset has made of this base are told by the requests that asked for them.
pub fn repeated(base: &Execution, request: &ResetWorkflowExecutionRequest) -> Option<String> {
    let resets = base.resets.as_ref().filter(|_| !planted::is("reset_repetition_unseen"))?;
    let made = resets.made.iter().rev().find(|made| made.request_id == request.request_id);
    if let Some(made) = made {
        return Some(made.run_id.clone());
    }
    // Without a run id the base of the first try has since been replaced by what came of it.
    let names_none = request.workflow_execution.as_ref().is_none_or(|execution| execution.run_id.is_empty());
    (names_none && resets.request_id == request.request_id).then(|| base.run_id().to_owned())
}

/// Whether the base can be reset to where the request says.
pub fn check(base: &Base<'_>, request: &ResetWorkflowExecutionRequest) -> Result<(), Reject> {
    let point = request.workflow_task_finish_event_id;
    if point <= 1 || point >= base.next_event_id {
        let message = "Workflow task finish ID must be > 1 && <= workflow last event ID.";
        return Err(Reject::InvalidArgument(message.into()));
    }
    for operation in &request.post_reset_operations {
        reapply::check_operation(operation)?;
    }
    point::check(&base.events, point)
}

/// Ends the run that is to be replaced.
pub fn end_current(current: &mut Turn<'_>, reason: &str) {
    current.record(Record::EndsByReset);
    terminate::end(current, reason, None, RESETTER_IDENTITY, Vec::new());
}

/// What the base keeps of the reset.
pub fn note(base: &mut Turn<'_>, request_id: &str, new_run_id: &str) {
    let made = MadeByReset { request_id: request_id.to_owned(), run_id: new_run_id.to_owned() };
    base.record(Record::Reset(made));
}

/// The new run. `behind` is what happened behind the point, in the base and the runs that continued it.
pub fn begin(
    stamp: &Stamp<'_>,
    base: &Base<'_>,
    request: &ResetWorkflowExecutionRequest,
    new_run_id: &str,
    behind: Reapplied<'_>,
) -> Result<NewRun, Reject> {
    let key = base.execution.key().workflow.run(new_run_id);
    let mut turn = Turn::new(stamp, Execution::fresh(key), Volatile::default());
    let last_event_id = request.workflow_task_finish_event_id - 1;
    let copied = base.events.iter().take_while(|event| event.event.event_id <= last_event_id);
    copied.for_each(|event| turn.copy(event.clone()));
    turn.record(Record::Created {
        request_id: base.execution.create_request_id.clone(),
        user_metadata: base.events.first().and_then(|event| event.event.user_metadata.clone()).map(Proto),
    });
    turn.record(Record::MadeByReset {
        copied: copied_from(base.execution, last_event_id),
        request_id: request.request_id.clone(),
        time: stamp.now,
    });
    fail_task(&mut turn, base, request);
    fail_started_activities(&mut turn, base, request);
    // A signal that was acknowledged and comes again under its id is known.
    for id in base.execution.signal_request_ids.iter() {
        turn.record(Record::SignalRequest(id.clone()));
    }
    reapply::reapply(&mut turn, behind);
    for operation in &request.post_reset_operations {
        reapply::carry_out(&mut turn, operation)?;
    }
    workflow_task::schedule_even_backing_off(&mut turn);
    Ok(NewRun { execution: turn.execution, volatile: turn.volatile, facts: turn.facts })
}

fn copied_from(base: &Execution, last_event_id: i64) -> Vec<Copied> {
    let earlier = base.resets.iter().flat_map(|resets| &resets.copied);
    let mut copied: Vec<Copied> =
        earlier.filter(|copied| copied.last_event_id < last_event_id).cloned().collect();
    copied.push(Copied { run_id: base.writer_of(last_event_id).to_owned(), last_event_id });
    copied
}

/// The task in which the point lies was not completed: the worker begins from before it.
fn fail_task(turn: &mut Turn<'_>, base: &Base<'_>, request: &ResetWorkflowExecutionRequest) {
    let scheduled_event_id = turn.execution.workflow_task.as_ref().map_or(0, |task| task.scheduled_event_id);
    let started = point::started_event_id(&base.events, request.workflow_task_finish_event_id);
    let started_event_id = started.unwrap_or_else(|| {
        let history_bytes = turn.execution.history_bytes;
        workflow_task::write_started_by_nobody(turn, scheduled_event_id, history_bytes)
    });
    turn.event(Attributes::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
        scheduled_event_id,
        started_event_id,
        cause: WorkflowTaskFailedCause::ResetWorkflow as i32,
        failure: Some(failure(&request.reason)),
        identity: SERVER_IDENTITY.into(),
        base_run_id: base.execution.run_id().to_owned(),
        new_run_id: turn.execution.run_id().to_owned(),
        ..Default::default()
    }));
}

/// An activity whose start is written has a worker that will never be heard. One without is simply owed.
fn fail_started_activities(turn: &mut Turn<'_>, base: &Base<'_>, request: &ResetWorkflowExecutionRequest) {
    let copied = base.events.iter().map(|event| &*event.event);
    let copied = copied.take_while(|event| event.event_id < request.workflow_task_finish_event_id);
    let started: Vec<(i64, ActivityTaskStartedEventAttributes)> = copied
        .filter_map(|event: &HistoryEvent| match &event.attributes {
            Some(Attributes::ActivityTaskStartedEventAttributes(a)) => Some((event.event_id, a.clone())),
            _ => None,
        })
        .collect();
    for (started_event_id, start) in started {
        if turn.execution.activities.contains_key(&start.scheduled_event_id) {
            turn.event(Attributes::ActivityTaskFailedEventAttributes(ActivityTaskFailedEventAttributes {
                failure: Some(failure(&request.reason)),
                scheduled_event_id: start.scheduled_event_id,
                started_event_id,
                identity: start.identity,
                retry_state: RetryState::NonRetryableFailure as i32,
                ..Default::default()
            }));
        }
    }
}

fn failure(reason: &str) -> Failure {
    Failure {
        message: reason.to_owned(),
        failure_info: Some(FailureInfo::ResetWorkflowFailureInfo(ResetWorkflowFailureInfo::default())),
        ..Failure::default()
    }
}

/// What is not to be applied again. The older way to say it names what is.
pub fn exclusions(request: &ResetWorkflowExecutionRequest) -> Vec<Exclude> {
    #[allow(deprecated, reason = "older clients say only this")]
    let mut excluded = match request.reset_reapply_type() {
        ResetReapplyType::Signal => vec![Exclude::Update],
        ResetReapplyType::None => vec![Exclude::Signal, Exclude::Update],
        _ => Vec::new(),
    };
    excluded.extend(request.reset_reapply_exclude_types());
    excluded
}
