//! Events and refusals as lines of text.

use everlog_proto::api::{
    failure::v1::Failure,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::{execution::event_type, reject::Reject};

pub(super) fn name(event: &HistoryEvent) -> String {
    format!("{:?}", event_type(event))
}

/// One line of a history: the id, the type, and what tells one event from another of its type.
pub(super) fn shown(event: &HistoryEvent) -> String {
    use Attributes as A;
    let about = match event.attributes.as_ref() {
        Some(A::WorkflowExecutionStartedEventAttributes(a)) => {
            let attempt = if a.attempt > 1 { format!(" attempt {}", a.attempt) } else { String::new() };
            let continued = if a.continued_execution_run_id.is_empty() { "" } else { " continued" };
            let pinned =
                a.inherited_pinned_version.as_ref().map(|version| format!(" pinned to {}", version.build_id));
            let info = a.inherited_auto_upgrade_info.as_ref();
            let from = info.and_then(|info| info.source_deployment_version.as_ref());
            let from = from.map(|version| format!(" from {}", version.build_id));
            format!("{attempt}{continued}{}{}", pinned.unwrap_or_default(), from.unwrap_or_default())
        }
        Some(A::WorkflowTaskScheduledEventAttributes(a)) => {
            let queue = a.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
            let attempt = if a.attempt > 1 { format!(" attempt {}", a.attempt) } else { String::new() };
            format!(" on {queue}{attempt}")
        }
        Some(A::WorkflowTaskStartedEventAttributes(a)) if a.target_worker_deployment_version_changed => {
            " target changed".to_owned()
        }
        Some(A::WorkflowTaskCompletedEventAttributes(a)) if a.deployment_version.is_some() => {
            let build_id = a.deployment_version.as_ref().map_or("", |version| &version.build_id);
            format!(" {:?} on {build_id}", a.versioning_behavior())
        }
        Some(A::WorkflowTaskFailedEventAttributes(a)) => {
            let failure = a.failure.as_ref().map(|f| format!(" {:?}", f.message)).unwrap_or_default();
            format!(" {:?}{failure}", a.cause())
        }
        Some(A::WorkflowTaskTimedOutEventAttributes(a)) => format!(" {:?}", a.timeout_type()),
        Some(A::WorkflowExecutionSignaledEventAttributes(a)) => format!(" {}", a.signal_name),
        Some(A::WorkflowExecutionTerminatedEventAttributes(a)) => format!(" {:?}", a.reason),
        Some(A::WorkflowExecutionFailedEventAttributes(a)) => format!(" {:?}", a.retry_state()),
        Some(A::WorkflowExecutionTimedOutEventAttributes(a)) => format!(" {:?}", a.retry_state()),
        Some(A::TimerStartedEventAttributes(a)) => format!(" {}", a.timer_id),
        Some(A::TimerFiredEventAttributes(a)) => format!(" {} of {}", a.timer_id, a.started_event_id),
        Some(A::TimerCanceledEventAttributes(a)) => format!(" {} of {}", a.timer_id, a.started_event_id),
        Some(A::MarkerRecordedEventAttributes(a)) => format!(" {}", a.marker_name),
        Some(A::ActivityTaskScheduledEventAttributes(a)) => format!(" {}", a.activity_id),
        Some(A::ActivityTaskStartedEventAttributes(a)) => {
            let failure =
                a.last_failure.as_ref().map(|f| format!(" after {:?}", f.message)).unwrap_or_default();
            format!(" {} attempt {}{failure}", a.scheduled_event_id, a.attempt)
        }
        Some(A::ActivityTaskCompletedEventAttributes(a)) => {
            format!(" {} started {}", a.scheduled_event_id, a.started_event_id)
        }
        Some(A::ActivityTaskFailedEventAttributes(a)) => {
            format!(" {} started {} {:?}", a.scheduled_event_id, a.started_event_id, a.retry_state())
        }
        Some(A::ActivityTaskTimedOutEventAttributes(a)) => {
            let message = a.failure.as_ref().map(|f| f.message.clone()).unwrap_or_default();
            format!(
                " {} started {} {:?} {message:?}",
                a.scheduled_event_id,
                a.started_event_id,
                a.retry_state()
            )
        }
        Some(A::ActivityTaskCanceledEventAttributes(a)) => {
            format!(" {} started {}", a.scheduled_event_id, a.started_event_id)
        }
        Some(A::ActivityTaskCancelRequestedEventAttributes(a)) => format!(" {}", a.scheduled_event_id),
        Some(A::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => format!(" {}", a.workflow_id),
        Some(A::StartChildWorkflowExecutionFailedEventAttributes(a)) => {
            format!(" {} {:?}", a.initiated_event_id, a.cause())
        }
        Some(A::ChildWorkflowExecutionStartedEventAttributes(a)) => format!(" {}", a.initiated_event_id),
        Some(A::ChildWorkflowExecutionCompletedEventAttributes(a)) => {
            format!(" {} started {}", a.initiated_event_id, a.started_event_id)
        }
        Some(A::ChildWorkflowExecutionFailedEventAttributes(a)) => {
            format!(" {} started {} {:?}", a.initiated_event_id, a.started_event_id, a.retry_state())
        }
        Some(A::ChildWorkflowExecutionCanceledEventAttributes(a)) => {
            format!(" {} started {}", a.initiated_event_id, a.started_event_id)
        }
        Some(A::ChildWorkflowExecutionTimedOutEventAttributes(a)) => {
            format!(" {} started {} {:?}", a.initiated_event_id, a.started_event_id, a.retry_state())
        }
        Some(A::ChildWorkflowExecutionTerminatedEventAttributes(a)) => {
            format!(" {} started {}", a.initiated_event_id, a.started_event_id)
        }
        Some(A::NexusOperationScheduledEventAttributes(a)) => format!(" {}", a.operation),
        Some(A::NexusOperationStartedEventAttributes(a)) => {
            format!(" {} {:?}", a.scheduled_event_id, a.operation_token)
        }
        Some(A::NexusOperationCompletedEventAttributes(a)) => {
            let result = a.result.as_ref().map(|r| String::from_utf8_lossy(&r.data).into_owned());
            format!(" {} {:?}", a.scheduled_event_id, result.unwrap_or_default())
        }
        Some(A::NexusOperationFailedEventAttributes(a)) => {
            format!(" {} {:?}", a.scheduled_event_id, cause(a.failure.as_ref()))
        }
        Some(A::NexusOperationCanceledEventAttributes(a)) => {
            format!(" {} {:?}", a.scheduled_event_id, cause(a.failure.as_ref()))
        }
        Some(A::NexusOperationTimedOutEventAttributes(a)) => format!(" {}", a.scheduled_event_id),
        Some(A::NexusOperationCancelRequestedEventAttributes(a)) => format!(" {}", a.scheduled_event_id),
        Some(A::NexusOperationCancelRequestCompletedEventAttributes(a)) => {
            format!(" {} of {}", a.requested_event_id, a.scheduled_event_id)
        }
        Some(A::NexusOperationCancelRequestFailedEventAttributes(a)) => {
            format!(" {} of {}", a.requested_event_id, a.scheduled_event_id)
        }
        Some(A::SignalExternalWorkflowExecutionFailedEventAttributes(a)) => {
            format!(" {} {:?}", a.initiated_event_id, a.cause())
        }
        Some(A::ExternalWorkflowExecutionSignaledEventAttributes(a)) => format!(" {}", a.initiated_event_id),
        Some(A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a)) => {
            format!(" {} {:?}", a.initiated_event_id, a.cause())
        }
        Some(A::ExternalWorkflowExecutionCancelRequestedEventAttributes(a)) => {
            format!(" {}", a.initiated_event_id)
        }
        Some(A::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
            let told = if a.accepted_request.is_some() { "" } else { " as admitted" };
            format!(" {}{told}", a.protocol_instance_id)
        }
        Some(A::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
            let id = a.meta.as_ref().map_or("", |meta| &meta.update_id);
            format!(" {id} of {}", a.accepted_event_id)
        }
        _ => String::new(),
    };
    format!("{} {}{about}", event.event_id, name(event))
}

/// The message of what is behind a failure.
fn cause(failure: Option<&Failure>) -> &str {
    failure.and_then(|failure| failure.cause.as_ref()).map_or("", |cause| &cause.message)
}

pub(super) fn shown_reject(reject: &Reject) -> String {
    match reject {
        Reject::AlreadyStarted { .. } => "AlreadyStarted".to_owned(),
        Reject::InvalidArgument(text) => format!("InvalidArgument: {text}"),
        Reject::NotFound(text) => format!("NotFound: {text}"),
        Reject::BusyWorkflow(text) => format!("BusyWorkflow: {text}"),
        Reject::WorkflowNotReady(text) => format!("WorkflowNotReady: {text}"),
        other => format!("{other:?}"),
    }
}
