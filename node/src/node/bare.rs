//! A node without a guest: consensus and its ports, and no service but health.
//!
//! What is proposed is counted and kept in order by hash, so that members can be compared. Tests of
//! the consensus shell use it, and it shows what a guest has to bring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use everlog_raft_store::{Batch, Machine, Payload};
use tonic::Status;
use tonic::service::Routes;

use super::{Application, Node, Services};
use crate::peer::InternalHandler;

/// Counts what each group applied.
#[derive(Default)]
pub struct Counting {
    counts: Mutex<BTreeMap<u64, u64>>,
}

impl Counting {
    /// How many entries a group has applied since the process started.
    pub fn count(&self, group: u64) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(&group).copied().unwrap_or_default()
    }
}

impl Machine for Counting {
    fn apply(&self, group: u64, _index: u64, _term: u64, payload: &Payload, _batch: &mut Batch) -> Bytes {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(group).or_default() += 1;
        payload.bytes.clone()
    }
}

/// The guest that serves nothing.
#[derive(Clone, Default)]
pub struct Bare {
    pub machine: Arc<Counting>,
}

impl Application for Bare {
    fn machine(&self) -> Arc<dyn Machine> {
        self.machine.clone()
    }

    fn start(&self, _node: Node) -> anyhow::Result<Services> {
        Ok(Services {
            api: Routes::default(),
            internal: Arc::new(Echo),
            forward: Arc::new(Routes::default()),
            drain: Box::new(|| Box::pin(async {})),
        })
    }
}

/// Sends internal requests back as they came.
struct Echo;

#[tonic::async_trait]
impl InternalHandler for Echo {
    async fn handle(&self, _from: u64, request: Bytes) -> Result<Bytes, Status> {
        Ok(request)
    }
}
