//! What workers answer to Nexus requests.
//!
//! The answer goes to the home of the queue that the request came from, where whoever made it waits.

use everlog_engine::{codec::Proto, token::TokenTask};
use everlog_proto::api::{
    failure::v1::failure::FailureInfo,
    nexus::v1::{Failure, Response, response, start_operation_response},
    workflowservice::v1::{
        RespondNexusTaskCompletedRequest, RespondNexusTaskCompletedResponse, RespondNexusTaskFailedRequest,
        RespondNexusTaskFailedResponse,
    },
};
use serde_json::Value;
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    status, validate,
};
use crate::{
    nexus::NexusAnswered,
    route::{Failure as RouteFailure, Repeat, to_home},
};

/// `component.nexusoperations.limit.operation.token.length`
const OPERATION_TOKEN_BYTES_MAX: usize = 4096;

pub(super) async fn completed(scope: Scope, request: RespondNexusTaskCompletedRequest) -> Answer {
    check_response(request.response.as_ref())?;
    let answered = NexusAnswered::Completed(Proto(request.response.unwrap_or_default()));
    answer(&scope, answered, encode(&RespondNexusTaskCompletedResponse {})).await
}

pub(super) async fn failed(scope: Scope, request: RespondNexusTaskFailedRequest) -> Answer {
    validate::identity(&request.identity, &scope.limits)?;
    #[allow(deprecated, reason = "older workers say it so")]
    let (error, failure) = (request.error, request.failure);
    match (&error, &failure) {
        (None, None) => return Err(Status::invalid_argument("request must contain error or failure")),
        (None, Some(failure)) => {
            if !matches!(failure.failure_info, Some(FailureInfo::NexusHandlerFailureInfo(_))) {
                return Err(Status::invalid_argument(
                    "request Failure must contain error or failure with NexusHandlerFailureInfo",
                ));
            }
        }
        (Some(error), _) => check_details(error.failure.as_ref())?,
    }
    let answered = NexusAnswered::Failed { error: error.map(Proto), failure: failure.map(Proto) };
    answer(&scope, answered, encode(&RespondNexusTaskFailedResponse {})).await
}

fn check_response(response: Option<&Response>) -> Result<(), Status> {
    let Some(response::Variant::StartOperation(start)) = response.and_then(|r| r.variant.as_ref()) else {
        return Ok(());
    };
    match &start.variant {
        Some(start_operation_response::Variant::AsyncSuccess(started)) => {
            #[allow(deprecated, reason = "older workers call it an id")]
            let id = &started.operation_id;
            let token = if started.operation_token.is_empty() { id } else { &started.operation_token };
            if token.is_empty() {
                // As the real server spells it.
                return Err(Status::invalid_argument("missing opration token in response"));
            }
            if token.len() > OPERATION_TOKEN_BYTES_MAX {
                return Err(Status::invalid_argument(format!(
                    "operation token length exceeds allowed limit ({}/{OPERATION_TOKEN_BYTES_MAX})",
                    token.len()
                )));
            }
            Ok(())
        }
        #[allow(deprecated, reason = "older workers say it so")]
        Some(start_operation_response::Variant::OperationError(error)) => {
            check_details(error.failure.as_ref())
        }
        _ => Ok(()),
    }
}

/// Details are JSON, since HTTP carries them elsewhere.
fn check_details(failure: Option<&Failure>) -> Result<(), Status> {
    let details = failure.map_or(&[][..], |failure| &failure.details);
    if details.is_empty() || serde_json::from_slice::<Value>(details).is_ok() {
        return Ok(());
    }
    Err(Status::invalid_argument("failure details must be JSON serializable"))
}

async fn answer(scope: &Scope, answered: NexusAnswered, answer: bytes::Bytes) -> Answer {
    let unknown = || status::not_found("Nexus task not found or already expired");
    let Some(token) = &scope.token else { return Err(unknown()) };
    let TokenTask::Nexus { id } = token.task else { return Err(unknown()) };
    let queue = &token.workflow().workflow_id;
    let (answered, answer) = (&answered, &answer);
    to_home(&scope.call, scope.namespace_id(), queue, Repeat::Unsafe, |_| async move {
        if scope.call.shared.backend.answer_nexus_task(id, answered.clone()).await? {
            Ok(answer.clone())
        } else {
            Err(RouteFailure::Status(unknown()))
        }
    })
    .await
}
