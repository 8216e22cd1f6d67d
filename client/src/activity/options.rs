//! How an activity is scheduled.

use std::time::Duration;

use crate::retry::Retry;

/// The options of a call. The attribute `#[activity(..)]` gives their defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActivityOptions {
    /// The task queue, if it is not the workflow's.
    pub queue: Option<String>,
    /// How long all attempts together may take.
    pub schedule_to_close: Option<Duration>,
    /// How long the task may wait for a worker.
    pub schedule_to_start: Option<Duration>,
    /// How long one attempt may take.
    pub start_to_close: Option<Duration>,
    /// How long the activity may be silent.
    pub heartbeat: Option<Duration>,
    /// When a failed attempt is repeated.
    pub retry: Option<Retry>,
    /// What the call is for.
    pub summary: Option<String>,
}
