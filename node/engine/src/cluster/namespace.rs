//! Namespaces: registered, updated, deprecated, deleted. The texts are the real server's.

use std::{collections::BTreeMap, time::Duration};

use everlog_proto::api::{
    enums::v1::{NamespaceState, ReplicationState},
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::v1::{RegisterNamespaceRequest, UpdateNamespaceRequest},
};
use serde::{Deserialize, Serialize};

use super::{
    Cluster, Fact, NAMESPACE_INFO_BYTES_MAX, NAMESPACE_NAME_BYTES_MAX, NAMESPACES_MAX, Reply, attributes,
    batches,
};
use crate::{
    reject::Reject,
    stamp::Stamp,
    time::{Time, is_negative, set_duration},
};

/// The name under which the real server keeps its own workflows. Clients look for it.
pub const SYSTEM_NAMESPACE: &str = "temporal-system";
pub const SYSTEM_NAMESPACE_ID: &str = "32049b68-7872-4094-8e63-d0dd59896a83";

/// The only cluster that replication can name: this one.
pub(super) const CLUSTER_NAME: &str = "active";

/// A closed run is kept at least this long.
const RETENTION_MIN: Duration = Duration::from_secs(60 * 60);
const SYSTEM_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// `frontend.maxBadBinaries`
const BAD_BINARIES_MAX: usize = 10;
/// A deleted namespace keeps its runs so long: until every node has heard that it takes no calls any more.
const PURGE_DELAY: Duration = Duration::from_secs(1);
/// How much of its id becomes part of the name of a deleted namespace.
const DELETED_SUFFIX_BYTES: usize = 5;

/// Stored as it is, in facts and in snapshots: frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    pub id: String,
    pub name: String,
    /// The API's `NamespaceState`.
    pub state: i32,
    pub description: String,
    pub owner_email: String,
    pub data: BTreeMap<String, String>,
    /// How long closed runs are kept.
    pub retention: Duration,
    pub bad_binaries: BTreeMap<String, BadBinary>,
    /// The custom search attributes, by the name that users know.
    pub search_attributes: BTreeMap<String, SearchAttribute>,
    /// Settings that differ from the cluster's.
    pub settings: BTreeMap<String, String>,
    pub created: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BadBinary {
    pub reason: String,
    pub operator: String,
    pub created: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchAttribute {
    /// The API's `IndexedValueType`.
    pub value_type: i32,
    /// The field that the attribute is an alias of, such as `Keyword01`. The API shows it.
    pub field: String,
}

impl Namespace {
    pub(super) fn system(created: Time) -> Namespace {
        Namespace {
            id: SYSTEM_NAMESPACE_ID.to_owned(),
            name: SYSTEM_NAMESPACE.to_owned(),
            state: NamespaceState::Registered as i32,
            description: "Temporal internal system namespace".to_owned(),
            owner_email: "temporal-core@temporal.io".to_owned(),
            data: BTreeMap::new(),
            retention: SYSTEM_RETENTION,
            bad_binaries: BTreeMap::new(),
            search_attributes: BTreeMap::new(),
            settings: BTreeMap::new(),
            created,
        }
    }

    pub fn is_deleted(&self) -> bool {
        self.state == NamespaceState::Deleted as i32
    }
}

pub(super) fn register(
    cluster: &Cluster,
    request: &RegisterNamespaceRequest,
    stamp: &Stamp,
) -> Result<(Vec<Fact>, Reply), Reject> {
    let name = &request.namespace;
    check_name(name)?;
    if request.is_global_namespace {
        return Err(invalid("Cannot register global namespace when not enabled"));
    }
    let retention = retention(request.workflow_execution_retention_period.as_ref())?;
    if cluster.namespace(name).is_ok() {
        return Err(Reject::NamespaceAlreadyExists(format!("Namespace {name:?} already exists")));
    }
    check_clusters(&request.active_cluster_name, &request.clusters)?;
    if cluster.namespaces.len() >= NAMESPACES_MAX {
        return Err(Reject::FailedPrecondition(format!("there are {NAMESPACES_MAX} namespaces already")));
    }
    let namespace = Namespace {
        id: stamp.uuid(),
        name: name.clone(),
        state: NamespaceState::Registered as i32,
        description: request.description.clone(),
        owner_email: request.owner_email.clone(),
        data: request.data.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        retention,
        bad_binaries: BTreeMap::new(),
        search_attributes: BTreeMap::new(),
        settings: BTreeMap::new(),
        created: stamp.now,
    };
    check_size(&namespace)?;
    Ok(put(namespace))
}

pub(super) fn update(
    cluster: &Cluster,
    request: &UpdateNamespaceRequest,
    stamp: &Stamp,
) -> Result<(Vec<Fact>, Reply), Reject> {
    check_name(&request.namespace)?;
    let before = cluster.namespace(&request.namespace)?;
    let mut namespace = (**before).clone();
    if let Some(info) = &request.update_info {
        if !info.description.is_empty() {
            namespace.description = info.description.clone();
        }
        if !info.owner_email.is_empty() {
            namespace.owner_email = info.owner_email.clone();
        }
        namespace.data.extend(info.data.iter().map(|(key, value)| (key.clone(), value.clone())));
        if info.state != NamespaceState::Unspecified as i32 && info.state != namespace.state {
            check_transition(namespace.state, info.state)?;
            namespace.state = info.state;
        }
    }
    if let Some(config) = &request.config {
        if config.workflow_execution_retention_ttl.is_some() {
            namespace.retention = retention(config.workflow_execution_retention_ttl.as_ref())?;
        }
        let added = config.bad_binaries.iter().flat_map(|bad| &bad.binaries).map(|(checksum, bad)| {
            let (reason, operator) = (bad.reason.clone(), bad.operator.clone());
            (checksum.clone(), BadBinary { reason, operator, created: stamp.now })
        });
        namespace.bad_binaries.extend(added);
        if namespace.bad_binaries.len() > BAD_BINARIES_MAX {
            return Err(invalid(&format!(
                "Total resetBinaries cannot exceed the max limit: {BAD_BINARIES_MAX}"
            )));
        }
        let aliases: BTreeMap<_, _> = config.custom_search_attribute_aliases.iter().collect();
        attributes::change_aliases(&mut namespace.search_attributes, &aliases)?;
    }
    if !request.delete_bad_binary.is_empty()
        && namespace.bad_binaries.remove(&request.delete_bad_binary).is_none()
    {
        return Err(invalid(&format!("Bad binary checksum {} doesn't exists.", request.delete_bad_binary)));
    }
    if let Some(replication) = &request.replication_config {
        check_replication(replication)?;
    }
    if request.promote_namespace {
        return Err(invalid(&format!(
            "global namespace is not enabled on this cluster, cannot update global namespace or promote \
             local namespace: {}",
            request.namespace
        )));
    }
    check_size(&namespace)?;
    if namespace == **before {
        return Ok((Vec::new(), Reply::Namespace(Box::new(namespace))));
    }
    Ok(put(namespace))
}

pub(super) fn deprecate(cluster: &Cluster, name: &str) -> Result<(Vec<Fact>, Reply), Reject> {
    check_name(name)?;
    let mut namespace = (**cluster.namespace(name)?).clone();
    if namespace.state != NamespaceState::Registered as i32 {
        return Ok((Vec::new(), Reply::Done));
    }
    namespace.state = NamespaceState::Deprecated as i32;
    Ok(put(namespace))
}

/// The name is free again at once. The runs are found by the id, which stays until they are gone.
pub(super) fn delete(
    cluster: &Cluster,
    name: &str,
    id: &str,
    delay: Option<Duration>,
    stamp: &Stamp<'_>,
) -> Result<(Vec<Fact>, Reply), Reject> {
    let mut namespace = (**cluster.namespace_by(name, id)?).clone();
    if namespace.id == SYSTEM_NAMESPACE_ID {
        return Err(Reject::FailedPrecondition("unable to delete system namespace".into()));
    }
    if namespace.is_deleted() && namespace.name.contains("-deleted-") {
        return Ok((Vec::new(), Reply::Namespace(Box::new(namespace))));
    }
    let long_enough = (DELETED_SUFFIX_BYTES..=namespace.id.len()).find_map(|bytes| {
        let name = format!("{}-deleted-{}", namespace.name, namespace.id.get(..bytes)?);
        cluster.namespace(&name).is_err().then_some(name)
    });
    namespace.name = long_enough.unwrap_or_else(|| namespace.id.clone());
    namespace.state = NamespaceState::Deleted as i32;
    let at = stamp.now + delay.unwrap_or(PURGE_DELAY);
    let due = Fact::NamespacePurgeDue { id: namespace.id.clone(), at };
    let (mut facts, reply) = put(namespace);
    facts.push(due);
    Ok((facts, reply))
}

pub(super) fn purge(cluster: &Cluster, id: &str) -> Result<(Vec<Fact>, Reply), Reject> {
    match cluster.namespaces.get(id) {
        None => Ok((Vec::new(), Reply::Done)),
        Some(namespace) if namespace.is_deleted() => {
            let mut facts = batches::purge(cluster, id);
            facts.push(Fact::NamespacePurged { id: id.to_owned() });
            Ok((facts, Reply::Done))
        }
        Some(namespace) => {
            Err(Reject::FailedPrecondition(format!("namespace {} is not deleted", namespace.name)))
        }
    }
}

pub(super) fn put(namespace: Namespace) -> (Vec<Fact>, Reply) {
    let reply = Reply::Namespace(Box::new(namespace.clone()));
    (vec![Fact::Namespace(namespace)], reply)
}

fn check_name(name: &str) -> Result<(), Reject> {
    if name.is_empty() {
        return Err(invalid("Namespace not set on request."));
    }
    if name.len() > NAMESPACE_NAME_BYTES_MAX {
        return Err(invalid("Namespace length exceeds limit."));
    }
    Ok(())
}

fn retention(period: Option<&prost_types::Duration>) -> Result<Duration, Reject> {
    set_duration(period)
        .filter(|retention| !is_negative(period) && *retention >= RETENTION_MIN)
        .ok_or_else(|| invalid("A valid retention period is not set on request."))
}

fn check_clusters(active: &str, clusters: &[ClusterReplicationConfig]) -> Result<(), Reject> {
    let named = clusters.iter().map(|cluster| cluster.cluster_name.as_str());
    match std::iter::once(active).chain(named).find(|name| !name.is_empty() && *name != CLUSTER_NAME) {
        Some(unknown) => Err(invalid(&format!("Invalid cluster name: {unknown}"))),
        None => Ok(()),
    }
}

fn check_replication(replication: &NamespaceReplicationConfig) -> Result<(), Reject> {
    if replication.state == ReplicationState::Handover as i32 {
        return Err(invalid("Handover can only be set for global namespace"));
    }
    check_clusters(&replication.active_cluster_name, &replication.clusters)
}

fn check_transition(from: i32, to: i32) -> Result<(), Reject> {
    use NamespaceState::{Deleted, Deprecated, Registered};
    let allowed = match NamespaceState::try_from(from) {
        Ok(Registered) => to == Deprecated as i32 || to == Deleted as i32,
        Ok(Deprecated) => to == Deleted as i32,
        _ => false,
    };
    if allowed { Ok(()) } else { Err(invalid("Invalid namespace state update.")) }
}

fn check_size(namespace: &Namespace) -> Result<(), Reject> {
    let data: usize = namespace.data.iter().map(|(key, value)| key.len() + value.len()).sum();
    let bad: usize = namespace
        .bad_binaries
        .iter()
        .map(|(checksum, bad)| checksum.len() + bad.reason.len() + bad.operator.len())
        .sum();
    let bytes = namespace.description.len() + namespace.owner_email.len() + data + bad;
    if bytes > NAMESPACE_INFO_BYTES_MAX {
        return Err(invalid("Namespace info size exceeds limit."));
    }
    Ok(())
}

fn invalid(message: &str) -> Reject {
    Reject::InvalidArgument(message.to_owned())
}
