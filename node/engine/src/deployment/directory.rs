//! All deployments as a node has applied them, and what follows from them: where a task belongs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    name::WorkerVersion,
    state::{DeploymentKey, DeploymentState, PolledQueue},
};
use crate::time::Time;

/// What a run says about the workers that may have one of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placement {
    /// The version that the run is on, if any.
    pub version: Option<WorkerVersion>,
    /// It stays there, whatever the deployment says.
    pub pinned: bool,
    /// Of the routing that brought it there.
    pub revision: i64,
    /// The workflow's own queue, if the task waits at another: a sticky queue, or that of an activity.
    pub normal_queue: String,
}

/// Where tasks that are free go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// None: the workers without a version.
    pub version: Option<WorkerVersion>,
    pub revision: i64,
}

/// Which deployments there are. A soft copy: the rows are the truth.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    deployments: BTreeMap<DeploymentKey, Arc<DeploymentState>>,
    /// Names of the deployments that have a queue, by namespace and queue.
    by_queue: BTreeMap<(String, PolledQueue), BTreeSet<String>>,
}

impl Directory {
    /// Takes in a state that was applied. One that is older than what is known is of no interest.
    pub fn put(&mut self, state: &Arc<DeploymentState>) {
        let before = self.deployments.get(&state.key).cloned();
        if before.as_ref().is_some_and(|before| before.version >= state.version) {
            return;
        }
        if let Some(before) = before {
            self.unlist(&before);
        }
        if state.deleted {
            self.deployments.remove(&state.key);
            return;
        }
        for queue in state.versions.values().flat_map(|version| &version.queues) {
            let key = (state.key.namespace_id().to_owned(), queue.clone());
            self.by_queue.entry(key).or_default().insert(state.key.name().to_owned());
        }
        self.deployments.insert(state.key.clone(), state.clone());
    }

    /// Forgets the deployments of these slots, whose rows are about to be read anew.
    pub fn forget(&mut self, mut is_of: impl FnMut(u16) -> bool) {
        let gone: Vec<_> =
            self.deployments.values().filter(|state| is_of(state.key.slot())).cloned().collect();
        for state in gone {
            self.unlist(&state);
            self.deployments.remove(&state.key);
        }
    }

    fn unlist(&mut self, state: &DeploymentState) {
        for queue in state.versions.values().flat_map(|version| &version.queues) {
            let key = (state.key.namespace_id().to_owned(), queue.clone());
            if let Some(names) = self.by_queue.get_mut(&key) {
                names.remove(state.key.name());
                if names.is_empty() {
                    self.by_queue.remove(&key);
                }
            }
        }
    }

    pub fn get(&self, key: &DeploymentKey) -> Option<&Arc<DeploymentState>> {
        self.deployments.get(key)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<DeploymentState>> {
        self.deployments.values()
    }

    /// Deployments of a namespace.
    pub fn count(&self, namespace_id: &str) -> usize {
        self.deployments.keys().filter(|key| key.namespace_id() == namespace_id).count()
    }

    pub fn has_queue(&self, namespace_id: &str, version: &WorkerVersion, queue: &PolledQueue) -> bool {
        let key = DeploymentKey::new(namespace_id, &version.deployment);
        self.get(&key).is_some_and(|state| state.has_queue(&version.build_id, queue))
    }

    /// Where a free task of this workflow goes in this queue. Of several deployments that have the queue the
    /// one that was changed last decides.
    pub fn target(&self, namespace_id: &str, queue: &PolledQueue, workflow_id: &str) -> Target {
        let states = self.of_queue(namespace_id, queue);
        let ramp = latest(states.iter().filter_map(|state| {
            let routing = &state.head.routing;
            let ramp = routing.ramp.as_ref()?;
            let build_id = ramp.build_id.as_ref().or(routing.current.as_ref())?;
            state.has_queue(build_id, queue).then_some((routing.ramp_changed?, (*state, ramp)))
        }));
        if let Some((state, ramp)) = ramp
            && percentile(workflow_id) < ramp.percentage
        {
            let version = ramp.build_id.as_ref().map(|build_id| state.named(build_id));
            return Target { version, revision: state.head.routing.revision };
        }
        self.current(namespace_id, queue)
    }

    /// Where free tasks go that are not ramped.
    pub fn current(&self, namespace_id: &str, queue: &PolledQueue) -> Target {
        let current = latest(self.of_queue(namespace_id, queue).into_iter().filter_map(|state| {
            let routing = &state.head.routing;
            let build_id = routing.current.as_ref()?;
            state.has_queue(build_id, queue).then_some((routing.current_changed?, (state, build_id)))
        }));
        let target = current.map(|(state, build_id)| Target {
            version: Some(state.named(build_id)),
            revision: state.head.routing.revision,
        });
        target.unwrap_or_default()
    }

    /// The deployment whose ramp counts for a queue, if any does.
    pub fn ramping(&self, namespace_id: &str, queue: &PolledQueue) -> Option<&DeploymentState> {
        latest(self.of_queue(namespace_id, queue).into_iter().filter_map(|state| {
            let routing = &state.head.routing;
            let build_id = routing.ramp.as_ref()?.build_id.as_ref().or(routing.current.as_ref())?;
            state.has_queue(build_id, queue).then_some((routing.ramp_changed?, state))
        }))
    }

    pub fn of_queue(&self, namespace_id: &str, queue: &PolledQueue) -> Vec<&DeploymentState> {
        let names = self.by_queue.get(&(namespace_id.to_owned(), queue.clone()));
        let keys = names.into_iter().flatten().map(|name| DeploymentKey::new(namespace_id, name));
        keys.filter_map(|key| self.deployments.get(&key).map(|state| &**state)).collect()
    }

    /// The version whose workers may have a task of this queue; none for workers without one.
    pub fn lane(
        &self,
        namespace_id: &str,
        queue: &PolledQueue,
        workflow_id: &str,
        is_activity: bool,
        placement: &Placement,
    ) -> Option<WorkerVersion> {
        if let Some(version) = &placement.version
            && placement.pinned
            && (!is_activity || self.has_queue(namespace_id, version, queue))
        {
            return Some(version.clone());
        }
        let target = self.target(namespace_id, queue, workflow_id);
        match (&placement.version, &target.version) {
            // The run has seen a later routing than this node has.
            (Some(on), Some(to))
                if on.deployment == to.deployment && target.revision < placement.revision =>
            {
                Some(on.clone())
            }
            _ => target.version.clone(),
        }
    }
}

fn latest<T>(dated: impl Iterator<Item = (Time, T)>) -> Option<T> {
    dated.max_by_key(|(time, _)| *time).map(|(_, value)| value)
}

/// Where a workflow stands in a ramp: 0 up to 100, always the same, and evenly spread over workflow ids.
fn percentile(workflow_id: &str) -> f32 {
    const PARTS: u64 = 1_000_000;
    let part = xxhash_rust::xxh3::xxh3_64(workflow_id.as_bytes()) % PARTS;
    (part as f64 * 100.0 / PARTS as f64) as f32
}
