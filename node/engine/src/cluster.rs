//! What all nodes must agree on: members, slots, namespaces, search attributes, Nexus endpoints, settings, also of
//! task queues.
//!
//! It is small, it changes rarely, and everyone needs all of it. So it is one state machine, kept by
//! shard 0 like any other state: a [`Request`] is decided into [`Fact`]s, the facts go through the log, and
//! every node folds them. A fact carries the new value of a whole object, such as a namespace; that makes
//! the fold trivial, and an old entry can never mean something else under new code.
//!
//! Absent on purpose: who leads what, and who is alive. That is Raft's knowledge and goes stale in a log.
//!
//! The node asks for namespaces, search attributes, endpoints and task queues so far. Members, slots, settings,
//! feature levels and the deletion of namespaces are decided and tested here, and wait for a shell that asks for
//! them.

mod attributes;
pub mod batches;
mod describe;
mod endpoints;
mod members;
mod namespace;
mod settings;
mod slots;
mod task_queues;
pub mod work;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use everlog_proto::api::workflowservice::v1::{
    RegisterNamespaceRequest, StartBatchOperationRequest, UpdateNamespaceRequest,
    UpdateTaskQueueConfigRequest,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError, Proto},
    limits::Limits,
    reject::Reject,
    stamp::Stamp,
    time::Time,
};

pub use self::{
    attributes::{ValueType, predefined_attributes, system_attributes},
    describe::Features,
    endpoints::{ENDPOINTS_MAX, Endpoint, EndpointSpec, EndpointTarget},
    members::{Member, MemberState, NodeId, NodeInfo},
    namespace::{BadBinary, Namespace, SYSTEM_NAMESPACE, SYSTEM_NAMESPACE_ID, SearchAttribute},
    slots::{SHARDS_MAX, SlotMap},
    task_queues::{RateSetting, TASK_QUEUES_SET_MAX, TaskQueueId, TaskQueueSettings},
};

/// Namespaces of one cluster; each costs every node some memory.
pub const NAMESPACES_MAX: usize = 10_000;
/// `limit.maxIDLength`, for names of namespaces.
pub const NAMESPACE_NAME_BYTES_MAX: usize = 1_000;
/// Description, owner and data of a namespace, taken together.
pub const NAMESPACE_INFO_BYTES_MAX: usize = 64 << 10;
/// Members, including those that were removed: their ids are remembered for ever.
pub const MEMBERS_MAX: usize = 1_000;
/// Settings of one namespace or of the whole cluster.
pub const SETTINGS_MAX: usize = 1_000;

/// The newest feature level that this build can read and write.
pub const FEATURE_LEVEL: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Empty until the cluster is founded.
    pub id: String,
    /// Grows with every fact: whoever keeps a copy can tell whether it is the latest.
    pub version: u64,
    /// Entries of newer kinds may be written only up to this level, which every member can read.
    pub feature_level: u32,
    pub members: BTreeMap<NodeId, Member>,
    pub slots: SlotMap,
    /// By id. Each behind its own pointer, so that a copy of the cluster is cheap.
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// Settings for all namespaces.
    pub settings: BTreeMap<String, String>,
    /// Queues with settings of their own. Shared, so that a copy of the cluster is cheap.
    pub task_queues: Arc<BTreeMap<TaskQueueId, Arc<TaskQueueSettings>>>,
    pub batches: batches::Batches,
    /// When the runs of deleted namespaces may go, by id.
    pub purges: BTreeMap<String, Time>,
    /// Nexus endpoints, by id.
    pub endpoints: BTreeMap<String, Arc<Endpoint>>,
    /// Name to id: indexes, not stored.
    names: BTreeMap<String, String>,
    endpoint_names: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Founds the cluster, once.
    Init {
        shards: u16,
        voters: Vec<NodeInfo>,
    },
    /// A node makes itself known: new ones become learners, known ones may have moved or been upgraded.
    Join {
        node: NodeInfo,
    },
    /// A learner has caught up.
    Promote {
        node: NodeId,
    },
    /// A node is to be stopped: it keeps its vote and gives its leaderships away.
    Drain {
        node: NodeId,
    },
    /// A drained node is back.
    Resume {
        node: NodeId,
    },
    /// A node leaves for ever. `live` are the nodes that were heard of lately.
    Remove {
        node: NodeId,
        live: Vec<NodeId>,
    },
    /// Slots `first..=last` belong to `shard` from now on.
    AssignSlots {
        first: u16,
        last: u16,
        shard: u16,
    },
    RaiseFeatureLevel {
        level: u32,
    },
    RegisterNamespace(Proto<RegisterNamespaceRequest>),
    UpdateNamespace(Proto<UpdateNamespaceRequest>),
    DeprecateNamespace {
        name: String,
    },
    /// By name or by id. The namespace gets out of the way at once; its runs are deleted later.
    DeleteNamespace {
        name: String,
        id: String,
        /// Its runs are there so long. Without a value: as long as the cluster takes care anyway.
        delay: Option<Duration>,
    },
    /// All runs of a deleted namespace are gone.
    PurgeNamespace {
        id: String,
    },
    /// Types are the API's `IndexedValueType`.
    AddSearchAttributes {
        namespace: String,
        attributes: BTreeMap<String, i32>,
    },
    RemoveSearchAttributes {
        namespace: String,
        attributes: Vec<String>,
    },
    /// Without a namespace: for all of them. Without a value: back to the default.
    Set {
        namespace: Option<String>,
        key: String,
        value: Option<String>,
    },
    ConfigureTaskQueue {
        namespace_id: String,
        request: Proto<UpdateTaskQueueConfigRequest>,
    },
    StartBatch {
        namespace_id: String,
        request: Proto<StartBatchOperationRequest>,
        /// How many may run in the namespace at a time.
        running_max: usize,
    },
    StopBatch {
        namespace_id: String,
        job_id: String,
    },
    /// A batch has come further.
    StepBatch(batches::Step),
    CreateEndpoint(EndpointSpec),
    /// The version is the one that was seen.
    UpdateEndpoint {
        id: String,
        version: i64,
        spec: EndpointSpec,
    },
    DeleteEndpoint {
        id: String,
    },
}

/// Variants are only ever appended, and their contents never change: entries of all releases stay readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    Founded {
        cluster_id: String,
        feature_level: u32,
        shards: u16,
    },
    Member(Member),
    SlotsAssigned {
        first: u16,
        last: u16,
        shard: u16,
    },
    FeatureLevelRaised {
        level: u32,
    },
    Namespace(Namespace),
    NamespacePurged {
        id: String,
    },
    /// For all namespaces; the settings of one namespace are part of it.
    Setting {
        key: String,
        value: Option<String>,
    },
    TaskQueue(TaskQueueSettings),
    Batch(Box<batches::Batch>),
    /// A batch has come further, or has ended.
    BatchMoved(batches::Moved),
    BatchForgotten {
        namespace_id: String,
        job_id: String,
    },
    /// When the runs of a deleted namespace may go.
    NamespacePurgeDue {
        id: String,
        at: Time,
    },
    Endpoint(Endpoint),
    EndpointDeleted {
        id: String,
    },
}

/// What the caller gets once the facts are committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Namespace(Box<Namespace>),
    TaskQueue(Box<TaskQueueSettings>),
    Endpoint(Box<Endpoint>),
}

/// Decides a request. The same request may come twice after a lost answer: where it asks for a state, the
/// second time changes nothing.
pub fn decide(cluster: &Cluster, request: &Request, stamp: &Stamp) -> Result<(Vec<Fact>, Reply), Reject> {
    if !cluster.is_founded() && !matches!(request, Request::Init { .. }) {
        return Err(Reject::FailedPrecondition("the cluster is not initialised yet".into()));
    }
    match request {
        Request::Init { shards, voters } => members::init(cluster, *shards, voters, stamp),
        Request::Join { node } => members::join(cluster, node, stamp),
        Request::Promote { node } => members::promote(cluster, *node),
        Request::Drain { node } => members::drain(cluster, *node),
        Request::Resume { node } => members::resume(cluster, *node),
        Request::Remove { node, live } => members::remove(cluster, *node, live),
        Request::AssignSlots { first, last, shard } => slots::assign(*first, *last, *shard),
        Request::RaiseFeatureLevel { level } => members::raise_feature_level(cluster, *level),
        Request::RegisterNamespace(request) => namespace::register(cluster, request, stamp),
        Request::UpdateNamespace(request) => namespace::update(cluster, request, stamp),
        Request::DeprecateNamespace { name } => namespace::deprecate(cluster, name),
        Request::DeleteNamespace { name, id, delay } => namespace::delete(cluster, name, id, *delay, stamp),
        Request::PurgeNamespace { id } => namespace::purge(cluster, id),
        Request::AddSearchAttributes { namespace, attributes } => {
            attributes::add(cluster, namespace, attributes)
        }
        Request::RemoveSearchAttributes { namespace, attributes } => {
            attributes::remove(cluster, namespace, attributes)
        }
        Request::Set { namespace, key, value } => {
            settings::set(cluster, namespace.as_deref(), key, value.as_deref())
        }
        Request::ConfigureTaskQueue { namespace_id, request } => {
            task_queues::configure(cluster, namespace_id, request, stamp)
        }
        Request::StartBatch { namespace_id, request, running_max } => {
            batches::start(cluster, namespace_id, request, *running_max, stamp)
        }
        Request::StopBatch { namespace_id, job_id } => batches::stop(cluster, namespace_id, job_id, stamp),
        Request::StepBatch(step) => batches::step(cluster, step, stamp),
        Request::CreateEndpoint(spec) => endpoints::create(cluster, spec, stamp),
        Request::UpdateEndpoint { id, version, spec } => {
            endpoints::update(cluster, id, *version, spec, stamp)
        }
        Request::DeleteEndpoint { id } => endpoints::delete(cluster, id),
    }
}

/// Folds a fact. What was committed has happened: this never fails.
pub fn evolve(cluster: &mut Cluster, fact: &Fact) {
    cluster.version += 1;
    match fact {
        Fact::Founded { cluster_id, feature_level, shards } => {
            cluster.id = cluster_id.clone();
            cluster.feature_level = *feature_level;
            cluster.slots = SlotMap::even(*shards);
        }
        Fact::Member(member) => {
            cluster.members.insert(member.info.id, member.clone());
        }
        Fact::SlotsAssigned { first, last, shard } => cluster.slots.assign(*first, *last, *shard),
        Fact::FeatureLevelRaised { level } => cluster.feature_level = *level,
        Fact::Namespace(namespace) => cluster.put_namespace(namespace.clone()),
        Fact::NamespacePurged { id } => cluster.drop_namespace(id),
        Fact::Setting { key, value: Some(value) } => {
            cluster.settings.insert(key.clone(), value.clone());
        }
        Fact::Setting { key, value: None } => {
            cluster.settings.remove(key);
        }
        Fact::TaskQueue(settings) => cluster.put_task_queue(settings.clone()),
        Fact::Batch(batch) => batches::put(cluster, (**batch).clone()),
        Fact::BatchMoved(moved) => batches::moved(cluster, moved),
        Fact::BatchForgotten { namespace_id, job_id } => batches::forget(cluster, namespace_id, job_id),
        Fact::NamespacePurgeDue { id, at } => {
            cluster.purges.insert(id.clone(), *at);
        }
        Fact::Endpoint(endpoint) => cluster.put_endpoint(endpoint.clone()),
        Fact::EndpointDeleted { id } => cluster.drop_endpoint(id),
    }
}

impl Cluster {
    /// A founded cluster with the system namespace and no members yet: what tests and single processes
    /// start from. Its id is the same every time.
    pub fn initial(shards: u16) -> Cluster {
        let mut cluster = Cluster::default();
        let cluster_id = "00000000-0000-4000-8000-000000000000".to_owned();
        evolve(&mut cluster, &Fact::Founded { cluster_id, feature_level: FEATURE_LEVEL, shards });
        evolve(&mut cluster, &Fact::Namespace(Namespace::system(Time(0))));
        cluster
    }

    pub fn is_founded(&self) -> bool {
        !self.id.is_empty()
    }

    /// The namespace of this name. A deleted one is found under the name it was given then.
    pub fn namespace(&self, name: &str) -> Result<&Arc<Namespace>, Reject> {
        let found = self.names.get(name).and_then(|id| self.namespaces.get(id));
        found.ok_or_else(|| Reject::NamespaceNotFound { namespace: name.to_owned() })
    }

    pub fn namespace_by_id(&self, id: &str) -> Result<&Arc<Namespace>, Reject> {
        self.namespaces.get(id).ok_or_else(|| Reject::NamespaceNotFound { namespace: id.to_owned() })
    }

    /// As DescribeNamespace and DeleteNamespace look one up.
    pub fn namespace_by(&self, name: &str, id: &str) -> Result<&Arc<Namespace>, Reject> {
        match (name, id) {
            ("", "") => Err(Reject::InvalidArgument("Namespace not set on request.".into())),
            (name, "") => self.namespace(name),
            ("", id) => self.namespace_by_id(id),
            _ => Err(Reject::InvalidArgument(
                "Only one of namespace name or Id should be set on request.".into(),
            )),
        }
    }

    /// The shard that owns a slot; none before the cluster is founded.
    pub fn shard_of(&self, slot: u16) -> Option<u16> {
        self.slots.shard_of(slot)
    }

    /// The limits in force for a namespace: its own settings, else the cluster's, else the defaults.
    pub fn limits(&self, namespace_id: &str) -> Limits {
        settings::limits(self, self.namespaces.get(namespace_id).map(|namespace| &**namespace))
    }

    /// For snapshots and for the row of the cluster in the tables.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(CLUSTER_KIND, CLUSTER_VERSION, &ClusterV1::of(self))
    }

    pub fn decode(bytes: &[u8]) -> Result<Cluster, CodecError> {
        codec::decode::<ClusterV1>(CLUSTER_KIND, CLUSTER_VERSION, bytes).map(ClusterV1::cluster)
    }

    fn put_namespace(&mut self, namespace: Namespace) {
        if let Some(before) = self.namespaces.get(&namespace.id) {
            self.names.remove(&before.name);
        }
        self.names.insert(namespace.name.clone(), namespace.id.clone());
        self.namespaces.insert(namespace.id.clone(), Arc::new(namespace));
    }

    fn drop_namespace(&mut self, id: &str) {
        if let Some(namespace) = self.namespaces.remove(id) {
            self.names.remove(&namespace.name);
        }
        self.purges.remove(id);
        if self.task_queues.keys().any(|(namespace, ..)| namespace == id) {
            Arc::make_mut(&mut self.task_queues).retain(|(namespace, ..), _| namespace != id);
        }
    }

    fn put_task_queue(&mut self, settings: TaskQueueSettings) {
        Arc::make_mut(&mut self.task_queues).insert(settings.id(), Arc::new(settings));
    }
}

const CLUSTER_KIND: u8 = b'K';
const CLUSTER_VERSION: u8 = 1;
pub const FACTS_KIND: u8 = b'k';
const FACTS_VERSION: u8 = 1;

/// An entry of shard 0's log that is about the cluster.
pub fn encode_facts(facts: &[Fact]) -> Vec<u8> {
    codec::encode(FACTS_KIND, FACTS_VERSION, &facts)
}

pub fn decode_facts(bytes: &[u8]) -> Result<Vec<Fact>, CodecError> {
    codec::decode(FACTS_KIND, FACTS_VERSION, bytes)
}

/// The stored form, frozen.
#[derive(Serialize, Deserialize)]
struct ClusterV1 {
    id: String,
    version: u64,
    feature_level: u32,
    members: Vec<Member>,
    slots: SlotMap,
    namespaces: Vec<Namespace>,
    settings: BTreeMap<String, String>,
    task_queues: Vec<TaskQueueSettings>,
    batches: Vec<batches::Batch>,
    purges: BTreeMap<String, Time>,
    endpoints: Vec<Endpoint>,
}

impl ClusterV1 {
    fn of(cluster: &Cluster) -> ClusterV1 {
        ClusterV1 {
            id: cluster.id.clone(),
            version: cluster.version,
            feature_level: cluster.feature_level,
            members: cluster.members.values().cloned().collect(),
            slots: cluster.slots.clone(),
            namespaces: cluster.namespaces.values().map(|namespace| (**namespace).clone()).collect(),
            settings: cluster.settings.clone(),
            task_queues: cluster.task_queues.values().map(|settings| (**settings).clone()).collect(),
            batches: cluster.batches.values().map(|batch| (**batch).clone()).collect(),
            purges: cluster.purges.clone(),
            endpoints: cluster.endpoints.values().map(|endpoint| (**endpoint).clone()).collect(),
        }
    }

    fn cluster(self) -> Cluster {
        let mut cluster = Cluster {
            id: self.id,
            version: self.version,
            feature_level: self.feature_level,
            members: self.members.into_iter().map(|member| (member.info.id, member)).collect(),
            slots: self.slots,
            settings: self.settings,
            purges: self.purges,
            ..Cluster::default()
        };
        for namespace in self.namespaces {
            cluster.put_namespace(namespace);
        }
        for settings in self.task_queues {
            cluster.put_task_queue(settings);
        }
        for batch in self.batches {
            batches::put(&mut cluster, batch);
        }
        for endpoint in self.endpoints {
            cluster.put_endpoint(endpoint);
        }
        cluster
    }
}
