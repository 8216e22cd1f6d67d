//! What can be asked of a deployment, and what it answers.

use std::{collections::BTreeMap, sync::Arc};

use super::state::{DeploymentState, PolledQueue, Ramp};
use crate::{codec::CodecError, reject::Reject, schedule::state::Given, time::Time};
use serde::{Deserialize, Serialize};

/// A request to the deployment that its key names. Names and numbers have been validated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DeploymentRequest {
    Create {
        request_id: String,
        identity: String,
        /// Deployments that the namespace has already, as far as this node knows.
        others: usize,
    },
    CreateVersion {
        build_id: String,
        request_id: String,
        identity: String,
    },
    /// A worker of this version polls a queue.
    Polled {
        build_id: String,
        queue: PolledQueue,
        others: usize,
    },
    SetCurrent(SetCurrent),
    SetRamping(SetRamping),
    SetManager {
        manager: String,
        identity: String,
        #[serde(with = "serde_bytes")]
        conflict_token: Vec<u8>,
    },
    UpdateMetadata {
        build_id: String,
        upsert: BTreeMap<String, Given>,
        remove: Vec<String>,
        identity: String,
    },
    DeleteVersion {
        build_id: String,
        skip_drainage: bool,
        identity: String,
        /// Whether workers of the version have polled lately.
        is_polled: bool,
    },
    Delete,
    Describe,
    /// Somebody counted the workflows that are pinned to a version that drains.
    Counted {
        build_id: String,
        are_open: bool,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SetCurrent {
    /// None: the workers without a version.
    pub build_id: Option<String>,
    pub identity: String,
    #[serde(with = "serde_bytes")]
    pub conflict_token: Vec<u8>,
    pub allow_no_pollers: bool,
    /// Queues with work that must not be left behind; empty if that does not matter.
    pub busy: Vec<PolledQueue>,
    pub others: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SetRamping {
    /// None: nothing is ramped any more.
    pub ramp: Option<Ramp>,
    pub identity: String,
    #[serde(with = "serde_bytes")]
    pub conflict_token: Vec<u8>,
    pub allow_no_pollers: bool,
    pub busy: Vec<PolledQueue>,
    pub others: usize,
}

#[derive(Clone, Debug)]
pub enum DeploymentReply {
    Done,
    Created { conflict_token: i64 },
    Current { conflict_token: i64, previous: Option<String> },
    Ramping { conflict_token: i64, previous: Option<Ramp> },
    Manager { conflict_token: i64, previous: String },
    Metadata(BTreeMap<String, Given>),
    State(Arc<DeploymentState>),
}

impl DeploymentRequest {
    /// A short name for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            DeploymentRequest::Create { .. } => "create_deployment",
            DeploymentRequest::CreateVersion { .. } => "create_deployment_version",
            DeploymentRequest::Polled { .. } => "deployment_polled",
            DeploymentRequest::SetCurrent(_) => "set_current_version",
            DeploymentRequest::SetRamping(_) => "set_ramping_version",
            DeploymentRequest::SetManager { .. } => "set_deployment_manager",
            DeploymentRequest::UpdateMetadata { .. } => "update_version_metadata",
            DeploymentRequest::DeleteVersion { .. } => "delete_deployment_version",
            DeploymentRequest::Delete => "delete_deployment",
            DeploymentRequest::Describe => "read_deployment",
            DeploymentRequest::Counted { .. } => "deployment_drainage",
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        crate::codec::encode(REQUEST_KIND, REQUEST_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<DeploymentRequest, CodecError> {
        crate::codec::decode(REQUEST_KIND, REQUEST_VERSION, bytes)
    }
}

const REQUEST_KIND: u8 = b'd';
const REQUEST_VERSION: u8 = 1;

/// As clients carry it.
pub fn token_bytes(conflict_token: i64) -> Vec<u8> {
    conflict_token.to_be_bytes().to_vec()
}

/// The texts of the real server.
pub(super) fn not_found(name: &str) -> Reject {
    Reject::NotFound(format!(
        "no Worker Deployment found with name '{name}'; does your Worker Deployment have pollers?"
    ))
}

/// Where the real server speaks of the workflow that a deployment is there.
pub(super) fn workflow_not_found(name: &str) -> Reject {
    Reject::NotFound(format!("workflow not found for ID: temporal-sys-worker-deployment:{name}"))
}

pub(super) fn version_not_found(name: &str, build_id: &str) -> Reject {
    Reject::NotFound(format!("build ID '{build_id}' not found in Worker Deployment '{name}'"))
}

/// When a count of pinned workflows says something: not before lists show those that were just started.
#[derive(Clone, Copy, Debug)]
pub struct DrainageTimes {
    pub grace: std::time::Duration,
    pub refresh: std::time::Duration,
}

impl DrainageTimes {
    /// Whether a version that drains is to be looked at now.
    pub fn is_due(&self, changed: Time, checked: Time, now: Time) -> bool {
        now >= changed + self.grace && (checked <= changed || now >= checked + self.refresh)
    }
}
