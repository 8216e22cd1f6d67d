//! Schedules in the simulation: a few clients create one each and ask until they are answered; from then on
//! the calendar acts. Every schedule takes a fixed number of actions, so its end is known beforehand.

use std::time::Duration;

use everlog_engine::{
    reject::Reject,
    reply::Reply,
    schedule::{
        ScheduleKey,
        ask::{Ask, Asked},
        request::ScheduleRequest,
        turn::fill_in_policies,
    },
    shard::{Input as ShardInput, World},
    time::proto_duration,
};
use everlog_proto::api::{
    common::v1::WorkflowType,
    enums::v1::ScheduleOverlapPolicy,
    schedule::v1::{
        IntervalSpec, Schedule, ScheduleAction, SchedulePolicies, ScheduleSpec, ScheduleState,
        schedule_action::Action,
    },
    taskqueue::v1::TaskQueue,
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::CreateScheduleRequest,
};

use crate::{
    agenda::{Answer, Asker, Event, Message},
    machine::{Input, QUEUE},
    random::Random,
    settings::Settings,
    sim::{NAMESPACE, Sim},
};

/// How long a question on its way is waited for, beyond what it waits for itself.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// A schedule that somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: ScheduleKey,
    pub interval: Duration,
    pub actions: i64,
    create: CreateScheduleRequest,
    created: bool,
}

pub fn draw(settings: &Settings, random: &mut Random) -> Vec<Wanted> {
    (0..random.below(4)).map(|number| Wanted::draw(settings, number, random)).collect()
}

impl Wanted {
    fn draw(settings: &Settings, number: usize, random: &mut Random) -> Wanted {
        let id = format!("sched-{number}");
        let interval = Duration::from_secs(random.between(1, 8) as u64);
        let actions = random.between(1, 8) as i64;
        // Policies under which every time leads to a start; the others depend on how long workflows take.
        let overlap = *random.pick(&[ScheduleOverlapPolicy::AllowAll, ScheduleOverlapPolicy::BufferAll]);
        // Programs of hot ids wait for nobody.
        let input = Input { program: settings.workflows, ..Input::default() };
        let action = NewWorkflowExecutionInfo {
            workflow_id: id.clone(),
            workflow_type: Some(WorkflowType { name: "Program".into() }),
            task_queue: Some(TaskQueue { name: QUEUE.into(), ..TaskQueue::default() }),
            input: Some(input.encode()),
            ..NewWorkflowExecutionInfo::default()
        };
        let every = IntervalSpec { interval: Some(proto_duration(interval)), phase: None };
        let mut policies = SchedulePolicies { overlap_policy: overlap as i32, ..SchedulePolicies::default() };
        fill_in_policies(&mut policies);
        let schedule = Schedule {
            spec: Some(ScheduleSpec { interval: vec![every], ..ScheduleSpec::default() }),
            action: Some(ScheduleAction { action: Some(Action::StartWorkflow(action)) }),
            policies: Some(policies),
            state: Some(ScheduleState {
                limited_actions: true,
                remaining_actions: actions,
                ..ScheduleState::default()
            }),
        };
        let create = CreateScheduleRequest {
            namespace: NAMESPACE.into(),
            schedule_id: id.clone(),
            schedule: Some(schedule),
            request_id: format!("create-{id}"),
            ..CreateScheduleRequest::default()
        };
        Wanted { key: ScheduleKey::new(NAMESPACE, &id), interval, actions, create, created: false }
    }
}

impl Sim {
    /// A client asks for its schedule, at whatever node, until it is told that it is there.
    pub fn want_schedule(&mut self, index: usize) {
        let wanted = &self.schedules[index];
        if wanted.created {
            return;
        }
        let key = wanted.key.clone();
        let request = Box::new(ScheduleRequest::Create(Box::new(wanted.create.clone())));
        let node = self.random.below(self.nodes.len());
        let asker = Asker::ScheduleClient { schedule: index };
        self.send(None, node, Message::Schedule { key, request, asker, hops: 0 });
        let at = self.now + self.random.millis(500, 3_000);
        self.agenda.plan(at, Event::WantSchedule { schedule: index });
    }

    pub fn schedule_created(&mut self, index: usize, reply: &Result<Reply, Reject>) {
        if reply.is_ok() && !self.schedules[index].created {
            self.schedules[index].created = true;
            self.coverage.hit("a schedule was created");
        }
    }

    /// The leader is here, or one forward away.
    pub fn route_schedule(
        &mut self,
        node: usize,
        key: ScheduleKey,
        request: Box<ScheduleRequest>,
        asker: Asker,
        hops: u32,
    ) {
        let shard = self.shard_of_slot(key.slot());
        match self.nodes[node].shells[shard].known_leader {
            Some(leader) if leader == node => {
                let shell = &mut self.nodes[node].shells[shard];
                let call = shell.next_call;
                shell.next_call += 1;
                shell.calls.insert(call, asker);
                self.push_input(node, shard, ShardInput::Schedule { call, key, request: *request });
            }
            Some(leader) if hops == 0 => {
                self.send(Some(node), leader, Message::Schedule { key, request, asker, hops: 1 });
            }
            // The client asks again by itself.
            _ => {}
        }
    }

    /// A question of a schedule leaves for its workflow. If nothing comes back, that is an answer too.
    pub fn ask(
        &mut self,
        node: usize,
        shard: usize,
        ask: u64,
        workflow: everlog_engine::key::WorkflowKey,
        request: Ask,
    ) {
        let patience = match &request {
            Ask::Watch { timeout_ms, .. } => Duration::from_millis(*timeout_ms) + ASK_TIMEOUT,
            _ => ASK_TIMEOUT,
        };
        let asked = Box::new(request.request(&workflow.workflow_id));
        let life = self.nodes[node].life;
        let asker = Asker::Schedule { node, life, shard, ask, request: Box::new(request) };
        let late = Answer { reply: Err(Reject::Unavailable("no answer".into())), events: Vec::new() };
        let event = Event::Answer { to: asker.clone(), answer: Box::new(late) };
        self.agenda.plan(self.now + patience, event);
        self.send(Some(node), node, Message::Request { workflow, request: asked, asker, hops: 0 });
    }

    pub fn asked(
        &mut self,
        node: usize,
        life: u64,
        shard: usize,
        ask: u64,
        request: &Ask,
        mut answer: Answer,
    ) {
        if !self.is_life(node, life) {
            return;
        }
        let logs = &self.logs;
        let answer = request.conclude(
            answer.reply,
            |_| answer.events.pop(),
            |run_id| {
                let runs = logs.iter().flat_map(|log| log.begun.iter().map(move |run| (log, run)));
                let (log, run) = runs.into_iter().find(|(_, run)| &*run.run_id == run_id)?;
                Some(World::execution(&log.truth, run)?.create_request_id.clone())
            },
        );
        match &answer {
            Asked::Started { .. } => self.coverage.hit("a schedule started a workflow"),
            Asked::Closed(_) => self.coverage.hit("a schedule heard of a workflow's end"),
            Asked::Refused(_) => self.coverage.hit("a question of a schedule was repeated"),
            Asked::Done | Asked::Running => {}
        }
        self.push_input(node, shard, ShardInput::Answered { ask, answer });
    }

    /// The state of those that have not.
    pub fn schedules_not_done(&self) -> String {
        let state = |wanted: &Wanted| {
            let log = &self.logs[self.shard_of_slot(wanted.key.slot())];
            World::schedule(&log.truth, &wanted.key)
        };
        let open = self
            .schedules
            .iter()
            .filter(|wanted| state(wanted).is_none_or(|state| state.counts.actions < wanted.actions));
        open.map(|wanted| format!("{:?} wants {} actions: {:?}", wanted.key, wanted.actions, state(wanted)))
            .collect()
    }

    /// Whether all schedules have taken their actions.
    pub fn schedules_are_done(&self) -> bool {
        self.schedules.iter().all(|wanted| {
            let log = &self.logs[self.shard_of_slot(wanted.key.slot())];
            let state = World::schedule(&log.truth, &wanted.key);
            wanted.created && state.is_some_and(|state| state.counts.actions >= wanted.actions)
        })
    }
}
