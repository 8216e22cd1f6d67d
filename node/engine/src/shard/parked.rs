//! Workflows that wait for a worker, without an actor.
//!
//! A task that no worker comes for needs nothing of its run but to be offered again from time to time. A
//! hundred thousand of them, while workers are away or slow, must not keep a hundred thousand states in
//! memory. So an actor that only waits for a queue may be dropped as any idle one; what is kept is which
//! tasks were offered and when that is to be repeated.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    OfferedTask,
    actor::{Actor, Offered},
    offers::put_off,
};
use crate::{
    key::{RunKey, WorkflowKey},
    time::Time,
};

/// The offers of one run. Nearly always one.
type Offers = Vec<(OfferedTask, Offered)>;

#[derive(Debug)]
struct Parked {
    offers: Vec<(Arc<str>, Offers)>,
    /// When the workflow is to be looked at, as the shard's index of wake-ups has it.
    wake: Option<Time>,
}

#[derive(Debug, Default)]
pub(super) struct Parking {
    workflows: BTreeMap<WorkflowKey, Parked>,
}

impl Parking {
    pub(super) fn contains(&self, workflow: &WorkflowKey) -> bool {
        self.workflows.contains_key(workflow)
    }

    pub(super) fn clear(&mut self) {
        self.workflows.clear();
    }

    /// Keeps what an idle actor has offered. False if it has offered nothing.
    pub(super) fn park(&mut self, actor: Actor) -> bool {
        let Actor { workflow, runs, wake, .. } = actor;
        let offers: Vec<(Arc<str>, Offers)> = runs
            .into_iter()
            .filter(|(_, run)| !run.offered.is_empty())
            .map(|(id, run)| (id, run.offered.into_iter().collect()))
            .collect();
        let has_offers = !offers.is_empty();
        if has_offers {
            self.workflows.insert(workflow, Parked { offers, wake });
        }
        has_offers
    }

    /// Gives an actor that is in memory again what it had offered. Its runs are loaded by `load`.
    pub(super) fn unpark(&mut self, actor: &mut Actor, mut load: impl FnMut(&mut Actor, &str)) {
        let Some(parked) = self.workflows.remove(&actor.workflow) else { return };
        actor.wake = parked.wake;
        for (run_id, offers) in parked.offers {
            load(actor, &run_id);
            if let Some(run) = actor.runs.get_mut(&run_id) {
                run.offered = offers.into_iter().collect();
            }
        }
    }

    /// A queue refused a task of this run.
    pub(super) fn offer_again(&mut self, now: Time, run: &RunKey, wakes: &mut BTreeSet<(Time, WorkflowKey)>) {
        let Some(parked) = self.workflows.get_mut(&run.workflow) else { return };
        let of_run = parked.offers.iter_mut().filter(|(id, _)| *id == run.run_id);
        let offered = of_run.flat_map(|(_, offers)| offers.iter_mut().map(|(_, offered)| offered));
        let Some(again_at) = put_off(offered, now) else { return };
        parked.look_at(parked.wake.map_or(again_at, |wake| wake.min(again_at)), &run.workflow, wakes);
    }

    /// Everything is to be offered anew, now.
    pub(super) fn forget_offers(&mut self, now: Time, wakes: &mut BTreeSet<(Time, WorkflowKey)>) {
        for (workflow, parked) in &mut self.workflows {
            parked.offers.clear();
            parked.look_at(now, workflow, wakes);
        }
    }
}

impl Parked {
    fn look_at(&mut self, at: Time, workflow: &WorkflowKey, wakes: &mut BTreeSet<(Time, WorkflowKey)>) {
        if let Some(old) = self.wake.replace(at) {
            wakes.remove(&(old, workflow.clone()));
        }
        wakes.insert((at, workflow.clone()));
    }
}
