//! The methods that are served. Every other method of the API is answered UNIMPLEMENTED, which clients
//! take for an older server.

use std::{collections::HashMap, future::Future, sync::LazyLock};

use super::{
    Method,
    admission::{ApiRequest, admit},
};
use crate::frontend::{
    activity, activity_execution, activity_operations, batch,
    call::{Answer, Call, Scope},
    deployment, describe, history, namespace, nexus_endpoint, nexus_operation, nexus_task, off,
    older_versioning, operator, pause, poll, query, reset, schedule, start, system, task_queue, update,
    update_with_start, visibility, wire, worker, workflow, workflow_task,
};

pub(super) fn find(path: &str) -> Option<&'static Method> {
    BY_PATH.get(path).copied()
}

static BY_PATH: LazyLock<HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| METHODS.iter().map(|method| (method.path, method)).collect());

/// A call about a namespace: decoded, admitted, handled.
async fn scoped<R: ApiRequest, Handled: Future<Output = Answer> + Send>(
    call: Call,
    handler: impl FnOnce(Scope, R) -> Handled + Send,
) -> Answer {
    let request = R::decode(call.message.clone()).map_err(|error| wire::malformed(&error))?;
    // Dropped with the call, which is what counts it.
    let (scope, _waiting) = admit(call, &request).await?;
    handler(scope, request).await
}

/// A call about the server or its namespaces: decoded and handled.
async fn open<R: prost::Message + Default, Handled: Future<Output = Answer> + Send>(
    call: Call,
    handler: impl FnOnce(Call, R) -> Handled + Send,
) -> Answer {
    let request = R::decode(call.message.clone()).map_err(|error| wire::malformed(&error))?;
    if !call.forwarded {
        call.client.check()?;
    }
    handler(call, request).await
}

macro_rules! methods {
    ($($service:literal: $($name:literal => $way:ident $handler:path,)*;)*) => {
        static METHODS: &[Method] = &[$($(Method {
            path: concat!("/", $service, "/", $name),
            operation: $name,
            run: |call| Box::pin($way(call, $handler)),
        }),*),*];
    };
}

methods! {
    "temporal.api.workflowservice.v1.WorkflowService":
        "GetSystemInfo" => open system::system_info,
        "GetClusterInfo" => open system::cluster_info,
        "RegisterNamespace" => open namespace::register,
        "DescribeNamespace" => open namespace::describe,
        "ListNamespaces" => open namespace::list,
        "UpdateNamespace" => open namespace::update,
        "DeprecateNamespace" => open namespace::deprecate,
        "StartWorkflowExecution" => scoped start::start,
        "SignalWithStartWorkflowExecution" => scoped start::signal_with_start,
        "SignalWorkflowExecution" => scoped workflow::signal,
        "RequestCancelWorkflowExecution" => scoped workflow::cancel,
        "TerminateWorkflowExecution" => scoped workflow::terminate,
        "DeleteWorkflowExecution" => scoped workflow::delete,
        "ResetStickyTaskQueue" => scoped workflow::reset_sticky,
        "ResetWorkflowExecution" => scoped reset::reset,
        "UpdateWorkflowExecutionOptions" => scoped reset::update_options,
        "QueryWorkflow" => scoped query::query,
        "RespondQueryTaskCompleted" => scoped query::respond,
        "UpdateWorkflowExecution" => scoped update::update,
        "PollWorkflowExecutionUpdate" => scoped update::poll,
        "ExecuteMultiOperation" => scoped update_with_start::execute,
        "DescribeWorkflowExecution" => scoped describe::describe,
        "GetWorkflowExecutionHistory" => scoped history::forward,
        "GetWorkflowExecutionHistoryReverse" => scoped history::reverse,
        "PollWorkflowTaskQueue" => scoped poll::workflow_task,
        "PollActivityTaskQueue" => scoped poll::activity_task,
        "RespondWorkflowTaskCompleted" => scoped workflow_task::completed,
        "RespondWorkflowTaskFailed" => scoped workflow_task::failed,
        "RecordActivityTaskHeartbeat" => scoped activity::heartbeat,
        "RecordActivityTaskHeartbeatById" => scoped activity::heartbeat_by_id,
        "RespondActivityTaskCompleted" => scoped activity::completed,
        "RespondActivityTaskCompletedById" => scoped activity::completed_by_id,
        "RespondActivityTaskFailed" => scoped activity::failed,
        "RespondActivityTaskFailedById" => scoped activity::failed_by_id,
        "RespondActivityTaskCanceled" => scoped activity::canceled,
        "RespondActivityTaskCanceledById" => scoped activity::canceled_by_id,
        "PauseActivity" => scoped activity_operations::pause,
        "UnpauseActivity" => scoped activity_operations::unpause,
        "ResetActivity" => scoped activity_operations::reset,
        "UpdateActivityOptions" => scoped activity_operations::update_options,
        "PauseActivityExecution" => scoped activity_operations::pause_execution,
        "UnpauseActivityExecution" => scoped activity_operations::unpause_execution,
        "ResetActivityExecution" => scoped activity_operations::reset_execution,
        "UpdateActivityExecutionOptions" => scoped activity_operations::update_execution_options,
        "StartActivityExecution" => scoped activity_execution::start,
        "DescribeActivityExecution" => scoped activity_execution::describe,
        "PollActivityExecution" => scoped activity_execution::poll,
        "ListActivityExecutions" => scoped activity_execution::list,
        "CountActivityExecutions" => scoped activity_execution::count,
        "RequestCancelActivityExecution" => scoped activity_execution::cancel,
        "TerminateActivityExecution" => scoped activity_execution::terminate,
        "DeleteActivityExecution" => scoped activity_execution::delete,
        "StartNexusOperationExecution" => scoped nexus_operation::start,
        "DescribeNexusOperationExecution" => scoped nexus_operation::describe,
        "PollNexusOperationExecution" => scoped nexus_operation::poll,
        "ListNexusOperationExecutions" => scoped nexus_operation::list,
        "CountNexusOperationExecutions" => scoped nexus_operation::count,
        "RequestCancelNexusOperationExecution" => scoped nexus_operation::cancel,
        "TerminateNexusOperationExecution" => scoped nexus_operation::terminate,
        "DeleteNexusOperationExecution" => scoped nexus_operation::delete,
        "DescribeTaskQueue" => scoped task_queue::describe,
        "UpdateTaskQueueConfig" => scoped task_queue::configure,
        "ListTaskQueuePartitions" => scoped task_queue::partitions,
        "ShutdownWorker" => scoped task_queue::shutdown_worker,
        "RecordWorkerHeartbeat" => scoped worker::heartbeat,
        "ListWorkers" => scoped worker::list,
        "CountWorkers" => scoped worker::count,
        "DescribeWorker" => scoped worker::describe,
        "StartBatchOperation" => scoped batch::start,
        "StopBatchOperation" => scoped batch::stop,
        "DescribeBatchOperation" => scoped batch::describe,
        "ListBatchOperations" => scoped batch::list,
        "CreateWorkflowRule" => scoped off::create_rule,
        "DescribeWorkflowRule" => scoped off::describe_rule,
        "DeleteWorkflowRule" => scoped off::delete_rule,
        "ListWorkflowRules" => scoped off::list_rules,
        "TriggerWorkflowRule" => scoped off::trigger_rule,
        "PollWorkflowExecutionTimeSkipping" => scoped off::time_skipping,
        "FetchWorkerConfig" => scoped off::fetch_worker_config,
        "UpdateWorkerConfig" => scoped off::update_worker_config,
        "ListArchivedWorkflowExecutions" => scoped off::list_archived,
        "PauseWorkflowExecution" => scoped pause::pause,
        "UnpauseWorkflowExecution" => scoped pause::unpause,
        "ListWorkflowExecutions" => scoped visibility::list,
        "ScanWorkflowExecutions" => scoped visibility::scan,
        "ListOpenWorkflowExecutions" => scoped visibility::list_open,
        "ListClosedWorkflowExecutions" => scoped visibility::list_closed,
        "CountWorkflowExecutions" => scoped visibility::count,
        "CreateSchedule" => scoped schedule::create,
        "DescribeSchedule" => scoped schedule::describe,
        "UpdateSchedule" => scoped schedule::update,
        "PatchSchedule" => scoped schedule::patch,
        "DeleteSchedule" => scoped schedule::delete,
        "ListSchedules" => scoped schedule::list,
        "CountSchedules" => scoped schedule::count,
        "ListScheduleMatchingTimes" => scoped schedule::matching_times,
        "PollNexusTaskQueue" => scoped poll::nexus_task,
        "RespondNexusTaskCompleted" => scoped nexus_task::completed,
        "RespondNexusTaskFailed" => scoped nexus_task::failed,
        "GetSearchAttributes" => open operator::get_search_attributes,
        "CreateWorkerDeployment" => scoped deployment::create,
        "DescribeWorkerDeployment" => scoped deployment::describe,
        "ListWorkerDeployments" => scoped deployment::list,
        "DeleteWorkerDeployment" => scoped deployment::delete,
        "SetWorkerDeploymentManager" => scoped deployment::set_manager,
        "SetWorkerDeploymentCurrentVersion" => scoped deployment::set_current,
        "SetWorkerDeploymentRampingVersion" => scoped deployment::set_ramping,
        "CreateWorkerDeploymentVersion" => scoped deployment::create_version,
        "DescribeWorkerDeploymentVersion" => scoped deployment::describe_version,
        "DeleteWorkerDeploymentVersion" => scoped deployment::delete_version,
        "UpdateWorkerDeploymentVersionMetadata" => scoped deployment::update_metadata,
        "UpdateWorkerDeploymentVersionComputeConfig" => scoped deployment::update_compute,
        "ValidateWorkerDeploymentVersionComputeConfig" => scoped deployment::validate_compute,
        "UpdateWorkerBuildIdCompatibility" => scoped older_versioning::update_sets,
        "GetWorkerBuildIdCompatibility" => scoped older_versioning::get_sets,
        "UpdateWorkerVersioningRules" => scoped older_versioning::update_rules,
        "GetWorkerVersioningRules" => scoped older_versioning::get_rules,
        "GetWorkerTaskReachability" => scoped older_versioning::task_reachability,
        "DescribeDeployment" => scoped older_versioning::describe_deployment,
        "ListDeployments" => scoped older_versioning::list_deployments,
        "GetDeploymentReachability" => scoped older_versioning::deployment_reachability,
        "GetCurrentDeployment" => scoped older_versioning::current_deployment,
        "SetCurrentDeployment" => scoped older_versioning::set_current_deployment,
    ;
    "temporal.api.operatorservice.v1.OperatorService":
        "ListSearchAttributes" => open operator::list_search_attributes,
        "AddSearchAttributes" => open operator::add_search_attributes,
        "RemoveSearchAttributes" => open operator::remove_search_attributes,
        "ListClusters" => open operator::list_clusters,
        "DeleteNamespace" => open namespace::delete,
        "AddOrUpdateRemoteCluster" => open off::add_remote_cluster,
        "RemoveRemoteCluster" => open off::remove_remote_cluster,
        "CreateNexusEndpoint" => open nexus_endpoint::create,
        "UpdateNexusEndpoint" => open nexus_endpoint::update,
        "DeleteNexusEndpoint" => open nexus_endpoint::delete,
        "GetNexusEndpoint" => open nexus_endpoint::get,
        "ListNexusEndpoints" => open nexus_endpoint::list,
    ;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use everlog_proto::PUBLIC_DESCRIPTORS;
    use prost::Message;

    use super::*;

    /// As much of a descriptor set as names methods.
    #[derive(Clone, PartialEq, Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        file: Vec<File>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct File {
        #[prost(string, tag = "2")]
        package: String,
        #[prost(message, repeated, tag = "6")]
        service: Vec<Service>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Service {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, repeated, tag = "2")]
        method: Vec<Named>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
    }

    /// All methods of the API, by their paths.
    fn known() -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        for file in Files::decode(PUBLIC_DESCRIPTORS).unwrap().file {
            for service in file.service {
                for method in service.method {
                    known.insert(format!("/{}.{}/{}", file.package, service.name, method.name));
                }
            }
        }
        known
    }

    #[test]
    fn every_served_method_is_one_of_the_api() {
        let known = known();
        for method in METHODS {
            assert!(known.contains(method.path), "{}", method.path);
        }
        assert_eq!(BY_PATH.len(), METHODS.len(), "no method is served twice");
        assert!(find("/temporal.api.workflowservice.v1.WorkflowService/StartBatchOperations").is_none());
    }

    const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));

    /// The methods in the README's table of a service: those in the column of the served, and the others.
    /// The table begins with a line such as "`the.Service`, 4 of 12 methods:".
    fn table(service: &str) -> (String, Vec<String>, Vec<String>) {
        let (_, rest) = README.split_once(&format!("`{service}`, ")).expect("the README has the table");
        let (count, rest) = rest.split_once(':').expect("a count precedes the table");
        let rows = rest.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
        let (mut served, mut others) = (Vec::new(), Vec::new());
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            let names =
                |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(cells.len(), 3, "{row}");
            served.extend(names(cells[1]));
            others.extend(names(cells[2]));
        }
        (count.to_owned(), served, others)
    }

    #[test]
    fn the_readme_says_which_methods_are_served() {
        for service in [crate::frontend::WORKFLOW_SERVICE, crate::frontend::OPERATOR_SERVICE] {
            let (count, served, others) = table(service);
            let path = |name: &String| format!("/{service}/{name}");
            let told: Vec<String> = served.iter().chain(&others).map(path).collect();
            let all: BTreeSet<String> =
                known().into_iter().filter(|path| path.starts_with(&format!("/{service}/"))).collect();
            assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), all, "{service}: every method");
            assert_eq!(told.len(), all.len(), "{service}: each method once");
            for name in &served {
                assert!(find(&path(name)).is_some(), "{name} is not served");
            }
            for name in &others {
                assert!(find(&path(name)).is_none(), "{name} is served");
            }
            assert_eq!(count, format!("{} of {} methods", served.len(), all.len()), "{service}");
        }
    }
}
