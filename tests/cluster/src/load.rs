//! Clients that write down what they were told, and the workers that do the work.

mod clients;
mod nexus;
mod workers;

pub use clients::{Clients, signal, signal_request, start, start_request, start_unattended};
pub use nexus::NexusHandler;
pub use workers::{Answer, Decide, STUBBORN, Task, Workers};

/// The one queue of all workflows and activities of a test.
pub const QUEUE: &str = "programs";
