//! Workflows: what `#[workflow]` makes of an `async fn`, and what such a function may do.
//!
//! A workflow talks to the world only through [`Cx`]. Every method of `Cx` that reaches out returns a
//! future that the engine can replay. Such a future takes effect when it is **built**, not when it is
//! first awaited, so two calls that are built one after the other run at the same time; and a future
//! that is dropped before it is finished is **cancelled** (`detach` keeps it).

mod call;
mod cx;
mod inbox;
mod info;
mod join;
mod local;
mod shield;
mod timer;

pub use call::Call;
pub use cx::{Cx, Never};
pub use inbox::{INBOX_SIGNAL, Inbox, Receive};
pub use info::Info;
pub use join::{JoinAll, MaybeDone, SelectAll};
pub use local::Local;
pub use shield::Shielded;
pub use timer::{Sleep, WaitCancelled};

use std::future::Future;

use everlog_proto::api::common::v1::Payloads;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::error::AppError;
use crate::failure;
use crate::replay::run::{Definition, RunFailure};

/// A workflow. `#[workflow]` implements it for a unit type with the function's name.
pub trait Workflow: Copy + 'static {
    /// The function's arguments after the context: `()`, the only one, or a tuple.
    type Input: 'static;
    /// What it returns.
    type Output: Serialize + DeserializeOwned + 'static;
    /// What it fails with.
    type Error: AppError;
    /// Its name on the wire.
    const NAME: &'static str;

    /// The arguments as payloads, one each.
    fn encode(input: &Self::Input) -> Result<Payloads, CodecError>;
    /// The arguments from payloads.
    fn decode(payloads: Option<&Payloads>) -> Result<Self::Input, CodecError>;
    /// The body.
    fn run(cx: Cx, input: Self::Input) -> impl Future<Output = Result<Self::Output, Self::Error>> + 'static;
}

/// A workflow, its types forgotten.
pub(crate) fn definition<W: Workflow>() -> Definition {
    Definition {
        name: W::NAME,
        start: Box::new(|cx, input| {
            let input = W::decode(input)?;
            let future = W::run(cx, input);
            Ok(Box::pin(async move {
                match future.await {
                    Ok(output) => codec::encode_one(&output).map_err(|error| RunFailure {
                        failure: failure::plain(error.to_string(), "Codec", false),
                        cancelled: false,
                    }),
                    Err(error) => Err(RunFailure {
                        failure: failure::of_error(&error),
                        cancelled: error.is_cancelled(),
                    }),
                }
            }))
        }),
    }
}
