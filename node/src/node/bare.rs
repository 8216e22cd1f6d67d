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

    fn start(&self, node: Node) -> anyhow::Result<Services> {
        let internal = Arc::new(Counter { machine: self.machine.clone(), node });
        Ok(Services {
            api: Routes::default(),
            internal,
            forward: Arc::new(Routes::new(tonic_health::server::health_reporter().1)),
            drain: Box::new(|| Box::pin(async {})),
        })
    }
}

/// Proposes and reads when another node or a test asks it in words: `propose GROUP TEXT` is answered
/// with `TERM INDEX`, `read GROUP` with `INDEX COUNT`, anything else with itself.
struct Counter {
    machine: Arc<Counting>,
    node: Node,
}

#[tonic::async_trait]
impl InternalHandler for Counter {
    async fn handle(&self, _from: u64, request: Bytes) -> Result<Bytes, Status> {
        let text = String::from_utf8_lossy(&request).into_owned();
        let group = |number: &str| -> Result<_, Status> {
            let number = number.parse().map_err(|_| Status::invalid_argument("not a group"))?;
            self.node.groups.get(number).map_err(|error| Status::not_found(error.to_string()))
        };
        match text.split(' ').collect::<Vec<_>>().as_slice() {
            ["propose", number, what] => {
                let group = group(number)?;
                let leadership = *group.leadership().borrow();
                if !leadership.is_me {
                    return Err(Status::unavailable(format!("the leader is {:?}", leadership.leader)));
                }
                let proposal = group.propose(leadership.term, Payload::new(Bytes::from((*what).to_owned())));
                let applied = proposal.await.map_err(|error| Status::unavailable(error.to_string()))?;
                Ok(format!("{} {}", applied.term, applied.index).into())
            }
            ["read", number] => {
                let group = group(number)?;
                let index = group.read_index().await.map_err(|error| Status::unavailable(error.to_string()))?;
                Ok(format!("{index} {}", self.machine.count(group.id())).into())
            }
            _ => Ok(request),
        }
    }
}
