//! A shard without its shell: requests in, proposals and answers out.
//!
//! The shard owns the actors of its slots. Nothing waits in here and nothing is shared: the shell hands
//! in what happened with [`Shard::handle`], ends the turn with [`Shard::end_turn`], drains
//! [`Shard::poll`], and comes back at [`Shard::wake_at`]. While a batch of an actor is on its way through
//! the log, requests to that actor wait; when it is committed, all that wait are decided together into
//! the next batch. So a thousand signals to one workflow need a handful of commits.

mod actor;
mod decide;
mod deployments;
mod offers;
mod parked;
mod schedules;
mod standalone;
#[cfg(test)]
mod stories;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use actor::Actor;
use parked::Parking;

use crate::{
    deployment::{DeploymentKey, DeploymentState, Placement, request::DeploymentRequest},
    execution::Execution,
    fact::{Entry, Event},
    key::{RunKey, WorkflowKey},
    limits::Limits,
    message::Message,
    outputs::take_next,
    queue::Fairness,
    reject::Reject,
    reply::Reply,
    request::Request,
    schedule::{
        ask::{Ask, Asked},
        request::ScheduleRequest,
        state::{ScheduleKey, ScheduleState},
    },
    standalone::{Standalone, StandaloneKey, StandaloneRun, request::StandaloneRequest},
    time::Time,
};

/// A caller, as the shell knows it.
pub type Call = u64;

/// What one caller is told, once it may be told.
type Answer = (Call, Result<Reply, Reject>);

/// Requests that may wait for one actor.
pub const ACTOR_WAITING_MAX: usize = 20_000;
/// Actors kept in memory after they have nothing more to do.
pub const ACTORS_IDLE_MAX: usize = 128;
/// The same, for how long.
pub const ACTOR_IDLE_KEPT: Duration = Duration::from_secs(10);
/// Due runs that are woken in one turn.
pub const WAKES_PER_TURN_MAX: usize = 512;
/// Runs that a new leader looks at together.
pub const OWING_PAGE_RUNS: usize = 256;
/// Facts in one entry, roughly; a turn with more to decide proposes several entries.
pub const ENTRY_FACTS_MAX: usize = 4096;
/// The same in bytes. An entry ends with the request that crosses the bound, so that requests of a few
/// megabytes each, however many wait, never add up to an entry that no log or network would take.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// What a shard may ask of its surroundings: the applied state and the settings.
pub trait World {
    fn limits(&self, namespace_id: &str) -> Arc<Limits>;
    fn current(&self, workflow: &WorkflowKey) -> Option<String>;
    fn execution(&self, run: &RunKey) -> Option<Arc<Execution>>;
    /// The events of a run from an id on.
    fn history(&self, run: &RunKey, from: i64) -> Vec<Event>;
    /// The earliest wake-up of a slot at or after a moment.
    fn first_wake(&self, slot: u16, from: Time) -> Option<Time>;
    /// Runs of a slot whose wake-up lies before or at a moment.
    fn due(&self, slot: u16, until: Time, most: usize) -> Vec<RunKey>;
    /// Runs of a slot that owe tasks, the first of those behind a run.
    fn owing(&self, slot: u16, after: Option<&RunKey>, most: usize) -> Vec<RunKey>;
    fn schedule(&self, key: &ScheduleKey) -> Option<Arc<ScheduleState>>;
    /// The earliest wake-up of a slot's schedules at or after a moment.
    fn first_schedule_wake(&self, slot: u16, from: Time) -> Option<Time>;
    /// Schedules of a slot whose wake-up lies before or at a moment.
    fn due_schedules(&self, slot: u16, until: Time, most: usize) -> Vec<ScheduleKey>;
    fn deployment(&self, key: &DeploymentKey) -> Option<Arc<DeploymentState>>;
    fn standalone_current(&self, key: &StandaloneKey) -> Option<String>;
    fn standalone(&self, run: &StandaloneRun) -> Option<Arc<Standalone>>;
    /// The earliest wake-up of what runs on its own in a slot at or after a moment.
    fn first_standalone_wake(&self, slot: u16, from: Time) -> Option<Time>;
    /// What runs on its own in a slot and is to wake before or at a moment, in the order of wake-ups, behind
    /// the one that is given.
    fn due_standalone(
        &self,
        slot: u16,
        after: Option<&(Time, StandaloneRun)>,
        until: Time,
        most: usize,
    ) -> Vec<(Time, StandaloneRun)>;
}

#[derive(Debug)]
pub enum Input {
    /// This node leads the shard and has applied everything of earlier terms.
    Lead {
        term: u64,
        seed: u64,
    },
    Follow,
    Request {
        call: Call,
        workflow: WorkflowKey,
        request: Request,
    },
    Schedule {
        call: Call,
        key: ScheduleKey,
        request: ScheduleRequest,
    },
    Deployment {
        call: Call,
        key: DeploymentKey,
        request: DeploymentRequest,
    },
    Standalone {
        call: Call,
        key: StandaloneKey,
        request: StandaloneRequest,
    },
    /// What a workflow answered to [`Output::Ask`].
    Answered {
        ask: u64,
        answer: Asked,
    },
    /// The caller is gone; what it waits for need not be answered.
    Forget {
        call: Call,
        workflow: WorkflowKey,
    },
    Committed {
        proposal: u64,
    },
    /// The proposal was refused or its fate is unknown: the shard does not lead until it is told so again.
    Lost {
        proposal: u64,
    },
    ReadReady {
        read: u64,
    },
    ReadFailed {
        read: u64,
    },
    /// A queue could not take an offered task; it is offered again later.
    OfferRefused {
        run: RunKey,
    },
    /// Queues have moved to other nodes: everything owed is offered again.
    QueuesMoved,
}

#[derive(Debug)]
pub enum Output {
    Propose {
        proposal: u64,
        term: u64,
        entry: Entry,
        kinds: Vec<&'static str>,
    },
    /// Ask the log for a barrier; answers of this turn wait for it.
    ReadIndex {
        read: u64,
    },
    Reply {
        call: Call,
        reply: Result<Reply, Reject>,
    },
    Offer(Offer),
    /// A message for another workflow. What becomes of it comes back as [`Request::Delivered`].
    Send(Box<Message>),
    /// Ask a workflow, wherever it lives; the answer comes back as [`Input::Answered`], and may be lost with
    /// the shard's leadership.
    Ask {
        ask: u64,
        workflow: WorkflowKey,
        request: Ask,
    },
}

/// A task for a queue to hand out.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub run: RunKey,
    pub queue: String,
    pub task: OfferedTask,
    pub scheduled_time: Time,
    pub priority: i32,
    pub placement: Placement,
    pub fairness: Fairness,
    /// When a query is too late to wait for a worker to come.
    pub deadline: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferedTask {
    /// The stamp tells speculative tasks apart, since the ids of one that was forgotten are used again.
    Workflow {
        scheduled_event_id: i64,
        attempt: i32,
        sticky: bool,
        stamp: u32,
    },
    Activity {
        scheduled_event_id: i64,
        attempt: i32,
        stamp: u32,
    },
    Query {
        id: u64,
        sticky: bool,
    },
    /// An attempt of an activity that runs on its own, which `run` names.
    StandaloneActivity {
        attempt: i32,
        stamp: u32,
    },
    /// A Nexus request that somebody waits for at the queue's home. No run owes it and no shard offers it.
    Nexus {
        id: u64,
    },
}

#[derive(Debug)]
pub struct Shard {
    slots: Vec<u16>,
    /// Set while this node leads.
    term: Option<u64>,
    seed: u64,
    decisions: u64,
    actors: BTreeMap<WorkflowKey, Actor>,
    /// Actors with waiting requests and no batch on its way.
    ready: BTreeSet<WorkflowKey>,
    /// Workflows without an actor whose tasks wait at a queue.
    parked: Parking,
    /// Actors, and parked workflows, by the time they want to be looked at.
    wakes: BTreeSet<(Time, WorkflowKey)>,
    /// Actors that may be dropped, least recently used first.
    idle: BTreeSet<(Time, WorkflowKey)>,
    /// The earliest persisted wake-up of each slot, for runs that are not in memory.
    sleeping: BTreeMap<u16, Time>,
    in_flight: BTreeMap<u64, Vec<WorkflowKey>>,
    next_proposal: u64,
    reads: BTreeMap<u64, Vec<Answer>>,
    reads_of_turn: Vec<Answer>,
    next_read: u64,
    outputs: VecDeque<Output>,
    schedules: schedules::Schedules,
    deployments: deployments::Deployments,
    standalones: standalone::Standalones,
}

impl Shard {
    pub fn new(slots: Vec<u16>) -> Shard {
        Shard {
            slots,
            term: None,
            seed: 0,
            decisions: 0,
            actors: BTreeMap::new(),
            ready: BTreeSet::new(),
            parked: Parking::default(),
            wakes: BTreeSet::new(),
            idle: BTreeSet::new(),
            sleeping: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            next_proposal: 1,
            reads: BTreeMap::new(),
            reads_of_turn: Vec::new(),
            next_read: 1,
            outputs: VecDeque::new(),
            schedules: schedules::Schedules::default(),
            deployments: deployments::Deployments::default(),
            standalones: standalone::Standalones::default(),
        }
    }

    pub fn leads(&self) -> bool {
        self.term.is_some()
    }

    /// How many actors are in memory.
    pub fn actors(&self) -> usize {
        self.actors.len()
    }

    /// Whether a worker holds a workflow task of the current run.
    pub fn holds_task(&self, workflow: &WorkflowKey) -> bool {
        let Some(actor) = self.actors.get(workflow) else { return false };
        let run = actor.current.as_ref().and_then(|current| actor.runs.get(current));
        run.is_some_and(|run| run.volatile.started.is_some())
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, now: Time, input: Input, world: &dyn World) {
        match input {
            Input::Lead { term, seed } => self.lead(now, term, seed, world),
            Input::Follow => self.follow(),
            Input::Request { call, workflow, request } => self.request(now, call, workflow, request, world),
            Input::Forget { call, workflow } => {
                if let Some(actor) = self.actors.get_mut(&workflow) {
                    actor.forget(call);
                    self.touch(now, &workflow);
                }
            }
            Input::Schedule { call, key, request } => {
                self.schedule_request(now, call, key, request, world);
            }
            Input::Deployment { call, key, request } => {
                self.deployment_request(call, key, request, world);
            }
            Input::Standalone { call, key, request } => {
                self.standalone_request(now, call, key, request, world);
            }
            Input::Answered { ask, answer } => self.schedule_answered(now, ask, answer),
            Input::Committed { proposal } => {
                self.committed(now, proposal);
                self.schedules_committed(now, proposal);
                self.deployments_committed(proposal);
                self.standalones_committed(now, proposal);
            }
            Input::Lost { proposal } => {
                let awaited = self.in_flight.contains_key(&proposal)
                    || self.awaits_schedules(proposal)
                    || self.awaits_deployments(proposal)
                    || self.standalones.awaits(proposal);
                if awaited {
                    self.follow();
                }
            }
            Input::ReadReady { read } => {
                for (call, reply) in self.reads.remove(&read).unwrap_or_default() {
                    self.outputs.push_back(Output::Reply { call, reply });
                }
            }
            Input::ReadFailed { read } => {
                for (call, _) in self.reads.remove(&read).unwrap_or_default() {
                    self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
                }
            }
            Input::OfferRefused { run } => {
                if let Some(actor) = self.actors.get_mut(&run.workflow) {
                    actor.offer_again(now, &run);
                    self.touch(now, &run.workflow);
                }
                self.parked.offer_again(now, &run, &mut self.wakes);
                self.standalones.offer_refused(now, &run);
            }
            Input::QueuesMoved => {
                self.parked.forget_offers(now, &mut self.wakes);
                self.standalones.forget_offers(now);
                let keys: Vec<WorkflowKey> = self.actors.keys().cloned().collect();
                for key in keys {
                    if let Some(actor) = self.actors.get_mut(&key) {
                        actor.forget_offers();
                    }
                    self.touch(now, &key);
                }
            }
        }
    }

    /// Decides what waits, and proposes it as one batch.
    pub fn end_turn(&mut self, now: Time, world: &dyn World) {
        if self.term.is_none() {
            return;
        }
        self.wake_due(now, world);
        self.decide_ready(now, world);
        self.end_schedules_turn(now, world);
        self.decide_deployments(now, world);
        self.end_standalones_turn(now, world);
        if !self.reads_of_turn.is_empty() {
            let read = self.next_read;
            self.next_read += 1;
            self.reads.insert(read, std::mem::take(&mut self.reads_of_turn));
            self.outputs.push_back(Output::ReadIndex { read });
        }
        self.drop_idle(now, world);
    }

    pub fn poll(&mut self) -> Option<Output> {
        take_next(&mut self.outputs)
    }

    /// When the shard wants to be called again, if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        self.term?;
        let active = self.wakes.first().map(|(time, _)| *time);
        let sleeping = self.sleeping.values().min().copied();
        let idle = self.idle.first().map(|(since, _)| *since + ACTOR_IDLE_KEPT);
        let others = [self.schedule_wake_at(), self.standalones.wake_at()];
        [active, sleeping, idle].into_iter().chain(others).flatten().min()
    }

    fn lead(&mut self, now: Time, term: u64, seed: u64, world: &dyn World) {
        self.follow();
        self.term = Some(term);
        self.seed = seed;
        self.lead_schedules(world);
        self.lead_standalones(world);
        for slot in self.slots.clone() {
            if let Some(time) = world.first_wake(slot, Time(i64::MIN)) {
                self.sleeping.insert(slot, time);
            }
            self.take_over(now, slot, world);
        }
    }

    /// Looks at the runs of a slot that owe tasks, a page of them at a time.
    fn take_over(&mut self, now: Time, slot: u16, world: &dyn World) {
        let mut last: Option<RunKey> = None;
        loop {
            let page = world.owing(slot, last.as_ref(), OWING_PAGE_RUNS);
            for run in &page {
                // An earlier run of a chain may still owe a message.
                self.activate(&run.workflow, world).load(&run.run_id, world);
                self.touch(now, &run.workflow);
            }
            // Whose task is offered and waits for a worker needs no actor.
            self.drop_idle(now, world);
            match page.len() {
                OWING_PAGE_RUNS => last = page.into_iter().next_back(),
                _ => return,
            }
        }
    }

    /// Whatever only the leader knew is gone; callers are told to ask the new one.
    fn follow(&mut self) {
        self.term = None;
        let mut calls: Vec<Call> = self.follow_schedules();
        calls.extend(self.follow_deployments());
        calls.extend(self.follow_standalones());
        for actor in std::mem::take(&mut self.actors).into_values() {
            calls.extend(actor.into_calls());
        }
        for (_, reads) in std::mem::take(&mut self.reads) {
            calls.extend(reads.into_iter().map(|(call, _)| call));
        }
        calls.extend(std::mem::take(&mut self.reads_of_turn).into_iter().map(|(call, _)| call));
        for call in calls {
            self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
        }
        self.ready.clear();
        self.parked.clear();
        self.wakes.clear();
        self.idle.clear();
        self.sleeping.clear();
        self.in_flight.clear();
    }

    fn request(&mut self, now: Time, call: Call, workflow: WorkflowKey, request: Request, world: &dyn World) {
        if self.term.is_none() {
            self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
            return;
        }
        let actor = self.activate(&workflow, world);
        if actor.waiting.len() >= ACTOR_WAITING_MAX {
            let reply = Err(Reject::BusyWorkflow("too many requests wait for this workflow".into()));
            self.outputs.push_back(Output::Reply { call, reply });
            return;
        }
        actor.waiting.push_back((Some(call), request));
        self.touch(now, &workflow);
    }

    fn activate(&mut self, workflow: &WorkflowKey, world: &dyn World) -> &mut Actor {
        self.actors.entry(workflow.clone()).or_insert_with(|| {
            let mut actor = Actor::new(workflow.clone());
            if let Some(run_id) = world.current(workflow) {
                actor.load(&run_id, world);
                actor.current = Some(run_id.into());
            }
            self.parked.unpark(&mut actor, |actor, run_id| {
                actor.load(run_id, world);
            });
            actor
        })
    }

    /// Puts an actor where it belongs: among the ready, the waking, the idle.
    fn touch(&mut self, now: Time, workflow: &WorkflowKey) {
        let Some(actor) = self.actors.get_mut(workflow) else { return };
        if let Some(old) = actor.wake.take() {
            self.wakes.remove(&(old, workflow.clone()));
        }
        if let Some(stamp) = actor.idle_since.take() {
            self.idle.remove(&(stamp, workflow.clone()));
        }
        if actor.in_flight {
            return;
        }
        if !actor.waiting.is_empty() {
            self.ready.insert(workflow.clone());
            return;
        }
        for offer in actor.offers(now) {
            self.outputs.push_back(Output::Offer(offer));
        }
        for message in actor.messages(now) {
            self.outputs.push_back(Output::Send(Box::new(message)));
        }
        if let Some(wake) = actor.wake_at(now) {
            actor.wake = Some(wake);
            self.wakes.insert((wake, workflow.clone()));
        }
        if actor.is_idle(now) {
            actor.idle_since = Some(now);
            self.idle.insert((now, workflow.clone()));
        }
    }

    /// Wakes what is due: actors in memory, and sleeping runs by their rows.
    fn wake_due(&mut self, now: Time, world: &dyn World) {
        let mut budget = WAKES_PER_TURN_MAX;
        while let Some((time, workflow)) = self.wakes.first().cloned() {
            if time > now || budget == 0 {
                break;
            }
            budget -= 1;
            self.wakes.pop_first();
            if self.parked.contains(&workflow) {
                self.activate(&workflow, world);
            }
            if let Some(actor) = self.actors.get_mut(&workflow) {
                actor.wake = None;
                if actor.is_due(now) {
                    actor.waiting.push_back((None, Request::Wake));
                }
            }
            self.touch(now, &workflow);
        }
        let due: Vec<u16> =
            self.sleeping.iter().filter(|(_, time)| **time <= now).map(|(slot, _)| *slot).collect();
        for slot in due {
            let runs = world.due(slot, now, budget);
            let all = runs.len() < budget;
            for run in runs {
                budget = budget.saturating_sub(1);
                let known = self.actors.get(&run.workflow);
                if known.is_some_and(|actor| actor.runs.contains_key(&run.run_id)) {
                    continue;
                }
                // Its workflow may be in memory with a later run.
                let actor = self.activate(&run.workflow, world);
                actor.load(&run.run_id, world);
                actor.waiting.push_back((None, Request::Wake));
                self.touch(now, &run.workflow);
            }
            // Rows up to now belong to runs that are in memory from here on.
            let next = if all { world.first_wake(slot, Time(now.0 + 1)) } else { Some(now) };
            match next {
                Some(time) => self.sleeping.insert(slot, time),
                None => self.sleeping.remove(&slot),
            };
            if budget == 0 {
                break;
            }
        }
    }

    fn committed(&mut self, now: Time, proposal: u64) {
        for workflow in self.in_flight.remove(&proposal).unwrap_or_default() {
            let Some(actor) = self.actors.get_mut(&workflow) else { continue };
            actor.in_flight = false;
            let mut replies = std::mem::take(&mut actor.replies);
            replies.extend(actor.watched(now));
            for (call, reply) in replies {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            self.let_go_of_old_runs(&workflow);
            self.touch(now, &workflow);
        }
    }

    /// Earlier runs of a chain need no memory: their rows wake them.
    fn let_go_of_old_runs(&mut self, workflow: &WorkflowKey) {
        let Some(actor) = self.actors.get_mut(workflow) else { return };
        for due in actor.drop_finished_runs() {
            let known = self.sleeping.entry(workflow.slot()).or_insert(due);
            *known = due.min(*known);
        }
    }

    /// Sleeping runs cost no memory: their rows wake them. Runs that wait for a worker cost little.
    fn drop_idle(&mut self, now: Time, world: &dyn World) {
        while let Some((since, workflow)) = self.idle.pop_first() {
            if self.idle.len() < ACTORS_IDLE_MAX && since + ACTOR_IDLE_KEPT > now {
                self.idle.insert((since, workflow));
                break;
            }
            let Some(actor) = self.actors.remove(&workflow) else { continue };
            let wake = actor.wake;
            if !self.parked.park(actor)
                && let Some(wake) = wake
            {
                self.wakes.remove(&(wake, workflow.clone()));
            }
            let slot = workflow.slot();
            if let Some(time) = world.first_wake(slot, Time(i64::MIN)) {
                let known = self.sleeping.entry(slot).or_insert(time);
                *known = time.min(*known);
            }
        }
    }
}

fn not_led() -> Reject {
    Reject::Unavailable("the leader of this workflow's shard is changing, please retry".into())
}
