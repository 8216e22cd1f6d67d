//! Clients: each session does one thing after the other, and knows what it was told.
//!
//! Starts and the signals that programs wait for are repeated, always with the same request id, until
//! there is an answer. Queries, reads and the fights over hot ids give up after a few attempts.

use std::{collections::VecDeque, time::Duration};

use everlog_engine::{key::WorkflowKey, request::Request, shard::World, time::proto_duration};
use everlog_engine::{reject::Reject, reply::Reply};
use everlog_proto::api::{
    common::v1::{RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::{
        QueryRejectCondition, UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowIdConflictPolicy,
        WorkflowIdReusePolicy,
    },
    query::v1::WorkflowQuery,
    taskqueue::v1::TaskQueue,
    update::v1::WaitPolicy,
    workflowservice::v1::{
        PauseWorkflowExecutionRequest, RequestCancelWorkflowExecutionRequest,
        SignalWithStartWorkflowExecutionRequest, SignalWorkflowExecutionRequest,
        StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest,
        UpdateWorkflowExecutionRequest,
    },
};

use crate::{
    agenda::Event,
    machine::{Input, QUEUE, payloads},
    program::Program,
    random::Random,
    record::{Op, OpKind},
    rpc::{Outcome, Owner},
    settings::Settings,
    sim::{NAMESPACE, Sim},
    updates::update_body,
};

/// For what has to succeed in the end.
const ATTEMPTS_UNTIL_ANSWERED: u32 = 100_000;
const ATTEMPTS_FEW: u32 = 3;
const RPC_TIMEOUT: Duration = Duration::from_secs(4);
const QUERY_TIMEOUT_MS: u64 = 8_000;
const WATCH_TIMEOUT_MS: u64 = 3_000;
const UPDATE_TIMEOUT_MS: u64 = 3_000;
/// A run that has completed no workflow task has no point to go back to yet.
const PAUSE_UNTIL_RESETTABLE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Session {
    pub begin: Duration,
    plan: VecDeque<Planned>,
    current: Option<Planned>,
    hot: bool,
}

#[derive(Clone, Debug)]
struct Planned {
    pause: Duration,
    kind: OpKind,
    workflow: String,
    program: usize,
    until_answered: bool,
    /// An update that was asked for before goes on under its id.
    update_id: Option<String>,
}

impl Session {
    pub fn is_done(&self) -> bool {
        self.plan.is_empty() && self.current.is_none()
    }
}

pub fn draw(settings: &Settings, programs: &[Program], random: &mut Random) -> Vec<Session> {
    let mut sessions = Vec::new();
    let mut resets = Random::of(settings.seed, 8);
    let safety = settings.safety.as_millis() as u64;
    for (program, of) in programs.iter().enumerate().take(settings.workflows) {
        let workflow = format!("wf-{program}");
        let begin = random.millis(600, safety * 7 / 10);
        let op = |kind, pause, until_answered| Planned {
            pause,
            kind,
            workflow: workflow.clone(),
            program,
            until_answered,
            update_id: None,
        };
        let start = *random.pick(&[
            OpKind::Start,
            OpKind::Start,
            OpKind::StartUsingExisting,
            if of.signals_needed() > 0 { OpKind::SignalWithStart } else { OpKind::Start },
        ]);
        let mut plan = VecDeque::from([op(start, Duration::ZERO, true)]);
        if random.chance(0.2) {
            plan.push_back(op(OpKind::Cancel, random.millis(1, 6_000), true));
        } else if random.chance(0.05) {
            plan.push_back(op(OpKind::Terminate, random.millis(1, 6_000), true));
        }
        let ends_by_itself = plan.len() == 1;
        sessions.push(Session { begin, plan, current: None, hot: false });
        let mut left = of.signals_needed();
        if left == 0 && random.chance(0.3) {
            left = random.between(1, 3);
        } else if left > 0 {
            left += random.below(3);
        }
        let senders = random.between(1, 2);
        for sender in 0..senders {
            let count = if sender + 1 == senders { left } else { left / 2 };
            left -= count;
            let plan = (0..count).map(|_| op(OpKind::Signal, random.millis(0, 2_500), true)).collect();
            sessions.push(Session { begin, plan, current: None, hot: false });
        }
        for _ in 0..random.below(3) {
            let count = random.between(1, 4);
            let plan = (0..count).map(|_| op(OpKind::Update, random.millis(0, 2_500), true)).collect();
            sessions.push(Session { begin, plan, current: None, hot: false });
        }
        // One client alone: what reaches the run that a first reset has made is no part of a second one's base.
        if ends_by_itself && of.can_be_reset() && resets.chance(0.4) {
            let count = resets.between(1, 3);
            let plan = (0..count).map(|_| op(OpKind::Reset, resets.millis(50, 5_000), true)).collect();
            sessions.push(Session { begin, plan, current: None, hot: false });
        }
    }
    for _ in 0..random.between(1, 3) {
        let begin = random.millis(500, 5_000);
        let plan = (0..random.between(5, 25)).map(|_| {
            let program = random.below(settings.workflows);
            let kind = *random.pick(&[
                OpKind::Query,
                OpKind::Query,
                OpKind::Read,
                OpKind::Read,
                OpKind::Watch,
                OpKind::ResetSticky,
            ]);
            let pause = random.millis(1, 3_000);
            let workflow = format!("wf-{program}");
            Planned { pause, kind, workflow, program, until_answered: false, update_id: None }
        });
        sessions.push(Session { begin, plan: plan.collect(), current: None, hot: false });
    }
    sessions.extend(draw_pauses(settings, random));
    for hot in 0..settings.hot_ids {
        let deletes = random.chance(0.3);
        for _ in 0..3 {
            let plan = (0..random.between(3, 9)).map(|_| {
                let kind = *random.pick(&[
                    OpKind::Start,
                    OpKind::Start,
                    OpKind::StartUsingExisting,
                    OpKind::StartTerminating,
                    OpKind::SignalWithStart,
                    OpKind::Signal,
                    OpKind::Read,
                    OpKind::Cancel,
                    OpKind::Terminate,
                    OpKind::Update,
                    if deletes { OpKind::Delete } else { OpKind::Query },
                ]);
                Planned {
                    pause: random.millis(1, 3_000),
                    kind,
                    workflow: format!("hot-{hot}"),
                    program: settings.workflows + hot,
                    until_answered: false,
                    update_id: None,
                }
            });
            let plan = plan.collect();
            sessions.push(Session { begin: random.millis(500, safety / 3), plan, current: None, hot: true });
        }
    }
    sessions
}

/// Some workflows are paused and let go on, once or a few times. A pause that the network delivers late may be
/// the last that a workflow hears; so each is let go on once more, when nothing is on its way any longer.
fn draw_pauses(settings: &Settings, random: &mut Random) -> Vec<Session> {
    const LATE: Duration = Duration::from_secs(15);
    let safety = settings.safety.as_millis() as u64;
    let mut sessions = Vec::new();
    for program in 0..settings.workflows {
        if !random.chance(0.3) {
            continue;
        }
        let op = |kind, pause| Planned {
            pause,
            kind,
            workflow: format!("wf-{program}"),
            program,
            until_answered: true,
            update_id: None,
        };
        let mut plan = VecDeque::new();
        for _ in 0..random.between(1, 3) {
            plan.push_back(op(OpKind::Pause, random.millis(0, 4_000)));
            plan.push_back(op(OpKind::Unpause, random.millis(1, 6_000)));
        }
        sessions.push(Session {
            begin: random.millis(600, safety * 8 / 10),
            plan,
            current: None,
            hot: false,
        });
        let plan = VecDeque::from([op(OpKind::Unpause, Duration::ZERO)]);
        sessions.push(Session { begin: settings.safety + LATE, plan, current: None, hot: false });
    }
    sessions
}

impl Sim {
    pub fn session_acts(&mut self, session: usize) {
        let Some(planned) = self.sessions[session].plan.pop_front() else { return };
        let op = self.records.ops.len();
        let key = WorkflowKey::new(NAMESPACE, &planned.workflow);
        let truth = &self.logs[self.shard_of(&key)].truth;
        let floor = World::current(truth, &key).and_then(|run_id| {
            let execution = World::execution(truth, &key.run(&run_id))?;
            Some((run_id, execution.version))
        });
        let request_id = match (&planned.update_id, planned.kind) {
            (Some(id), _) => id.clone(),
            (None, OpKind::Update) => format!("u-{op}"),
            (None, _) => format!("op-{op}"),
        };
        let hot = self.sessions[session].hot;
        let Some(request) = self.request_of(&planned, &request_id, hot) else {
            self.sessions[session].plan.push_front(planned);
            self.agenda.plan(self.now + PAUSE_UNTIL_RESETTABLE, Event::Session { session });
            return;
        };
        self.sessions[session].current = Some(planned.clone());
        self.records.ops.push(Op {
            session,
            kind: planned.kind,
            workflow: planned.workflow.clone(),
            request_id,
            invoked: self.now,
            ended: None,
            repeated: false,
            refusal: None,
            run_id: None,
            answer: None,
            floor,
            seen: None,
        });
        self.trace.say(self.now, Some(&planned.workflow), || {
            format!("client {session} calls op-{op}: {:?}", planned.kind)
        });
        let attempts = if planned.until_answered { ATTEMPTS_UNTIL_ANSWERED } else { ATTEMPTS_FEW };
        let timeout = match planned.kind {
            OpKind::Query => Duration::from_millis(QUERY_TIMEOUT_MS + 1_000),
            OpKind::Watch => Duration::from_millis(WATCH_TIMEOUT_MS + 2_000),
            OpKind::Update => Duration::from_millis(UPDATE_TIMEOUT_MS + 2_000),
            _ => RPC_TIMEOUT,
        };
        self.call(key, request, Owner::Session { session, op }, attempts, timeout);
    }

    /// None: it is too early to ask.
    fn request_of(&mut self, planned: &Planned, request_id: &str, hot: bool) -> Option<Request> {
        let run_id = String::new();
        let execution =
            Some(WorkflowExecution { workflow_id: planned.workflow.clone(), run_id: run_id.clone() });
        Some(match planned.kind {
            OpKind::Reset => return self.reset_request(&planned.workflow, request_id),
            OpKind::Start | OpKind::StartUsingExisting | OpKind::StartTerminating => {
                Request::Start(Box::new(self.start_request(planned, request_id, hot)))
            }
            OpKind::SignalWithStart => {
                let start = self.start_request(planned, request_id, hot);
                Request::SignalWithStart(Box::new(SignalWithStartWorkflowExecutionRequest {
                    workflow_id: start.workflow_id,
                    workflow_type: start.workflow_type,
                    task_queue: start.task_queue,
                    input: start.input,
                    workflow_task_timeout: start.workflow_task_timeout,
                    request_id: request_id.into(),
                    identity: start.identity,
                    workflow_id_reuse_policy: start.workflow_id_reuse_policy,
                    retry_policy: start.retry_policy,
                    signal_name: "signal".into(),
                    signal_input: Some(payloads(request_id)),
                    ..Default::default()
                }))
            }
            OpKind::Signal => Request::Signal(Box::new(SignalWorkflowExecutionRequest {
                workflow_execution: execution,
                signal_name: "signal".into(),
                input: Some(payloads(request_id)),
                request_id: request_id.into(),
                identity: "client".into(),
                ..Default::default()
            })),
            OpKind::Cancel => Request::Cancel(Box::new(RequestCancelWorkflowExecutionRequest {
                workflow_execution: execution,
                request_id: request_id.into(),
                identity: "client".into(),
                ..Default::default()
            })),
            OpKind::Terminate => Request::Terminate(Box::new(TerminateWorkflowExecutionRequest {
                workflow_execution: execution,
                reason: request_id.into(),
                identity: "client".into(),
                ..Default::default()
            })),
            OpKind::Delete => Request::Delete { run_id },
            OpKind::Query => Request::Query {
                run_id,
                query: Box::new(WorkflowQuery {
                    query_type: "signals".into(),
                    query_args: Some(payloads(request_id)),
                    ..Default::default()
                }),
                reject: QueryRejectCondition::None,
                timeout_ms: QUERY_TIMEOUT_MS,
            },
            OpKind::Read => Request::Read { run_id },
            OpKind::Watch => {
                let (seen, until_closed) = (self.random.below(20) as i64, self.random.chance(0.3));
                Request::Watch {
                    run_id,
                    seen,
                    until_closed,
                    until_paused: true,
                    timeout_ms: WATCH_TIMEOUT_MS,
                }
            }
            OpKind::ResetSticky => Request::ResetSticky { run_id },
            OpKind::Pause => Request::PauseWorkflow(Box::new(PauseWorkflowExecutionRequest {
                workflow_id: planned.workflow.clone(),
                request_id: request_id.into(),
                identity: "client".into(),
                ..Default::default()
            })),
            OpKind::Unpause => Request::UnpauseWorkflow(Box::new(UnpauseWorkflowExecutionRequest {
                workflow_id: planned.workflow.clone(),
                request_id: request_id.into(),
                identity: "client".into(),
                ..Default::default()
            })),
            OpKind::Update => {
                let update = UpdateWorkflowExecutionRequest {
                    workflow_execution: execution,
                    wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed as i32 }),
                    request: Some(update_body(request_id)),
                    ..Default::default()
                };
                let (update, timeout_ms) = (Box::new(update), UPDATE_TIMEOUT_MS);
                if hot && self.random.chance(0.5) {
                    let mut start = self.start_request(planned, &format!("{request_id}-start"), hot);
                    start.workflow_id_conflict_policy = WorkflowIdConflictPolicy::UseExisting as i32;
                    start.workflow_start_delay = None;
                    start.request_eager_execution = false;
                    return Some(Request::UpdateWithStart { start: Box::new(start), update, timeout_ms });
                }
                Request::Update { request: update, timeout_ms }
            }
        })
    }

    fn start_request(
        &mut self,
        planned: &Planned,
        request_id: &str,
        hot: bool,
    ) -> StartWorkflowExecutionRequest {
        let program = &self.programs[planned.program];
        let reuse =
            if hot { WorkflowIdReusePolicy::AllowDuplicate } else { WorkflowIdReusePolicy::RejectDuplicate };
        let conflict = match planned.kind {
            OpKind::StartUsingExisting => WorkflowIdConflictPolicy::UseExisting,
            OpKind::StartTerminating => WorkflowIdConflictPolicy::TerminateExisting,
            _ => WorkflowIdConflictPolicy::Fail,
        };
        let retry_policy = (program.failing_runs > 0).then(|| RetryPolicy {
            initial_interval: Some(proto_duration(Duration::from_millis(300))),
            ..Default::default()
        });
        let task_timeout = proto_duration(program.task_timeout);
        let delayed = self.random.chance(0.1);
        StartWorkflowExecutionRequest {
            workflow_id: planned.workflow.clone(),
            workflow_type: Some(WorkflowType { name: "Program".into() }),
            task_queue: Some(TaskQueue { name: QUEUE.into(), ..Default::default() }),
            input: Some(Input { program: planned.program, ..Input::default() }.encode()),
            workflow_task_timeout: Some(task_timeout),
            workflow_start_delay: delayed.then(|| proto_duration(self.random.millis(100, 3_000))),
            request_id: request_id.into(),
            identity: "client".into(),
            workflow_id_reuse_policy: reuse as i32,
            workflow_id_conflict_policy: conflict as i32,
            retry_policy,
            request_eager_execution: self.random.chance(0.2),
            ..Default::default()
        }
    }

    pub fn op_ended(&mut self, session: usize, op: usize, outcome: Outcome) {
        let now = self.now;
        self.records.ops[op].note(now, &outcome);
        let ended = self.records.ops[op].clone();
        self.trace.say(now, Some(&ended.workflow), || {
            let what =
                ended.refusal.clone().or(ended.run_id.clone()).or(ended.answer.clone()).unwrap_or_default();
            format!("client {session} hears of op-{op}: {:?} {what}", ended.ended.map(|(_, how)| how))
        });
        crate::check::op_ended(self, op);
        let planned = self.sessions[session].current.take();
        let asked = planned.clone();
        if let Outcome::Done { reply: Reply::QueryRejected(_), .. } = &outcome {
            self.coverage.hit("a query met a paused workflow");
        }
        if let Outcome::Refused { reject: Reject::BusyWorkflow(_), .. } = &outcome
            && ended.kind == OpKind::Update
        {
            self.coverage.hit("an update met a run that was about to end");
        }
        if let Outcome::Refused { reject, .. } = &outcome
            && let Some(planned) =
                planned.filter(|planned| planned.kind == OpKind::Signal && planned.until_answered)
        {
            let text = format!("{reject:?}");
            if text.contains("already completed") {
                self.coverage.hit("a signal came too late");
                self.sessions[session].plan.clear();
            } else {
                // Not started yet, or about to close: sent again, as a signal of its own.
                self.sessions[session]
                    .plan
                    .push_front(Planned { pause: Duration::from_millis(300), ..planned });
            }
        }
        if let Outcome::Done { reply: Reply::Update(_), .. } = &outcome
            && ended.answer.is_none()
            && let Some(planned) = asked.clone()
        {
            // It is still under way: the client asks again, under the same id.
            self.sessions[session].plan.push_front(Planned { update_id: Some(ended.request_id), ..planned });
        }
        if let Outcome::Done { reply: Reply::Started(started), events } = outcome
            && let Some(task) = started.eager_task
        {
            self.coverage.hit("a first task was taken eagerly by the starter");
            let worker = self.random.below(self.workers.len());
            self.take_eager_task(worker, task.response, events);
        }
        if let Some(next) = self.sessions[session].plan.front() {
            let at = now + next.pause;
            self.agenda.plan(at, Event::Session { session });
        }
    }
}
