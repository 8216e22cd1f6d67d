//! Nexus operations that run on their own.

use std::time::Duration;

use everlog_proto::api::{
    common::v1::Payload, failure::v1::Failure, workflowservice::v1::StartNexusOperationExecutionRequest,
};
use expect_test::{Expect, expect};

use super::{NAMESPACE, World, asked, text};
use crate::{
    codec::Proto,
    limits::Limits,
    message::{Body, Outcome as Told, Subject},
    nexus::{
        CallOf, Outcome, Owed,
        callback::{Completion, End, OperationRef},
    },
    reject::Reject,
    reply::Reply,
    standalone::{
        Kind, StandaloneKey, operation,
        request::{StandaloneRequest, Until},
    },
    time::proto_duration,
};

fn key() -> StandaloneKey {
    StandaloneKey::new(Kind::Operation, NAMESPACE, "operation")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a handler was asked.
struct Called {
    run_id: String,
    call: Owed,
    callback: Option<OperationRef>,
}

impl World {
    fn ask_operation(&mut self, request: StandaloneRequest) -> Result<Reply, Reject> {
        let call = self.call_of(key(), request);
        self.answer(call).expect("it is answered")
    }

    fn begin(
        &mut self,
        request_id: &str,
        change: impl FnOnce(&mut StartNexusOperationExecutionRequest),
    ) -> Result<Reply, Reject> {
        let mut request = StartNexusOperationExecutionRequest {
            request_id: request_id.into(),
            operation_id: key().id().into(),
            endpoint: "endpoint".into(),
            service: "service".into(),
            operation: "work".into(),
            input: Some(payload("in")),
            ..Default::default()
        };
        change(&mut request);
        let request = Box::new(request);
        self.ask_operation(StandaloneRequest::StartOperation { request, endpoint_id: "id".into() })
    }

    /// The only call that was made since the last time.
    fn called(&mut self) -> Called {
        let mut sent = std::mem::take(&mut self.sent);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let message = sent.remove(0);
        let (Subject::Operation(call), Body::NexusCall(body)) = (message.subject, message.body) else {
            panic!("it is a call of an operation");
        };
        let callback = match body.what {
            CallOf::Start { callback, .. } => Some(callback),
            CallOf::Cancel { .. } => None,
        };
        Called { run_id: message.from.run_id.to_string(), call, callback }
    }

    fn handled(&mut self, called: &Called, outcome: Outcome) {
        let (run_id, call, outcome) = (called.run_id.clone(), called.call, Box::new(outcome));
        let _ = self.ask_operation(StandaloneRequest::OperationCalled { run_id, call, outcome });
    }

    fn complete_operation(&mut self, called: &Called, by_run: &str, request_id: Option<&str>) -> Outcome {
        let mut operation = called.callback.clone().expect("a call that starts it");
        if let Some(request_id) = request_id {
            operation.request_id = request_id.into();
        }
        let completion = Completion {
            operation: Some(operation),
            operation_token: "told with the end".into(),
            started: self.now,
            links: Vec::new(),
            end: End::Succeeded(Some(Proto(payload("out")))),
        };
        let told = self.ask_operation(StandaloneRequest::CompleteOperation {
            run_id: called.run_id.clone(),
            completion: Box::new(completion),
            by_run: by_run.into(),
            from_namespace: "namespace".into(),
        });
        match told {
            Ok(Reply::Message(Told::Nexus(outcome))) => *outcome,
            other => panic!("{other:?}"),
        }
    }

    /// The operation as a description shows it, in short.
    fn shown_operation(&mut self) -> String {
        let read = StandaloneRequest::Read { run_id: String::new() };
        let state = match self.ask_operation(read) {
            Ok(Reply::Standalone(Some(state))) => state,
            Ok(other) => panic!("{other:?}"),
            Err(reject) => return text(&reject),
        };
        let info = operation::info(&state, self.now);
        let mut shown = format!("{:?} {:?} attempt {}", info.status(), info.state(), info.attempt);
        if let Some(failure) = &info.last_attempt_failure {
            shown += &format!(" after {:?}", failure.message);
        }
        if !info.operation_token.is_empty() {
            shown += &format!(" token {:?}", info.operation_token);
        }
        if let Some(cancel) = &info.cancellation_info {
            shown += &format!(" cancel {:?} {}", cancel.state(), cancel.attempt);
        }
        if let Some(ended) = operation::outcome(&state) {
            shown += &match ended {
                operation::Ended::Result(payload) => format!(": {}", String::from_utf8_lossy(&payload.data)),
                operation::Ended::Failure(failure) => format!(": {:?}", failure.message),
            };
        }
        shown
    }

    fn operation_shows(&mut self, expected: &Expect) {
        expected.assert_eq(&self.shown_operation());
    }
}

fn payload(data: &str) -> Payload {
    Payload { data: data.as_bytes().to_vec(), ..Payload::default() }
}

fn error(message: &str, retryable: bool) -> Outcome {
    let failure = Failure { message: message.into(), ..Failure::default() };
    Outcome::Error { failure: Box::new(Proto(failure)), retryable }
}

fn started(token: &str) -> Outcome {
    Outcome::Started { operation_token: token.into(), links: Vec::new() }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded { payload: Some(Proto(payload("out"))), links: Vec::new() }
}

#[test]
fn answered_at_once_it_costs_two_entries() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    world.operation_shows(&expect!["Running Scheduled attempt 1"]);
    let called = world.called();
    world.handled(&called, succeeded());
    world.operation_shows(&expect!["Completed Unspecified attempt 1: out"]);
    assert_eq!((world.entries, world.shard.standalones()), (2, 0));
    // The same answer again, and one of another attempt, find nothing to do.
    world.handled(&called, succeeded());
    assert_eq!(world.entries, 2);
}

#[test]
fn a_call_that_fails_is_made_again_after_a_pause() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let first = world.called();
    world.handled(&first, error("busy", true));
    world.operation_shows(&expect![[r#"Running BackingOff attempt 1 after "busy""#]]);
    world.pass(seconds(1));
    world.operation_shows(&expect![[r#"Running Scheduled attempt 2 after "busy""#]]);
    let second = world.called();
    world.handled(&first, succeeded());
    world.operation_shows(&expect![[r#"Running Scheduled attempt 2 after "busy""#]]);
    world.handled(&second, error("no", false));
    world.operation_shows(&expect![[r#"Failed Unspecified attempt 2 after "no": "no""#]]);
    assert_eq!(world.sent, []);
}

#[test]
fn a_call_that_nobody_answers_is_made_again() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let first = world.called();
    assert_eq!(world.shard.standalones(), 0);
    world.pass(seconds(29));
    assert_eq!(world.sent, []);
    world.pass(seconds(2));
    let second = world.called();
    assert_eq!(second.call, first.call);
    // Whichever is answered first counts, and the other does not.
    world.handled(&first, started("first"));
    world.handled(&second, started("second"));
    world.operation_shows(&expect![[r#"Running Started attempt 1 token "first""#]]);
}

#[test]
fn a_new_leader_makes_the_call_that_is_owed() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let lost = world.called();
    world.lead();
    let call = world.called();
    assert_eq!(call.callback, lost.callback);
    world.handled(&call, started("token"));
    world.lead();
    assert_eq!(world.sent, []);
    world.ask_operation(StandaloneRequest::Cancel(asked("stop"))).unwrap();
    world.called();
    world.lead();
    let cancel = world.called();
    world.handled(&cancel, Outcome::Taken);
    world.lead();
    world.operation_shows(&expect![[r#"Running Started attempt 1 token "token" cancel Succeeded 1"#]]);
    assert_eq!(world.sent, []);
}

#[test]
fn its_end_counts_once_and_is_known_when_it_is_told_again() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let called = world.called();
    world.handled(&called, started("token"));
    let stranger = world.complete_operation(&called, "run", Some("another"));
    assert!(matches!(stranger, Outcome::Error { retryable: false, .. }));
    assert_eq!(world.complete_operation(&called, "run", None), Outcome::Taken);
    world.operation_shows(&expect![[r#"Completed Unspecified attempt 1 token "token": out"#]]);
    let entries = world.entries;
    assert_eq!(world.complete_operation(&called, "run", None), Outcome::Taken);
    assert!(matches!(
        world.complete_operation(&called, "other run", None),
        Outcome::Error { retryable: false, .. }
    ));
    assert_eq!(world.entries, entries);
}

#[test]
fn an_end_that_comes_before_the_start_tells_of_it() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let called = world.called();
    assert_eq!(world.complete_operation(&called, "run", None), Outcome::Taken);
    world.operation_shows(&expect![[r#"Completed Unspecified attempt 1 token "told with the end": out"#]]);
    world.handled(&called, started("token"));
    world.operation_shows(&expect![[r#"Completed Unspecified attempt 1 token "told with the end": out"#]]);
}

#[test]
fn an_end_after_a_call_that_failed_is_no_start() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let called = world.called();
    world.handled(&called, error("busy", true));
    assert_eq!(world.complete_operation(&called, "run", None), Outcome::Taken);
    world.operation_shows(&expect![[r#"Completed Unspecified attempt 1 after "busy": out"#]]);
    world.pass(seconds(10));
    assert_eq!(world.sent, []);
}

#[test]
fn a_cancel_request_waits_for_the_start_and_is_repeated() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    world.ask_operation(StandaloneRequest::Cancel(asked("stop"))).unwrap();
    world.ask_operation(StandaloneRequest::Cancel(asked("stop"))).unwrap();
    let again = world.ask_operation(StandaloneRequest::Cancel(asked("again"))).unwrap_err();
    expect!["cancellation already requested with request ID stop"].assert_eq(&text(&again));
    let start = world.called();
    world.operation_shows(&expect!["Running Scheduled attempt 1 cancel Unspecified 0"]);
    world.handled(&start, started("token"));
    let cancel = world.called();
    assert_eq!(cancel.call, Owed::Cancel(0));
    world.handled(&cancel, error("busy", true));
    world.operation_shows(&expect![[r#"Running Started attempt 1 token "token" cancel BackingOff 1"#]]);
    world.pass(seconds(1));
    let cancel = world.called();
    world.handled(&cancel, error("never", false));
    world.operation_shows(&expect![[r#"Running Started attempt 1 token "token" cancel Failed 2"#]]);
    assert_eq!(world.complete_operation(&start, "run", None), Outcome::Taken);
    let late = world.ask_operation(StandaloneRequest::Cancel(asked("stop"))).unwrap_err();
    expect!["operation already completed"].assert_eq(&text(&late));
}

#[test]
fn it_times_out_while_nobody_answers_and_while_it_is_carried_out() {
    let timeout = |seconds| Some(proto_duration(Duration::from_secs(seconds)));
    let mut world = World::new();
    world.begin("r", |request| request.schedule_to_start_timeout = timeout(5)).unwrap();
    world.called();
    world.pass(seconds(5));
    world.operation_shows(&expect![[r#"TimedOut Unspecified attempt 1: "operation timed out""#]]);
    world.begin("s", |request| request.start_to_close_timeout = timeout(5)).unwrap();
    let called = world.called();
    world.pass(seconds(6));
    world.handled(&called, started("token"));
    world.lead();
    world.pass(seconds(4));
    world.operation_shows(&expect![[r#"Running Started attempt 1 token "token""#]]);
    world.pass(seconds(1));
    world.operation_shows(&expect![[
        r#"TimedOut Unspecified attempt 1 token "token": "operation timed out""#
    ]]);
}

#[test]
fn terminated_it_calls_nobody() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let called = world.called();
    world.ask_operation(StandaloneRequest::Terminate(asked("end"))).unwrap();
    world.ask_operation(StandaloneRequest::Terminate(asked("end"))).unwrap();
    let again = world.ask_operation(StandaloneRequest::Terminate(asked("other"))).unwrap_err();
    expect!["already terminated with request ID end"].assert_eq(&text(&again));
    world.handled(&called, succeeded());
    world.pass(seconds(100));
    assert_eq!(world.sent, []);
    world.operation_shows(&expect![[r#"Terminated Unspecified attempt 1: "enough""#]]);
}

#[test]
fn the_same_request_starts_once() {
    let mut world = World::new();
    let run_of = |reply| match reply {
        Ok(Reply::StandaloneStarted { run_id, started }) => (run_id, started),
        other => panic!("{other:?}"),
    };
    let (run_id, _) = run_of(world.begin("r", |_| {}));
    assert_eq!(run_of(world.begin("r", |_| {})), (run_id.clone(), false));
    let other = world.begin("s", |_| {}).unwrap_err();
    assert!(matches!(other, Reject::StandaloneAlreadyStarted { kind: Kind::Operation, .. }));
    assert_eq!(world.entries, 1);
}

#[test]
fn whoever_waits_hears_of_the_start_the_end_and_the_next_attempt() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let watch = |until| StandaloneRequest::Watch { run_id: String::new(), until, timeout_ms: 60_000 };
    let (start, end) =
        (world.call_of(key(), watch(Until::Started)), world.call_of(key(), watch(Until::Closed)));
    let called = world.called();
    world.handled(&called, error("busy", true));
    let seen = match world.ask_operation(StandaloneRequest::Read { run_id: String::new() }) {
        Ok(Reply::Standalone(Some(state))) => state.changes(world.now),
        other => panic!("{other:?}"),
    };
    let change = world.call_of(key(), watch(Until::Changed { seen }));
    assert!(world.answer(change).is_none());
    world.pass(seconds(1));
    assert!(matches!(world.answer(change), Some(Ok(Reply::Standalone(Some(_))))));
    assert!(world.answer(start).is_none());
    let called = world.called();
    world.handled(&called, started("token"));
    assert!(matches!(world.answer(start), Some(Ok(Reply::Standalone(Some(_))))));
    assert!(world.answer(end).is_none());
    assert_eq!(world.complete_operation(&called, "run", None), Outcome::Taken);
    assert!(matches!(world.answer(end), Some(Ok(Reply::Standalone(Some(_))))));
}

#[test]
fn it_goes_after_its_retention_and_leaves_nothing() {
    let mut world = World::new();
    world.begin("r", |_| {}).unwrap();
    let called = world.called();
    world.handled(&called, succeeded());
    world.pass(Limits::default().retention);
    world.operation_shows(&expect!["operation not found for ID: operation"]);
    assert!(world.tables.rows().is_empty(), "{:?}", world.tables.rows().keys());
}
