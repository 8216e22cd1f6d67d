//! Nexus endpoints as operators make them: what a specification may say, and in which words it may not.
//!
//! Faults of one specification are reported together, as the real server does (nexus_endpoint_client.go).

use everlog_engine::{
    cluster::{EndpointSpec, EndpointTarget, Request},
    codec::Proto,
};
use everlog_proto::{
    api::{
        nexus::v1::{self as nexus, endpoint_target::Variant},
        operatorservice::v1::{
            CreateNexusEndpointRequest, CreateNexusEndpointResponse, DeleteNexusEndpointRequest,
            DeleteNexusEndpointResponse, GetNexusEndpointRequest, GetNexusEndpointResponse,
            ListNexusEndpointsRequest, ListNexusEndpointsResponse, UpdateNexusEndpointRequest,
            UpdateNexusEndpointResponse,
        },
    },
    prost::Message,
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    call::{Answer, Call, encode},
    status, url, validate,
};
use crate::route::Failure;

/// `limit.endpointNameMaxLength`
const NAME_BYTES_MAX: usize = 200;
/// `limit.endpointExternalURLMaxLength`
const URL_BYTES_MAX: usize = 4 << 10;
/// `limit.endpointDescriptionMaxSize`
const DESCRIPTION_BYTES_MAX: usize = 20_000;
/// `limit.endpointListDefaultPageSize`
const PAGE_ENDPOINTS_DEFAULT: usize = 100;
/// `limit.endpointListMaxPageSize`
const PAGE_ENDPOINTS_MAX: usize = 1_000;
/// What a name must match, as refusals quote it.
const NAME_PATTERN: &str = r"^[a-zA-Z][a-zA-Z0-9\-]*[a-zA-Z0-9]$";

pub(super) async fn create(call: Call, request: CreateNexusEndpointRequest) -> Answer {
    let spec = checked(&call, request.spec).await?;
    let endpoint = change(&call, Request::CreateEndpoint(spec)).await?;
    Ok(encode(&CreateNexusEndpointResponse { endpoint }))
}

pub(super) async fn update(call: Call, request: UpdateNexusEndpointRequest) -> Answer {
    let spec = checked(&call, request.spec).await?;
    let (id, version) = (request.id, request.version);
    let endpoint = change(&call, Request::UpdateEndpoint { id, version, spec }).await?;
    Ok(encode(&UpdateNexusEndpointResponse { endpoint }))
}

pub(super) async fn delete(call: Call, request: DeleteNexusEndpointRequest) -> Answer {
    let mut faults = id_faults(&request.id);
    if request.version <= 0 {
        faults.push("endpoint version is non-positive".into());
    }
    refuse(faults)?;
    change(&call, Request::DeleteEndpoint { id: request.id }).await?;
    Ok(encode(&DeleteNexusEndpointResponse {}))
}

pub(super) async fn get(call: Call, request: GetNexusEndpointRequest) -> Answer {
    refuse(id_faults(&request.id))?;
    let known = all(&call).await?;
    match known.into_iter().find(|endpoint| endpoint.id == request.id) {
        Some(endpoint) => Ok(encode(&GetNexusEndpointResponse { endpoint: Some(endpoint) })),
        None => Err(status::not_found(format!("Nexus endpoint with ID `{}` not found", request.id))),
    }
}

/// A page of all endpoints by id, or the one of a name.
pub(super) async fn list(call: Call, request: ListNexusEndpointsRequest) -> Answer {
    if !request.name.is_empty() {
        let known = all(&call).await?;
        let named = known.into_iter().filter(|e| e.spec.as_ref().is_some_and(|s| s.name == request.name));
        return Ok(encode(&ListNexusEndpointsResponse { endpoints: named.collect(), ..Default::default() }));
    }
    let most = match usize::try_from(request.page_size) {
        Err(_) => return Err(Status::invalid_argument("page_size is negative")),
        Ok(0) => PAGE_ENDPOINTS_DEFAULT,
        Ok(size) if size > PAGE_ENDPOINTS_MAX => {
            let message = format!("page_size exceeds limit of {PAGE_ENDPOINTS_MAX}");
            return Err(Status::invalid_argument(message));
        }
        Ok(size) => size,
    };
    // The token is the id of the last endpoint of the page before.
    let after = match request.next_page_token.as_slice() {
        [] => None,
        token => Some(
            std::str::from_utf8(token)
                .ok()
                .filter(|id| Uuid::parse_str(id).is_ok())
                .ok_or_else(|| Status::internal("error listing Nexus endpoints"))?,
        ),
    };
    let known = all(&call).await?;
    let rest = known.into_iter().filter(|e| after.is_none_or(|after| e.id.as_str() > after));
    let endpoints: Vec<nexus::Endpoint> = rest.take(most).collect();
    let last = endpoints.last().filter(|_| endpoints.len() == most);
    let next_page_token = last.map(|last| last.id.clone().into_bytes()).unwrap_or_default();
    Ok(encode(&ListNexusEndpointsResponse { next_page_token, endpoints }))
}

/// What a change that was acknowledged before led to is seen, whichever node was asked.
async fn all(call: &Call) -> Result<Vec<nexus::Endpoint>, Status> {
    let backend = &call.shared.backend;
    backend.refresh_cluster().await.map_err(|error| Failure::from(error).into_status())?;
    Ok(backend.endpoints())
}

async fn change(call: &Call, change: Request) -> Result<Option<nexus::Endpoint>, Status> {
    let changed = call.shared.backend.change_endpoint(change).await;
    changed.map_err(|error| Failure::from(error).into_status())
}

async fn checked(call: &Call, spec: Option<nexus::EndpointSpec>) -> Result<EndpointSpec, Status> {
    let nexus::EndpointSpec { name, description, target } = spec.unwrap_or_default();
    let mut faults = name_faults(&name);
    let Some(variant) = target.and_then(|target| target.variant) else {
        faults.push("empty target variant".into());
        return Err(refusal(&faults));
    };
    let target = match variant {
        Variant::Worker(worker) => {
            let mut namespace_id = String::new();
            if worker.namespace.is_empty() {
                faults.push("target namespace not set".into());
            } else {
                match call.shared.namespace(&worker.namespace).await {
                    Ok(namespace) => namespace_id = namespace.id.clone(),
                    Err(status) if status.code() == Code::NotFound => {
                        return Err(Status::failed_precondition(format!(
                            "could not verify namespace referenced by target exists: {}",
                            status.message()
                        )));
                    }
                    Err(status) => return Err(status),
                }
            }
            let limits = &call.shared.dynamic.settings(&worker.namespace).limits;
            if let Some(fault) = validate::queue_name_fault(&worker.task_queue, limits) {
                faults.push(format!("invalid target task queue: {fault:?}"));
            }
            EndpointTarget::Worker { namespace_id, queue: worker.task_queue }
        }
        Variant::External(external) => {
            faults.extend(url_fault(&external.url));
            EndpointTarget::External { url: external.url }
        }
    };
    if description.as_ref().is_some_and(|d| d.encoded_len() > DESCRIPTION_BYTES_MAX) {
        faults.push(format!("description size exceeds limit of {DESCRIPTION_BYTES_MAX}"));
    }
    refuse(faults)?;
    Ok(EndpointSpec { name, description: description.map(Proto), target })
}

fn refuse(faults: Vec<String>) -> Result<(), Status> {
    if faults.is_empty() { Ok(()) } else { Err(refusal(&faults)) }
}

fn refusal(faults: &[String]) -> Status {
    Status::invalid_argument(faults.join(", "))
}

fn name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.is_empty() {
        faults.push("endpoint name not set".to_owned());
        return faults;
    }
    if name.len() > NAME_BYTES_MAX {
        faults.push(format!("endpoint name exceeds length limit of {NAME_BYTES_MAX}"));
    }
    let bytes = name.as_bytes();
    let fits = bytes.len() > 1
        && bytes[0].is_ascii_alphabetic()
        && bytes[bytes.len() - 1].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if !fits {
        faults.push(format!("endpoint name must match the regex: {NAME_PATTERN:?}"));
    }
    faults
}

fn url_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("empty target URL".into());
    }
    if text.len() > URL_BYTES_MAX {
        return Some(format!("target URL length exceeds limit of {URL_BYTES_MAX}"));
    }
    match url::scheme(text) {
        Err(fault) => Some(format!("invalid target URL: {fault}")),
        Ok(scheme) if scheme != "http" && scheme != "https" => {
            Some(format!("invalid target URL scheme: {scheme:?}, expected http or https"))
        }
        Ok(_) => None,
    }
}

/// Ids are UUIDs in any of four spellings, of which only one is ever found.
fn id_faults(id: &str) -> Vec<String> {
    let fault = match id.len() {
        0 => return vec!["endpoint ID not set".into()],
        32 | 36 | 38 | 45 => "invalid UUID format".to_owned(),
        length => format!("invalid UUID length: {length}"),
    };
    let is_uuid = matches!(id.len(), 32 | 36 | 38 | 45) && Uuid::parse_str(id).is_ok();
    if is_uuid { Vec::new() } else { vec![format!("malformed endpoint ID: {fault:?}")] }
}
