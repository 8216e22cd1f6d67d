//! Failures that the server makes or cuts.
//!
//! A failure is code's own account of itself and may be of any size. What exceeds a limit is not refused,
//! which would leave the attempt hanging: it is cut to what matters most and wrapped, so that the reader
//! sees both.

use everlog_proto::api::{
    enums::v1::TimeoutType,
    failure::v1::{
        ApplicationFailureInfo, Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo,
    },
    workflowservice::v1::RespondActivityTaskFailedRequest,
};
use prost::Message;

use crate::{decide::retry::timeout_name, limits::Limits};

pub(crate) const RESULT_TOO_LARGE: &str = "Complete result exceeds size limit.";
pub(crate) const CANCEL_DETAILS_TOO_LARGE: &str = "Cancel details exceed size limit.";
pub(crate) const HEARTBEAT_TOO_LARGE: &str = "Heartbeat details exceed size limit.";
const FAILURE_TOO_LARGE: &str = "Failure exceeds size limit.";

const NO_TIME_TO_RETRY: &str =
    "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying";

/// How deep into the causes a cut failure goes.
const CAUSES_MAX: usize = 20;

/// What the frames of a string, of an application failure and of any other failure cost in protobuf, about.
const STRING_FRAME_BYTES: usize = 4;
const APPLICATION_FRAME_BYTES: usize = 8;
const FRAME_BYTES: usize = 4;

/// A failure that the server itself has to report, for good.
pub(crate) fn by_server(message: &str) -> Failure {
    wrapped(message, true, None)
}

fn wrapped(message: &str, non_retryable: bool, cause: Option<Failure>) -> Failure {
    Failure {
        message: message.to_owned(),
        cause: cause.map(Box::new),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable })),
        ..Failure::default()
    }
}

pub(crate) fn timeout(kind: TimeoutType) -> Failure {
    timed_out(format!("activity {} timeout", timeout_name(kind)), kind)
}

/// Another attempt would come too late: in the end it is the time for all of them that ran out.
pub(crate) fn no_time_to_retry() -> Failure {
    timed_out(NO_TIME_TO_RETRY.into(), TimeoutType::ScheduleToClose)
}

fn timed_out(message: String, kind: TimeoutType) -> Failure {
    let info = TimeoutFailureInfo { timeout_type: kind as i32, ..Default::default() };
    Failure {
        message,
        source: "Server".into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(info)),
        ..Failure::default()
    }
}

/// A reported failure as it is taken: cut if it is too large, and then final.
pub(crate) fn reported(failure: &Failure, limits: &Limits) -> Failure {
    if failure.encoded_len() <= limits.blob_bytes_max {
        return failure.clone();
    }
    wrapped(FAILURE_TOO_LARGE, true, Some(cut(failure, limits.blob_bytes_warn, CAUSES_MAX)))
}

/// What is kept of the failure of an attempt that is followed by another.
pub(crate) fn kept(failure: &Failure, bytes_max: usize) -> Failure {
    if failure.encoded_len() <= bytes_max {
        return failure.clone();
    }
    wrapped(FAILURE_TOO_LARGE, false, Some(cut(failure, bytes_max, CAUSES_MAX)))
}

/// What `RespondActivityTaskFailedResponse.failures` tells the worker: parts of its report that were too
/// large to be taken as they are.
pub fn oversize(request: &RespondActivityTaskFailedRequest, limits: &Limits) -> Vec<Failure> {
    let mut failures = Vec::new();
    if request.last_heartbeat_details.as_ref().map_or(0, Message::encoded_len) > limits.blob_bytes_max {
        failures.push(by_server(HEARTBEAT_TOO_LARGE));
    }
    if let Some(failure) = &request.failure
        && failure.encoded_len() > limits.blob_bytes_max
    {
        failures.push(reported(failure, limits));
    }
    failures
}

/// Cuts a failure to about `bytes` (common/failure/failure.go). The most important comes first and takes
/// what it needs: type, source, message, stack trace, then the cause.
fn cut(failure: &Failure, bytes: usize, causes: usize) -> Failure {
    let mut budget = Budget(bytes);
    let failure_info = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            let r#type = budget.text(&info.r#type);
            budget.spend(APPLICATION_FRAME_BYTES);
            let info =
                ApplicationFailureInfo { r#type, non_retryable: info.non_retryable, ..Default::default() };
            Some(FailureInfo::ApplicationFailureInfo(info))
        }
        Some(FailureInfo::ServerFailureInfo(info)) => {
            budget.spend(FRAME_BYTES);
            Some(FailureInfo::ServerFailureInfo(*info))
        }
        _ => None,
    };
    let source = budget.text(&failure.source);
    let message = budget.text(&failure.message);
    let stack_trace = budget.text(&failure.stack_trace);
    let cause = failure
        .cause
        .as_ref()
        .filter(|_| budget.0 > FRAME_BYTES && causes > 0)
        .map(|cause| Box::new(cut(cause, budget.0 - FRAME_BYTES, causes - 1)));
    Failure { message, source, stack_trace, cause, failure_info, ..Failure::default() }
}

/// Bytes that are still to be had.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// As much of the text as there is room for, whole characters only.
    fn text(&mut self, text: &str) -> String {
        let taken = &text[..text.floor_char_boundary(self.0)];
        if !taken.is_empty() {
            self.spend(taken.len() + STRING_FRAME_BYTES);
        }
        taken.to_owned()
    }
}
