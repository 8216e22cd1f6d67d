//! The workflow code of the simulated workers: a deterministic interpreter of programs.
//!
//! It works as an SDK does. Events are applied in order; at each workflow task that was completed, and at
//! the one that is held now, the program runs as far as it can and yields commands. Replaying a history
//! must yield the same commands again, which the checkers make use of.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use everlog_engine::{execution::event_type, time::proto_duration};
use everlog_proto::api::{
    command::v1::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
        RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
        ScheduleNexusOperationCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
        command::Attributes as Attrs,
    },
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::{CommandType, EventType},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    taskqueue::v1::TaskQueue,
};

use crate::{
    handler::{ENDPOINT, operation_name, step_of},
    program::{ActivitySpec, Program, Step, activity_id},
};

/// All workers poll this queue for workflow tasks and for activities.
pub const QUEUE: &str = "work";

/// What a run is told when it begins: its program, how far former runs got, and what they left over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    pub program: usize,
    pub step: usize,
    pub result: Vec<String>,
    pub signals: VecDeque<String>,
}

impl Input {
    pub fn encode(&self) -> Payloads {
        let signals: Vec<&str> = self.signals.iter().map(String::as_str).collect();
        payloads(&format!("{}|{}|{}|{}", self.program, self.step, self.result.join(";"), signals.join(";")))
    }

    pub fn decode(payloads: &Payloads) -> Option<Input> {
        let text = text_of(payloads);
        let mut parts = text.split('|');
        let mut next = || parts.next();
        let (program, step) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let words = |text: &str| -> Vec<String> {
            text.split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Some(Input { program, step, result: words(next()?), signals: words(next()?).into() })
    }
}

pub fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.as_bytes().to_vec(), ..Default::default() }] }
}

pub fn text_of(payloads: &Payloads) -> String {
    payloads.payloads.first().map(|p| String::from_utf8_lossy(&p.data).into_owned()).unwrap_or_default()
}

pub fn failure(message: &str) -> Failure {
    Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default())),
        ..Failure::default()
    }
}

/// What the program does at one workflow task.
#[derive(Clone, Debug, Default)]
pub struct Advance {
    pub commands: Vec<Command>,
    /// The task is only kept alive: a local activity still runs.
    pub heartbeat: bool,
}

#[derive(Clone, Debug, Default)]
struct Activity {
    scheduled_event_id: i64,
    outcome: Option<&'static str>,
    cancel_requested: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Timer {
    Running,
    Fired,
    Canceled,
}

#[derive(Clone, Debug, Default)]
struct Child {
    initiated_event_id: i64,
    run_id: Option<String>,
    signaled: bool,
    outcome: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Operation {
    scheduled_event_id: i64,
    outcome: Option<String>,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    programs: &'a [Program],
    program: Option<&'a Program>,
    input: Input,
    /// The step of the program at which this run stands; it grows beyond `input.step`.
    step: usize,
    activities: BTreeMap<String, Activity>,
    timers: BTreeMap<String, Timer>,
    markers: BTreeSet<String>,
    /// By step.
    children: BTreeMap<usize, Child>,
    operations: BTreeMap<usize, Operation>,
    /// Its workflow id and the beginning of its run id: what its children are named after.
    name: String,
    heartbeats: u32,
    cancel_requested: bool,
    attempt: i32,
    closed: bool,
    /// Signals that this run was sent.
    pub signals_seen: usize,
}

/// Replays a history. The outcome of the last, unfinished workflow task comes last, if there is one;
/// for each completed task the commands are given with the id of its Completed event.
pub fn replay<'a>(
    programs: &'a [Program],
    events: &[HistoryEvent],
) -> (Machine<'a>, Vec<(i64, Advance)>, Option<Advance>) {
    let mut machine = Machine::new(programs);
    let mut completed = Vec::new();
    let mut held = None;
    for (index, event) in events.iter().enumerate() {
        if event_type(event) == EventType::WorkflowTaskStarted {
            match events.get(index + 1).map(|next| (event_type(next), next.event_id)) {
                Some((EventType::WorkflowTaskCompleted, id)) => completed.push((id, machine.advance())),
                None => held = Some(machine.advance()),
                Some(_) => {}
            }
        }
        machine.apply(event);
    }
    (machine, completed, held)
}

impl<'a> Machine<'a> {
    fn new(programs: &'a [Program]) -> Machine<'a> {
        Machine {
            programs,
            program: None,
            input: Input::default(),
            step: 0,
            activities: BTreeMap::new(),
            timers: BTreeMap::new(),
            markers: BTreeSet::new(),
            children: BTreeMap::new(),
            operations: BTreeMap::new(),
            name: String::new(),
            heartbeats: 0,
            cancel_requested: false,
            attempt: 1,
            closed: false,
            signals_seen: 0,
        }
    }

    fn apply(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(a) => {
                self.input = a.input.as_ref().and_then(Input::decode).unwrap_or_default();
                self.program = self.programs.get(self.input.program);
                self.step = self.input.step;
                self.attempt = a.attempt;
                let run = a.original_execution_run_id.get(..8).unwrap_or_default();
                self.name = format!("{}-{run}", a.workflow_id);
            }
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a) => {
                let step = a.workflow_id.rsplit_once("-c").and_then(|(_, step)| step.parse().ok());
                let child = step.and_then(|step: usize| self.children.get_mut(&step));
                if let Some(child) = child {
                    child.initiated_event_id = event.event_id;
                }
            }
            Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => {
                let run_id = a.workflow_execution.as_ref().map(|child| child.run_id.clone());
                if let Some(child) = self.child(a.initiated_event_id) {
                    child.run_id = run_id;
                }
            }
            Attributes::StartChildWorkflowExecutionFailedEventAttributes(a) => {
                self.child_ended(a.initiated_event_id, "not started".into());
            }
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(a) => {
                let result = a.result.as_ref().map(text_of).unwrap_or_default();
                self.child_ended(a.initiated_event_id, result.replace(';', ","));
            }
            Attributes::ChildWorkflowExecutionFailedEventAttributes(a) => {
                self.child_ended(a.initiated_event_id, "failed".into());
            }
            Attributes::ChildWorkflowExecutionCanceledEventAttributes(a) => {
                self.child_ended(a.initiated_event_id, "canceled".into());
            }
            Attributes::ChildWorkflowExecutionTimedOutEventAttributes(a) => {
                self.child_ended(a.initiated_event_id, "timed out".into());
            }
            Attributes::ChildWorkflowExecutionTerminatedEventAttributes(a) => {
                self.child_ended(a.initiated_event_id, "terminated".into());
            }
            Attributes::NexusOperationScheduledEventAttributes(a) => {
                let step = step_of(&a.operation);
                if let Some(operation) = step.and_then(|step| self.operations.get_mut(&step)) {
                    operation.scheduled_event_id = event.event_id;
                }
            }
            Attributes::NexusOperationCompletedEventAttributes(a) => {
                let result = a.result.as_ref().map(|r| String::from_utf8_lossy(&r.data).replace(';', ","));
                self.operation_ended(a.scheduled_event_id, result.unwrap_or_default());
            }
            Attributes::NexusOperationFailedEventAttributes(a) => {
                self.operation_ended(a.scheduled_event_id, "failed".into());
            }
            Attributes::NexusOperationCanceledEventAttributes(a) => {
                self.operation_ended(a.scheduled_event_id, "canceled".into());
            }
            Attributes::WorkflowExecutionSignaledEventAttributes(a) => {
                self.signals_seen += 1;
                self.input.signals.push_back(a.input.as_ref().map(text_of).unwrap_or_default());
            }
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => self.cancel_requested = true,
            Attributes::ActivityTaskScheduledEventAttributes(a) => {
                self.activities.entry(a.activity_id.clone()).or_default().scheduled_event_id = event.event_id;
            }
            Attributes::ActivityTaskCompletedEventAttributes(a) => self.ended(a.scheduled_event_id, "ok"),
            Attributes::ActivityTaskFailedEventAttributes(a) => self.ended(a.scheduled_event_id, "failed"),
            Attributes::ActivityTaskTimedOutEventAttributes(a) => {
                self.ended(a.scheduled_event_id, "timed-out")
            }
            Attributes::ActivityTaskCanceledEventAttributes(a) => {
                self.ended(a.scheduled_event_id, "canceled")
            }
            Attributes::TimerFiredEventAttributes(a) => {
                self.timers.insert(a.timer_id.clone(), Timer::Fired);
            }
            _ => {}
        }
    }

    fn ended(&mut self, scheduled_event_id: i64, outcome: &'static str) {
        let ended = self.activities.values_mut().find(|a| a.scheduled_event_id == scheduled_event_id);
        if let Some(activity) = ended {
            activity.outcome.get_or_insert(outcome);
        }
    }

    fn child(&mut self, initiated_event_id: i64) -> Option<&mut Child> {
        self.children.values_mut().find(|child| child.initiated_event_id == initiated_event_id)
    }

    fn child_ended(&mut self, initiated_event_id: i64, outcome: String) {
        if let Some(child) = self.child(initiated_event_id) {
            child.outcome.get_or_insert(outcome);
        }
    }

    fn operation_ended(&mut self, scheduled_event_id: i64, outcome: String) {
        let ended = self.operations.values_mut().find(|o| o.scheduled_event_id == scheduled_event_id);
        if let Some(operation) = ended {
            operation.outcome.get_or_insert(outcome);
        }
    }

    /// Runs the program until it has to wait or ends.
    fn advance(&mut self) -> Advance {
        let mut out = Advance::default();
        let Some(program) = self.program else { return out };
        if self.closed {
            return out;
        }
        if self.cancel_requested && program.heeds_cancel {
            let attributes = CancelWorkflowExecutionCommandAttributes::default();
            self.close(&mut out, Attrs::CancelWorkflowExecutionCommandAttributes(attributes));
            return out;
        }
        while let Some(step) = program.steps.get(self.step) {
            if !self.carry_out(step, &mut out) {
                return out;
            }
            self.step += 1;
            self.heartbeats = 0;
        }
        if self.attempt <= program.failing_runs {
            let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(failure("not yet")) };
            self.close(&mut out, Attrs::FailWorkflowExecutionCommandAttributes(attributes));
        } else {
            let result = Some(payloads(&self.input.result.join(";")));
            let attributes = CompleteWorkflowExecutionCommandAttributes { result };
            self.close(&mut out, Attrs::CompleteWorkflowExecutionCommandAttributes(attributes));
        }
        out
    }

    /// Whether the step is done.
    fn carry_out(&mut self, step: &Step, out: &mut Advance) -> bool {
        let index = self.step;
        match step {
            Step::Activities(specs) => {
                let mut outcomes = Vec::new();
                for (k, spec) in specs.iter().enumerate() {
                    outcomes.push((activity_id(index, k), self.activity(&activity_id(index, k), spec, out)));
                }
                if outcomes.iter().any(|(_, outcome)| outcome.is_none()) {
                    return false;
                }
                for (id, outcome) in outcomes {
                    self.input.result.push(format!("{id}={}", outcome.unwrap_or_default()));
                }
                true
            }
            Step::Timer(duration) => {
                let id = format!("t{index}");
                let done = self.timer(&id, *duration, out) == Timer::Fired;
                if done {
                    self.input.result.push(id);
                }
                done
            }
            Step::Signals(count) => {
                if self.input.signals.len() < *count {
                    return false;
                }
                for _ in 0..*count {
                    self.consume_signal();
                }
                true
            }
            Step::SignalOrTimer(duration) => {
                let id = format!("t{index}");
                let started = self.timers.get(&id).copied();
                if !self.input.signals.is_empty() {
                    if started == Some(Timer::Running) {
                        self.cancel_timer(&id, out);
                    }
                    self.consume_signal();
                    return true;
                }
                let done = self.timer(&id, *duration, out) == Timer::Fired;
                if done {
                    self.input.result.push(id);
                }
                done
            }
            Step::Local { heartbeats } => {
                // A heartbeat carries no commands, so what is there goes first.
                if self.heartbeats < *heartbeats {
                    if out.commands.is_empty() {
                        out.heartbeat = true;
                        self.heartbeats += 1;
                    } else {
                        // The worker asks for another task at once to go on with the local activity.
                        out.heartbeat = true;
                    }
                    return false;
                }
                let id = format!("m{index}");
                if self.markers.insert(id.clone()) {
                    let attributes =
                        RecordMarkerCommandAttributes { marker_name: id.clone(), ..Default::default() };
                    push(out, CommandType::RecordMarker, Attrs::RecordMarkerCommandAttributes(attributes));
                }
                self.input.result.push(id);
                true
            }
            Step::CancelActivity(spec, wait) => {
                let (id, timer) = (activity_id(index, 0), format!("c{index}"));
                let outcome = self.activity(&id, spec, out);
                let waited = self.timer(&timer, *wait, out);
                match outcome {
                    Some(outcome) => {
                        if waited == Timer::Running {
                            self.cancel_timer(&timer, out);
                        }
                        self.input.result.push(format!("{id}={outcome}"));
                        true
                    }
                    None => {
                        if waited == Timer::Fired {
                            self.cancel_activity(&id, out);
                        }
                        false
                    }
                }
            }
            Step::Child { program, signals } => {
                let id = format!("{}-c{index}", self.name);
                let Some(child) = self.children.get_mut(&index) else {
                    self.children.insert(index, Child::default());
                    start_child(&id, *program, out);
                    return false;
                };
                if child.run_id.is_some() && !child.signaled {
                    child.signaled = true;
                    (0..*signals).for_each(|k| signal_child(&id, &format!("x-{index}-{k}"), out));
                }
                let outcome = child.outcome.clone();
                if let Some(outcome) = &outcome {
                    self.input.result.push(format!("c{index}={outcome}"));
                }
                outcome.is_some()
            }
            Step::Operation { program, failures } => {
                let Some(operation) = self.operations.get(&index) else {
                    self.operations.insert(index, Operation::default());
                    schedule_operation(&operation_name(index, *program, *failures), out);
                    return false;
                };
                let outcome = operation.outcome.clone();
                if let Some(outcome) = &outcome {
                    self.input.result.push(format!("o{index}={outcome}"));
                }
                outcome.is_some()
            }
            Step::ContinueAsNew => {
                let input = Input { step: index + 1, ..self.input.clone() };
                let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
                    input: Some(input.encode()),
                    ..Default::default()
                };
                self.close(out, Attrs::ContinueAsNewWorkflowExecutionCommandAttributes(attributes));
                false
            }
        }
    }

    fn consume_signal(&mut self) {
        if let Some(signal) = self.input.signals.pop_front() {
            self.input.result.push(format!("s:{signal}"));
        }
    }

    fn activity(&mut self, id: &str, spec: &ActivitySpec, out: &mut Advance) -> Option<&'static str> {
        if let Some(activity) = self.activities.get(id) {
            return activity.outcome;
        }
        self.activities.insert(id.to_owned(), Activity::default());
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id: id.to_owned(),
            activity_type: Some(ActivityType { name: "act".into() }),
            task_queue: Some(TaskQueue { name: QUEUE.into(), ..Default::default() }),
            input: Some(payloads(&format!("{}|{}", self.input.program, self.step))),
            start_to_close_timeout: Some(proto_duration(spec.start_to_close)),
            schedule_to_close_timeout: spec.schedule_to_close.map(proto_duration),
            heartbeat_timeout: spec.heartbeats.then(|| proto_duration(Duration::from_millis(800))),
            retry_policy: Some(RetryPolicy {
                initial_interval: Some(proto_duration(Duration::from_millis(200))),
                maximum_interval: Some(proto_duration(Duration::from_secs(3))),
                backoff_coefficient: 2.0,
                maximum_attempts: spec.attempts_max,
                ..Default::default()
            }),
            request_eager_execution: spec.eager,
            ..Default::default()
        };
        push(
            out,
            CommandType::ScheduleActivityTask,
            Attrs::ScheduleActivityTaskCommandAttributes(attributes),
        );
        None
    }

    fn timer(&mut self, id: &str, duration: Duration, out: &mut Advance) -> Timer {
        if let Some(timer) = self.timers.get(id) {
            return *timer;
        }
        self.timers.insert(id.to_owned(), Timer::Running);
        let attributes = StartTimerCommandAttributes {
            timer_id: id.to_owned(),
            start_to_fire_timeout: Some(proto_duration(duration)),
        };
        push(out, CommandType::StartTimer, Attrs::StartTimerCommandAttributes(attributes));
        Timer::Running
    }

    fn cancel_timer(&mut self, id: &str, out: &mut Advance) {
        self.timers.insert(id.to_owned(), Timer::Canceled);
        let attributes = CancelTimerCommandAttributes { timer_id: id.to_owned() };
        push(out, CommandType::CancelTimer, Attrs::CancelTimerCommandAttributes(attributes));
    }

    fn cancel_activity(&mut self, id: &str, out: &mut Advance) {
        let Some(activity) = self.activities.get_mut(id) else { return };
        if activity.cancel_requested || activity.scheduled_event_id == 0 {
            return;
        }
        activity.cancel_requested = true;
        let scheduled_event_id = activity.scheduled_event_id;
        let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
        let kind = CommandType::RequestCancelActivityTask;
        push(out, kind, Attrs::RequestCancelActivityTaskCommandAttributes(attributes));
    }

    fn close(&mut self, out: &mut Advance, attributes: Attrs) {
        self.closed = true;
        let kind = match attributes {
            Attrs::CompleteWorkflowExecutionCommandAttributes(_) => CommandType::CompleteWorkflowExecution,
            Attrs::FailWorkflowExecutionCommandAttributes(_) => CommandType::FailWorkflowExecution,
            Attrs::CancelWorkflowExecutionCommandAttributes(_) => CommandType::CancelWorkflowExecution,
            _ => CommandType::ContinueAsNewWorkflowExecution,
        };
        out.heartbeat = false;
        push(out, kind, attributes);
    }
}

fn start_child(id: &str, program: usize, out: &mut Advance) {
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType { name: "Program".into() }),
        task_queue: Some(TaskQueue { name: QUEUE.into(), ..Default::default() }),
        input: Some(Input { program, ..Input::default() }.encode()),
        ..Default::default()
    };
    let kind = CommandType::StartChildWorkflowExecution;
    push(out, kind, Attrs::StartChildWorkflowExecutionCommandAttributes(attributes));
}

fn schedule_operation(name: &str, out: &mut Advance) {
    let attributes = ScheduleNexusOperationCommandAttributes {
        endpoint: ENDPOINT.into(),
        service: "service".into(),
        operation: name.to_owned(),
        ..Default::default()
    };
    let kind = CommandType::ScheduleNexusOperation;
    push(out, kind, Attrs::ScheduleNexusOperationCommandAttributes(attributes));
}

fn signal_child(id: &str, text: &str, out: &mut Advance) {
    let attributes = SignalExternalWorkflowExecutionCommandAttributes {
        execution: Some(WorkflowExecution { workflow_id: id.to_owned(), run_id: String::new() }),
        signal_name: "signal".into(),
        input: Some(payloads(text)),
        child_workflow_only: true,
        ..Default::default()
    };
    let kind = CommandType::SignalExternalWorkflowExecution;
    push(out, kind, Attrs::SignalExternalWorkflowExecutionCommandAttributes(attributes));
}

fn push(out: &mut Advance, kind: CommandType, attributes: Attrs) {
    out.commands.push(Command {
        command_type: kind as i32,
        attributes: Some(attributes),
        ..Default::default()
    });
}
