//! What a batch asks of one of its targets.

use everlog_proto::api::{
    batch::v1::{
        BatchOperationDeletion, BatchOperationReset, BatchOperationResetActivities,
        BatchOperationUnpauseActivities, BatchOperationUpdateActivityOptions,
    },
    common::v1::{ResetOptions, WorkflowExecution, reset_options::Target},
    enums::v1::ResetType,
    workflowservice::v1::{
        RequestCancelWorkflowExecutionRequest, ResetActivityRequest, ResetWorkflowExecutionRequest,
        SignalWorkflowExecutionRequest, StartBatchOperationRequest, TerminateWorkflowExecutionRequest,
        UnpauseActivityRequest, UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
        reset_activity_request, start_batch_operation_request::Operation, unpause_activity_request,
        update_activity_options_request,
    },
};
use serde::{Deserialize, Serialize};

use super::batches::Batch;
use crate::{
    codec::Proto,
    key::RunKey,
    message::derived_id,
    request::{Request, ResetTo},
    versioning::newest_form,
};

/// One target of a batch, on its way to the node that leads its shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub target: RunKey,
    /// The batch's request without its targets.
    pub request: Proto<StartBatchOperationRequest>,
    /// The same whenever this is done again.
    pub request_id: String,
}

impl Work {
    pub fn new(batch: &Batch, workflow_id: &str, run_id: &str) -> Work {
        let target = crate::key::WorkflowKey::new(&batch.namespace_id, workflow_id).run(run_id);
        let mut request = batch.request.0.clone();
        #[allow(deprecated, reason = "clients name workflows so")]
        request.executions.clear();
        request.target_executions.clear();
        let request_id = derived_id(&target, 0, &format!("batch\0{}\0{workflow_id}", batch.run_id));
        Work { target, request: Proto(request), request_id }
    }

    /// What is left to do for a workflow of a namespace that was deleted.
    pub fn deletion(target: RunKey) -> Work {
        let operation = Operation::DeletionOperation(BatchOperationDeletion::default());
        let request = StartBatchOperationRequest { operation: Some(operation), ..Default::default() };
        Work { target, request: Proto(request), request_id: String::new() }
    }

    /// What the workflow is asked; none if the operation is about something else.
    pub fn ask(&self) -> Option<Request> {
        let execution = WorkflowExecution {
            workflow_id: self.target.workflow.workflow_id.to_string(),
            run_id: self.target.run_id.to_string(),
        };
        let batch = &self.request.0;
        Some(match batch.operation.as_ref()? {
            Operation::TerminationOperation(operation) => {
                Request::Terminate(Box::new(TerminateWorkflowExecutionRequest {
                    workflow_execution: Some(execution),
                    reason: batch.reason.clone(),
                    identity: operation.identity.clone(),
                    ..Default::default()
                }))
            }
            Operation::CancellationOperation(operation) => {
                Request::Cancel(Box::new(RequestCancelWorkflowExecutionRequest {
                    workflow_execution: Some(execution),
                    identity: operation.identity.clone(),
                    request_id: self.request_id.clone(),
                    ..Default::default()
                }))
            }
            Operation::SignalOperation(operation) => {
                Request::Signal(Box::new(SignalWorkflowExecutionRequest {
                    workflow_execution: Some(execution),
                    signal_name: operation.signal.clone(),
                    input: operation.input.clone(),
                    header: operation.header.clone(),
                    identity: operation.identity.clone(),
                    request_id: self.request_id.clone(),
                    ..Default::default()
                }))
            }
            Operation::DeletionOperation(_) => Request::Delete { run_id: execution.run_id },
            Operation::ResetOperation(operation) => self.reset(execution, operation),
            Operation::UpdateWorkflowOptionsOperation(operation) => {
                let mut options = operation.workflow_execution_options.clone();
                if let Some(options) = &mut options {
                    // In the older form it would be written again whenever this is done again.
                    options.versioning_override = newest_form(options.versioning_override.as_ref());
                }
                Request::UpdateOptions(Box::new(UpdateWorkflowExecutionOptionsRequest {
                    workflow_execution: Some(execution),
                    workflow_execution_options: options,
                    update_mask: operation.update_mask.clone(),
                    identity: operation.identity.clone(),
                    ..Default::default()
                }))
            }
            Operation::UnpauseActivitiesOperation(operation) => unpause(execution, operation),
            Operation::ResetActivitiesOperation(operation) => reset_activities(execution, operation),
            Operation::UpdateActivityOptionsOperation(operation) => activity_options(execution, operation),
            _ => return None,
        })
    }

    fn reset(&self, execution: WorkflowExecution, operation: &BatchOperationReset) -> Request {
        let options = options_of(operation);
        let (point, to) = match &options.target {
            Some(Target::WorkflowTaskId(id)) => (*id, None),
            Some(Target::BuildId(id)) => {
                let current_run_only = options.current_run_only;
                (0, Some(ResetTo::Build { id: id.clone(), current_run_only }))
            }
            Some(Target::LastWorkflowTask(())) => (0, Some(ResetTo::LastTask)),
            Some(Target::FirstWorkflowTask(())) | None => (0, Some(ResetTo::FirstTask)),
        };
        #[allow(deprecated, reason = "older clients say only this")]
        let request = ResetWorkflowExecutionRequest {
            workflow_execution: Some(execution),
            reason: self.request.reason.clone(),
            workflow_task_finish_event_id: point,
            request_id: self.request_id.clone(),
            reset_reapply_type: options.reset_reapply_type,
            reset_reapply_exclude_types: options.reset_reapply_exclude_types,
            post_reset_operations: operation.post_reset_operations.clone(),
            identity: operation.identity.clone(),
            ..Default::default()
        };
        Request::Reset { request: Box::new(request), to }
    }
}

#[allow(deprecated, reason = "older clients say only this")]
fn options_of(operation: &BatchOperationReset) -> ResetOptions {
    if let Some(options) = &operation.options {
        return options.clone();
    }
    let target = match operation.reset_type() {
        ResetType::LastWorkflowTask => Target::LastWorkflowTask(()),
        _ => Target::FirstWorkflowTask(()),
    };
    ResetOptions {
        target: Some(target),
        reset_reapply_type: operation.reset_reapply_type,
        ..ResetOptions::default()
    }
}

fn unpause(execution: WorkflowExecution, operation: &BatchOperationUnpauseActivities) -> Request {
    use everlog_proto::api::batch::v1::batch_operation_unpause_activities::Activity as Of;
    let activity = match &operation.activity {
        Some(Of::Type(kind)) => unpause_activity_request::Activity::Type(kind.clone()),
        _ => unpause_activity_request::Activity::UnpauseAll(true),
    };
    Request::UnpauseActivity(Box::new(UnpauseActivityRequest {
        execution: Some(execution),
        identity: operation.identity.clone(),
        activity: Some(activity),
        reset_attempts: operation.reset_attempts,
        reset_heartbeat: operation.reset_heartbeat,
        jitter: operation.jitter,
        ..Default::default()
    }))
}

fn reset_activities(execution: WorkflowExecution, operation: &BatchOperationResetActivities) -> Request {
    use everlog_proto::api::batch::v1::batch_operation_reset_activities::Activity as Of;
    let activity = match &operation.activity {
        Some(Of::Type(kind)) => reset_activity_request::Activity::Type(kind.clone()),
        _ => reset_activity_request::Activity::MatchAll(true),
    };
    Request::ResetActivity(Box::new(ResetActivityRequest {
        execution: Some(execution),
        identity: operation.identity.clone(),
        activity: Some(activity),
        reset_heartbeat: operation.reset_heartbeat,
        keep_paused: operation.keep_paused,
        jitter: operation.jitter,
        restore_original_options: operation.restore_original_options,
        ..Default::default()
    }))
}

fn activity_options(
    execution: WorkflowExecution,
    operation: &BatchOperationUpdateActivityOptions,
) -> Request {
    use everlog_proto::api::batch::v1::batch_operation_update_activity_options::Activity as Of;
    let activity = match &operation.activity {
        Some(Of::Type(kind)) => update_activity_options_request::Activity::Type(kind.clone()),
        _ => update_activity_options_request::Activity::MatchAll(true),
    };
    Request::UpdateActivityOptions(Box::new(UpdateActivityOptionsRequest {
        execution: Some(execution),
        identity: operation.identity.clone(),
        activity: Some(activity),
        activity_options: operation.activity_options.clone(),
        update_mask: operation.update_mask.clone(),
        restore_original: operation.restore_original,
        ..Default::default()
    }))
}
