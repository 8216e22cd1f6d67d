//! What can be asked of a schedule, and what it answers.

use everlog_proto::api::{
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    workflowservice::v1::{
        CreateScheduleRequest, DescribeScheduleResponse, PatchScheduleRequest, UpdateScheduleRequest,
    },
};

use crate::{codec::Proto, reject::Reject, time::Time};

/// A request to the schedule that its key names. Those with a definition have been validated, and their
/// specification is canonical.
#[derive(Clone, Debug)]
pub enum ScheduleRequest {
    Create(Box<CreateScheduleRequest>),
    Update(Box<UpdateScheduleRequest>),
    Patch(Box<PatchScheduleRequest>),
    Delete,
    Describe,
    /// The times between two moments, both of which have to be given.
    MatchingTimes {
        after: Option<Time>,
        until: Option<Time>,
    },
}

#[derive(Clone, Debug)]
pub enum ScheduleReply {
    Created { conflict_token: i64 },
    Done,
    Described(Box<DescribeScheduleResponse>),
    Times(Vec<Time>),
}

/// As clients carry it.
pub fn token_bytes(conflict_token: i64) -> Vec<u8> {
    conflict_token.to_be_bytes().to_vec()
}

/// A token that is too short to be one makes no condition.
pub(super) fn parse_token(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// The texts speak of the workflow that a schedule is on the real server: clients know them.
pub(super) fn not_found(schedule_id: &str) -> Reject {
    Reject::NotFound(format!("workflow not found for ID: temporal-sys-scheduler:{schedule_id}"))
}

/// As the real server's workflow answers a query that makes no sense to it.
pub(super) fn no_range() -> Reject {
    let message = "missing or invalid query";
    let failure = Failure {
        message: message.to_owned(),
        source: "GoSDK".to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default())),
        ..Failure::default()
    };
    Reject::QueryFailed { message: message.to_owned(), failure: Some(Box::new(Proto(failure))) }
}

pub(super) fn ended() -> Reject {
    Reject::NotFound("workflow execution already completed".to_owned())
}

pub(super) fn not_open() -> Reject {
    Reject::NotFound("schedule not found".to_owned())
}

pub(super) fn exists(schedule_id: &str) -> Reject {
    Reject::AlreadyStarted {
        message: format!("schedule {schedule_id:?} is already registered"),
        start_request_id: String::new(),
        run_id: String::new(),
        first_run_id: String::new(),
    }
}

impl ScheduleRequest {
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self, ScheduleRequest::Describe | ScheduleRequest::MatchingTimes { .. })
    }

    /// A short name for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            ScheduleRequest::Create(_) => "create_schedule",
            ScheduleRequest::Update(_) => "update_schedule",
            ScheduleRequest::Patch(_) => "patch_schedule",
            ScheduleRequest::Delete => "delete_schedule",
            ScheduleRequest::Describe | ScheduleRequest::MatchingTimes { .. } => "read_schedule",
        }
    }
}
