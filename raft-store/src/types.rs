//! The types that openraft is used with, fixed once.

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::table::{Batch, KeyRange, Value};

openraft::declare_raft_types!(
    /// What every group of a node has in common.
    #[derive(Serialize, Deserialize)]
    pub Types:
        D = Payload,
        R = Bytes,
        NodeId = u64,
        Node = Member,
        LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>,
);

/// What an entry carries.
#[derive(Clone, Default)]
pub struct Payload {
    pub bytes: Bytes,
    /// What the proposer has computed already. It stays with the entry for as long as the entry is in
    /// memory, is never written, and may be missing at any time.
    pub prepared: Option<Arc<dyn Any + Send + Sync>>,
}

impl Payload {
    pub fn new(bytes: impl Into<Bytes>) -> Payload {
        Payload { bytes: bytes.into(), prepared: None }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Payload {}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Ok(Payload::new(bytes.into_vec()))
    }
}

/// How a member of a group is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub peer_address: String,
    pub api_address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.peer_address)
    }
}

/// What committed entries mean. Called for one group at a time, in log order.
pub trait Machine: Send + Sync + 'static {
    /// Folds one entry into rows. The rows and the fact that the entry is applied become visible, and
    /// later durable, together. An entry that cannot be applied is a bug: panic, and the group applies
    /// nothing more. It is seen to have stopped when its next entry is to be applied.
    fn apply(&self, group: u64, index: u64, term: u64, payload: &Payload, batch: &mut Batch) -> Bytes;

    /// The keys that belong to a group: what a snapshot of it contains.
    fn ranges(&self, group: u64) -> Vec<KeyRange>;

    /// What of a row is the same on every member. All of it, unless the machine knows of parts whose bytes
    /// may differ although they mean the same.
    fn comparable(&self, _key: &[u8], value: Value) -> Bytes {
        value.to_bytes()
    }

    /// An entry's rows are visible to everybody.
    fn applied(&self, _group: u64, _index: u64) {}

    /// The rows of a group were replaced by a snapshot's.
    fn restored(&self, _group: u64) {}
}
