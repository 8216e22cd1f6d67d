//! A server for one workflow, in memory.

use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::common::v1::{ActivityType, Payload, Payloads, SearchAttributes, WorkflowType};
use everlog_proto::api::enums::v1::EventType;
use everlog_proto::api::failure::v1::Failure;
use everlog_proto::api::history::v1::history_event::Attributes;
use everlog_proto::api::history::v1::*;
use prost_types::Timestamp;
use serde::Serialize;

use crate::codec;
use crate::failure;
use crate::replay::TaskError;
use crate::replay::check::describe;
use crate::replay::command::{Command, DATA_DETAIL, HEAD_DETAIL, LOCAL_MARKER, MarkerHead, PATCH_DETAIL};
use crate::replay::command::{PATCH_MARKER, PatchData, VALUE_MARKER};
use crate::replay::history::steps;
use crate::replay::run::{Definition, Identity, Run};
use crate::workflow::{self, Workflow};

pub(super) struct Sim {
    definition: Arc<Definition>,
    pub(super) events: Vec<HistoryEvent>,
    run: Option<Run>,
    seconds: i64,
}

impl Sim {
    pub(super) fn new<W: Workflow>(_: W, input: W::Input) -> Self {
        let mut sim = Self {
            definition: Arc::new(workflow::definition::<W>()),
            events: Vec::new(),
            run: None,
            seconds: 0,
        };
        sim.add(
            EventType::WorkflowExecutionStarted,
            WorkflowExecutionStartedEventAttributes {
                workflow_type: Some(WorkflowType { name: W::NAME.into() }),
                input: Some(W::encode(&input).unwrap()),
                original_execution_run_id: "run-1".into(),
                first_execution_run_id: "run-1".into(),
                attempt: 1,
                ..Default::default()
            },
        );
        sim
    }

    /// The run that follows one that continued as new.
    pub(super) fn next_run<W: Workflow>(&self, _: W) -> Self {
        let Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(last)) =
            self.events.last().and_then(|event| event.attributes.clone())
        else {
            panic!("the run has not continued as new:\n{}", self.history());
        };
        let mut sim = Self {
            definition: Arc::new(workflow::definition::<W>()),
            events: Vec::new(),
            run: None,
            seconds: 0,
        };
        sim.add(
            EventType::WorkflowExecutionStarted,
            WorkflowExecutionStartedEventAttributes {
                workflow_type: last.workflow_type,
                input: last.input,
                header: last.header,
                original_execution_run_id: "run-2".into(),
                ..Default::default()
            },
        );
        sim
    }

    /// Runs the same history with other code from now on.
    pub(super) fn change_code<W: Workflow>(&mut self, _: W) {
        self.definition = Arc::new(workflow::definition::<W>());
        self.run = None;
    }

    /// Drops the run from the worker's cache.
    pub(super) fn evict(&mut self) {
        self.run = None;
    }

    /// A workflow task that succeeds. Returns its commands.
    pub(super) fn task(&mut self) -> String {
        self.try_task().unwrap_or_else(|error| panic!("{error}\n{}", self.history()))
    }

    /// A workflow task.
    pub(super) fn try_task(&mut self) -> Result<String, TaskError> {
        let commands = self.live()?;
        Ok(self.complete(commands))
    }

    /// A workflow task with local activities, each of which is answered by `answer` from its name.
    pub(super) fn task_with_locals(
        &mut self,
        mut answer: impl FnMut(&str) -> Result<Payload, Box<Failure>>,
    ) -> String {
        self.start_task();
        let mut run = self.bring_up().unwrap();
        loop {
            let tasks = run.take_locals();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                let result = answer(&task.name).map(|payload| Some(Payloads { payloads: vec![payload] }));
                run.resolve_local(task.seq, 1, result).unwrap();
            }
        }
        assert!(!run.has_locals());
        let commands = run.take_commands();
        self.run = Some(run);
        let text = self.complete(commands);
        self.replay().unwrap_or_else(|error| panic!("{error}\n{}", self.history()));
        text
    }

    /// A workflow task that the worker takes and never answers.
    pub(super) fn task_times_out(&mut self) {
        self.start_task();
        self.run = None;
        let started_event_id = self.last_id();
        self.add(
            EventType::WorkflowTaskTimedOut,
            WorkflowTaskTimedOutEventAttributes { started_event_id, ..Default::default() },
        );
    }

    pub(super) fn fire(&mut self, seq: u64) {
        let started = self.events.iter().find(|event| {
            matches!(&event.attributes, Some(Attributes::TimerStartedEventAttributes(a)) if a.timer_id == seq.to_string())
        });
        let started_event_id = started.expect("the timer is started").event_id;
        self.add(
            EventType::TimerFired,
            TimerFiredEventAttributes { timer_id: seq.to_string(), started_event_id },
        );
    }

    pub(super) fn done(&mut self, seq: u64, result: impl Serialize) {
        let scheduled_event_id = self.scheduled(seq);
        self.add(
            EventType::ActivityTaskCompleted,
            ActivityTaskCompletedEventAttributes {
                result: Some(codec::encode_one(&result).unwrap()),
                scheduled_event_id,
                ..Default::default()
            },
        );
    }

    pub(super) fn failed(&mut self, seq: u64, failure: Failure) {
        let scheduled_event_id = self.scheduled(seq);
        self.add(
            EventType::ActivityTaskFailed,
            ActivityTaskFailedEventAttributes {
                failure: Some(failure),
                scheduled_event_id,
                ..Default::default()
            },
        );
    }

    pub(super) fn signal(&mut self, name: &str, message: impl Serialize) {
        self.add(
            EventType::WorkflowExecutionSignaled,
            WorkflowExecutionSignaledEventAttributes {
                signal_name: name.into(),
                input: Some(codec::encode_one(&message).unwrap()),
                ..Default::default()
            },
        );
    }

    pub(super) fn cancel(&mut self) {
        self.add(
            EventType::WorkflowExecutionCancelRequested,
            WorkflowExecutionCancelRequestedEventAttributes::default(),
        );
    }

    pub(super) fn query(&self, name: &str) -> Result<serde_json::Value, String> {
        let answer = self.run.as_ref().expect("the run is in the cache").query(name, None)?;
        codec::decode_one(Some(&answer)).map_err(|error| error.to_string())
    }

    /// The value with which the workflow closed.
    pub(super) fn result(&self) -> serde_json::Value {
        match self.events.last().and_then(|event| event.attributes.as_ref()) {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
                codec::decode_one(completed.result.as_ref()).unwrap()
            }
            _ => panic!("the workflow has not completed:\n{}", self.history()),
        }
    }

    /// Replays the whole history in a fresh run.
    pub(super) fn replay(&self) -> Result<(), TaskError> {
        let mut run = self.fresh()?;
        run.advance(steps(self.events.clone(), 0, 0)?)
    }

    /// The history, a line an event.
    pub(super) fn history(&self) -> String {
        self.events.iter().map(|event| format!("{} {}\n", event.event_id, describe(event))).collect()
    }

    fn live(&mut self) -> Result<Vec<Command>, TaskError> {
        self.start_task();
        let mut run = self.bring_up()?;
        let commands = run.take_commands();
        let mut fresh = self.fresh()?;
        fresh.advance(steps(self.events.clone(), 0, self.last_id())?)?;
        let again = fresh.take_commands();
        assert_eq!(show(&commands), show(&again), "a replay gives other commands:\n{}", self.history());
        self.run = Some(run);
        Ok(commands)
    }

    fn start_task(&mut self) {
        self.add(EventType::WorkflowTaskScheduled, WorkflowTaskScheduledEventAttributes::default());
        let scheduled_event_id = self.last_id();
        self.add(
            EventType::WorkflowTaskStarted,
            WorkflowTaskStartedEventAttributes { scheduled_event_id, ..Default::default() },
        );
    }

    fn bring_up(&mut self) -> Result<Run, TaskError> {
        let mut run = match self.run.take() {
            Some(run) => run,
            None => self.fresh()?,
        };
        run.advance(steps(self.events.clone(), run.last_event_id(), self.last_id())?)?;
        Ok(run)
    }

    fn fresh(&self) -> Result<Run, TaskError> {
        let identity = Identity { namespace: "test".into(), workflow_id: "w".into(), run_id: "run-1".into() };
        Run::new(Arc::clone(&self.definition), identity, &self.events[0])
    }

    fn complete(&mut self, commands: Vec<Command>) -> String {
        let started_event_id = self.last_id();
        self.add(
            EventType::WorkflowTaskCompleted,
            WorkflowTaskCompletedEventAttributes { started_event_id, ..Default::default() },
        );
        let text = show(&commands);
        commands.into_iter().for_each(|command| self.record(command));
        text
    }

    fn scheduled(&self, seq: u64) -> i64 {
        let scheduled = self.events.iter().find(|event| {
            matches!(&event.attributes, Some(Attributes::ActivityTaskScheduledEventAttributes(a)) if a.activity_id == seq.to_string())
        });
        scheduled.expect("the activity is scheduled").event_id
    }

    fn last_id(&self) -> i64 {
        self.events.len() as i64
    }

    fn add(&mut self, kind: EventType, attributes: impl Into<Attributes>) {
        self.seconds += 1;
        self.events.push(HistoryEvent {
            event_id: self.last_id() + 1,
            event_time: Some(Timestamp { seconds: self.seconds, nanos: 0 }),
            event_type: kind as i32,
            attributes: Some(attributes.into()),
            ..Default::default()
        });
    }

    /// Writes the event that a command leaves.
    fn record(&mut self, command: Command) {
        match command {
            Command::StartTimer { seq, after, .. } => self.add(
                EventType::TimerStarted,
                TimerStartedEventAttributes {
                    timer_id: seq.to_string(),
                    start_to_fire_timeout: Some(crate::time::to_wire(
                        after.min(Duration::from_secs(1 << 40)),
                    )),
                    ..Default::default()
                },
            ),
            Command::CancelTimer { seq } => {
                assert!(!self.has_fired(seq), "the server refuses to cancel timer {seq}, which has fired");
                self.add(
                    EventType::TimerCanceled,
                    TimerCanceledEventAttributes { timer_id: seq.to_string(), ..Default::default() },
                );
            }
            Command::ScheduleActivity(schedule) => self.add(
                EventType::ActivityTaskScheduled,
                ActivityTaskScheduledEventAttributes {
                    activity_id: schedule.seq.to_string(),
                    activity_type: Some(ActivityType { name: schedule.name }),
                    input: Some(schedule.input),
                    ..Default::default()
                },
            ),
            Command::CancelActivity { scheduled_event_id, .. } => self.add(
                EventType::ActivityTaskCancelRequested,
                ActivityTaskCancelRequestedEventAttributes { scheduled_event_id, ..Default::default() },
            ),
            Command::Patch { id, deprecated } => {
                let data = codec::encode_one(&PatchData { id, deprecated }).unwrap();
                self.marker(PATCH_MARKER, [(PATCH_DETAIL, data)], None);
            }
            Command::Value { seq, name, data } => {
                let head = codec::encode_one(&MarkerHead { seq, name, attempt: 0 }).unwrap();
                let data = Payloads { payloads: vec![data] };
                self.marker(VALUE_MARKER, [(HEAD_DETAIL, head), (DATA_DETAIL, data)], None);
            }
            Command::LocalResult { seq, name, attempt, result } => {
                let head = codec::encode_one(&MarkerHead { seq, name, attempt }).unwrap();
                let (data, failure) = match result {
                    Ok(data) => (data.unwrap_or_default(), None),
                    Err(failure) => (Payloads::default(), Some(*failure)),
                };
                self.marker(LOCAL_MARKER, [(HEAD_DETAIL, head), (DATA_DETAIL, data)], failure);
            }
            Command::SearchAttributes(fields) => self.add(
                EventType::UpsertWorkflowSearchAttributes,
                UpsertWorkflowSearchAttributesEventAttributes {
                    search_attributes: Some(SearchAttributes {
                        indexed_fields: fields.into_iter().collect(),
                    }),
                    ..Default::default()
                },
            ),
            Command::Complete(result) => self.add(
                EventType::WorkflowExecutionCompleted,
                WorkflowExecutionCompletedEventAttributes { result: Some(result), ..Default::default() },
            ),
            Command::Fail(failure) => self.add(
                EventType::WorkflowExecutionFailed,
                WorkflowExecutionFailedEventAttributes { failure: Some(*failure), ..Default::default() },
            ),
            Command::CancelWorkflow => self.add(
                EventType::WorkflowExecutionCanceled,
                WorkflowExecutionCanceledEventAttributes::default(),
            ),
            Command::ContinueAsNew(next) => self.add(
                EventType::WorkflowExecutionContinuedAsNew,
                WorkflowExecutionContinuedAsNewEventAttributes {
                    workflow_type: Some(WorkflowType { name: next.workflow }),
                    input: Some(next.input),
                    header: Some(everlog_proto::api::common::v1::Header {
                        fields: next.header.into_iter().collect(),
                    }),
                    ..Default::default()
                },
            ),
        }
    }

    fn has_fired(&self, seq: u64) -> bool {
        self.events.iter().any(|event| {
            matches!(&event.attributes, Some(Attributes::TimerFiredEventAttributes(a)) if a.timer_id == seq.to_string())
        })
    }

    fn marker<const N: usize>(
        &mut self,
        name: &str,
        details: [(&str, Payloads); N],
        failure: Option<Failure>,
    ) {
        self.add(
            EventType::MarkerRecorded,
            MarkerRecordedEventAttributes {
                marker_name: name.into(),
                details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                failure,
                ..Default::default()
            },
        );
    }
}

fn show(commands: &[Command]) -> String {
    commands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A failure that an activity with an error of type `kind` leaves.
pub(super) fn declined(kind: &str, value: impl Serialize) -> Failure {
    let mut failure = failure::plain("declined", kind, false);
    if let Some(everlog_proto::api::failure::v1::failure::FailureInfo::ApplicationFailureInfo(info)) =
        &mut failure.failure_info
    {
        info.details = Some(codec::encode_one(&value).unwrap());
    }
    failure
}
