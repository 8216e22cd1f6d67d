//! How a refusal reads on the wire: one gRPC code, one text, one typed detail.
//!
//! Clients decide by the detail, which travels as a `google.rpc.Status` in `grpc-status-details-bin`.
//! This is the only place that knows the codes; the engine knows only the reasons.

use everlog_engine::{codec::Proto, reject::Reject, standalone::Kind};
use everlog_proto::{
    api::{
        enums::v1::{NamespaceState, ResourceExhaustedCause, ResourceExhaustedScope},
        errordetails::v1::{
            ActivityExecutionAlreadyStartedFailure, ClientVersionNotSupportedFailure,
            MultiOperationExecutionFailure, NamespaceAlreadyExistsFailure, NamespaceInvalidStateFailure,
            NamespaceNotFoundFailure, NexusOperationExecutionAlreadyStartedFailure, NotFoundFailure,
            PermissionDeniedFailure, QueryFailedFailure, ResourceExhaustedFailure,
            ServerVersionNotSupportedFailure, WorkflowExecutionAlreadyStartedFailure,
            WorkflowNotReadyFailure, multi_operation_execution_failure::OperationStatus,
        },
        failure::v1::MultiOperationExecutionAborted,
    },
    prost::{Message, Name},
};
use tonic::{Code, Status};

/// Longer texts are cut: they are headers on the wire, and clients take only so much of these.
const TEXT_BYTES_MAX: usize = 4000;
const CUT_MARK: &str = "... <truncated>";

/// The answer to a request that the engine refuses.
pub fn of_reject(reject: Reject) -> Status {
    match reject {
        Reject::InvalidArgument(message) => Status::invalid_argument(message),
        Reject::NotFound(message) => not_found(message),
        Reject::NamespaceNotFound { namespace } => namespace_not_found(&namespace),
        Reject::NamespaceAlreadyExists(message) => {
            detailed(Code::AlreadyExists, message, &NamespaceAlreadyExistsFailure {})
        }
        Reject::AlreadyStarted { message, start_request_id, run_id, first_run_id } => {
            let first_execution_run_id = first_run_id;
            let detail =
                WorkflowExecutionAlreadyStartedFailure { start_request_id, run_id, first_execution_run_id };
            detailed(Code::AlreadyExists, message, &detail)
        }
        Reject::FailedPrecondition(message) => Status::failed_precondition(message),
        Reject::WorkflowNotReady(message) => {
            detailed(Code::FailedPrecondition, message, &WorkflowNotReadyFailure {})
        }
        Reject::QueryFailed { message, failure } => {
            let failure = failure.map(|failure| {
                let Proto(failure) = *failure;
                failure
            });
            detailed(Code::InvalidArgument, message, &QueryFailedFailure { failure })
        }
        Reject::BusyWorkflow(message) => {
            exhausted(message, ResourceExhaustedCause::BusyWorkflow, ResourceExhaustedScope::Namespace)
        }
        Reject::ConcurrentBatches(message) => {
            exhausted(message, ResourceExhaustedCause::ConcurrentLimit, ResourceExhaustedScope::Namespace)
        }
        Reject::DeploymentsFull(message) => {
            let scope = ResourceExhaustedScope::Namespace;
            exhausted(message, ResourceExhaustedCause::WorkerDeploymentLimits, scope)
        }
        Reject::Overloaded(message) => {
            exhausted(message, ResourceExhaustedCause::SystemOverloaded, ResourceExhaustedScope::System)
        }
        Reject::PermissionDenied(message) => permission_denied(message),
        Reject::DeadlineExceeded(message) => Status::deadline_exceeded(message),
        Reject::Unavailable(message) => Status::unavailable(message),
        Reject::Unimplemented(message) => Status::unimplemented(message),
        Reject::Internal(message) => Status::internal(message),
        Reject::TooManyUpdates(message) => {
            exhausted(message, ResourceExhaustedCause::ConcurrentLimit, ResourceExhaustedScope::Namespace)
        }
        Reject::UpdateAborted => not_found("workflow update was aborted by closing workflow"),
        Reject::StartRefused(reject) => {
            operations([Operation::Refused(of_reject(*reject)), Operation::Aborted])
        }
        Reject::UpdateRefused { reject, started } => {
            let start = if started { Operation::Done } else { Operation::Aborted };
            operations([start, Operation::Refused(of_reject(*reject))])
        }
        Reject::AlreadyExists(message) => Status::already_exists(message),
        Reject::StandaloneAlreadyStarted { kind, start_request_id, run_id } => {
            let code = Code::AlreadyExists;
            match kind {
                Kind::Activity => {
                    let detail = ActivityExecutionAlreadyStartedFailure { start_request_id, run_id };
                    detailed(code, "activity execution already started", &detail)
                }
                Kind::Operation => {
                    let message = format!(
                        "nexus operation execution already started: request_id={start_request_id}, \
                         run_id={run_id}"
                    );
                    let detail = NexusOperationExecutionAlreadyStartedFailure { start_request_id, run_id };
                    detailed(code, message, &detail)
                }
            }
        }
    }
}

/// What became of one of several operations of a call that was refused.
#[derive(Debug)]
pub enum Operation {
    Done,
    Refused(Status),
    /// It was not tried, because another one was refused.
    Aborted,
}

/// The refusal of a start and an update that were asked for together. The code is that of the first refusal.
pub fn operations(operations: [Operation; 2]) -> Status {
    let mut code = Code::Aborted;
    let statuses = operations.into_iter().rev().map(|operation| match operation {
        Operation::Done => OperationStatus::default(),
        Operation::Refused(status) => {
            code = status.code();
            operation_status(&status)
        }
        Operation::Aborted => {
            let detail = MultiOperationExecutionAborted {};
            operation_status(&detailed(Code::Aborted, "Operation was aborted.", &detail))
        }
    });
    let mut statuses: Vec<OperationStatus> = statuses.collect();
    statuses.reverse();
    let detail = MultiOperationExecutionFailure { statuses };
    detailed(code, "Update-with-Start could not be executed.", &detail)
}

fn operation_status(status: &Status) -> OperationStatus {
    let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
    OperationStatus {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: details
            .into_iter()
            .map(|any| prost_types::Any { type_url: any.type_url, value: any.value })
            .collect(),
    }
}

pub fn permission_denied(message: impl Into<String>) -> Status {
    detailed(Code::PermissionDenied, message, &PermissionDeniedFailure::default())
}

pub fn not_found(message: impl Into<String>) -> Status {
    detailed(Code::NotFound, message, &NotFoundFailure::default())
}

pub fn namespace_not_found(namespace: &str) -> Status {
    let detail = NamespaceNotFoundFailure { namespace: namespace.to_owned() };
    detailed(Code::NotFound, format!("Namespace {namespace} is not found."), &detail)
}

pub fn namespace_state(namespace: &str, state: NamespaceState, allowed: &[NamespaceState]) -> Status {
    let names: Vec<&str> = allowed.iter().map(|state| state_name(*state)).collect();
    let message =
        format!("Namespace has invalid state: {}. Must be {}.", state_name(state), names.join(" or "));
    let detail = NamespaceInvalidStateFailure {
        namespace: namespace.to_owned(),
        state: state as i32,
        allowed_states: allowed.iter().map(|state| *state as i32).collect(),
    };
    detailed(Code::FailedPrecondition, message, &detail)
}

fn state_name(state: NamespaceState) -> &'static str {
    match state {
        NamespaceState::Unspecified => "Unspecified",
        NamespaceState::Registered => "Registered",
        NamespaceState::Deprecated => "Deprecated",
        NamespaceState::Deleted => "Deleted",
    }
}

pub fn rate_limited() -> Status {
    exhausted(
        "namespace rate limit exceeded",
        ResourceExhaustedCause::RpsLimit,
        ResourceExhaustedScope::Namespace,
    )
}

pub fn too_many_polls() -> Status {
    exhausted(
        "namespace concurrent poller limit exceeded",
        ResourceExhaustedCause::ConcurrentLimit,
        ResourceExhaustedScope::Namespace,
    )
}

pub fn server_version(version: &str, supported: &str) -> Status {
    let message =
        format!("Server version {version} is not supported. Client supports server versions: {supported}");
    let detail = ServerVersionNotSupportedFailure {
        server_version: version.to_owned(),
        client_supported_server_versions: supported.to_owned(),
    };
    detailed(Code::FailedPrecondition, message, &detail)
}

pub fn client_version(name: &str, version: &str, supported: &str) -> Status {
    let message =
        format!("Client version {version} is not supported. Server supports {name} versions: {supported}");
    let detail = ClientVersionNotSupportedFailure {
        client_version: version.to_owned(),
        client_name: name.to_owned(),
        supported_versions: supported.to_owned(),
    };
    detailed(Code::FailedPrecondition, message, &detail)
}

fn exhausted(
    message: impl Into<String>,
    cause: ResourceExhaustedCause,
    scope: ResourceExhaustedScope,
) -> Status {
    let detail = ResourceExhaustedFailure { cause: cause as i32, scope: scope as i32 };
    detailed(Code::ResourceExhausted, message, &detail)
}

/// A status with one typed detail.
fn detailed<M: Message + Name>(code: Code, message: impl Into<String>, detail: &M) -> Status {
    let message = message.into();
    let any =
        Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: detail.encode_to_vec() };
    let status = RpcStatus { code: code as i32, message: message.clone(), details: vec![any] };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// The same with a text that is no longer than texts may be.
pub fn with_short_text(status: Status) -> Status {
    let text = status.message();
    if text.len() <= TEXT_BYTES_MAX {
        return status;
    }
    let kept = text.floor_char_boundary(TEXT_BYTES_MAX - CUT_MARK.len());
    let message = format!("{}{CUT_MARK}", &text[..kept]);
    let details = match RpcStatus::decode(status.details()) {
        Ok(known) if !status.details().is_empty() => {
            RpcStatus { message: message.clone(), ..known }.encode_to_vec()
        }
        _ => Vec::new(),
    };
    Status::with_details_and_metadata(status.code(), message, details.into(), status.metadata().clone())
}

/// `google.rpc.Status`, which the crate of the API's messages does not have.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`, without the registry that the well-known type brings along.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(status: &Status) -> Option<(String, Vec<u8>)> {
        let rpc = RpcStatus::decode(status.details()).unwrap();
        assert!(status.details().is_empty() || rpc.code == status.code() as i32);
        assert!(status.details().is_empty() || rpc.message == status.message());
        rpc.details.into_iter().next().map(|any| (any.type_url, any.value))
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let text = "é".repeat(TEXT_BYTES_MAX / 2);
        assert_eq!(with_short_text(not_found(text.clone())).message(), text);
        let cut = with_short_text(not_found(format!("{text}!")));
        assert_eq!(cut.message(), format!("{}{CUT_MARK}", "é".repeat(1992)));
        assert_eq!(detail(&cut), detail(&not_found("short")));
        let plain = with_short_text(Status::internal("x".repeat(TEXT_BYTES_MAX + 1)));
        assert_eq!((plain.message().len(), plain.details().len()), (TEXT_BYTES_MAX, 0));
    }

    #[test]
    fn every_refusal_has_its_code_and_detail() {
        let text = || "why".to_owned();
        let cases = [
            (Reject::InvalidArgument(text()), Code::InvalidArgument, None),
            (Reject::NotFound(text()), Code::NotFound, Some("NotFoundFailure")),
            (Reject::DeploymentsFull(text()), Code::ResourceExhausted, Some("ResourceExhaustedFailure")),
            (
                Reject::NamespaceNotFound { namespace: text() },
                Code::NotFound,
                Some("NamespaceNotFoundFailure"),
            ),
            (
                Reject::NamespaceAlreadyExists(text()),
                Code::AlreadyExists,
                Some("NamespaceAlreadyExistsFailure"),
            ),
            (
                Reject::AlreadyStarted {
                    message: text(),
                    start_request_id: text(),
                    run_id: text(),
                    first_run_id: text(),
                },
                Code::AlreadyExists,
                Some("WorkflowExecutionAlreadyStartedFailure"),
            ),
            (Reject::FailedPrecondition(text()), Code::FailedPrecondition, None),
            (Reject::WorkflowNotReady(text()), Code::FailedPrecondition, Some("WorkflowNotReadyFailure")),
            (
                Reject::QueryFailed { message: text(), failure: None },
                Code::InvalidArgument,
                Some("QueryFailedFailure"),
            ),
            (Reject::BusyWorkflow(text()), Code::ResourceExhausted, Some("ResourceExhaustedFailure")),
            (Reject::Overloaded(text()), Code::ResourceExhausted, Some("ResourceExhaustedFailure")),
            (Reject::PermissionDenied(text()), Code::PermissionDenied, Some("PermissionDeniedFailure")),
            (Reject::DeadlineExceeded(text()), Code::DeadlineExceeded, None),
            (Reject::Unavailable(text()), Code::Unavailable, None),
            (Reject::Unimplemented(text()), Code::Unimplemented, None),
            (Reject::Internal(text()), Code::Internal, None),
            (Reject::TooManyUpdates(text()), Code::ResourceExhausted, Some("ResourceExhaustedFailure")),
            (Reject::UpdateAborted, Code::NotFound, Some("NotFoundFailure")),
            (
                Reject::StartRefused(Box::new(Reject::InvalidArgument(text()))),
                Code::InvalidArgument,
                Some("MultiOperationExecutionFailure"),
            ),
            (
                Reject::UpdateRefused { reject: Box::new(Reject::UpdateAborted), started: false },
                Code::NotFound,
                Some("MultiOperationExecutionFailure"),
            ),
            (Reject::AlreadyExists(text()), Code::AlreadyExists, None),
            (
                Reject::StandaloneAlreadyStarted {
                    kind: Kind::Activity,
                    start_request_id: text(),
                    run_id: text(),
                },
                Code::AlreadyExists,
                Some("ActivityExecutionAlreadyStartedFailure"),
            ),
            (
                Reject::StandaloneAlreadyStarted {
                    kind: Kind::Operation,
                    start_request_id: text(),
                    run_id: text(),
                },
                Code::AlreadyExists,
                Some("NexusOperationExecutionAlreadyStartedFailure"),
            ),
        ];
        for (reject, code, name) in cases {
            let status = of_reject(reject.clone());
            assert_eq!(status.code(), code, "{reject:?}");
            let expected =
                name.map(|name| format!("type.googleapis.com/temporal.api.errordetails.v1.{name}"));
            assert_eq!(detail(&status).map(|(url, _)| url), expected, "{reject:?}");
        }
    }

    #[test]
    fn a_busy_workflow_and_a_full_namespace_differ_by_their_cause() {
        let cause = |status: Status| {
            let (_, value) = detail(&status).unwrap();
            let failure = ResourceExhaustedFailure::decode(value.as_slice()).unwrap();
            (failure.cause(), failure.scope())
        };
        let namespace = ResourceExhaustedScope::Namespace;
        assert_eq!(
            cause(of_reject(Reject::BusyWorkflow(String::new()))),
            (ResourceExhaustedCause::BusyWorkflow, namespace)
        );
        assert_eq!(cause(rate_limited()), (ResourceExhaustedCause::RpsLimit, namespace));
        assert_eq!(cause(too_many_polls()), (ResourceExhaustedCause::ConcurrentLimit, namespace));
    }
}
