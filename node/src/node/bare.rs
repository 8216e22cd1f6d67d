//! A node without a guest: consensus and its ports, and no service but health.
//!
//! What is proposed is counted and kept as rows, so that members can be compared. Tests of
//! the consensus shell use it, and it shows what a guest has to bring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use everlog_raft_store::{Batch, KeyRange, Machine, Payload, Value};
use tonic::Status;
use tonic::service::Routes;

use super::{Application, Node, Services};
use crate::peer::{Handlers, InternalHandler};

/// Counts what each group applied, in a row of its own.
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

/// Where a group's rows begin.
fn prefix(group: u64) -> Vec<u8> {
    group.to_be_bytes().to_vec()
}

/// The row with how many entries a group ever applied.
pub fn count_key(group: u64) -> Vec<u8> {
    [prefix(group), b"count".to_vec()].concat()
}

/// The number in a row.
pub fn number(value: Option<Value>) -> u64 {
    let bytes = value.map(|value| value.to_bytes()).unwrap_or_default();
    bytes.as_ref().try_into().map_or(0, u64::from_be_bytes)
}

impl Machine for Counting {
    fn apply(&self, group: u64, index: u64, _term: u64, payload: &Payload, batch: &mut Batch) -> Bytes {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(group).or_default() += 1;
        let count = number(batch.get(&count_key(group))) + 1;
        batch.put(count_key(group), Value::Bytes(Bytes::copy_from_slice(&count.to_be_bytes())));
        let row = [prefix(group), b"entry".to_vec(), index.to_be_bytes().to_vec()].concat();
        batch.put(row, Value::Bytes(payload.bytes.clone()));
        payload.bytes.clone()
    }

    fn ranges(&self, group: u64) -> Vec<KeyRange> {
        vec![KeyRange { from: prefix(group), to: prefix(group + 1) }]
    }
}

/// The guest that serves nothing.
#[derive(Clone, Default)]
pub struct Bare {
    pub machine: Arc<Counting>,
}

impl Application for Bare {
    fn machine(&self, _config: &crate::config::Config) -> Arc<dyn Machine> {
        self.machine.clone()
    }

    fn start(&self, node: Node) -> anyhow::Result<Services> {
        Ok(Services {
            api: Routes::default(),
            http: axum::Router::new(),
            ui: axum::Router::new(),
            handlers: Handlers {
                internal: Arc::new(Counter { node }),
                forward: Arc::new(Routes::new(tonic_health::server::health_reporter().1)),
            },
            drain: Box::new(|| Box::pin(async {})),
            died: Box::pin(std::future::pending()),
        })
    }
}

/// Proposes and reads when another node or a test asks it in words: `propose GROUP TEXT` is answered
/// with `TERM INDEX`, `read GROUP` with `INDEX COUNT`, anything else with itself.
struct Counter {
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
            ["propose", at, what] => {
                let group = group(at)?;
                let leadership = *group.leadership().borrow();
                if !leadership.is_me {
                    return Err(Status::unavailable(format!("the leader is {:?}", leadership.leader)));
                }
                let proposal = group.propose(leadership.term, Payload::new(Bytes::from((*what).to_owned())));
                let applied = proposal.await.map_err(|error| Status::unavailable(error.to_string()))?;
                Ok(format!("{} {}", applied.term, applied.index).into())
            }
            ["read", at] => {
                let group = group(at)?;
                let index =
                    group.read_index().await.map_err(|error| Status::unavailable(error.to_string()))?;
                let count = number(self.node.store.tables().get(&count_key(group.id())));
                Ok(format!("{index} {count}").into())
            }
            _ => Ok(request),
        }
    }
}
