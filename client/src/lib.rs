//! Client and worker of Everlog: durable workflows as plain async functions.
//!
//! A **workflow** is an `async fn` whose progress survives the death of its process: a worker that comes
//! after runs it again from the top, and the cluster's record of what happened takes the place of every
//! step that was already done. An **activity** is an `async fn` that touches the world. A **client**
//! starts workflows, sends them messages, asks them questions, and waits for their results.
//!
//! ```no_run
//! use everlog_client::prelude::*;
//!
//! #[activity(start_to_close = "5s")]
//! async fn greet(name: String) -> Result<String> {
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! #[workflow]
//! async fn hello(cx: &Cx, name: String) -> Result<String> {
//!     cx.sleep(Duration::from_secs(60)).await?; // a year would do as well
//!     Ok(cx.call(greet, name).await?)
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:7233").await?;
//! let handle = client.start(hello, "Ada".to_owned()).id("hello-ada").queue("greetings").await?;
//! let worker = Worker::new(&client, "greetings").workflow(hello).activity(greet);
//! worker.run_until(async { println!("{:?}", handle.result().await) }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a workflow may do
//!
//! It may do whatever comes out the same each time it is run: compute, branch, loop, call functions. The
//! world it reaches through [`Cx`] only. Clocks, random numbers, hash maps, files, threads and async
//! runtimes are refused by `#[workflow]` where the compiler can see them, and by the engine where it
//! cannot; [`Replayer`] tests recorded histories against today's code.
//!
//! # Semantics in short
//!
//! | | |
//! | --- | --- |
//! | a durable future begins | when it is built, not when it is first awaited |
//! | a durable future that is dropped unfinished | is cancelled; `.detach()` lets a call go on |
//! | `select!`, `join!`, `cx.join_all` | poll in the order of the source, after each single event |
//! | cancellation of the workflow | `Err(Cancelled)` from the next await; `cx.shielded(..)` for cleaning up |
//! | an error | closes the workflow as failed, or as cancelled if it stems from [`Cancelled`] |
//! | a panic in a workflow | fails the task, which is tried again; the workflow stays open |
//! | a panic in an activity | fails the attempt, which is tried again |
//! | an activity | runs at least once; `acx.idempotency_key()` is the same for every attempt |
//! | a message | is received once, in order, and goes along with `continue_as_new` |
//! | a call of the client | is repeated on another node while that is safe, and takes effect once |
//!
//! The protocol is the gRPC API of Temporal, so that SDKs of other languages can have a part in the same
//! workflows.

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
