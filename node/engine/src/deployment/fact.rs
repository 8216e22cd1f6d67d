//! What happens to a deployment, as the log has it. Appended to, never reordered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{DeploymentKey, DeploymentState, Head, Version};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DeploymentFact {
    Head(Box<Head>),
    Version { build_id: String, version: Box<Version> },
    VersionDeleted { build_id: String },
    Deleted,
}

/// What happened to one deployment in one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeploymentChange {
    pub key: DeploymentKey,
    /// The version of the state that these facts follow.
    pub version: u64,
    pub facts: Vec<DeploymentFact>,
    /// The state after these facts, as the leader computed it. Never stored: replicas fold.
    #[serde(skip)]
    pub prepared: Option<Arc<DeploymentState>>,
}

pub fn evolve_change(state: &mut DeploymentState, change: &DeploymentChange) {
    for fact in &change.facts {
        evolve(state, fact);
    }
    state.version += 1;
}

/// Never fails: what was committed has happened.
pub fn evolve(state: &mut DeploymentState, fact: &DeploymentFact) {
    match fact {
        DeploymentFact::Head(head) => state.head = (**head).clone(),
        DeploymentFact::Version { build_id, version } => {
            state.versions.insert(build_id.clone(), (**version).clone());
        }
        DeploymentFact::VersionDeleted { build_id } => {
            state.versions.remove(build_id);
        }
        DeploymentFact::Deleted => state.deleted = true,
    }
}
