//! Errors as the wire's `Failure`, and back.

use everlog_proto::api::common::v1::{Payload, Payloads};
use everlog_proto::api::enums::v1::TimeoutType;
use everlog_proto::api::failure::v1::failure::FailureInfo;
use everlog_proto::api::failure::v1::{
    ApplicationFailureInfo, CanceledFailureInfo, Failure, TimeoutFailureInfo,
};

use crate::error::{AppError, CallError, RemoteError, TimeoutKind};

/// What failures written by this crate name as their source.
const SOURCE: &str = "everlog-rust";
/// The failure type of a panic.
pub(crate) const PANIC: &str = "Panic";

/// The failure that says what `error` says.
pub(crate) fn of_error<E: AppError>(error: &E) -> Failure {
    let details = error.details().map(|payload| Payloads { payloads: vec![payload] });
    application(error.to_string(), error.kind(), !error.retryable(), details)
}

/// An application failure without a value.
pub(crate) fn plain(message: impl Into<String>, kind: &str, retryable: bool) -> Failure {
    application(message.into(), kind.to_owned(), !retryable, None)
}

/// The failure of something that was cancelled.
pub(crate) fn cancelled(details: Option<Payloads>) -> Failure {
    Failure {
        message: "cancelled".into(),
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo {
            details,
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// The failure of an attempt that took too long.
pub(crate) fn timed_out() -> Failure {
    Failure {
        message: "the local activity took too long".into(),
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: TimeoutType::StartToClose as i32,
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// What a caught panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not a message".to_owned()
    }
}

/// What a failure of a call means to the caller.
pub(crate) fn to_call_error<E: AppError>(failure: Option<&Failure>) -> CallError<E> {
    let Some(failure) = failure else {
        return CallError::Other(remote(&Failure::default()));
    };
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type == PANIC => {
            CallError::Panicked(failure.message.clone())
        }
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            let remote = remote(failure);
            match E::restore(&remote, first(info.details.as_ref())) {
                Some(error) => CallError::App(error),
                None => CallError::Other(remote),
            }
        }
        Some(FailureInfo::CanceledFailureInfo(_)) => CallError::Cancelled,
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            let kind = match info.timeout_type() {
                TimeoutType::ScheduleToStart => TimeoutKind::ScheduleToStart,
                TimeoutType::ScheduleToClose => TimeoutKind::ScheduleToClose,
                TimeoutType::Heartbeat => TimeoutKind::Heartbeat,
                _ => TimeoutKind::StartToClose,
            };
            CallError::Timeout(kind, failure.cause.as_deref().map(remote))
        }
        Some(FailureInfo::ActivityFailureInfo(_) | FailureInfo::ChildWorkflowExecutionFailureInfo(_)) => {
            to_call_error(failure.cause.as_deref())
        }
        _ => CallError::Other(remote(failure)),
    }
}

/// A failure, reduced to what a program can use.
pub(crate) fn remote(failure: &Failure) -> RemoteError {
    let (kind, retryable) = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => (info.r#type.clone(), !info.non_retryable),
        Some(FailureInfo::TimeoutFailureInfo(_)) => ("Timeout".into(), true),
        Some(FailureInfo::CanceledFailureInfo(_)) => ("Cancelled".into(), false),
        Some(FailureInfo::TerminatedFailureInfo(_)) => ("Terminated".into(), false),
        Some(FailureInfo::ServerFailureInfo(info)) => ("Server".into(), !info.non_retryable),
        _ => (String::new(), true),
    };
    RemoteError {
        kind,
        message: failure.message.clone(),
        retryable,
        cause: failure.cause.as_deref().map(|cause| Box::new(remote(cause))),
    }
}

fn application(message: String, kind: String, non_retryable: bool, details: Option<Payloads>) -> Failure {
    Failure {
        message,
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind,
            non_retryable,
            details,
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn first(payloads: Option<&Payloads>) -> Option<&Payload> {
    payloads?.payloads.first()
}
