//! Whole workflows held back by hand, and let go on.

use everlog_engine::{limits::Limits, request::Request};
use everlog_proto::api::workflowservice::v1::{
    PauseWorkflowExecutionRequest, PauseWorkflowExecutionResponse, UnpauseWorkflowExecutionRequest,
    UnpauseWorkflowExecutionResponse,
};
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    validate,
    workflow::tell,
};
use crate::route::Repeat;

pub(super) async fn pause(scope: Scope, request: PauseWorkflowExecutionRequest) -> Answer {
    let name = &scope.namespace.name;
    if !scope.call.shared.api(name).workflow_pause {
        return Err(Status::unimplemented(format!("workflow pause is not enabled for namespace: {name}")));
    }
    check_lengths(&request.reason, &request.request_id, &request.identity, &scope.limits)?;
    validate::loaded(&request.workflow_id, &request.run_id)?;
    let workflow_id = request.workflow_id.clone();
    // Between the first try and the second somebody may have let the workflow go on.
    tell(&scope, &workflow_id, Repeat::Unsafe, Request::PauseWorkflow(Box::new(request))).await?;
    Ok(encode(&PauseWorkflowExecutionResponse {}))
}

/// Also where pausing is switched off: what was paused before can go on.
pub(super) async fn unpause(scope: Scope, request: UnpauseWorkflowExecutionRequest) -> Answer {
    check_lengths(&request.reason, &request.request_id, &request.identity, &scope.limits)?;
    validate::loaded(&request.workflow_id, &request.run_id)?;
    let workflow_id = request.workflow_id.clone();
    tell(&scope, &workflow_id, Repeat::Unsafe, Request::UnpauseWorkflow(Box::new(request))).await?;
    Ok(encode(&UnpauseWorkflowExecutionResponse {}))
}

fn check_lengths(reason: &str, request_id: &str, identity: &str, limits: &Limits) -> Result<(), Status> {
    for (name, text) in [("reason", reason), ("request id", request_id), ("identity", identity)] {
        if text.len() > limits.id_bytes_max {
            return Err(Status::invalid_argument(format!("{name} is too long.")));
        }
    }
    Ok(())
}
