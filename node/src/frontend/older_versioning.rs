//! The schemes of versioning before worker deployments: the real server has them switched off, and says so.

use everlog_engine::reject::Reject;
use everlog_proto::api::workflowservice::v1::*;

use super::{
    call::{Answer, Scope},
    status,
};

pub(super) async fn update_sets(_: Scope, _: UpdateWorkerBuildIdCompatibilityRequest) -> Answer {
    refused_sets()
}

pub(super) async fn get_sets(_: Scope, _: GetWorkerBuildIdCompatibilityRequest) -> Answer {
    refused_sets()
}

pub(super) async fn update_rules(_: Scope, _: UpdateWorkerVersioningRulesRequest) -> Answer {
    refused_rules()
}

pub(super) async fn get_rules(_: Scope, _: GetWorkerVersioningRulesRequest) -> Answer {
    refused_rules()
}

pub(super) async fn task_reachability(_: Scope, _: GetWorkerTaskReachabilityRequest) -> Answer {
    refused_rules()
}

pub(super) async fn describe_deployment(_: Scope, _: DescribeDeploymentRequest) -> Answer {
    refused_deployments()
}

pub(super) async fn list_deployments(_: Scope, _: ListDeploymentsRequest) -> Answer {
    refused_deployments()
}

pub(super) async fn deployment_reachability(_: Scope, _: GetDeploymentReachabilityRequest) -> Answer {
    refused_deployments()
}

pub(super) async fn current_deployment(_: Scope, _: GetCurrentDeploymentRequest) -> Answer {
    refused_deployments()
}

pub(super) async fn set_current_deployment(_: Scope, _: SetCurrentDeploymentRequest) -> Answer {
    refused_deployments()
}

fn refused_sets() -> Answer {
    denied("Worker versioning v0.1 (Version Set-based, deprecated) is disabled on this namespace.")
}

fn refused_rules() -> Answer {
    denied("Worker versioning v0.2 (Rules-based, deprecated) is disabled on this namespace.")
}

fn denied(why: &str) -> Answer {
    Err(status::of_reject(Reject::PermissionDenied(why.to_owned())))
}

fn refused_deployments() -> Answer {
    let why = "Deployments are deprecated and no longer supported, use Worker Deployments instead";
    Err(status::of_reject(Reject::Unimplemented(why.to_owned())))
}
