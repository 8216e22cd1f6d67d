//! Nexus operations as workflows call them. The SDK has no handlers yet, so here the case is the handler, by calls that
//! the client has as they are.

use std::{collections::HashMap, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use futures::future::{Either, select};
use temporalio_client::{
    WorkflowCancelOptions,
    tonic::{Code, Request},
};
use temporalio_common::protos::{
    coresdk::{AsJsonPayloadExt, FromJsonPayloadExt, nexus::nexus_operation_result::Status},
    temporal::api::{
        common::v1::{Callback, Payload, callback},
        failure::v1::{ApplicationFailureInfo, Failure, NexusHandlerFailureInfo, failure::FailureInfo},
        nexus::v1::{
            CancelOperationResponse, EndpointSpec, EndpointTarget, Response, StartOperationRequest,
            StartOperationResponse, endpoint_target, request, response, start_operation_response,
        },
        operatorservice::v1::CreateNexusEndpointRequest,
        taskqueue::v1::TaskQueue,
        workflowservice::v1::{
            PollNexusTaskQueueRequest, RespondNexusTaskCompletedRequest, RespondNexusTaskFailedRequest,
        },
    },
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    NexusOperationCancellationType, NexusOperationOptions, WorkflowContext, WorkflowResult,
    workflows::join_all,
};

use super::cancellation::LetsItselfBeCancelled;
use crate::harness::{Case, Env, NAMESPACE, equal};

pub const CASES: &[Case] = crate::cases![
    at_once,
    as_a_workflow,
    many,
    refused,
    not_for_us,
    broken,
    too_slow,
    cancelled_and_waited,
    cancelled_and_forgotten
];

const SERVICE: &str = "Desk";
const TOKEN_HEADER: &str = "nexus-operation-token";

#[workflow]
#[derive(Default)]
struct Doubler;

#[workflow_methods]
impl Doubler {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, number: i64) -> WorkflowResult<i64> {
        ctx.timer(Duration::from_millis(50)).await;
        Ok(number * 2)
    }
}

#[workflow]
#[derive(Default)]
struct Breaker;

#[workflow_methods]
impl Breaker {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>, number: i64) -> WorkflowResult<i64> {
        Err(temporalio_sdk::ApplicationFailure::non_retryable(format!("broken {number}")).into())
    }
}

/// What became of an operation: whether it had a token, and its end.
type Told = (bool, String);

#[workflow]
#[derive(Default)]
struct Caller;

#[workflow_methods]
impl Caller {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, input: (String, String, i64)) -> WorkflowResult<Told> {
        let (endpoint, operation, number) = input;
        Ok(told(ctx, endpoint, operation, number).await)
    }
}

async fn told<W>(ctx: &WorkflowContext<W>, endpoint: String, operation: String, number: i64) -> Told {
    let mut options = NexusOperationOptions::builder()
        .endpoint(endpoint)
        .service(SERVICE)
        .operation(operation.clone())
        .input(number.as_json_payload().expect("a number as JSON"))
        .build();
    match operation.as_str() {
        "too-slow" => options.schedule_to_close_timeout = Some(Duration::from_millis(1900)),
        "forgotten" => options.cancellation_type = Some(NexusOperationCancellationType::Abandon),
        _ => (),
    }
    let started = match ctx.start_nexus_operation(options).await {
        Ok(started) => started,
        Err(failure) => return (false, format!("not started: {}", root(&failure))),
    };
    if ["cancelled", "forgotten"].contains(&operation.as_str()) {
        started.cancel();
    }
    let end = match started.result().await.status {
        Some(Status::Completed(payload)) => {
            i64::from_json_payload(&payload).map_or("?".to_owned(), |n| n.to_string())
        }
        Some(Status::Failed(failure)) => format!("failed: {}", root(&failure)),
        Some(Status::Cancelled(_)) => "cancelled".to_owned(),
        Some(Status::TimedOut(_)) => "timed out".to_owned(),
        None => "nothing".to_owned(),
    };
    (started.operation_token.is_some(), end)
}

/// The message at the bottom of a chain of causes.
fn root(failure: &Failure) -> &str {
    failure.cause.as_ref().map_or(failure.message.as_str(), |cause| root(cause))
}

#[workflow]
#[derive(Default)]
struct CallerOfMany;

#[workflow_methods]
impl CallerOfMany {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, endpoint: String) -> WorkflowResult<Vec<String>> {
        let ctx = &*ctx;
        let calls = (0..8).map(|number| told(ctx, endpoint.clone(), "double".to_owned(), number));
        Ok(join_all(calls).await.into_iter().map(|(_, end)| end).collect())
    }
}

async fn endpoint(env: &Env) -> Result<String> {
    let name = env.id("").replace(['.', '_'], "-");
    let worker = endpoint_target::Worker { namespace: NAMESPACE.to_owned(), task_queue: env.queue.clone() };
    let target = EndpointTarget { variant: Some(endpoint_target::Variant::Worker(worker)) };
    let spec = EndpointSpec { name: name.clone(), target: Some(target), ..EndpointSpec::default() };
    let create = CreateNexusEndpointRequest { spec: Some(spec) };
    env.client.connection().operator_service().create_nexus_endpoint(Request::new(create)).await?;
    Ok(name)
}

/// Runs the handler for as long as `body` runs.
async fn with_desk<T>(env: &Env, body: impl Future<Output = Result<T>>) -> Result<T> {
    match select(pin!(body), pin!(desk(env))).await {
        Either::Left((value, _)) => value,
        Either::Right((ended, _)) => bail!("the handler has ended: {ended:?}"),
    }
}

async fn desk(env: &Env) -> Result<()> {
    let mut service = env.client.connection().workflow_service();
    loop {
        let poll = PollNexusTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: Some(TaskQueue { name: env.queue.clone(), ..TaskQueue::default() }),
            identity: "desk".to_owned(),
            ..PollNexusTaskQueueRequest::default()
        };
        let task = service.poll_nexus_task_queue(Request::new(poll)).await?.into_inner();
        let answer = match task.request.and_then(|request| request.variant) {
            Some(request::Variant::StartOperation(start)) => started(env, start)
                .await?
                .map(|it| response::Variant::StartOperation(StartOperationResponse { variant: Some(it) })),
            Some(request::Variant::CancelOperation(cancel)) => {
                let workflow = env
                    .client
                    .get_workflow_handle::<temporalio_client::UntypedWorkflow>(cancel.operation_token);
                workflow.cancel(WorkflowCancelOptions::default()).await?;
                Ok(response::Variant::CancelOperation(CancelOperationResponse {}))
            }
            None => continue,
        };
        let responded = match answer {
            Ok(variant) => {
                let completed = RespondNexusTaskCompletedRequest {
                    namespace: NAMESPACE.to_owned(),
                    task_token: task.task_token,
                    response: Some(Response { variant: Some(variant) }),
                    ..RespondNexusTaskCompletedRequest::default()
                };
                service.respond_nexus_task_completed(Request::new(completed)).await.map(|_| ())
            }
            Err(failure) => {
                let failed = RespondNexusTaskFailedRequest {
                    namespace: NAMESPACE.to_owned(),
                    task_token: task.task_token,
                    failure: Some(failure),
                    ..RespondNexusTaskFailedRequest::default()
                };
                service.respond_nexus_task_failed(Request::new(failed)).await.map(|_| ())
            }
        };
        match responded {
            // Nobody waits for this answer any more; the task comes again.
            Err(status) if status.code() == Code::NotFound => (),
            other => other?,
        }
    }
}

type Started = Result<start_operation_response::Variant, Failure>;

async fn started(env: &Env, start: StartOperationRequest) -> Result<Started> {
    let number = i64::from_json_payload(start.payload.as_ref().context("an input")?)?;
    Ok(Ok(match start.operation.as_str() {
        "echo" => sync(number.as_json_payload()?),
        "refuse" => start_operation_response::Variant::Failure(Failure {
            message: "no".to_owned(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                non_retryable: true,
                ..ApplicationFailureInfo::default()
            })),
            ..Failure::default()
        }),
        "not-for-us" => {
            let info = NexusHandlerFailureInfo {
                r#type: "UNAUTHORIZED".to_owned(),
                ..NexusHandlerFailureInfo::default()
            };
            return Ok(Err(Failure {
                message: "not you".to_owned(),
                failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
                ..Failure::default()
            }));
        }
        _ => by_a_workflow(env, start, number).await?,
    }))
}

fn sync(payload: Payload) -> start_operation_response::Variant {
    start_operation_response::Variant::SyncSuccess(start_operation_response::Sync {
        payload: Some(payload),
        links: Vec::new(),
    })
}

/// A workflow whose end is told to the caller; its id is the operation's token.
async fn by_a_workflow(
    env: &Env,
    start: StartOperationRequest,
    number: i64,
) -> Result<start_operation_response::Variant> {
    let name = format!("operation-{}", start.request_id);
    let token = env.id(&name);
    let mut header: HashMap<_, _> = start.callback_header;
    header.insert(TOKEN_HEADER.to_owned(), token.clone());
    let nexus = callback::Nexus { url: start.callback, header };
    let callback = Callback { variant: Some(callback::Variant::Nexus(nexus)), ..Callback::default() };
    let options = env.options(&name).completion_callbacks(vec![callback]).build();
    match start.operation.as_str() {
        "double" => drop(env.client.start_workflow(Doubler::run, number, options).await?),
        "break" => drop(env.client.start_workflow(Breaker::run, number, options).await?),
        _ => drop(env.client.start_workflow(LetsItselfBeCancelled::run, (), options).await?),
    }
    Ok(start_operation_response::Variant::AsyncSuccess(start_operation_response::Async {
        operation_token: token,
        ..start_operation_response::Async::default()
    }))
}

async fn call(env: &Env, operation: &str, expected: (bool, &str)) -> Result<()> {
    let endpoint = endpoint(env).await?;
    let worker = env
        .worker()
        .workflow::<Caller>()
        .workflow::<Doubler>()
        .workflow::<Breaker>()
        .workflow::<LetsItselfBeCancelled>();
    let asked = async {
        let (has_token, end) = env.execute(Caller::run, (endpoint, operation.to_owned(), 21)).await?;
        equal((has_token, end.as_str()), expected)
    };
    worker.during(with_desk(env, asked)).await
}

/// The handler answers at once.
async fn at_once(env: &Env) -> Result<()> {
    call(env, "echo", (false, "21")).await
}

/// The handler starts a workflow, whose result is the operation's.
async fn as_a_workflow(env: &Env) -> Result<()> {
    call(env, "double", (true, "42")).await
}

/// Eight at a time.
async fn many(env: &Env) -> Result<()> {
    let endpoint = endpoint(env).await?;
    let worker = env.worker().workflow::<CallerOfMany>().workflow::<Doubler>();
    let asked = async {
        let expected: Vec<_> = (0..8).map(|number| (number * 2).to_string()).collect();
        equal(env.execute(CallerOfMany::run, endpoint).await?, expected)
    };
    worker.during(with_desk(env, asked)).await
}

/// The operation has failed.
async fn refused(env: &Env) -> Result<()> {
    call(env, "refuse", (false, "not started: no")).await
}

/// The handler wants nothing to do with it.
async fn not_for_us(env: &Env) -> Result<()> {
    call(env, "not-for-us", (false, "not started: not you")).await
}

/// The workflow behind it has failed.
async fn broken(env: &Env) -> Result<()> {
    call(env, "break", (true, "failed: broken 21")).await
}

/// It has taken too long.
async fn too_slow(env: &Env) -> Result<()> {
    call(env, "too-slow", (true, "timed out")).await
}

/// The caller cancels it, and the handler the workflow.
async fn cancelled_and_waited(env: &Env) -> Result<()> {
    call(env, "cancelled", (true, "cancelled")).await
}

/// The caller does not wait for what becomes of it.
async fn cancelled_and_forgotten(env: &Env) -> Result<()> {
    call(env, "forgotten", (true, "cancelled")).await
}
