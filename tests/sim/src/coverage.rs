//! Vacuity gates: a green run means nothing unless the hard cases happened in it.

use std::collections::BTreeMap;

/// What has to come up in a few hundred seeds, or a green run says little.
const REQUIRED: [&str; 100] = [
    "a buffered event got its place",
    "a call to a handler was lost",
    "a call to a handler was made twice",
    "a child was started",
    "a child ended",
    "a child was terminated by its parent's close",
    "a message between workflows was refused and repeated",
    "a signal reached another workflow",
    "a close met an event that its worker had not seen",
    "a completion had a bad command",
    "a completion that closes was refused or got lost",
    "a deployment changed its current version",
    "a first task was taken eagerly by the starter",
    "a heartbeat was refused",
    "a held workflow task timed out",
    "a leader was deposed",
    "a marker was recorded",
    "a message was doubled",
    "a message was lost",
    "a node crashed",
    "a node lost what it had applied since its checkpoint",
    "a node was cut off",
    "a node was paused",
    "a paused workflow was let go on",
    "a workflow was paused while a worker had its task",
    "a proposal of an old term was refused",
    "a proposal was given up by a leader that went on leading",
    "a proposal was lost with its leader",
    "a query met a paused workflow",
    "a query travelled with a workflow task",
    "a query was answered directly",
    "a run was deleted",
    "a run was ended by a reset",
    "a signal was applied again",
    "a signal came too late",
    "a spent token was used again",
    "a stale leader proposed",
    "a stale leader was refused a read barrier",
    "a sticky queue had lost its worker",
    "a sticky task met an empty cache",
    "a sticky task timed out",
    "a task came too late for its poll",
    "a task was handed out to a poller that had gone",
    "a task was lost on its way to the worker",
    "a timer fired",
    "a timer was cancelled",
    "a timer was cancelled after it had fired unseen",
    "a worker crashed",
    "a worker crashed in the middle of a task",
    "a worker lost its cache",
    "a workflow completed",
    "a workflow continued as new",
    "a workflow task came with the completion of the one before",
    "a workflow task failed",
    "a workflow task was abandoned",
    "a workflow task was answered after its time-out",
    "a workflow task was answered twice",
    "a workflow task was completed",
    "a workflow task was transient",
    "a workflow was cancelled",
    "a workflow was retried",
    "a workflow was terminated",
    "an operation was completed",
    "an operation was started",
    "acknowledged: cancel",
    "acknowledged: delete",
    "acknowledged: pause",
    "acknowledged: query",
    "acknowledged: read",
    "acknowledged: reset",
    "acknowledged: reset of stickiness",
    "acknowledged: signal",
    "acknowledged: signal with start",
    "acknowledged: start",
    "acknowledged: start that terminates an existing run",
    "acknowledged: start that uses an existing run",
    "acknowledged: terminate",
    "acknowledged: unpause",
    "acknowledged: update",
    "acknowledged: watch",
    "an update was rejected",
    "an update was accepted and abandoned",
    "an update was applied again",
    "an update took its time",
    "a task that brought only updates was forgotten",
    "an update met a run that was about to end",
    "an update was noted",
    "an activity timed out",
    "an activity was abandoned",
    "an activity was answered twice",
    "an activity was cancelled",
    "an activity was cancelled by its worker",
    "an activity was completed by its id",
    "an activity was retried",
    "an activity was started eagerly",
    "an activity's completion was refused",
    "an answer was lost",
    "an entry was committed although its proposer was deposed",
    "an event was buffered",
    "leader changed while a workflow task was held",
];

#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub fn hit(&mut self, point: &'static str) {
        *self.0.entry(point).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (point, hits) in &other.0 {
            *self.0.entry(point).or_default() += hits;
        }
    }

    /// Hard cases that never came up.
    pub fn missing(&self) -> Vec<&'static str> {
        REQUIRED.into_iter().filter(|point| !self.0.contains_key(point)).collect()
    }

    pub fn all(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }
}
