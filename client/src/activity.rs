//! Activities: the steps of a workflow that touch the world.
//!
//! An activity is an ordinary `async fn` on an ordinary runtime; nothing is forbidden in it. It runs **at
//! least once**: a worker may die after the charge and before the report. What must not happen twice is
//! given [`Acx::idempotency_key`], which is the same for every attempt.

mod acx;
mod options;

pub use acx::Acx;
pub(crate) use acx::{Beats, Deps, Stop, Task};
pub use options::ActivityOptions;

use std::future::Future;
use std::pin::Pin;

use everlog_proto::api::common::v1::Payloads;
use everlog_proto::api::failure::v1::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::error::AppError;
use crate::failure;

/// An activity. `#[activity]` implements it for a unit type with the function's name.
pub trait Activity: Copy + 'static {
    /// The function's arguments after the context: `()`, the only one, or a tuple.
    type Input: Send + 'static;
    /// What it returns.
    type Output: Serialize + DeserializeOwned + 'static;
    /// What it fails with.
    type Error: AppError;
    /// Its name on the wire.
    const NAME: &'static str;

    /// The options that its attribute gives.
    fn options(&self) -> ActivityOptions;
    /// The arguments as payloads, one each.
    fn encode(input: &Self::Input) -> Result<Payloads, CodecError>;
    /// The arguments from payloads.
    fn decode(payloads: Option<&Payloads>) -> Result<Self::Input, CodecError>;
    /// The body.
    fn run(
        acx: Acx,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send + 'static;
}

/// What came of one attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    Completed(Payloads),
    Failed(Box<Failure>),
    /// The activity passed on the cancellation that it was told of.
    Cancelled,
}

/// An activity, its types forgotten.
pub(crate) struct Definition {
    pub(crate) run: Box<RunAny>,
}

type RunAny = dyn Fn(Acx, Option<&Payloads>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

pub(crate) fn definition<A: Activity>() -> Definition {
    Definition {
        run: Box::new(|acx, input| {
            let input = match A::decode(input) {
                Ok(input) => input,
                Err(error) => {
                    let failure = failure::plain(error.to_string(), "Codec", true);
                    return Box::pin(async move { Outcome::Failed(Box::new(failure)) });
                }
            };
            let running = A::run(acx.clone(), input);
            Box::pin(async move {
                match running.await {
                    Ok(output) => match codec::encode_one(&output) {
                        Ok(output) => Outcome::Completed(output),
                        Err(error) => {
                            Outcome::Failed(Box::new(failure::plain(error.to_string(), "Codec", false)))
                        }
                    },
                    Err(error) if error.is_cancelled() && acx.is_cancel_requested() => Outcome::Cancelled,
                    Err(error) => Outcome::Failed(Box::new(failure::of_error(&error))),
                }
            })
        }),
    }
}
