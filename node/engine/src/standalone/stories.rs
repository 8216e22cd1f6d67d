//! What a sequence of requests leads to: the real shard on tables in memory, and a log that commits at once.

mod operations;

use std::{sync::Arc, time::Duration};

use everlog_proto::api::{
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PauseActivityExecutionRequest, PollActivityTaskQueueResponse, ResetActivityExecutionRequest,
        RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest, StartActivityExecutionRequest,
        UnpauseActivityExecutionRequest,
    },
};
use expect_test::{Expect, expect};

use super::{
    Kind, Standalone, StandaloneKey,
    activity::Stage,
    request::{Asked, AttemptRef, StandaloneRequest, TakeStandaloneActivity, Until},
};
use crate::{
    key::SLOTS,
    limits::Limits,
    message::Message,
    reject::Reject,
    reply::Reply,
    shard::{Input, Offer, OfferedTask, Output, Shard},
    testing::MemoryTables,
    time::{Time, proto_duration},
    token::TaskToken,
};

const NAMESPACE: &str = "namespace";
const BEGIN: Time = Time(1_000_000_000_000_000_000);

struct World {
    shard: Shard,
    tables: MemoryTables,
    now: Time,
    next_call: u64,
    replies: Vec<(u64, Result<Reply, Reject>)>,
    offers: Vec<Offer>,
    sent: Vec<Message>,
    entries: usize,
}

impl World {
    fn new() -> World {
        let mut world = World {
            shard: Shard::new((0..SLOTS).collect()),
            tables: MemoryTables::default(),
            now: BEGIN,
            next_call: 1,
            replies: Vec::new(),
            offers: Vec::new(),
            sent: Vec::new(),
            entries: 0,
        };
        world.lead();
        world
    }

    /// Another leader takes over: nothing is left but the tables.
    fn lead(&mut self) {
        self.shard = Shard::new((0..SLOTS).collect());
        self.offers.clear();
        self.sent.clear();
        self.input(Input::Lead { term: 1, seed: 7 });
    }

    fn input(&mut self, input: Input) {
        self.shard.handle(self.now, input, &self.tables);
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            self.shard.end_turn(self.now, &self.tables);
            let mut is_settled = true;
            while let Some(output) = self.shard.poll() {
                match output {
                    Output::Propose { proposal, entry, .. } => {
                        self.tables.apply(&entry).expect("an entry that was proposed applies");
                        self.entries += 1;
                        self.shard.handle(self.now, Input::Committed { proposal }, &self.tables);
                        is_settled = false;
                    }
                    Output::ReadIndex { read } => {
                        self.shard.handle(self.now, Input::ReadReady { read }, &self.tables);
                        is_settled = false;
                    }
                    Output::Reply { call, reply } => self.replies.push((call, reply)),
                    Output::Offer(offer) => self.offers.push(offer),
                    Output::Send(message) => self.sent.push(*message),
                    Output::Ask { .. } => {}
                }
            }
            if is_settled {
                return;
            }
        }
    }

    /// Time passes, with everything that falls due in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.shard.wake_at().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    /// Asks, without waiting for an answer.
    fn call(&mut self, request: StandaloneRequest) -> u64 {
        self.call_of(key(), request)
    }

    fn call_of(&mut self, key: StandaloneKey, request: StandaloneRequest) -> u64 {
        let call = self.next_call;
        self.next_call += 1;
        self.input(Input::Standalone { call, key, request });
        call
    }

    fn answer(&mut self, call: u64) -> Option<Result<Reply, Reject>> {
        let position = self.replies.iter().position(|(of, _)| *of == call)?;
        Some(self.replies.remove(position).1)
    }

    fn ask(&mut self, request: StandaloneRequest) -> Result<Reply, Reject> {
        let call = self.call(request);
        self.answer(call).expect("it is answered")
    }

    fn start(&mut self, request_id: &str, change: impl FnOnce(&mut StartActivityExecutionRequest)) -> String {
        let second = Some(proto_duration(Duration::from_secs(1)));
        let policy = RetryPolicy { initial_interval: second, backoff_coefficient: 2.0, ..Default::default() };
        let mut request = StartActivityExecutionRequest {
            request_id: request_id.into(),
            activity_id: key().id().into(),
            activity_type: Some(ActivityType { name: "work".into() }),
            task_queue: Some(TaskQueue { name: "queue".into(), ..TaskQueue::default() }),
            start_to_close_timeout: Some(proto_duration(Duration::from_secs(10))),
            retry_policy: Some(policy),
            ..Default::default()
        };
        change(&mut request);
        match self.ask(StandaloneRequest::StartActivity(Box::new(request))) {
            Ok(Reply::StandaloneStarted { run_id, .. }) => run_id,
            other => panic!("{other:?}"),
        }
    }

    /// A worker takes what was offered last.
    fn take(&mut self) -> PollActivityTaskQueueResponse {
        let offer = self.offers.pop().expect("something is offered");
        match self.ask(take_of(&offer, "poll")) {
            Ok(Reply::ActivityTask(task)) => *task,
            other => panic!("{other:?}"),
        }
    }

    fn complete(&mut self, task: &PollActivityTaskQueueResponse) -> Result<Reply, Reject> {
        self.ask(completion(token(task)))
    }

    fn fail(&mut self, task: &PollActivityTaskQueueResponse) -> Result<Reply, Reject> {
        let info = ApplicationFailureInfo::default();
        let failure = Failure {
            message: "broken".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
            ..Failure::default()
        };
        let request = RespondActivityTaskFailedRequest { failure: Some(failure), ..Default::default() };
        self.ask(StandaloneRequest::FailActivity { of: token(task), request: Box::new(request) })
    }

    fn state(&mut self, run_id: &str) -> Arc<Standalone> {
        match self.ask(StandaloneRequest::Read { run_id: run_id.into() }) {
            Ok(Reply::Standalone(Some(state))) => state,
            other => panic!("{other:?}"),
        }
    }

    fn shows(&mut self, expected: &Expect) {
        let now = self.now;
        let state = self.state("");
        let body = state.activity().expect("it is an activity");
        let mut text = format!(
            "{} attempt {} after {:?}",
            Stage::of(&state).name(),
            body.activity.attempt,
            now.since(BEGIN)
        );
        if let Some(outcome) = &state.outcome {
            let failure = outcome.failure.as_ref().map_or("none", |failure| &failure.message);
            text += &format!(", failure: {failure}, retry state {}", outcome.retry_state);
        }
        expected.assert_eq(&text);
    }
}

fn key() -> StandaloneKey {
    StandaloneKey::new(Kind::Activity, NAMESPACE, "a")
}

fn token(task: &PollActivityTaskQueueResponse) -> AttemptRef {
    AttemptRef::Token(TaskToken::decode(&task.task_token).expect("a token decodes"))
}

fn completion(of: AttemptRef) -> StandaloneRequest {
    let payload = Payload { data: b"result".to_vec(), ..Payload::default() };
    let result = Some(Payloads { payloads: vec![payload] });
    let request = RespondActivityTaskCompletedRequest { result, ..Default::default() };
    StandaloneRequest::CompleteActivity { of, request: Box::new(request) }
}

fn take_of(offer: &Offer, poll: &str) -> StandaloneRequest {
    let OfferedTask::StandaloneActivity { attempt, stamp } = offer.task else { panic!("{offer:?}") };
    StandaloneRequest::TakeActivity(TakeStandaloneActivity {
        run_id: offer.run.run_id.to_string(),
        attempt,
        stamp,
        identity: "worker".into(),
        request_id: poll.into(),
        build_id: String::new(),
        sdk_name: "sdk".into(),
        sdk_version: "1".into(),
    })
}

fn asked(request_id: &str) -> Asked {
    let (request_id, identity, reason) = (request_id.to_owned(), "client".to_owned(), "enough".to_owned());
    Asked { run_id: String::new(), request_id, identity, reason }
}

#[test]
fn a_start_and_a_completion_cost_an_entry_each() {
    let mut world = World::new();
    world.start("one", |_| {});
    let task = world.take();
    assert_eq!(world.entries, 1);
    world.complete(&task).unwrap();
    assert_eq!(world.entries, 2);
    world.shows(&expect!["Completed attempt 1 after 0ns, failure: none, retry state 0"]);
    let again = world.complete(&task).unwrap_err();
    expect!["activity not found for ID: a"].assert_eq(&text(&again));
}

#[test]
fn the_start_of_the_only_attempt_is_written_first() {
    let mut world = World::new();
    world.start("one", |request| request.retry_policy.as_mut().unwrap().maximum_attempts = 1);
    world.take();
    assert_eq!(world.entries, 2);
}

#[test]
fn a_start_is_written_soon_although_nobody_waits_for_it() {
    let mut world = World::new();
    world.start("one", |_| {});
    world.take();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.entries, 2);
    world.lead();
    world.shows(&expect!["Started attempt 1 after 1s"]);
    assert!(world.offers.is_empty());
}

#[test]
fn a_new_leader_offers_what_waits_and_honours_the_token_of_what_was_lost() {
    let mut world = World::new();
    world.start("one", |_| {});
    let task = world.take();
    // The start of the attempt is lost with its leader.
    world.lead();
    assert_eq!(world.offers.len(), 1);
    world.complete(&task).unwrap();
    let offer = world.offers.pop().unwrap();
    assert!(matches!(world.ask(take_of(&offer, "late")), Ok(Reply::TaskGone)));
}

#[test]
fn an_offer_is_repeated_without_an_actor() {
    let mut world = World::new();
    world.start("one", |request| {
        request.schedule_to_start_timeout = Some(proto_duration(Duration::from_secs(60)));
    });
    assert_eq!(world.shard.standalones(), 0);
    world.pass(Duration::from_secs(7));
    assert_eq!(world.offers.len(), 3);
    assert_eq!(world.entries, 1);
    world.pass(Duration::from_secs(60));
    let timed_out = "TimedOut attempt 1 after 67s, failure: activity ScheduleToStart timeout, retry state 3";
    assert_eq!(shown(&mut world), timed_out);
    let offers = world.offers.len();
    world.pass(Duration::from_secs(600));
    assert_eq!(world.offers.len(), offers);
}

fn shown(world: &mut World) -> String {
    let now = world.now;
    let state = world.state("");
    let outcome = state.outcome.as_ref().unwrap();
    let failure = outcome.failure.as_ref().map_or("none", |failure| &failure.message);
    let attempt = state.activity().unwrap().activity.attempt;
    let after = now.since(BEGIN);
    let stage = Stage::of(&state).name();
    format!(
        "{stage} attempt {attempt} after {after:?}, failure: {failure}, retry state {}",
        outcome.retry_state
    )
}

#[test]
fn attempts_follow_each_other_until_there_may_be_no_more() {
    let mut world = World::new();
    world.start("one", |request| request.retry_policy.as_mut().unwrap().maximum_attempts = 2);
    let first = world.take();
    world.fail(&first).unwrap();
    world.shows(&expect!["Scheduled attempt 2 after 0ns"]);
    assert!(world.offers.is_empty());
    world.pass(Duration::from_secs(1));
    let second = world.take();
    let stale = world.complete(&first).unwrap_err();
    expect!["activity not found for ID: a"].assert_eq(&text(&stale));
    world.fail(&second).unwrap();
    world.shows(&expect!["Failed attempt 2 after 1s, failure: broken, retry state 4"]);
}

#[test]
fn an_attempt_that_takes_too_long_is_tried_again() {
    let mut world = World::new();
    world.start("one", |_| {});
    world.take();
    world.pass(Duration::from_secs(10));
    world.shows(&expect!["Scheduled attempt 2 after 10s"]);
    world.lead();
    world.pass(Duration::from_secs(1));
    let task = world.take();
    assert_eq!(task.attempt, 2);
    world.complete(&task).unwrap();
}

#[test]
fn a_delayed_start_waits_without_memory() {
    let mut world = World::new();
    world.start("one", |request| request.start_delay = Some(proto_duration(Duration::from_secs(5))));
    assert!(world.offers.is_empty());
    world.lead();
    world.pass(Duration::from_secs(4));
    assert!(world.offers.is_empty());
    assert_eq!(world.shard.standalones(), 0);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.offers.len(), 1);
}

#[test]
fn the_same_request_starts_once() {
    let mut world = World::new();
    let first = world.start("one", |_| {});
    assert_eq!(world.start("one", |_| {}), first);
    let request = StartActivityExecutionRequest { request_id: "two".into(), ..Default::default() };
    let taken = world.ask(StandaloneRequest::StartActivity(Box::new(request))).unwrap_err();
    let Reject::StandaloneAlreadyStarted { start_request_id, run_id, .. } = taken else {
        panic!("{taken:?}")
    };
    assert_eq!((start_request_id.as_str(), &run_id), ("one", &first));
    world.ask(StandaloneRequest::Terminate(asked("end"))).unwrap();
    assert_eq!(world.start("one", |_| {}), first);
    let second = world.start("three", |_| {});
    assert_ne!(second, first);
    // The earlier run is still there, under its own id.
    assert_eq!(world.state(&first).status.name(), "Terminated");
    assert_eq!(world.state("").run_id(), second);
}

#[test]
fn whoever_waits_for_the_end_hears_of_it() {
    let mut world = World::new();
    let run_id = world.start("one", |_| {});
    let watch =
        |timeout_ms| StandaloneRequest::Watch { run_id: run_id.clone(), until: Until::Closed, timeout_ms };
    let (short, long) = (world.call(watch(1_000)), world.call(watch(60_000)));
    world.pass(Duration::from_secs(2));
    assert!(matches!(world.answer(short), Some(Ok(Reply::Standalone(None)))));
    assert!(world.answer(long).is_none());
    let task = world.take();
    world.complete(&task).unwrap();
    assert!(matches!(world.answer(long), Some(Ok(Reply::Standalone(Some(_))))));
}

#[test]
fn cancelled_at_once_if_nobody_holds_it_and_otherwise_by_its_worker() {
    let mut world = World::new();
    world.start("one", |_| {});
    world.ask(StandaloneRequest::Cancel(asked("cancel"))).unwrap();
    world.shows(&expect!["Canceled attempt 1 after 0ns, failure: Activity canceled, retry state 0"]);
    world.start("two", |_| {});
    let task = world.take();
    world.ask(StandaloneRequest::Cancel(asked("cancel"))).unwrap();
    world.shows(&expect!["CancelRequested attempt 1 after 0ns"]);
    world.fail(&task).unwrap();
    world.shows(&expect!["Failed attempt 1 after 0ns, failure: broken, retry state 7"]);
}

#[test]
fn paused_it_is_neither_handed_out_nor_forgotten() {
    let mut world = World::new();
    world.start("one", |_| {});
    let offer = world.offers.pop().unwrap();
    let pause = PauseActivityExecutionRequest { request_id: "p".into(), ..Default::default() };
    world.ask(StandaloneRequest::PauseActivity(Box::new(pause))).unwrap();
    assert!(matches!(world.ask(take_of(&offer, "poll")), Ok(Reply::TaskGone)));
    world.lead();
    world.pass(Duration::from_secs(100));
    assert!(world.offers.is_empty());
    world.shows(&expect!["Paused attempt 1 after 100s"]);
    world.ask(StandaloneRequest::UnpauseActivity(Box::<UnpauseActivityExecutionRequest>::default())).unwrap();
    let task = world.take();
    world.complete(&task).unwrap();
}

#[test]
fn a_reset_of_a_running_attempt_begins_anew_when_that_ends() {
    let mut world = World::new();
    world.start("one", |_| {});
    let first = world.take();
    world.fail(&first).unwrap();
    world.pass(Duration::from_secs(1));
    let second = world.take();
    world.ask(StandaloneRequest::ResetActivity(Box::<ResetActivityExecutionRequest>::default())).unwrap();
    world.shows(&expect!["ResetRequested attempt 2 after 1s"]);
    world.fail(&second).unwrap();
    world.shows(&expect!["Scheduled attempt 1 after 1s"]);
    // The token of the first attempt of the first count is not that of this one.
    assert!(world.complete(&first).is_err());
    let again = world.take();
    assert_eq!(again.attempt, 1);
    world.complete(&again).unwrap();
}

#[test]
fn it_goes_after_its_retention_and_leaves_nothing() {
    let mut world = World::new();
    let run_id = world.start("one", |_| {});
    let task = world.take();
    world.complete(&task).unwrap();
    world.pass(Limits::default().retention);
    assert!(world.tables.rows().is_empty(), "{:?}", world.tables.rows().keys());
    let gone = world.ask(StandaloneRequest::Read { run_id }).unwrap_err();
    expect!["activity not found for ID: a"].assert_eq(&text(&gone));
}

#[test]
fn deleted_while_somebody_waits_and_a_task_is_offered() {
    let mut world = World::new();
    let run_id = world.start("one", |_| {});
    let until = Until::Closed;
    let watch = world.call(StandaloneRequest::Watch { run_id: run_id.clone(), until, timeout_ms: 60_000 });
    world.ask(StandaloneRequest::Delete { run_id }).unwrap();
    assert!(matches!(world.answer(watch), Some(Err(Reject::NotFound(_)))));
    let offers = world.offers.len();
    world.pass(Duration::from_secs(100));
    assert_eq!(world.offers.len(), offers);
    assert!(world.tables.rows().is_empty());
}

fn text(reject: &Reject) -> String {
    match reject {
        Reject::NotFound(text) | Reject::FailedPrecondition(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
