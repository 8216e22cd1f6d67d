//! A client of the mix: every write is repeated until it is acknowledged.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use temporalio_protos::temporal::api::{
    common::v1::WorkflowType,
    history::v1::HistoryEvent,
    operatorservice::v1::CreateNexusEndpointRequest,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest},
};
use tonic::{Code, Request, Response, Status};

use super::QUEUE;
use crate::{
    api::{self, Answer, Api, CALL_TIMEOUT, NAMESPACE, duration, execution, marked, payloads, with_deadline},
    unique::unique,
};

/// A cluster that acknowledges nothing for so long is broken.
pub const PERSIST: Duration = Duration::from_secs(120);
/// A task that went to a worker which is gone is offered again after this.
pub const WORKFLOW_TASK_TIMEOUT: Duration = Duration::from_secs(4);
const READ_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Client {
    api: Api,
    prefix: String,
    /// The node that the next call goes to first.
    node: AtomicUsize,
}

impl Client {
    pub fn new(api: Api, prefix: &str, node: usize) -> Self {
        Self { api, prefix: prefix.to_owned(), node: AtomicUsize::new(node) }
    }

    /// A workflow id that nobody else has.
    pub fn id(&self) -> String {
        unique(&self.prefix)
    }

    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Starts a workflow on the queue of the mix, and returns the id of its run.
    pub async fn start(&self, workflow_type: &str, workflow_id: &str, input: &str) -> Result<String> {
        self.start_on(queue(), workflow_type, workflow_id, input).await
    }

    pub async fn start_on(
        &self,
        queue: TaskQueue,
        workflow_type: &str,
        workflow_id: &str,
        input: &str,
    ) -> Result<String> {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_id: workflow_id.into(),
            workflow_type: Some(WorkflowType { name: workflow_type.into() }),
            task_queue: Some(queue),
            input: Some(payloads(&serde_json::json!(input).to_string())),
            workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
            request_id: unique("start"),
            ..Default::default()
        };
        let started = self
            .write("a start", &request, |mut client, request| async move {
                client.start_workflow_execution(request).await
            })
            .await?;
        Ok(started.run_id)
    }

    /// Sends a number, and returns the mark by which the signal is found in the history.
    pub async fn signal(&self, workflow_id: &str, value: u64) -> Result<String> {
        let mark = unique("signal");
        let request = SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution(workflow_id, "")),
            signal_name: "number".into(),
            input: Some(marked(value, &mark)),
            request_id: mark.clone(),
            ..Default::default()
        };
        self.write("a signal", &request, |mut client, request| async move {
            client.signal_workflow_execution(request).await
        })
        .await?;
        Ok(mark)
    }

    /// Creates an endpoint of which nobody else knows: a repetition that finds it has been acknowledged.
    pub async fn create_endpoint(&self, request: &CreateNexusEndpointRequest) -> Result<()> {
        let first = self.node.fetch_add(1, Ordering::Relaxed);
        let create = async |node| {
            let mut operator = self.api.operator(node);
            match operator.create_nexus_endpoint(with_deadline(request.clone(), CALL_TIMEOUT)).await {
                Err(status) if status.code() == Code::AlreadyExists => Ok(Response::new(Default::default())),
                answer => answer,
            }
        };
        let answer = self.api.persist_at(first, Instant::now() + PERSIST, create).await;
        self.acknowledged("the creation of an endpoint", answer).map(|_| ())
    }

    /// Repeats a call, on one node after the other, until it is acknowledged. A refusal is a fault: nothing
    /// in the mix asks for what may be refused, and a repetition is answered as the first call was.
    pub async fn write<M, T, F, Called>(&self, what: &str, message: &M, call: F) -> Result<T>
    where
        M: Clone,
        F: Fn(api::Client, Request<M>) -> Called,
        Called: Future<Output = Result<Response<T>, Status>>,
    {
        self.acknowledged(what, self.call(message, call).await)
    }

    /// The same for what may be refused.
    pub async fn call<M, T, F, Called>(&self, message: &M, call: F) -> Answer<T>
    where
        M: Clone,
        F: Fn(api::Client, Request<M>) -> Called,
        Called: Future<Output = Result<Response<T>, Status>>,
    {
        let first = self.node.fetch_add(1, Ordering::Relaxed);
        let call = |client| call(client, with_deadline(message.clone(), CALL_TIMEOUT));
        self.api.persist(first, Instant::now() + PERSIST, call).await
    }

    /// The history of a run, or of the current one.
    pub async fn history(&self, workflow_id: &str, run_id: &str) -> Result<Vec<HistoryEvent>> {
        let deadline = Instant::now() + PERSIST;
        loop {
            let node = self.node.fetch_add(1, Ordering::Relaxed);
            match api::history(self.api.node(node), workflow_id, run_id).await {
                Err(status) if !api::is_final(status.code()) && Instant::now() < deadline => {
                    tokio::time::sleep(READ_PAUSE).await;
                }
                events => return events.with_context(|| format!("read {workflow_id}")),
            }
        }
    }

    fn acknowledged<T>(&self, what: &str, answer: Answer<T>) -> Result<T> {
        match answer {
            Answer::Done(response) => Ok(response),
            Answer::Refused(status) => bail!("{what} was refused: {status}"),
            Answer::Unknown(tries, status) => {
                let errors = self.api.errors();
                bail!(
                    "{what} was not acknowledged in {tries} tries, the last ended with {status}; all errors: {errors:?}"
                )
            }
        }
    }
}

pub fn queue() -> TaskQueue {
    TaskQueue { name: QUEUE.into(), ..Default::default() }
}
