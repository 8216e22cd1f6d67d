//! What is applied again: what came from outside behind the point, and did not end the run.

use everlog_proto::api::{
    enums::v1::{ResetReapplyExcludeType as Exclude, UpdateAdmittedEventOrigin},
    history::v1::{
        HistoryEvent, WorkflowExecutionSignaledEventAttributes,
        WorkflowExecutionUpdateAdmittedEventAttributes, history_event::Attributes,
    },
    workflow::v1::{PostResetOperation, post_reset_operation::Variant},
};

use crate::{
    decide::options, event::finished_child, execution::Execution, fact::Event, planted, reject::Reject,
    turn::Turn,
};

/// Events that happened behind the point, in order, and what is not to be taken from them.
pub struct Reapplied<'a> {
    pub events: Vec<&'a Event>,
    pub excluded: &'a [Exclude],
}

/// Everything that can be excluded is: then not even the events that cannot be are looked at.
pub fn excludes_all(excluded: &[Exclude]) -> bool {
    #[allow(deprecated, reason = "the real server counts it among those that can be excluded")]
    let all = [Exclude::Signal, Exclude::Update, Exclude::Nexus, Exclude::CancelRequest];
    all.iter().all(|exclude| excluded.contains(exclude))
}

pub(super) fn reapply(turn: &mut Turn<'_>, behind: Reapplied<'_>) {
    for event in behind.events {
        again(turn, &event.event, behind.excluded);
    }
}

fn again(turn: &mut Turn<'_>, event: &HistoryEvent, excluded: &[Exclude]) {
    use Attributes as A;
    let Some(attributes) = &event.attributes else { return };
    match attributes {
        A::WorkflowExecutionSignaledEventAttributes(a) if !excluded.contains(&Exclude::Signal) => {
            let attributes = WorkflowExecutionSignaledEventAttributes {
                signal_name: a.signal_name.clone(),
                input: a.input.clone(),
                identity: a.identity.clone(),
                header: a.header.clone(),
                request_id: a.request_id.clone(),
                ..Default::default()
            };
            let attributes = A::WorkflowExecutionSignaledEventAttributes(attributes);
            if planted::is("signal_reapplied_twice") {
                turn.full_event(turn.stamp.now, attributes.clone(), None, event.links.clone());
            }
            if !planted::is("signal_not_reapplied") {
                turn.full_event(turn.stamp.now, attributes, None, event.links.clone());
            }
        }
        A::WorkflowExecutionUpdateAdmittedEventAttributes(_) if !excluded.contains(&Exclude::Update) => {
            turn.event(attributes.clone());
        }
        // One that was admitted by an event of its own has its request there.
        A::WorkflowExecutionUpdateAcceptedEventAttributes(a)
            if a.accepted_request.is_some() && !excluded.contains(&Exclude::Update) =>
        {
            turn.event(A::WorkflowExecutionUpdateAdmittedEventAttributes(
                WorkflowExecutionUpdateAdmittedEventAttributes {
                    request: a.accepted_request.clone(),
                    origin: UpdateAdmittedEventOrigin::Reapply as i32,
                },
            ));
        }
        A::WorkflowExecutionOptionsUpdatedEventAttributes(a) => {
            let is_known = !a.attached_request_id.is_empty()
                && turn.execution.request_ids.contains_key(&a.attached_request_id);
            if !is_known {
                turn.ignorable_event(attributes.clone(), event.links.clone());
            }
        }
        A::ChildWorkflowExecutionStartedEventAttributes(a) => {
            let child = turn.execution.children.get(&a.initiated_event_id);
            if child.is_some_and(|child| !child.is_started()) {
                turn.event(attributes.clone());
            }
        }
        _ => {
            // The end of a child that had been begun before the point.
            let finished = finished_child(event);
            if let Some(initiated_event_id) = finished
                && turn.execution.children.contains_key(&initiated_event_id)
            {
                let started_event_id = started_event_id(&turn.execution, initiated_event_id);
                turn.event(with_start(attributes.clone(), started_event_id));
            }
        }
    }
}

fn started_event_id(execution: &Execution, initiated_event_id: i64) -> i64 {
    execution.children.get(&initiated_event_id).map_or(0, |child| child.started_event_id)
}

/// The end of a child, with the id that its start has in this history.
fn with_start(mut attributes: Attributes, started_event_id: i64) -> Attributes {
    use Attributes as A;
    let field = match &mut attributes {
        A::ChildWorkflowExecutionCompletedEventAttributes(a) => &mut a.started_event_id,
        A::ChildWorkflowExecutionFailedEventAttributes(a) => &mut a.started_event_id,
        A::ChildWorkflowExecutionCanceledEventAttributes(a) => &mut a.started_event_id,
        A::ChildWorkflowExecutionTimedOutEventAttributes(a) => &mut a.started_event_id,
        A::ChildWorkflowExecutionTerminatedEventAttributes(a) => &mut a.started_event_id,
        _ => return attributes,
    };
    *field = started_event_id;
    attributes
}

/// Of what may be asked for behind a reset, the real server does one thing.
pub(super) fn check_operation(operation: &PostResetOperation) -> Result<(), Reject> {
    let kind = match &operation.variant {
        Some(Variant::UpdateWorkflowOptions(_)) => return Ok(()),
        Some(Variant::SignalWorkflow(_)) => "*workflow.PostResetOperation_SignalWorkflow_",
        None => "<nil>",
    };
    Err(Reject::InvalidArgument(format!("unsupported post reset operation: {kind}")))
}

pub(super) fn carry_out(turn: &mut Turn<'_>, operation: &PostResetOperation) -> Result<(), Reject> {
    let Some(Variant::UpdateWorkflowOptions(update)) = &operation.variant else { return Ok(()) };
    let asked = update.workflow_execution_options.clone().unwrap_or_default();
    let paths = update.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    options::apply(turn, &asked, paths, "")?;
    Ok(())
}
