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
    key::RunKey,
    message::{self, Message, Subject},
    time::Time,
    todo::{self, Todo},
    volatile::QueryState,
};

const OFFER_INTERVAL_MIN: Duration = Duration::from_secs(2);
const OFFER_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// How soon a task is offered again after a queue refused it.
const OFFER_AFTER_REFUSAL: Duration = Duration::from_millis(200);
/// How long a child waits for its release before it asks for it.
const ASK_AFTER: Duration = Duration::from_secs(2);

impl Offered {
    /// Made now, after so many times before.
    fn again(now: Time, times: u32) -> Offered {
        let interval = OFFER_INTERVAL_MIN.saturating_mul(1 << times.min(10)).min(OFFER_INTERVAL_MAX);
        Offered { again_at: now + interval, times: times + 1 }
    }
}

impl Run {
    pub(super) fn offers(&mut self, key: RunKey, now: Time) -> Vec<Offer> {
        let owed = self.owed(now);
        let mut offered = BTreeMap::new();
        let mut offers = Vec::new();
        for (task, queue, scheduled_time, priority) in owed {
            let before = self.offered.get(&task).copied();
            let due = before.is_none_or(|offered| offered.again_at <= now);
            let state = if due {
                offers.push(Offer { run: key.clone(), queue, task: task.clone(), scheduled_time, priority });
                Offered::again(now, before.map_or(0, |offered| offered.times))
            } else {
                before.unwrap_or(Offered { again_at: now, times: 0 })
            };
            offered.insert(task, state);
        }
        self.offered = offered;
        offers
    }

    /// Messages are repeated like offers: their receiver or its answer may have been lost.
    pub(super) fn messages(&mut self, now: Time) -> Vec<Message> {
        let subjects = todo::messages(&self.execution);
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
                    Offered::again(now, before.map_or(0, |sent| sent.times))
                }
            };
            sent.insert(subject, state);
        }
        self.sent = sent;
        messages
    }

    fn owed(&self, now: Time) -> Vec<(OfferedTask, String, Time, i32)> {
        let mut owed: Vec<_> = todo::tasks(&self.execution, &self.volatile, now)
            .into_iter()
            .filter_map(|todo| match todo {
                Todo::WorkflowTask { queue, sticky, scheduled_event_id, attempt, scheduled_time } => {
                    let priority = self.execution.start.priority.as_ref().map_or(0, |p| p.priority_key);
                    let task = OfferedTask::Workflow { scheduled_event_id, attempt, sticky };
                    Some((task, queue, scheduled_time, priority))
                }
                Todo::ActivityTask { queue, scheduled_event_id, attempt, scheduled_time, priority } => {
                    let task = OfferedTask::Activity { scheduled_event_id, attempt };
                    Some((task, queue, scheduled_time, priority))
                }
                Todo::Wake(_) => None,
            })
            .collect();
        for (id, query) in &self.volatile.queries {
            if let QueryState::Direct { sticky } = query.state {
                let queue = match (&self.execution.sticky, sticky) {
                    (Some(sticky), true) => sticky.queue.clone(),
                    _ => self.execution.task_queue().to_owned(),
                };
                owed.push((OfferedTask::Query { id: *id, sticky }, queue, query.offered, 0));
            }
        }
        owed
    }
}

impl Actor {
    /// A queue refused a task of this run.
    pub(super) fn offer_again(&mut self, now: Time, key: &RunKey) {
        if let Some(run) = self.runs.get_mut(&key.run_id) {
            for offered in run.offered.values_mut().chain(run.sent.values_mut()) {
                offered.again_at = offered.again_at.min(now + OFFER_AFTER_REFUSAL);
            }
        }
    }

    pub(super) fn forget_offers(&mut self) {
        for run in self.runs.values_mut() {
            run.offered.clear();
            run.sent.clear();
        }
    }
}
