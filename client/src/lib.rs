//! Client and worker of Everlog.
extern crate self as everlog_client;

pub mod activity;
pub mod client;
pub mod codec;
mod error;
mod failure;
mod random;
pub mod replay;
mod retry;
mod time;
pub mod worker;
pub mod workflow;

pub use activity::Acx;
pub use client::Client;
pub use error::*;
pub use everlog_client_macros::{AppError, activity, join, select, workflow};
pub use random::Random;
pub use replay::Replayer;
pub use retry::Retry;
pub use worker::{Worker, WorkerError};
pub use workflow::Cx;

pub mod prelude {
    //! What a program that uses this crate needs.
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};

    pub use crate::AppError;
    pub use crate::error::{CallError, Cancelled, ClientError, Error, Result, ResultError};
    pub use crate::{Acx, Client, Cx, Retry, Worker, activity, join, select, workflow};
}

/// A random identifier, such as for a workflow or a request. Never call it in a workflow, which has
/// [`Cx::uuid`].
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The name of this crate in histories and in the headers of its calls.
pub(crate) const SDK_NAME: &str = "everlog-rust";
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

#[doc(hidden)]
pub mod __private {
    //! For the expansion of macros only.

    /// Names the parts of a function's `Result`, whatever alias it is written with.
    #[diagnostic::on_unimplemented(
        message = "a workflow or an activity must return a `Result`, not `{Self}`"
    )]
    pub trait IsResult {
        /// The value.
        type Ok;
        /// The error.
        type Err;
    }

    impl<T, E> IsResult for Result<T, E> {
        type Ok = T;
        type Err = E;
    }
}
