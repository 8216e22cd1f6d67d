//! What runs on its own in a shard: an actor for each id that something happens to, and what was offered.
//!
//! An actor is in memory while requests wait, a batch is on its way, facts that nobody waits for are not
//! written yet, or somebody has a long poll. Otherwise its rows are all there is of it, and of a task that
//! waits for a worker only the offer is kept ([`Waiting`]), so a hundred thousand of them cost little.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    ACTOR_WAITING_MAX, Answer, Call, ENTRY_BYTES_MAX, ENTRY_FACTS_MAX, Offer, OfferedTask, Output, Shard,
    WAKES_PER_TURN_MAX, World,
    actor::{Offered, SOFT_FACTS_DELAY},
    not_led,
    offers::{CALL_LOST_AFTER, put_off},
};
use crate::{
    deployment::Placement,
    fact::Entry,
    key::RunKey,
    limits::Limits,
    message::{Message, Outcome, Subject},
    planted,
    reject::Reject,
    reply::Reply,
    stamp::Stamp,
    standalone::{
        Kind, Standalone, StandaloneKey, StandaloneRun, activity, control,
        fact::{StandaloneChange, StandaloneFact},
        operation,
        request::{StandaloneRequest, Until},
        turn::Turn,
    },
    time::Time,
};

#[derive(Debug, Default)]
pub(super) struct Standalones {
    actors: BTreeMap<StandaloneKey, Actor>,
    ready: BTreeSet<StandaloneKey>,
    wakes: BTreeSet<(Time, StandaloneKey)>,
    waiting: BTreeMap<StandaloneRun, Waiting>,
    /// When each of those is to be looked at.
    looks: BTreeSet<(Time, StandaloneRun)>,
    /// Rows of wake-ups that are not in memory, by slot.
    sleeping: BTreeMap<u16, Sleeping>,
    in_flight: BTreeMap<u64, Vec<StandaloneKey>>,
}

/// What a run owes to the world.
enum Owed {
    /// A worker is to have a task.
    Task(Offer),
    /// A handler is to be called.
    Call(Message),
}

/// What a run owes and others have been told of.
#[derive(Debug)]
struct Waiting {
    told: Told,
    offered: Offered,
    /// When something falls due if no worker comes.
    due: Option<Time>,
    look: Time,
}

#[derive(Debug)]
enum Told {
    /// A queue, of a task.
    Queue(Offer),
    /// A handler, who is being called. It may have much to read, and the run has it.
    Handler(Subject),
}

#[derive(Debug, Default)]
struct Sleeping {
    /// The earliest row that is not in memory.
    at: Option<Time>,
    /// Rows up to this one have been brought into memory.
    read: Option<(Time, StandaloneRun)>,
}

#[derive(Debug)]
struct Actor {
    key: StandaloneKey,
    /// The latest run.
    current: Option<Arc<str>>,
    runs: BTreeMap<Arc<str>, Run>,
    waiting: VecDeque<(Option<Call>, Asked)>,
    in_flight: bool,
    replies: Vec<Answer>,
    watchers: Vec<Watcher>,
    wake: Option<Time>,
}

#[derive(Debug)]
enum Asked {
    Request(Box<StandaloneRequest>),
    Wake,
}

#[derive(Debug)]
struct Run {
    /// With everything decided so far, committed or on its way.
    state: Arc<Standalone>,
    /// Facts already in `state` that wait for a change to travel with.
    soft: Vec<StandaloneFact>,
    soft_since: Option<Time>,
}

/// A long poll.
#[derive(Debug)]
struct Watcher {
    call: Call,
    run_id: Arc<str>,
    until: Until,
    deadline: Time,
}

/// What one actor's requests led to in a turn.
#[derive(Default)]
struct Batch {
    changes: Vec<StandaloneChange>,
    replies: Vec<Answer>,
    /// Answers that are guarded by what they say: they need no barrier.
    at_once: Vec<Answer>,
    kinds: Vec<&'static str>,
    facts: usize,
    bytes: usize,
}

impl Shard {
    /// How many actors of what runs on its own are in memory.
    pub fn standalones(&self) -> usize {
        self.standalones.actors.len()
    }

    pub(super) fn lead_standalones(&mut self, world: &dyn World) {
        for slot in self.slots.clone() {
            if let Some(at) = world.first_standalone_wake(slot, Time(i64::MIN)) {
                self.standalones.sleeping.insert(slot, Sleeping { at: Some(at), read: None });
            }
        }
    }

    /// Everything that only the leader knew is gone. Returns the callers that wait.
    pub(super) fn follow_standalones(&mut self) -> Vec<Call> {
        let standalones = std::mem::take(&mut self.standalones);
        let mut calls = Vec::new();
        for actor in standalones.actors.into_values() {
            calls.extend(actor.waiting.into_iter().filter_map(|(call, _)| call));
            calls.extend(actor.replies.into_iter().map(|(call, _)| call));
            calls.extend(actor.watchers.into_iter().map(|watcher| watcher.call));
        }
        calls
    }

    pub(super) fn standalone_request(
        &mut self,
        now: Time,
        call: Call,
        key: StandaloneKey,
        request: StandaloneRequest,
        world: &dyn World,
    ) {
        if !self.leads() {
            self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
            return;
        }
        let actor = self.standalones.activate(&key, world);
        if actor.waiting.len() + actor.watchers.len() >= ACTOR_WAITING_MAX {
            let message = format!("too many requests wait for this {}", key.kind.noun());
            self.outputs.push_back(Output::Reply { call, reply: Err(Reject::BusyWorkflow(message)) });
            return;
        }
        actor.waiting.push_back((Some(call), Asked::Request(Box::new(request))));
        self.touch_standalone(now, &key);
    }

    pub(super) fn standalones_committed(&mut self, now: Time, proposal: u64) {
        for key in self.standalones.in_flight.remove(&proposal).unwrap_or_default() {
            let Some(actor) = self.standalones.actors.get_mut(&key) else { continue };
            actor.in_flight = false;
            let mut replies = std::mem::take(&mut actor.replies);
            replies.extend(actor.watched(now));
            let deleted = actor.forget_deleted();
            for run in &deleted {
                self.standalones.stop_waiting(run);
            }
            for (call, reply) in replies {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            self.touch_standalone(now, &key);
        }
    }

    pub(super) fn end_standalones_turn(&mut self, now: Time, world: &dyn World) {
        self.look_at_waiting(now, world);
        self.wake_standalones(now, world);
        self.decide_standalones(now, world);
    }

    /// Offers again what no worker has come for, and wakes what is due meanwhile.
    fn look_at_waiting(&mut self, now: Time, world: &dyn World) {
        let mut budget = WAKES_PER_TURN_MAX;
        while let Some((at, run)) = self.standalones.looks.first().cloned() {
            if at > now || budget == 0 {
                break;
            }
            budget -= 1;
            self.standalones.looks.pop_first();
            let Some(waiting) = self.standalones.waiting.get_mut(&run) else { continue };
            let is_to_repeat = waiting.offered.again_at <= now;
            let is_due = waiting.due.is_some_and(|due| due <= now);
            let offer = match &waiting.told {
                Told::Queue(offer) if !is_due => offer,
                // Only the run can say what a handler is to be asked.
                Told::Handler(_) if !is_due && !is_to_repeat => {
                    waiting.look = waiting.next_look();
                    self.standalones.looks.insert((waiting.look, run));
                    continue;
                }
                _ => {
                    self.standalones.waiting.remove(&run);
                    let key = run.key();
                    self.standalones.activate(&key, world).wake(&run, world);
                    self.touch_standalone(now, &key);
                    continue;
                }
            };
            if is_to_repeat {
                self.outputs.push_back(Output::Offer(offer.clone()));
                waiting.offered = Offered::again(now, waiting.offered.times);
            }
            waiting.look = waiting.next_look();
            self.standalones.looks.insert((waiting.look, run));
        }
    }

    /// Wakes what is due: actors in memory, and the others by their rows.
    fn wake_standalones(&mut self, now: Time, world: &dyn World) {
        let mut budget = WAKES_PER_TURN_MAX;
        while let Some((at, key)) = self.standalones.wakes.first().cloned() {
            if at > now || budget == 0 {
                break;
            }
            budget -= 1;
            self.standalones.wakes.pop_first();
            if let Some(actor) = self.standalones.actors.get_mut(&key) {
                actor.wake = None;
                actor.waiting.push_back((None, Asked::Wake));
            }
            self.touch_standalone(now, &key);
        }
        let is_due = |sleeping: &Sleeping| sleeping.at.is_some_and(|at| at <= now);
        let due: Vec<u16> = self
            .standalones
            .sleeping
            .iter()
            .filter(|(_, sleeping)| is_due(sleeping))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in due {
            if budget == 0 {
                break;
            }
            let read = self.standalones.sleeping.get(&slot).and_then(|sleeping| sleeping.read.clone());
            let rows = world.due_standalone(slot, read.as_ref(), now, budget);
            let all = rows.len() < budget;
            budget -= rows.len();
            let last = rows.last().cloned();
            for (_, run) in rows {
                if self.standalones.waiting.contains_key(&run) {
                    continue;
                }
                let key = run.key();
                self.standalones.activate(&key, world).wake(&run, world);
                self.touch_standalone(now, &key);
            }
            let next = if all { world.first_standalone_wake(slot, Time(now.0 + 1)) } else { Some(now) };
            let sleeping = self.standalones.sleeping.entry(slot).or_default();
            sleeping.at = next;
            sleeping.read = last.or(read);
        }
    }

    fn decide_standalones(&mut self, now: Time, world: &dyn World) {
        let mut entry = Entry::default();
        let (mut kinds, mut members) = (Vec::new(), Vec::new());
        let (mut facts, mut bytes) = (0, 0);
        for key in std::mem::take(&mut self.standalones.ready) {
            let Some(mut actor) = self.standalones.actors.remove(&key) else { continue };
            let limits = world.limits(key.namespace_id());
            let seed = self.seed;
            let mut decisions = self.decisions;
            let batch = actor.decide(now, &limits, world, || {
                decisions += 1;
                seed ^ decisions.wrapping_mul(0xD6E8_FEB8_6659_FD93)
            });
            self.decisions = decisions;
            for (call, reply) in batch.at_once {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            if batch.changes.is_empty() {
                self.reads_of_turn.extend(batch.replies);
                self.reads_of_turn.extend(actor.watched(now));
            } else {
                actor.in_flight = true;
                actor.replies = batch.replies;
                kinds.extend(batch.kinds);
                facts += batch.facts;
                bytes += batch.bytes;
                entry.standalone.extend(batch.changes);
                members.push(key.clone());
            }
            self.standalones.actors.insert(key.clone(), actor);
            self.touch_standalone(now, &key);
            if facts >= ENTRY_FACTS_MAX || bytes >= ENTRY_BYTES_MAX {
                (facts, bytes) = (0, 0);
                self.propose_standalones(
                    std::mem::take(&mut entry),
                    std::mem::take(&mut kinds),
                    std::mem::take(&mut members),
                );
            }
        }
        if !entry.standalone.is_empty() {
            self.propose_standalones(entry, kinds, members);
        }
    }

    fn propose_standalones(&mut self, entry: Entry, kinds: Vec<&'static str>, members: Vec<StandaloneKey>) {
        let Some(term) = self.term else { return };
        let proposal = self.next_proposal;
        self.next_proposal += 1;
        self.standalones.in_flight.insert(proposal, members);
        self.outputs.push_back(Output::Propose { proposal, term, entry, kinds });
    }

    /// Puts an actor where it belongs: among the ready, the waking, or out of memory.
    fn touch_standalone(&mut self, now: Time, key: &StandaloneKey) {
        let standalones = &mut self.standalones;
        let Some(actor) = standalones.actors.get_mut(key) else { return };
        if let Some(old) = actor.wake.take() {
            standalones.wakes.remove(&(old, key.clone()));
        }
        if actor.in_flight {
            return;
        }
        if !actor.waiting.is_empty() {
            standalones.ready.insert(key.clone());
            return;
        }
        let states: Vec<Arc<Standalone>> = actor.runs.values().map(|run| run.state.clone()).collect();
        for state in states {
            let owed = owed(&state, now);
            self.outputs.extend(standalones.set_waiting(now, &state, owed));
        }
        let Some(actor) = standalones.actors.get_mut(key) else { return };
        if actor.is_idle() {
            let runs = std::mem::take(&mut actor.runs);
            standalones.actors.remove(key);
            for run in runs.into_values() {
                if !standalones.waiting.contains_key(&run.state.run)
                    && let Some(at) = run.state.next_due(now)
                {
                    let sleeping = standalones.sleeping.entry(key.slot()).or_default();
                    sleeping.at = Some(sleeping.at.map_or(at, |known| known.min(at)));
                }
            }
        } else if let Some(wake) = actor.wake_at(now) {
            actor.wake = Some(wake);
            standalones.wakes.insert((wake, key.clone()));
        }
    }
}

/// What a run owes now.
fn owed(state: &Standalone, now: Time) -> Option<Owed> {
    match state.run.kind {
        Kind::Activity => {
            let owed = activity::owed(state, now)?;
            Some(Owed::Task(Offer {
                run: state.run.run.clone(),
                queue: owed.queue.to_owned(),
                task: OfferedTask::StandaloneActivity { attempt: owed.attempt, stamp: owed.stamp },
                scheduled_time: owed.scheduled_time,
                priority: owed.priority,
                fairness: owed.fairness,
                // Wherever its queue says.
                placement: Placement::default(),
                deadline: None,
            }))
        }
        Kind::Operation => operation::owed(state, now).map(Owed::Call),
    }
}

impl Owed {
    fn is_told(&self, told: &Told) -> bool {
        match (self, told) {
            (Owed::Task(offer), Told::Queue(known)) => known.task == offer.task && known.queue == offer.queue,
            (Owed::Call(message), Told::Handler(subject)) => message.subject == *subject,
            _ => false,
        }
    }
}

impl Waiting {
    fn is_at_queue(&self) -> bool {
        matches!(self.told, Told::Queue(_))
    }

    fn next_look(&self) -> Time {
        self.due.map_or(self.offered.again_at, |due| due.min(self.offered.again_at))
    }
}

impl Standalones {
    pub(super) fn awaits(&self, proposal: u64) -> bool {
        self.in_flight.contains_key(&proposal)
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        let active = self.wakes.first().map(|(at, _)| *at);
        let looks = self.looks.first().map(|(at, _)| *at);
        let sleeping = self.sleeping.values().filter_map(|sleeping| sleeping.at).min();
        [active, looks, sleeping].into_iter().flatten().min()
    }

    fn activate(&mut self, key: &StandaloneKey, world: &dyn World) -> &mut Actor {
        self.actors.entry(key.clone()).or_insert_with(|| {
            let mut actor = Actor {
                key: key.clone(),
                current: None,
                runs: BTreeMap::new(),
                waiting: VecDeque::new(),
                in_flight: false,
                replies: Vec::new(),
                watchers: Vec::new(),
                wake: None,
            };
            if let Some(run_id) = world.standalone_current(key) {
                actor.load(&run_id, world);
                actor.current = Some(run_id.into());
            }
            actor
        })
    }

    /// Notes what a run owes, if anything. Returns who is to be told of it.
    fn set_waiting(&mut self, now: Time, state: &Standalone, owed: Option<Owed>) -> Option<Output> {
        let run = &state.run;
        let known = self.stop_waiting(run);
        let owed = owed?;
        let due = state.next_due(now);
        let known = known.filter(|known| owed.is_told(&known.told));
        let (told, offered, output) = match known {
            Some(known) if known.offered.again_at > now => (known.told, known.offered, None),
            known => {
                let times = known.map_or(0, |known| known.offered.times);
                match owed {
                    Owed::Task(offer) => {
                        let output = Output::Offer(offer.clone());
                        (Told::Queue(offer), Offered::again(now, times), Some(output))
                    }
                    Owed::Call(message) => {
                        let offered = Offered { again_at: now + CALL_LOST_AFTER, times: times + 1 };
                        (Told::Handler(message.subject), offered, Some(Output::Send(Box::new(message))))
                    }
                }
            }
        };
        let mut waiting = Waiting { told, offered, due, look: now };
        waiting.look = waiting.next_look();
        self.looks.insert((waiting.look, run.clone()));
        self.waiting.insert(run.clone(), waiting);
        output
    }

    fn stop_waiting(&mut self, run: &StandaloneRun) -> Option<Waiting> {
        let known = self.waiting.remove(run)?;
        self.looks.remove(&(known.look, run.clone()));
        Some(known)
    }

    /// A queue refused a task of this run.
    pub(super) fn offer_refused(&mut self, now: Time, run: &RunKey) {
        let run = StandaloneRun { kind: Kind::Activity, run: run.clone() };
        let Some(waiting) = self.waiting.get_mut(&run) else { return };
        put_off(std::iter::once(&mut waiting.offered), now);
        self.looks.remove(&(waiting.look, run.clone()));
        waiting.look = waiting.next_look();
        self.looks.insert((waiting.look, run));
    }

    /// Everything is to be offered anew, now.
    pub(super) fn forget_offers(&mut self, now: Time) {
        let waiting = &self.waiting;
        self.looks.retain(|(_, run)| waiting.get(run).is_some_and(|waiting| !waiting.is_at_queue()));
        let at_queues = self.waiting.iter_mut().filter(|(_, waiting)| waiting.is_at_queue());
        for (run, waiting) in at_queues {
            waiting.offered = Offered { again_at: now, times: 0 };
            waiting.look = now;
            self.looks.insert((now, run.clone()));
        }
    }
}

impl Actor {
    /// Brings a run into memory, if it exists.
    fn load(&mut self, run_id: &str, world: &dyn World) -> Option<&mut Run> {
        if !self.runs.contains_key(run_id) {
            let state = world.standalone(&self.key.run(run_id))?;
            self.runs.insert(run_id.into(), Run { state, soft: Vec::new(), soft_since: None });
        }
        self.runs.get_mut(run_id)
    }

    fn wake(&mut self, run: &StandaloneRun, world: &dyn World) {
        self.load(&run.run.run_id, world);
        self.waiting.push_back((None, Asked::Wake));
    }

    fn decide(
        &mut self,
        now: Time,
        limits: &Limits,
        world: &dyn World,
        mut seed: impl FnMut() -> u64,
    ) -> Batch {
        let mut batch = Batch::default();
        // What does not fit into this entry waits until it is committed.
        while batch.facts < ENTRY_FACTS_MAX
            && batch.bytes < ENTRY_BYTES_MAX
            && let Some((call, asked)) = self.waiting.pop_front()
        {
            let stamp = Stamp::new(now, seed(), limits);
            let Asked::Request(request) = asked else {
                self.decide_wake(&stamp, &mut batch);
                continue;
            };
            let had = batch.facts;
            let outcome = self.decide_one(&stamp, call.unwrap_or_default(), &request, world, &mut batch);
            if batch.facts > had {
                batch.kinds.push(request.kind());
            }
            let Some(call) = call else { continue };
            match outcome {
                Ok(None) => {}
                Ok(Some(reply @ (Reply::ActivityTask(_) | Reply::TaskGone))) if batch.changes.is_empty() => {
                    batch.at_once.push((call, Ok(reply)));
                }
                Ok(Some(reply)) => batch.replies.push((call, Ok(reply))),
                Err(reject) => batch.replies.push((call, Err(reject))),
            }
        }
        for change in &mut batch.changes {
            if let Some(run) = self.runs.get_mut(&change.run.run.run_id) {
                Arc::make_mut(&mut run.state).version += 1;
                change.prepared = Some(run.state.clone());
            }
        }
        batch
    }

    fn decide_wake(&mut self, stamp: &Stamp<'_>, batch: &mut Batch) {
        for run_id in self.runs.keys().cloned().collect::<Vec<_>>() {
            let Some(run) = self.runs.get(&run_id) else { continue };
            let is_soft_due = run.soft_since.is_some_and(|since| since + SOFT_FACTS_DELAY <= stamp.now);
            let mut turn = Turn::new(stamp, (*run.state).clone());
            control::wake(&mut turn);
            if is_soft_due || !turn.facts.is_empty() {
                self.keep(turn, batch);
            }
        }
    }

    fn decide_one(
        &mut self,
        stamp: &Stamp<'_>,
        call: Call,
        request: &StandaloneRequest,
        world: &dyn World,
        batch: &mut Batch,
    ) -> Result<Option<Reply>, Reject> {
        let current = self.current.as_ref().and_then(|current| self.runs.get(current));
        let current = current.map(|run| &*run.state);
        let started = match request {
            StandaloneRequest::StartActivity(request) => {
                Some(activity::start(stamp, &self.key, current, request)?)
            }
            StandaloneRequest::StartOperation { request, endpoint_id } => {
                Some(operation::start(stamp, &self.key, current, request, endpoint_id)?)
            }
            _ => None,
        };
        if let Some(started) = started {
            if let Some(turn) = started.turn {
                self.keep(turn, batch);
            }
            return Ok(Some(started.reply));
        }
        let run_id = self.find(request.run_id(), world)?;
        let Some(run) = self.runs.get(&run_id) else { return Ok(None) };
        match request {
            StandaloneRequest::Read { .. } => return Ok(Some(Reply::Standalone(Some(run.state.clone())))),
            StandaloneRequest::Watch { until, timeout_ms, .. } => {
                if is_seen(&run.state, *until, stamp.now) {
                    return Ok(Some(Reply::Standalone(Some(run.state.clone()))));
                }
                let deadline = stamp.now + Duration::from_millis(*timeout_ms);
                self.watchers.push(Watcher { call, run_id, until: *until, deadline });
                return Ok(None);
            }
            _ => {}
        }
        let mut turn = Turn::new(stamp, (*run.state).clone());
        let reply = decide(&mut turn, request)?;
        // That an attempt was handed out may be lost with the leader, unless there must not be another.
        let is_soft = matches!(request, StandaloneRequest::TakeActivity(_))
            && turn.state.activity().is_some_and(|body| {
                !activity::must_be_durable_before_dispatch(&body.activity) || planted::is("once_not_durable")
            });
        if is_soft {
            self.keep_soft(turn);
        } else if !turn.facts.is_empty() {
            self.keep(turn, batch);
        }
        Ok(Some(reply))
    }

    /// The run that a request names; empty means the latest.
    fn find(&mut self, run_id: &str, world: &dyn World) -> Result<Arc<str>, Reject> {
        let key = self.key.clone();
        let unknown = || Reject::NotFound(format!("{} not found for ID: {}", key.kind.noun(), key.id()));
        let wanted: Arc<str> = match (run_id.is_empty(), &self.current) {
            (false, _) => run_id.into(),
            (true, Some(current)) => current.clone(),
            (true, None) => return Err(unknown()),
        };
        match self.load(&wanted, world) {
            Some(run) if !run.state.deleted => Ok(wanted),
            _ => Err(unknown()),
        }
    }

    fn keep_soft(&mut self, turn: Turn<'_>) {
        let Some(run) = self.runs.get_mut(&turn.state.run.run.run_id) else { return };
        if !turn.facts.is_empty() {
            run.soft_since.get_or_insert(turn.stamp.now);
            run.soft.extend(turn.facts);
            run.state = Arc::new(turn.state);
        }
    }

    /// Takes over what a turn decided, behind the facts that waited for it.
    fn keep(&mut self, turn: Turn<'_>, batch: &mut Batch) {
        let Turn { state, facts, .. } = turn;
        let run_id = state.run.run.run_id.clone();
        if !self.runs.contains_key(&run_id) {
            self.current = Some(run_id.clone());
        }
        let run = self.runs.entry(run_id).or_insert_with(|| {
            let fresh = Arc::new(Standalone::fresh(state.run.clone()));
            Run { state: fresh, soft: Vec::new(), soft_since: None }
        });
        let position = match batch.changes.iter().position(|change| change.run == state.run) {
            Some(position) => position,
            None => {
                let run = state.run.clone();
                let change =
                    StandaloneChange { run, version: state.version, facts: Vec::new(), prepared: None };
                batch.changes.push(change);
                batch.changes.len() - 1
            }
        };
        let change = &mut batch.changes[position];
        let added = change.facts.len();
        change.facts.append(&mut run.soft);
        run.soft_since = None;
        change.facts.extend(facts);
        batch.facts += change.facts.len() - added;
        batch.bytes += change.facts[added..].iter().map(StandaloneFact::weight_bytes).sum::<usize>();
        run.state = Arc::new(state);
    }

    /// Long polls that have what they wait for, or have waited long enough.
    fn watched(&mut self, now: Time) -> Vec<Answer> {
        let mut answers = Vec::new();
        let runs = &self.runs;
        let key = &self.key;
        self.watchers.retain(|watcher| {
            let state = runs.get(&watcher.run_id).map(|run| &run.state).filter(|state| !state.deleted);
            let reply = match state {
                None => Err(Reject::NotFound(format!("{} not found for ID: {}", key.kind.noun(), key.id()))),
                Some(state) if is_seen(state, watcher.until, now) => {
                    Ok(Reply::Standalone(Some(state.clone())))
                }
                Some(_) if watcher.deadline <= now => Ok(Reply::Standalone(None)),
                Some(_) => return true,
            };
            answers.push((watcher.call, reply));
            false
        });
        answers
    }

    fn forget_deleted(&mut self) -> Vec<StandaloneRun> {
        let mut deleted = Vec::new();
        self.runs.retain(|_, run| {
            if run.state.deleted {
                deleted.push(run.state.run.clone());
            }
            !run.state.deleted
        });
        if self.current.as_ref().is_some_and(|current| !self.runs.contains_key(current)) {
            self.current = None;
        }
        deleted
    }

    fn wake_at(&self, now: Time) -> Option<Time> {
        let runs = self.runs.values().flat_map(|run| {
            let soft = run.soft_since.map(|since| since + SOFT_FACTS_DELAY);
            [run.state.next_due(now), soft].into_iter().flatten()
        });
        runs.chain(self.watchers.iter().map(|watcher| watcher.deadline)).min()
    }

    /// Nothing in memory that the tables do not have.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && !self.in_flight
            && self.watchers.is_empty()
            && self.runs.values().all(|run| run.soft.is_empty())
    }
}

/// Whether a long poll has what it waits for. A count that is not the one seen says that something happened:
/// it can also be a smaller one, if what was seen was lost with its leader.
fn is_seen(state: &Standalone, until: Until, now: Time) -> bool {
    match until {
        Until::Closed => !state.is_running(),
        Until::Started => operation::is_started(state),
        Until::Changed { seen } => state.changes(now) != seen,
    }
}

fn decide(turn: &mut Turn<'_>, request: &StandaloneRequest) -> Result<Reply, Reject> {
    match request {
        StandaloneRequest::Cancel(asked) => control::request_cancel(turn, asked),
        StandaloneRequest::Terminate(asked) => control::terminate(turn, asked),
        StandaloneRequest::Delete { .. } => Ok(control::delete(turn)),
        StandaloneRequest::TakeActivity(take) => Ok(activity::take(turn, take)),
        StandaloneRequest::CompleteActivity { of, request } => activity::complete(turn, of, request),
        StandaloneRequest::FailActivity { of, request } => activity::fail(turn, of, request),
        StandaloneRequest::CancelActivity { of, request } => activity::cancel(turn, of, request),
        StandaloneRequest::HeartbeatActivity { of, details, identity } => {
            activity::heartbeat(turn, of, details.as_deref(), identity)
        }
        StandaloneRequest::PauseActivity(request) => activity::pause(turn, request),
        StandaloneRequest::UnpauseActivity(request) => activity::unpause(turn, request),
        StandaloneRequest::ResetActivity(request) => activity::reset(turn, request),
        StandaloneRequest::UpdateActivityOptions(request) => activity::update_options(turn, request),
        StandaloneRequest::OperationCalled { call, outcome, .. } => {
            operation::called(turn, *call, outcome);
            Ok(Reply::Done)
        }
        StandaloneRequest::CompleteOperation { completion, by_run, from_namespace, .. } => {
            let outcome = operation::completed(turn, completion, by_run, from_namespace);
            Ok(Reply::Message(Outcome::Nexus(Box::new(outcome))))
        }
        StandaloneRequest::StartActivity(_)
        | StandaloneRequest::StartOperation { .. }
        | StandaloneRequest::Read { .. }
        | StandaloneRequest::Watch { .. } => {
            Err(Reject::Internal(format!("{} is not decided by a run", request.kind())))
        }
    }
}
