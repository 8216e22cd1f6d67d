//! Random calls against a plain model of what a queue promises: a task is matched at most once per round
//! of offers, none is lost while there are pollers, and within a priority the oldest goes first.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{deployment::Placement, key::WorkflowKey, shard::OfferedTask, stamp::Stamp};

const SEEDS: u64 = 300;
const CALLS: usize = 400;

#[derive(Default)]
struct Model {
    /// Tasks that were taken in and not handed out.
    waiting: BTreeMap<TaskKey, (i32, Time)>,
    matched: BTreeMap<TaskKey, Time>,
    polls: BTreeMap<PollId, Time>,
}

#[test]
fn a_queue_keeps_its_promises() {
    let mut matches = 0;
    for seed in 0..SEEDS {
        matches += run(seed);
    }
    assert!(matches > SEEDS as usize * CALLS / 20, "too few matches to prove anything: {matches}");
}

fn run(seed: u64) -> usize {
    let limits = crate::limits::Limits::default();
    let stamp = Stamp::new(Time(0), seed, &limits);
    let below = |bound: u64| stamp.chance() % bound;
    let key = QueueKey::unversioned("n", "q", QueueKind::Workflow);
    let (mut queues, mut model) = (Queues::new(), Model::default());
    let mut now = Time(1_000_000_000_000);
    let mut matches = 0;
    for call in 0..CALLS {
        match below(10) {
            0..=4 => {
                let task = task(below(40), now - Duration::from_secs(below(30)), below(6) as i32);
                let is_new = !model.waiting.contains_key(&task.key)
                    && model.matched.get(&task.key).is_none_or(|at| now >= *at + MATCH_REMEMBERED);
                if is_new {
                    model.waiting.insert(task.key.clone(), (task.priority(), task.queued_at));
                }
                queues.offer(now, &key, task);
            }
            5..=7 => {
                let id = call as PollId;
                model.polls.insert(id, now + LONG_POLL);
                queues.poll(now, &key, Poller { id, ..Poller::default() });
            }
            8 => now = now + Duration::from_secs(below(8)),
            _ => match below(3) {
                0 => {
                    let id = below(call as u64 + 1);
                    model.polls.remove(&id);
                    queues.cancel_poll(now, id);
                }
                1 => {
                    let gone = task(below(40), now, 0).key;
                    model.waiting.remove(&gone);
                    queues.withdraw(now, &key, &gone);
                }
                _ => {
                    let failed = task(below(40), now, 0).key;
                    model.matched.remove(&failed);
                    queues.match_failed(now, &key, &failed);
                }
            },
        }
        queues.expire(now);
        while let Some(output) = queues.poll_output() {
            match output {
                Output::Match(m) => {
                    matches += 1;
                    model.matched(seed, now, m);
                }
                Output::PollerTimedOut { poller, .. } => {
                    let end = model.polls.remove(&poller.id);
                    assert!(end.is_some_and(|end| end <= now), "seed {seed}: a poll ended early or twice");
                }
                other => panic!("seed {seed}: unexpected {other:?}"),
            }
        }
        model.check(seed, now);
        assert!(queues.wake_at() > now, "seed {seed}: something due was left undone");
    }
    matches
}

impl Model {
    fn matched(&mut self, seed: u64, now: Time, m: Match) {
        assert!(self.polls.remove(&m.poller.id).is_some(), "seed {seed}: a match for a poll that is gone");
        let place = self.waiting.remove(&m.task.key);
        let place =
            place.unwrap_or_else(|| panic!("seed {seed}: matched without an offer: {:?}", m.task.key));
        let first = self.waiting.values().min();
        assert!(first.is_none_or(|first| place <= *first), "seed {seed}: out of order");
        assert_eq!(m.backlog_count_hint, self.waiting.len() as i64, "seed {seed}");
        self.matched.insert(m.task.key, now);
    }

    fn check(&self, seed: u64, now: Time) {
        assert!(
            self.waiting.is_empty() || self.polls.is_empty(),
            "seed {seed}: a task and a poll wait for each other: {:?} {:?}",
            self.waiting,
            self.polls
        );
        assert!(self.polls.values().all(|end| *end > now), "seed {seed}: a poll was forgotten");
    }
}

fn task(number: u64, queued_at: Time, priority_key: i32) -> Task {
    let run = WorkflowKey::new("n", &number.to_string()).run("r");
    let task = OfferedTask::Workflow { scheduled_event_id: 2, attempt: 1, sticky: false, stamp: 0 };
    Task {
        key: TaskKey { run, task },
        shard: 0,
        queued_at,
        priority_key,
        fairness: Fairness::default(),
        deadline: None,
        placement: Placement::default(),
    }
}
