//! One run: the cast, the clock and the loop.
//!
//! Everything that can happen is an [`Event`] on the [`Agenda`]; the loop takes the earliest, carries it
//! out, and that plans others. There is one thread, one source of chance and no real time, so a seed
//! tells the same story for ever. First the safety phase with all faults, then faults end and everything
//! has to come to its expected end within a bounded time.

use std::{sync::Arc, time::Duration};

use everlog_engine::{
    key::{SLOTS, WorkflowKey},
    limits::Limits,
    time::Time,
};

use crate::{
    agenda::{Agenda, Asker, Event, Message, Recovery},
    coverage::Coverage,
    deployments::Changes,
    log::Log,
    node::Node,
    program::{self, Program},
    random::Random,
    record::Records,
    rpc::Rpc,
    schedules::{self, Wanted},
    session::{self, Session},
    settings::Settings,
    standalone::{self, WantedActivity},
    standalone_operation::{self, WantedOperation},
    trace::Trace,
    worker::Worker,
};

pub const NAMESPACE: &str = "ns";
pub const BEGIN: Time = Time(1_700_000_000_000_000_000);
/// After the faults have ended, everything must be done within this time.
pub const LIVENESS_MAX: Duration = Duration::from_secs(30 * 60);
/// Time to come to rest after the last workflow has ended.
const REST: Duration = Duration::from_secs(90);
/// More events than any run needs; a run that gets here goes round in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    pub promise: &'static str,
    pub workflow: Option<String>,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    Safety,
    Liveness,
    Rest,
}

pub struct Sim {
    pub settings: Settings,
    pub random: Random,
    pub now: Time,
    pub agenda: Agenda,
    pub phase: Phase,
    pub limits: Arc<Limits>,
    pub logs: Vec<Log>,
    /// How often in a row a shard was found without a leader.
    pub leaderless: Vec<u32>,
    pub nodes: Vec<Node>,
    pub workers: Vec<Worker>,
    /// By index: first those of the ordinary workflows, then one for each hot id.
    pub programs: Arc<Vec<Program>>,
    pub rpcs: std::collections::BTreeMap<u64, Rpc>,
    pub next_rpc: u64,
    pub sessions: Vec<Session>,
    pub schedules: Vec<Wanted>,
    pub deployment: Changes,
    pub activities: Vec<WantedActivity>,
    pub operations: Vec<WantedOperation>,
    pub records: Records,
    pub coverage: Coverage,
    pub trace: Trace,
    pub violation: Option<Violation>,
}

impl Sim {
    pub fn new(settings: Settings, trace: Trace) -> Sim {
        let mut draw = Random::of(settings.seed, 2);
        let all = settings.workflows + settings.hot_ids;
        let mut programs: Vec<Program> =
            (0..all).map(|i| Program::draw(&mut draw, i >= settings.workflows)).collect();
        program::add_children(&mut programs, &mut draw);
        let limits = Arc::new(Limits::default());
        let mut sim = Sim {
            random: Random::of(settings.seed, 3),
            now: BEGIN,
            agenda: Agenda::default(),
            phase: Phase::Safety,
            logs: (0..settings.shards).map(|_| Log::default()).collect(),
            leaderless: vec![0; settings.shards],
            nodes: Vec::new(),
            workers: Vec::new(),
            programs: Arc::new(programs),
            rpcs: std::collections::BTreeMap::new(),
            next_rpc: 1,
            sessions: Vec::new(),
            schedules: Vec::new(),
            deployment: Changes::draw(&mut Random::of(settings.seed, 7)),
            activities: Vec::new(),
            operations: Vec::new(),
            records: Records::default(),
            coverage: Coverage::default(),
            trace,
            violation: None,
            limits,
            settings,
        };
        sim.set_up();
        sim
    }

    fn set_up(&mut self) {
        for log in &mut self.logs {
            log.truth.limits = self.limits.clone();
        }
        for id in 0..self.settings.nodes {
            let skew = self.random.millis(0, self.settings.clock_skew.as_millis() as u64);
            let node = Node::new(id, skew, self.settings.shards, &self.limits);
            self.nodes.push(node);
            let at = self.now + self.random.millis(500, 3_000);
            self.agenda.plan(at, Event::Checkpoint { node: id });
        }
        for shard in 0..self.settings.shards {
            self.agenda.plan(self.now, Event::Election { shard });
        }
        for id in 0..self.settings.workers {
            let worker = Worker::new(id, self.settings.sticky);
            self.workers.push(worker);
            self.start_polls(id);
        }
        let mut draw = Random::of(self.settings.seed, 4);
        self.sessions = session::draw(&self.settings, &self.programs, &mut draw);
        for index in 0..self.sessions.len() {
            let at = self.now + self.sessions[index].begin;
            self.agenda.plan(at, Event::Session { session: index });
        }
        let mut draw = Random::of(self.settings.seed, 5);
        self.schedules = schedules::draw(&self.settings, &mut draw);
        for schedule in 0..self.schedules.len() {
            let at = self.now + draw.millis(500, 10_000);
            self.agenda.plan(at, Event::WantSchedule { schedule });
        }
        if !self.deployment_is_done() {
            self.agenda.plan(self.now + draw.millis(500, 5_000), Event::ChangeDeployment);
        }
        let mut draw = Random::of(self.settings.seed, 7);
        self.operations = standalone_operation::draw(&mut draw);
        for operation in 0..self.operations.len() {
            let at = self.now + draw.millis(200, 12_000);
            self.agenda.plan(at, Event::WantOperation { operation });
            if self.operations[operation].is_terminated {
                let at = at + draw.millis(100, 8_000);
                self.agenda.plan(at, Event::TerminateOperation { operation });
            }
        }
        let mut draw = Random::of(self.settings.seed, 6);
        self.activities = standalone::draw(&mut draw);
        for activity in 0..self.activities.len() {
            let at = self.now + draw.millis(200, 12_000);
            self.agenda.plan(at, Event::WantActivity { activity });
            if self.activities[activity].is_cancelled {
                let at = at + draw.millis(100, 8_000);
                self.agenda.plan(at, Event::CancelActivity { activity });
            }
        }
        let first_fault = self.now + self.random.millis(500, 4_000);
        self.agenda.plan(first_fault, Event::Fault);
        self.agenda.plan(self.now + self.settings.safety, Event::SafetyEnds);
    }

    /// Runs to the end, or to the first broken promise.
    pub fn run(&mut self) {
        let mut events: u64 = 0;
        let liveness_ends = BEGIN + self.settings.safety + LIVENESS_MAX;
        let mut rest_ends = Time::NEVER;
        while self.violation.is_none() {
            let Some((at, event)) = self.agenda.pop() else { break };
            self.now = self.now.max(at);
            events += 1;
            if events > EVENTS_MAX {
                self.fail("the system comes to rest", None, "too many events".into());
            }
            if self.now >= rest_ends {
                break;
            }
            if self.phase == Phase::Liveness && (self.now > liveness_ends || self.is_done()) {
                if !self.is_done() {
                    crate::check::unfinished(self);
                    break;
                }
                self.phase = Phase::Rest;
                rest_ends = self.now + REST;
            }
            self.trace.hash(self.now, &event);
            self.carry_out(event);
        }
        if self.violation.is_none() {
            crate::check::all(self);
        }
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Turn { node, life, shard, woken } => self.turn(node, life, shard, woken),
            Event::QueueWake { node, life } => self.queue_wake(node, life),
            Event::Arrive { node, message } => self.arrive(node, message),
            Event::Commit { shard, term } => self.commit(shard, term),
            Event::Apply { node, life, shard } => self.apply(node, life, shard),
            Event::Learn { node, life, shard } => self.learn(node, life, shard),
            Event::Barrier { node, life, shard, term, read } => self.barrier(node, life, shard, term, read),
            Event::Checkpoint { node } => self.checkpoint(node),
            Event::Election { shard } => self.election(shard),
            Event::Fault => self.fault(),
            Event::EndFault { node, fault } => self.end_fault(node, fault),
            Event::SafetyEnds => self.end_safety(),
            Event::Answer { to, answer } => self.answered(to, *answer),
            Event::RpcTimeout { rpc, attempt } => self.rpc_timed_out(rpc, attempt),
            Event::RpcRetry { rpc } => self.rpc_attempt(rpc),
            Event::Session { session } => self.session_acts(session),
            Event::WantSchedule { schedule } => self.want_schedule(schedule),
            Event::ChangeDeployment => self.change_deployment(),
            Event::WantOperation { operation } => self.want_operation(operation),
            Event::TerminateOperation { operation } => self.terminate_operation(operation),
            Event::OperationEnds { operation } => self.operation_ends(operation),
            Event::WantActivity { activity } => self.want_activity(activity),
            Event::CancelActivity { activity } => self.cancel_activity(activity),
            Event::AttemptActs { activity, attempt } => self.attempt_acts(activity, attempt),
            Event::Poll { worker, life, slot } => self.poll(worker, life, slot),
            Event::Polled { worker, life, slot, poll, task } => self.polled(worker, life, slot, poll, task),
            Event::PollTimeout { worker, life, slot, poll } => self.poll_timed_out(worker, life, slot, poll),
            Event::WorkerActs { worker, life, job } => self.worker_acts(worker, life, job),
            Event::WorkerRestarts { worker } => self.worker_restarts(worker),
        }
    }

    fn end_safety(&mut self) {
        self.phase = Phase::Liveness;
        self.trace.say(self.now, None, || "faults end".into());
        for node in 0..self.nodes.len() {
            for fault in [Recovery::Restart, Recovery::Reconnect, Recovery::Resume] {
                self.end_fault(node, fault);
            }
        }
    }

    /// Whether faults may happen now.
    pub fn is_faulty(&self) -> bool {
        self.phase == Phase::Safety
    }

    /// A draw that only succeeds while faults may happen.
    pub fn strikes(&mut self, probability: f64) -> bool {
        self.is_faulty() && self.random.chance(probability)
    }

    fn is_done(&self) -> bool {
        self.sessions.iter().all(Session::is_done)
            && self.schedules_are_done()
            && self.deployment_is_done()
            && self.activities_are_done()
            && self.operations_are_done()
            && self.logs.iter().all(|log| log.open_runs == 0)
    }

    pub fn fail(&mut self, promise: &'static str, workflow: Option<&str>, text: String) {
        if self.violation.is_none() {
            self.trace.say(self.now, workflow, || format!("BROKEN: {promise}: {text}"));
            self.violation = Some(Violation { promise, workflow: workflow.map(str::to_owned), text });
        }
    }

    /// The program of a workflow id, which its number names.
    pub fn program_of(&self, workflow: &str) -> Option<&Program> {
        let (kind, number) = workflow.split_once('-')?;
        let number: usize = number.parse().ok()?;
        self.programs.get(if kind == "hot" { self.settings.workflows + number } else { number })
    }

    pub fn shard_of(&self, key: &WorkflowKey) -> usize {
        self.shard_of_slot(key.slot())
    }

    pub fn shard_of_slot(&self, slot: u16) -> usize {
        usize::from(slot) * self.settings.shards / usize::from(SLOTS)
    }

    /// A message on its way: lost, late or doubled as the network likes. `from` is None for clients and
    /// workers, who reach every node. Returns whether it will arrive.
    pub fn send(&mut self, from: Option<usize>, to: usize, message: Message) -> bool {
        let at_home = from == Some(to);
        if let Some(from) = from
            && !at_home
            && (self.nodes[from].isolated || self.nodes[to].isolated)
        {
            return false;
        }
        if at_home {
            let at = self.now + self.random.millis(0, 1);
            self.agenda.plan(at, Event::Arrive { node: to, message });
            return true;
        }
        if self.strikes(self.settings.message_lost) {
            self.coverage.hit("a message was lost");
            return false;
        }
        if self.strikes(self.settings.message_doubled)
            && let Some(double) = doubled(&message)
        {
            self.coverage.hit("a message was doubled");
            if let Message::Request { asker: Asker::Rpc { rpc, .. }, .. } = &message {
                self.rpc_doubled(*rpc);
            }
            let at = self.now + self.random.millis(1, 3_000);
            self.agenda.plan(at, Event::Arrive { node: to, message: double });
        }
        let at = self.now + self.latency();
        self.agenda.plan(at, Event::Arrive { node: to, message });
        true
    }

    pub fn latency(&mut self) -> Duration {
        if self.strikes(self.settings.message_slow) {
            self.random.millis(50, 4_000)
        } else {
            self.random.millis(0, 4)
        }
    }
}

/// What the network may deliver twice, with nobody waiting for the second answer.
fn doubled(message: &Message) -> Option<Message> {
    match message {
        Message::Request { workflow, request, hops, .. } => Some(Message::Request {
            workflow: workflow.clone(),
            request: request.clone(),
            asker: Asker::Nobody,
            hops: *hops,
        }),
        Message::Offer { .. } | Message::OfferRefused { .. } | Message::TaskRefused { .. } => {
            Some(message.clone())
        }
        Message::Standalone { key, request, hops, .. } => Some(Message::Standalone {
            key: key.clone(),
            request: request.clone(),
            asker: Asker::Nobody,
            hops: *hops,
        }),
        Message::Poll { .. } | Message::CancelPoll { .. } => None,
        Message::Schedule { .. } | Message::Deployment { .. } => None,
    }
}
