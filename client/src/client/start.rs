//! Starting a workflow.

use std::collections::HashMap;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use everlog_proto::api::common::v1::{Memo, Payload, Payloads, SearchAttributes, WorkflowType};
use everlog_proto::api::enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use everlog_proto::api::errordetails::v1::WorkflowExecutionAlreadyStartedFailure;
use everlog_proto::api::sdk::v1::UserMetadata;
use everlog_proto::api::workflowservice::v1::{
    SignalWithStartWorkflowExecutionRequest, StartWorkflowExecutionRequest,
};
use prost::Message as _;
use serde::Serialize;
use tonic::{Code, Status};

use super::pool::{Plan, rpc};
use super::{Client, Handle};
use crate::codec::{self, CodecError};
use crate::error::ClientError;
use crate::replay::command::to_queue;
use crate::retry::Retry;
use crate::time::to_wire;
use crate::workflow::INBOX_SIGNAL;

/// Whether a workflow id may be used again after its last run has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReusePolicy {
    /// Always.
    #[default]
    Allow,
    /// Only if the last run did not complete.
    AllowAfterFailure,
    /// Never.
    Reject,
}

/// A workflow that is being started; `.await` starts it. The request id is made here, so that a start
/// whose answer was lost can be repeated, by the client or by cloning the builder, and starts one run.
#[derive(Clone)]
#[must_use = "nothing is started until it is awaited"]
pub struct Start<Out, E> {
    client: Client,
    request: Result<StartWorkflowExecutionRequest, CodecError>,
    signal: Option<(String, Payloads)>,
    types: PhantomData<fn() -> (Out, E)>,
}

impl<Out, E> Start<Out, E> {
    pub(super) fn new(client: &Client, name: &str, input: Result<Payloads, CodecError>) -> Self {
        let request = input.map(|input| StartWorkflowExecutionRequest {
            namespace: client.namespace().to_owned(),
            workflow_id: uuid::Uuid::new_v4().to_string(),
            workflow_type: Some(WorkflowType { name: name.to_owned() }),
            task_queue: Some(to_queue(client.queue().to_owned())),
            input: Some(input),
            identity: client.pool.identity.clone(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        });
        Self { client: client.clone(), request, signal: None, types: PhantomData }
    }

    /// The workflow id, by which it is found again; random if none is given.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|request| request.workflow_id = id.into())
    }

    /// The task queue; the client's if none is given.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.with(|request| request.task_queue = Some(to_queue(queue.into())))
    }

    /// The request id, for callers that have one of their own to repeat a start after a crash.
    pub fn request_id(self, id: impl Into<String>) -> Self {
        self.with(|request| request.request_id = id.into())
    }

    /// How long the workflow may take, over all its runs.
    pub fn execution_timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.workflow_execution_timeout = Some(to_wire(timeout)))
    }

    /// How long one run may take.
    pub fn run_timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.workflow_run_timeout = Some(to_wire(timeout)))
    }

    /// How long a worker may take for one workflow task.
    pub fn task_timeout(self, timeout: Duration) -> Self {
        self.with(|request| request.workflow_task_timeout = Some(to_wire(timeout)))
    }

    /// When the whole workflow is repeated after it failed.
    pub fn retry(self, retry: Retry) -> Self {
        self.with(|request| request.retry_policy = Some(retry.to_wire()))
    }

    /// What happens if a run with this id has closed.
    pub fn reuse(self, policy: ReusePolicy) -> Self {
        let policy = match policy {
            ReusePolicy::Allow => WorkflowIdReusePolicy::AllowDuplicate,
            ReusePolicy::AllowAfterFailure => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
            ReusePolicy::Reject => WorkflowIdReusePolicy::RejectDuplicate,
        };
        self.with(|request| request.workflow_id_reuse_policy = policy as i32)
    }

    /// If a workflow with this id is running, takes that one instead of failing.
    pub fn or_attach(self) -> Self {
        self.with(|request| {
            request.workflow_id_conflict_policy = WorkflowIdConflictPolicy::UseExisting as i32
        })
    }

    /// If a workflow with this id is running, terminates it first.
    pub fn or_replace(self) -> Self {
        self.with(|request| {
            request.workflow_id_conflict_policy = WorkflowIdConflictPolicy::TerminateExisting as i32;
        })
    }

    /// Waits before the first workflow task.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|request| request.workflow_start_delay = Some(to_wire(delay)))
    }

    /// A note that lists show.
    pub fn memo(self, key: &str, value: impl Serialize) -> Self {
        self.with_payload(&value, |request, payload| {
            let memo = request.memo.get_or_insert_with(Memo::default);
            memo.fields.insert(key.to_owned(), payload);
        })
    }

    /// A search attribute, by which workflows are listed.
    pub fn search_attribute(self, name: &str, value: impl Serialize) -> Self {
        self.with_payload(&value, |request, payload| {
            let attributes = request
                .search_attributes
                .get_or_insert_with(|| SearchAttributes { indexed_fields: HashMap::new() });
            attributes.indexed_fields.insert(name.to_owned(), payload);
        })
    }

    /// One line about this workflow for the web interface.
    pub fn summary(self, text: &str) -> Self {
        self.with_payload(text, |request, payload| {
            request.user_metadata = Some(UserMetadata { summary: Some(payload), details: None });
        })
    }

    /// Sends a message with the start, in one step: if the workflow runs already, it only gets the message.
    pub fn signal_with(self, message: impl Serialize) -> Self {
        self.signal_with_named(INBOX_SIGNAL, message)
    }

    /// Sends a named signal with the start, in one step: if the workflow runs already, it only gets the
    /// signal.
    pub fn signal_with_named(mut self, name: &str, message: impl Serialize) -> Self {
        match codec::encode_one(&message) {
            Ok(input) => self.signal = Some((name.to_owned(), input)),
            Err(error) => self.request = Err(error),
        }
        self
    }

    fn with(mut self, change: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }

    fn with_payload<T: Serialize + ?Sized>(
        mut self,
        value: &T,
        change: impl FnOnce(&mut StartWorkflowExecutionRequest, Payload),
    ) -> Self {
        match codec::encode(value) {
            Ok(payload) => self.with(|request| change(request, payload)),
            Err(error) => {
                self.request = Err(error);
                self
            }
        }
    }

    async fn run(self) -> Result<Handle<Out, E>, ClientError> {
        let request = self.request?;
        let (pool, id) = (&self.client.pool, request.workflow_id.clone());
        let run_id = match self.signal {
            None => {
                rpc!(pool, Plan::quick(), start_workflow_execution, request).map(|response| response.run_id)
            }
            Some((signal_name, input)) => {
                let request = with_signal(request, signal_name, input);
                rpc!(pool, Plan::quick(), signal_with_start_workflow_execution, request)
                    .map(|response| response.run_id)
            }
        };
        match run_id {
            Ok(run_id) => Ok(Handle::new(&self.client, id, Some(run_id))),
            Err(error) => Err(name_conflict(error, id)),
        }
    }
}

impl<Out: 'static, E: 'static> IntoFuture for Start<Out, E> {
    type Output = Result<Handle<Out, E>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

fn with_signal(
    start: StartWorkflowExecutionRequest,
    signal_name: String,
    signal_input: Payloads,
) -> SignalWithStartWorkflowExecutionRequest {
    SignalWithStartWorkflowExecutionRequest {
        namespace: start.namespace,
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        input: start.input,
        workflow_execution_timeout: start.workflow_execution_timeout,
        workflow_run_timeout: start.workflow_run_timeout,
        workflow_task_timeout: start.workflow_task_timeout,
        identity: start.identity,
        request_id: start.request_id,
        workflow_id_reuse_policy: start.workflow_id_reuse_policy,
        workflow_id_conflict_policy: start.workflow_id_conflict_policy,
        signal_name,
        signal_input: Some(signal_input),
        retry_policy: start.retry_policy,
        memo: start.memo,
        search_attributes: start.search_attributes,
        workflow_start_delay: start.workflow_start_delay,
        user_metadata: start.user_metadata,
        ..Default::default()
    }
}

/// Names the run that is in the way of a start.
fn name_conflict(error: ClientError, id: String) -> ClientError {
    match error {
        ClientError::Refused(status) if status.code() == Code::AlreadyExists => {
            let run_id =
                detail::<WorkflowExecutionAlreadyStartedFailure>(&status).map(|detail| detail.run_id);
            ClientError::AlreadyStarted { id, run_id: run_id.unwrap_or_default() }
        }
        other => other,
    }
}

/// A typed detail of a refusal.
pub(super) fn detail<T: prost::Message + prost::Name + Default>(status: &Status) -> Option<T> {
    let details = temporalio_protos::google::rpc::Status::decode(status.details()).ok()?.details;
    let named = |url: &str| url.rsplit('/').next() == Some(&T::full_name());
    let found = details.into_iter().find(|any| named(&any.type_url))?;
    T::decode(found.value.as_slice()).ok()
}
