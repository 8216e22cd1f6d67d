//! All queues that live on this node, and when each wants to be looked at.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use everlog_proto::api::taskqueue::v1::{PollerInfo, TaskQueueStats};

use super::{
    Config, Output, PRIORITY_DEFAULT, PollId, Poller, QUEUES_MAX, Queue, QueueKey, Refusal, Task, TaskKey,
};
use crate::{deployment::WorkerVersion, outputs::take_next, time::Time};

/// The queues of a node. One owner calls in, drains [`Queues::poll_output`], and returns at
/// [`Queues::wake_at`].
#[derive(Debug, Default)]
pub struct Queues {
    queues: BTreeMap<QueueKey, Entry>,
    wakes: BTreeSet<(Time, QueueKey)>,
    /// At which queue a poll waits.
    polls: BTreeMap<PollId, QueueKey>,
    outputs: VecDeque<Output>,
    /// What operators have set, also for queues that are not in use.
    configs: BTreeMap<QueueKey, Arc<Config>>,
}

#[derive(Debug)]
struct Entry {
    queue: Queue,
    wake: Time,
}

/// What DescribeTaskQueue tells of one queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    pub pollers: Vec<PollerInfo>,
    pub stats: TaskQueueStats,
    pub stats_by_priority: BTreeMap<i32, TaskQueueStats>,
    /// The limit that workers have set, in tasks a second.
    pub worker_rate: Option<f64>,
}

impl Description {
    /// Of a queue that nobody has used.
    pub fn of_nothing() -> Description {
        let stats =
            TaskQueueStats { approximate_backlog_age: Some(Default::default()), ..Default::default() };
        let stats_by_priority = BTreeMap::from([(PRIORITY_DEFAULT, stats)]);
        Description { stats, stats_by_priority, ..Description::default() }
    }

    /// Two versions of a queue as one.
    fn and(mut self, other: Description) -> Description {
        self.pollers.extend(other.pollers);
        self.pollers.sort_by_key(|poller| {
            let seen = poller.last_access_time.as_ref();
            std::cmp::Reverse(seen.map(Time::from_proto))
        });
        add_stats(&mut self.stats, &other.stats);
        for (priority, stats) in &other.stats_by_priority {
            add_stats(self.stats_by_priority.entry(*priority).or_default(), stats);
        }
        self.worker_rate = self.worker_rate.or(other.worker_rate);
        self
    }
}

fn add_stats(sum: &mut TaskQueueStats, more: &TaskQueueStats) {
    let age = |stats: &TaskQueueStats| stats.approximate_backlog_age.map(|age| (age.seconds, age.nanos));
    if age(more) > age(sum) {
        sum.approximate_backlog_age = more.approximate_backlog_age;
    }
    sum.approximate_backlog_count += more.approximate_backlog_count;
    sum.tasks_add_rate += more.tasks_add_rate;
    sum.tasks_dispatch_rate += more.tasks_dispatch_rate;
    sum.rate_limiting_active |= more.rate_limiting_active;
}

impl Queues {
    pub fn new() -> Queues {
        Queues::default()
    }

    /// A shard owes this task. To repeat an offer is harmless, and necessary: see [`super::TASK_LEASE`].
    pub fn offer(&mut self, now: Time, key: &QueueKey, task: Task) {
        if !self.has_room_for(key) {
            self.outputs.push_back(Output::TaskRefused { queue: key.clone(), task, reason: Refusal::Full });
            return;
        }
        self.with(now, key, |queue, out| queue.offer(now, task, out));
    }

    /// A worker waits for a task. The answer is a [`Output::Match`] or a [`Output::PollerTimedOut`].
    pub fn poll(&mut self, now: Time, key: &QueueKey, poller: Poller) {
        if !self.has_room_for(key) {
            self.outputs.push_back(Output::PollerRefused { queue: key.clone(), poller });
            return;
        }
        let id = poller.id;
        self.polls.insert(id, key.clone());
        self.with(now, key, |queue, out| queue.poll(now, poller, out));
    }

    /// The caller has gone. There is no answer.
    pub fn cancel_poll(&mut self, now: Time, id: PollId) {
        if let Some(key) = self.polls.remove(&id) {
            self.with(now, &key, |queue, _| queue.cancel_poll(now, id));
        }
    }

    /// The task is no longer owed.
    pub fn withdraw(&mut self, now: Time, key: &QueueKey, task: &TaskKey) {
        if self.queues.contains_key(key) {
            self.with(now, key, |queue, _| queue.withdraw(task));
        }
    }

    /// The match came to nothing: if the task is offered again, it is taken again at once.
    pub fn match_failed(&mut self, now: Time, key: &QueueKey, task: &TaskKey) {
        if self.queues.contains_key(key) {
            self.with(now, key, |queue, _| queue.match_failed(task));
        }
    }

    /// A worker stops: its polls here get their empty answer now, and so do those that come late.
    pub fn shut_down_worker(&mut self, now: Time, key: &QueueKey, worker_instance_key: &str) {
        // It does not say of which version it is.
        let first = key.of_version(None);
        let versions = self.queues.range(first..).map(|(other, _)| other.clone());
        let mut keys: Vec<QueueKey> = versions.take_while(|other| other.is_one_with(key)).collect();
        if keys.is_empty() {
            keys.push(key.clone());
        }
        for key in keys {
            if self.has_room_for(&key) {
                self.with(now, &key, |queue, out| queue.shut_down_worker(now, worker_instance_key, out));
            }
        }
    }

    /// Operators have set rates and weights: these, and no others.
    pub fn configure(&mut self, now: Time, configs: BTreeMap<QueueKey, Config>) {
        let before = std::mem::take(&mut self.configs);
        self.configs = configs.into_iter().map(|(key, config)| (key, Arc::new(config))).collect();
        let keys: BTreeSet<QueueKey> = before.keys().chain(self.configs.keys()).cloned().collect();
        for key in keys {
            if before.get(&key) == self.configs.get(&key) {
                continue;
            }
            let config = self.configs.get(&key).cloned().unwrap_or_default();
            let versions = self.queues.range(key.clone()..).map(|(other, _)| other.clone());
            let versions: Vec<QueueKey> = versions.take_while(|other| other.is_one_with(&key)).collect();
            for version in versions {
                self.with(now, &version, |queue, out| queue.configure(now, config.clone(), out));
            }
        }
    }

    /// Does what has fallen due by `now`.
    pub fn expire(&mut self, now: Time) {
        while let Some((wake, key)) = self.wakes.first()
            && *wake <= now
        {
            let key = key.clone();
            self.with(now, &key, |queue, out| queue.expire(now, out));
        }
    }

    /// When [`Queues::expire`] has something to do; [`Time::NEVER`] if there are no queues.
    pub fn wake_at(&self) -> Time {
        self.wakes.first().map_or(Time::NEVER, |(wake, _)| *wake)
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        take_next(&mut self.outputs)
    }

    /// Nothing, if the queue has not been used for a while. All versions of it together, or only the key's.
    pub fn describe(&self, now: Time, key: &QueueKey, all_versions: bool) -> Option<Description> {
        if !all_versions {
            return self.queues.get(key).map(|entry| entry.queue.describe(now));
        }
        let first = key.of_version(None);
        let versions = self.queues.range(first..).take_while(|(other, _)| other.is_one_with(key));
        versions.map(|(_, entry)| entry.queue.describe(now)).reduce(Description::and)
    }

    /// Where tasks belong has changed: `place` says of each task in which version's queue it may wait, or
    /// nothing if this queue is not for it any more.
    pub fn place_anew(
        &mut self,
        now: Time,
        mut place: impl FnMut(&QueueKey, &Task) -> Option<Option<Arc<WorkerVersion>>>,
    ) {
        let keys: Vec<QueueKey> = self.queues.keys().cloned().collect();
        for key in keys {
            let mut moved = Vec::new();
            self.with(now, &key, |queue, out| {
                let mut to = Vec::new();
                let tasks = queue.remove_where(|task| match place(&key, task) {
                    Some(version) if version == key.version => false,
                    elsewhere => {
                        to.push(elsewhere);
                        true
                    }
                });
                for (task, version) in tasks.into_iter().zip(to) {
                    match version {
                        Some(version) => moved.push((version, task)),
                        None => out.push_back(Output::TaskRefused {
                            queue: key.clone(),
                            task,
                            reason: Refusal::NoPoller,
                        }),
                    }
                }
            });
            for (version, task) in moved {
                self.offer(now, &QueueKey { version, ..key.clone() }, task);
            }
        }
    }

    /// This node no longer is the home of these queues: polls get their empty answer and ask again where
    /// the queue is now; tasks are forgotten, since their shards will offer them there.
    pub fn close_where(&mut self, now: Time, mut moved: impl FnMut(&QueueKey) -> bool) {
        let keys: Vec<QueueKey> = self.queues.keys().filter(|key| moved(key)).cloned().collect();
        for key in keys {
            self.with(now, &key, |queue, out| queue.close(out));
            if let Some(entry) = self.queues.remove(&key) {
                self.wakes.remove(&(entry.wake, key));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.queues.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn has_room_for(&self, key: &QueueKey) -> bool {
        self.queues.len() < QUEUES_MAX || self.queues.contains_key(key)
    }

    /// Lets `act` work on a queue, and brings the index of wake-ups and of polls up to date.
    fn with(&mut self, now: Time, key: &QueueKey, act: impl FnOnce(&mut Queue, &mut VecDeque<Output>)) {
        let first_output = self.outputs.len();
        let configs = &self.configs;
        let entry = self.queues.entry(key.clone()).or_insert_with(|| {
            let config = configs.get(&key.of_version(None)).cloned().unwrap_or_default();
            Entry { queue: Queue::new(key.clone(), now, config), wake: Time::NEVER }
        });
        act(&mut entry.queue, &mut self.outputs);
        for output in self.outputs.range(first_output..) {
            if let Output::Match(super::Match { poller, .. })
            | Output::PollerTimedOut { poller, .. }
            | Output::PollerRefused { poller, .. } = output
            {
                self.polls.remove(&poller.id);
            }
        }
        self.wakes.remove(&(entry.wake, key.clone()));
        if entry.queue.is_idle(now) {
            self.queues.remove(key);
            return;
        }
        entry.wake = entry.queue.wake_at();
        self.wakes.insert((entry.wake, key.clone()));
    }
}
