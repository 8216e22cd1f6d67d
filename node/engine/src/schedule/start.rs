//! The questions that a state of a schedule has for workflows, put together from its definition.

use everlog_proto::api::{
    common::v1::{Payload, Payloads, SearchAttributes},
    enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    failure::v1::Failure,
    schedule::v1::{Schedule, schedule_action::Action},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use prost::Message;

use super::{
    ask::{Ask, Stopping},
    state::{Launch, Running, ScheduleState},
    turn::seconds_text,
};
use crate::{codec::Proto, planted};

const STARTED_BY: &str = "TemporalScheduledById";
const STARTED_FOR: &str = "TemporalScheduledStartTime";

pub fn action(schedule: &Schedule) -> Option<&NewWorkflowExecutionInfo> {
    let Action::StartWorkflow(action) = schedule.action.as_ref()?.action.as_ref()?;
    Some(action)
}

/// The start that a launch stands for.
pub(crate) fn ask(state: &ScheduleState, schedule: &Schedule, launch: &Launch) -> Ask {
    let action = action(schedule).cloned().unwrap_or_default();
    let mut fields = action.search_attributes.map(|attributes| attributes.indexed_fields).unwrap_or_default();
    fields.insert(STARTED_FOR.to_owned(), text(&seconds_text(launch.start.nominal), "Datetime"));
    fields.insert(STARTED_BY.to_owned(), text(state.key.schedule_id(), "Keyword"));
    // A start by the calendar is the only one of its time. Whoever triggers one may want another.
    let reuse = if launch.start.manual {
        WorkflowIdReusePolicy::AllowDuplicate
    } else {
        WorkflowIdReusePolicy::RejectDuplicate
    };
    let carried = |bytes: &Option<_>| bytes.as_ref().filter(|_| launch.tracked).cloned();
    let (result, failure) = (carried(&state.last_result), carried(&state.last_failure));
    let start = StartWorkflowExecutionRequest {
        namespace: state.namespace.clone(),
        workflow_id: launch.workflow_id.clone(),
        workflow_type: action.workflow_type,
        task_queue: action.task_queue,
        input: action.input,
        workflow_execution_timeout: action.workflow_execution_timeout,
        workflow_run_timeout: action.workflow_run_timeout,
        workflow_task_timeout: action.workflow_task_timeout,
        identity: identity(state),
        request_id: if planted::is("launch_renamed") {
            format!("{}-{}", launch.request_id, state.version)
        } else {
            launch.request_id.clone()
        },
        workflow_id_reuse_policy: reuse as i32,
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail as i32,
        retry_policy: action.retry_policy,
        memo: action.memo,
        search_attributes: Some(SearchAttributes { indexed_fields: fields }),
        header: action.header,
        last_completion_result: result.and_then(|bytes| Payloads::decode(&bytes[..]).ok()),
        continued_failure: failure.and_then(|bytes| Failure::decode(&bytes[..]).ok()),
        user_metadata: action.user_metadata,
        versioning_override: action.versioning_override,
        priority: action.priority,
        ..Default::default()
    };
    Ask::Start(Box::new(Proto(start)))
}

/// What a running workflow that has to make room is told; none if it need not, or has been.
pub(crate) fn stop(state: &ScheduleState, running: &Running) -> Option<Ask> {
    let stop = running.stop.filter(|stop| !stop.told)?;
    let how = if stop.terminate { "terminated" } else { "cancelled" };
    let stopping = Stopping {
        first_run_id: running.run_id.clone(),
        request_id: format!("{}-{how}", running.run_id),
        identity: identity(state),
        reason: format!("{how} by schedule overlap policy"),
    };
    Some(if stop.terminate { Ask::Terminate(stopping) } else { Ask::Cancel(stopping) })
}

fn identity(state: &ScheduleState) -> String {
    format!("temporal-scheduler-{}-{}", state.namespace, state.key.schedule_id())
}

/// A text as a search attribute's value.
fn text(text: &str, kind: &str) -> Payload {
    Payload {
        metadata: [("encoding", "json/plain"), ("type", kind)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .collect(),
        data: crate::decide::json_string(text).into_bytes(),
        ..Payload::default()
    }
}
