//! Who is who, and where it lives.
//!
//! One routing rule serves workflow ids and task-queue names alike: a hash of the namespace and the
//! key gives one of [`SLOTS`] slots, the cluster's slot map gives the slot's shard. The slot, never the
//! shard, is part of storage keys, so shards can be split and moved without rewriting data.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// How many slots the key space is cut into. Fixed for ever: it is part of every storage key.
pub const SLOTS: u16 = 4096;
/// Slots that always belong to the same shard: what lists and counts read lies together for all of them,
/// so that a list need not look into every slot. As many as there are when a shard is as small as it can be.
pub const SLOTS_PER_BLOCK: u16 = 64;

/// The block of a slot, named by its first slot.
pub fn block(slot: u16) -> u16 {
    slot / SLOTS_PER_BLOCK * SLOTS_PER_BLOCK
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkflowKey {
    #[serde(with = "arc_str")]
    pub namespace_id: Arc<str>,
    #[serde(with = "arc_str")]
    pub workflow_id: Arc<str>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    pub workflow: WorkflowKey,
    #[serde(with = "arc_str")]
    pub run_id: Arc<str>,
}

impl WorkflowKey {
    pub fn new(namespace_id: &str, workflow_id: &str) -> WorkflowKey {
        WorkflowKey { namespace_id: namespace_id.into(), workflow_id: workflow_id.into() }
    }

    pub fn run(&self, run_id: &str) -> RunKey {
        RunKey { workflow: self.clone(), run_id: run_id.into() }
    }

    pub fn slot(&self) -> u16 {
        slot(&self.namespace_id, &self.workflow_id)
    }
}

/// The slot of a workflow id or of a task-queue name.
pub fn slot(namespace_id: &str, key: &str) -> u16 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(namespace_id.as_bytes());
    hasher.update(&[0]);
    hasher.update(key.as_bytes());
    (hasher.digest() % u64::from(SLOTS)) as u16
}

impl fmt::Debug for WorkflowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace_id, self.workflow_id)
    }
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.workflow, self.run_id)
    }
}

mod arc_str {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}
