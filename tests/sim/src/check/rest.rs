//! Promise (I23): when all is done, nothing is left over: no task waits in a queue, no shard wants to be
//! woken before the retention of its closed runs has passed, no call hangs.

use std::time::Duration;

use everlog_engine::{
    queue::{QueueKey, QueueKind},
    time::Time,
};

use super::{Checked, Evidence};
use crate::{
    machine::QUEUE,
    sim::{NAMESPACE, Violation},
};

/// Far beyond every timer of a program, and before any retention ends.
const QUIET: Duration = Duration::from_secs(60 * 60);

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let sim = evidence.sim;
    for node in &sim.nodes {
        for (shard, shell) in node.shells.iter().enumerate() {
            let wake = shell.shard.wake_at().unwrap_or(Time::NEVER);
            if wake < sim.now + QUIET {
                return wrong(format!(
                    "shard {shard} on node {} wants to wake in {:?}",
                    node.id,
                    wake.since(sim.now)
                ));
            }
            if let Some((call, asker)) = shell.calls.iter().next() {
                return wrong(format!("call {call} of {asker:?} hangs in shard {shard} on node {}", node.id));
            }
        }
        // Elsewhere an offer that came late may wait for the end of its lease.
        let slot = everlog_engine::key::slot(NAMESPACE, QUEUE);
        if node.shells[sim.shard_of_slot(slot)].known_leader != Some(node.id) {
            continue;
        }
        for kind in [QueueKind::Workflow, QueueKind::Activity] {
            let key = QueueKey::unversioned(NAMESPACE, QUEUE, kind);
            let waiting =
                node.queues.describe(sim.now, &key, true).map_or(0, |d| d.stats.approximate_backlog_count);
            if waiting > 0 {
                return wrong(format!("{waiting} tasks wait in {kind:?} on node {}", node.id));
            }
        }
    }
    Ok(())
}

fn wrong(text: String) -> Checked {
    Err(Violation { promise: "at rest nothing is left over (I23)", workflow: None, text })
}
