//! Before a call is looked at: its namespace, its token, its rate, and what cannot be read at all.

use everlog_engine::{
    key::WorkflowKey,
    token::{TaskToken, TokenTask},
};
use everlog_proto::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::NamespaceState,
    errordetails::v1::NamespaceNotFoundFailure,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
};
use everlog_proto::prost::Message;
use tonic::{Code, Status};

use crate::frontend::{
    dynamic_config::DynamicConfig,
    status::RpcStatus,
    testing::{Fake, NAMESPACE, NAMESPACE_ID, OTHER, RUN_ID, namespace},
};

pub(super) fn start() -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "w".into(),
        workflow_type: Some(WorkflowType { name: "t".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        ..StartWorkflowExecutionRequest::default()
    }
}

fn workflow_token(namespace_id: &str) -> Vec<u8> {
    let task = TokenTask::Workflow { scheduled_event_id: 2, started_event_id: 3, attempt: 1, nonce: 7 };
    TaskToken { run: WorkflowKey::new(namespace_id, "w").run(RUN_ID), task }.encode()
}

#[tokio::test]
async fn the_namespace_is_looked_at_first() {
    let server = Fake::default().serve();
    let refusal = async |namespace: &str| {
        let request = StartWorkflowExecutionRequest { namespace: namespace.into(), ..Default::default() };
        server.refusal("StartWorkflowExecution", &request).await
    };
    assert_eq!(refusal("").await, "Namespace is empty.");
    assert_eq!(refusal(&"n".repeat(1001)).await, "Namespace length exceeds limit.");
    assert_eq!(refusal(&"n".repeat(1000)).await, format!("Namespace {} is not found.", "n".repeat(1000)));
    assert_eq!(refusal(NAMESPACE).await, "WorkflowId is not set on request.");

    let request = StartWorkflowExecutionRequest { namespace: "nope".into(), ..Default::default() };
    let refused = server.call::<StartWorkflowExecutionResponse>("StartWorkflowExecution", &request).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    let status = Status::from_header_map(&refused.headers).unwrap();
    let detail = RpcStatus::decode(status.details()).unwrap().details.remove(0);
    assert_eq!(detail.type_url, "type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure");
    assert_eq!(NamespaceNotFoundFailure::decode(detail.value.as_slice()).unwrap().namespace, "nope");
}

#[tokio::test]
async fn a_namespace_that_is_new_to_this_node_is_found() {
    let fake = Fake::default();
    fake.unheard.lock().unwrap().push(namespace("fresh", "id-of-fresh"));
    let server = fake.serve();
    let request = StartWorkflowExecutionRequest { namespace: "fresh".into(), ..Default::default() };
    assert_eq!(server.refusal("StartWorkflowExecution", &request).await, "WorkflowId is not set on request.");
}

#[tokio::test]
async fn a_namespace_on_its_way_out_starts_nothing() {
    let fake = Fake::default();
    let mut leaving = namespace("leaving", "id");
    leaving.state = NamespaceState::Deprecated;
    fake.unheard.lock().unwrap().push(leaving);
    let server = fake.serve();
    let request = StartWorkflowExecutionRequest { namespace: "leaving".into(), ..start() };
    assert_eq!(
        server.refusal("StartWorkflowExecution", &request).await,
        "Namespace has invalid state: Deprecated. Must be Registered."
    );
    let signal = SignalWorkflowExecutionRequest { namespace: "leaving".into(), ..Default::default() };
    assert_eq!(server.refusal("SignalWorkflowExecution", &signal).await, "Execution is not set on request.");
}

#[tokio::test]
async fn a_token_belongs_to_its_namespace() {
    let server = Fake::default().serve();
    let refusal = async |namespace: &str, task_token: Vec<u8>| {
        let request = RespondWorkflowTaskFailedRequest {
            namespace: namespace.into(),
            task_token,
            ..Default::default()
        };
        server.refusal("RespondWorkflowTaskFailed", &request).await
    };
    let token = || workflow_token(NAMESPACE_ID);
    assert_eq!(refusal(NAMESPACE, token()).await, "");
    assert_eq!(refusal("", token()).await, "");
    assert_eq!(refusal("", Vec::new()).await, "Task token not set on request.");
    assert_eq!(refusal(NAMESPACE, b"forged".to_vec()).await, "Error deserializing task token.");
    let mut bent = token();
    bent[10] ^= 1;
    assert_eq!(refusal(NAMESPACE, bent).await, "Error deserializing task token.");
    assert_eq!(refusal(OTHER, token()).await, "Operation requested with a token from a different namespace.");
    assert_eq!(refusal("nope", b"forged".to_vec()).await, "Namespace nope is not found.");
    let elsewhere = workflow_token("an-unknown-id");
    assert_eq!(refusal("", elsewhere).await, "Namespace an-unknown-id is not found.");
}

#[tokio::test]
async fn a_token_is_good_for_its_own_kind_of_task() {
    let server = Fake::default().serve();
    let task_token = workflow_token(NAMESPACE_ID);
    let completed =
        RespondActivityTaskCompletedRequest { task_token: task_token.clone(), ..Default::default() };
    assert_eq!(
        server.refusal("RespondActivityTaskCompleted", &completed).await,
        "invalid activityID or activity already timed out or invoking workflow is completed"
    );
    let answered = RespondQueryTaskCompletedRequest { task_token, ..Default::default() };
    assert_eq!(
        server.refusal("RespondQueryTaskCompleted", &answered).await,
        "query task not found, or already expired"
    );
    assert!(server.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn calls_of_a_namespace_are_limited_by_the_second() {
    let (dynamic, _) = DynamicConfig::read([
        ("frontend.namespaceRPS", r#"[{"value": 2, "constraints": {"namespace": "default"}}]"#),
        ("frontend.namespaceBurstRatio", "1"),
    ])
    .unwrap();
    let server = Fake::default().serve_with(dynamic);
    let signal = |namespace: &str| SignalWorkflowExecutionRequest {
        namespace: namespace.into(),
        workflow_execution: Some(WorkflowExecution { workflow_id: "w".into(), run_id: String::new() }),
        signal_name: "s".into(),
        ..Default::default()
    };
    let mut refusals = Vec::new();
    for _ in 0..3 {
        refusals.push(server.refusal("SignalWorkflowExecution", &signal(NAMESPACE)).await);
    }
    assert_eq!(refusals, ["", "", "namespace rate limit exceeded"]);
    assert_eq!(server.refusal("SignalWorkflowExecution", &signal(OTHER)).await, "");
    // The node that the client called has counted the call.
    let server = server.called_by_node();
    assert_eq!(server.refusal("SignalWorkflowExecution", &signal(NAMESPACE)).await, "");
}

#[tokio::test]
async fn a_client_of_the_future_is_turned_away() {
    let server = Fake::default().serve().with("client-name", "temporal-go").with("client-version", "2.0.0");
    assert_eq!(
        server.refusal("StartWorkflowExecution", &start()).await,
        "Client version 2.0.0 is not supported. Server supports temporal-go versions: <2.0.0"
    );
    assert!(server.refusal("GetSystemInfo", &GetSystemInfoRequest {}).await.starts_with("Client version"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_the_node_goes_on() {
    let server = Fake::default().serve();
    let malformed = async |message: &'static [u8]| {
        let refused = server.call_raw("StartWorkflowExecution", message.into()).await.unwrap_err();
        (refused.code, refused.message)
    };
    let (code, message) = malformed(&[0xff, 0xff, 0xff]).await;
    assert_eq!(code, Code::Internal);
    assert!(message.starts_with("grpc: error unmarshalling request: "), "{message}");
    assert_eq!(
        malformed(&[0x12, 0x02, 0xff, 0xfe]).await.1,
        "grpc: error unmarshalling request: string field contains invalid UTF-8"
    );
    let unknown = server.call_raw("Nope", Default::default()).await.unwrap_err();
    assert_eq!(unknown.code, Code::Unimplemented);
    assert_eq!(
        unknown.message,
        "unknown method Nope for service temporal.api.workflowservice.v1.WorkflowService"
    );
    let count = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let panicked = server.call_raw("CountWorkflowExecutions", count.encode_to_vec().into()).await;
    assert_eq!(panicked.unwrap_err().code, Code::Internal);
    assert_eq!(server.refusal("GetSystemInfo", &GetSystemInfoRequest {}).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept() {
    let server = Fake::default().serve().with("grpc-timeout", "3S");
    let poll = PollActivityTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: start().task_queue,
        ..Default::default()
    };
    let began = tokio::time::Instant::now();
    let refused = server.call::<PollActivityTaskQueueResponse>("PollActivityTaskQueue", &poll).await;
    assert_eq!(refused.unwrap_err().code, Code::DeadlineExceeded);
    assert_eq!(began.elapsed().as_secs(), 3);
}
