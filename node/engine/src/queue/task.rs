//! What waits in a queue: the name of a task, not the task itself.

use serde::{Deserialize, Serialize};

use crate::{
    deployment::Placement,
    key::{RunKey, WorkflowKey},
    shard::OfferedTask,
    time::Time,
};

pub const PRIORITY_MIN: i32 = 1;
pub const PRIORITY_MAX: i32 = 5;
/// What a task without a priority gets: the middle, so that there is room on both sides.
pub const PRIORITY_DEFAULT: i32 = 3;

/// Names one attempt of one task. Two offers with the same key are the same task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskKey {
    pub run: RunKey,
    pub task: OfferedTask,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub key: TaskKey,
    /// The shard that offers the task and that a match is reported to.
    pub shard: u16,
    /// When the task became due. Within a priority the oldest goes first, also after it was offered anew.
    pub queued_at: Time,
    /// The API's priority key: 1 is served first, 0 means that none was given.
    pub priority_key: i32,
    pub fairness: Fairness,
    /// When nobody waits for a Nexus request any more; when a query is too late to wait for a worker to come.
    pub deadline: Option<Time>,
    /// What its run says about the workers that may have it.
    pub placement: Placement,
}

/// With whom a task shares its turns, see [`super::fairness`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    pub key: String,
    /// 0: none was given.
    pub weight: f32,
}

impl Fairness {
    pub fn of(priority: Option<&everlog_proto::api::common::v1::Priority>) -> Fairness {
        priority.map_or_else(Fairness::default, |priority| Fairness {
            key: priority.fairness_key.clone(),
            weight: priority.fairness_weight,
        })
    }
}

impl TaskKey {
    /// A Nexus request is known by its number alone.
    pub fn nexus(namespace_id: &str, id: u64) -> TaskKey {
        TaskKey { run: WorkflowKey::new(namespace_id, "").run(""), task: OfferedTask::Nexus { id } }
    }
}

impl Task {
    /// The priority in force.
    pub fn priority(&self) -> i32 {
        match self.priority_key {
            ..=0 => PRIORITY_DEFAULT,
            key => key.min(PRIORITY_MAX),
        }
    }

    /// Someone waits for the answer to a query, and it costs the worker little: it overtakes the backlog.
    pub(super) fn is_query(&self) -> bool {
        matches!(self.key.task, OfferedTask::Query { .. })
    }
}
