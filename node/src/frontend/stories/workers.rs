//! Workers: waiting for tasks, answering them.

use std::time::Duration;

use everlog_engine::{
    key::WorkflowKey,
    reply::{CompletedReply, HistorySpan, Reply, WorkflowTaskReply},
    request::{ActivityRef, Request},
    standalone::request::{AttemptRef, StandaloneRequest},
    token::{TaskToken, TokenTask},
};
use everlog_proto::api::{
    common::v1::{Payload, Payloads},
    enums::v1::QueryResultType,
    failure::v1::Failure,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
};
use tonic::Code;

use crate::frontend::testing::{Fake, NAMESPACE, NAMESPACE_ID, RUN_ID, Server, event};

fn poll() -> PollWorkflowTaskQueueRequest {
    PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        ..Default::default()
    }
}

fn task(from: i64, to: i64) -> WorkflowTaskReply {
    let run = WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID);
    WorkflowTaskReply {
        response: PollWorkflowTaskQueueResponse { task_token: b"token".to_vec(), ..Default::default() },
        history: HistorySpan { run, from, to, suffix: vec![event(to + 1), event(to + 2)] },
    }
}

fn serve(task: WorkflowTaskReply, rows: Vec<Vec<i64>>) -> Server {
    Fake { task: Some(task), rows, ..Fake::default() }.serve().with("grpc-timeout", "60S")
}

async fn polled(server: &Server) -> (Vec<i64>, bool) {
    let task: PollWorkflowTaskQueueResponse = server.call("PollWorkflowTaskQueue", &poll()).await.unwrap();
    assert_eq!(task.task_token, b"token");
    let events = task.history.unwrap().events.iter().map(|event| event.event_id).collect();
    (events, !task.next_page_token.is_empty())
}

#[tokio::test]
async fn a_task_brings_its_history() {
    let rows = vec![vec![1, 2], vec![3, 4, 5]];
    assert_eq!(polled(&serve(task(1, 5), rows.clone())).await, (vec![1, 2, 3, 4, 5, 6, 7], false));
    // A worker that knows the beginning gets the rest, though it was written together with older events.
    assert_eq!(polled(&serve(task(4, 5), rows.clone())).await, (vec![4, 5, 6, 7], false));
    assert_eq!(polled(&serve(task(6, 5), rows)).await, (vec![6, 7], false));
}

#[tokio::test]
async fn a_long_history_goes_on_elsewhere() {
    let rows: Vec<Vec<i64>> = (1..=300).map(|id| vec![id]).collect();
    let (events, more) = polled(&serve(task(1, 300), rows)).await;
    assert_eq!(events, (1..=256).collect::<Vec<_>>());
    assert!(more);
}

#[tokio::test(start_paused = true)]
async fn an_empty_poll_ends_before_its_caller_gives_up() {
    let refusal = async |timeout: Option<&str>| {
        let mut server = Fake::default().serve();
        if let Some(timeout) = timeout {
            server = server.with("grpc-timeout", timeout);
        }
        let began = tokio::time::Instant::now();
        let refusal = server.refusal("PollWorkflowTaskQueue", &poll()).await;
        (refusal, began.elapsed().as_secs())
    };
    let too_short = |elapsed| ("Context timeout is too short.".to_owned(), elapsed);
    assert_eq!(refusal(Some("1999m")).await, too_short(0));
    assert_eq!(refusal(Some("2S")).await, (String::new(), 1));
    assert_eq!(refusal(Some("10S")).await, (String::new(), 9));
    assert_eq!(refusal(Some("120S")).await, (String::new(), 60));
    assert_eq!(refusal(None).await, ("Context timeout is not set.".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_takes_the_poll_along() {
    let server = Fake::default().serve().with("grpc-timeout", "60S");
    let poll = poll();
    let left = tokio::time::timeout(Duration::from_secs(5), server.refusal("PollWorkflowTaskQueue", &poll));
    assert!(left.await.is_err());
    let polls = server.fake.polls.lock().unwrap();
    assert_eq!(polls.len(), 1);
    assert!(!polls[0].request_id.is_empty());
}

#[tokio::test]
async fn a_worker_must_say_what_it_polls() {
    let server = Fake::default().serve().with("grpc-timeout", "60S");
    let refusal =
        async |request: PollWorkflowTaskQueueRequest| server.refusal("PollWorkflowTaskQueue", &request).await;
    let queue = |name: &str| Some(TaskQueue { name: name.into(), ..TaskQueue::default() });
    let with = |task_queue| PollWorkflowTaskQueueRequest { task_queue, ..poll() };
    assert_eq!(refusal(with(None)).await, "taskQueue is not set");
    assert_eq!(refusal(with(queue(""))).await, "missing task queue name");
    assert_eq!(
        refusal(with(queue("/_sys/q/1"))).await,
        "task queue name cannot start with reserved prefix /_sys/"
    );
    let nameless = PollWorkflowTaskQueueRequest { identity: "i".repeat(1001), ..poll() };
    assert_eq!(refusal(nameless).await, "Identity length exceeds limit.");
}

#[tokio::test]
async fn the_next_task_comes_with_the_answer_to_the_last() {
    let answers = |_: &Request| {
        Ok(Reply::Completed(Box::new(CompletedReply {
            is_forgotten: false,
            response: RespondWorkflowTaskCompletedResponse {
                reset_history_event_id: 9,
                ..Default::default()
            },
            workflow_task: Some(Box::new(task(3, 4))),
        })))
    };
    let fake = Fake { answers: Box::new(answers), rows: vec![vec![1, 2, 3], vec![4]], ..Fake::default() };
    let token = TaskToken {
        run: WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID),
        task: TokenTask::Workflow { scheduled_event_id: 2, started_event_id: 3, attempt: 1, nonce: 1 },
    };
    let request = RespondWorkflowTaskCompletedRequest { task_token: token.encode(), ..Default::default() };
    let response: RespondWorkflowTaskCompletedResponse =
        fake.serve().call("RespondWorkflowTaskCompleted", &request).await.unwrap();
    assert_eq!(response.reset_history_event_id, 9);
    let next = response.workflow_task.unwrap();
    assert_eq!(next.task_token, b"token");
    let events: Vec<i64> = next.history.unwrap().events.iter().map(|event| event.event_id).collect();
    assert_eq!(events, [3, 4, 5, 6]);
}

#[tokio::test]
async fn heartbeats_of_a_task_end() {
    let fake = Fake { answers: Box::new(|_| Ok(Reply::HeartbeatTimedOut)), ..Fake::default() };
    let token = TaskToken {
        run: WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID),
        task: TokenTask::Workflow { scheduled_event_id: 2, started_event_id: 3, attempt: 1, nonce: 1 },
    };
    let request = RespondWorkflowTaskCompletedRequest { task_token: token.encode(), ..Default::default() };
    let server = fake.serve();
    let refused =
        server.call::<RespondWorkflowTaskCompletedResponse>("RespondWorkflowTaskCompleted", &request);
    let refused = refused.await.unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (Code::NotFound, "workflow task heartbeat timeout"));
}

#[tokio::test]
async fn an_activity_may_be_named_by_its_id() {
    let server = Fake::default().serve();
    let refusal = async |workflow_id: &str, run_id: &str, activity_id: &str| {
        let request = RespondActivityTaskCompletedByIdRequest {
            namespace: NAMESPACE.into(),
            workflow_id: workflow_id.into(),
            run_id: run_id.into(),
            activity_id: activity_id.into(),
            ..Default::default()
        };
        server.refusal("RespondActivityTaskCompletedById", &request).await
    };
    assert_eq!(refusal("w", "", "").await, "ActivityId is not set on request.");
    assert_eq!(refusal("", "", "a").await, "");
    assert_eq!(refusal("w", "x", "a").await, "RunId is not valid UUID.");
    assert_eq!(refusal("w", "", "a").await, "");
    let asked = server.fake.asked.lock().unwrap();
    assert!(matches!(
        &asked[..],
        [Request::CompleteActivity { of: ActivityRef::Id { run_id, activity_id }, .. }]
            if run_id.is_empty() && activity_id == "a"
    ));
    // Without a workflow's id it is one that runs on its own.
    let alone = server.fake.asked_alone.lock().unwrap();
    assert!(matches!(
        &alone[..],
        [StandaloneRequest::CompleteActivity { of: AttemptRef::Id { run_id }, .. }] if run_id.is_empty()
    ));
}

#[tokio::test]
async fn an_activity_fails_as_an_application_does() {
    let token = TaskToken {
        run: WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID),
        task: TokenTask::Activity {
            scheduled_event_id: 5,
            attempt: 1,
            activity_id: "a".into(),
            started: Default::default(),
            request_id: "r".into(),
            generation: 0,
        },
    };
    let request = RespondActivityTaskFailedRequest {
        task_token: token.encode(),
        failure: Some(Failure { message: "m".into(), ..Failure::default() }),
        ..Default::default()
    };
    let refusal = Fake::default().serve().refusal("RespondActivityTaskFailed", &request).await;
    assert_eq!(refusal, "Failure must have ApplicationFailureInfo.");
}

#[tokio::test]
async fn an_answer_to_a_query_that_is_too_large_fails_the_query() {
    let token = TaskToken {
        run: WorkflowKey::new(NAMESPACE_ID, "w").run(RUN_ID),
        task: TokenTask::Query { id: 4, nonce: 1 },
    };
    let large = Payload { data: vec![0; 2 << 20], ..Payload::default() };
    let request = RespondQueryTaskCompletedRequest {
        task_token: token.encode(),
        completed_type: QueryResultType::Answered as i32,
        query_result: Some(Payloads { payloads: vec![large] }),
        ..Default::default()
    };
    let server = Fake::default().serve();
    assert_eq!(server.refusal("RespondQueryTaskCompleted", &request).await, "");
    let asked = server.fake.asked.lock().unwrap();
    let [Request::AnswerQuery { request, .. }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.completed_type(), QueryResultType::Failed);
    assert_eq!(request.error_message, "Blob data size exceeds limit.");
    assert!(request.query_result.is_none());
}
