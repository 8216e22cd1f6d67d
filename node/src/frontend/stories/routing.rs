//! Where calls go, and what happens when a leader is lost on the way.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use everlog_engine::{
    reject::Reject,
    reply::{Reply, Started},
    request::Request,
};
use everlog_proto::{
    api::{common::v1::WorkflowExecution, enums::v1::WorkflowExecutionStatus, workflowservice::v1::*},
    prost::Message,
};
use tonic::{Code, Status};

use super::admission::start;
use crate::{
    frontend::{
        backend::{CallError, Place},
        testing::{Fake, NAMESPACE, done},
    },
    peer::{NOT_APPLIED, not_applied},
    route::LEADER,
};

fn started(_: &Request) -> Reply {
    Reply::Started(Started {
        run_id: "run".into(),
        first_run_id: "first".into(),
        started: true,
        status: WorkflowExecutionStatus::Running,
        attached_request_id: None,
        eager_task: None,
    })
}

fn signal(request_id: &str) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(WorkflowExecution { workflow_id: "w".into(), run_id: String::new() }),
        signal_name: "s".into(),
        request_id: request_id.into(),
        ..Default::default()
    }
}

fn at(places: impl IntoIterator<Item = Place>) -> Mutex<VecDeque<Place>> {
    Mutex::new(places.into_iter().collect())
}

/// Answers the first calls with errors.
fn failing(errors: Vec<CallError>, then: fn(&Request) -> Reply) -> Fake {
    let calls = AtomicUsize::new(0);
    let answers = move |request: &Request| match errors.get(calls.fetch_add(1, Ordering::Relaxed)) {
        Some(error) => Err(error.clone()),
        None => Ok(then(request)),
    };
    Fake { answers: Box::new(answers), ..Fake::default() }
}

#[tokio::test]
async fn a_start_is_named_before_it_leaves() {
    let fake = Fake { places: at([Place::There(2)]), ..Fake::default() };
    let response = StartWorkflowExecutionResponse { run_id: "there".into(), ..Default::default() };
    fake.forwards.lock().unwrap().push_back(Ok(response.encode_to_vec().into()));
    let server = fake.serve().with("client-name", "temporal-python").with("authorization", "secret");
    let answer: StartWorkflowExecutionResponse =
        server.call("StartWorkflowExecution", &start()).await.unwrap();
    assert_eq!(answer.run_id, "there");
    let forwarded = server.fake.forwarded.lock().unwrap();
    let (node, path, message, metadata) = &forwarded[0];
    assert_eq!(*node, 2);
    assert_eq!(*path, "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution");
    let request = StartWorkflowExecutionRequest::decode(message.clone()).unwrap();
    assert!(!request.request_id.is_empty());
    assert_eq!(metadata.get("client-name").unwrap(), "temporal-python");
    assert!(metadata.get("authorization").is_none());
}

#[tokio::test]
async fn a_named_call_is_forwarded_as_it_came() {
    let fake = Fake { places: at([Place::There(3)]), ..Fake::default() };
    fake.forwards.lock().unwrap().push_back(Ok(Default::default()));
    let server = fake.serve();
    // A field that this version doesn't know must arrive there too.
    let mut message = signal("named").encode_to_vec();
    message.extend([0xf8, 0x7f, 0x01]);
    server.call_raw("SignalWorkflowExecution", message.clone().into()).await.unwrap();
    assert_eq!(server.fake.forwarded.lock().unwrap()[0].2, message);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moved_is_followed() {
    let fake = Fake {
        places: at([Place::Here(1), Place::Unknown, Place::There(2)]),
        ..failing(vec![CallError::NotHere], started)
    };
    fake.forwards.lock().unwrap().push_back(Err(not_applied("not here")));
    fake.forwards.lock().unwrap().push_back(Ok(Default::default()));
    let server = fake.serve();
    // Even a signal without a name may be sent again: it has reached nobody.
    server.call_raw("SignalWorkflowExecution", signal("").encode_to_vec().into()).await.unwrap();
    assert_eq!(server.fake.asked.lock().unwrap().len(), 1);
    assert_eq!(server.fake.forwarded.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_fate_is_unknown_is_repeated_only_if_it_is_named() {
    let lost = || vec![CallError::from(Reject::Unavailable("the leader is gone".into()))];
    let server = failing(lost(), done).serve();
    server.call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into()).await.unwrap();
    assert_eq!(server.fake.asked.lock().unwrap().len(), 2);

    let server = failing(lost(), done).serve();
    let refused = server.call_raw("SignalWorkflowExecution", signal("").encode_to_vec().into()).await;
    assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    assert_eq!(server.fake.asked.lock().unwrap().len(), 1);

    // The same if another node lost it.
    let fake = Fake { places: at([Place::There(2)]), ..Fake::default() };
    fake.forwards.lock().unwrap().push_back(Err(Status::unavailable("reset")));
    let server = fake.serve();
    let refused = server.call_raw("SignalWorkflowExecution", signal("").encode_to_vec().into()).await;
    assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    assert_eq!(server.fake.forwarded.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_looked_for_without_end() {
    let server = Fake { places: at([Place::Unknown]), ..Fake::default() }.serve();
    let began = tokio::time::Instant::now();
    let refused = server.call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into()).await;
    assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    assert!((9..=10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    let server = server.with("grpc-timeout", "1500m");
    let began = tokio::time::Instant::now();
    let refused = server.call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into()).await;
    assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    assert!(began.elapsed().as_millis() < 1500, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_forwarded_call_goes_no_further() {
    for (place, leader) in [(Place::There(7), Some("7")), (Place::Unknown, None)] {
        let server = Fake { places: at([place]), ..Fake::default() }.serve().called_by_node();
        let refused = server
            .call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into())
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::Unavailable);
        assert!(refused.headers.contains_key(NOT_APPLIED));
        assert_eq!(refused.headers.get(LEADER).map(|leader| leader.to_str().unwrap()), leader);
        assert!(server.fake.forwarded.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_forwarded_call_that_was_lost_does_not_claim_to_have_changed_nothing() {
    let server = failing(vec![CallError::Lost], done).serve().called_by_node();
    let refused =
        server.call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into()).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable);
    assert!(!refused.headers.contains_key(NOT_APPLIED));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let fake = Fake { places: at([Place::There(2)]), ..Fake::default() };
    fake.forwards.lock().unwrap().push_back(Err(Status::not_found("no such workflow")));
    let server = fake.serve();
    assert_eq!(server.refusal("SignalWorkflowExecution", &signal("named")).await, "no such workflow");

    let answers = |_: &Request| Ok(Reply::Refused(Reject::InvalidArgument("written, yet refused".into())));
    let server = Fake { answers: Box::new(answers), ..Fake::default() }.serve();
    assert_eq!(server.refusal("SignalWorkflowExecution", &signal("named")).await, "written, yet refused");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_is_not_waited_for() {
    // It leads for a while after it was asked; then this node takes over.
    let hung = Place::There(2);
    let serve =
        || Fake { places: at([hung, hung, hung, Place::Here(1)]), hangs: true, ..Fake::default() }.serve();
    let server = serve();
    let began = tokio::time::Instant::now();
    server.call_raw("SignalWorkflowExecution", signal("named").encode_to_vec().into()).await.unwrap();
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    assert_eq!(server.fake.asked.lock().unwrap().len(), 1);

    // What may not be repeated waits for the answer, as long as its caller does.
    let server = serve().with("grpc-timeout", "5S");
    let refused = server.call_raw("SignalWorkflowExecution", signal("").encode_to_vec().into()).await;
    assert_eq!(refused.unwrap_err().code, Code::DeadlineExceeded);
    assert!(server.fake.asked.lock().unwrap().is_empty());
}
