//! `reset order 4 run=1 request=r exclude=signal,update priority=2`: back to before an event of the
//! workflow's first run (or the current one). `set-priority order 2`: another option of a running one.

use everlog_proto::api::{
    common::v1::{Priority, WorkflowExecution},
    enums::v1::ResetReapplyExcludeType as Exclude,
    workflow::v1::{
        PostResetOperation, WorkflowExecutionOptions,
        post_reset_operation::{UpdateWorkflowOptions, Variant},
    },
    workflowservice::v1::{ResetWorkflowExecutionRequest, UpdateWorkflowExecutionOptionsRequest},
};
use prost_types::FieldMask;

use super::{Story, word};

impl Story {
    pub(super) fn reset_request(&self, id: &str, words: &[&str]) -> ResetWorkflowExecutionRequest {
        let point = words.get(1).and_then(|point| point.parse().ok()).unwrap_or_default();
        let run_id = word(words, "run").map(|number| self.nth_run(id, number)).unwrap_or_default();
        let excluded = word(words, "exclude").into_iter().flat_map(|names| names.split(','));
        ResetWorkflowExecutionRequest {
            workflow_execution: Some(WorkflowExecution { workflow_id: id.to_owned(), run_id }),
            reason: "again".into(),
            workflow_task_finish_event_id: point,
            request_id: word(words, "request").map_or_else(|| format!("reset-{point}"), str::to_owned),
            reset_reapply_exclude_types: excluded.map(|name| exclude(name) as i32).collect(),
            post_reset_operations: word(words, "priority").map(operation).into_iter().collect(),
            ..Default::default()
        }
    }

    /// The workflow's runs are counted from one, in the order of their start.
    fn nth_run(&self, id: &str, number: &str) -> String {
        let mut runs = self.tables.executions();
        runs.retain(|run| run.workflow_id() == id);
        runs.sort_by_key(|run| (run.start_time, run.close_time.is_none()));
        let index = number.parse::<usize>().unwrap_or(1) - 1;
        runs.get(index).map(|run| run.run_id().to_owned()).unwrap_or_default()
    }
}

#[allow(deprecated, reason = "the real server counts it among those that can be excluded")]
fn exclude(name: &str) -> Exclude {
    match name {
        "signal" => Exclude::Signal,
        "update" => Exclude::Update,
        "nexus" => Exclude::Nexus,
        "cancel" => Exclude::CancelRequest,
        _ => panic!("nothing to exclude: {name}"),
    }
}

fn priority(key: &str) -> (WorkflowExecutionOptions, FieldMask) {
    let priority = Priority { priority_key: key.parse().unwrap_or_default(), ..Default::default() };
    let options = WorkflowExecutionOptions { priority: Some(priority), ..Default::default() };
    (options, FieldMask { paths: vec!["priority".into()] })
}

fn operation(key: &str) -> PostResetOperation {
    let (options, mask) = priority(key);
    let update = UpdateWorkflowOptions { workflow_execution_options: Some(options), update_mask: Some(mask) };
    PostResetOperation { variant: Some(Variant::UpdateWorkflowOptions(update)) }
}

pub(super) fn options_request(words: &[&str]) -> UpdateWorkflowExecutionOptionsRequest {
    let (options, mask) = priority(words.get(1).copied().unwrap_or_default());
    UpdateWorkflowExecutionOptionsRequest {
        workflow_execution_options: Some(options),
        update_mask: Some(mask),
        ..Default::default()
    }
}
