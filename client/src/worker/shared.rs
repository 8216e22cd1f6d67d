//! What the tasks of one worker share.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::lane::Lanes;
use crate::activity::{self, Deps};
use crate::client::Client;

/// How far a worker is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    /// No new tasks are taken.
    Stopping,
    /// Activities are asked to stop.
    Cancelling,
    /// Activities are dropped.
    Gone,
}

pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) queue: String,
    /// The queue of tasks for the runs that this worker has in its cache.
    pub(super) sticky_queue: Option<String>,
    /// Tells this worker from others of the same identity.
    pub(super) instance: String,
    pub(super) lanes: Lanes,
    pub(super) activities: HashMap<&'static str, Arc<activity::Definition>>,
    pub(super) deps: Arc<Deps>,
    pub(super) workflow_slots: Arc<Semaphore>,
    pub(super) activity_slots: Arc<Semaphore>,
    pub(super) max_concurrent: usize,
    pub(super) phase: watch::Sender<Phase>,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Returns when the worker has come to `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}
