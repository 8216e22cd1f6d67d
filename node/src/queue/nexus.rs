//! The Nexus requests that wait at this node: for a worker to take them, then for its answer.

use std::{collections::BTreeMap, time::Duration};

use everlog_engine::{
    deployment::Placement,
    key::WorkflowKey,
    queue::{Fairness, QueueKey, Refusal, Task, TaskKey},
    time::Time,
    token::{TaskToken, TokenTask},
};
use everlog_proto::api::workflowservice::v1::PollNexusTaskQueueResponse;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::nexus::{NexusAnswered, NexusDispatch, written};

/// Requests that wait at one node; more are told to come again.
const REQUESTS_MAX: usize = 50_000;

/// What a worker is told of the time that it has, by the queue. Who made the request has said so under the
/// same name in small letters; workers look for either.
const TIMEOUT_HEADER: &str = "Request-Timeout";

/// So often are those looked for whose callers have given up.
const SWEPT_EVERY: usize = 1_000;

/// By number, which is chance: a worker's late answer to an earlier node's request fits none of these.
#[derive(Default)]
pub(super) struct NexusRequests {
    waiting: BTreeMap<u64, Waiting>,
    arrivals: usize,
}

struct Waiting {
    dispatch: NexusDispatch,
    until: Time,
    reply: oneshot::Sender<NexusAnswered>,
}

impl NexusRequests {
    /// Takes a request in. The task that stands for it is for the queue.
    pub(super) fn wait(
        &mut self,
        now: Time,
        dispatch: NexusDispatch,
        reply: oneshot::Sender<NexusAnswered>,
    ) -> Option<(QueueKey, Task)> {
        self.arrivals += 1;
        if self.arrivals.is_multiple_of(SWEPT_EVERY) || self.waiting.len() >= REQUESTS_MAX {
            self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        }
        if self.waiting.len() >= REQUESTS_MAX {
            let _ = reply.send(NexusAnswered::Moved);
            return None;
        }
        let (id, _) = Uuid::new_v4().as_u64_pair();
        let key = dispatch.key();
        let until = now + dispatch.within;
        let task = Task {
            key: TaskKey::nexus(&dispatch.namespace_id, id),
            shard: 0,
            queued_at: now,
            priority_key: 0,
            fairness: Fairness::default(),
            deadline: Some(until),
            placement: Placement::default(),
        };
        self.waiting.insert(id, Waiting { dispatch, until, reply });
        Some((key, task))
    }

    /// The request as its worker gets it; none if nobody waits for it any more.
    pub(super) fn take(&mut self, now: Time, id: u64) -> Option<PollNexusTaskQueueResponse> {
        let waiting = self.waiting.get(&id)?;
        if waiting.reply.is_closed() {
            self.waiting.remove(&id);
            return None;
        }
        let dispatch = &waiting.dispatch;
        let run = WorkflowKey::new(&dispatch.namespace_id, &dispatch.queue).run("");
        let mut request = dispatch.request.0.clone();
        let left = waiting.until.since(now).max(Duration::from_millis(1));
        request.header.insert(TIMEOUT_HEADER.into(), written(left));
        Some(PollNexusTaskQueueResponse {
            task_token: TaskToken { run, task: TokenTask::Nexus { id } }.encode(),
            request: Some(request),
            ..PollNexusTaskQueueResponse::default()
        })
    }

    /// Whether somebody waited for it.
    pub(super) fn answer(&mut self, id: u64, answered: NexusAnswered) -> bool {
        self.waiting.remove(&id).is_some_and(|waiting| waiting.reply.send(answered).is_ok())
    }

    /// The queue will not keep it.
    pub(super) fn refuse(&mut self, id: u64, reason: Refusal) {
        let answered = match reason {
            Refusal::Expired => NexusAnswered::TimedOut,
            Refusal::Full | Refusal::NoPoller => NexusAnswered::Moved,
        };
        self.answer(id, answered);
    }

    /// Their queues have moved: whoever waits asks there.
    pub(super) fn forget_where(&mut self, mut moved: impl FnMut(&QueueKey) -> bool) {
        self.waiting.retain(|_, waiting| !moved(&waiting.dispatch.key()));
    }
}
