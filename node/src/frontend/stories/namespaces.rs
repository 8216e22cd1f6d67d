//! Namespaces from their registration on, lists of workflows, and what the server says of itself.

use everlog_engine::{
    reply::{Reply, Started},
    request::Request,
};
use everlog_proto::api::{
    common::v1::{Payload, Payloads},
    enums::v1::{NamespaceState, WorkflowExecutionStatus, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    filter::v1::WorkflowExecutionFilter,
    namespace::v1::{NamespaceConfig, UpdateNamespaceInfo},
    workflowservice::v1::*,
};

use super::admission::start;
use crate::frontend::{
    dynamic_config::DynamicConfig,
    testing::{Fake, NAMESPACE},
};

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[tokio::test]
async fn a_namespace_is_registered_once() {
    let server = Fake::default().serve();
    let register = async |name: &str, retention: Option<prost_types::Duration>| {
        let request = RegisterNamespaceRequest {
            namespace: name.into(),
            workflow_execution_retention_period: retention,
            ..Default::default()
        };
        server.refusal("RegisterNamespace", &request).await
    };
    let invalid = "A valid retention period is not set on request.";
    assert_eq!(register("", seconds(3600)).await, "Namespace not set on request.");
    assert_eq!(register(&"n".repeat(1001), seconds(3600)).await, "Namespace length exceeds limit.");
    for retention in [None, seconds(0), seconds(-1), seconds(3599)] {
        assert_eq!(register("new", retention).await, invalid);
    }
    assert_eq!(register("new", seconds(3600)).await, "");
    assert_eq!(register("new", seconds(3600)).await, "Namespace \"new\" already exists");

    let describe = DescribeNamespaceRequest { namespace: "new".into(), ..Default::default() };
    let described: DescribeNamespaceResponse = server.call("DescribeNamespace", &describe).await.unwrap();
    let info = described.namespace_info.unwrap();
    assert_eq!(info.limits.unwrap().blob_size_limit_error, 2 << 20);
    // Nothing is promised that is not done.
    let capabilities = info.capabilities.unwrap();
    assert!(capabilities.eager_workflow_start && capabilities.worker_heartbeats);
    assert!(capabilities.poller_autoscaling && !capabilities.worker_poll_complete_on_shutdown);
    assert!(!info.supports_schedules);
    let by_id = DescribeNamespaceRequest { id: info.id, ..Default::default() };
    assert_eq!(server.refusal("DescribeNamespace", &by_id).await, "");
}

#[tokio::test]
async fn a_namespace_is_changed_in_parts() {
    let server = Fake::default().serve();
    let update = async |info: UpdateNamespaceInfo, retention: Option<prost_types::Duration>| {
        let config = NamespaceConfig { workflow_execution_retention_ttl: retention, ..Default::default() };
        let request = UpdateNamespaceRequest {
            namespace: NAMESPACE.into(),
            update_info: Some(info),
            config: Some(config),
            ..Default::default()
        };
        server.call::<UpdateNamespaceResponse>("UpdateNamespace", &request).await
    };
    let info = UpdateNamespaceInfo {
        description: "d".into(),
        data: [("k".to_owned(), "v".to_owned())].into(),
        ..Default::default()
    };
    let updated = update(info, seconds(7200)).await.unwrap();
    assert_eq!(updated.namespace_info.unwrap().description, "d");
    let updated = update(UpdateNamespaceInfo::default(), None).await.unwrap();
    assert_eq!(updated.config.unwrap().workflow_execution_retention_ttl, seconds(7200));
    let info = updated.namespace_info.unwrap();
    assert_eq!((info.description.as_str(), info.data["k"].as_str()), ("d", "v"));

    let state = |state: NamespaceState| UpdateNamespaceInfo { state: state as i32, ..Default::default() };
    assert!(update(state(NamespaceState::Deleted), None).await.is_ok());
    let refused = update(state(NamespaceState::Registered), None).await.unwrap_err();
    assert_eq!(refused.message, "Invalid namespace state update.");
}

#[tokio::test]
async fn namespaces_are_listed_in_pages() {
    let server = Fake::default().serve();
    let mut names = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = ListNamespacesRequest { page_size: 1, next_page_token, ..Default::default() };
        let page: ListNamespacesResponse = server.call("ListNamespaces", &request).await.unwrap();
        // A full page has a token, and so the last one has nothing.
        assert_eq!(page.namespaces.is_empty(), page.next_page_token.is_empty());
        names.extend(page.namespaces.into_iter().map(|namespace| namespace.namespace_info.unwrap().name));
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["default", "other"]);
}

#[tokio::test]
async fn older_lists_are_queries() {
    let server = Fake::default().serve();
    let open = ListOpenWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        maximum_page_size: 5,
        filters: Some(list_open_workflow_executions_request::Filters::ExecutionFilter(
            WorkflowExecutionFilter { workflow_id: "it's".into(), run_id: String::new() },
        )),
        ..Default::default()
    };
    assert_eq!(server.refusal("ListOpenWorkflowExecutions", &open).await, "");
    let list =
        ListWorkflowExecutionsRequest { namespace: NAMESPACE.into(), page_size: 5000, ..Default::default() };
    assert_eq!(server.refusal("ListWorkflowExecutions", &list).await, "");
    assert_eq!(
        *server.fake.queries.lock().unwrap(),
        ["ExecutionStatus = 'Running' AND WorkflowId = 'it''s' | 5", " | 1000"]
    );
}

#[tokio::test]
async fn a_start_is_settled_before_it_is_decided() {
    let answers = |_: &Request| {
        Ok(Reply::Started(Started {
            run_id: "run".into(),
            first_run_id: "first".into(),
            started: true,
            status: WorkflowExecutionStatus::Running,
            attached_request_id: None,
            eager_task: None,
        }))
    };
    let server = Fake { answers: Box::new(answers), ..Fake::default() }.serve();
    let response: StartWorkflowExecutionResponse =
        server.call("StartWorkflowExecution", &start()).await.unwrap();
    assert_eq!((response.run_id.as_str(), response.first_execution_run_id.as_str()), ("run", "first"));
    assert!(response.started && response.link.is_some());
    let asked = server.fake.asked.lock().unwrap();
    let [Request::Start(request)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.workflow_id_reuse_policy(), WorkflowIdReusePolicy::AllowDuplicate);
    assert_eq!(request.workflow_id_conflict_policy(), WorkflowIdConflictPolicy::Fail);
    assert!(!request.request_id.is_empty());
}

#[tokio::test]
async fn the_first_fault_is_reported() {
    let (dynamic, _) = DynamicConfig::read([("limit.blobSize.error", "100")]).unwrap();
    let server = Fake::default().serve_with(dynamic);
    let refusal = async |request: StartWorkflowExecutionRequest| {
        server.refusal("StartWorkflowExecution", &request).await
    };
    let retry_policy =
        Some(everlog_proto::api::common::v1::RetryPolicy { maximum_attempts: -1, ..Default::default() });
    let both = StartWorkflowExecutionRequest { retry_policy, workflow_type: None, ..start() };
    assert_eq!(refusal(both).await, "MaximumAttempts cannot be negative on retry policy.");
    let payload = Payload { data: vec![0; 97], ..Payload::default() };
    let input = Some(Payloads { payloads: vec![payload] });
    assert_eq!(
        refusal(StartWorkflowExecutionRequest { input: input.clone(), ..start() }).await,
        "Blob data size exceeds limit."
    );
    let nameless = StartWorkflowExecutionRequest { input, task_queue: None, ..start() };
    assert_eq!(refusal(nameless).await, "taskQueue is not set");
}
