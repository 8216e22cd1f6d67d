//! Nexus operations: a caller's operations become workflows elsewhere, whose results come back by callback, once.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    command::v1::{
        Command, ScheduleNexusOperationCommandAttributes, command::Attributes as CommandAttributes,
    },
    common::v1::{Callback, Payloads, WorkflowType, callback},
    enums::v1::CommandType,
    history::v1::history_event::Attributes,
    nexus::v1::{
        EndpointSpec, EndpointTarget, Response, StartOperationRequest, StartOperationResponse,
        endpoint_target, response, start_operation_response,
    },
    operatorservice::v1::CreateNexusEndpointRequest,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use super::{
    QUEUE,
    client::{Client, WORKFLOW_TASK_TIMEOUT, queue},
    feature::{Expected, Feature, Told},
    steps,
};
use crate::{
    api::{NAMESPACE, duration, number, payloads, text},
    load::NexusHandler,
    program::{Program, command, complete},
    unique::Chance,
};

const TYPE: &str = "caller";
/// An operation of this name is answered at once; any other becomes a workflow.
const AT_ONCE: &str = "at-once";

pub(super) struct Nexus;

impl Feature for Nexus {
    fn name(&self) -> &'static str {
        "nexus"
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    /// The input is the endpoint, and the programs of the operations behind commas.
    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        let Some((endpoint, programs)) = told.input.split_once(',') else { return Vec::new() };
        let programs: Vec<&str> = programs.split(',').collect();
        let (mut scheduled, mut results) = (0, BTreeMap::new());
        for event in told.events {
            match &event.attributes {
                Some(Attributes::NexusOperationScheduledEventAttributes(_)) => scheduled += 1,
                Some(Attributes::NexusOperationCompletedEventAttributes(it)) => {
                    let result = it.result.clone().map(|payload| Payloads { payloads: vec![payload] });
                    results.insert(it.scheduled_event_id, number(result.as_ref()));
                }
                _ => {}
            }
        }
        if scheduled == 0 {
            return programs.iter().map(|program| schedule(endpoint, program)).collect();
        }
        if results.len() < programs.len() { Vec::new() } else { vec![complete(results.values().sum())] }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let programs: Vec<Program> =
                (0..1 + chance.below(3)).map(|_| Program::random(chance, false)).collect();
            let id = client.id();
            create_endpoint(client, &id).await?;
            let words: Vec<String> =
                [id.clone()].into_iter().chain(programs.iter().map(Program::to_string)).collect();
            client.start(TYPE, &id, &words.join(",")).await?;
            Ok(vec![Expected::new(&id, programs.iter().map(Program::result).sum())])
        })
    }
}

/// Answers a start of an operation. A repetition finds the workflow of the first: both have the request id.
pub(super) async fn handle(handler: NexusHandler, start: StartOperationRequest) -> Option<Response> {
    let input = Payloads { payloads: start.payload.into_iter().collect() };
    let program: Program = text(Some(&input))?.parse().ok()?;
    let variant = if start.operation == AT_ONCE {
        let payload = payloads(&program.result().to_string()).payloads.pop();
        start_operation_response::Variant::SyncSuccess(start_operation_response::Sync {
            payload,
            ..Default::default()
        })
    } else {
        let workflow_id = format!("{}-operation", start.request_id);
        handler
            .start(StartWorkflowExecutionRequest {
                namespace: NAMESPACE.into(),
                workflow_id: workflow_id.clone(),
                workflow_type: Some(WorkflowType { name: steps::TYPE.into() }),
                task_queue: Some(queue()),
                input: Some(input),
                workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
                request_id: start.request_id,
                completion_callbacks: vec![Callback {
                    variant: Some(callback::Variant::Nexus(callback::Nexus {
                        url: start.callback,
                        header: start.callback_header,
                    })),
                    ..Default::default()
                }],
                ..Default::default()
            })
            .await?;
        start_operation_response::Variant::AsyncSuccess(start_operation_response::Async {
            operation_token: workflow_id,
            ..Default::default()
        })
    };
    Some(Response {
        variant: Some(response::Variant::StartOperation(StartOperationResponse { variant: Some(variant) })),
    })
}

fn schedule(endpoint: &str, program: &str) -> Command {
    // What waits for nothing can be answered at once.
    let operation = if program.contains('t') { "later" } else { AT_ONCE };
    command(
        CommandType::ScheduleNexusOperation,
        CommandAttributes::ScheduleNexusOperationCommandAttributes(ScheduleNexusOperationCommandAttributes {
            endpoint: endpoint.into(),
            service: "mix".into(),
            operation: operation.into(),
            input: payloads(&serde_json::json!(program).to_string()).payloads.pop(),
            ..Default::default()
        }),
    )
}

async fn create_endpoint(client: &Client, name: &str) -> Result<()> {
    let target = endpoint_target::Worker { namespace: NAMESPACE.into(), task_queue: QUEUE.into() };
    let request = CreateNexusEndpointRequest {
        spec: Some(EndpointSpec {
            name: name.into(),
            target: Some(EndpointTarget { variant: Some(endpoint_target::Variant::Worker(target)) }),
            ..Default::default()
        }),
    };
    client.create_endpoint(&request).await
}
