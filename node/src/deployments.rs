//! Deployments as a node knows them, and how it asks for more.
//!
//! Every node applies every deployment's facts, so it has them all in memory and asks nobody where a task
//! belongs. Only a change goes to the shard of the deployment's name: by hand, through the API; by a worker
//! whose version polls a queue for the first time; by whoever counts what still runs on a version that
//! drains.

use std::{
    sync::{Arc, RwLock, RwLockReadGuard},
    time::Duration,
};

use everlog_engine::{
    codec::{CodecError, Proto},
    deployment::{
        DeploymentKey, DeploymentState, Directory, WorkerVersion,
        name::dotted_or_unversioned,
        request::{DeploymentRequest, DrainageTimes},
        state::PolledQueue,
    },
    key::SLOTS,
    queue::{PRIORITY_DEFAULT, QueueKey, QueueKind},
    reject::Reject,
    rows::{self, Kind},
    time::Time,
};
use everlog_proto::api::{
    enums::v1::{TaskQueueType, VersionDrainageStatus},
    taskqueue::v1::{TaskQueueStats, TaskQueueVersioningInfo},
};
use everlog_raft_store::Tables;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    internal::{Internal, InternalReply, WireQueue},
    list::{self, ListQuery, Listed},
    router::{Place, Router},
};

/// How "never" reads in the real server's answer: the first moment of the year 1.
const GO_ZERO_TIME: prost_types::Timestamp = prost_types::Timestamp { seconds: -62_135_596_800, nanos: 0 };
/// How often a node looks for versions that have drained.
const DRAINAGE_LOOKED_EVERY: Duration = Duration::from_secs(1);

/// A cheap handle to what a node has applied of deployments.
#[derive(Clone)]
pub struct Deployments {
    directory: Arc<RwLock<Directory>>,
    changes: watch::Sender<()>,
}

impl Default for Deployments {
    fn default() -> Deployments {
        Deployments { directory: Arc::default(), changes: watch::channel(()).0 }
    }
}

impl Deployments {
    pub fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Resolves when something has changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// A change was applied.
    pub fn put(&self, state: &Arc<DeploymentState>) {
        self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner).put(state);
        self.changes.send_replace(());
    }

    /// Reads the deployments of these slots from the tables: after a start, or a snapshot.
    pub fn load(&self, tables: &Tables, is_of: impl Fn(u16) -> bool) -> Result<(), CodecError> {
        let mut directory = self.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        directory.forget(&is_of);
        for slot in (0..SLOTS).filter(|slot| is_of(*slot)) {
            let (from, to) =
                (rows::kind_start(slot, Kind::Deployment), rows::kind_end(slot, Kind::Deployment));
            for (_, value) in tables.scan(from, to) {
                directory.put(&Arc::new(DeploymentState::decode(&value.to_bytes())?));
            }
        }
        drop(directory);
        self.changes.send_replace(());
        Ok(())
    }
}

/// A queue as deployments name it: sticky ones are those that they stand for.
pub fn polled_queue(name: &str, kind: QueueKind) -> PolledQueue {
    let kind = match kind {
        QueueKind::Activity => TaskQueueType::Activity,
        QueueKind::Workflow | QueueKind::Sticky => TaskQueueType::Workflow,
        QueueKind::Nexus => TaskQueueType::Nexus,
    };
    PolledQueue { name: name.to_owned(), kind: kind as i32 }
}

/// Makes sure that the deployment knows of a worker's version and queue. That costs nothing if it does.
pub async fn register(
    router: &Router,
    namespace_id: &str,
    version: &WorkerVersion,
    queue: PolledQueue,
) -> Result<(), Reject> {
    let others = {
        let directory = router.deployments().read();
        if directory.has_queue(namespace_id, version, &queue) {
            return Ok(());
        }
        directory.count(namespace_id)
    };
    let key = DeploymentKey::new(namespace_id, &version.deployment);
    let request = DeploymentRequest::Polled { build_id: version.build_id.clone(), queue, others };
    tell(router, key, request).await
}

/// Tells a deployment something, wherever it lives.
async fn tell(router: &Router, key: DeploymentKey, request: DeploymentRequest) -> Result<(), Reject> {
    match router.locate(key.namespace_id(), key.name()) {
        Place::Here { .. } => tell_here(router, key, request).await,
        Place::There { node, .. } => {
            match router.internal(node, &Internal::Deployment { key, request }).await? {
                InternalReply::Done => Ok(()),
                InternalReply::Reject(reject) => Err(reject),
                _ => Err(no_leader()),
            }
        }
        Place::Nowhere { .. } => Err(no_leader()),
    }
}

pub async fn tell_here(
    router: &Router,
    key: DeploymentKey,
    request: DeploymentRequest,
) -> Result<(), Reject> {
    let shard = router.shard_of(key.namespace_id(), key.name());
    let Some(shard) = router.shard(shard) else { return Err(no_leader()) };
    shard.call_deployment(key, request).await.map(|_| ())
}

/// What the home of a queue has seen of a version's workers and tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QueueSeen {
    /// Some have polled lately.
    pub is_polled: bool,
    /// Tasks wait for them, or have come lately.
    pub is_busy: bool,
    stats: Proto<TaskQueueStats>,
    stats_by_priority: Vec<(i32, Proto<TaskQueueStats>)>,
}

impl QueueSeen {
    pub fn stats(&self) -> TaskQueueStats {
        self.stats.0
    }

    pub fn stats_by_priority(&self) -> impl Iterator<Item = (i32, TaskQueueStats)> {
        self.stats_by_priority.iter().map(|(priority, stats)| (*priority, stats.0))
    }
}

pub async fn seen(
    router: &Router,
    namespace_id: &str,
    version: &WorkerVersion,
    queue: &PolledQueue,
) -> Result<QueueSeen, Reject> {
    let kind = match queue.kind == TaskQueueType::Activity as i32 {
        true => QueueKind::Activity,
        false => QueueKind::Workflow,
    };
    let key = QueueKey::unversioned(namespace_id, &queue.name, kind);
    match router.queue_home(&key) {
        Some(home) if home == router.me() => Ok(seen_here(router, key, version).await),
        Some(home) => {
            let asked = Internal::QueueSeen { queue: WireQueue::new(&key), version: version.clone() };
            match router.internal(home, &asked).await? {
                InternalReply::QueueSeen(seen) => Ok(seen),
                InternalReply::Reject(reject) => Err(reject),
                _ => Err(no_leader()),
            }
        }
        None => Err(no_leader()),
    }
}

pub async fn seen_here(router: &Router, key: QueueKey, version: &WorkerVersion) -> QueueSeen {
    let Some(queues) = router.queues() else { return QueueSeen::default() };
    let key = key.of_version(Some(version.clone()));
    let described = queues.describe(key, false).await.unwrap_or_default();
    let mut stats_by_priority = described.stats_by_priority;
    if stats_by_priority.is_empty() {
        // The real server never leaves out the middle.
        let idle = TaskQueueStats { approximate_backlog_age: Some(Default::default()), ..Default::default() };
        stats_by_priority.insert(PRIORITY_DEFAULT, idle);
    }
    QueueSeen {
        is_polled: !described.pollers.is_empty(),
        is_busy: described.stats.approximate_backlog_count > 0 || described.stats.tasks_add_rate > 0.0,
        stats_by_priority: stats_by_priority.into_iter().map(|(p, stats)| (p, Proto(stats))).collect(),
        stats: Proto(described.stats),
    }
}

/// Where tasks of a queue go that are free to go anywhere, as a description of the queue tells.
#[allow(deprecated, reason = "older clients read the texts")]
pub fn versioning_info(
    router: &Router,
    namespace_id: &str,
    name: &str,
    kind: QueueKind,
) -> TaskQueueVersioningInfo {
    let queue = polled_queue(name, kind);
    let directory = router.deployments().read();
    let current = directory.current(namespace_id, &queue).version;
    let of_current = current.as_ref().and_then(|version| {
        directory.get(&DeploymentKey::new(namespace_id, &version.deployment))?.head.routing.current_changed
    });
    let ramping = directory.ramping(namespace_id, &queue);
    let ramp = ramping.and_then(|state| state.head.routing.ramp.clone());
    let of_ramp =
        ramping.and_then(|state| state.head.routing.percentage_changed.max(state.head.routing.ramp_changed));
    let ramping_version = ramping
        .zip(ramp.as_ref())
        .and_then(|(state, ramp)| ramp.build_id.as_ref().map(|build_id| state.named(build_id)));
    TaskQueueVersioningInfo {
        current_version: dotted_or_unversioned(current.as_ref()),
        current_deployment_version: current.as_ref().map(WorkerVersion::api),
        ramping_version: match &ramp {
            Some(_) => dotted_or_unversioned(ramping_version.as_ref()),
            None => String::new(),
        },
        ramping_deployment_version: ramping_version.as_ref().map(WorkerVersion::api),
        ramping_version_percentage: ramp.map_or(0.0, |ramp| ramp.percentage),
        update_time: Some(of_current.max(of_ramp).map_or(GO_ZERO_TIME, Time::proto)),
    }
}

/// The deployments of a namespace, everything that was acknowledged before included: those that changed last first.
pub async fn list(router: &Router, namespace_id: &str) -> Result<Vec<Arc<DeploymentState>>, Reject> {
    let shards = router.cluster().borrow().slots.shards();
    let parts = shards.into_iter().map(|shard| async move {
        match router.place(shard) {
            Place::Here { .. } => list_shard(router, shard, namespace_id).await,
            Place::There { node, .. } => {
                let namespace_id = namespace_id.to_owned();
                match router.internal(node, &Internal::Deployments { shard, namespace_id }).await? {
                    InternalReply::Deployments(states) => Ok(states),
                    InternalReply::Reject(reject) => Err(reject),
                    _ => Err(no_leader()),
                }
            }
            Place::Nowhere { .. } => Err(no_leader()),
        }
    });
    let parts = futures::future::try_join_all(parts).await?;
    let mut states: Vec<Arc<DeploymentState>> = parts.into_iter().flatten().map(Arc::new).collect();
    states.sort_by(|one, other| {
        let order = |state: &DeploymentState| (std::cmp::Reverse(state.changed_at()), state.key.clone());
        order(one).cmp(&order(other))
    });
    Ok(states)
}

/// Those of a shard that this node leads.
pub async fn list_shard(
    router: &Router,
    shard: u16,
    namespace_id: &str,
) -> Result<Vec<DeploymentState>, Reject> {
    let group = router.groups().get(u64::from(shard)).map_err(|_| no_leader())?;
    group.read_index().await.map_err(|_| no_leader())?;
    let cluster = router.cluster().borrow().clone();
    let directory = router.deployments().read();
    let states = directory.all().filter(|state| {
        state.key.namespace_id() == namespace_id && cluster.shard_of(state.key.slot()) == Some(shard)
    });
    Ok(states.map(|state| (**state).clone()).collect())
}

/// Looks after versions that drain, for the deployments whose shards this node leads: they have drained when
/// no workflow that runs is pinned to them.
pub async fn watch_drainage(router: Router, times: DrainageTimes) {
    loop {
        tokio::time::sleep(DRAINAGE_LOOKED_EVERY).await;
        for (key, build_id) in due(&router, times) {
            let version = WorkerVersion::new(key.name(), &build_id);
            match count_pinned(&router, key.namespace_id(), &version).await {
                Ok(open) => {
                    let request = DeploymentRequest::Counted { build_id, are_open: open };
                    if let Err(reject) = tell(&router, key, request).await {
                        tracing::debug!(?reject, "a count of pinned workflows was not heard");
                    }
                }
                // It is looked at again soon.
                Err(reject) => tracing::debug!(?reject, "pinned workflows could not be counted"),
            }
        }
    }
}

fn due(router: &Router, times: DrainageTimes) -> Vec<(DeploymentKey, String)> {
    let now = router.clock().time();
    let draining = VersionDrainageStatus::Draining as i32;
    let directory = router.deployments().read();
    let mut due = Vec::new();
    for state in directory.all() {
        let is_here = matches!(router.locate(state.key.namespace_id(), state.key.name()), Place::Here { .. });
        for (build_id, version) in state.versions.iter().filter(|_| is_here) {
            let drainage = version.drainage.as_ref().filter(|drainage| drainage.status == draining);
            if drainage.is_some_and(|drainage| times.is_due(drainage.changed, drainage.checked, now)) {
                due.push((state.key.clone(), build_id.clone()));
            }
        }
    }
    due
}

/// Whether any workflow that runs is pinned to a version.
async fn count_pinned(router: &Router, namespace_id: &str, version: &WorkerVersion) -> Result<bool, Reject> {
    let name = version.colon().replace('\'', "''");
    let query = ListQuery {
        namespace_id: namespace_id.to_owned(),
        query: format!(
            "TemporalWorkerDeploymentVersion = '{name}' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND \
             ExecutionStatus = 'Running'"
        ),
        after: Vec::new(),
        most: 1,
        of: Listed::Workflows,
    };
    Ok(list::count_of_cluster(router, query).await?.total > 0)
}

fn no_leader() -> Reject {
    Reject::Unavailable("the leader of this deployment's shard is being replaced, please retry".into())
}
