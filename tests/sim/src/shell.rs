//! The shells of a node, as the server has them: one inbox a shard, one turn for all that has arrived,
//! outputs carried out when the turn has ended; one owner for all queues.

use std::time::Duration;

use everlog_engine::{
    key::{RunKey, WorkflowKey},
    queue::{self, Match, Poller, QueueKey, QueueKind, Refusal, Task, TaskKey},
    reject::Reject,
    reply::{HistorySpan, Reply},
    request::{Request, Routed, TakeActivityTask, TakeQuery, TakeWorkflowTask},
    shard::{Input, Offer, OfferedTask, Output, World},
    standalone::request::StandaloneRequest,
    time::Time,
};
use everlog_proto::api::history::v1::HistoryEvent;

use crate::{
    agenda::{Answer, Asker, Event, Message, PollBy},
    sim::Sim,
    worker::PolledTask,
};

/// How long a queue waits for a shard's word.
const TAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Turns in a row without anything to do that want another turn at once.
const IDLE_TURNS_MAX: u32 = 2_000;

impl Sim {
    pub fn push_input(&mut self, node: usize, shard: usize, input: Input) {
        let at = self.now + self.random.millis(0, 1);
        self.nodes[node].shells[shard].inbox.push(input);
        self.plan_turn(node, shard, at, false);
    }

    fn plan_turn(&mut self, node: usize, shard: usize, at: Time, woken: bool) {
        let life = self.nodes[node].life;
        let shell = &mut self.nodes[node].shells[shard];
        if shell.turn_at.is_none_or(|planned| at < planned) {
            shell.turn_at = Some(at);
            self.agenda.plan(at, Event::Turn { node, life, shard, woken });
        }
    }

    pub fn turn(&mut self, node: usize, life: u64, shard: usize, woken: bool) {
        if !self.is_life(node, life) || self.nodes[node].shells[shard].turn_at != Some(self.now) {
            return;
        }
        self.nodes[node].shells[shard].turn_at = None;
        if let Some(until) = self.nodes[node].paused_until {
            self.plan_turn(node, shard, until, woken);
            return;
        }
        let clock = self.nodes[node].clock(self.now);
        let shell = &mut self.nodes[node].shells[shard];
        let inputs = std::mem::take(&mut shell.inbox);
        let had_inputs = !inputs.is_empty();
        for input in inputs {
            shell.shard.handle(clock, input, &shell.tables);
        }
        shell.shard.end_turn(clock, &shell.tables);
        let mut outputs = Vec::new();
        while let Some(output) = shell.shard.poll() {
            outputs.push(output);
        }
        let wake = shell.shard.wake_at();
        let spins = !had_inputs && outputs.is_empty() && wake.is_some_and(|wake| wake <= clock);
        shell.idle_turns = if spins { shell.idle_turns + 1 } else { 0 };
        if shell.idle_turns > IDLE_TURNS_MAX {
            self.fail(
                "a shard with nothing to do sleeps",
                None,
                format!("shard {shard} on node {node} spins"),
            );
        }
        for output in outputs {
            self.carry_out_output(node, shard, output);
        }
        self.settle(node, shard);
        if let Some(wake) = wake
            && wake < Time::NEVER
        {
            let skew = self.nodes[node].skew;
            let at = (wake - skew).max(self.now + Duration::from_millis(1));
            self.plan_turn(node, shard, at, true);
        }
    }

    fn carry_out_output(&mut self, node: usize, shard: usize, output: Output) {
        match output {
            Output::Propose { proposal, term, entry, .. } => {
                for change in &entry.changes {
                    let workflow = change.run.workflow.workflow_id.clone();
                    self.trace.say(self.now, Some(&workflow), || {
                        let run = &change.run.run_id[..4];
                        let facts: Vec<String> = change.facts.iter().map(crate::story::fact).collect();
                        format!(
                            "node {node} proposes {proposal} for {run} at {}: {}",
                            change.version,
                            facts.join(", ")
                        )
                    });
                }
                self.propose(node, shard, proposal, term, entry);
            }
            Output::ReadIndex { read } => {
                let life = self.nodes[node].life;
                let term = self.nodes[node].shells[shard].leads_in.unwrap_or_default();
                let at = self.now + self.latency();
                self.agenda.plan(at, Event::Barrier { node, life, shard, term, read });
            }
            Output::Reply { call, reply } => {
                if let Some(asker) = self.nodes[node].shells[shard].calls.remove(&call) {
                    self.answer(node, shard, asker, reply);
                }
            }
            Output::Offer(offer) => self.offer(node, shard, offer),
            Output::Send(message) => self.post(node, *message),
            Output::Ask { ask, workflow, request } => self.ask(node, shard, ask, workflow, request),
        }
    }

    /// A message between workflows leaves, for a node that may be this one.
    fn post(&mut self, node: usize, mut message: everlog_engine::message::Message) {
        message.from_namespace = crate::sim::NAMESPACE.into();
        if matches!(message.body, everlog_engine::message::Body::NexusCall(_)) {
            self.call_handler(node, message);
            return;
        }
        let (workflow, request) = (message.to.clone(), Request::Message(Box::new(message.clone())));
        let asker = Asker::Sender { node, life: self.nodes[node].life, message: Box::new(message) };
        let request = Message::Request { workflow, request: Box::new(request), asker, hops: 0 };
        self.send(Some(node), node, request);
    }

    /// What became of a message is told to its sender, if its node still lives.
    fn delivered(
        &mut self,
        node: usize,
        life: u64,
        message: everlog_engine::message::Message,
        reply: Result<Reply, Reject>,
    ) {
        if !self.is_life(node, life) {
            return;
        }
        let Ok(Reply::Message(outcome)) = reply else {
            self.coverage.hit("a message between workflows was refused and repeated");
            let run = message.from;
            self.agenda.plan(self.now, Event::Arrive { node, message: Message::OfferRefused { run } });
            return;
        };
        if matches!(message.body, everlog_engine::message::Body::ReleaseChild) {
            return;
        }
        if let everlog_engine::message::Subject::Operation(call) = message.subject {
            return self.own_call_answered(node, message, call, outcome);
        }
        let run_id = message.from.run_id.to_string();
        let namespace = crate::sim::NAMESPACE.to_owned();
        let request = Request::Delivered { run_id, subject: message.subject, outcome, namespace };
        let asker = Asker::Noted { node, life };
        let workflow = message.from.workflow;
        self.send(
            Some(node),
            node,
            Message::Request { workflow, request: Box::new(request), asker, hops: 1 },
        );
    }

    pub fn arrive(&mut self, node: usize, message: Message) {
        if !self.nodes[node].alive {
            return;
        }
        if let Some(until) = self.nodes[node].paused_until {
            self.agenda.plan(until, Event::Arrive { node, message });
            return;
        }
        let clock = self.nodes[node].clock(self.now);
        match message {
            Message::Request { workflow, request, asker, hops } => {
                self.route(node, workflow, *request, asker, hops)
            }
            Message::Offer { key, task } => {
                self.nodes[node].queues.offer(clock, &key, task);
                self.drain_queues(node);
            }
            Message::OfferRefused { run } => {
                let shard = self.shard_of(&run.workflow);
                self.push_input(node, shard, Input::OfferRefused { run });
            }
            Message::Schedule { key, request, asker, hops } => {
                self.route_schedule(node, key, request, asker, hops);
            }
            Message::Deployment { key, request, asker, hops } => {
                self.route_deployment(node, key, request, asker, hops);
            }
            Message::Standalone { key, request, asker, hops } => {
                self.route_standalone(node, key, request, asker, hops);
            }
            Message::Poll { key, poller, by, hops } => self.poll_arrives(node, key, *poller, by, hops),
            Message::CancelPoll { by } => {
                let found = self.nodes[node].polls.iter().find(|(_, poll)| **poll == by).map(|(id, _)| *id);
                if let Some(id) = found {
                    self.nodes[node].polls.remove(&id);
                    self.nodes[node].queues.cancel_poll(clock, id);
                    self.drain_queues(node);
                }
            }
            Message::TaskRefused { key, request } => {
                self.route(node, key.run.workflow, *request, Asker::Nobody, 0);
            }
        }
    }

    /// The leader is here, or one forward away.
    fn route(&mut self, node: usize, workflow: WorkflowKey, request: Request, asker: Asker, hops: u32) {
        let shard = self.shard_of(&workflow);
        match self.nodes[node].shells[shard].known_leader {
            Some(leader) if leader == node => {
                let shell = &mut self.nodes[node].shells[shard];
                let call = shell.next_call;
                shell.next_call += 1;
                shell.calls.insert(call, asker);
                self.trace.say(self.now, Some(&workflow.workflow_id.clone()), || {
                    format!("node {node} takes in call {call}: {}", crate::story::request(&request))
                });
                self.push_input(node, shard, Input::Request { call, workflow, request });
            }
            Some(leader) if hops == 0 => {
                let message = Message::Request { workflow, request: Box::new(request), asker, hops: 1 };
                self.send(Some(node), leader, message);
            }
            _ => {
                let reply = Err(Reject::Unavailable("no leader is known".into()));
                self.answer(node, shard, asker, reply);
            }
        }
    }

    /// An answer leaves the node, with the events that belong to it.
    fn answer(&mut self, node: usize, shard: usize, asker: Asker, reply: Result<Reply, Reject>) {
        if let Ok(reply) = &reply {
            self.handed_out(node, shard, reply);
        }
        let span = match &reply {
            Ok(Reply::WorkflowTask(task)) => Some(&task.history),
            Ok(Reply::Started(started)) => started.eager_task.as_ref().map(|task| &task.history),
            Ok(Reply::Completed(completed)) => completed.workflow_task.as_ref().map(|task| &task.history),
            _ => None,
        };
        let mut events = span.cloned().map(|span| self.events_of(node, shard, &span)).unwrap_or_default();
        if let (Asker::Schedule { .. }, Ok(Reply::State(state))) = (&asker, &reply) {
            events = self.nodes[node].shells[shard].tables.history(state.execution.key());
        }
        let answer = Box::new(Answer { reply, events });
        let (lost, delay) = (self.strikes(self.settings.message_lost), self.latency());
        match &asker {
            Asker::Nobody => return,
            Asker::Queue { node: home, .. }
            | Asker::Sender { node: home, .. }
            | Asker::Handler { node: home, .. }
            | Asker::Noted { node: home, .. }
            | Asker::Schedule { node: home, .. } => {
                let cut = *home != node && (self.nodes[*home].isolated || self.nodes[node].isolated);
                if (*home != node && lost) || cut {
                    return;
                }
            }
            Asker::Rpc { .. }
            | Asker::ScheduleClient { .. }
            | Asker::DeploymentClient { .. }
            | Asker::Activity { .. }
            | Asker::Operation { .. }
                if lost =>
            {
                self.coverage.hit("an answer was lost");
                return;
            }
            Asker::Rpc { .. }
            | Asker::ScheduleClient { .. }
            | Asker::DeploymentClient { .. }
            | Asker::Activity { .. }
            | Asker::Operation { .. } => {}
        }
        self.agenda.plan(self.now + delay, Event::Answer { to: asker, answer });
    }

    fn events_of(&mut self, node: usize, shard: usize, span: &HistorySpan) -> Vec<HistoryEvent> {
        let tables = &self.nodes[node].shells[shard].tables;
        // Deleted in the same entry, or since: who was given a task of it is told so when it answers.
        if World::execution(tables, &span.run).is_none() {
            return Vec::new();
        }
        let mut events: Vec<HistoryEvent> = tables
            .history(&span.run)
            .into_iter()
            .filter(|event| (span.from..=span.to).contains(&event.event_id))
            .collect();
        events.extend(span.suffix.iter().cloned());
        let ids: Vec<i64> = events.iter().map(|event| event.event_id).collect();
        if span.to > 0 && !ids.iter().copied().eq((span.from..).take(ids.len()))
            || (ids.len() as i64) < span.to - span.from + 1
        {
            let workflow = span.run.workflow.workflow_id.to_string();
            let text = format!("{:?} has events {ids:?}, wanted {}..={}", span.run, span.from, span.to);
            self.fail("a worker is given a history without gaps", Some(&workflow), text);
        }
        events
    }

    fn offer(&mut self, node: usize, shard: usize, offer: Offer) {
        let run = offer.run.clone();
        let (key, task) = to_queue(shard, offer);
        let home = self.home_of(node, &key);
        let sent = home.is_some_and(|home| self.send(Some(node), home, Message::Offer { key, task }));
        if !sent && self.random.chance(0.7) {
            let at = self.now + self.random.millis(1, 2_000);
            self.agenda.plan(at, Event::Arrive { node, message: Message::OfferRefused { run } });
        }
    }

    /// Where a queue lives, as this node sees it.
    fn home_of(&self, node: usize, key: &QueueKey) -> Option<usize> {
        let slot = everlog_engine::key::slot(&key.namespace_id, &key.name);
        self.nodes[node].shells[self.shard_of_slot(slot)].known_leader
    }

    /// Leadership changed: queues whose home is elsewhere are closed, shards offer anew.
    pub fn queues_move(&mut self, node: usize) {
        let clock = self.nodes[node].clock(self.now);
        let leaders: Vec<Option<usize>> =
            self.nodes[node].shells.iter().map(|shell| shell.known_leader).collect();
        let shards = self.settings.shards;
        self.nodes[node].queues.close_where(clock, |key| {
            let slot = everlog_engine::key::slot(&key.namespace_id, &key.name);
            leaders[usize::from(slot) * shards / usize::from(everlog_engine::key::SLOTS)] != Some(node)
        });
        self.drain_queues(node);
        for shard in 0..shards {
            if self.nodes[node].shells[shard].leads_in.is_some() {
                self.push_input(node, shard, Input::QueuesMoved);
            }
        }
    }

    fn poll_arrives(&mut self, node: usize, key: QueueKey, mut poller: Poller, by: PollBy, hops: u32) {
        match self.home_of(node, &key) {
            Some(home) if home != node && hops == 0 => {
                let poller = Box::new(poller);
                self.send(Some(node), home, Message::Poll { key, poller, by, hops: 1 });
            }
            None => self.poll_ends(by, None),
            _ => {
                let clock = self.nodes[node].clock(self.now);
                let id = self.nodes[node].next_poll;
                self.nodes[node].next_poll += 1;
                poller.id = id;
                self.nodes[node].polls.insert(id, by);
                self.nodes[node].queues.poll(clock, &key, poller);
                self.drain_queues(node);
            }
        }
    }

    pub fn queue_wake(&mut self, node: usize, life: u64) {
        if !self.is_life(node, life) {
            return;
        }
        if let Some(until) = self.nodes[node].paused_until {
            self.agenda.plan(until, Event::QueueWake { node, life });
            return;
        }
        if self.nodes[node].queue_wake.is_some_and(|planned| planned <= self.now) {
            self.nodes[node].queue_wake = None;
        }
        let clock = self.nodes[node].clock(self.now);
        self.nodes[node].queues.expire(clock);
        self.drain_queues(node);
    }

    fn drain_queues(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].queues.poll_output() {
            match output {
                queue::Output::Match(matched) => self.take(node, matched),
                queue::Output::PollerTimedOut { poller, .. }
                | queue::Output::PollerRefused { poller, .. } => {
                    if let Some(by) = self.nodes[node].polls.remove(&poller.id) {
                        self.poll_ends(by, None);
                    }
                }
                queue::Output::TaskRefused { task, reason, .. } => {
                    if let Some(request) = refusal_request(&task.key, reason) {
                        self.coverage.hit("a sticky queue had lost its worker");
                        let message = Message::TaskRefused { key: task.key, request: Box::new(request) };
                        self.send(Some(node), node, message);
                    }
                }
            }
        }
        let wake = self.nodes[node].queues.wake_at();
        if wake < Time::NEVER {
            let at = (wake - self.nodes[node].skew).max(self.now + Duration::from_micros(100));
            if self.nodes[node].queue_wake.is_none_or(|planned| at < planned) {
                self.nodes[node].queue_wake = Some(at);
                let life = self.nodes[node].life;
                self.agenda.plan(at, Event::QueueWake { node, life });
            }
        }
    }

    /// Asks the task's shard to hand it out to this poller.
    fn take(&mut self, node: usize, matched: Match) {
        let life = self.nodes[node].life;
        let take = self.nodes[node].next_take;
        self.nodes[node].next_take += 1;
        self.nodes[node].takes.insert(take);
        let standalone = crate::standalone::take_request(&matched);
        let workflow = take_request(&matched);
        let asker = Asker::Queue { node, life, take, matched: Box::new(matched) };
        let late = Answer { reply: Err(Reject::Unavailable("no answer".into())), events: Vec::new() };
        let event = Event::Answer { to: asker.clone(), answer: Box::new(late) };
        self.agenda.plan(self.now + TAKE_TIMEOUT, event);
        let message = match (standalone, workflow) {
            (Some((key, take)), _) => {
                let request = Box::new(StandaloneRequest::TakeActivity(take));
                Message::Standalone { key, request, asker, hops: 0 }
            }
            (None, Some((workflow, request))) => {
                Message::Request { workflow, request: Box::new(request), asker, hops: 0 }
            }
            (None, None) => return,
        };
        self.send(Some(node), node, message);
    }

    pub fn answered(&mut self, to: Asker, answer: Answer) {
        match to {
            Asker::Nobody => {}
            Asker::Sender { node, life, message } => self.delivered(node, life, *message, answer.reply),
            Asker::Handler { node, life, message } => {
                self.handler_started(node, life, *message, answer.reply);
            }
            Asker::ScheduleClient { schedule } => self.schedule_created(schedule, &answer.reply),
            Asker::DeploymentClient { made } => self.deployment_answered(made, &answer.reply),
            Asker::Activity { activity, about } => self.activity_answered(activity, about, &answer.reply),
            Asker::Operation { operation, about } => {
                self.operation_answered(operation, about, &answer.reply);
            }
            Asker::Schedule { node, life, shard, ask, request } => {
                self.asked(node, life, shard, ask, &request, answer);
            }
            Asker::Noted { node, life } => {
                if let Ok(Reply::Noted(Some(next))) = answer.reply
                    && self.is_life(node, life)
                {
                    self.post(node, *next);
                }
            }
            Asker::Rpc { rpc, attempt } => self.rpc_answered(rpc, attempt, answer),
            Asker::Queue { node, life, take, matched } => {
                if self.is_life(node, life) && self.nodes[node].takes.remove(&take) {
                    self.taken(node, *matched, answer);
                }
            }
        }
    }

    fn taken(&mut self, node: usize, matched: Match, answer: Answer) {
        let task = match answer.reply {
            Ok(Reply::WorkflowTask(task)) => PolledTask::Workflow(task.response, answer.events),
            Ok(Reply::ActivityTask(task)) => PolledTask::Activity(*task),
            _ => {
                let clock = self.nodes[node].clock(self.now);
                self.nodes[node].queues.match_failed(clock, &matched.queue, &matched.task.key);
                if self.nodes[node].polls.contains_key(&matched.poller.id) {
                    self.nodes[node].queues.poll(clock, &matched.queue, matched.poller);
                }
                self.drain_queues(node);
                return;
            }
        };
        match self.nodes[node].polls.remove(&matched.poller.id) {
            Some(by) => self.poll_ends(by, Some(Box::new(task))),
            None => self.coverage.hit("a task was handed out to a poller that had gone"),
        }
    }

    /// The answer to a poll leaves for its worker.
    fn poll_ends(&mut self, by: PollBy, task: Option<Box<PolledTask>>) {
        if self.strikes(self.settings.message_lost) {
            self.coverage.hit("a task was lost on its way to the worker");
            return;
        }
        let at = self.now + self.latency();
        let PollBy { worker, life, slot, poll } = by;
        self.agenda.plan(at, Event::Polled { worker, life, slot, poll, task });
    }
}

fn to_queue(shard: usize, offer: Offer) -> (QueueKey, Task) {
    let kind = match &offer.task {
        OfferedTask::Workflow { sticky: true, .. } | OfferedTask::Query { sticky: true, .. } => {
            QueueKind::Sticky
        }
        OfferedTask::Workflow { .. } | OfferedTask::Query { .. } => QueueKind::Workflow,
        OfferedTask::Activity { .. } | OfferedTask::StandaloneActivity { .. } => QueueKind::Activity,
        OfferedTask::Nexus { .. } => QueueKind::Nexus,
    };
    let key = QueueKey::unversioned(&offer.run.workflow.namespace_id, &offer.queue, kind);
    let task = Task {
        key: TaskKey { run: offer.run, task: offer.task },
        shard: shard as u16,
        queued_at: offer.scheduled_time,
        priority_key: offer.priority,
        fairness: offer.fairness,
        deadline: offer.deadline,
        placement: offer.placement,
    };
    (key, task)
}

/// None for a task of no workflow.
fn take_request(matched: &Match) -> Option<(WorkflowKey, Request)> {
    let run: &RunKey = &matched.task.key.run;
    let run_id = run.run_id.to_string();
    let identity = matched.poller.identity.clone();
    let request_id = matched.poller.request_id.clone();
    let queue = matched.queue.name.to_string();
    let request = match matched.task.key.task {
        OfferedTask::Workflow { scheduled_event_id, attempt, .. } => {
            Request::TakeWorkflowTask(TakeWorkflowTask {
                run_id,
                scheduled_event_id,
                attempt,
                queue,
                identity,
                request_id,
                build_id: String::new(),
                routed: Routed::default(),
            })
        }
        OfferedTask::Activity { scheduled_event_id, attempt, stamp } => {
            Request::TakeActivityTask(TakeActivityTask {
                run_id,
                scheduled_event_id,
                attempt,
                stamp,
                identity,
                request_id,
                build_id: String::new(),
                routed: Routed::default(),
            })
        }
        OfferedTask::Query { id, .. } => Request::TakeQuery(TakeQuery { run_id, query: id, queue, identity }),
        OfferedTask::StandaloneActivity { .. } | OfferedTask::Nexus { .. } => return None,
    };
    Some((run.workflow.clone(), request))
}

/// What a shard is told of a task that a queue will not keep.
fn refusal_request(key: &TaskKey, reason: Refusal) -> Option<Request> {
    let run_id = key.run.run_id.to_string();
    match (&key.task, reason) {
        (OfferedTask::Workflow { scheduled_event_id, sticky: true, .. }, Refusal::NoPoller) => {
            let scheduled_event_id = *scheduled_event_id;
            Some(Request::NoPoller { run_id, scheduled_event_id, query: None, sticky: true })
        }
        (OfferedTask::Query { id, sticky }, Refusal::NoPoller) => {
            let (query, sticky) = (Some(*id), *sticky);
            Some(Request::NoPoller { run_id, scheduled_event_id: 0, query, sticky })
        }
        _ => None,
    }
}
