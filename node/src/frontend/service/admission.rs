//! Who may call what: the namespace of a call, its token, and how many calls there are.
//!
//! This precedes every other check, in the order of the real server's interceptors, so an unknown
//! namespace is reported before a missing field (common/rpc/interceptor/namespace_validator.go).

use std::sync::Arc;

use everlog_engine::token::TaskToken;
use everlog_proto::{
    api::{enums::v1::NamespaceState, workflowservice::v1::*},
    prost::Message,
};
use tonic::Status;

use crate::frontend::{
    Shared,
    backend::Namespace,
    call::{Call, Scope},
    rate::{Class, Waiting},
    status,
};

/// A request about a namespace.
pub(super) trait ApiRequest: Message + Default + Send + Sync + 'static {
    fn namespace(&self) -> &str;

    /// The task token, for requests that have the field.
    fn task_token(&self) -> Option<&[u8]> {
        None
    }

    /// Whether the answer may take as long as the caller waits.
    fn waits(&self) -> bool {
        false
    }

    fn class(&self) -> Class {
        Class::Execution
    }

    /// States of a namespace in which this may be asked.
    fn allowed_states(&self) -> &'static [NamespaceState] {
        &[NamespaceState::Registered, NamespaceState::Deprecated]
    }
}

/// Lets a call in, or says why not.
pub(super) async fn admit(call: Call, request: &impl ApiRequest) -> Result<(Scope, Option<Waiting>), Status> {
    let shared = call.shared.clone();
    let (namespace, token) = match request.task_token() {
        Some(bytes) => namespace_of_token(&shared, request.namespace(), bytes).await?,
        None => (namespace_of_name(&shared, request.namespace()).await?, None),
    };
    let allowed = request.allowed_states();
    if !allowed.contains(&namespace.state) {
        return Err(status::namespace_state(&namespace.name, namespace.state, allowed));
    }
    let mut waiting = None;
    if !call.forwarded {
        let api = shared.api(&namespace.name);
        if request.waits() {
            let counted = shared.rates.wait(&namespace.id, call.operation, api.waiting_calls_max);
            waiting = Some(counted.ok_or_else(status::too_many_polls)?);
        }
        let class = request.class();
        let rate = match class {
            Class::Execution => api.rate(),
            Class::Visibility => api.visibility_rate(),
        };
        if !shared.rates.admit(&namespace.id, class, rate, shared.backend.now()) {
            return Err(status::rate_limited());
        }
        call.client.check()?;
    }
    let limits = shared.dynamic.limits(&namespace);
    Ok((Scope { call, namespace, limits, token }, waiting))
}

async fn namespace_of_name(shared: &Shared, name: &str) -> Result<Arc<Namespace>, Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("Namespace is empty."));
    }
    if name.len() > shared.dynamic.settings(name).limits.id_bytes_max {
        return Err(Status::invalid_argument("Namespace length exceeds limit."));
    }
    shared.namespace(name).await
}

/// A token knows its namespace; the name in the request may be absent, and must not be another one.
async fn namespace_of_token(
    shared: &Shared,
    name: &str,
    bytes: &[u8],
) -> Result<(Arc<Namespace>, Option<TaskToken>), Status> {
    let named = if name.is_empty() { None } else { Some(namespace_of_name(shared, name).await?) };
    if bytes.is_empty() {
        return Err(Status::invalid_argument("Task token not set on request."));
    }
    let token =
        TaskToken::decode(bytes).map_err(|_| Status::invalid_argument("Error deserializing task token."))?;
    let namespace = shared.namespace_by_id(&token.workflow().namespace_id).await?;
    let differs = named.is_some_and(|named| named.id != namespace.id);
    if differs && shared.api(&namespace.name).token_namespace_enforced {
        return Err(Status::invalid_argument("Operation requested with a token from a different namespace."));
    }
    Ok((namespace, Some(token)))
}

macro_rules! requests {
    ($($request:ty { $($more:item)* })*) => {
        $(impl ApiRequest for $request {
            fn namespace(&self) -> &str {
                &self.namespace
            }

            $($more)*
        })*
    };
}

/// Starting is for namespaces that are not on their way out.
const STARTABLE: &[NamespaceState] = &[NamespaceState::Registered];

requests! {
    StartWorkflowExecutionRequest {
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    SignalWithStartWorkflowExecutionRequest {
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    SignalWorkflowExecutionRequest {}
    RequestCancelWorkflowExecutionRequest {}
    TerminateWorkflowExecutionRequest {}
    DeleteWorkflowExecutionRequest {}
    ResetStickyTaskQueueRequest {}
    ResetWorkflowExecutionRequest {}
    UpdateWorkflowExecutionOptionsRequest {}
    QueryWorkflowRequest {
        fn waits(&self) -> bool { true }
    }
    UpdateWorkflowExecutionRequest {
        fn waits(&self) -> bool { true }
    }
    PollWorkflowExecutionUpdateRequest {
        fn waits(&self) -> bool { true }
    }
    ExecuteMultiOperationRequest {
        fn waits(&self) -> bool { true }
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    DescribeWorkflowExecutionRequest {}
    GetWorkflowExecutionHistoryRequest {
        fn waits(&self) -> bool { self.wait_new_event }
    }
    GetWorkflowExecutionHistoryReverseRequest {}
    PollWorkflowTaskQueueRequest {
        fn waits(&self) -> bool { true }
    }
    PollActivityTaskQueueRequest {
        fn waits(&self) -> bool { true }
    }
    PollNexusTaskQueueRequest {
        fn waits(&self) -> bool { true }
    }
    RespondNexusTaskCompletedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondNexusTaskFailedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondWorkflowTaskCompletedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondWorkflowTaskFailedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondQueryTaskCompletedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RecordActivityTaskHeartbeatRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondActivityTaskCompletedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondActivityTaskFailedRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RespondActivityTaskCanceledRequest {
        fn task_token(&self) -> Option<&[u8]> { Some(&self.task_token) }
    }
    RecordActivityTaskHeartbeatByIdRequest {}
    RespondActivityTaskCompletedByIdRequest {}
    RespondActivityTaskFailedByIdRequest {}
    RespondActivityTaskCanceledByIdRequest {}
    PauseActivityRequest {}
    UnpauseActivityRequest {}
    ResetActivityRequest {}
    UpdateActivityOptionsRequest {}
    PauseActivityExecutionRequest {}
    UnpauseActivityExecutionRequest {}
    ResetActivityExecutionRequest {}
    UpdateActivityExecutionOptionsRequest {}
    StartActivityExecutionRequest {
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    DescribeActivityExecutionRequest {
        fn waits(&self) -> bool { !self.long_poll_token.is_empty() }
    }
    PollActivityExecutionRequest {
        fn waits(&self) -> bool { true }
    }
    ListActivityExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CountActivityExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    RequestCancelActivityExecutionRequest {}
    TerminateActivityExecutionRequest {}
    DeleteActivityExecutionRequest {}
    StartNexusOperationExecutionRequest {
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    DescribeNexusOperationExecutionRequest {
        fn waits(&self) -> bool { !self.long_poll_token.is_empty() }
    }
    PollNexusOperationExecutionRequest {
        fn waits(&self) -> bool { true }
    }
    ListNexusOperationExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CountNexusOperationExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    RequestCancelNexusOperationExecutionRequest {}
    TerminateNexusOperationExecutionRequest {}
    DeleteNexusOperationExecutionRequest {}
    DescribeTaskQueueRequest {}
    ListTaskQueuePartitionsRequest {}
    UpdateTaskQueueConfigRequest {}
    ShutdownWorkerRequest {}
    RecordWorkerHeartbeatRequest {}
    ListWorkersRequest {}
    CountWorkersRequest {}
    DescribeWorkerRequest {}
    StartBatchOperationRequest {}
    StopBatchOperationRequest {}
    DescribeBatchOperationRequest {}
    ListBatchOperationsRequest {}
    CreateWorkflowRuleRequest {}
    DescribeWorkflowRuleRequest {}
    DeleteWorkflowRuleRequest {}
    ListWorkflowRulesRequest {}
    TriggerWorkflowRuleRequest {}
    PollWorkflowExecutionTimeSkippingRequest {
        fn waits(&self) -> bool { true }
    }
    FetchWorkerConfigRequest {}
    UpdateWorkerConfigRequest {}
    ListArchivedWorkflowExecutionsRequest {}
    PauseWorkflowExecutionRequest {}
    UnpauseWorkflowExecutionRequest {}
    ListWorkflowExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    ScanWorkflowExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    ListOpenWorkflowExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    ListClosedWorkflowExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CreateScheduleRequest {
        fn allowed_states(&self) -> &'static [NamespaceState] { STARTABLE }
    }
    DescribeScheduleRequest {}
    UpdateScheduleRequest {}
    PatchScheduleRequest {}
    DeleteScheduleRequest {}
    ListScheduleMatchingTimesRequest {}
    ListSchedulesRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CountSchedulesRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CountWorkflowExecutionsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    CreateWorkerDeploymentRequest {}
    DescribeWorkerDeploymentRequest {}
    ListWorkerDeploymentsRequest {
        fn class(&self) -> Class { Class::Visibility }
    }
    DeleteWorkerDeploymentRequest {}
    SetWorkerDeploymentManagerRequest {}
    SetWorkerDeploymentCurrentVersionRequest {}
    SetWorkerDeploymentRampingVersionRequest {}
    CreateWorkerDeploymentVersionRequest {}
    DescribeWorkerDeploymentVersionRequest {}
    DeleteWorkerDeploymentVersionRequest {}
    UpdateWorkerDeploymentVersionMetadataRequest {}
    UpdateWorkerDeploymentVersionComputeConfigRequest {}
    ValidateWorkerDeploymentVersionComputeConfigRequest {}
    UpdateWorkerBuildIdCompatibilityRequest {}
    GetWorkerBuildIdCompatibilityRequest {}
    UpdateWorkerVersioningRulesRequest {}
    GetWorkerVersioningRulesRequest {}
    GetWorkerTaskReachabilityRequest {}
    DescribeDeploymentRequest {}
    ListDeploymentsRequest {}
    GetDeploymentReachabilityRequest {}
    GetCurrentDeploymentRequest {}
    SetCurrentDeploymentRequest {}
}
