//! The shell of the cluster's state, which shard 0 keeps.
//!
//! A change is decided by the leader of shard 0 on what it has applied, one change at a time, and goes
//! through that shard's log. Every node applies it and so follows.

use std::time::Duration;

use everlog_engine::{
    cluster::{self, Reply, Request},
    codec::Proto,
    limits::Limits,
    reject::Reject,
    stamp::Stamp,
};
use everlog_proto::api::workflowservice::v1::RegisterNamespaceRequest;
use everlog_raft_store::Payload;

use crate::{
    internal::{Internal, InternalReply},
    router::{Place, Router},
};

/// The shard that keeps the cluster.
const CLUSTER_SHARD: u16 = 0;
/// The namespace that is there from the beginning.
pub const DEFAULT_NAMESPACE: &str = "default";
const DEFAULT_RETENTION_HOURS: i64 = 24;
/// How long a change, or the wait for those before it, may take. What was proposed by then may still be committed.
const DECIDE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a node may take to apply what the leader of shard 0 has told it of.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Decides a change, here or at the leader of shard 0.
pub async fn decide(router: &Router, request: Request) -> Result<Reply, Reject> {
    match router.place(CLUSTER_SHARD) {
        Place::Here { .. } => decide_here(router, request).await,
        Place::There { node, .. } => match router.internal(node, &Internal::Cluster(request)).await? {
            InternalReply::Cluster(reply) => {
                // The caller may look at once, here.
                refresh(router).await?;
                Ok(reply)
            }
            InternalReply::Reject(reject) => Err(reject),
            _ => Err(unavailable()),
        },
        Place::Nowhere { .. } => Err(unavailable()),
    }
}

/// Decides a change on the leader.
pub async fn decide_here(router: &Router, request: Request) -> Result<Reply, Reject> {
    // Whoever asked may go away. What was proposed is waited for all the same, before the next is decided.
    let decided = tokio::spawn(decide_in_turn(router.clone(), request));
    match tokio::time::timeout(DECIDE_TIMEOUT, decided).await {
        Ok(Ok(decided)) => decided,
        Ok(Err(error)) => Err(Reject::Internal(error.to_string())),
        Err(_) => Err(unavailable()),
    }
}

async fn decide_in_turn(router: Router, request: Request) -> Result<Reply, Reject> {
    let my_turn = tokio::time::timeout(DECIDE_TIMEOUT, router.cluster_changes().lock());
    let _one_at_a_time = my_turn.await.map_err(|_| unavailable())?;
    let group = router.groups().get(u64::from(CLUSTER_SHARD)).map_err(|_| unavailable())?;
    let known = *group.leadership().borrow();
    if !known.is_me {
        return Err(unavailable());
    }
    // What was decided under an earlier leader is applied before this one decides on it.
    group.read_index().await.map_err(|_| unavailable())?;
    let limits = Limits::default();
    let stamp = Stamp::new(router.clock().time(), router.clock().seed(), &limits);
    let view = router.cluster().borrow().clone();
    let (facts, reply) = cluster::decide(&view, &request, &stamp)?;
    if !facts.is_empty() {
        let payload = Payload::new(cluster::encode_facts(&facts));
        group.propose(known.term, payload).await.map_err(|_| unavailable())?;
    }
    Ok(reply)
}

/// The index that the leader of shard 0 has applied, once a quorum has confirmed that it leads.
pub async fn barrier_here(router: &Router) -> Result<u64, Reject> {
    let group = router.groups().get(u64::from(CLUSTER_SHARD)).map_err(|_| unavailable())?;
    group.read_index().await.map_err(|_| unavailable())
}

/// Brings this node's view up to everything that was acknowledged before.
pub async fn refresh(router: &Router) -> Result<(), Reject> {
    let index = match router.place(CLUSTER_SHARD) {
        Place::Here { .. } => return barrier_here(router).await.map(|_| ()),
        Place::There { node, .. } => match router.internal(node, &Internal::ClusterBarrier).await? {
            InternalReply::Index(index) => index,
            _ => return Err(unavailable()),
        },
        Place::Nowhere { .. } => return Err(unavailable()),
    };
    let group = router.groups().get(u64::from(CLUSTER_SHARD)).map_err(|_| unavailable())?;
    let caught_up = async {
        while group.status().applied_index < index {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(CATCH_UP_TIMEOUT, caught_up).await.map_err(|_| unavailable())
}

/// Registers the default namespace, once, as soon as this node leads shard 0.
pub async fn ensure_default_namespace(router: Router) {
    let Ok(group) = router.groups().get(u64::from(CLUSTER_SHARD)) else { return };
    let mut leadership = group.leadership();
    loop {
        let leads = leadership.borrow_and_update().is_me;
        if leads && router.cluster().borrow().namespace(DEFAULT_NAMESPACE).is_err() {
            let request = RegisterNamespaceRequest {
                namespace: DEFAULT_NAMESPACE.into(),
                workflow_execution_retention_period: Some(prost_types::Duration {
                    seconds: DEFAULT_RETENTION_HOURS * 60 * 60,
                    nanos: 0,
                }),
                ..Default::default()
            };
            match decide_here(&router, Request::RegisterNamespace(Proto(request))).await {
                Ok(_) | Err(Reject::NamespaceAlreadyExists(_)) => {}
                Err(error) => {
                    tracing::debug!(?error, "the default namespace could not be registered yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

fn unavailable() -> Reject {
    Reject::Unavailable("the leader of the cluster's state is being replaced, please retry".into())
}
