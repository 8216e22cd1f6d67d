//! What a server with its default settings does not do, in its words.

use everlog_engine::{key::WorkflowKey, reject::Reject, reply::Reply, request::Request};
use everlog_proto::api::{
    operatorservice::v1::{AddOrUpdateRemoteClusterRequest, RemoveRemoteClusterRequest},
    workflowservice::v1::{
        CreateWorkflowRuleRequest, DeleteWorkflowRuleRequest, DescribeWorkflowRuleRequest,
        FetchWorkerConfigRequest, ListArchivedWorkflowExecutionsRequest, ListWorkflowRulesRequest,
        PauseWorkflowExecutionRequest, PollWorkflowExecutionTimeSkippingRequest, TriggerWorkflowRuleRequest,
        UnpauseWorkflowExecutionRequest, UpdateWorkerConfigRequest,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Call, Scope},
    status,
    workflow::{ask, unexpected},
};
use crate::route::{Repeat, to_home};

fn rules(method: &str) -> Answer {
    Err(Status::unimplemented(format!("method {method} not supported")))
}

pub(super) async fn create_rule(_: Scope, _: CreateWorkflowRuleRequest) -> Answer {
    rules("CreateWorkflowRule")
}

pub(super) async fn describe_rule(_: Scope, _: DescribeWorkflowRuleRequest) -> Answer {
    rules("DescribeWorkflowRule")
}

pub(super) async fn delete_rule(_: Scope, _: DeleteWorkflowRuleRequest) -> Answer {
    rules("DeleteWorkflowRule")
}

pub(super) async fn list_rules(_: Scope, _: ListWorkflowRulesRequest) -> Answer {
    rules("ListWorkflowRules")
}

pub(super) async fn trigger_rule(_: Scope, _: TriggerWorkflowRuleRequest) -> Answer {
    rules("TriggerWorkflowRule")
}

pub(super) async fn time_skipping(_: Scope, _: PollWorkflowExecutionTimeSkippingRequest) -> Answer {
    Err(Status::unimplemented("The Time-Skipping feature is not enabled for namespace."))
}

pub(super) async fn fetch_worker_config(_: Scope, _: FetchWorkerConfigRequest) -> Answer {
    Err(Status::unimplemented("FetchWorkerConfig command is not enabled."))
}

pub(super) async fn update_worker_config(_: Scope, _: UpdateWorkerConfigRequest) -> Answer {
    Err(Status::unimplemented("UpdateWorkerConfig command is not enabled."))
}

pub(super) async fn list_archived(_: Scope, _: ListArchivedWorkflowExecutionsRequest) -> Answer {
    Err(Status::invalid_argument("Cluster is not configured for visibility archival."))
}

pub(super) async fn pause_workflow(scope: Scope, _: PauseWorkflowExecutionRequest) -> Answer {
    let name = &scope.namespace.name;
    Err(Status::unimplemented(format!("workflow pause is not enabled for namespace: {name}")))
}

/// A workflow that cannot be paused is not.
pub(super) async fn unpause_workflow(scope: Scope, request: UnpauseWorkflowExecutionRequest) -> Answer {
    let key = WorkflowKey::new(scope.namespace_id(), &request.workflow_id);
    let (scope, key, run_id) = (&scope, &key, &request.run_id);
    to_home(&scope.call, scope.namespace_id(), &request.workflow_id, Repeat::Safe, |shard| async move {
        match ask(scope, shard, key, Request::Read { run_id: run_id.clone() }).await? {
            Reply::State(_) => Err(Reject::FailedPrecondition("workflow is not paused.".into()).into()),
            _ => Err(unexpected("read").into()),
        }
    })
    .await
}

pub(super) async fn add_remote_cluster(_: Call, request: AddOrUpdateRemoteClusterRequest) -> Answer {
    Err(Status::unavailable(format!(
        "Unable connect to remote cluster {} with error: this cluster joins no others.",
        request.frontend_address
    )))
}

pub(super) async fn remove_remote_cluster(call: Call, request: RemoveRemoteClusterRequest) -> Answer {
    if request.cluster_name == call.shared.backend.cluster().cluster_name {
        let message = "Unable to delete cluster info with error: Cannot delete current cluster metadata.";
        return Err(Status::internal(message));
    }
    let message = "The cluster to be deleted cannot be found in clusters cache.";
    Err(status::of_reject(Reject::NotFound(message.into())))
}
