//! What a server with its default settings does not do, in its words.

use everlog_engine::reject::Reject;
use everlog_proto::api::{
    operatorservice::v1::{AddOrUpdateRemoteClusterRequest, RemoveRemoteClusterRequest},
    workflowservice::v1::{
        CreateWorkflowRuleRequest, DeleteWorkflowRuleRequest, DescribeWorkflowRuleRequest,
        FetchWorkerConfigRequest, ListArchivedWorkflowExecutionsRequest, ListWorkflowRulesRequest,
        PollWorkflowExecutionTimeSkippingRequest, TriggerWorkflowRuleRequest, UpdateWorkerConfigRequest,
    },
};
use tonic::Status;

use super::{
    call::{Answer, Call, Scope},
    status,
};

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
