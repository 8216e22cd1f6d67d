//! How deployments lie in the tables: the state by name, and nothing else.

use std::sync::Arc;

use super::{
    fact::{DeploymentChange, evolve_change},
    state::{DeploymentKey, DeploymentState},
};
use crate::rows::{self, ApplyError, Kind, Rows};

/// Applies one committed change. A wrong version is a bug, and the caller must stop the shard.
pub fn apply(rows: &mut impl Rows, change: &DeploymentChange) -> Result<Arc<DeploymentState>, ApplyError> {
    let key = state_key(&change.key);
    let before = rows.get(&key).map(|bytes| DeploymentState::decode(&bytes)).transpose()?;
    let found = before.as_ref().map_or(0, |state| state.version);
    if found != change.version {
        return Err(ApplyError::DeploymentVersion {
            key: change.key.clone(),
            expected: change.version,
            found,
        });
    }
    let after = match &change.prepared {
        Some(prepared) => prepared.clone(),
        None => {
            let mut state = before.unwrap_or_else(|| DeploymentState::fresh(change.key.clone()));
            evolve_change(&mut state, change);
            Arc::new(state)
        }
    };
    if after.deleted {
        rows.delete(key);
    } else {
        rows.put(key, after.encode());
    }
    Ok(after)
}

pub fn state_key(key: &DeploymentKey) -> Vec<u8> {
    let mut bytes = rows::kind_start(key.slot(), Kind::Deployment);
    rows::push_text(&mut bytes, key.namespace_id());
    rows::push_text(&mut bytes, key.name());
    bytes
}
