//! Simulated workers: they poll, run programs and activities, answer queries; and they crash, forget,
//! dawdle, answer twice, or break rules that the server must hold.

use std::{collections::BTreeMap, time::Duration};

use everlog_engine::{
    codec::Proto,
    queue::{Poller, QueueKey, QueueKind},
    reply::Reply,
    request::{ActivityRef, Namespaces, Request},
    time::proto_duration,
    token::{TaskToken, TokenTask},
};
use everlog_proto::api::{
    command::v1::{Command, StartTimerCommandAttributes, command::Attributes as Attrs},
    enums::v1::{CommandType, QueryResultType, WorkflowTaskFailedCause},
    history::v1::HistoryEvent,
    query::v1::WorkflowQueryResult,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{
        PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse, RespondActivityTaskCanceledRequest,
        RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest,
        RespondQueryTaskCompletedRequest, RespondWorkflowTaskCompletedRequest,
        RespondWorkflowTaskFailedRequest, respond_workflow_task_completed_request::Capabilities,
    },
};

use crate::{
    agenda::{Event, Message, PollBy},
    machine::{self, Advance, QUEUE, failure, payloads, text_of},
    program::{ActivitySpec, Step},
    record::{ActivityResult, Completion, Ended, Execution, Told},
    rpc::{Outcome, Owner},
    sim::{NAMESPACE, Sim},
    updates::{self, Said},
};

const SLOTS: [QueueKind; 5] =
    [QueueKind::Workflow, QueueKind::Workflow, QueueKind::Sticky, QueueKind::Activity, QueueKind::Activity];
const STICKY_TIMEOUT: Duration = Duration::from_secs(3);
const RPC_TIMEOUT: Duration = Duration::from_secs(4);
/// Heartbeats after which an endless activity gives up by itself.
const HEARTBEATS_MAX: u32 = 60;
/// Tokens of answered tasks that a worker keeps, to try them again.
const SPENT_TOKENS_MAX: usize = 8;

/// What a poll brings.
#[derive(Clone, Debug)]
pub enum PolledTask {
    Workflow(PollWorkflowTaskQueueResponse, Vec<HistoryEvent>),
    Activity(PollActivityTaskQueueResponse),
}

#[derive(Debug)]
pub struct Worker {
    id: usize,
    life: u64,
    alive: bool,
    sticky: bool,
    /// Histories by run, as far as this worker knows them.
    pub cache: BTreeMap<String, Vec<HistoryEvent>>,
    polls: [Option<u64>; SLOTS.len()],
    next_poll: u64,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    /// Tokens of tasks that were answered, for a worker that does not know that.
    spent_tokens: Vec<TaskToken>,
}

#[derive(Clone, Debug)]
enum Job {
    Workflow(Box<WorkflowJob>),
    /// An answer is on its way; what it means is noted under this index.
    Completing {
        completion: usize,
        token: TaskToken,
        closes: bool,
        told: Told,
    },
    /// A failure of a task, a query's answer, a heartbeat that nobody waits for.
    Other,
    Query {
        token: TaskToken,
        answer: Option<String>,
    },
    Activity(Box<ActivityJob>),
    Resulting {
        result: usize,
    },
}

#[derive(Clone, Debug)]
struct WorkflowJob {
    token: TaskToken,
    response: PollWorkflowTaskQueueResponse,
    events: Vec<HistoryEvent>,
}

#[derive(Clone, Debug)]
struct ActivityJob {
    token: TaskToken,
    activity_id: String,
    attempt: i32,
    heartbeats_left: u32,
    end: End,
    waits_for_heartbeat: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Complete,
    Fail,
    Cancel,
}

impl Worker {
    pub fn new(id: usize, sticky: bool) -> Worker {
        Worker {
            id,
            life: 1,
            alive: true,
            sticky,
            cache: BTreeMap::new(),
            polls: Default::default(),
            next_poll: 1,
            jobs: BTreeMap::new(),
            next_job: 1,
            spent_tokens: Vec::new(),
        }
    }

    fn sticky_queue(&self) -> String {
        format!("sticky-{}-{}", self.id, self.life)
    }

    fn identity(&self) -> String {
        format!("worker-{}-{}", self.id, self.life)
    }

    fn begin(&mut self, job: Job) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        self.jobs.insert(id, job);
        id
    }

    fn is_busy_with(&self, token: &TaskToken) -> bool {
        self.jobs.values().any(|job| match job {
            Job::Workflow(job) => job.token.run == token.run,
            Job::Completing { token: other, .. } => other.run == token.run,
            _ => false,
        })
    }

    pub fn is_at_rest(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl Sim {
    pub fn start_polls(&mut self, worker: usize) {
        let life = self.workers[worker].life;
        for (slot, kind) in SLOTS.iter().enumerate() {
            if *kind != QueueKind::Sticky || self.workers[worker].sticky {
                let at = self.now + self.random.millis(0, 50);
                self.agenda.plan(at, Event::Poll { worker, life, slot });
            }
        }
    }

    pub fn crash_worker(&mut self, worker: usize) {
        if !self.workers[worker].alive {
            return;
        }
        self.trace.say(self.now, None, || format!("worker {worker} crashes"));
        self.coverage.hit("a worker crashed");
        if !self.workers[worker].is_at_rest() {
            self.coverage.hit("a worker crashed in the middle of a task");
        }
        let old = &mut self.workers[worker];
        let life = old.life + 1;
        *old = Worker { life, alive: false, ..Worker::new(old.id, old.sticky) };
        let at = self.now + self.random.millis(50, 8_000);
        self.agenda.plan(at, Event::WorkerRestarts { worker });
    }

    pub fn worker_restarts(&mut self, worker: usize) {
        self.workers[worker].alive = true;
        self.start_polls(worker);
    }

    fn is_worker_life(&self, worker: usize, life: u64) -> bool {
        self.workers[worker].alive && self.workers[worker].life == life
    }

    pub fn poll(&mut self, worker: usize, life: u64, slot: usize) {
        if !self.is_worker_life(worker, life) || self.workers[worker].polls[slot].is_some() {
            return;
        }
        let now = self.now;
        let patience = self.random.millis(4_000, 12_000);
        let of = &mut self.workers[worker];
        let poll = of.next_poll;
        of.next_poll += 1;
        of.polls[slot] = Some(poll);
        let kind = SLOTS[slot];
        let name = if kind == QueueKind::Sticky { of.sticky_queue() } else { QUEUE.to_owned() };
        let key = QueueKey::unversioned(NAMESPACE, &name, kind);
        let by = PollBy { worker, life, slot, poll };
        let poller = Box::new(Poller {
            identity: of.identity(),
            request_id: format!("{worker}.{life}.{slot}.{poll}"),
            deadline: Some(now + patience),
            ..Poller::default()
        });
        let node = self.random.below(self.nodes.len());
        self.send(None, node, Message::Poll { key, poller, by, hops: 0 });
        self.agenda.plan(now + patience, Event::PollTimeout { worker, life, slot, poll });
    }

    pub fn poll_timed_out(&mut self, worker: usize, life: u64, slot: usize, poll: u64) {
        if !self.is_worker_life(worker, life) || self.workers[worker].polls[slot] != Some(poll) {
            return;
        }
        self.workers[worker].polls[slot] = None;
        let by = PollBy { worker, life, slot, poll };
        for node in 0..self.nodes.len() {
            self.send(None, node, Message::CancelPoll { by });
        }
        self.poll(worker, life, slot);
    }

    pub fn polled(
        &mut self,
        worker: usize,
        life: u64,
        slot: usize,
        poll: u64,
        task: Option<Box<PolledTask>>,
    ) {
        if !self.is_worker_life(worker, life) || self.workers[worker].polls[slot] != Some(poll) {
            if task.is_some() {
                self.coverage.hit("a task came too late for its poll");
            }
            return;
        }
        self.workers[worker].polls[slot] = None;
        let pause = if task.is_some() { self.random.millis(0, 5) } else { self.random.millis(20, 200) };
        self.agenda.plan(self.now + pause, Event::Poll { worker, life, slot });
        match task.map(|task| *task) {
            Some(PolledTask::Workflow(response, events)) => self.take_workflow_task(worker, response, events),
            Some(PolledTask::Activity(task)) => self.take_activity(worker, task),
            None => {}
        }
    }

    /// A client that started a workflow, and is a worker too, got its first task with the answer.
    pub fn take_eager_task(
        &mut self,
        worker: usize,
        response: PollWorkflowTaskQueueResponse,
        events: Vec<HistoryEvent>,
    ) {
        if self.workers[worker].alive {
            self.take_workflow_task(worker, response, events);
        }
    }

    fn take_workflow_task(
        &mut self,
        worker: usize,
        response: PollWorkflowTaskQueueResponse,
        new: Vec<HistoryEvent>,
    ) {
        let Ok(token) = TaskToken::decode(&response.task_token) else {
            self.fail("a task token decodes", None, "it does not".into());
            return;
        };
        if self.strikes(self.settings.task_abandoned) {
            self.coverage.hit("a workflow task was abandoned");
            return;
        }
        let workflow = token.run.workflow.workflow_id.to_string();
        let run_id = token.run.run_id.to_string();
        self.trace.say(self.now, Some(&workflow), || {
            let last = new.last().map_or(0, |event| event.event_id);
            format!("worker {worker} gets {:?} with events up to {last}", token.task)
        });
        let events = match new.first().map(|event| event.event_id) {
            Some(1) => Some(new),
            // As long as an answer for this run is on its way, what is cached may not stand.
            _ if self.workers[worker].is_busy_with(&token) => None,
            first => self.workers[worker].cache.get(&run_id).and_then(|known| {
                let next = known.last().map_or(0, |event| event.event_id) + 1;
                let fits = first.is_none_or(|first| first == next);
                fits.then(|| known.iter().cloned().chain(new).collect::<Vec<HistoryEvent>>())
            }),
        };
        if let Some(query) = &response.query {
            let args = query.query_args.as_ref().map(text_of).unwrap_or_default();
            let answer = events.map(|events| self.query_answer(&args, &run_id, &events));
            self.coverage.hit("a query was answered directly");
            self.begin_job(worker, Job::Query { token, answer }, 0, 30);
            return;
        }
        let Some(events) = events else {
            self.coverage.hit("a sticky task met an empty cache");
            let request = RespondWorkflowTaskFailedRequest {
                cause: WorkflowTaskFailedCause::ResetStickyTaskQueue as i32,
                identity: self.workers[worker].identity(),
                ..Default::default()
            };
            self.fail_task(worker, token, request);
            return;
        };
        let slow = self.strikes(self.settings.task_slow);
        if slow {
            self.coverage.hit("a workflow task was answered after its time-out");
        }
        let (low, high) = if slow { (4_000, 14_000) } else { (0, 40) };
        let job = WorkflowJob { token, response, events };
        self.begin_job(worker, Job::Workflow(Box::new(job)), low, high);
    }

    fn begin_job(&mut self, worker: usize, job: Job, low: u64, high: u64) {
        let life = self.workers[worker].life;
        let job = self.workers[worker].begin(job);
        let at = self.now + self.random.millis(low, high);
        self.agenda.plan(at, Event::WorkerActs { worker, life, job });
    }

    fn call_for(&mut self, worker: usize, job: Job, token: &TaskToken, request: Request, attempts: u32) {
        let life = self.workers[worker].life;
        let job = self.workers[worker].begin(job);
        let owner = Owner::Worker { worker, life, job };
        self.call(token.run.workflow.clone(), request, owner, attempts, RPC_TIMEOUT);
    }

    pub fn worker_acts(&mut self, worker: usize, life: u64, job: u64) {
        if !self.is_worker_life(worker, life) {
            return;
        }
        match self.workers[worker].jobs.remove(&job) {
            Some(Job::Workflow(task)) => self.answer_task(worker, *task),
            Some(Job::Query { token, answer }) => self.answer_query(worker, token, answer),
            Some(Job::Activity(activity)) => self.activity_acts(worker, job, *activity),
            Some(other) => {
                self.workers[worker].jobs.insert(job, other);
            }
            None => {}
        }
    }

    fn answer_task(&mut self, worker: usize, task: WorkflowJob) {
        if self.strikes(self.settings.task_failed) {
            self.coverage.hit("a workflow task failed");
            let request = RespondWorkflowTaskFailedRequest {
                cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
                failure: Some(failure("panicked")),
                identity: self.workers[worker].identity(),
                ..Default::default()
            };
            self.fail_task(worker, task.token, request);
            return;
        }
        if self.strikes(0.05)
            && let Some(token) = self.workers[worker].spent_tokens.first().cloned()
        {
            self.coverage.hit("a spent token was used again");
            self.complete(worker, &token, &[], Advance::default(), Said::default(), Default::default());
        }
        let programs = self.programs.clone();
        let (_, _, held) = machine::replay(&programs, &task.events);
        let Some(mut advance) = held else {
            let workflow = task.token.run.workflow.workflow_id.to_string();
            let text = format!("the history of {:?} does not end with WorkflowTaskStarted", task.token);
            self.fail("a workflow task is given the history that belongs to it", Some(&workflow), text);
            return;
        };
        if self.strikes(self.settings.bad_command) && !closes(&advance.commands) {
            self.coverage.hit("a completion had a bad command");
            // After some good ones: all of them must be without effect.
            advance.commands.push(Command {
                command_type: CommandType::StartTimer as i32,
                attributes: Some(Attrs::StartTimerCommandAttributes(StartTimerCommandAttributes::default())),
                ..Default::default()
            });
        }
        let run_id = task.token.run.run_id.to_string();
        let mut results = std::collections::HashMap::new();
        for (id, query) in &task.response.queries {
            self.coverage.hit("a query travelled with a workflow task");
            let args = query.query_args.as_ref().map(text_of).unwrap_or_default();
            let answer = Some(payloads(&self.query_answer(&args, &run_id, &task.events)));
            let result_type = QueryResultType::Answered as i32;
            results.insert(id.clone(), WorkflowQueryResult { result_type, answer, ..Default::default() });
        }
        if self.strikes(self.settings.answer_doubled) {
            self.coverage.hit("a workflow task was answered twice");
            let said = updates::said(&task.response.messages, &task.events, closes(&advance.commands));
            self.complete(worker, &task.token, &task.events, advance.clone(), said, Default::default());
        }
        let said = updates::said(&task.response.messages, &task.events, closes(&advance.commands));
        self.complete(worker, &task.token, &task.events, advance, said, results);
    }

    fn complete(
        &mut self,
        worker: usize,
        token: &TaskToken,
        events: &[HistoryEvent],
        advance: Advance,
        said: Said,
        query_results: std::collections::HashMap<String, WorkflowQueryResult>,
    ) {
        let completion = self.records.completions.len();
        let run_id = token.run.run_id.to_string();
        let closes = closes(&advance.commands);
        let (inline, inlines) = (self.settings.inline_tasks, self.random.chance(0.7));
        let of = &mut self.workers[worker];
        if closes {
            of.cache.remove(&run_id);
        } else if of.sticky && !events.is_empty() {
            of.cache.insert(run_id, events.to_vec());
        }
        let sticky_attributes = of.sticky.then(|| StickyExecutionAttributes {
            worker_task_queue: Some(TaskQueue { name: of.sticky_queue(), ..Default::default() }),
            schedule_to_start_timeout: Some(proto_duration(STICKY_TIMEOUT)),
        });
        let inline = inline && inlines && of.sticky;
        let goes_back = completion.is_multiple_of(2);
        // The command that ends a run is the last.
        let mut commands = advance.commands.clone();
        let last = if closes { commands.pop() } else { None };
        commands.extend(said.commands);
        commands.extend(last);
        #[allow(deprecated, reason = "a field that workers may fill and histories show: it names the answer")]
        let request = RespondWorkflowTaskCompletedRequest {
            identity: of.identity(),
            binary_checksum: format!("completion-{completion}"),
            commands,
            messages: said.messages,
            capabilities: Some(Capabilities { discard_speculative_workflow_task_with_events: goes_back }),
            force_create_new_workflow_task: advance.heartbeat,
            return_new_workflow_task: inline,
            sticky_attributes,
            query_results,
            ..Default::default()
        };
        let workflow = token.run.workflow.workflow_id.to_string();
        self.trace.say(self.now, Some(&workflow), || {
            let kinds: Vec<String> =
                advance.commands.iter().map(|c| format!("{:?}", c.command_type())).collect();
            format!("worker {worker} completes {:?} as {completion}: {}", token.task, kinds.join(", "))
        });
        self.records.completions.push(Completion {
            run: token.run.clone(),
            spent: events.is_empty(),
            forgotten: false,
            ended: None,
        });
        let told = Told::new(token.run.clone(), events);
        let endpoints = crate::handler::endpoints();
        let namespaces = Namespaces { own: NAMESPACE.into(), endpoints, ..Namespaces::default() };
        let request =
            Request::CompleteWorkflowTask { token: token.clone(), request: Box::new(request), namespaces };
        let job = Job::Completing { completion, token: token.clone(), closes, told };
        self.call_for(worker, job, token, request, 4);
    }

    fn fail_task(&mut self, worker: usize, token: TaskToken, request: RespondWorkflowTaskFailedRequest) {
        self.workers[worker].cache.remove(&*token.run.run_id);
        let request = Request::FailWorkflowTask { token: token.clone(), request: Box::new(request) };
        self.call_for(worker, Job::Other, &token, request, 2);
    }

    fn query_answer(&self, args: &str, run_id: &str, events: &[HistoryEvent]) -> String {
        let (machine, _, _) = machine::replay(&self.programs, events);
        format!("{args}@{run_id}@{}", machine.signals_seen)
    }

    fn answer_query(&mut self, worker: usize, token: TaskToken, answer: Option<String>) {
        let kind = if answer.is_some() { QueryResultType::Answered } else { QueryResultType::Failed };
        let request = RespondQueryTaskCompletedRequest {
            completed_type: kind as i32,
            query_result: answer.map(|answer| payloads(&answer)),
            ..Default::default()
        };
        let request = Request::AnswerQuery { token: token.clone(), request: Box::new(request) };
        self.call_for(worker, Job::Other, &token, request, 2);
    }

    fn take_activity(&mut self, worker: usize, task: PollActivityTaskQueueResponse) {
        let Ok(token) = TaskToken::decode(&task.task_token) else {
            self.fail("a task token decodes", None, "it does not".into());
            return;
        };
        if matches!(token.task, TokenTask::StandaloneActivity { .. }) {
            self.take_standalone(worker, token);
            return;
        }
        let TokenTask::Activity { scheduled_event_id, .. } = token.task else { return };
        let workflow = token.run.workflow.workflow_id.to_string();
        let Some(spec) = self.spec_of(&task) else {
            self.fail("an activity task carries its input", Some(&workflow), format!("{task:?}"));
            return;
        };
        self.trace.say(self.now, Some(&workflow), || {
            format!("worker {worker} runs {} attempt {}", task.activity_id, task.attempt)
        });
        self.records.executions.push(Execution {
            run: token.run.clone(),
            scheduled_event_id,
            once: spec.attempts_max == 1,
        });
        if self.strikes(self.settings.activity_abandoned) {
            self.coverage.hit("an activity was abandoned");
            return;
        }
        let fails = task.attempt <= spec.failures || self.strikes(self.settings.activity_failed);
        let slow = self.strikes(self.settings.activity_slow);
        let heartbeats = spec.heartbeats && (spec.endless || self.random.chance(0.7));
        let heartbeats_left = match (heartbeats, spec.endless) {
            (false, _) => 0,
            (true, true) => HEARTBEATS_MAX,
            (true, false) => self.random.between(1, 3) as u32,
        };
        let job = ActivityJob {
            token,
            activity_id: task.activity_id.clone(),
            attempt: task.attempt,
            heartbeats_left,
            end: if fails { End::Fail } else { End::Complete },
            waits_for_heartbeat: false,
        };
        let longest = spec.start_to_close.as_millis() as u64;
        let (low, high) = if slow { (longest, longest * 2) } else { (0, 300) };
        self.begin_job(worker, Job::Activity(Box::new(job)), low, high);
    }

    fn spec_of(&self, task: &PollActivityTaskQueueResponse) -> Option<ActivitySpec> {
        let input = text_of(task.input.as_ref()?);
        let (program, step) = input.split_once('|')?;
        let step =
            self.programs.get(program.parse::<usize>().ok()?)?.steps.get(step.parse::<usize>().ok()?)?;
        let k: usize = task.activity_id.split_once('.')?.1.parse().ok()?;
        match step {
            Step::Activities(specs) => specs.get(k).cloned(),
            Step::CancelActivity(spec, _) => Some(spec.clone()),
            _ => None,
        }
    }

    fn activity_acts(&mut self, worker: usize, id: u64, mut job: ActivityJob) {
        let identity = self.workers[worker].identity();
        let token = job.token.clone();
        let of = ActivityRef::Token(token.clone());
        if job.heartbeats_left > 0 && job.end != End::Cancel {
            job.heartbeats_left -= 1;
            job.waits_for_heartbeat = true;
            let details = Some(Box::new(Proto(payloads(&format!("{} left", job.heartbeats_left)))));
            self.workers[worker].jobs.insert(id, Job::Activity(Box::new(job)));
            let owner = Owner::Worker { worker, life: self.workers[worker].life, job: id };
            let request = Request::HeartbeatActivity { of, details, identity };
            self.call(token.run.workflow, request, owner, 1, Duration::from_secs(1));
            return;
        }
        let by_id = job.end == End::Complete && self.strikes(0.1);
        let of = if by_id {
            self.coverage.hit("an activity was completed by its id");
            ActivityRef::Id { run_id: token.run.run_id.to_string(), activity_id: job.activity_id.clone() }
        } else {
            of
        };
        if job.end == End::Complete && self.strikes(self.settings.answer_doubled) {
            self.coverage.hit("an activity was answered twice");
            self.end_activity(worker, &job, of.clone(), by_id);
        }
        self.end_activity(worker, &job, of, by_id);
    }

    fn end_activity(&mut self, worker: usize, job: &ActivityJob, of: ActivityRef, by_id: bool) {
        let identity = self.workers[worker].identity();
        let TokenTask::Activity { scheduled_event_id, .. } = job.token.task else { return };
        let workflow = job.token.run.workflow.workflow_id.to_string();
        let request = match job.end {
            End::Complete => {
                let result = self.records.results.len();
                self.records.results.push(ActivityResult {
                    run: job.token.run.clone(),
                    scheduled_event_id,
                    attempt: (!by_id).then_some(job.attempt),
                    ended: None,
                });
                self.trace.say(self.now, Some(&workflow), || {
                    format!(
                        "worker {worker} completes {} attempt {} as {result}",
                        job.activity_id, job.attempt
                    )
                });
                let request = RespondActivityTaskCompletedRequest {
                    result: Some(payloads(&format!("result-{result}"))),
                    identity,
                    ..Default::default()
                };
                let request = Request::CompleteActivity { of, request: Box::new(request) };
                self.call_for(worker, Job::Resulting { result }, &job.token, request, 4);
                return;
            }
            End::Fail => {
                let failure = Some(failure("on purpose"));
                let request = RespondActivityTaskFailedRequest { failure, identity, ..Default::default() };
                Request::FailActivity { of, request: Box::new(request) }
            }
            End::Cancel => {
                self.coverage.hit("an activity was cancelled by its worker");
                let request = RespondActivityTaskCanceledRequest { identity, ..Default::default() };
                Request::CancelActivity { of, request: Box::new(request) }
            }
        };
        self.call_for(worker, Job::Other, &job.token, request, 4);
    }

    /// What a worker asked for has been answered, or will never be.
    pub fn job_answered(&mut self, worker: usize, life: u64, job: u64, outcome: Outcome) {
        let lives = self.is_worker_life(worker, life);
        // What was acknowledged counts, whether or not the worker lives to hear it. A dead worker's job is
        // gone, and with it the index, so only the living are looked at.
        if !lives {
            return;
        }
        match self.workers[worker].jobs.remove(&job) {
            Some(Job::Completing { completion, token, closes, told }) => {
                self.completed(worker, completion, token, closes, told, outcome);
            }
            Some(Job::Resulting { result }) => {
                if let Outcome::Refused { .. } = &outcome {
                    self.coverage.hit("an activity's completion was refused");
                }
                self.records.results[result].ended = Some(Ended::of(&outcome));
            }
            Some(Job::Activity(mut activity)) if activity.waits_for_heartbeat => {
                activity.waits_for_heartbeat = false;
                match outcome {
                    Outcome::Done { reply: Reply::Heartbeat { cancel_requested: true, .. }, .. } => {
                        activity.end = End::Cancel;
                    }
                    Outcome::Refused { .. } => {
                        self.coverage.hit("a heartbeat was refused");
                        return;
                    }
                    _ => {}
                }
                let at = self.now + self.random.millis(50, 300);
                self.workers[worker].jobs.insert(job, Job::Activity(activity));
                self.agenda.plan(at, Event::WorkerActs { worker, life, job });
            }
            _ => {}
        }
    }

    fn completed(
        &mut self,
        worker: usize,
        completion: usize,
        token: TaskToken,
        closes: bool,
        told: Told,
        outcome: Outcome,
    ) {
        self.records.completions[completion].ended = Some(Ended::of(&outcome));
        let Outcome::Done { reply: Reply::Completed(reply), events } = outcome else {
            if closes {
                self.coverage.hit("a completion that closes was refused or got lost");
            }
            self.workers[worker].cache.remove(&*token.run.run_id);
            return;
        };
        self.coverage.hit("a workflow task was completed");
        let run_id = token.run.run_id.to_string();
        self.workers[worker].spent_tokens.push(token);
        if self.workers[worker].spent_tokens.len() > SPENT_TOKENS_MAX {
            self.workers[worker].spent_tokens.remove(0);
        }
        let reset_to = reply.response.reset_history_event_id;
        if reply.is_forgotten {
            self.coverage.hit("a task that brought only updates was forgotten");
            self.records.completions[completion].forgotten = true;
            if let Some(events) = self.workers[worker].cache.get_mut(&run_id) {
                events.retain(|event| event.event_id <= reset_to);
            }
        } else if told.events > 0 {
            self.records.told.push(told);
        }
        if let Some(inline) = reply.workflow_task {
            self.coverage.hit("a workflow task came with the completion of the one before");
            self.take_workflow_task(worker, inline.response, events);
        }
        for task in reply.response.activity_tasks {
            self.coverage.hit("an activity was started eagerly");
            self.take_activity(worker, task);
        }
    }
}

fn closes(commands: &[Command]) -> bool {
    commands.last().is_some_and(|command| {
        matches!(
            command.command_type(),
            CommandType::CompleteWorkflowExecution
                | CommandType::FailWorkflowExecution
                | CommandType::CancelWorkflowExecution
                | CommandType::ContinueAsNewWorkflowExecution
        )
    })
}
