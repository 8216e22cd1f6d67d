//! The replay engine: how a workflow that is an ordinary `async fn` survives the loss of its process.
//!
//! The history of a run is the only truth. To bring a workflow to where it was, the engine calls the
//! function again from its first line and feeds it the history: wherever the code asks for an effect, the
//! history says what came of it. When the history is used up, the code runs on, and what it asks for now
//! leaves as commands. So a run can be moved to any worker at any `await`.
//!
//! That works only if the code asks for the same effects in the same order each time. Three rules see to
//! that. Events are applied **one at a time**, and the workflow is polled after each, so that which branch
//! of a `select!` wins follows from the history and never from chance. A command takes its id when its
//! future is **built**. And every command that the code produces while it is replayed is **compared** with
//! the event that it left in the history; the first difference is reported with the number of that event.
//!
//! The engine does no input or output, knows no clock, and is not asynchronous: `run::Run` takes events
//! and returns commands. Threads, caches and the network belong to the worker.

pub(crate) mod check;
pub(crate) mod command;
pub(crate) mod history;
#[cfg(feature = "json-history")]
mod json;
mod replayer;
pub(crate) mod run;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod waker;

pub use check::Divergence;
pub use history::HistoryError;
pub use replayer::{ReplayError, Replayer, Report};

/// Why a workflow task could not be completed. Nothing of this closes the workflow: the task is
/// reported as failed, and tried again until the code or the worker has been mended.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The code asks for something else than the history says.
    #[error("{0}")]
    Divergence(Box<Divergence>),
    /// The workflow panicked.
    #[error("the workflow panicked: {0}")]
    Panicked(String),
    /// The workflow awaits something that no event can ever resolve.
    #[error(
        "the workflow awaits something that the engine does not know (after {after}). Only futures that come \
         from `cx` may be awaited in a workflow; do anything else in an activity"
    )]
    ForeignAwait {
        /// The last durable call.
        after: String,
    },
    /// A waker of the workflow was called by something other than the engine.
    #[error(
        "the workflow was woken from outside the engine (after {after}). Something other than a future from `cx` \
         is awaited, for example a channel or a task of an async runtime"
    )]
    ForeignWake {
        /// The last durable call.
        after: String,
    },
    /// The workflow wakes itself for ever.
    #[error("the workflow woke itself {0} times without an event")]
    Spinning(u32),
    /// One poll took longer than a workflow may block its thread.
    #[error("the workflow blocked its thread for {0:?}. Do work that takes time in an activity")]
    Blocked(std::time::Duration),
    /// What the task produced is more than the server takes at once.
    #[error("the commands of one workflow task are too large together: {0}")]
    TooLarge(String),
    /// The input of the workflow is not what its signature says.
    #[error("the workflow's input does not fit its signature: {0}")]
    Input(#[from] crate::codec::CodecError),
    /// No workflow of this name is registered.
    #[error("no workflow named {0:?} is registered with this worker")]
    UnknownWorkflow(String),
    /// The history itself cannot be understood.
    #[error(transparent)]
    History(#[from] HistoryError),
}
