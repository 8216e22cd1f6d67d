//! Watched whenever a task is handed out: the run is not paused.

use everlog_engine::{key::WorkflowKey, reply::Reply, shard::World};
use everlog_proto::{api::common::v1::WorkflowExecution, prost_types::Timestamp};

use crate::sim::{NAMESPACE, Sim};

const PROMISE: &str = "nothing of a paused run is handed out";

impl Sim {
    /// A leader of old cannot know what others have committed since, so only the one of now is judged. It may
    /// repeat what it has handed out before.
    pub fn handed_out(&mut self, node: usize, shard: usize, reply: &Reply) {
        let (of, started): (&Option<WorkflowExecution>, &Option<Timestamp>) = match reply {
            Reply::WorkflowTask(task) => (&task.response.workflow_execution, &task.response.started_time),
            Reply::ActivityTask(task) => (&task.workflow_execution, &task.started_time),
            _ => return,
        };
        let log = &self.logs[shard];
        let is_led = log.leader == Some(node) && self.nodes[node].shells[shard].leads_in == Some(log.term);
        let is_new = *started == Some(self.nodes[node].clock(self.now).proto());
        let Some(of) = of.as_ref().filter(|_| is_led && is_new) else { return };
        let run = WorkflowKey::new(NAMESPACE, &of.workflow_id).run(&of.run_id);
        if World::execution(&log.truth, &run).is_some_and(|execution| execution.is_paused()) {
            self.fail(PROMISE, Some(&of.workflow_id), format!("{of:?} is paused"));
        }
    }
}
