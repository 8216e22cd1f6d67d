//! What the tasks of one worker share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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
    /// How long a task waits there before any worker may have it.
    pub(super) sticky_timeout: Duration,
    /// Tells this worker from others of the same identity.
    pub(super) instance: String,
    /// The cluster answers the polls of a worker that stops, so that no task is lost on the way.
    pub(super) ends_polls: bool,
    pub(super) lanes: Lanes,
    pub(super) activities: HashMap<&'static str, Arc<activity::Definition>>,
    pub(super) deps: Arc<Deps>,
    pub(super) workflow_slots: Arc<Semaphore>,
    pub(super) activity_slots: Arc<Semaphore>,
    /// How many slots there are of either kind.
    pub(super) slots: (usize, usize),
    pub(super) phase: watch::Sender<Phase>,
}

/// Takes a worker's tasks along when the future that runs the worker is dropped.
pub(super) struct EndWithMe(pub(super) Arc<Shared>);

impl Drop for EndWithMe {
    fn drop(&mut self) {
        self.0.phase.send_replace(Phase::Gone);
    }
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Runs a task of the worker on its own, until it ends or the worker is gone.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = shared.reached(Phase::Gone) => {}
            }
        });
    }

    /// Returns when the worker has come to `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}
