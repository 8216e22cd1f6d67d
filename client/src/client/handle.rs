//! A workflow, from outside.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use everlog_proto::api::common::v1::{Payloads, WorkflowExecution};
use everlog_proto::api::enums::v1::HistoryEventFilterType;
use everlog_proto::api::errordetails::v1::QueryFailedFailure;
use everlog_proto::api::history::v1::history_event::Attributes;
use everlog_proto::api::history::v1::{History, HistoryEvent};
use everlog_proto::api::query::v1::WorkflowQuery;
use everlog_proto::api::workflowservice::v1::{
    DescribeWorkflowExecutionRequest, GetWorkflowExecutionHistoryRequest, QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest, SignalWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::execution::ExecutionStatus;
use super::pool::{Plan, rpc};
use super::start::detail;
use super::{Client, Description};
use crate::codec::{self, CodecError};
use crate::error::{AppError, CallError, ClientError, ResultError};
use crate::failure;
use crate::replay::run::STATE_QUERY;
use crate::workflow::INBOX_SIGNAL;

/// A long poll answers after 20 s at the latest.
const LONG_POLL_ATTEMPT: Duration = Duration::from_secs(35);
/// How long a wait for a result bears that no node answers.
const RESULT_SILENCE_MAX: Duration = Duration::from_secs(120);
/// The server itself gives a query ten seconds.
const QUERY_ATTEMPT: Duration = Duration::from_secs(15);
const QUERY_TOTAL: Duration = Duration::from_secs(20);

/// A workflow that is addressed by its id. `Out` and `E` are what it returns.
pub struct Handle<Out, E> {
    client: Client,
    id: String,
    run_id: Option<String>,
    types: PhantomData<fn() -> (Out, E)>,
}

impl<Out, E> Clone for Handle<Out, E> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id.clone(),
            run_id: self.run_id.clone(),
            types: PhantomData,
        }
    }
}

impl<Out, E> Handle<Out, E> {
    pub(super) fn new(client: &Client, id: String, run_id: Option<String>) -> Self {
        Self { client: client.clone(), id, run_id, types: PhantomData }
    }

    /// The workflow id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The run that was started, if this handle came from a start. Messages and queries go to the
    /// current run all the same; only [`Handle::result`], [`Handle::describe`] and [`Handle::history`]
    /// begin with this one.
    pub fn run_id(&self) -> Option<&str> {
        self.run_id.as_deref()
    }

    /// The same workflow, with [`Handle::result`], [`Handle::describe`] and [`Handle::history`] beginning
    /// at another of its runs.
    pub fn run(self, run_id: impl Into<String>) -> Self {
        Self { run_id: Some(run_id.into()), ..self }
    }

    /// Sends a message to the workflow's inbox; `.await` sends it.
    pub fn send(&self, message: impl Serialize) -> Signal {
        self.signal(INBOX_SIGNAL, message)
    }

    /// Sends a named signal; `.await` sends it.
    pub fn signal(&self, name: &str, message: impl Serialize) -> Signal {
        Signal {
            client: self.client.clone(),
            request: codec::encode_one(&message).map(|input| SignalWorkflowExecutionRequest {
                namespace: self.client.namespace().to_owned(),
                workflow_execution: Some(self.current()),
                signal_name: name.to_owned(),
                input: Some(input),
                identity: self.client.pool.identity.clone(),
                request_id: uuid::Uuid::new_v4().to_string(),
                ..Default::default()
            }),
        }
    }

    /// The state that the workflow last published.
    pub fn state<S: DeserializeOwned>(&self) -> Query<S> {
        self.query(STATE_QUERY)
    }

    /// Asks the workflow; `.await` asks.
    pub fn query<T: DeserializeOwned>(&self, name: &str) -> Query<T> {
        self.ask(name, Ok(Payloads::default()))
    }

    /// Asks the workflow, with an argument; `.await` asks.
    pub fn query_with<T: DeserializeOwned>(&self, name: &str, argument: impl Serialize) -> Query<T> {
        self.ask(name, codec::encode_one(&argument))
    }

    /// Requests that the workflow stops, in its own way.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: self.client.namespace().to_owned(),
            workflow_execution: Some(self.current()),
            identity: self.client.pool.identity.clone(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        rpc!(self.client.pool, Plan::quick(), request_cancel_workflow_execution, request)?;
        Ok(())
    }

    /// Ends the workflow at once, without asking it.
    pub async fn terminate(&self, reason: &str) -> Result<(), ClientError> {
        let request = TerminateWorkflowExecutionRequest {
            namespace: self.client.namespace().to_owned(),
            workflow_execution: Some(self.current()),
            reason: reason.to_owned(),
            identity: self.client.pool.identity.clone(),
            ..Default::default()
        };
        rpc!(self.client.pool, Plan::quick(), terminate_workflow_execution, request)?;
        Ok(())
    }

    /// What the server knows about the run.
    pub async fn describe(&self) -> Result<Description, ClientError> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.client.namespace().to_owned(),
            execution: Some(self.execution(self.run_id.as_deref())),
        };
        let response = rpc!(self.client.pool, Plan::quick(), describe_workflow_execution, request)?;
        Ok(Description::from_wire(response))
    }

    /// The whole history of the run.
    pub async fn history(&self) -> Result<History, ClientError> {
        let mut events = Vec::new();
        let mut next_page_token = Vec::new();
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: self.client.namespace().to_owned(),
                execution: Some(self.execution(self.run_id.as_deref())),
                next_page_token,
                ..Default::default()
            };
            let response = rpc!(self.client.pool, Plan::quick(), get_workflow_execution_history, request)?;
            events.extend(response.history.unwrap_or_default().events);
            next_page_token = response.next_page_token;
            if next_page_token.is_empty() {
                return Ok(History { events });
            }
        }
    }

    fn ask<T>(&self, name: &str, args: Result<Payloads, CodecError>) -> Query<T> {
        Query {
            client: self.client.clone(),
            request: args.map(|args| QueryWorkflowRequest {
                namespace: self.client.namespace().to_owned(),
                execution: Some(self.current()),
                query: Some(WorkflowQuery {
                    query_type: name.to_owned(),
                    query_args: Some(args),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            types: PhantomData,
        }
    }

    fn current(&self) -> WorkflowExecution {
        self.execution(None)
    }

    fn execution(&self, run_id: Option<&str>) -> WorkflowExecution {
        WorkflowExecution { workflow_id: self.id.clone(), run_id: run_id.unwrap_or_default().to_owned() }
    }

    /// Waits for the event that closes a run.
    async fn close_event(&self, run_id: Option<&str>) -> Result<HistoryEvent, ClientError> {
        let mut next_page_token = Vec::new();
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: self.client.namespace().to_owned(),
                execution: Some(self.execution(run_id)),
                next_page_token,
                wait_new_event: true,
                history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
                skip_archival: true,
                ..Default::default()
            };
            let plan = Plan::slow(LONG_POLL_ATTEMPT, RESULT_SILENCE_MAX);
            let response = rpc!(self.client.pool, plan, get_workflow_execution_history, request)?;
            let last = response.history.unwrap_or_default().events.into_iter().next_back();
            if let Some(event) = last {
                return Ok(event);
            }
            next_page_token = response.next_page_token;
        }
    }
}

impl<Out: DeserializeOwned, E: AppError> Handle<Out, E> {
    /// Waits until the workflow closes, through all the runs in which it continues.
    pub async fn result(&self) -> Result<Out, ResultError<E>> {
        let mut run_id = self.run_id.clone();
        loop {
            let event = self.close_event(run_id.as_deref()).await?;
            match close::<Out, E>(event) {
                Close::NextRun(next) => run_id = Some(next),
                Close::Here(result) => return result,
            }
        }
    }
}

enum Close<Out, E> {
    NextRun(String),
    Here(Result<Out, ResultError<E>>),
}

fn close<Out: DeserializeOwned, E: AppError>(event: HistoryEvent) -> Close<Out, E> {
    let (next, result) = match event.attributes {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            let value = codec::decode_one(a.result.as_ref()).map_err(ClientError::from).map_err(Into::into);
            (a.new_execution_run_id, value)
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => {
            let failure = a.failure.unwrap_or_default();
            let error = match failure::to_call_error(Some(&failure)) {
                CallError::App(error) => ResultError::Failed(error),
                _ => ResultError::Other(failure::remote(&failure)),
            };
            (a.new_execution_run_id, Err(error))
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => {
            return Close::NextRun(a.new_execution_run_id);
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => {
            (a.new_execution_run_id, Err(ResultError::TimedOut))
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(_)) => {
            return Close::Here(Err(ResultError::Cancelled));
        }
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(a)) => {
            return Close::Here(Err(ResultError::Terminated(a.reason)));
        }
        _ => {
            let message = format!("the run ended with an unexpected event of type {}", event.event_type);
            let status = tonic::Status::internal(message);
            return Close::Here(Err(ClientError::from(status).into()));
        }
    };
    if next.is_empty() { Close::Here(result) } else { Close::NextRun(next) }
}

/// A signal that is being sent. The request id is made here, so that it can be repeated and arrives once.
#[derive(Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct Signal {
    client: Client,
    request: Result<SignalWorkflowExecutionRequest, CodecError>,
}

impl Signal {
    /// A key of the caller's own: signals with the same key arrive once in a run.
    pub fn dedupe(mut self, key: impl Into<String>) -> Self {
        if let Ok(request) = &mut self.request {
            request.request_id = key.into();
        }
        self
    }

    async fn run(self) -> Result<(), ClientError> {
        rpc!(self.client.pool, Plan::quick(), signal_workflow_execution, self.request?)?;
        Ok(())
    }
}

impl IntoFuture for Signal {
    type Output = Result<(), ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A question that is being asked.
#[must_use = "nothing is asked until it is awaited"]
pub struct Query<T> {
    client: Client,
    request: Result<QueryWorkflowRequest, CodecError>,
    types: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Query<T> {
    async fn run(self) -> Result<T, ClientError> {
        let plan = Plan::slow(QUERY_ATTEMPT, QUERY_TOTAL);
        let response = match rpc!(self.client.pool, plan, query_workflow, self.request?) {
            Ok(response) => response,
            Err(ClientError::Refused(status)) if detail::<QueryFailedFailure>(&status).is_some() => {
                return Err(ClientError::QueryFailed(status.message().to_owned()));
            }
            Err(error) => return Err(error),
        };
        if let Some(rejected) = response.query_rejected {
            let status = ExecutionStatus::from_wire(rejected.status);
            return Err(ClientError::QueryFailed(format!("the workflow is {status:?}")));
        }
        Ok(codec::decode_one(response.query_result.as_ref())?)
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Query<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
