//! What can go wrong, as types.
//!
//! Three places need an error of their own. A call to the server fails with [`ClientError`]. A call
//! from a workflow to an activity fails with [`CallError`], which keeps the activity's own error typed.
//! And a workflow or activity that has no error type of its own returns [`Error`], into which `?` turns
//! any error.
//!
//! Cancellation is an error value, [`Cancelled`], never a hidden unwinding: a workflow sees it, cleans
//! up, and passes it on. The engine recognises it however deep it sits in the chain of sources, and then
//! closes the workflow as cancelled rather than failed.

mod app;
mod call;
mod client;

pub use app::{AppError, Error, Result};
pub use call::{CallError, RemoteError, TimeoutKind};
pub use client::{ClientError, ResultError};

use serde::{Deserialize, Serialize};

/// The workflow or activity was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {
    /// A marker, so that cancellation is still found below an error that is transparent about it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&CancelledMarker)
    }
}

#[derive(Debug)]
struct CancelledMarker;

impl std::fmt::Display for CancelledMarker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cancellation was requested")
    }
}

impl std::error::Error for CancelledMarker {}

/// Whether an error is, or was caused by, a cancellation.
pub fn is_cancelled(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Cancelled>() || error.is::<CancelledMarker>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The last part of a type's name: `PayError` of `shop::errors::PayError`, without generic arguments.
pub(crate) fn short_type_name<T: ?Sized>() -> &'static str {
    let full = std::any::type_name::<T>();
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain)
}
