//! A task queue: where a task meets a poller.
//!
//! A queue remembers nothing that matters. What is owed is computed from the state of the runs, and the
//! shard that owes it offers it here, again and again, until a worker has it. So a queue may forget
//! everything at any moment, be moved, be started empty: the next round of offers fills it. That is why
//! there is no durability here, no acknowledgement, and no recovery.
//!
//! The queue is without I/O: calls go in, [`Output`]s are drained with [`Queues::poll_output`], and
//! [`Queues::wake_at`] says when [`Queues::expire`] has something to do. A match is a proposal: the shell
//! asks the task's shard to start it for the poller. If the shard says that the task is no longer owed,
//! the shell calls [`Queues::match_failed`] and polls again with the same poller, which keeps its place.

mod backlog;
mod config;
mod fairness;
mod map;
mod poller;
mod rate;
mod scaling;
mod task;

#[cfg(test)]
mod property;
#[cfg(test)]
mod stories;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use everlog_proto::api::taskqueue::v1::TaskQueueStats;

use self::{
    backlog::{Backlog, Insert, Matched},
    poller::{PollerHistory, Waiting},
    rate::{Meters, RateLimit},
    scaling::Scaling,
};
use crate::{
    deployment::WorkerVersion,
    time::{Time, proto_duration},
};

pub use self::{
    config::Config,
    map::{Description, Queues},
    poller::{PollId, Poller, RATE_PER_SECOND_DEFAULT},
    task::{Fairness, PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN, Task, TaskKey},
};

/// Tasks that wait in one queue; the excess is refused and offered again later by its shard.
pub const BACKLOG_TASKS_MAX: usize = 50_000;
/// Polls that wait at one queue.
pub const POLLS_WAITING_MAX: usize = 20_000;
/// Queues in the memory of one node.
pub const QUEUES_MAX: usize = 100_000;
/// `matching.longPollExpirationInterval`: how long a poll waits when its caller has more patience.
pub const LONG_POLL: Duration = Duration::from_secs(60);
/// How long before its caller's deadline a poll is answered, so that the empty answer arrives.
pub const LONG_POLL_MARGIN: Duration = Duration::from_secs(1);
/// A sticky queue without a poller for this long has lost its worker.
pub const STICKY_POLLER_AWAY_MAX: Duration = Duration::from_secs(10);
/// `matching.queryPollerUnavailableWindow`: a query that nobody could take after so long without a poller is
/// refused a second before its time is up.
pub const QUERY_POLLER_AWAY_MAX: Duration = Duration::from_secs(20);
/// After a match, repeated offers of the same task are ignored for this long.
pub const MATCH_REMEMBERED: Duration = Duration::from_secs(5);
/// Matches that are remembered at one queue; the oldest are forgotten first.
pub const MATCHES_REMEMBERED_MAX: usize = 20_000;
/// A task that is not offered again for this long is no longer owed. Shards repeat their offers at least
/// once a minute.
pub const TASK_LEASE: Duration = Duration::from_secs(5 * 60);
/// A queue without tasks and polls is dropped after this long, and with it the list of its pollers.
pub const QUEUE_IDLE: Duration = Duration::from_secs(5 * 60);
/// Polls of a worker that has shut down are answered empty for this long.
pub const SHUTDOWN_REMEMBERED: Duration = Duration::from_secs(30);
/// Workers whose shutdown one queue remembers.
pub const SHUTDOWNS_REMEMBERED_MAX: usize = 1_000;

/// Which queue: names are per namespace, and workflow and activity tasks never mix. Nor do versions of
/// workers: what is one queue to its users is one for each version here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    pub namespace_id: Arc<str>,
    pub name: Arc<str>,
    pub kind: QueueKind,
    /// None for workers that have no version.
    pub version: Option<Arc<WorkerVersion>>,
}

impl QueueKey {
    /// The queue of the workers without a version.
    pub fn unversioned(namespace_id: &str, name: &str, kind: QueueKind) -> QueueKey {
        QueueKey { namespace_id: namespace_id.into(), name: name.into(), kind, version: None }
    }

    pub fn of_version(&self, version: Option<WorkerVersion>) -> QueueKey {
        QueueKey { version: version.map(Arc::new), ..self.clone() }
    }

    /// Whether users see both as one queue.
    pub fn is_one_with(&self, other: &QueueKey) -> bool {
        (&self.namespace_id, &self.name, self.kind) == (&other.namespace_id, &other.name, other.kind)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKind {
    Workflow,
    /// The private queue of one worker, for workflow tasks whose state that worker has in its cache.
    Sticky,
    Activity,
    /// Requests that are answered while their callers wait; they are kept nowhere.
    Nexus,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Match(Match),
    /// The poll ends without a task.
    PollerTimedOut {
        queue: QueueKey,
        poller: Poller,
    },
    /// There are too many polls or queues already.
    PollerRefused {
        queue: QueueKey,
        poller: Poller,
    },
    TaskRefused {
        queue: QueueKey,
        task: Task,
        reason: Refusal,
    },
}

/// A task for a poller. The match stands only if the task's shard agrees.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub queue: QueueKey,
    pub task: Task,
    pub poller: Poller,
    /// Tasks that wait behind this one: what tells workers to poll more.
    pub backlog_count_hint: i64,
    /// How many polls the worker had better add, or take away.
    pub poll_delta: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The backlog is full. Offer the task again later.
    Full,
    /// The worker behind a sticky queue is gone: offer the task to the normal queue. Or nobody has polled for a
    /// query that has little time left.
    NoPoller,
    /// Nobody came for a Nexus request before its deadline.
    Expired,
}

/// One queue. After every call one of three holds: no task waits, no poll waits, or a rate keeps them apart.
#[derive(Debug)]
pub(crate) struct Queue {
    key: QueueKey,
    backlog: Backlog,
    matched: Matched,
    waiting: Waiting,
    history: PollerHistory,
    /// Worker instances that have shut down, with the moment at which that is forgotten.
    shut_down: VecDeque<(Time, String)>,
    /// The rate in force: the operator's, else the worker's.
    limit: Option<RateLimit>,
    /// What workers have asked for last, in tasks a second.
    worker_rate: Option<f64>,
    config: Arc<Config>,
    /// Whether the rate of the queue keeps tasks and polls apart.
    held_by_rate: bool,
    meters: Meters,
    scaling: Scaling,
    /// When a poll was last here.
    polled_at: Option<Time>,
    used_at: Time,
}

impl Queue {
    pub(crate) fn new(key: QueueKey, now: Time, config: Arc<Config>) -> Queue {
        let mut queue = Queue {
            key,
            backlog: Backlog::default(),
            matched: Matched::default(),
            waiting: Waiting::default(),
            history: PollerHistory::default(),
            shut_down: VecDeque::new(),
            limit: None,
            worker_rate: None,
            config,
            held_by_rate: false,
            meters: Meters::default(),
            scaling: Scaling::default(),
            polled_at: None,
            used_at: now,
        };
        queue.limit(now);
        queue
    }

    /// Operators have set other rates or weights.
    pub(crate) fn configure(&mut self, now: Time, config: Arc<Config>, out: &mut VecDeque<Output>) {
        self.config = config;
        self.backlog.reconsider();
        self.limit(now);
        self.settle(now, out);
    }

    pub(crate) fn offer(&mut self, now: Time, task: Task, out: &mut VecDeque<Output>) {
        self.used_at = now;
        if self.worker_is_away(now) {
            out.push_back(self.refuse(task, Refusal::NoPoller));
            return;
        }
        if self.matched.contains(&task.key, now) {
            return;
        }
        let priority = task.priority();
        match self.backlog.insert(now, task, &self.config) {
            Insert::Refreshed => return,
            Insert::Added => self.meters.added(now, priority),
            Insert::Displaced(last) => {
                self.meters.added(now, priority);
                out.push_back(self.refuse(last, Refusal::Full));
            }
            Insert::Refused(task) => out.push_back(self.refuse(task, Refusal::Full)),
        }
        self.settle(now, out);
    }

    pub(crate) fn poll(&mut self, now: Time, poller: Poller, out: &mut VecDeque<Output>) {
        self.used_at = now;
        if self.waiting.len() >= POLLS_WAITING_MAX {
            out.push_back(Output::PollerRefused { queue: self.key.clone(), poller });
            return;
        }
        if self.has_shut_down(now, &poller.worker_instance_key) {
            out.push_back(Output::PollerTimedOut { queue: self.key.clone(), poller });
            return;
        }
        if let (QueueKind::Activity, Some(rate)) = (self.key.kind, poller.max_tasks_per_second) {
            self.worker_rate =
                Some(rate).filter(|rate| rate.is_finite() && *rate >= 0.0).or(self.worker_rate);
            self.limit(now);
        }
        self.seen(now, &poller);
        self.waiting.insert(now, poller);
        self.settle(now, out);
    }

    pub(crate) fn cancel_poll(&mut self, now: Time, id: PollId) {
        if let Some(poller) = self.waiting.remove(id) {
            self.seen(now, &poller);
        }
    }

    pub(crate) fn withdraw(&mut self, key: &TaskKey) {
        self.backlog.remove(key);
    }

    pub(crate) fn match_failed(&mut self, key: &TaskKey) {
        self.matched.remove(key);
    }

    /// Ends the polls of a worker that stops. A sticky queue belongs to one worker: it ends altogether.
    pub(crate) fn shut_down_worker(
        &mut self,
        now: Time,
        worker_instance_key: &str,
        out: &mut VecDeque<Output>,
    ) {
        let sticky = self.key.kind == QueueKind::Sticky;
        for poller in self.waiting.remove_where(|p| sticky || p.is_of(worker_instance_key)) {
            self.history.forget(&poller.identity);
            out.push_back(Output::PollerTimedOut { queue: self.key.clone(), poller });
        }
        if !worker_instance_key.is_empty() {
            self.forget_shutdowns(now);
            if self.shut_down.len() == SHUTDOWNS_REMEMBERED_MAX {
                self.shut_down.pop_front();
            }
            self.shut_down.push_back((now + SHUTDOWN_REMEMBERED, worker_instance_key.to_owned()));
        }
        if sticky {
            self.polled_at = None;
            self.refuse_all(Refusal::NoPoller, out);
        }
    }

    /// Takes out the tasks that belong elsewhere.
    pub(crate) fn remove_where(&mut self, belongs_elsewhere: impl FnMut(&Task) -> bool) -> Vec<Task> {
        self.backlog.remove_where(belongs_elsewhere)
    }

    /// Ends all polls and forgets all tasks.
    pub(crate) fn close(&mut self, out: &mut VecDeque<Output>) {
        while let Some((_, poller)) = self.waiting.pop() {
            out.push_back(Output::PollerTimedOut { queue: self.key.clone(), poller });
        }
        self.backlog = Backlog::default();
    }

    /// Does what has fallen due by `now`.
    pub(crate) fn expire(&mut self, now: Time, out: &mut VecDeque<Output>) {
        self.settle(now, out);
        self.backlog.sweep(now);
        self.forget_shutdowns(now);
        if self.worker_is_away(now) {
            self.refuse_all(Refusal::NoPoller, out);
        }
    }

    /// The next moment at which [`Queue::expire`] has something to do.
    pub(crate) fn wake_at(&self) -> Time {
        let mut wake = self.waiting.first_end().unwrap_or(Time::NEVER);
        if let Some(deadline) = self.backlog.first_deadline() {
            wake = wake.min(deadline);
        }
        if let Some(forgotten) = self.matched.last_until() {
            wake = wake.min(forgotten);
        }
        if self.backlog.is_empty() {
            if self.waiting.is_empty() {
                wake = wake.min(self.used_at + QUEUE_IDLE);
            }
            return wake;
        }
        wake = wake.min(self.backlog.sweep_at());
        if !self.waiting.is_empty() {
            // Polls and tasks wait together, so something holds them apart.
            let by_rate = if self.held_by_rate { self.limit.as_ref().map(RateLimit::next) } else { None };
            wake = wake.min(by_rate.unwrap_or_else(|| self.backlog.first_release()));
        } else if self.key.kind == QueueKind::Sticky {
            wake = wake.min(self.polled_at.unwrap_or(Time(0)) + STICKY_POLLER_AWAY_MAX);
        }
        wake
    }

    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.waiting.is_empty() && self.backlog.is_empty() && now >= self.used_at + QUEUE_IDLE
    }

    pub(crate) fn describe(&self, now: Time) -> Description {
        let by_priority = (PRIORITY_MIN..=PRIORITY_MAX)
            .filter_map(|priority| {
                let stats = self.stats(now, Some(priority));
                let is_used = priority == PRIORITY_DEFAULT
                    || stats.approximate_backlog_count > 0
                    || stats.tasks_add_rate > 0.0
                    || stats.tasks_dispatch_rate > 0.0;
                is_used.then_some((priority, stats))
            })
            .collect();
        Description {
            pollers: self.history.list(now, self.worker_rate),
            stats: self.stats(now, None),
            stats_by_priority: by_priority,
            worker_rate: self.worker_rate,
        }
    }

    /// Brings tasks and polls together for as long as there are both.
    fn settle(&mut self, now: Time, out: &mut VecDeque<Output>) {
        self.matched.expire(now);
        while let Some(poller) = self.waiting.pop_ended(now) {
            self.seen(now, &poller);
            out.push_back(Output::PollerTimedOut { queue: self.key.clone(), poller });
        }
        while let Some(task) = self.backlog.pop_expired(now) {
            self.late(now, task, out);
        }
        self.held_by_rate = false;
        while !self.waiting.is_empty() && !self.backlog.is_empty() {
            if !self.backlog.is_ready(now, &self.config) {
                self.meters.held_back(now);
                return;
            }
            if self.limit.as_mut().is_some_and(|limit| !limit.take(now)) {
                self.held_by_rate = true;
                self.meters.held_back(now);
                return;
            }
            let (Some(task), Some((since, poller))) =
                (self.backlog.pop(now, &self.config), self.waiting.pop())
            else {
                return;
            };
            self.seen(now, &poller);
            self.matched.insert(now, task.key.clone());
            self.meters.dispatched(now, task.priority());
            let backlog_count_hint = self.backlog.count() as i64;
            let poll_delta = self.poll_delta(now, since);
            out.push_back(Output::Match(Match {
                queue: self.key.clone(),
                task,
                poller,
                backlog_count_hint,
                poll_delta,
            }));
        }
    }

    /// A query goes on waiting if there were workers lately.
    fn late(&mut self, now: Time, task: Task, out: &mut VecDeque<Output>) {
        if !task.is_query() {
            out.push_back(self.refuse(task, Refusal::Expired));
        } else if self.was_polled(now) {
            self.backlog.insert(now, Task { deadline: None, ..task }, &self.config);
        } else {
            out.push_back(self.refuse(task, Refusal::NoPoller));
        }
    }

    /// What a worker is told whose poll has waited since then.
    fn poll_delta(&mut self, now: Time, since: Time) -> i32 {
        let oldest = self.backlog.stats(None).1;
        let behind = oldest.map(|oldest| now.since(oldest));
        let rates = (self.meters.add_rate(now, None), self.meters.dispatch_rate(now, None));
        self.scaling.decide(now, now.since(since), self.history.len(), behind, rates)
    }

    fn stats(&self, now: Time, priority: Option<i32>) -> TaskQueueStats {
        let (count, oldest) = self.backlog.stats(priority);
        TaskQueueStats {
            approximate_backlog_count: count as i64,
            approximate_backlog_age: Some(proto_duration(now.since(oldest.unwrap_or(now)))),
            tasks_add_rate: self.meters.add_rate(now, priority),
            tasks_dispatch_rate: self.meters.dispatch_rate(now, priority),
            rate_limiting_active: priority.is_none() && self.meters.was_held_back(now),
        }
    }

    /// Whether this is a sticky queue whose worker has not been here for too long.
    fn worker_is_away(&self, now: Time) -> bool {
        self.key.kind == QueueKind::Sticky
            && self.waiting.is_empty()
            && self.polled_at.is_none_or(|polled| now >= polled + STICKY_POLLER_AWAY_MAX)
    }

    fn was_polled(&self, now: Time) -> bool {
        let lately = |polled: Time| now <= polled + QUERY_POLLER_AWAY_MAX;
        !self.waiting.is_empty() || self.polled_at.is_some_and(lately)
    }

    fn limit(&mut self, now: Time) {
        match self.config.per_second.or(self.worker_rate) {
            Some(rate) => RateLimit::update(&mut self.limit, now, rate),
            None => self.limit = None,
        }
    }

    fn seen(&mut self, now: Time, poller: &Poller) {
        self.used_at = now;
        self.polled_at = Some(now);
        self.history.seen(now, poller);
    }

    fn has_shut_down(&self, now: Time, worker_instance_key: &str) -> bool {
        !worker_instance_key.is_empty()
            && self.shut_down.iter().any(|(until, worker)| *until > now && worker == worker_instance_key)
    }

    fn forget_shutdowns(&mut self, now: Time) {
        while self.shut_down.front().is_some_and(|(until, _)| *until <= now) {
            self.shut_down.pop_front();
        }
    }

    fn refuse_all(&mut self, reason: Refusal, out: &mut VecDeque<Output>) {
        while let Some(task) = self.backlog.pop_any() {
            out.push_back(self.refuse(task, reason));
        }
    }

    fn refuse(&self, task: Task, reason: Refusal) -> Output {
        Output::TaskRefused { queue: self.key.clone(), task, reason }
    }
}
