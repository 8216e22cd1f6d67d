//! One decision in the making: a scratch copy of the state and the facts that led to it.
//!
//! A verb adds events and records; each takes effect on the scratch copy at once, so the next line of the
//! verb sees it. When the turn ends, the facts go into the log and the copy is the state that the leader
//! will have once they are committed. A verb refuses before it adds anything.

use everlog_proto::api::{
    common::v1::Link,
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
    sdk::v1::UserMetadata,
};

use crate::{
    codec::Proto,
    decide::workflow_task,
    event::{is_completion, started_of, type_of, waits_for_task, wire_started_id},
    evolve::evolve,
    execution::Execution,
    fact::{Event, Fact, Record},
    planted,
    reject::Reject,
    reply::Reply,
    shared::Shared,
    stamp::Stamp,
    time::Time,
    volatile::Volatile,
};

/// Task ids only have to grow; the real server's start far from zero as well.
const TASK_ID_BASE: i64 = 1 << 20;

#[derive(Debug)]
pub struct Turn<'a> {
    pub stamp: &'a Stamp<'a>,
    pub execution: Shared<Execution>,
    pub volatile: Volatile,
    pub facts: Vec<Fact>,
    /// Answers to callers who waited: queries that a worker has answered or that cannot be answered.
    pub answers: Vec<(u64, Result<Reply, Reject>)>,
    /// A run that this turn starts: by continue-as-new, retry, or a start that replaces this run.
    pub successor: Option<Box<NewRun>>,
    /// While the commands of a task are worked off, events that are not commands wait for the end.
    pub holding: bool,
    /// Buffered events that were there when the turn began: what the worker has not seen.
    pub unseen: usize,
    /// What this turn adds may be lost with its leader.
    pub soft: bool,
    worker_may_ignore: bool,
}

/// A state of a turn that can be returned to.
#[derive(Debug)]
pub struct Checkpoint {
    execution: Shared<Execution>,
    volatile: Volatile,
    facts: usize,
    answers: usize,
}

/// A run that begins in the same entry in which its predecessor ends.
#[derive(Debug)]
pub struct NewRun {
    pub execution: Shared<Execution>,
    pub volatile: Volatile,
    pub facts: Vec<Fact>,
}

impl<'a> Turn<'a> {
    pub fn new(
        stamp: &'a Stamp<'a>,
        execution: impl Into<Shared<Execution>>,
        volatile: Volatile,
    ) -> Turn<'a> {
        let execution = execution.into();
        let unseen = execution.buffered.len();
        Turn {
            unseen,
            soft: false,
            worker_may_ignore: false,
            stamp,
            execution,
            volatile,
            facts: Vec::new(),
            answers: Vec::new(),
            successor: None,
            holding: false,
        }
    }

    /// Adds an event now. Returns its id; 0 if it has to wait for the running workflow task.
    pub fn event(&mut self, attributes: Attributes) -> i64 {
        self.event_at(self.stamp.now, attributes)
    }

    /// Adds an event that happened at another moment, such as the start of an activity's attempt.
    pub fn event_at(&mut self, at: Time, attributes: Attributes) -> i64 {
        self.full_event(at, attributes, None, Vec::new())
    }

    pub fn full_event(
        &mut self,
        at: Time,
        attributes: Attributes,
        user_metadata: Option<UserMetadata>,
        links: Vec<Link>,
    ) -> i64 {
        let kind = type_of(&attributes);
        // Said of this event, not of those that come before it.
        let worker_may_ignore = std::mem::take(&mut self.worker_may_ignore);
        if self.volatile.speculative.is_some() {
            workflow_task::before_event(self, kind);
        }
        debug_assert_ne!(kind, EventType::Unspecified, "every event that is written has a type");
        // Whoever reads the history relies on it.
        self.soft = false;
        let mut event = HistoryEvent {
            event_time: Some(at.proto()),
            event_type: kind as i32,
            user_metadata,
            links,
            attributes: Some(attributes),
            worker_may_ignore,
            ..HistoryEvent::default()
        };
        if waits_for_task(kind) && (self.holding || self.volatile.started.is_some()) {
            self.record(Record::Buffered(Proto(event).into()));
            return 0;
        }
        self.number(&mut event);
        let id = event.event_id;
        self.fact(Fact::Event(Event::new(event)));
        id
    }

    /// Adds an event of another run, as it is.
    pub fn copy(&mut self, event: Event) {
        self.fact(Fact::Event(event));
    }

    /// An event that older workers may skip.
    pub fn ignorable_event(&mut self, attributes: Attributes, links: Vec<Link>) -> i64 {
        self.worker_may_ignore = true;
        self.full_event(self.stamp.now, attributes, None, links)
    }

    pub fn record(&mut self, record: Record) {
        self.fact(Fact::Record(record));
    }

    /// The state to come back to if what follows cannot stand.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            execution: self.execution.clone(),
            volatile: self.volatile.clone(),
            facts: self.facts.len(),
            answers: self.answers.len(),
        }
    }

    pub fn roll_back(&mut self, checkpoint: Checkpoint) {
        self.execution = checkpoint.execution;
        self.volatile = checkpoint.volatile;
        self.facts.truncate(checkpoint.facts);
        self.answers.truncate(checkpoint.answers);
        self.successor = None;
        self.holding = false;
        self.soft = false;
    }

    /// Writes the buffered events: completions last, so that each follows its Started event.
    pub fn flush_buffer(&mut self) {
        if self.execution.buffered.is_empty() || self.volatile.started.is_some() {
            return;
        }
        let buffered = self.execution.buffered.clone();
        let (completions, others): (Vec<_>, Vec<_>) =
            buffered.iter().partition(|event| is_completion(event) != planted::is("flush_misordered"));
        let mut started = Vec::new();
        let lost = usize::from(planted::is("flush_loses_event") && self.execution.buffered.len() > 1);
        for event in others.into_iter().chain(completions).skip(lost) {
            let mut event = event.0.clone();
            self.number(&mut event);
            if let Some(what) = started_of(&event) {
                started.push((what, event.event_id));
            }
            wire_started_id(&mut event, &started);
            self.fact(Fact::Flushed(Event::new(event)));
        }
    }

    /// Whether anything was decided that has to go through the log.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.successor.is_none()
    }

    fn number(&self, event: &mut HistoryEvent) {
        event.event_id = self.execution.next_event_id;
        event.task_id = task_id(event.event_id);
    }

    fn fact(&mut self, fact: Fact) {
        evolve(&mut self.execution, &fact);
        self.facts.push(fact);
    }
}

pub fn task_id(event_id: i64) -> i64 {
    TASK_ID_BASE + event_id
}
