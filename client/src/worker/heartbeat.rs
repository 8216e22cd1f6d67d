//! Heartbeats of activities.
//!
//! An activity may call `heartbeat` as often as it likes. Here the calls are thinned out: the first is
//! sent at once, then the latest details at most once in a while that fits the timeout. The server's
//! answer is how an activity learns that it was cancelled.

use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::common::v1::Payloads;
use everlog_proto::api::workflowservice::v1::RecordActivityTaskHeartbeatRequest;
use tonic::Code;

use super::shared::{Phase, Shared};
use crate::activity::{Beats, Stop};
use crate::client::{Plan, rpc};

/// The part of the timeout between two reports.
const INTERVAL_PART: f64 = 0.4;
const INTERVAL_MAX: Duration = Duration::from_secs(30);
const INTERVAL_MIN: Duration = Duration::from_millis(50);

pub(super) struct Reporter {
    pub(super) shared: Arc<Shared>,
    pub(super) beats: Arc<Beats>,
    pub(super) task_token: Vec<u8>,
    pub(super) heartbeat_timeout: Option<Duration>,
}

impl Reporter {
    /// Runs until it is dropped, or there is nothing more to learn.
    pub(super) async fn run(self) {
        let interval = self.heartbeat_timeout.map_or(INTERVAL_MAX, |timeout| timeout.mul_f64(INTERVAL_PART));
        let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let mut details = self.beats.details.subscribe();
        loop {
            let changed = tokio::select! {
                changed = details.changed() => changed,
                () = self.shared.reached(Phase::Cancelling) => {
                    self.beats.set_stop(Stop::Gone);
                    return;
                }
            };
            if changed.is_err() {
                return;
            }
            let latest = details.borrow_and_update().clone();
            if self.send(latest, interval).await.is_break() {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    }

    async fn send(&self, details: Option<Payloads>, interval: Duration) -> std::ops::ControlFlow<()> {
        let request = RecordActivityTaskHeartbeatRequest {
            task_token: self.task_token.clone(),
            details,
            identity: self.shared.client.pool.identity.clone(),
            namespace: self.shared.client.namespace().to_owned(),
            ..Default::default()
        };
        let plan = Plan::slow(interval.max(Duration::from_secs(1)), interval.max(Duration::from_secs(5)));
        match rpc!(self.shared.client.pool, plan, record_activity_task_heartbeat, request) {
            Ok(response) if response.cancel_requested => {
                self.beats.set_stop(Stop::Requested);
                std::ops::ControlFlow::Break(())
            }
            // Paused or reset: this attempt is to end, and another one to follow.
            Ok(response) if response.activity_paused || response.activity_reset => {
                self.beats.set_stop(Stop::Gone);
                std::ops::ControlFlow::Break(())
            }
            Ok(_) => std::ops::ControlFlow::Continue(()),
            Err(error) if error.code() == Some(Code::NotFound) => {
                self.beats.set_stop(Stop::Gone);
                std::ops::ControlFlow::Break(())
            }
            Err(error) => {
                tracing::debug!(%error, "a heartbeat was not accepted");
                std::ops::ControlFlow::Continue(())
            }
        }
    }
}
