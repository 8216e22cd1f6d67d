//! The outcome of a call to the server, when it is not the value.

use std::time::Duration;

use super::RemoteError;
use crate::codec::CodecError;

/// A call to the server did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A workflow with this id is running, or the reuse policy forbids another run.
    #[error("workflow {id:?} is already started as run {run_id}")]
    AlreadyStarted {
        /// The workflow id.
        id: String,
        /// The run that is in the way.
        run_id: String,
    },
    /// There is no such workflow, or it is already closed.
    #[error("not found: {0}")]
    NotFound(String),
    /// The workflow refused or failed to answer the query.
    #[error("query failed: {0}")]
    QueryFailed(String),
    /// A value could not be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No node gave an answer in time; the last thing that one said.
    #[error("no answer within {after:?} from {addresses}: {last}")]
    Unreachable {
        /// How long it was tried.
        after: Duration,
        /// The addresses that were tried.
        addresses: String,
        /// The last failure.
        last: String,
    },
    /// An address is not one.
    #[error("bad address {address:?}: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Any other refusal by the server.
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(#[from] Box<tonic::Status>),
}

impl ClientError {
    /// Whether the server found the request too long to read at all.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, ClientError::Refused(status) if crate::client::is_too_large(status))
    }

    /// The gRPC code of the server's refusal, if there was one.
    pub fn code(&self) -> Option<tonic::Code> {
        match self {
            ClientError::AlreadyStarted { .. } => Some(tonic::Code::AlreadyExists),
            ClientError::NotFound(_) => Some(tonic::Code::NotFound),
            ClientError::QueryFailed(_) => Some(tonic::Code::InvalidArgument),
            ClientError::Unreachable { .. } => Some(tonic::Code::Unavailable),
            ClientError::Refused(status) => Some(status.code()),
            ClientError::Codec(_) | ClientError::Address { .. } => None,
        }
    }
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            tonic::Code::NotFound => ClientError::NotFound(status.message().to_owned()),
            _ => ClientError::Refused(Box::new(status)),
        }
    }
}

/// A workflow did not end with a value.
#[derive(Debug, thiserror::Error)]
pub enum ResultError<E> {
    /// It returned this error.
    #[error("the workflow failed: {0}")]
    Failed(E),
    /// It failed with something that is not an `E`.
    #[error("the workflow failed: {0}")]
    Other(RemoteError),
    /// It was cancelled.
    #[error("the workflow was cancelled")]
    Cancelled,
    /// Somebody terminated it, for this reason.
    #[error("the workflow was terminated: {0}")]
    Terminated(String),
    /// Its run or execution timeout passed.
    #[error("the workflow timed out")]
    TimedOut,
    /// The result could not be had.
    #[error(transparent)]
    Client(#[from] ClientError),
}
