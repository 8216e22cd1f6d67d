//! Offers: telling queues what is owed, again and again until it is taken.
//!
//! A queue is soft state on some node. It may have lost a task, so an offer that leads to nothing is
//! repeated, at growing intervals; a queue that has the task already ignores the repetition.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Offer, OfferedTask,
    actor::{Actor, Offered, Run},
};
use crate::{
    execution::Execution,
    key::RunKey,
    message::{self, Message, Subject},
    queue::Fairness,
    time::Time,
    todo::{self, Todo},
    volatile::{QueryState, Volatile},
};

const OFFER_INTERVAL_MIN: Duration = Duration::from_secs(2);
const OFFER_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// How soon a task is offered again after a queue refused it: soon at first, since the queue may only be
/// moving. A queue that goes on refusing is full, and has work for its workers until we come back.
const OFFER_AFTER_REFUSAL_MIN: Duration = Duration::from_millis(200);
const OFFER_AFTER_REFUSAL_MAX: Duration = Duration::from_secs(10);
/// More doublings than any of these intervals needs.
const DOUBLINGS_MAX: u32 = 10;
/// A call that was not answered for so long was lost: its own time-outs are shorter.
pub(super) const CALL_LOST_AFTER: Duration = Duration::from_secs(30);
/// How long before its time is up a query is told that there is nobody to answer it.
const LAST_CALL_BEFORE: Duration = Duration::from_secs(1);
/// How long a child waits for its release before it asks for it.
const ASK_AFTER: Duration = Duration::from_secs(2);

impl Offered {
    /// Made now, after so many times before.
    pub(super) fn again(now: Time, times: u32) -> Offered {
        let interval = doubled(OFFER_INTERVAL_MIN, times).min(OFFER_INTERVAL_MAX);
        Offered { again_at: now + interval, times: times + 1 }
    }
}

impl Run {
    pub(super) fn offers(&mut self, key: RunKey, now: Time) -> Vec<Offer> {
        let owed = owed(&self.execution, &self.volatile, now);
        if self.offered_on != self.execution.versioning {
            // What was offered to the workers of another version is offered to those of this one.
            self.offered.clear();
            self.offered_on = self.execution.versioning.clone();
        }
        if !self.offered.is_empty() {
            self.offered.retain(|task, _| owed.binary_search_by(|owed| owed.task.cmp(task)).is_ok());
        }
        let mut offers = Vec::new();
        for Owed { task, queue, scheduled_time, priority, fairness, deadline } in owed {
            let before = self.offered.get(&task);
            if before.is_some_and(|offered| offered.again_at > now) {
                continue;
            }
            let made = Offered::again(now, before.map_or(0, |offered| offered.times));
            self.offered.insert(task.clone(), made);
            let queue = queue.to_owned();
            let is_elsewhere = queue != self.execution.task_queue();
            let normal_queue = if is_elsewhere { self.execution.task_queue() } else { "" };
            let placement = self.execution.versioning.placement(normal_queue);
            offers.push(Offer {
                run: key.clone(),
                queue,
                task,
                scheduled_time,
                priority,
                fairness,
                placement,
                deadline,
            });
        }
        offers
    }

    /// Messages are repeated like offers: their receiver or its answer may have been lost.
    pub(super) fn messages(&mut self, now: Time) -> Vec<Message> {
        let subjects = todo::due_messages(&self.execution, now);
        if subjects.is_empty() && self.sent.is_empty() {
            return Vec::new();
        }
        let mut sent = BTreeMap::new();
        let mut messages = Vec::new();
        for subject in subjects {
            let state = match self.sent.get(&subject) {
                // The parent's word is on its way, most likely.
                None if subject == Subject::Release => Offered { again_at: now + ASK_AFTER, times: 0 },
                Some(before) if before.again_at > now => *before,
                before => {
                    messages.extend(message::compose(&self.execution, subject));
                    let times = before.map_or(0, |sent| sent.times);
                    if subject.is_call() {
                        Offered { again_at: now + CALL_LOST_AFTER, times: times + 1 }
                    } else {
                        Offered::again(now, times)
                    }
                }
            };
            sent.insert(subject, state);
        }
        self.sent = sent;
        messages
    }
}

/// A queue refused these tasks: says when the first of them is to be offered again.
pub(super) fn put_off<'a>(offers: impl Iterator<Item = &'a mut Offered>, now: Time) -> Option<Time> {
    let again = offers.map(|offered| {
        let interval = doubled(OFFER_AFTER_REFUSAL_MIN, offered.times.saturating_sub(1));
        offered.again_at = offered.again_at.min(now + interval.min(OFFER_AFTER_REFUSAL_MAX));
        offered.again_at
    });
    again.min()
}

fn doubled(interval: Duration, times: u32) -> Duration {
    interval.saturating_mul(1 << times.min(DOUBLINGS_MAX))
}

/// A task that a queue is to be told of.
struct Owed<'a> {
    task: OfferedTask,
    queue: &'a str,
    scheduled_time: Time,
    priority: i32,
    fairness: Fairness,
    deadline: Option<Time>,
}

fn owed<'a>(execution: &'a Execution, volatile: &'a Volatile, now: Time) -> Vec<Owed<'a>> {
    let mut owed: Vec<Owed<'_>> = todo::tasks(execution, volatile, now)
        .into_iter()
        .filter_map(|todo| match todo {
            Todo::WorkflowTask { queue, sticky, scheduled_event_id, attempt, stamp, scheduled_time } => {
                let priority = execution.start.priority.as_ref();
                let (priority, fairness) = (priority.map_or(0, |p| p.priority_key), Fairness::of(priority));
                let task = OfferedTask::Workflow { scheduled_event_id, attempt, sticky, stamp };
                Some(Owed { task, queue, scheduled_time, priority, fairness, deadline: None })
            }
            Todo::ActivityTask {
                queue,
                scheduled_event_id,
                attempt,
                stamp,
                scheduled_time,
                priority,
                fairness,
            } => {
                let task = OfferedTask::Activity { scheduled_event_id, attempt, stamp };
                Some(Owed { task, queue, scheduled_time, priority, fairness, deadline: None })
            }
            Todo::Wake(_) => None,
        })
        .collect();
    for (id, query) in &volatile.queries {
        if let QueryState::Direct { sticky } = query.state {
            let queue = match (&execution.sticky, sticky) {
                (Some(sticky), true) => &sticky.queue,
                _ => execution.task_queue(),
            };
            let task = OfferedTask::Query { id: *id, sticky };
            let fairness = Fairness::default();
            let deadline = (!sticky).then(|| query.deadline - LAST_CALL_BEFORE);
            owed.push(Owed { task, queue, scheduled_time: query.offered, priority: 0, fairness, deadline });
        }
    }
    // In the order of tasks, so that one is found among many.
    owed.sort_unstable_by(|one, other| one.task.cmp(&other.task));
    owed
}

impl Actor {
    /// A queue refused a task of this run.
    pub(super) fn offer_again(&mut self, now: Time, key: &RunKey) {
        if let Some(run) = self.runs.get_mut(&key.run_id) {
            let sent = run.sent.iter_mut().filter(|(subject, _)| !subject.is_call());
            put_off(run.offered.values_mut().chain(sent.map(|(_, sent)| sent)), now);
        }
    }

    pub(super) fn forget_offers(&mut self) {
        for run in self.runs.values_mut() {
            run.offered.clear();
            run.sent.retain(|subject, _| subject.is_call());
        }
    }
}
