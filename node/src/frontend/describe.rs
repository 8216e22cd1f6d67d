//! A workflow as its state tells it, now.

use std::collections::HashMap;

use everlog_engine::{
    decide::activity::pending_info,
    execution::{Child, Execution, Pause, WorkflowTask},
    key::WorkflowKey,
    nexus::callback::are_triggered,
    reply::{Reply, StateReply},
    request::Request,
    time::{Time, proto_duration},
    versioning,
};
use everlog_proto::api::{
    common::v1::{Memo, SearchAttributes, WorkerVersionStamp, WorkflowExecution, WorkflowType},
    enums::v1::{EventType, PendingWorkflowTaskState, TaskQueueKind},
    taskqueue::v1::TaskQueue,
    workflow::v1::{
        PendingChildExecutionInfo, PendingWorkflowTaskInfo, RequestIdInfo, ResetPoints,
        WorkflowExecutionConfig, WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
        WorkflowExecutionPauseInfo,
    },
    workflowservice::v1::{DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse},
};

use super::{
    call::{Answer, Scope, encode},
    validate,
    workflow::{ask, unexpected},
};
use crate::route::{Repeat, to_home};

/// How "never" reads in the real server's answer: the first moment of the year 1.
const GO_ZERO_TIME: prost_types::Timestamp = prost_types::Timestamp { seconds: -62_135_596_800, nanos: 0 };

pub(super) async fn describe(scope: Scope, request: DescribeWorkflowExecutionRequest) -> Answer {
    let execution = validate::execution(request.execution.as_ref())?;
    let (scope, key) = (&scope, &WorkflowKey::new(scope.namespace_id(), &execution.workflow_id));
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        let read = Request::Read { run_id: execution.run_id.clone() };
        match ask(scope, shard, key, read).await? {
            Reply::State(state) => Ok(encode(&description(&state, scope.call.shared.backend.now()))),
            _ => Err(unexpected("read").into()),
        }
    })
    .await
}

fn description(state: &StateReply, now: Time) -> DescribeWorkflowExecutionResponse {
    let execution = &state.execution;
    let workflow_task = state.workflow_task();
    DescribeWorkflowExecutionResponse {
        execution_config: Some(config(execution)),
        workflow_execution_info: Some(info(state)),
        pending_activities: execution
            .activities
            .values()
            .map(|activity| pending_info(activity, now))
            .collect(),
        callbacks: execution
            .callbacks
            .iter()
            .map(|callback| callback.info(are_triggered(execution), now))
            .collect(),
        pending_nexus_operations: execution
            .nexus_operations
            .iter()
            .map(|(id, operation)| operation.info(*id, now))
            .collect(),
        pending_children: execution.children.iter().map(|(id, child)| pending_child(*id, child)).collect(),
        pending_workflow_task: workflow_task.map(|task| pending_task(state, task)),
        workflow_extended_info: Some(extended(execution)),
    }
}

fn pending_child(initiated_id: i64, child: &Child) -> PendingChildExecutionInfo {
    PendingChildExecutionInfo {
        workflow_id: child.initiated.workflow_id.clone(),
        run_id: child.run_id.clone(),
        workflow_type_name: child
            .initiated
            .workflow_type
            .as_ref()
            .map(|t| t.name.clone())
            .unwrap_or_default(),
        initiated_id,
        parent_close_policy: child.initiated.parent_close_policy,
    }
}

fn config(execution: &Execution) -> WorkflowExecutionConfig {
    let start = &execution.start;
    WorkflowExecutionConfig {
        task_queue: Some(TaskQueue {
            name: execution.task_queue().to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        workflow_execution_timeout: start.workflow_execution_timeout,
        workflow_run_timeout: start.workflow_run_timeout,
        default_workflow_task_timeout: start.workflow_task_timeout,
        user_metadata: execution.user_metadata.as_ref().map(|metadata| metadata.0.clone()),
    }
}

fn info(state: &StateReply) -> WorkflowExecutionInfo {
    let execution = &state.execution;
    let start = &execution.start;
    let me = WorkflowExecution {
        workflow_id: execution.workflow_id().to_owned(),
        run_id: execution.run_id().to_owned(),
    };
    WorkflowExecutionInfo {
        root_execution: Some(start.root_workflow_execution.clone().unwrap_or_else(|| me.clone())),
        execution: Some(me),
        r#type: Some(WorkflowType { name: execution.workflow_type().to_owned() }),
        start_time: Some(execution.start_time.proto()),
        close_time: execution.close_time.map(Time::proto),
        execution_duration: execution
            .close_time
            .map(|closed| proto_duration(closed.since(execution.execution_time))),
        versioning_info: versioning::described(execution, state.started.as_ref()),
        worker_deployment_name: versioning::deployment_name(execution),
        execution_time: Some(execution.execution_time.proto()),
        status: execution.status,
        history_length: execution.history_length() + i64::from(is_started_event_due(state)),
        history_size_bytes: execution.history_bytes,
        state_transition_count: execution.state_transitions,
        parent_namespace_id: start.parent_workflow_namespace_id.clone(),
        parent_execution: start.parent_workflow_execution.clone(),
        memo: Some(Memo { fields: payloads(execution.memo.iter()) }),
        search_attributes: Some(SearchAttributes {
            indexed_fields: payloads(&execution.shown_search_attributes()),
        }),
        auto_reset_points: Some(ResetPoints {
            points: execution.reset_points.iter().map(|point| point.0.clone()).collect(),
        }),
        task_queue: execution.task_queue().to_owned(),
        first_run_id: start.first_execution_run_id.clone(),
        priority: start.priority.clone(),
        #[allow(deprecated, reason = "workers without deployments say only this")]
        most_recent_worker_version_stamp: (!execution.build_id.is_empty())
            .then(|| WorkerVersionStamp { build_id: execution.build_id.clone(), use_versioning: false }),
        ..WorkflowExecutionInfo::default()
    }
}

/// The Started event of a first attempt is written late, and counted from the start.
fn is_started_event_due(state: &StateReply) -> bool {
    state.started.is_some() && state.execution.workflow_task.as_ref().is_some_and(|task| task.written)
}

fn payloads<'a, P: 'a + std::ops::Deref<Target = everlog_proto::api::common::v1::Payload>>(
    fields: impl IntoIterator<Item = (&'a String, &'a P)>,
) -> HashMap<String, everlog_proto::api::common::v1::Payload> {
    fields.into_iter().map(|(name, payload)| (name.clone(), (**payload).clone())).collect()
}

fn pending_task(state: &StateReply, task: &WorkflowTask) -> PendingWorkflowTaskInfo {
    let started = state.started.as_ref();
    let phase = match started {
        Some(_) => PendingWorkflowTaskState::Started,
        None => PendingWorkflowTaskState::Scheduled,
    };
    PendingWorkflowTaskInfo {
        state: phase as i32,
        scheduled_time: Some(task.scheduled_time.proto()),
        original_scheduled_time: Some(task.original_scheduled_time.proto()),
        started_time: started.map(|started| started.time.proto()),
        attempt: task.attempt,
    }
}

fn extended(execution: &Execution) -> WorkflowExecutionExtendedInfo {
    // A start that came with a signal is found at the signal's place: both have one id.
    let with_signal = execution.signal_request_ids.contains(&execution.create_request_id);
    let started = RequestIdInfo {
        event_type: EventType::WorkflowExecutionStarted as i32,
        event_id: if with_signal { 2 } else { 1 },
        buffered: false,
    };
    let attached = execution.request_ids.iter().map(|(id, request)| {
        let info = RequestIdInfo {
            event_type: request.event_type,
            event_id: request.event_id,
            buffered: request.event_id == 0,
        };
        (id.clone(), info)
    });
    let original_start_time = execution.resets.as_ref().and_then(|resets| resets.original_start_time);
    WorkflowExecutionExtendedInfo {
        execution_expiration_time: execution.expiration().map(Time::proto),
        run_expiration_time: Some(execution.run_expiration.map_or(GO_ZERO_TIME, Time::proto)),
        cancel_requested: execution.cancel_requested,
        last_reset_time: original_start_time.map(|_| execution.start_time.proto()),
        original_start_time: Some(original_start_time.unwrap_or(execution.start_time).proto()),
        reset_run_id: execution.reset_run_id().to_owned(),
        request_id_infos: attached.chain([(execution.create_request_id.clone(), started)]).collect(),
        pause_info: execution.pause.as_ref().map(|pause| pause_info(pause)),
        ..WorkflowExecutionExtendedInfo::default()
    }
}

fn pause_info(pause: &Pause) -> WorkflowExecutionPauseInfo {
    WorkflowExecutionPauseInfo {
        identity: pause.identity.clone(),
        paused_time: Some(pause.time.proto()),
        reason: pause.reason.clone(),
    }
}
