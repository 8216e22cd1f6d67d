//! Nexus operations that run on their own: start, describe, wait for, list, end. Off unless they are switched on,
//! as in the real server.
//!
//! Handlers get their calls, and answer them, through the methods that serve the operations of workflows too
//! ([`super::nexus_task`]).

use everlog_engine::{
    decide::nexus::RESERVED_HEADERS,
    reply::Reply,
    standalone::{
        Kind, Standalone, StandaloneKey,
        operation::{self, Ended},
        request::{Asked, StandaloneRequest, Until},
    },
    time::{self, Time, duration},
};
use everlog_proto::api::{
    enums::v1::NexusOperationWaitStage as Stage,
    workflowservice::v1::{
        CountNexusOperationExecutionsRequest, CountNexusOperationExecutionsResponse,
        DeleteNexusOperationExecutionRequest, DeleteNexusOperationExecutionResponse,
        DescribeNexusOperationExecutionRequest, DescribeNexusOperationExecutionResponse,
        ListNexusOperationExecutionsRequest, ListNexusOperationExecutionsResponse,
        PollNexusOperationExecutionRequest, PollNexusOperationExecutionResponse,
        RequestCancelNexusOperationExecutionRequest, RequestCancelNexusOperationExecutionResponse,
        StartNexusOperationExecutionRequest, StartNexusOperationExecutionResponse,
        TerminateNexusOperationExecutionRequest, TerminateNexusOperationExecutionResponse,
        count_nexus_operation_executions_response::AggregationGroup,
        describe_nexus_operation_execution_response::Outcome as Described,
        poll_nexus_operation_execution_response::Outcome as Polled,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    call::{Answer, Scope, encode},
    search_attributes,
    standalone::{
        SeenToken, ask_at_home, check_bytes, check_metadata, check_size, name_request, patience_ms, tell,
    },
    status, visibility,
};
use crate::route::{Failure, Repeat};

/// `nexusoperation.limit.reason.length`
const REASON_BYTES_MAX: usize = 1000;

fn key(scope: &Scope, operation_id: &str) -> StandaloneKey {
    StandaloneKey::new(Kind::Operation, scope.namespace_id(), operation_id)
}

fn check_enabled(scope: &Scope) -> Result<(), Status> {
    if scope.call.shared.api(&scope.namespace.name).standalone_nexus_operations {
        return Ok(());
    }
    Err(Status::unimplemented("Standalone Nexus operation is disabled"))
}

pub(super) async fn start(mut scope: Scope, mut request: StartNexusOperationExecutionRequest) -> Answer {
    check_enabled(&scope)?;
    let is_named = !name_request(&mut request.request_id);
    prepare_start(&scope, &mut request)?;
    let endpoint_id = endpoint_id(&scope, &request.endpoint).await?;
    if !is_named {
        scope.call.rewrite(&request);
    }
    let key = key(&scope, &request.operation_id);
    let request = Box::new(request);
    let start = StandaloneRequest::StartOperation { request, endpoint_id };
    ask_at_home(&scope, &key, Repeat::Safe, start, |reply| match reply {
        Reply::StandaloneStarted { run_id, started } => {
            Some(encode(&StartNexusOperationExecutionResponse { run_id, started }))
        }
        _ => None,
    })
    .await
}

/// Looked for once more behind everything that was acknowledged before, if this node does not know it.
async fn endpoint_id(scope: &Scope, name: &str) -> Result<String, Status> {
    let backend = &scope.call.shared.backend;
    let mut endpoint = backend.endpoint_by_name(name);
    if endpoint.is_none() {
        backend.refresh_cluster().await.map_err(|error| Failure::from(error).into_status())?;
        endpoint = backend.endpoint_by_name(name);
    }
    let unknown = || status::not_found(format!("could not find Nexus endpoint by name: {name}"));
    Ok(endpoint.ok_or_else(unknown)?.id)
}

/// The order of the checks is part of the contract: the first fault is the one that is reported.
fn prepare_start(scope: &Scope, request: &mut StartNexusOperationExecutionRequest) -> Result<(), Status> {
    let invalid = |message: String| Err(Status::invalid_argument(message));
    let limits = &scope.limits;
    check_length(scope, "request_id", &request.request_id)?;
    check_id(scope, &request.operation_id)?;
    check_length(scope, "identity", &request.identity)?;
    for (name, value) in
        [("endpoint", &request.endpoint), ("service", &request.service), ("operation", &request.operation)]
    {
        if value.is_empty() {
            return invalid(format!("{name} is required"));
        }
        if name != "endpoint" {
            check_length(scope, name, value)?;
        }
    }
    for (name, timeout) in [
        ("schedule_to_close_timeout", &request.schedule_to_close_timeout),
        ("schedule_to_start_timeout", &request.schedule_to_start_timeout),
        ("start_to_close_timeout", &request.start_to_close_timeout),
    ] {
        if let Some(fault) = time::fault(timeout.as_ref()) {
            return invalid(format!("{name} is invalid: {fault}"));
        }
    }
    let most = duration(request.schedule_to_close_timeout.as_ref());
    for timeout in [&mut request.schedule_to_start_timeout, &mut request.start_to_close_timeout] {
        if !most.is_zero() && duration(timeout.as_ref()) > most {
            *timeout = request.schedule_to_close_timeout;
        }
    }
    check_size("input", request.input.as_ref(), limits.blob_bytes_max)?;
    check_metadata(request.user_metadata.as_ref(), limits)?;
    let mut header_bytes = 0;
    for (name, value) in &request.nexus_header {
        let lower = name.to_lowercase();
        header_bytes += lower.len() + value.len();
        if RESERVED_HEADERS.contains(&lower.as_str()) || lower == REDIRECTION_HEADER {
            return invalid(format!("nexus_header contains a disallowed key: {name:?}"));
        }
    }
    if header_bytes > limits.nexus_header_bytes_max {
        return invalid("nexus_header exceeds size limit".into());
    }
    request.nexus_header = std::mem::take(&mut request.nexus_header)
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    // Kept as they were given: descriptions show them so.
    search_attributes::validate(scope, request.search_attributes.as_ref())
}

/// Reserved too, for operations that run on their own.
const REDIRECTION_HEADER: &str = "xdc-redirection";

fn check_id(scope: &Scope, operation_id: &str) -> Result<(), Status> {
    if operation_id.is_empty() {
        return Err(Status::invalid_argument("operation_id is required"));
    }
    check_length(scope, "operation_id", operation_id)
}

fn check_length(scope: &Scope, what: &str, value: &str) -> Result<(), Status> {
    check_bytes(what, value.len(), scope.limits.id_bytes_max, "length")
}

fn check_run_id(run_id: &str) -> Result<(), Status> {
    if !run_id.is_empty() && Uuid::parse_str(run_id).is_err() {
        return Err(Status::invalid_argument("run_id is not a valid UUID"));
    }
    Ok(())
}

fn check_asked(scope: &Scope, operation_id: &str, asked: &Asked) -> Result<(), Status> {
    check_length(scope, "request_id", &asked.request_id)?;
    check_id(scope, operation_id)?;
    check_run_id(&asked.run_id)?;
    check_length(scope, "identity", &asked.identity)?;
    check_bytes("reason", asked.reason.len(), REASON_BYTES_MAX, "length")
}

pub(super) async fn describe(scope: Scope, request: DescribeNexusOperationExecutionRequest) -> Answer {
    check_enabled(&scope)?;
    check_id(&scope, &request.operation_id)?;
    let token = &request.long_poll_token;
    if !token.is_empty() && request.run_id.is_empty() {
        return Err(Status::invalid_argument("run_id is required when long_poll_token is provided"));
    }
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.operation_id);
    let run_id = request.run_id.clone();
    let read = if token.is_empty() {
        StandaloneRequest::Read { run_id }
    } else {
        let seen = SeenToken::seen(token, &key.run(&run_id))?;
        StandaloneRequest::Watch { run_id, until: Until::Changed { seen }, timeout_ms: patience_ms(&scope) }
    };
    let now = || scope.call.shared.backend.now();
    ask_at_home(&scope, &key, Repeat::Safe, read, |reply| match reply {
        Reply::Standalone(Some(state)) => Some(encode(&description(&state, &request, now()))),
        Reply::Standalone(None) => Some(encode(&DescribeNexusOperationExecutionResponse::default())),
        _ => None,
    })
    .await
}

fn description(
    state: &Standalone,
    request: &DescribeNexusOperationExecutionRequest,
    now: Time,
) -> DescribeNexusOperationExecutionResponse {
    let input = state.operation().and_then(|body| body.operation.scheduled.input.clone());
    let outcome = operation::outcome(state).filter(|_| request.include_outcome);
    DescribeNexusOperationExecutionResponse {
        run_id: state.run_id().to_owned(),
        info: Some(operation::info(state, now)),
        input: input.filter(|_| request.include_input),
        outcome: outcome.map(|ended| match ended {
            Ended::Result(result) => Described::Result(result),
            Ended::Failure(failure) => Described::Failure(failure),
        }),
        long_poll_token: SeenToken::of(state, now).encode(),
        ..Default::default()
    }
}

pub(super) async fn poll(scope: Scope, request: PollNexusOperationExecutionRequest) -> Answer {
    check_enabled(&scope)?;
    let until = match Stage::try_from(request.wait_stage) {
        Ok(Stage::Started) => Until::Started,
        Ok(Stage::Closed | Stage::Unspecified) => Until::Closed,
        Err(_) => {
            let message = format!("unsupported wait_stage: {}", request.wait_stage);
            return Err(Status::invalid_argument(message));
        }
    };
    check_id(&scope, &request.operation_id)?;
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.operation_id);
    let watch = StandaloneRequest::Watch { run_id: request.run_id, until, timeout_ms: patience_ms(&scope) };
    ask_at_home(&scope, &key, Repeat::Safe, watch, |reply| match reply {
        Reply::Standalone(Some(state)) => Some(encode(&stage(&state))),
        Reply::Standalone(None) => Some(encode(&PollNexusOperationExecutionResponse::default())),
        _ => None,
    })
    .await
}

fn stage(state: &Standalone) -> PollNexusOperationExecutionResponse {
    let token = state.operation().map(|body| body.operation.operation_token.clone());
    PollNexusOperationExecutionResponse {
        run_id: state.run_id().to_owned(),
        wait_stage: if state.is_running() { Stage::Started } else { Stage::Closed } as i32,
        operation_token: token.unwrap_or_default(),
        outcome: operation::outcome(state).map(|ended| match ended {
            Ended::Result(result) => Polled::Result(result),
            Ended::Failure(failure) => Polled::Failure(failure),
        }),
    }
}

pub(super) async fn list(scope: Scope, request: ListNexusOperationExecutionsRequest) -> Answer {
    check_enabled(&scope)?;
    let rows = visibility::page_rows(&scope, request.page_size);
    let backend = &scope.call.shared.backend;
    let page =
        backend.list_operations(scope.namespace_id(), &request.query, rows, &request.next_page_token).await;
    let mut page = page.map_err(|error| Failure::from(error).into_status())?;
    for operation in &mut page.operations {
        search_attributes::note_types(&scope, operation.search_attributes.as_mut());
    }
    Ok(encode(&ListNexusOperationExecutionsResponse {
        operations: page.operations,
        next_page_token: page.next_page_token,
    }))
}

pub(super) async fn count(scope: Scope, request: CountNexusOperationExecutionsRequest) -> Answer {
    check_enabled(&scope)?;
    let counted = scope.call.shared.backend.count_operations(scope.namespace_id(), &request.query).await;
    let counted = counted.map_err(|error| Failure::from(error).into_status())?.response();
    let groups = counted
        .groups
        .into_iter()
        .map(|group| AggregationGroup { group_values: group.group_values, count: group.count })
        .collect();
    Ok(encode(&CountNexusOperationExecutionsResponse { count: counted.count, groups }))
}

pub(super) async fn cancel(
    mut scope: Scope,
    mut request: RequestCancelNexusOperationExecutionRequest,
) -> Answer {
    check_enabled(&scope)?;
    if name_request(&mut request.request_id) {
        scope.call.rewrite(&request);
    }
    let asked = Asked {
        run_id: request.run_id,
        request_id: request.request_id,
        identity: request.identity,
        reason: request.reason,
    };
    check_asked(&scope, &request.operation_id, &asked)?;
    let answer = encode(&RequestCancelNexusOperationExecutionResponse {});
    let key = key(&scope, &request.operation_id);
    tell(&scope, &key, Repeat::Safe, StandaloneRequest::Cancel(asked), answer).await
}

pub(super) async fn terminate(
    mut scope: Scope,
    mut request: TerminateNexusOperationExecutionRequest,
) -> Answer {
    check_enabled(&scope)?;
    if name_request(&mut request.request_id) {
        scope.call.rewrite(&request);
    }
    let asked = Asked {
        run_id: request.run_id,
        request_id: request.request_id,
        identity: request.identity,
        reason: request.reason,
    };
    check_asked(&scope, &request.operation_id, &asked)?;
    let answer = encode(&TerminateNexusOperationExecutionResponse {});
    let key = key(&scope, &request.operation_id);
    tell(&scope, &key, Repeat::Safe, StandaloneRequest::Terminate(asked), answer).await
}

pub(super) async fn delete(scope: Scope, request: DeleteNexusOperationExecutionRequest) -> Answer {
    check_enabled(&scope)?;
    check_id(&scope, &request.operation_id)?;
    check_run_id(&request.run_id)?;
    let key = key(&scope, &request.operation_id);
    let deletion = StandaloneRequest::Delete { run_id: request.run_id };
    tell(&scope, &key, Repeat::Unsafe, deletion, encode(&DeleteNexusOperationExecutionResponse {})).await
}
