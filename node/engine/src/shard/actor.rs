//! An actor: a struct with a queue, not a task. One per workflow id, activated by its first request,
//! dropped when it has nothing more to do.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{Call, Offer, OfferedTask, World};
use crate::{
    execution::Execution,
    fact::Fact,
    key::WorkflowKey,
    message::{Message, Subject},
    reject::Reject,
    reply::{Reply, StateReply},
    request::Request,
    shared::Shared,
    time::Time,
    todo,
    versioning::Versioning,
    volatile::Volatile,
};

/// Facts that nobody waits for are written with the next change, or after this time.
pub(super) const SOFT_FACTS_DELAY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) workflow: WorkflowKey,
    /// The latest run.
    pub(super) current: Option<Arc<str>>,
    /// Boxed, because a map makes room for many and nearly all actors have one.
    pub(super) runs: BTreeMap<Arc<str>, Box<Run>>,
    /// Requests in order of arrival; those without a call are the shard's own.
    pub(super) waiting: VecDeque<(Option<Call>, Request)>,
    /// A batch is on its way through the log.
    pub(super) in_flight: bool,
    /// Answers that leave when the batch is committed.
    pub(super) replies: Vec<(Call, Result<Reply, Reject>)>,
    pub(super) watchers: Vec<Watcher>,
    pub(super) wake: Option<Time>,
    pub(super) idle_since: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Run {
    /// The state with everything decided so far, committed or on its way.
    pub(super) execution: Shared<Execution>,
    pub(super) volatile: Volatile,
    /// Facts already in `execution` that wait for a change to travel with.
    pub(super) soft: Vec<Fact>,
    pub(super) soft_since: Option<Time>,
    /// Tasks that a queue has been told of: when, and how often.
    pub(super) offered: BTreeMap<OfferedTask, Offered>,
    /// On which version of its workers the run was when they were told.
    pub(super) offered_on: Shared<Versioning>,
    /// The same for messages that were sent to other workflows.
    pub(super) sent: BTreeMap<Subject, Offered>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    pub(super) again_at: Time,
    pub(super) times: u32,
}

/// A long poll on a run's history.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) call: Call,
    pub(super) run_id: Arc<str>,
    pub(super) seen: i64,
    pub(super) until_closed: bool,
    pub(super) until_paused: bool,
    pub(super) deadline: Time,
}

impl Run {
    pub(super) fn new(execution: impl Into<Shared<Execution>>, volatile: Volatile) -> Box<Run> {
        let execution = execution.into();
        Box::new(Run {
            offered_on: execution.versioning.clone(),
            execution,
            volatile,
            soft: Vec::new(),
            soft_since: None,
            offered: BTreeMap::new(),
            sent: BTreeMap::new(),
        })
    }

    /// Whether its row wakes it only later. That of a retry whose back-off has passed lies in the past until
    /// a worker has taken the task, and would bring the run back at once.
    fn is_asleep(&self, now: Time) -> bool {
        todo::wake_at(&self.execution).is_none_or(|at| at > now)
    }

    /// When facts that waited for a change have waited long enough.
    pub(super) fn soft_until(&self) -> Option<Time> {
        self.soft_since.map(|since| since + SOFT_FACTS_DELAY)
    }
}

impl Actor {
    pub(super) fn new(workflow: WorkflowKey) -> Actor {
        Actor {
            workflow,
            current: None,
            runs: BTreeMap::new(),
            waiting: VecDeque::new(),
            in_flight: false,
            replies: Vec::new(),
            watchers: Vec::new(),
            wake: None,
            idle_since: None,
        }
    }

    /// Brings a run into memory, if it exists.
    pub(super) fn load(&mut self, run_id: &str, world: &dyn World) -> Option<&mut Run> {
        if !self.runs.contains_key(run_id) {
            let execution = world.execution(&self.workflow.run(run_id))?;
            self.runs.insert(run_id.into(), Run::new(execution, Volatile::default()));
        }
        self.runs.get_mut(run_id).map(|run| &mut **run)
    }

    pub(super) fn state(&self, run_id: &str) -> Option<StateReply> {
        let run = self.runs.get(run_id)?;
        Some(StateReply {
            execution: run.execution.arc(),
            started: run.volatile.started.clone(),
            speculative: run.volatile.speculative.clone(),
            is_current: self.current.as_deref() == Some(run_id),
        })
    }

    /// The caller is gone: its long poll or query need not be answered.
    pub(super) fn forget(&mut self, call: Call) {
        self.watchers.retain(|watcher| watcher.call != call);
        for run in self.runs.values_mut() {
            run.volatile.queries.retain(|_, query| query.call != call);
            // What it asked for goes on without it.
            run.volatile.update_waiters.retain(|waiter| waiter.call != call);
        }
    }

    /// Long polls that have what they wait for, or have waited long enough.
    pub(super) fn watched(&mut self, now: Time) -> Vec<(Call, Result<Reply, Reject>)> {
        let mut answers = Vec::new();
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.watchers)
            .into_iter()
            .partition(|watcher| watcher.deadline <= now || self.is_seen(watcher));
        self.watchers = waiting;
        for watcher in done {
            if let Some(state) = self.state(&watcher.run_id) {
                answers.push((watcher.call, Ok(Reply::State(state))));
            }
        }
        answers
    }

    pub(super) fn is_seen(&self, watcher: &Watcher) -> bool {
        self.runs.get(&watcher.run_id).is_none_or(|run| {
            let execution = &run.execution;
            let is_written = run.volatile.speculative.is_none();
            let unwritten = i64::from(run.volatile.started.is_some() && is_written);
            !execution.is_running()
                || (watcher.until_paused && execution.is_paused())
                || (!watcher.until_closed && execution.history_length() + unwritten > watcher.seen)
        })
    }

    /// Lets go of earlier runs of a chain. Returns when their rows want to be looked at.
    pub(super) fn drop_finished_runs(&mut self) -> Vec<Time> {
        let current = self.current.clone();
        let mut due = Vec::new();
        self.runs.retain(|id, run| {
            let keep = current.as_ref() == Some(id)
                || !run.volatile.queries.is_empty()
                || !run.soft.is_empty()
                || !todo::messages(&run.execution).is_empty()
                || self.watchers.iter().any(|watcher| watcher.run_id == *id);
            if !keep {
                due.extend(todo::wake_at(&run.execution));
            }
            keep
        });
        due
    }

    pub(super) fn wake_at(&self, now: Time) -> Option<Time> {
        let runs = self.runs.values().flat_map(|run| {
            let due = todo::wake_at_of_leader(&run.execution, &run.volatile, now);
            let offers = run.offered.values().chain(run.sent.values()).map(|offered| offered.again_at).min();
            [due, run.soft_until(), offers].into_iter().flatten()
        });
        runs.chain(self.watchers.iter().map(|watcher| watcher.deadline)).min()
    }

    /// Whether there is anything to decide at this moment, or only an offer to be repeated.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let is_past = |time: Option<Time>| time.is_some_and(|time| time <= now);
        self.watchers.iter().any(|watcher| watcher.deadline <= now)
            || self.runs.values().any(|run| {
                is_past(run.soft_until())
                    || is_past(todo::wake_at_of_leader(&run.execution, &run.volatile, now))
            })
    }

    /// Nothing in memory that the tables do not have, but which tasks were offered: that can be parked.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        self.waiting.is_empty()
            && !self.in_flight
            && self.watchers.is_empty()
            && self.runs.values().all(|run| {
                run.soft.is_empty()
                    && run.volatile.started.is_none()
                    && run.volatile.queries.is_empty()
                    && run.volatile.speculative.is_none()
                    && run.volatile.update_waiters.is_empty()
                    && run.volatile.updates.iter().all(|update| update.noted && !update.sent)
                    && run.sent.is_empty()
                    && !run.volatile.moved_to_normal
                    && (run.offered.is_empty() || run.is_asleep(now))
            })
    }

    /// Everybody who waits for an answer of this actor.
    pub(super) fn into_calls(self) -> impl Iterator<Item = Call> {
        let queries: Vec<Call> = self
            .runs
            .values()
            .flat_map(|run| {
                let volatile = &run.volatile;
                let updates = volatile.update_waiters.iter().map(|waiter| waiter.call);
                volatile.queries.values().map(|query| query.call).chain(updates)
            })
            .collect();
        self.waiting
            .into_iter()
            .filter_map(|(call, _)| call)
            .chain(self.replies.into_iter().map(|(call, _)| call))
            .chain(self.watchers.into_iter().map(|watcher| watcher.call))
            .chain(queries)
    }

    /// The offers that are to be made now.
    pub(super) fn offers(&mut self, now: Time) -> Vec<Offer> {
        let key = self.workflow.clone();
        self.runs.iter_mut().flat_map(|(id, run)| run.offers(key.run(id), now)).collect()
    }

    /// The messages that are to be sent now.
    pub(super) fn messages(&mut self, now: Time) -> Vec<Message> {
        self.runs.values_mut().flat_map(|run| run.messages(now)).collect()
    }
}
