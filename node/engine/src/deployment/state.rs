//! The state of one deployment: the fold of its facts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use everlog_proto::api::enums::v1::{VersionDrainageStatus, WorkerDeploymentVersionStatus as Status};
use serde::{Deserialize, Serialize};

use super::name::WorkerVersion;
use crate::{
    codec::{self, CodecError},
    key::WorkflowKey,
    schedule::state::Given,
    time::Time,
};

pub const DEPLOYMENT_KIND: u8 = b'D';
const DEPLOYMENT_VERSION: u8 = 1;

/// Which deployment. Its name is hashed to a slot as workflow ids are, but names another thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeploymentKey(WorkflowKey);

impl DeploymentKey {
    pub fn new(namespace_id: &str, name: &str) -> DeploymentKey {
        DeploymentKey(WorkflowKey::new(namespace_id, name))
    }

    pub fn namespace_id(&self) -> &str {
        &self.0.namespace_id
    }

    pub fn name(&self) -> &str {
        &self.0.workflow_id
    }

    pub fn slot(&self) -> u16 {
        self.0.slot()
    }
}

impl fmt::Debug for DeploymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deployment {:?}", self.0)
    }
}

/// Version 1 of the stored form, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentState {
    pub key: DeploymentKey,
    pub version: u64,
    pub head: Head,
    /// By build id.
    pub versions: BTreeMap<String, Version>,
    /// Nothing is left of it.
    pub deleted: bool,
}

/// All of a deployment but its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub create_time: Time,
    /// Of the call that created it; none if a worker did by polling.
    pub create_request_id: Option<String>,
    /// Grows with every change by hand that concurrent changes may have to know of.
    pub conflict_token: i64,
    pub routing: Routing,
    pub last_modifier: String,
    /// Who alone may change it, if anybody.
    pub manager: String,
}

/// Where tasks that are free to go anywhere go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// Build ids; no version means the workers without one.
    pub current: Option<String>,
    pub current_changed: Option<Time>,
    pub ramp: Option<Ramp>,
    pub ramp_changed: Option<Time>,
    pub percentage_changed: Option<Time>,
    /// Grows with every change, so that a newer routing is told from an older.
    pub revision: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    pub build_id: Option<String>,
    /// Of workflow ids, 0 to 100.
    pub percentage: f32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub create_time: Time,
    /// Of the call that created it; none if a worker did by polling.
    pub create_request_id: Option<String>,
    pub routing_changed: Option<Time>,
    pub current_since: Option<Time>,
    pub ramping_since: Option<Time>,
    pub first_activation: Option<Time>,
    pub last_current: Option<Time>,
    pub last_deactivation: Option<Time>,
    pub drainage: Option<Drainage>,
    /// The queues for which its workers have polled.
    pub queues: BTreeSet<PolledQueue>,
    /// What users attach to it: payloads as they were given, since maps in messages have no one encoding.
    pub metadata: BTreeMap<String, Given>,
    pub last_modifier: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolledQueue {
    pub name: String,
    /// The API's `TaskQueueType`.
    pub kind: i32,
}

/// Whether workflows are still pinned to a version that gets no new ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drainage {
    /// The API's `VersionDrainageStatus`.
    pub status: i32,
    pub changed: Time,
    pub checked: Time,
}

impl DeploymentState {
    /// When it was changed last, by hand or by a new version. Its token is such a time.
    pub fn changed_at(&self) -> Time {
        let versions = self.versions.values().map(|version| version.create_time);
        versions.fold(Time(self.head.conflict_token), Time::max)
    }

    /// The state before the first fact.
    pub fn fresh(key: DeploymentKey) -> DeploymentState {
        DeploymentState { key, version: 0, head: Head::default(), versions: BTreeMap::new(), deleted: false }
    }

    pub fn named(&self, build_id: &str) -> WorkerVersion {
        WorkerVersion::new(self.key.name(), build_id)
    }

    pub fn has_queue(&self, build_id: &str, queue: &PolledQueue) -> bool {
        self.versions.get(build_id).is_some_and(|version| version.queues.contains(queue))
    }

    pub fn is_current(&self, build_id: &str) -> bool {
        self.head.routing.current.as_deref() == Some(build_id)
    }

    pub fn is_ramping(&self, build_id: &str) -> bool {
        self.head.routing.ramp.as_ref().is_some_and(|ramp| ramp.build_id.as_deref() == Some(build_id))
    }

    pub fn status(&self, build_id: &str) -> Status {
        let Some(version) = self.versions.get(build_id) else { return Status::Unspecified };
        if self.is_current(build_id) {
            return Status::Current;
        }
        if self.is_ramping(build_id) {
            return Status::Ramping;
        }
        match version.drainage_status() {
            VersionDrainageStatus::Draining => Status::Draining,
            VersionDrainageStatus::Drained => Status::Drained,
            VersionDrainageStatus::Unspecified if version.is_only_created() => Status::Created,
            VersionDrainageStatus::Unspecified => Status::Inactive,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(DEPLOYMENT_KIND, DEPLOYMENT_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<DeploymentState, CodecError> {
        codec::decode(DEPLOYMENT_KIND, DEPLOYMENT_VERSION, bytes)
    }
}

impl Version {
    pub fn drainage_status(&self) -> VersionDrainageStatus {
        let status = self.drainage.as_ref().map_or(0, |drainage| drainage.status);
        VersionDrainageStatus::try_from(status).unwrap_or(VersionDrainageStatus::Unspecified)
    }

    /// Made by hand, and no worker has come yet.
    fn is_only_created(&self) -> bool {
        self.create_request_id.is_some() && self.queues.is_empty() && self.first_activation.is_none()
    }
}
