//! Histories page by page, as they grow, and backwards.

use everlog_engine::{reply::Reply, request::Request};
use everlog_proto::api::{
    common::v1::WorkflowExecution,
    enums::v1::{HistoryEventFilterType, WorkflowExecutionStatus},
    workflowservice::v1::*,
};

use crate::frontend::testing::{Fake, NAMESPACE, RUN_ID, Server, held, run, state};

const ROWS: [&[i64]; 4] = [&[1, 2], &[3], &[4, 5, 6], &[7]];

fn fake(answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Fake {
    Fake {
        rows: ROWS.map(<[i64]>::to_vec).to_vec(),
        answers: Box::new(move |request| Ok(answers(request))),
        ..Fake::default()
    }
}

fn open() -> Fake {
    fake(|_| state(run(7, WorkflowExecutionStatus::Running)))
}

fn closed() -> Fake {
    fake(|_| state(run(7, WorkflowExecutionStatus::Completed)))
}

fn request() -> GetWorkflowExecutionHistoryRequest {
    GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: Some(WorkflowExecution { workflow_id: "w".into(), run_id: String::new() }),
        ..Default::default()
    }
}

async fn read(server: &Server, request: &GetWorkflowExecutionHistoryRequest) -> (Vec<i64>, Vec<u8>) {
    let page: GetWorkflowExecutionHistoryResponse =
        server.call("GetWorkflowExecutionHistory", request).await.unwrap();
    let events = page.history.expect("a page has a history, even an empty one").events;
    (events.iter().map(|event| event.event_id).collect(), page.next_page_token)
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let server = open().serve();
    let mut request = GetWorkflowExecutionHistoryRequest { maximum_page_size: 2, ..request() };
    let (events, token) = read(&server, &request).await;
    assert_eq!(events, [1, 2, 3]);
    assert!(!token.is_empty());
    request.next_page_token = token;
    let (events, token) = read(&server, &request).await;
    assert_eq!(events, [4, 5, 6, 7]);
    assert!(token.is_empty());
    // A page size that makes no sense is the largest.
    for maximum_page_size in [0, -1, i32::MAX] {
        let request = GetWorkflowExecutionHistoryRequest { maximum_page_size, ..self::request() };
        assert_eq!(read(&server, &request).await.0.len(), 7);
    }
}

#[tokio::test]
async fn a_token_is_bound_to_its_run() {
    let server = open().serve();
    let mut request = GetWorkflowExecutionHistoryRequest { maximum_page_size: 1, ..request() };
    let (_, token) = read(&server, &request).await;
    request.next_page_token = token.clone();
    request.execution.as_mut().unwrap().run_id = RUN_ID.into();
    assert_eq!(read(&server, &request).await.0, [3]);
    let asked = server.fake.asked.lock().unwrap().last().unwrap().clone();
    assert!(matches!(asked, Request::Read { run_id } if run_id == RUN_ID));
    let refusal = async |run_id: &str, next_page_token: Vec<u8>| {
        let execution = Some(WorkflowExecution { workflow_id: "w".into(), run_id: run_id.into() });
        let request = GetWorkflowExecutionHistoryRequest { execution, next_page_token, ..self::request() };
        server.refusal("GetWorkflowExecutionHistory", &request).await
    };
    let other_run = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        refusal(other_run, token.clone()).await,
        "RunId in the request does not match the NextPageToken."
    );
    assert_eq!(refusal("", b"zz".to_vec()).await, "Invalid NextPageToken.");
    assert_eq!(refusal("no uuid", Vec::new()).await, "Invalid RunId.");
    let reverse = GetWorkflowExecutionHistoryReverseRequest {
        namespace: NAMESPACE.into(),
        execution: self::request().execution,
        next_page_token: token,
        ..Default::default()
    };
    assert_eq!(
        server.refusal("GetWorkflowExecutionHistoryReverse", &reverse).await,
        "Invalid NextPageToken."
    );
}

#[tokio::test]
async fn a_follower_waits_for_the_next_event() {
    let server = fake(|request| match request {
        Request::Watch { seen: 7, until_closed: false, .. } => {
            state(run(7, WorkflowExecutionStatus::Running))
        }
        Request::Read { .. } => state(run(7, WorkflowExecutionStatus::Running)),
        other => panic!("{other:?}"),
    })
    .serve();
    let mut request = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request() };
    let (events, token) = read(&server, &request).await;
    assert_eq!(events.len(), 7);
    request.next_page_token = token.clone();
    // The long poll ended without an event: the reader comes again with the same token.
    assert_eq!(read(&server, &request).await, (vec![], token));
}

#[tokio::test]
async fn following_ends_with_the_run() {
    let server = closed().serve();
    let request = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request() };
    let (events, token) = read(&server, &request).await;
    assert_eq!((events.len(), token.len()), (7, 0));
}

#[tokio::test]
async fn a_long_poll_ends_before_its_caller_gives_up() {
    for (timeout, expected) in [("3S", 2_000), ("500m", 0), ("90S", 20_000)] {
        let server = fake(|request| match request {
            Request::Watch { .. } => state(run(7, WorkflowExecutionStatus::Running)),
            other => panic!("{other:?}"),
        })
        .serve()
        .with("grpc-timeout", timeout);
        let request = GetWorkflowExecutionHistoryRequest {
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
            ..request()
        };
        let (events, token) = read(&server, &request).await;
        assert!(events.is_empty() && !token.is_empty());
        let asked = server.fake.asked.lock().unwrap();
        let Request::Watch { until_closed: true, timeout_ms, .. } = &asked[0] else { panic!("{asked:?}") };
        assert!(timeout_ms.abs_diff(expected) < 100, "{timeout}: {timeout_ms}");
    }
}

#[tokio::test]
async fn the_close_event_alone() {
    let close = HistoryEventFilterType::CloseEvent as i32;
    let request = GetWorkflowExecutionHistoryRequest { history_event_filter_type: close, ..request() };
    assert_eq!(read(&closed().serve(), &request).await, (vec![7], vec![]));
    assert_eq!(read(&open().serve(), &request).await, (vec![], vec![]));
    let request = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request };
    assert_eq!(read(&closed().serve(), &request).await, (vec![7], vec![]));
}

#[tokio::test]
async fn who_replays_sees_what_the_worker_was_told() {
    // (attempt, client, events after the seven that are written)
    let cases: [(i32, &str, &[i64]); 6] = [
        (1, "temporal-python", &[8]),
        (1, "temporal-cli", &[8]),
        (1, "", &[8]),
        (3, "temporal-python", &[8, 9]),
        (3, "temporal-cli", &[]),
        (3, "", &[]),
    ];
    for (attempt, client, more) in cases {
        let server = fake(move |_| Reply::State(held(7, attempt))).serve().with("client-name", client);
        let (events, token) = read(&server, &request()).await;
        assert_eq!(events[7..], *more, "{attempt} {client}");
        assert!(token.is_empty());
        // Only the last page has them.
        let first = GetWorkflowExecutionHistoryRequest { maximum_page_size: 1, ..request() };
        assert_eq!(read(&server, &first).await.0, [1, 2]);
        // Who follows gets them when they are written.
        let follow = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request() };
        assert_eq!(read(&server, &follow).await.0.len(), 7);
    }
}

#[tokio::test]
async fn backwards_from_the_newest() {
    let request = |next_page_token| GetWorkflowExecutionHistoryReverseRequest {
        namespace: NAMESPACE.into(),
        execution: self::request().execution,
        maximum_page_size: 2,
        next_page_token,
    };
    let read = async |server: &Server, token: Vec<u8>| {
        let page: GetWorkflowExecutionHistoryReverseResponse =
            server.call("GetWorkflowExecutionHistoryReverse", &request(token)).await.unwrap();
        let events: Vec<i64> = page.history.unwrap().events.iter().map(|event| event.event_id).collect();
        (events, page.next_page_token)
    };
    let server = open().serve();
    let (events, token) = read(&server, Vec::new()).await;
    assert_eq!(events, [7, 6, 5, 4]);
    let (events, token) = read(&server, token).await;
    assert_eq!(events, [3, 2, 1]);
    assert!(token.is_empty());
    let server = fake(|_| Reply::State(held(7, 1))).serve();
    assert_eq!(read(&server, Vec::new()).await.0, [8, 7, 6, 5, 4]);
}
