//! A schedule in lists: a row like those of workflows, so that the same filters work on it.

use everlog_proto::api::{
    common::v1::SearchAttributes,
    enums::v1::WorkflowExecutionStatus,
    schedule::v1::{ScheduleListEntry, ScheduleListInfo},
};
use prost::Message;

use super::{
    decide::action_result,
    start,
    state::{Given, ScheduleState},
};
use crate::{time::Time, visibility::Row};

/// Under this name the row's memo has what lists show of the schedule.
const INFO: &str = "ScheduleInfo";
const PAUSED: &str = "TemporalSchedulePaused";
/// Actions, and calendars of each kind, that lists show.
const LISTED_ACTIONS_MAX: usize = 5;
const LISTED_CALENDARS_MAX: usize = 10;

pub(super) fn row(state: &ScheduleState) -> Row {
    let mut memo = state.memo.clone();
    memo.insert(INFO.to_owned(), Given::from(info(state).encode_to_vec()));
    let mut search_attributes = state.search_attributes.clone();
    search_attributes.insert(PAUSED.to_owned(), flag(state.flags.paused));
    Row {
        namespace_id: state.key.namespace_id().to_owned(),
        workflow_id: state.key.schedule_id().to_owned(),
        run_id: state.incarnation.clone(),
        status: WorkflowExecutionStatus::Running as i32,
        start_time: state.create_time.0,
        execution_time: state.create_time.0,
        memo,
        search_attributes,
        ..Row::default()
    }
}

/// What a list shows of a row.
pub fn entry(row: &Row) -> ScheduleListEntry {
    let info = row.memo.get(INFO).and_then(|bytes| ScheduleListInfo::decode(&bytes[..]).ok());
    let mut shown = row.info();
    if let Some(memo) = &mut shown.memo {
        memo.fields.remove(INFO);
    }
    if let Some(attributes) = &mut shown.search_attributes {
        attributes.indexed_fields.remove(PAUSED);
    }
    ScheduleListEntry {
        schedule_id: row.workflow_id.clone(),
        memo: Some(shown.memo.unwrap_or_default()),
        search_attributes: shown
            .search_attributes
            .filter(|attributes: &SearchAttributes| !attributes.indexed_fields.is_empty()),
        info,
    }
}

fn info(state: &ScheduleState) -> ScheduleListInfo {
    let schedule = state.schedule();
    let workflow_type = start::action(&schedule).and_then(|action| action.workflow_type.clone());
    let mut spec = schedule.spec.unwrap_or_default();
    spec.timezone_data.clear();
    spec.structured_calendar.truncate(LISTED_CALENDARS_MAX);
    spec.exclude_structured_calendar.truncate(LISTED_CALENDARS_MAX);
    spec.interval.truncate(LISTED_CALENDARS_MAX);
    let skipped = state.recent.len().saturating_sub(LISTED_ACTIONS_MAX);
    ScheduleListInfo {
        spec: Some(spec),
        workflow_type,
        notes: state.flags.notes.clone(),
        paused: state.flags.paused,
        recent_actions: state.recent[skipped..].iter().map(action_result).collect(),
        future_action_times: state.future.iter().copied().map(Time::proto).collect(),
        ..ScheduleListInfo::default()
    }
}

/// A payload's bytes, always the same for one value.
fn flag(value: bool) -> Given {
    let metadata = [("encoding", "json/plain"), ("type", "Bool")];
    let payload = everlog_proto::api::common::v1::Payload {
        metadata: metadata.into_iter().map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).collect(),
        data: value.to_string().into_bytes(),
        ..Default::default()
    };
    Given::from(crate::visibility::payload_bytes(&payload))
}
