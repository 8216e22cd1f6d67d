//! What a workflow may ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use everlog_proto::api::command::v1::command::Attributes;
use everlog_proto::api::command::v1::{
    CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command as WireCommand,
    CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
    FailWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
    RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
    StartTimerCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes,
};
use everlog_proto::api::common::v1::{
    ActivityType, Header, Payload, Payloads, SearchAttributes, WorkflowType,
};
use everlog_proto::api::enums::v1::{CommandType, TaskQueueKind};
use everlog_proto::api::failure::v1::Failure;
use everlog_proto::api::sdk::v1::UserMetadata;
use everlog_proto::api::taskqueue::v1::TaskQueue;
use serde::{Deserialize, Serialize};

use crate::activity::ActivityOptions;
use crate::codec;
use crate::time::to_wire;

/// The marker of a patch, under the name and with the details that the official SDKs give it.
pub(crate) const PATCH_MARKER: &str = "core_patch";
pub(crate) const PATCH_DETAIL: &str = "patch-data";
/// The marker of a value that the workflow computed once.
pub(crate) const VALUE_MARKER: &str = "everlog_value";
/// The marker of a local activity's outcome.
pub(crate) const LOCAL_MARKER: &str = "everlog_local_activity";
/// The detail of either that tells what it belongs to.
pub(crate) const HEAD_DETAIL: &str = "head";
/// The detail of either that holds the value.
pub(crate) const DATA_DETAIL: &str = "data";

/// A command. `seq` is its number within the run, and so the id of its timer or activity.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    StartTimer { seq: u64, after: Duration, summary: Option<String> },
    CancelTimer { seq: u64 },
    ScheduleActivity(Box<ScheduleActivity>),
    CancelActivity { seq: u64, scheduled_event_id: i64 },
    Patch { id: String, deprecated: bool },
    Value { seq: u64, name: String, data: Payload },
    LocalResult { seq: u64, name: String, attempt: u32, result: Result<Option<Payloads>, Box<Failure>> },
    SearchAttributes(BTreeMap<String, Payload>),
    Complete(Payloads),
    Fail(Box<Failure>),
    CancelWorkflow,
    ContinueAsNew(Box<ContinueAsNew>),
}

/// Schedules an activity.
#[derive(Debug, Clone)]
pub(crate) struct ScheduleActivity {
    pub(crate) seq: u64,
    pub(crate) name: String,
    pub(crate) input: Payloads,
    /// The queue of the workflow, for an activity that names none.
    pub(crate) own_queue: String,
    pub(crate) options: ActivityOptions,
}

/// Closes this run and begins the next.
#[derive(Debug, Clone)]
pub(crate) struct ContinueAsNew {
    pub(crate) workflow: String,
    pub(crate) queue: String,
    pub(crate) input: Payloads,
    pub(crate) header: BTreeMap<String, Payload>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PatchData {
    pub(crate) id: String,
    pub(crate) deprecated: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MarkerHead {
    pub(crate) seq: u64,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) attempt: u32,
}

impl Command {
    /// The number of the future that this command began, if it began one.
    pub(crate) fn begins(&self) -> Option<u64> {
        match self {
            Command::StartTimer { seq, .. } => Some(*seq),
            Command::ScheduleActivity(schedule) => Some(schedule.seq),
            _ => None,
        }
    }

    /// The number of the future that this command cancels, if it cancels one.
    pub(crate) fn cancels(&self) -> Option<u64> {
        match self {
            Command::CancelTimer { seq } | Command::CancelActivity { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// The command as the server takes it.
    pub(crate) fn into_wire(self, eager: bool) -> Result<WireCommand, codec::CodecError> {
        let mut user_metadata = None;
        let (kind, attributes) = match self {
            Command::StartTimer { seq, after, summary } => {
                user_metadata = to_metadata(summary)?;
                (
                    CommandType::StartTimer,
                    Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
                        timer_id: seq.to_string(),
                        start_to_fire_timeout: Some(to_wire(after)),
                    }),
                )
            }
            Command::CancelTimer { seq } => (
                CommandType::CancelTimer,
                Attributes::CancelTimerCommandAttributes(CancelTimerCommandAttributes {
                    timer_id: seq.to_string(),
                }),
            ),
            Command::ScheduleActivity(schedule) => {
                user_metadata = to_metadata(schedule.options.summary.clone())?;
                (CommandType::ScheduleActivityTask, schedule.into_attributes(eager))
            }
            Command::CancelActivity { scheduled_event_id, .. } => (
                CommandType::RequestCancelActivityTask,
                Attributes::RequestCancelActivityTaskCommandAttributes(
                    RequestCancelActivityTaskCommandAttributes { scheduled_event_id },
                ),
            ),
            Command::Patch { id, deprecated } => (
                CommandType::RecordMarker,
                marker(
                    PATCH_MARKER,
                    [(PATCH_DETAIL, codec::encode_one(&PatchData { id, deprecated })?)],
                    None,
                ),
            ),
            Command::Value { seq, name, data } => {
                let head = codec::encode_one(&MarkerHead { seq, name, attempt: 0 })?;
                let details = [(HEAD_DETAIL, head), (DATA_DETAIL, Payloads { payloads: vec![data] })];
                (CommandType::RecordMarker, marker(VALUE_MARKER, details, None))
            }
            Command::LocalResult { seq, name, attempt, result } => {
                let head = codec::encode_one(&MarkerHead { seq, name, attempt })?;
                let (data, failure) = match result {
                    Ok(data) => (data, None),
                    Err(failure) => (None, Some(*failure)),
                };
                let details = [(HEAD_DETAIL, head), (DATA_DETAIL, data.unwrap_or_default())];
                (CommandType::RecordMarker, marker(LOCAL_MARKER, details, failure))
            }
            Command::SearchAttributes(fields) => (
                CommandType::UpsertWorkflowSearchAttributes,
                Attributes::UpsertWorkflowSearchAttributesCommandAttributes(
                    UpsertWorkflowSearchAttributesCommandAttributes {
                        search_attributes: Some(SearchAttributes {
                            indexed_fields: fields.into_iter().collect(),
                        }),
                    },
                ),
            ),
            Command::Complete(result) => (
                CommandType::CompleteWorkflowExecution,
                Attributes::CompleteWorkflowExecutionCommandAttributes(
                    CompleteWorkflowExecutionCommandAttributes { result: Some(result) },
                ),
            ),
            Command::Fail(failure) => (
                CommandType::FailWorkflowExecution,
                Attributes::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                    failure: Some(*failure),
                }),
            ),
            Command::CancelWorkflow => (
                CommandType::CancelWorkflowExecution,
                Attributes::CancelWorkflowExecutionCommandAttributes(
                    CancelWorkflowExecutionCommandAttributes::default(),
                ),
            ),
            Command::ContinueAsNew(next) => {
                (CommandType::ContinueAsNewWorkflowExecution, next.into_attributes())
            }
        };
        Ok(WireCommand {
            command_type: kind as i32,
            user_metadata,
            attributes: Some(attributes),
            ..Default::default()
        })
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Command::StartTimer { seq, after, .. } => write!(f, "StartTimer(id {seq}, {after:?})"),
            Command::CancelTimer { seq } => write!(f, "CancelTimer(id {seq})"),
            Command::ScheduleActivity(s) => write!(f, "ScheduleActivity({}, id {})", s.name, s.seq),
            Command::CancelActivity { seq, .. } => write!(f, "RequestCancelActivity(id {seq})"),
            Command::Patch { id, .. } => write!(f, "RecordMarker(patch {id:?})"),
            Command::Value { seq, name, .. } => write!(f, "RecordMarker(value {name:?}, id {seq})"),
            Command::LocalResult { seq, name, .. } => {
                write!(f, "RecordMarker(local activity {name}, id {seq})")
            }
            Command::SearchAttributes(fields) => {
                let names: Vec<_> = fields.keys().map(String::as_str).collect();
                write!(f, "UpsertSearchAttributes({})", names.join(", "))
            }
            Command::Complete(_) => f.write_str("CompleteWorkflow"),
            Command::Fail(failure) => write!(f, "FailWorkflow({})", failure.message),
            Command::CancelWorkflow => f.write_str("CancelWorkflow"),
            Command::ContinueAsNew(next) => write!(f, "ContinueAsNew({})", next.workflow),
        }
    }
}

impl ScheduleActivity {
    fn into_attributes(self, eager: bool) -> Attributes {
        let ActivityOptions {
            queue,
            schedule_to_close,
            schedule_to_start,
            start_to_close,
            heartbeat,
            retry,
            ..
        } = self.options;
        let elsewhere = queue.as_ref().is_some_and(|queue| *queue != self.own_queue);
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: self.seq.to_string(),
            activity_type: Some(ActivityType { name: self.name }),
            task_queue: Some(to_queue(queue.unwrap_or(self.own_queue))),
            input: Some(self.input),
            schedule_to_close_timeout: schedule_to_close.map(to_wire),
            schedule_to_start_timeout: schedule_to_start.map(to_wire),
            start_to_close_timeout: start_to_close.map(to_wire),
            heartbeat_timeout: heartbeat.map(to_wire),
            retry_policy: retry.map(|retry| retry.to_wire()),
            request_eager_execution: eager && !elsewhere,
            ..Default::default()
        })
    }
}

impl ContinueAsNew {
    fn into_attributes(self) -> Attributes {
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(
            ContinueAsNewWorkflowExecutionCommandAttributes {
                workflow_type: Some(WorkflowType { name: self.workflow }),
                task_queue: Some(to_queue(self.queue)),
                input: Some(self.input),
                header: Some(Header { fields: self.header.into_iter().collect() }),
                ..Default::default()
            },
        )
    }
}

pub(crate) fn to_queue(name: String) -> TaskQueue {
    TaskQueue { name, kind: TaskQueueKind::Normal as i32, ..Default::default() }
}

fn marker<const N: usize>(
    name: &str,
    details: [(&str, Payloads); N],
    failure: Option<Failure>,
) -> Attributes {
    Attributes::RecordMarkerCommandAttributes(RecordMarkerCommandAttributes {
        marker_name: name.to_owned(),
        details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        failure,
        ..Default::default()
    })
}

fn to_metadata(summary: Option<String>) -> Result<Option<UserMetadata>, codec::CodecError> {
    let Some(summary) = summary else { return Ok(None) };
    Ok(Some(UserMetadata { summary: Some(codec::encode(&summary)?), details: None }))
}
