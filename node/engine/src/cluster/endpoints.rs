//! Nexus endpoints: names, the same for the whole cluster, behind which operations are carried out.
//!
//! Workflows name an endpoint; where its handlers are is the endpoint's own affair, and may change while
//! operations are under way. What a specification may say is checked by the frontend.

use std::sync::Arc;

use everlog_proto::api::{
    common::v1::Payload,
    nexus::v1::{self as nexus, endpoint_target::Variant},
};
use serde::{Deserialize, Serialize};

use super::{Cluster, Fact, Reply};
use crate::{codec::Proto, reject::Reject, stamp::Stamp, time::Time};

/// Endpoints of one cluster; each costs every node some memory.
pub const ENDPOINTS_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    /// Counts the changes from 1: whoever changes it says which version was seen.
    pub version: i64,
    pub spec: EndpointSpec,
    /// The real server forgets it with the first change, and so do we: descriptions are compared.
    pub created: Option<Time>,
    pub modified: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    pub name: String,
    pub description: Option<Proto<Payload>>,
    pub target: EndpointTarget,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EndpointTarget {
    /// Workers that poll this queue for Nexus tasks.
    Worker { namespace_id: String, queue: String },
    /// Somebody else's server, spoken to by HTTP.
    External { url: String },
}

pub(super) fn create(cluster: &Cluster, spec: &EndpointSpec, stamp: &Stamp) -> Decided {
    if cluster.endpoint_by_name(&spec.name).is_some() {
        return Err(already_registered("creating", &spec.name));
    }
    if cluster.endpoints.len() >= ENDPOINTS_MAX {
        return Err(Reject::FailedPrecondition(format!("there are {ENDPOINTS_MAX} endpoints already")));
    }
    let created = Some(stamp.now);
    decided(Endpoint { id: stamp.uuid(), version: 1, spec: spec.clone(), created, modified: None })
}

pub(super) fn update(
    cluster: &Cluster,
    id: &str,
    version: i64,
    spec: &EndpointSpec,
    stamp: &Stamp,
) -> Decided {
    let Some(before) = cluster.endpoints.get(id) else {
        let message = format!("error updating Nexus endpoint. endpoint ID {id} not found");
        return Err(Reject::NotFound(message));
    };
    if version != before.version {
        return Err(Reject::FailedPrecondition(format!(
            "nexus endpoint version mismatch. received: {version} expected {}",
            before.version
        )));
    }
    if cluster.endpoint_by_name(&spec.name).is_some_and(|other| other.id != id) {
        return Err(already_registered("updating", &spec.name));
    }
    decided(Endpoint {
        id: id.to_owned(),
        version: before.version + 1,
        spec: spec.clone(),
        created: None,
        modified: Some(stamp.now),
    })
}

pub(super) fn delete(cluster: &Cluster, id: &str) -> Decided {
    if !cluster.endpoints.contains_key(id) {
        return Err(Reject::NotFound(format!("error deleting nexus endpoint with ID: {id}")));
    }
    Ok((vec![Fact::EndpointDeleted { id: id.to_owned() }], Reply::Done))
}

type Decided = Result<(Vec<Fact>, Reply), Reject>;

fn decided(endpoint: Endpoint) -> Decided {
    Ok((vec![Fact::Endpoint(endpoint.clone())], Reply::Endpoint(Box::new(endpoint))))
}

fn already_registered(doing: &str, name: &str) -> Reject {
    Reject::AlreadyExists(format!(
        "error {doing} Nexus endpoint. Endpoint with name {name} already registered"
    ))
}

impl Cluster {
    pub fn endpoint_by_name(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.endpoint_names.get(name).and_then(|id| self.endpoints.get(id))
    }

    /// The endpoint that an operation means: by id, or by name if it was deleted and made anew.
    pub fn endpoint(&self, id: &str, name: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(id).or_else(|| self.endpoint_by_name(name))
    }

    pub(super) fn put_endpoint(&mut self, endpoint: Endpoint) {
        self.drop_endpoint(&endpoint.id.clone());
        self.endpoint_names.insert(endpoint.spec.name.clone(), endpoint.id.clone());
        self.endpoints.insert(endpoint.id.clone(), Arc::new(endpoint));
    }

    pub(super) fn drop_endpoint(&mut self, id: &str) {
        if let Some(endpoint) = self.endpoints.remove(id) {
            self.endpoint_names.remove(&endpoint.spec.name);
        }
    }

    /// As the API shows it. A namespace that is gone is shown by its id.
    pub fn shown_endpoint(&self, endpoint: &Endpoint) -> nexus::Endpoint {
        let variant = match &endpoint.spec.target {
            EndpointTarget::Worker { namespace_id, queue } => {
                let namespace = self.namespaces.get(namespace_id);
                Variant::Worker(nexus::endpoint_target::Worker {
                    namespace: namespace.map_or(namespace_id, |namespace| &namespace.name).clone(),
                    task_queue: queue.clone(),
                })
            }
            EndpointTarget::External { url } => {
                Variant::External(nexus::endpoint_target::External { url: url.clone() })
            }
        };
        nexus::Endpoint {
            version: endpoint.version,
            id: endpoint.id.clone(),
            spec: Some(nexus::EndpointSpec {
                name: endpoint.spec.name.clone(),
                description: endpoint.spec.description.clone().map(|description| description.0),
                target: Some(nexus::EndpointTarget { variant: Some(variant) }),
            }),
            created_time: endpoint.created.map(Time::proto),
            last_modified_time: endpoint.modified.map(Time::proto),
            url_prefix: format!("/nexus/endpoints/{}/services", endpoint.id),
        }
    }
}
