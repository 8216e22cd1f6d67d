//! The errors of workflows and activities.

use std::fmt;

use everlog_proto::api::common::v1::Payload;

use super::{RemoteError, is_cancelled, short_type_name};

/// An error that a workflow or an activity may return, and that survives the journey over the wire.
///
/// Derive it beside `Serialize`, `Deserialize` and `std::error::Error`; then the caller gets the very
/// value back in [`CallError::App`](super::CallError::App). `#[retryable(false)]` on the type or on a
/// variant says that another attempt is pointless.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a workflow or an activity",
    note = "add `#[derive(AppError, Serialize, Deserialize)]` to it, or return `everlog_client::Result<T>`"
)]
pub trait AppError: fmt::Debug + fmt::Display + Sized + 'static {
    /// The failure type on the wire, which retry policies and other languages can match.
    fn kind(&self) -> String;
    /// Whether the server may try again.
    fn retryable(&self) -> bool {
        true
    }
    /// Whether this is a cancellation that is being passed on.
    fn is_cancelled(&self) -> bool;
    /// The value itself, for the other side to restore.
    fn details(&self) -> Option<Payload>;
    /// The value that the other side sent, if it is of this type.
    fn restore(remote: &RemoteError, details: Option<&Payload>) -> Option<Self>;
}

/// Any error, with what the wire needs to know about it. `?` makes one from whatever implements
/// [`std::error::Error`].
#[derive(Clone)]
pub struct Error {
    kind: String,
    message: String,
    retryable: bool,
    cancelled: bool,
}

/// The result of a workflow or an activity that has no error type of its own.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that another attempt may get over.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: "Error".into(), message: message.into(), retryable: true, cancelled: false }
    }

    /// An error that no further attempt can get over.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::new(message) }
    }

    /// Sets the failure type that retry policies and other languages can match.
    pub fn with_kind(self, kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..self }
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self {
            kind: short_type_name::<E>().into(),
            message: chain(&error),
            retryable: true,
            cancelled: is_cancelled(&error),
        }
    }
}

/// The error and its sources in one line, each once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.contains(&part) && !is_cancelled(source) {
            text = format!("{text}: {part}");
        }
        next = source.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl AppError for Error {
    fn kind(&self) -> String {
        self.kind.clone()
    }

    fn retryable(&self) -> bool {
        self.retryable
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    fn details(&self) -> Option<Payload> {
        None
    }

    fn restore(remote: &RemoteError, _: Option<&Payload>) -> Option<Self> {
        Some(Self {
            kind: remote.kind.clone(),
            message: remote.message.clone(),
            retryable: remote.retryable,
            cancelled: false,
        })
    }
}

impl AppError for super::Cancelled {
    fn kind(&self) -> String {
        "Cancelled".into()
    }

    fn is_cancelled(&self) -> bool {
        true
    }

    fn details(&self) -> Option<Payload> {
        None
    }

    fn restore(_: &RemoteError, _: Option<&Payload>) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CallError, Cancelled};
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Wrapped {
        #[error("named")]
        Named(#[from] Cancelled),
        #[error(transparent)]
        Through(CallError<Error>),
        #[error("card declined")]
        Declined,
    }

    #[test]
    fn cancellation_is_found_however_it_is_wrapped() {
        assert!(is_cancelled(&Cancelled));
        assert!(is_cancelled(&Wrapped::Named(Cancelled)));
        assert!(is_cancelled(&Wrapped::Through(CallError::Cancelled)));
        assert!(!is_cancelled(&Wrapped::Declined));
        assert!(Error::from(CallError::<Error>::Cancelled).is_cancelled());
    }

    #[test]
    fn any_error_becomes_an_error_with_its_type_as_kind() {
        let error = Error::from(Wrapped::Declined);
        assert_eq!((error.kind().as_str(), error.to_string().as_str()), ("Wrapped", "card declined"));
        assert!(error.retryable());
        assert!(!Error::permanent("no").retryable());
    }
}
