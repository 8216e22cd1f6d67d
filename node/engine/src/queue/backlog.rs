//! The tasks that wait, in the order in which they will be served, and those that were just handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    BACKLOG_TASKS_MAX, MATCH_REMEMBERED, MATCHES_REMEMBERED_MAX, TASK_LEASE,
    config::Config,
    fairness::Turns,
    task::{PRIORITY_MAX, Task, TaskKey},
};
use crate::time::Time;

/// Queries rank before every priority.
const RANK_QUERY: i32 = 0;

/// Rank, fairness key, age, and order of arrival.
type Place = (i32, String, Time, u64);
/// Rank, age, and order of arrival.
type Age = (i32, Time, u64);

#[derive(Debug, Default)]
pub(super) struct Backlog {
    tasks: BTreeMap<Place, Waiting>,
    places: BTreeMap<TaskKey, Place>,
    ages: BTreeSet<Age>,
    turns: Turns,
    deadlines: BTreeSet<(Time, Place)>,
    counts: [usize; PRIORITY_MAX as usize + 1],
    arrivals: u64,
    swept_at: Time,
}

#[derive(Debug)]
struct Waiting {
    task: Task,
    offered_at: Time,
}

pub(super) enum Insert {
    Added,
    /// It was here already.
    Refreshed,
    /// Added, at the cost of the task that would have been served last.
    Displaced(Task),
    /// The backlog is full of tasks that go before this one.
    Refused(Task),
}

impl Backlog {
    pub(super) fn insert(&mut self, now: Time, task: Task, config: &Config) -> Insert {
        if let Some(place) = self.places.get(&task.key) {
            if let Some(waiting) = self.tasks.get_mut(place) {
                waiting.offered_at = now;
                // The number of a query is used again when its run has left memory.
                let before = std::mem::replace(&mut waiting.task.deadline, task.deadline);
                if let Some(deadline) = before {
                    self.deadlines.remove(&(deadline, place.clone()));
                }
                self.deadlines.extend(task.deadline.map(|deadline| (deadline, place.clone())));
            }
            return Insert::Refreshed;
        }
        let rank = if task.is_query() { RANK_QUERY } else { task.priority() };
        let place = (rank, task.fairness.key.clone(), task.queued_at, self.arrivals);
        let mut displaced = None;
        if self.tasks.len() >= BACKLOG_TASKS_MAX {
            match self.tasks.last_key_value() {
                Some((last, _)) if age(last) > age(&place) => displaced = self.take(&last.clone()),
                _ => return Insert::Refused(task),
            }
        }
        if self.tasks.is_empty() {
            self.swept_at = now;
        }
        self.arrivals += 1;
        self.counts[rank as usize] += 1;
        self.ages.insert(age(&place));
        self.turns.add(rank, &task.fairness, config);
        self.places.insert(task.key.clone(), place.clone());
        if let Some(deadline) = task.deadline {
            self.deadlines.insert((deadline, place.clone()));
        }
        self.tasks.insert(place, Waiting { task, offered_at: now });
        displaced.map_or(Insert::Added, Insert::Displaced)
    }

    /// Whether a task may be served now, as far as the rates of keys go.
    pub(super) fn is_ready(&mut self, now: Time, config: &Config) -> bool {
        self.turns.next(now, RANK_QUERY, config).is_some()
    }

    /// The task that is served next: of the first rank, of the key whose turn it is, the oldest.
    pub(super) fn pop(&mut self, now: Time, config: &Config) -> Option<Task> {
        let (rank, key) = self.turns.next(now, RANK_QUERY, config)?;
        let first = (rank, key, Time(i64::MIN), 0);
        let place = self.tasks.range(first..).next()?.0.clone();
        let fairness = &self.tasks.get(&place)?.task.fairness;
        self.turns.serve(now, rank, fairness, RANK_QUERY, config);
        self.take(&place)
    }

    /// Any task, out of turn.
    pub(super) fn pop_any(&mut self) -> Option<Task> {
        let place = self.tasks.first_key_value()?.0.clone();
        self.take(&place)
    }

    /// Other rates are in force.
    pub(super) fn reconsider(&mut self) {
        self.turns.reconsider();
    }

    /// When a key that is held back may be served.
    pub(super) fn first_release(&self) -> Time {
        self.turns.first_release()
    }

    pub(super) fn pop_expired(&mut self, now: Time) -> Option<Task> {
        let (deadline, place) = self.deadlines.first()?.clone();
        if deadline > now { None } else { self.take(&place) }
    }

    pub(super) fn remove(&mut self, key: &TaskKey) {
        if let Some(place) = self.places.get(key).cloned() {
            self.take(&place);
        }
    }

    pub(super) fn remove_where(&mut self, mut condition: impl FnMut(&Task) -> bool) -> Vec<Task> {
        let chosen = self.tasks.iter().filter(|(_, waiting)| condition(&waiting.task));
        let places: Vec<Place> = chosen.map(|(place, _)| place.clone()).collect();
        places.iter().filter_map(|place| self.take(place)).collect()
    }

    /// Drops the tasks that their shards have stopped to offer. That need not be punctual, so it is one
    /// pass now and then instead of an index that every repeated offer would have to update.
    pub(super) fn sweep(&mut self, now: Time) {
        if self.is_empty() || now < self.sweep_at() {
            return;
        }
        self.swept_at = now;
        let stale: Vec<Place> = self
            .tasks
            .iter()
            .filter(|(_, waiting)| now >= waiting.offered_at + TASK_LEASE)
            .map(|(place, _)| place.clone())
            .collect();
        for place in stale {
            self.take(&place);
        }
    }

    pub(super) fn sweep_at(&self) -> Time {
        self.swept_at + TASK_LEASE
    }

    pub(super) fn first_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks that wait, without queries.
    pub(super) fn count(&self) -> usize {
        self.tasks.len() - self.counts[RANK_QUERY as usize]
    }

    /// How many tasks of a priority wait, or of all, and since when the oldest does. Queries don't count.
    pub(super) fn stats(&self, priority: Option<i32>) -> (usize, Option<Time>) {
        let oldest = |rank: i32| {
            let range = (rank, Time(i64::MIN), 0)..(rank + 1, Time(i64::MIN), 0);
            self.ages.range(range).next().map(|(_, queued_at, _)| *queued_at)
        };
        match priority {
            Some(priority) => (self.counts[priority as usize], oldest(priority)),
            None => (self.count(), (RANK_QUERY + 1..=PRIORITY_MAX).filter_map(oldest).min()),
        }
    }

    fn take(&mut self, place: &Place) -> Option<Task> {
        let Waiting { task, .. } = self.tasks.remove(place)?;
        self.places.remove(&task.key);
        self.ages.remove(&age(place));
        self.turns.remove(place.0, &place.1);
        self.counts[place.0 as usize] -= 1;
        if let Some(deadline) = task.deadline {
            self.deadlines.remove(&(deadline, place.clone()));
        }
        Some(task)
    }
}

fn age((rank, _, queued_at, arrival): &Place) -> Age {
    (*rank, *queued_at, *arrival)
}

/// Tasks that were handed out a moment ago: their shard may offer them once more before it knows.
#[derive(Debug, Default)]
pub(super) struct Matched {
    until: BTreeMap<TaskKey, Time>,
    order: VecDeque<(Time, TaskKey)>,
}

impl Matched {
    pub(super) fn insert(&mut self, now: Time, key: TaskKey) {
        self.expire(now);
        if self.order.len() >= MATCHES_REMEMBERED_MAX {
            self.forget_first();
        }
        let until = now + MATCH_REMEMBERED;
        self.until.insert(key.clone(), until);
        self.order.push_back((until, key));
    }

    pub(super) fn contains(&self, key: &TaskKey, now: Time) -> bool {
        self.until.get(key).is_some_and(|until| *until > now)
    }

    pub(super) fn remove(&mut self, key: &TaskKey) {
        self.until.remove(key);
    }

    pub(super) fn expire(&mut self, now: Time) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
        if self.order.is_empty() {
            self.order.shrink_to_fit();
        }
    }

    /// When all of them may be forgotten.
    pub(super) fn last_until(&self) -> Option<Time> {
        self.order.back().map(|(until, _)| *until)
    }

    fn forget_first(&mut self) {
        if let Some((until, key)) = self.order.pop_front()
            && self.until.get(&key) == Some(&until)
        {
            self.until.remove(&key);
        }
    }
}
