//! The schedules of a shard: actors like workflows, with questions of their own to other shards.
//!
//! A schedule is in memory while something happens to it: requests wait, a start is on its way, a running
//! workflow has to be watched because others wait behind it. Otherwise its row wakes it. What it asks of
//! workflows leaves only after the fact that it will ask is committed, so that whoever leads next asks the
//! same question; who is asked twice answers twice the same.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{ACTOR_WAITING_MAX, Answer, Call, Output, Shard, WAKES_PER_TURN_MAX, World, not_led};
use crate::{
    fact::Entry,
    key::WorkflowKey,
    limits::Limits,
    reject::Reject,
    reply::Reply,
    schedule::{
        ask::{Ask, Asked, is_passing},
        decide,
        fact::{ScheduleChange, ScheduleFact},
        request::{ScheduleReply, ScheduleRequest},
        start,
        state::{ScheduleKey, ScheduleState},
        turn::{Compiled, ScheduleTurn},
    },
    stamp::Stamp,
    time::Time,
};

/// How long a watched workflow is waited for before it is asked again.
const WATCH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a description waits for the workflows that it speaks of.
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(1);
/// Pauses between questions that were not answered.
const ASK_PAUSE_MIN: Duration = Duration::from_millis(200);
const ASK_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A schedule that is due so soon is not worth forgetting.
const KEPT_BEFORE_WAKE: Duration = Duration::from_secs(5);
/// A wake-up that changed nothing is not repeated sooner.
const WAKE_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Schedules {
    actors: BTreeMap<ScheduleKey, ScheduleActor>,
    ready: BTreeSet<ScheduleKey>,
    wakes: BTreeSet<(Time, ScheduleKey)>,
    /// The earliest persisted wake-up of each slot, for schedules that are not in memory.
    sleeping: BTreeMap<u16, Time>,
    in_flight: BTreeMap<u64, Vec<ScheduleKey>>,
    asks: BTreeMap<u64, (ScheduleKey, Question)>,
    next_ask: u64,
}

#[derive(Debug, Default)]
struct ScheduleActor {
    /// With everything decided so far, committed or on its way.
    state: Option<Arc<ScheduleState>>,
    compiled: Option<Arc<Compiled>>,
    waiting: VecDeque<Waiting>,
    in_flight: bool,
    replies: Vec<Answer>,
    /// Descriptions that wait until the running workflows have been looked at.
    describing: Vec<(Call, Time)>,
    seen_running: BTreeSet<String>,
    asked: BTreeMap<Question, Attempt>,
    wake: Option<Time>,
    not_before: Time,
}

#[derive(Debug)]
enum Waiting {
    Request(Call, ScheduleRequest),
    Answer(Question, Asked),
    Wake,
}

/// What is asked; together with the schedule it names one question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Launch(u64),
    Stop {
        run_id: String,
        terminate: bool,
    },
    /// Whether the workflow still runs, now.
    Look(String),
    /// When it will have ended.
    Watch(String),
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    under_way: bool,
    again_at: Time,
    times: u32,
}

impl Shard {
    /// How many schedules are in memory.
    pub fn schedules(&self) -> usize {
        self.schedules.actors.len()
    }

    pub(super) fn lead_schedules(&mut self, world: &dyn World) {
        for slot in self.slots.clone() {
            if let Some(time) = world.first_schedule_wake(slot, Time(i64::MIN)) {
                self.schedules.sleeping.insert(slot, time);
            }
        }
    }

    /// Everything that only the leader knew is gone. Returns the callers that wait.
    pub(super) fn follow_schedules(&mut self) -> Vec<Call> {
        let next_ask = self.schedules.next_ask;
        let schedules =
            std::mem::replace(&mut self.schedules, Schedules { next_ask, ..Schedules::default() });
        let mut calls = Vec::new();
        for actor in schedules.actors.into_values() {
            calls.extend(actor.waiting.iter().filter_map(|waiting| match waiting {
                Waiting::Request(call, _) => Some(*call),
                Waiting::Answer(..) | Waiting::Wake => None,
            }));
            calls.extend(actor.replies.into_iter().map(|(call, _)| call));
            calls.extend(actor.describing.into_iter().map(|(call, _)| call));
        }
        calls
    }

    pub(super) fn schedule_request(
        &mut self,
        now: Time,
        call: Call,
        key: ScheduleKey,
        request: ScheduleRequest,
        world: &dyn World,
    ) {
        if !self.leads() {
            self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
            return;
        }
        let actor = self.schedules.activate(&key, world);
        if actor.waiting.len() >= ACTOR_WAITING_MAX {
            let reply = Err(Reject::BusyWorkflow("too many requests wait for this schedule".into()));
            self.outputs.push_back(Output::Reply { call, reply });
            return;
        }
        actor.waiting.push_back(Waiting::Request(call, request));
        self.touch_schedule(now, &key);
    }

    /// A workflow has answered.
    pub(super) fn schedule_answered(&mut self, now: Time, ask: u64, answer: Asked) {
        // Answers to what a former term asked are not waited for.
        let Some((key, question)) = self.schedules.asks.remove(&ask) else { return };
        if let Some(actor) = self.schedules.actors.get_mut(&key) {
            actor.waiting.push_back(Waiting::Answer(question, answer));
            self.touch_schedule(now, &key);
        }
    }

    pub(super) fn schedule_wake_at(&self) -> Option<Time> {
        let active = self.schedules.wakes.first().map(|(time, _)| *time);
        active.into_iter().chain(self.schedules.sleeping.values().copied()).min()
    }

    pub(super) fn end_schedules_turn(&mut self, now: Time, world: &dyn World) {
        self.wake_schedules(now, world);
        self.decide_schedules(now, world);
    }

    pub(super) fn awaits_schedules(&self, proposal: u64) -> bool {
        self.schedules.in_flight.contains_key(&proposal)
    }

    pub(super) fn schedules_committed(&mut self, now: Time, proposal: u64) {
        for key in self.schedules.in_flight.remove(&proposal).unwrap_or_default() {
            let Some(actor) = self.schedules.actors.get_mut(&key) else { continue };
            actor.in_flight = false;
            if actor.state.as_ref().is_some_and(|state| state.forgotten) {
                actor.state = None;
                actor.compiled = None;
            }
            for (call, reply) in std::mem::take(&mut actor.replies) {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            self.touch_schedule(now, &key);
        }
    }

    fn wake_schedules(&mut self, now: Time, world: &dyn World) {
        let mut budget = WAKES_PER_TURN_MAX;
        while let Some((time, key)) = self.schedules.wakes.first().cloned() {
            if time > now || budget == 0 {
                break;
            }
            budget -= 1;
            self.schedules.wakes.pop_first();
            if let Some(actor) = self.schedules.actors.get_mut(&key) {
                actor.wake = None;
                actor.waiting.push_back(Waiting::Wake);
            }
            self.touch_schedule(now, &key);
        }
        let sleeping = &self.schedules.sleeping;
        let due: Vec<u16> =
            sleeping.iter().filter(|(_, time)| **time <= now).map(|(slot, _)| *slot).collect();
        for slot in due {
            let keys = world.due_schedules(slot, now, budget);
            let all = keys.len() < budget;
            for key in keys {
                budget = budget.saturating_sub(1);
                if self.schedules.actors.contains_key(&key) {
                    continue;
                }
                self.schedules.activate(&key, world).waiting.push_back(Waiting::Wake);
                self.touch_schedule(now, &key);
            }
            // Rows up to now belong to schedules that are in memory from here on.
            let next = if all { world.first_schedule_wake(slot, Time(now.0 + 1)) } else { Some(now) };
            match next {
                Some(time) => self.schedules.sleeping.insert(slot, time),
                None => self.schedules.sleeping.remove(&slot),
            };
            if budget == 0 {
                break;
            }
        }
    }

    fn decide_schedules(&mut self, now: Time, world: &dyn World) {
        let mut entry = Entry::default();
        let (mut kinds, mut members) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.schedules.ready) {
            let Some(mut actor) = self.schedules.actors.remove(&key) else { continue };
            let limits = world.limits(key.namespace_id());
            self.decisions += 1;
            let seed = self.seed ^ self.decisions.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let decided = actor.decide(now, seed, &limits, &key);
            if decided.change.facts.is_empty() {
                self.reads_of_turn.extend(decided.replies);
            } else {
                actor.in_flight = true;
                actor.replies = decided.replies;
                kinds.extend(decided.kinds);
                entry.schedules.push(decided.change);
                members.push(key.clone());
            }
            self.schedules.actors.insert(key.clone(), actor);
            self.touch_schedule(now, &key);
        }
        let Some(term) = self.term.filter(|_| !entry.schedules.is_empty()) else { return };
        let proposal = self.next_proposal;
        self.next_proposal += 1;
        self.schedules.in_flight.insert(proposal, members);
        self.outputs.push_back(Output::Propose { proposal, term, entry, kinds });
    }

    /// Puts a schedule where it belongs: among the ready, the waking, or out of memory.
    fn touch_schedule(&mut self, now: Time, key: &ScheduleKey) {
        let Some(actor) = self.schedules.actors.get_mut(key) else { return };
        if let Some(old) = actor.wake.take() {
            self.schedules.wakes.remove(&(old, key.clone()));
        }
        if actor.in_flight {
            return;
        }
        if !actor.waiting.is_empty() {
            self.schedules.ready.insert(key.clone());
            return;
        }
        for (question, workflow, ask) in actor.questions(now, key) {
            self.schedules.next_ask += 1;
            let number = self.schedules.next_ask;
            self.schedules.asks.insert(number, (key.clone(), question));
            self.outputs.push_back(Output::Ask { ask: number, workflow, request: ask });
        }
        let wake = actor.wake_at();
        if actor.is_idle() && wake.is_none_or(|wake| wake > now + KEPT_BEFORE_WAKE) {
            self.schedules.actors.remove(key);
            if let Some(wake) = wake {
                let known = self.schedules.sleeping.entry(key.slot()).or_insert(wake);
                *known = wake.min(*known);
            }
        } else if let Some(wake) = wake {
            actor.wake = Some(wake);
            self.schedules.wakes.insert((wake, key.clone()));
        }
    }
}

impl Schedules {
    fn activate(&mut self, key: &ScheduleKey, world: &dyn World) -> &mut ScheduleActor {
        self.actors
            .entry(key.clone())
            .or_insert_with(|| ScheduleActor { state: world.schedule(key), ..ScheduleActor::default() })
    }
}

/// What one schedule's requests led to in a turn.
struct Decided {
    change: ScheduleChange,
    replies: Vec<Answer>,
    kinds: Vec<&'static str>,
}

impl ScheduleActor {
    fn decide(&mut self, now: Time, seed: u64, limits: &Limits, key: &ScheduleKey) -> Decided {
        let version = self.state.as_ref().map_or(0, |state| state.version);
        let change = ScheduleChange { key: key.clone(), version, facts: Vec::new(), prepared: None };
        let mut decided = Decided { change, replies: Vec::new(), kinds: Vec::new() };
        let stamp = Stamp::new(now, seed, limits);
        while let Some(waiting) = self.waiting.pop_front() {
            let is_wake = matches!(waiting, Waiting::Wake);
            let before = decided.change.facts.len();
            self.decide_one(&stamp, key, waiting, &mut decided);
            if is_wake && decided.change.facts.len() == before {
                self.not_before = now + WAKE_PAUSE;
            }
            if self.state.as_ref().is_some_and(|state| state.forgotten) {
                // Whoever comes next meets a schedule that has never been.
                break;
            }
        }
        self.answer_descriptions(&stamp, key, &mut decided);
        if !decided.change.facts.is_empty()
            && let Some(state) = &mut self.state
        {
            Arc::make_mut(state).version += 1;
            decided.change.prepared = Some(state.clone());
        }
        decided
    }

    fn decide_one(&mut self, stamp: &Stamp<'_>, key: &ScheduleKey, waiting: Waiting, decided: &mut Decided) {
        let exists = self.state.is_some();
        let mut turn = self.turn(stamp, key);
        let reads = matches!(&waiting, Waiting::Request(_, request) if request.only_reads());
        if exists && turn.state.is_open() && !reads {
            turn.process_times();
        }
        let outcome = match waiting {
            Waiting::Wake => None,
            Waiting::Answer(question, answer) => {
                self.answered(&mut turn, question, &answer);
                None
            }
            Waiting::Request(call, request)
                if matches!(request, ScheduleRequest::Describe)
                    && turn.state.is_open()
                    && !turn.state.running.is_empty() =>
            {
                turn.seen_running.clear();
                self.describing.push((call, stamp.now + DESCRIBE_PATIENCE));
                None
            }
            Waiting::Request(call, request) => {
                let outcome = decide::decide(&mut turn, exists, &request);
                Some((call, request.kind(), outcome))
            }
        };
        if let Some((call, _, Err(reject))) = outcome {
            decided.replies.push((call, Err(reject)));
            return;
        }
        if !reads {
            turn.settle();
        }
        let changed = !turn.facts.is_empty();
        self.take(turn, decided);
        if let Some((call, kind, Ok(reply))) = outcome {
            if changed {
                decided.kinds.push(kind);
            }
            decided.replies.push((call, Ok(Reply::Schedule(reply))));
        }
    }

    fn turn<'a>(&mut self, stamp: &'a Stamp<'a>, key: &ScheduleKey) -> ScheduleTurn<'a> {
        let state = match &self.state {
            Some(state) => (**state).clone(),
            None => ScheduleState::fresh(key.clone()),
        };
        let compiled = self.compiled.get_or_insert_with(|| Compiled::of(&state)).clone();
        ScheduleTurn::new(stamp, state, compiled, self.seen_running.clone())
    }

    fn take(&mut self, turn: ScheduleTurn<'_>, decided: &mut Decided) {
        self.seen_running = turn.seen_running;
        if !turn.facts.is_empty() {
            decided.change.facts.extend(turn.facts);
            self.compiled = Some(turn.compiled);
            self.state = Some(Arc::new(turn.state));
        }
    }

    fn answered(&mut self, turn: &mut ScheduleTurn<'_>, question: Question, answer: &Asked) {
        let again = match (&question, answer) {
            (Question::Launch(number), answer) => decide::launch_answered(turn, *number, answer),
            (Question::Stop { .. }, Asked::Refused(reject)) if is_passing(reject) => true,
            (Question::Stop { run_id, terminate }, _) => {
                let stop = turn.state.running.iter().find(|running| running.run_id == *run_id);
                if stop.and_then(|running| running.stop).is_some_and(|stop| stop.terminate == *terminate) {
                    turn.fact(ScheduleFact::StopTold { run_id: run_id.clone() });
                }
                false
            }
            (Question::Look(run_id) | Question::Watch(run_id), Asked::Closed(closed)) => {
                decide::closed(turn, run_id, closed);
                false
            }
            (Question::Look(run_id), Asked::Running) => {
                turn.seen_running.insert(run_id.clone());
                false
            }
            (Question::Watch(_), Asked::Running) => false,
            (Question::Look(_) | Question::Watch(_), _) => true,
        };
        if again {
            let attempt = self.asked.entry(question).or_default();
            let pause = ASK_PAUSE_MIN.saturating_mul(1 << attempt.times.min(10)).min(ASK_PAUSE_MAX);
            *attempt =
                Attempt { under_way: false, again_at: turn.stamp.now + pause, times: attempt.times + 1 };
        } else {
            self.asked.remove(&question);
        }
    }

    fn answer_descriptions(&mut self, stamp: &Stamp<'_>, key: &ScheduleKey, decided: &mut Decided) {
        if self.describing.is_empty() {
            return;
        }
        let seen = self.state.as_ref().is_none_or(|state| {
            state.running.iter().all(|running| self.seen_running.contains(&running.run_id))
        });
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.describing)
            .into_iter()
            .partition(|(_, until)| seen || *until <= stamp.now);
        self.describing = waiting;
        for (call, _) in ready {
            let exists = self.state.is_some();
            let mut turn = self.turn(stamp, key);
            let reply = decide::decide(&mut turn, exists, &ScheduleRequest::Describe);
            decided.replies.push((call, reply.map(Reply::Schedule)));
        }
    }

    /// What is to be asked now.
    fn questions(&mut self, now: Time, key: &ScheduleKey) -> Vec<(Question, WorkflowKey, Ask)> {
        let Some(state) = self.state.clone().filter(|state| state.is_open()) else {
            self.asked.clear();
            return Vec::new();
        };
        let workflow = |id: &str| WorkflowKey::new(key.namespace_id(), id);
        let watch = |run_id: &str, timeout: Duration| Ask::Watch {
            first_run_id: run_id.to_owned(),
            timeout_ms: timeout.as_millis() as u64,
        };
        let mut owed = Vec::new();
        if !state.launching.is_empty() {
            let compiled = self.compiled.get_or_insert_with(|| Compiled::of(&state)).clone();
            for launch in &state.launching {
                let ask = start::ask(&state, &compiled.schedule, launch);
                owed.push((Question::Launch(launch.start.number), workflow(&launch.workflow_id), ask));
            }
        }
        let waits = !state.buffered.is_empty();
        let watches = waits || (!state.running.is_empty() && state.pauses_on_failure());
        for running in &state.running {
            let (run_id, workflow) = (&running.run_id, workflow(&running.workflow_id));
            if let (Some(ask), Some(stop)) = (start::stop(&state, running), running.stop) {
                let question = Question::Stop { run_id: run_id.clone(), terminate: stop.terminate };
                owed.push((question, workflow.clone(), ask));
            }
            if (waits || !self.describing.is_empty()) && !self.seen_running.contains(run_id) {
                owed.push((Question::Look(run_id.clone()), workflow.clone(), watch(run_id, Duration::ZERO)));
            }
            if watches {
                owed.push((Question::Watch(run_id.clone()), workflow, watch(run_id, WATCH_TIMEOUT)));
            }
        }
        let known: BTreeSet<&Question> = owed.iter().map(|(question, _, _)| question).collect();
        self.asked.retain(|question, attempt| attempt.under_way || known.contains(question));
        owed.retain(|(question, _, _)| {
            let attempt = self.asked.entry(question.clone()).or_default();
            let due = !attempt.under_way && attempt.again_at <= now;
            attempt.under_way |= due;
            due
        });
        owed
    }

    fn wake_at(&self) -> Option<Time> {
        let planned = self
            .state
            .as_ref()
            .and_then(|state| if state.closed_until.is_some() { state.closed_until } else { state.wake });
        let again = self.asked.values().filter(|attempt| !attempt.under_way).map(|attempt| attempt.again_at);
        let described = self.describing.iter().map(|(_, until)| *until);
        let earliest = planned.into_iter().chain(again).chain(described).min();
        earliest.map(|earliest| earliest.max(self.not_before))
    }

    /// Nothing in memory that the tables do not have.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && !self.in_flight
            && self.describing.is_empty()
            && self.asked.is_empty()
            && self.state.as_ref().is_none_or(|state| !state.owes())
    }
}

impl ScheduleReply {
    /// The reply inside an answer to a schedule's request.
    pub fn of(reply: Reply) -> Option<ScheduleReply> {
        match reply {
            Reply::Schedule(reply) => Some(reply),
            _ => None,
        }
    }
}
