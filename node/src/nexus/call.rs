//! Calls of operations to their handlers, and what the answers mean.

use std::{collections::HashMap, time::Duration};

use everlog_engine::{
    cluster::EndpointTarget,
    codec::Proto,
    limits::Limits,
    message::Message,
    nexus::{
        Call, CallOf, Outcome, REQUEST_TIMEOUT, REQUEST_TIMEOUT_MIN,
        callback::{OperationRef, SYSTEM_URL, TOKEN_HEADER},
        links, null,
    },
};
use everlog_proto::{
    api::{
        common::v1::{Link, Payload},
        enums::v1::NexusHandlerErrorRetryBehavior as Retry,
        failure::v1::{
            ApplicationFailureInfo, Failure, NexusHandlerFailureInfo, ServerFailureInfo, failure::FailureInfo,
        },
        nexus::v1::{
            CancelOperationRequest, Link as NexusLink, Request, Response, StartOperationRequest,
            StartOperationResponse, request, response, start_operation_response::Variant,
        },
    },
    prost::Message as _,
};

use super::{NexusAnswered, NexusDispatch, dispatch, failure, written};
use crate::{clock::Clock, cluster, router::Router};

/// How the server calls itself to handlers.
const USER_AGENT: &str = "temporalio/server";
/// What is left of a request's time for its way to the worker and back.
const WAY_MARGIN: Duration = Duration::from_secs(1);
/// Handlers' errors that will not go away by trying again.
const LASTING_ERRORS: [&str; 6] =
    ["BAD_REQUEST", "UNAUTHENTICATED", "UNAUTHORIZED", "NOT_FOUND", "NOT_IMPLEMENTED", "CONFLICT"];

/// Makes a call and tells what came of it. Its caller's state decides what follows.
pub async fn make(router: &Router, limits: &Limits, message: &Message, call: &Call) -> Outcome {
    let mut cluster = router.cluster().borrow().clone();
    if cluster.endpoint(&call.endpoint_id, &call.endpoint).is_none() {
        // It is final that there is none, so this node must not just be late to hear of it.
        if cluster::refresh(router).await.is_err() {
            return handler_error("UPSTREAM_TIMEOUT", "upstream timeout");
        }
        cluster = router.cluster().borrow().clone();
    }
    let Some(endpoint) = cluster.endpoint(&call.endpoint_id, &call.endpoint).cloned() else {
        return handler_error("NOT_FOUND", "endpoint not registered");
    };
    if let (CallOf::Start { .. }, "") = (&call.what, call.operation.as_str()) {
        // The real server finds no path for it.
        return handler_error("NOT_FOUND", "not found");
    }
    let now = router.clock().time();
    let mut within = REQUEST_TIMEOUT;
    if let Some((deadline, kind)) = call.deadline {
        within = within.min(deadline.since(now));
        let least = match call.what {
            CallOf::Start { .. } => REQUEST_TIMEOUT_MIN,
            CallOf::Cancel { .. } => Duration::from_nanos(1),
        };
        if within < least {
            return Outcome::TooLate(kind);
        }
    }
    let answered = match &endpoint.spec.target {
        EndpointTarget::Worker { namespace_id, queue } => {
            let request = request(router.clock(), message, call, &endpoint.spec.name, within);
            let task = NexusDispatch {
                namespace_id: namespace_id.clone(),
                queue: queue.clone(),
                request: Proto(request),
                within: within.saturating_sub(WAY_MARGIN).max(within / 2),
            };
            dispatch(router, task).await
        }
        EndpointTarget::External { .. } => {
            return handler_error("NOT_IMPLEMENTED", "external endpoints are not served by this server");
        }
    };
    outcome(&call.what, answered, limits.blob_bytes_max)
}

fn request(clock: Clock, message: &Message, call: &Call, endpoint: &str, within: Duration) -> Request {
    let now = clock.time();
    let mut header: HashMap<String, String> = call.header.clone().into_iter().collect();
    header.insert("user-agent".into(), USER_AGENT.into());
    header.insert("request-timeout".into(), written(within));
    let variant = match &call.what {
        CallOf::Start { request_id, input, callback, operation_timeout } => {
            let closes = call.closes_at.map(|at| at.since(now));
            if let Some(left) = closes.into_iter().chain(*operation_timeout).min() {
                header.entry("operation-timeout".into()).or_insert_with(|| written(left));
            }
            let link = links::to_caller(&message.from_namespace, callback);
            header.insert("nexus-request-id".into(), request_id.clone());
            header.insert("nexus-link".into(), format!("<{}>; type=\"{}\"", link.url, link.r#type));
            request::Variant::StartOperation(StartOperationRequest {
                service: call.service.clone(),
                operation: call.operation.clone(),
                request_id: request_id.clone(),
                callback: SYSTEM_URL.into(),
                payload: Some(input.clone().map_or_else(null, |input| input.0)),
                callback_header: HashMap::from([(TOKEN_HEADER.to_owned(), callback.encode())]),
                links: vec![link],
            })
        }
        CallOf::Cancel { operation_token } => {
            header.insert("content-length".into(), "0".into());
            #[allow(deprecated, reason = "older workers look for the id")]
            request::Variant::CancelOperation(CancelOperationRequest {
                service: call.service.clone(),
                operation: call.operation.clone(),
                operation_id: operation_token.clone(),
                operation_token: operation_token.clone(),
            })
        }
    };
    Request {
        header,
        scheduled_time: Some(now.proto()),
        endpoint: endpoint.to_owned(),
        capabilities: Some(request::Capabilities { temporal_failure_responses: true }),
        variant: Some(variant),
    }
}

fn outcome(what: &CallOf, answered: NexusAnswered, blob_bytes_max: usize) -> Outcome {
    match answered {
        NexusAnswered::Completed(response) => match (what, response.0) {
            (CallOf::Cancel { .. }, _) => Outcome::Taken,
            (
                CallOf::Start { callback, .. },
                Response { variant: Some(response::Variant::StartOperation(start)) },
            ) => started(start, callback, blob_bytes_max),
            _ => handler_error("INTERNAL", "empty outcome"),
        },
        NexusAnswered::Failed { error: Some(error), .. } => {
            let error = error.0;
            let retry = error.retry_behavior();
            let info = NexusHandlerFailureInfo {
                r#type: error.error_type.clone(),
                retry_behavior: error.retry_behavior,
            };
            let failure = Failure {
                cause: Some(Box::new(failure::of_nexus(error.failure.unwrap_or_default()))),
                failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
                ..Failure::default()
            };
            failed(failure, is_retryable(&error.error_type, retry))
        }
        NexusAnswered::Failed { failure, .. } => {
            let failure = failure.unwrap_or_default().0;
            let retryable = match &failure.failure_info {
                Some(FailureInfo::NexusHandlerFailureInfo(info)) => {
                    is_retryable(&info.r#type, info.retry_behavior())
                }
                _ => true,
            };
            failed(failure, retryable)
        }
        NexusAnswered::TimedOut | NexusAnswered::Moved => {
            handler_error("UPSTREAM_TIMEOUT", "upstream timeout")
        }
    }
}

fn started(start: StartOperationResponse, caller: &OperationRef, blob_bytes_max: usize) -> Outcome {
    match start.variant {
        Some(Variant::SyncSuccess(success)) => {
            let bytes = success.payload.as_ref().map_or(0, Payload::encoded_len);
            if bytes > blob_bytes_max {
                return too_large(caller);
            }
            Outcome::Succeeded { payload: success.payload.map(Proto), links: kept(&success.links) }
        }
        Some(Variant::AsyncSuccess(started)) => {
            #[allow(deprecated, reason = "older workers call it an id")]
            let id = started.operation_id;
            let token = if started.operation_token.is_empty() { id } else { started.operation_token };
            Outcome::Started { operation_token: token, links: kept(&started.links) }
        }
        #[allow(deprecated, reason = "older workers say it so")]
        Some(Variant::OperationError(error)) => {
            let canceled = error.operation_state == "canceled";
            let failure = error.failure.unwrap_or_default();
            // That an operation on its own was cancelled is said by its status.
            let is_marked = canceled && caller.standalone().is_none();
            let failure = if is_marked { failure::canceled(failure) } else { failure::of_nexus(failure) };
            Outcome::Unsuccessful { failure: Box::new(Proto(failure)), canceled }
        }
        Some(Variant::Failure(failure)) => {
            let canceled = matches!(failure.failure_info, Some(FailureInfo::CanceledFailureInfo(_)));
            Outcome::Unsuccessful { failure: Box::new(Proto(failure)), canceled }
        }
        None => handler_error("INTERNAL", "empty outcome"),
    }
}

/// Links to events of workflows; others are dropped.
fn kept(links: &[NexusLink]) -> Vec<Proto<Link>> {
    links.iter().filter_map(links::from_nexus).map(Proto).collect()
}

fn is_retryable(kind: &str, behavior: Retry) -> bool {
    match behavior {
        Retry::Retryable => true,
        Retry::NonRetryable => false,
        Retry::Unspecified => !LASTING_ERRORS.contains(&kind),
    }
}

fn handler_error(kind: &str, message: &str) -> Outcome {
    let info = NexusHandlerFailureInfo { r#type: kind.into(), ..NexusHandlerFailureInfo::default() };
    let failure = Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
        ..Failure::default()
    };
    failed(failure, is_retryable(kind, Retry::Unspecified))
}

/// A failure of the call that trying again will not mend. Workflows hear of it as of an error of the client.
fn too_large(caller: &OperationRef) -> Outcome {
    let non_retryable = true;
    let info = match caller.standalone() {
        Some(_) => FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable }),
        None => FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: "CallError".into(),
            non_retryable,
            ..ApplicationFailureInfo::default()
        }),
    };
    let message = "http: response body too large".into();
    failed(Failure { message, failure_info: Some(info), ..Failure::default() }, false)
}

fn failed(failure: Failure, retryable: bool) -> Outcome {
    Outcome::Error { failure: Box::new(Proto(failure)), retryable }
}
