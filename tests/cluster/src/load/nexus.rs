//! Handlers of Nexus operations: like the other workers they poll, answer, and forget.

use std::time::Instant;

use temporalio_protos::temporal::api::{
    nexus::v1::{Response, StartOperationRequest, request},
    workflowservice::v1::{
        PollNexusTaskQueueRequest, PollNexusTaskQueueResponse, RespondNexusTaskCompletedRequest,
        StartWorkflowExecutionRequest,
    },
};

use super::workers::{PERSIST, POLL_RETRY_PAUSE, POLL_TIMEOUT, queue};
use crate::api::{Answer, Api, CALL_TIMEOUT, NAMESPACE, limited, with_deadline};

#[derive(Clone, Debug)]
pub struct NexusHandler {
    api: Api,
    /// The node that is asked first.
    home: usize,
}

impl NexusHandler {
    pub(super) fn new(api: Api, home: usize) -> Self {
        Self { api, home }
    }

    pub(super) async fn poll<F, Handled>(self, name: &'static str, handle: F)
    where
        F: Fn(Self, StartOperationRequest) -> Handled,
        Handled: Future<Output = Option<Response>>,
    {
        let mut node = self.home;
        loop {
            let request = PollNexusTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(queue(name)),
                identity: format!("handler-{}", self.home),
                ..Default::default()
            };
            let mut client = self.api.node(node);
            let poll = client.poll_nexus_task_queue(with_deadline(request, POLL_TIMEOUT));
            match limited(POLL_TIMEOUT, poll).await {
                Ok(task) => self.task(node, task.into_inner(), &handle).await,
                Err(status) => {
                    self.api.note(&status);
                    node += 1;
                    tokio::time::sleep(POLL_RETRY_PAUSE).await;
                }
            }
        }
    }

    /// What is not answered is offered again.
    async fn task<F, Handled>(&self, node: usize, task: PollNexusTaskQueueResponse, handle: &F)
    where
        F: Fn(Self, StartOperationRequest) -> Handled,
        Handled: Future<Output = Option<Response>>,
    {
        let variant = task.request.and_then(|request| request.variant);
        let Some(request::Variant::StartOperation(start)) = variant else { return };
        let Some(response) = handle(self.clone(), start).await else { return };
        let request = RespondNexusTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            identity: format!("handler-{}", self.home),
            task_token: task.task_token,
            response: Some(response),
            ..Default::default()
        };
        // Only the node that handed the task out knows who waits for the answer.
        let mut client = self.api.node(node);
        let call = client.respond_nexus_task_completed(with_deadline(request, CALL_TIMEOUT));
        if let Err(status) = limited(CALL_TIMEOUT, call).await {
            self.api.note(&status);
        }
    }

    /// Starts the workflow that an operation is; a repetition with the same request id finds it.
    pub async fn start(&self, request: StartWorkflowExecutionRequest) -> Option<()> {
        let answer = self
            .api
            .persist(self.home, Instant::now() + PERSIST, |mut client| {
                let request = with_deadline(request.clone(), CALL_TIMEOUT);
                async move { client.start_workflow_execution(request).await }
            })
            .await;
        matches!(answer, Answer::Done(_)).then_some(())
    }
}
