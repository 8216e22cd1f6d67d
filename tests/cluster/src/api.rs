//! Calls of the public API, and what an answer means.
//!
//! A client knows all nodes and asks another one when a node gives no answer. It repeats a write with the same
//! request id until it has a promise, as the official clients do; an answer that is neither a promise
//! nor a refusal for good leaves the outcome unknown until a repetition is acknowledged.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use temporalio_protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    history::v1::HistoryEvent,
    operatorservice::v1::operator_service_client::OperatorServiceClient,
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest, workflow_service_client::WorkflowServiceClient,
    },
};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

pub const NAMESPACE: &str = "default";
/// How long a single call waits. A process that was stopped answers nothing and refuses nothing.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A stopped process keeps its connections; only silence tells.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Events a page, less than the server's own limit, so that paging is used.
const PAGE_EVENTS: i32 = 100;

pub type Client = WorkflowServiceClient<Channel>;
pub type Operator = OperatorServiceClient<Channel>;

/// One connection to each node.
#[derive(Clone, Debug)]
pub struct Api {
    channels: Vec<Channel>,
    errors: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// What came of a write that was repeated until it had an answer, or time was up.
#[derive(Debug)]
pub enum Answer<T> {
    Done(T),
    Refused(Status),
    /// How often it was tried, and what the last try ended with.
    Unknown(usize, Status),
}

impl Api {
    /// Connects when first used, and again whenever a connection is lost.
    pub fn new(addresses: &[String]) -> Result<Self> {
        let connect = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))
                .with_context(|| format!("{address} is no address"))?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(true);
            Ok(endpoint.connect_lazy())
        };
        Ok(Self { channels: addresses.iter().map(connect).collect::<Result<_>>()?, errors: Arc::default() })
    }

    pub fn nodes(&self) -> usize {
        self.channels.len()
    }

    /// The client of one node; numbers beyond the last begin again at the first.
    pub fn node(&self, index: usize) -> Client {
        WorkflowServiceClient::new(self.channel(index))
    }

    pub fn operator(&self, index: usize) -> Operator {
        OperatorServiceClient::new(self.channel(index))
    }

    fn channel(&self, index: usize) -> Channel {
        self.channels[index % self.channels.len()].clone()
    }

    /// Writes down an error, whether or not the call is repeated.
    pub fn note(&self, status: &Status) {
        let what = format!("{:?}: {}", status.code(), status.message());
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// How often each error was met that a call ended with, also where its repetition succeeded.
    pub fn errors(&self) -> BTreeMap<String, usize> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Repeats a write on one node after the other until it is answered or `deadline` has passed.
    pub async fn persist<T, F, Called>(&self, first: usize, deadline: Instant, call: F) -> Answer<T>
    where
        F: Fn(Client) -> Called,
        Called: Future<Output = Result<Response<T>, Status>>,
    {
        self.persist_at(first, deadline, |node| call(self.node(node))).await
    }

    /// The same with whatever client of a node the call takes.
    pub async fn persist_at<T, F, Called>(&self, first: usize, deadline: Instant, call: F) -> Answer<T>
    where
        F: Fn(usize) -> Called,
        Called: Future<Output = Result<Response<T>, Status>>,
    {
        let (mut tries, mut may_have_happened) = (0, false);
        loop {
            let status = match limited(CALL_TIMEOUT, call(first + tries)).await {
                Ok(response) => return Answer::Done(response.into_inner()),
                Err(status) => status,
            };
            tries += 1;
            self.note(&status);
            // A refusal after silence may be the echo of a first call that succeeded.
            match is_final(status.code()) {
                true if may_have_happened => return Answer::Unknown(tries, status),
                true => return Answer::Refused(status),
                false => may_have_happened |= status.code() != Code::ResourceExhausted,
            }
            if Instant::now() >= deadline {
                return Answer::Unknown(tries, status);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Repeats a reading until it succeeds.
    pub async fn read<T, F, Called>(&self, first: usize, deadline: Instant, call: F) -> Result<T>
    where
        F: Fn(Client) -> Called,
        Called: Future<Output = Result<Response<T>, Status>>,
    {
        match self.persist(first, deadline, call).await {
            Answer::Done(value) => Ok(value),
            Answer::Refused(status) => Err(status).context("a reading was refused"),
            Answer::Unknown(tries, status) => {
                anyhow::bail!("no answer to a reading in {tries} tries: {status}")
            }
        }
    }
}

/// The whole history of a run as one node tells it, read page by page. An empty run id means the
/// current run.
pub async fn history(
    mut client: Client,
    workflow_id: &str,
    run_id: &str,
) -> Result<Vec<HistoryEvent>, Status> {
    let mut events = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(workflow_id, run_id)),
            maximum_page_size: PAGE_EVENTS,
            next_page_token,
            ..Default::default()
        };
        let page = limited(CALL_TIMEOUT, client.get_workflow_execution_history(request)).await?.into_inner();
        events.extend(page.history.map(|history| history.events).unwrap_or_default());
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return Ok(events);
        }
    }
}

/// A call with an end.
pub async fn limited<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
}

/// A request that tells the server how long its caller waits.
pub fn with_deadline<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// Whether a status promises that the write did not happen and never will.
pub fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}

pub fn execution(workflow_id: &str, run_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.into(), run_id: run_id.into() }
}

pub fn duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: length.as_secs() as i64, nanos: length.subsec_nanos() as i32 }
}

/// One payload of JSON.
pub fn payloads(json: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Payloads { payloads: vec![Payload { metadata, data: json.as_bytes().to_vec(), ..Default::default() }] }
}

/// A number together with the mark that makes it unlike any other.
pub fn marked(value: u64, mark: &str) -> Payloads {
    payloads(&serde_json::json!({ "value": value, "mark": mark }).to_string())
}

/// The number in a payload that is one or carries one; 0 if there is none.
pub fn number(payloads: Option<&Payloads>) -> u64 {
    json(payloads).and_then(|json| json.as_u64().or_else(|| json.get("value")?.as_u64())).unwrap_or_default()
}

pub fn mark(payloads: Option<&Payloads>) -> Option<String> {
    Some(json(payloads)?.get("mark")?.as_str()?.to_owned())
}

pub fn text(payloads: Option<&Payloads>) -> Option<String> {
    Some(json(payloads)?.as_str()?.to_owned())
}

fn json(payloads: Option<&Payloads>) -> Option<serde_json::Value> {
    serde_json::from_slice(&payloads?.payloads.first()?.data).ok()
}
