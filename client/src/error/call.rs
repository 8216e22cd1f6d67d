//! The outcome of a call from a workflow, when it is not the value.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AppError, Cancelled};

/// Why a call from a workflow did not return a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CallError<E> {
    /// The activity returned this error, and no attempt is left.
    App(E),
    /// A timeout passed; the last failure of the activity, if one was seen.
    Timeout(TimeoutKind, Option<RemoteError>),
    /// The call, or the whole workflow, was cancelled.
    Cancelled,
    /// The activity panicked on its last attempt.
    Panicked(String),
    /// It failed with something that is not an `E`.
    Other(RemoteError),
}

/// Which of the four timeouts of an activity passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeoutKind {
    /// An attempt took too long.
    StartToClose,
    /// No worker took the task.
    ScheduleToStart,
    /// All attempts together took too long.
    ScheduleToClose,
    /// A heartbeat was missed.
    Heartbeat,
}

/// A failure as it was read from the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    /// The failure type that the other side gave.
    pub kind: String,
    /// Its message.
    pub message: String,
    /// Whether the other side allowed another attempt.
    pub retryable: bool,
    /// What caused it.
    pub cause: Option<Box<RemoteError>>,
}

impl<E> CallError<E> {
    /// Whether this is a cancellation.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, CallError::Cancelled)
    }
}

impl<E> From<Cancelled> for CallError<E> {
    fn from(_: Cancelled) -> Self {
        CallError::Cancelled
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::App(error) => error.fmt(f),
            CallError::Timeout(kind, None) => write!(f, "timed out ({kind:?})"),
            CallError::Timeout(kind, Some(last)) => write!(f, "timed out ({kind:?}); last failure: {last}"),
            CallError::Cancelled => Cancelled.fmt(f),
            CallError::Panicked(message) => write!(f, "panicked: {message}"),
            CallError::Other(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Cancelled => Some(&Cancelled),
            CallError::Other(error) | CallError::Timeout(_, Some(error)) => Some(error),
            _ => None,
        }
    }
}

impl<E: AppError> AppError for CallError<E> {
    fn kind(&self) -> String {
        match self {
            CallError::App(error) => error.kind(),
            CallError::Timeout(kind, _) => format!("Timeout{kind:?}"),
            CallError::Cancelled => Cancelled.kind(),
            CallError::Panicked(_) => "Panic".into(),
            CallError::Other(error) => error.kind.clone(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            CallError::App(error) => error.retryable(),
            CallError::Other(error) => error.retryable,
            _ => true,
        }
    }

    fn is_cancelled(&self) -> bool {
        matches!(self, CallError::Cancelled)
    }

    fn details(&self) -> Option<everlog_proto::api::common::v1::Payload> {
        match self {
            CallError::App(error) => error.details(),
            _ => None,
        }
    }

    fn restore(
        remote: &RemoteError,
        details: Option<&everlog_proto::api::common::v1::Payload>,
    ) -> Option<Self> {
        match E::restore(remote, details) {
            Some(error) => Some(CallError::App(error)),
            None => Some(CallError::Other(remote.clone())),
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.kind, self.message)
        }
    }
}

impl std::error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
