//! The context of an activity.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use everlog_proto::api::common::v1::Payloads;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::codec;
use crate::error::Cancelled;

/// What an activity knows of its task, and how it reports.
#[derive(Clone)]
pub struct Acx {
    task: Arc<Task>,
    beats: Arc<Beats>,
    deps: Arc<Deps>,
}

/// One attempt of an activity.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) activity_id: String,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    pub(crate) attempt: u32,
    pub(crate) scheduled: SystemTime,
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) start_to_close: Option<Duration>,
    pub(crate) last_details: Option<Payloads>,
}

/// What passes between an activity and the task that reports its heartbeats.
#[derive(Debug)]
pub(crate) struct Beats {
    pub(crate) details: watch::Sender<Option<Payloads>>,
    pub(crate) stop: watch::Sender<Stop>,
}

/// Whether, and why, an activity should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// The workflow asked for it.
    Requested,
    /// The server does not know the task any more, or the worker shuts down.
    Gone,
}

/// The dependencies of activities, by type.
#[derive(Default)]
pub(crate) struct Deps {
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Deps {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type.insert(TypeId::of::<T>(), Box::new(value));
    }
}

impl Beats {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { details: watch::Sender::new(None), stop: watch::Sender::new(Stop::No) })
    }

    pub(crate) fn set_stop(&self, stop: Stop) {
        self.stop.send_if_modified(|now| {
            let changes = *now == Stop::No;
            if changes {
                *now = stop;
            }
            changes
        });
    }
}

impl Acx {
    pub(crate) fn new(task: Task, beats: Arc<Beats>, deps: Arc<Deps>) -> Self {
        Self { task: Arc::new(task), beats, deps }
    }

    /// The same text for every attempt of this call, and for no other call: give it to whatever must not
    /// act twice.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.task.run_id, self.task.activity_id)
    }

    /// Says that the activity is alive, and how far it is. The next attempt finds the last details that
    /// reached the server. It does not wait: reports are gathered and sent at a rate that fits the timeout.
    /// Only a heartbeat tells an activity that it was cancelled.
    pub fn heartbeat<T: Serialize + ?Sized>(&self, details: &T) {
        match codec::encode_one(details) {
            Ok(details) => {
                self.beats.details.send_replace(Some(details));
            }
            Err(error) => {
                tracing::error!(activity = self.task.name, %error, "heartbeat details were dropped")
            }
        }
    }

    /// The details of the last heartbeat of the attempt before this one.
    pub fn last_heartbeat<T: DeserializeOwned>(&self) -> Option<T> {
        codec::decode_one(Some(self.task.last_details.as_ref()?)).ok()
    }

    /// Whether the activity should stop.
    pub fn is_cancelled(&self) -> bool {
        *self.beats.stop.borrow() != Stop::No
    }

    /// Returns when the activity should stop. Then return `Err(Cancelled)`, through `?` or `into()`.
    pub async fn cancelled(&self) -> Cancelled {
        let mut stop = self.beats.stop.subscribe();
        // The sender lives as long as this context, so the wait cannot fail.
        let _ = stop.wait_for(|stop| *stop != Stop::No).await;
        Cancelled
    }

    /// A dependency that the worker was given with `.dep(..)`.
    ///
    /// # Panics
    /// If the worker was not given one of this type. The attempt then fails, and can be repeated on a
    /// worker that has it.
    pub fn dep<T: Send + Sync + 'static>(&self) -> &T {
        let found = self.deps.by_type.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref());
        match found {
            Some(value) => value,
            None => {
                panic!("the worker has no dependency of type {}; give it with .dep(..)", type_name::<T>())
            }
        }
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// The workflow that called.
    pub fn workflow_id(&self) -> &str {
        &self.task.workflow_id
    }

    /// The run of the workflow that called.
    pub fn run_id(&self) -> &str {
        &self.task.run_id
    }

    /// The id of the call within the run.
    pub fn activity_id(&self) -> &str {
        &self.task.activity_id
    }

    /// When the call was made.
    pub fn scheduled(&self) -> SystemTime {
        self.task.scheduled
    }

    pub(crate) fn is_cancel_requested(&self) -> bool {
        *self.beats.stop.borrow() == Stop::Requested
    }
}
