//! Clients that reset workflows, to any workflow task that the current run has completed.

use everlog_engine::{
    execution::event_type,
    key::WorkflowKey,
    request::{Request, ResetTo},
    shard::World,
};
use everlog_proto::api::{
    common::v1::WorkflowExecution, enums::v1::EventType, workflowservice::v1::ResetWorkflowExecutionRequest,
};

use crate::sim::{NAMESPACE, Sim};

/// One in so many goes to the first or the last task, wherever that is, as batches do.
const TO_AN_END_ONE_IN: usize = 3;

impl Sim {
    /// None: the current run has completed no workflow task.
    pub fn reset_request(&mut self, workflow: &str, request_id: &str) -> Option<Request> {
        let key = WorkflowKey::new(NAMESPACE, workflow);
        let truth = &self.logs[self.shard_of(&key)].truth;
        let run_id = World::current(truth, &key)?;
        let events = truth.history(&key.run(&run_id));
        let points: Vec<i64> = events
            .iter()
            .filter(|event| event_type(event) == EventType::WorkflowTaskCompleted)
            .map(|event| event.event_id)
            .collect();
        if points.is_empty() {
            return None;
        }
        let to_an_end = self.random.below(TO_AN_END_ONE_IN) == 0;
        let to = to_an_end.then(|| self.random.pick(&[ResetTo::FirstTask, ResetTo::LastTask]).clone());
        let request = Box::new(ResetWorkflowExecutionRequest {
            workflow_execution: Some(WorkflowExecution { workflow_id: workflow.into(), run_id }),
            workflow_task_finish_event_id: if to_an_end { 0 } else { *self.random.pick(&points) },
            request_id: request_id.into(),
            reason: "back".into(),
            identity: "client".into(),
            ..Default::default()
        });
        Some(Request::Reset { request, to })
    }
}
