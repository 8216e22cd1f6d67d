//! Stories of activities: real requests, decided by the verbs as a shard would decide them, told as the
//! facts that they led to. A record is marked `*`, a buffered event `~`; times are since the start.

mod describe;
mod dispatch;
mod limits;
mod operations;
mod respond;
mod retry;
mod schedule;
mod timeout;
mod unstarted;

use std::time::Duration;

use everlog_proto::api::{
    command::v1::{
        Command, RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
        command::Attributes as Attrs,
    },
    common::v1::{ActivityType, Header, Payload, Payloads, Priority, RetryPolicy, WorkflowType},
    enums::v1::{CommandType, RetryState, TimeoutType},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes},
    taskqueue::v1::TaskQueue,
    workflow::v1::PendingActivityInfo,
    workflowservice::v1::{
        PollActivityTaskQueueResponse, RespondActivityTaskCanceledRequest,
        RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest,
        RespondWorkflowTaskCompletedRequest,
    },
};
use expect_test::Expect;

use crate::{
    codec::Proto,
    decide,
    evolve::evolve,
    execution::{Activity, Execution},
    fact::{Fact, Record},
    key::WorkflowKey,
    limits::Limits,
    reject::Reject,
    reply::{CompletedReply, Reply},
    request::{ActivityRef, Namespaces, Request, Routed, TakeActivityTask, TakeWorkflowTask},
    shared::Shared,
    stamp::Stamp,
    time::{Time, proto_duration},
    todo::{self, Todo},
    token::TaskToken,
    turn::Turn,
    volatile::Volatile,
};

/// When every story begins.
const BEGIN: Time = Time(1_700_000_000_000_000_000);

const MILLISECOND: Duration = Duration::from_millis(1);

/// One workflow, one moment, and what was decided so far.
struct Story {
    execution: Shared<Execution>,
    volatile: Volatile,
    limits: Limits,
    now: Time,
    decisions: u64,
    told: String,
}

impl Story {
    /// A run whose first workflow task is in a worker's hands. Its commands are the next thing to happen.
    fn begin() -> Story {
        Story::begin_as(WorkflowExecutionStartedEventAttributes::default())
    }

    fn begin_as(attributes: WorkflowExecutionStartedEventAttributes) -> Story {
        let attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(WorkflowType { name: "Order".into() }),
            task_queue: Some(queue("q")),
            workflow_task_timeout: seconds(10),
            attempt: 1,
            ..attributes
        };
        let limits = Limits::default();
        let stamp = Stamp::new(BEGIN, 1, &limits);
        let run = WorkflowKey::new("namespace-1", "order-1").run("run-1");
        let mut turn = Turn::new(&stamp, Execution::fresh(run), Volatile::default());
        turn.event(Attributes::WorkflowExecutionStartedEventAttributes(attributes));
        decide::workflow_task::schedule_even_backing_off(&mut turn);
        let Turn { execution, volatile, .. } = turn;
        let mut story = Story { execution, volatile, limits, now: BEGIN, decisions: 1, told: String::new() };
        story.take_workflow_task();
        story
    }

    /// A run with this activity, which is event 5, waiting for a worker.
    fn scheduled(attributes: ScheduleActivityTaskCommandAttributes) -> Story {
        let mut story = Story::begin();
        story.commands(vec![schedule(attributes)]).forget();
        story
    }

    fn at(&mut self, milliseconds: u64) -> &mut Story {
        self.now = BEGIN + Duration::from_millis(milliseconds);
        self
    }

    /// Decides a request as a shard does, and tells the facts.
    fn ask(&mut self, request: Request) -> Result<Reply, Reject> {
        self.decisions += 1;
        let stamp = Stamp::new(self.now, self.decisions, &self.limits);
        let mut turn = Turn::new(&stamp, self.execution.clone(), self.volatile.clone());
        let reply = decide::decide(&mut turn, 1, &request)?.expect("an answer at once");
        let Turn { execution, volatile, facts, .. } = turn;
        let mut folded = self.execution.clone();
        for fact in &facts {
            if let Some(line) = line(fact) {
                self.told.push_str(&line);
                self.told.push('\n');
            }
            evolve(&mut folded, fact);
        }
        assert_eq!(folded, execution, "a replica folds the facts to the state that was decided on");
        self.execution = execution;
        self.volatile = volatile;
        match reply {
            Reply::Refused(reject) => Err(reject),
            reply => Ok(reply),
        }
    }

    fn take_workflow_task(&mut self) {
        let task = self.execution.workflow_task.clone().expect("a workflow task is owed");
        self.ask(Request::TakeWorkflowTask(TakeWorkflowTask {
            run_id: String::new(),
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
            queue: "q".into(),
            identity: "workflow-worker".into(),
            request_id: format!("poll-{}", task.scheduled_event_id),
            build_id: String::new(),
            routed: Routed::default(),
        }))
        .expect("the task is there");
    }

    fn complete_task(&mut self, commands: Vec<Command>) -> Result<Box<CompletedReply>, Reject> {
        let stamp = Stamp::new(self.now, 0, &self.limits);
        let turn = Turn::new(&stamp, self.execution.clone(), self.volatile.clone());
        let token = decide::workflow_task::held(&turn).response.task_token;
        let request = RespondWorkflowTaskCompletedRequest {
            identity: "workflow-worker".into(),
            commands,
            ..Default::default()
        };
        let token = TaskToken::decode(&token).expect("our own token");
        match self.ask(Request::CompleteWorkflowTask {
            token,
            request: Box::new(request),
            namespaces: Namespaces::default(),
        })? {
            Reply::Completed(completed) => Ok(completed),
            other => panic!("{other:?} does not answer a completion"),
        }
    }

    /// The workflow's commands, none of which is refused.
    fn commands(&mut self, commands: Vec<Command>) -> &mut Story {
        self.complete_task(commands).expect("the commands are in order");
        self
    }

    /// What is wrong with an activity, as the worker reads it.
    fn refused(&mut self, commands: Vec<Command>) -> String {
        match self.complete_task(commands) {
            Err(Reject::InvalidArgument(text)) => text,
            other => panic!("{other:?} is no refusal"),
        }
    }

    /// Hands the only activity that is owed now to a worker.
    fn poll(&mut self) -> PollActivityTaskQueueResponse {
        let owed = todo::tasks(&self.execution, &self.volatile, self.now);
        let (scheduled_event_id, attempt, stamp) = owed
            .iter()
            .find_map(|todo| match todo {
                Todo::ActivityTask { scheduled_event_id, attempt, stamp, .. } => {
                    Some((*scheduled_event_id, *attempt, *stamp))
                }
                _ => None,
            })
            .expect("an activity is owed");
        self.take_offered(scheduled_event_id, attempt, stamp, "poll-a").expect("the offered attempt is there")
    }

    /// The attempt as it was offered before anybody changed it by hand.
    fn take(
        &mut self,
        scheduled_event_id: i64,
        attempt: i32,
        request_id: &str,
    ) -> Option<PollActivityTaskQueueResponse> {
        self.take_offered(scheduled_event_id, attempt, 0, request_id)
    }

    fn take_offered(
        &mut self,
        scheduled_event_id: i64,
        attempt: i32,
        stamp: u32,
        request_id: &str,
    ) -> Option<PollActivityTaskQueueResponse> {
        let take = TakeActivityTask {
            run_id: String::new(),
            scheduled_event_id,
            attempt,
            stamp,
            identity: "worker".into(),
            request_id: request_id.into(),
            build_id: String::new(),
            routed: Routed::default(),
        };
        match self.ask(Request::TakeActivityTask(take)).expect("a poller is never refused") {
            Reply::ActivityTask(task) => Some(*task),
            Reply::TaskGone => None,
            other => panic!("{other:?} does not answer a poller"),
        }
    }

    fn complete(&mut self, of: impl Into<Of>, result: &str) -> Result<Reply, Reject> {
        let request = RespondActivityTaskCompletedRequest {
            result: Some(payloads(result)),
            identity: "worker".into(),
            ..Default::default()
        };
        self.ask(Request::CompleteActivity { of: of.into().0, request: Box::new(request) })
    }

    fn fail(&mut self, of: impl Into<Of>, failure: Failure) -> Result<Reply, Reject> {
        let request = RespondActivityTaskFailedRequest {
            failure: Some(failure),
            identity: "worker".into(),
            ..Default::default()
        };
        self.ask(Request::FailActivity { of: of.into().0, request: Box::new(request) })
    }

    fn cancel(&mut self, of: impl Into<Of>, details: &str) -> Result<Reply, Reject> {
        let request = RespondActivityTaskCanceledRequest {
            details: Some(payloads(details)),
            identity: "worker".into(),
            ..Default::default()
        };
        self.ask(Request::CancelActivity { of: of.into().0, request: Box::new(request) })
    }

    fn heartbeat(&mut self, of: impl Into<Of>, details: &str) -> Result<bool, Reject> {
        let details = (!details.is_empty()).then(|| Box::new(Proto(payloads(details))));
        let request = Request::HeartbeatActivity { of: of.into().0, details, identity: "worker".into() };
        match self.ask(request)? {
            Reply::Heartbeat { cancel_requested, .. } => Ok(cancel_requested),
            other => panic!("{other:?} does not answer a heartbeat"),
        }
    }

    fn wake(&mut self) -> &mut Story {
        self.ask(Request::Wake).expect("waking is never refused");
        self
    }

    /// A new leader that has heard of everything but the start of this attempt.
    fn lose_start(&mut self, scheduled_event_id: i64) {
        let activity = self.execution.activities.get_mut(&scheduled_event_id).expect("it is pending");
        activity.started = None;
        self.volatile = Volatile::default();
    }

    fn activity(&self, scheduled_event_id: i64) -> &Activity {
        &self.execution.activities[&scheduled_event_id]
    }

    fn pending(&self, scheduled_event_id: i64) -> PendingActivityInfo {
        super::pending_info(self.activity(scheduled_event_id), self.now)
    }

    /// Lets the next workflow task begin, so that what happens now has to wait for its end.
    fn begin_task(&mut self) -> &mut Story {
        if self.execution.workflow_task.is_none() {
            let stamp = Stamp::new(self.now, 0, &self.limits);
            let mut turn = Turn::new(&stamp, self.execution.clone(), self.volatile.clone());
            decide::workflow_task::schedule_if_needed(&mut turn);
            self.execution = turn.execution;
        }
        self.take_workflow_task();
        self
    }

    /// Compares what was told since the last time.
    fn tells(&mut self, expected: Expect) -> &mut Story {
        expected.assert_eq(&std::mem::take(&mut self.told));
        self
    }

    fn forget(&mut self) -> &mut Story {
        self.told.clear();
        self
    }
}

/// Which activity a report is about: by token, or by id.
struct Of(ActivityRef);

impl From<&PollActivityTaskQueueResponse> for Of {
    fn from(task: &PollActivityTaskQueueResponse) -> Of {
        Of(ActivityRef::Token(TaskToken::decode(&task.task_token).expect("our own token")))
    }
}

impl From<&str> for Of {
    fn from(activity_id: &str) -> Of {
        Of(ActivityRef::Id { run_id: String::new(), activity_id: activity_id.into() })
    }
}

fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), ..Default::default() }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn milliseconds(milliseconds: u64) -> Option<prost_types::Duration> {
    Some(proto_duration(Duration::from_millis(milliseconds)))
}

fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.as_bytes().to_vec(), ..Default::default() }] }
}

/// An activity that may take ten seconds an attempt.
fn plain(id: &str) -> ScheduleActivityTaskCommandAttributes {
    ScheduleActivityTaskCommandAttributes {
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "Charge".into() }),
        task_queue: Some(queue("q")),
        start_to_close_timeout: seconds(10),
        ..Default::default()
    }
}

fn schedule(attributes: ScheduleActivityTaskCommandAttributes) -> Command {
    Command {
        command_type: CommandType::ScheduleActivityTask as i32,
        attributes: Some(Attrs::ScheduleActivityTaskCommandAttributes(attributes)),
        ..Default::default()
    }
}

fn request_cancel(scheduled_event_id: i64) -> Command {
    let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
    Command {
        command_type: CommandType::RequestCancelActivityTask as i32,
        attributes: Some(Attrs::RequestCancelActivityTaskCommandAttributes(attributes)),
        ..Default::default()
    }
}

fn broken(message: &str) -> Failure {
    failure(message, ApplicationFailureInfo::default())
}

fn failure(message: &str, info: ApplicationFailureInfo) -> Failure {
    Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Default::default()
    }
}

/// A fact that concerns activities, in a line. Other records are left out.
fn line(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Event(event) | Fact::Flushed(event) => {
            format!("{} {}", event.event.event_id, describe(&event.event))
        }
        Fact::Record(Record::Buffered(event)) => format!("~ {}", describe(event)),
        Fact::Record(Record::ActivityStarted { scheduled_event_id, attempt, start }) => {
            format!(
                "* started {scheduled_event_id} attempt={attempt} {} at={}",
                start.identity,
                since(start.time)
            )
        }
        Fact::Record(Record::ActivityRetry {
            scheduled_event_id, attempt, scheduled_time, failure, ..
        }) => {
            let failure = failure.as_ref().map_or("none".into(), |failure| summary(failure));
            let at = since(*scheduled_time);
            format!("* retry {scheduled_event_id} attempt={attempt} at={at} failure={failure}")
        }
        Fact::Record(Record::ActivityHeartbeat { scheduled_event_id, time, details }) => {
            let details = details.as_ref().map_or("none".into(), |details| text(Some(details)));
            format!("* heartbeat {scheduled_event_id} at={} {details}", since(*time))
        }
        Fact::Record(_) => return None,
    })
}

fn describe(event: &HistoryEvent) -> String {
    let name = crate::execution::event_type(event).as_str_name();
    let name = name.trim_start_matches("EVENT_TYPE_");
    let rest = match event.attributes.as_ref().expect("every event has attributes") {
        Attributes::ActivityTaskScheduledEventAttributes(a) => a.activity_id.clone(),
        Attributes::ActivityTaskStartedEventAttributes(a) => {
            let at = event.event_time.as_ref().map(Time::from_proto).unwrap_or_default();
            let failure = a.last_failure.as_ref().map_or(String::new(), |f| format!(" after {}", summary(f)));
            let request = if a.request_id.is_empty() { "-" } else { &a.request_id };
            let at = since(at);
            format!(
                "of={} attempt={} {} {request} at={at}{failure}",
                a.scheduled_event_id, a.attempt, a.identity
            )
        }
        Attributes::ActivityTaskCompletedEventAttributes(a) => {
            let result = text(a.result.as_ref());
            format!("of={} started={} {} {result}", a.scheduled_event_id, a.started_event_id, a.identity)
        }
        Attributes::ActivityTaskFailedEventAttributes(a) => format!(
            "of={} started={} {} {} failure={}",
            a.scheduled_event_id,
            a.started_event_id,
            a.identity,
            state(a.retry_state),
            a.failure.as_ref().map_or("none".into(), summary)
        ),
        Attributes::ActivityTaskTimedOutEventAttributes(a) => format!(
            "of={} started={} {} failure={}",
            a.scheduled_event_id,
            a.started_event_id,
            state(a.retry_state),
            a.failure.as_ref().map_or("none".into(), summary)
        ),
        Attributes::ActivityTaskCancelRequestedEventAttributes(a) => {
            format!("of={} task={}", a.scheduled_event_id, a.workflow_task_completed_event_id)
        }
        Attributes::ActivityTaskCanceledEventAttributes(a) => format!(
            "of={} started={} request={} {} {}",
            a.scheduled_event_id,
            a.started_event_id,
            a.latest_cancel_requested_event_id,
            a.identity,
            text(a.details.as_ref())
        ),
        _ => String::new(),
    };
    format!("{name} {rest}").trim_end().to_owned()
}

fn state(state: i32) -> &'static str {
    let state = RetryState::try_from(state).expect("a known state");
    state.as_str_name().trim_start_matches("RETRY_STATE_")
}

/// A failure, its heartbeat details and its causes.
fn summary(failure: &Failure) -> String {
    let kind = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type.is_empty() => String::new(),
        Some(FailureInfo::ApplicationFailureInfo(info)) => format!(" type={}", info.r#type),
        Some(FailureInfo::ServerFailureInfo(info)) => format!(" server final={}", info.non_retryable),
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            let kind = TimeoutType::try_from(info.timeout_type).expect("a known type");
            let kind = kind.as_str_name().trim_start_matches("TIMEOUT_TYPE_").to_owned();
            let details = info.last_heartbeat_details.as_ref();
            format!(" {kind}{}", details.map_or(String::new(), |d| format!(" beat={}", text(Some(d)))))
        }
        other => format!(" {other:?}"),
    };
    let cause = failure.cause.as_ref().map_or(String::new(), |cause| format!(" <- {}", summary(cause)));
    let message = match failure.message.len() {
        0..=120 => failure.message.clone(),
        long => format!("{}.. {long} bytes", &failure.message[..3]),
    };
    format!("({message}{kind}{cause})")
}

fn text(payloads: Option<&Payloads>) -> String {
    let data = payloads.and_then(|payloads| payloads.payloads.first()).map(|payload| payload.data.clone());
    String::from_utf8(data.unwrap_or_default()).expect("a test's payload is text")
}

fn since(time: Time) -> String {
    let elapsed = time.since(BEGIN);
    assert_eq!(elapsed.as_nanos() % MILLISECOND.as_nanos(), 0, "tests keep to whole milliseconds");
    format!("{}ms", elapsed.as_millis())
}
