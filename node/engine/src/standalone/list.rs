//! Runs in lists: rows like those of workflows, so that the same filters work on them.

use everlog_proto::api::{
    activity::v1::ActivityExecutionListInfo,
    common::v1::{ActivityType, Payload},
    enums::v1::ActivityExecutionStatus,
    nexus::v1::NexusOperationExecutionListInfo,
};

use super::{
    activity, operation,
    state::{Body, Standalone},
};
use crate::{
    decide::json_string,
    time::{Time, proto_duration},
    visibility::{Closed, NAMESPACE_DIVISION, OfOperation, Row, payload_bytes},
};

/// The real server sets activities apart from workflows by this division, and shows it.
const ACTIVITY_DIVISION: &str = "3332429922";
/// The same for Nexus operations.
const OPERATION_DIVISION: &str = "131748067";

pub(super) fn row(state: &Standalone) -> Row {
    let attributes = state.given.search_attributes.iter();
    let mut row = Row {
        namespace_id: state.run.run.workflow.namespace_id.to_string(),
        workflow_id: state.id().to_owned(),
        run_id: state.run_id().to_owned(),
        start_time: state.start_time.0,
        execution_time: state.start_time.0,
        close_time: state.close_time.map(|time| time.0),
        closed: state
            .close_time
            .map(|_| Closed { state_transition_count: state.transitions, ..Closed::default() }),
        search_attributes: attributes
            .map(|(name, value)| (name.clone(), serde_bytes::ByteBuf::from(payload_bytes(&value.0))))
            .collect(),
        ..Row::default()
    };
    let encoded = |text: &str| serde_bytes::ByteBuf::from(payload_bytes(&keyword(text)));
    if let Body::Activity(body) = &state.body {
        row.workflow_type = body.activity.kind().to_owned();
        row.task_queue = body.activity.queue().to_owned();
        row.status = activity::status(state) as i32;
        row.execution_time = body.activity.first_scheduled_time.0;
        row.search_attributes.insert(NAMESPACE_DIVISION.to_owned(), encoded(ACTIVITY_DIVISION));
    }
    if let Body::Operation(body) = &state.body {
        let scheduled = &body.operation.scheduled;
        row.status = operation::status(state) as i32;
        row.search_attributes.insert(NAMESPACE_DIVISION.to_owned(), encoded(OPERATION_DIVISION));
        // It has no memo, which leaves room for what only an operation has.
        row.memo = [
            (OfOperation::Endpoint, &scheduled.endpoint),
            (OfOperation::Service, &scheduled.service),
            (OfOperation::Operation, &scheduled.operation),
            (OfOperation::RequestId, &scheduled.request_id),
        ]
        .map(|(name, text)| (name.key().to_owned(), encoded(text)))
        .into();
    }
    row
}

/// Whether two states of a run have the same row. Most changes show in no list.
pub(super) fn is_same(before: &Standalone, after: &Standalone) -> bool {
    let shown = |state: &Standalone| {
        let body = state.activity();
        let first = body.map(|body| body.activity.first_scheduled_time);
        let is_paused = body.is_some() && activity::status(state) == ActivityExecutionStatus::Paused;
        (state.deleted, state.close_time, state.status, is_paused, first)
    };
    let queue = |state: &Standalone| state.activity().map(|body| body.activity.queue().to_owned());
    shown(before) == shown(after) && queue(before) == queue(after)
}

/// What a list of activities shows of a row.
pub fn activity_entry(row: &Row) -> ActivityExecutionListInfo {
    let close = row.close_time.map(Time);
    ActivityExecutionListInfo {
        activity_id: row.workflow_id.clone(),
        run_id: row.run_id.clone(),
        activity_type: Some(ActivityType { name: row.workflow_type.clone() }),
        schedule_time: Some(Time(row.start_time).proto()),
        close_time: close.map(Time::proto),
        status: row.status,
        search_attributes: row.info().search_attributes,
        task_queue: row.task_queue.clone(),
        state_transition_count: row.closed.map_or(0, |closed| closed.state_transition_count),
        execution_duration: close.map(|close| proto_duration(close.since(Time(row.start_time)))),
        execution_time: Some(Time(row.execution_time).proto()),
        ..Default::default()
    }
}

/// What a list of operations shows of a row.
pub fn operation_entry(row: &Row) -> NexusOperationExecutionListInfo {
    let close = row.close_time.map(Time);
    let own = |name: OfOperation| row.of_operation(name).unwrap_or_default();
    NexusOperationExecutionListInfo {
        operation_id: row.workflow_id.clone(),
        run_id: row.run_id.clone(),
        endpoint: own(OfOperation::Endpoint),
        service: own(OfOperation::Service),
        operation: own(OfOperation::Operation),
        schedule_time: Some(Time(row.start_time).proto()),
        close_time: close.map(Time::proto),
        status: row.status,
        search_attributes: row.info().search_attributes,
        state_transition_count: row.closed.map_or(0, |closed| closed.state_transition_count),
        execution_duration: close.map(|close| proto_duration(close.since(Time(row.start_time)))),
        ..Default::default()
    }
}

fn keyword(text: &str) -> Payload {
    let metadata = [("encoding", "json/plain"), ("type", "Keyword")];
    Payload {
        metadata: metadata.into_iter().map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).collect(),
        data: json_string(text).into_bytes(),
        ..Payload::default()
    }
}
