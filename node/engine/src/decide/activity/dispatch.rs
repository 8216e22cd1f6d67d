//! Handing an attempt to a worker.

use everlog_proto::api::{
    common::v1::{Priority, WorkflowExecution},
    workflowservice::v1::PollActivityTaskQueueResponse,
};

use crate::{
    decide::{Decided, workflow_task},
    deployment::WorkerVersion,
    execution::{Activity, ActivityStart, Execution},
    fact::Record,
    reply::Reply,
    request::{Routed, TakeActivityTask},
    token::{TaskToken, TokenTask},
    turn::Turn,
};

/// A poller wants an attempt that was offered. The same poller asking again is given the same answer.
pub fn take(turn: &mut Turn<'_>, take: &TakeActivityTask) -> Decided {
    let now = turn.stamp.now;
    let gone = Ok(Some(Reply::TaskGone));
    let Some(activity) = turn.execution.activities.get(&take.scheduled_event_id) else { return gone };
    if !turn.execution.is_running() || activity.attempt != take.attempt {
        return gone;
    }
    let priority = priority(&turn.execution, activity);
    match &activity.started {
        Some(start) if start.request_id != take.request_id => return gone,
        Some(_) => {}
        // Whatever was offered before somebody paused or changed it is void.
        None if !turn.execution.hands_out() => return gone,
        None if activity.is_paused() || activity.stamp != take.stamp => return gone,
        None if activity.scheduled_time > now => return gone,
        None if must_move_on(turn, &take.routed) => {
            // The run comes to the worker's version by a workflow task first.
            workflow_task::schedule_if_needed(turn);
            return gone;
        }
        None => {
            let start = ActivityStart {
                time: now,
                identity: take.identity.clone(),
                request_id: take.request_id.clone(),
                build_id: take.build_id.clone(),
                version: take.routed.version.clone(),
            };
            begin(turn, take.scheduled_event_id, start);
        }
    }
    let Some(task) = task(&turn.execution, take.scheduled_event_id) else { return gone };
    let task = PollActivityTaskQueueResponse { priority, ..task };
    Ok(Some(Reply::ActivityTask(Box::new(task))))
}

/// Whether a worker of another version than the run is on offers to take an activity that belongs to that
/// version: then the deployment has moved on, and the run has to move first.
fn must_move_on(turn: &Turn<'_>, routed: &Routed) -> bool {
    let versioning = &turn.execution.versioning;
    !routed.independent && !versioning.is_pinned() && versioning.version() != routed.version.as_ref()
}

/// Starts an activity in the turn that scheduled it, for the worker that completes the workflow task. The
/// caller sees to it that the command asked for that and that the limits allow it. None if the activity is
/// gone: cancelled by a later command of the same task, or closed with its run.
pub fn start_eagerly(
    turn: &mut Turn<'_>,
    scheduled_event_id: i64,
    identity: &str,
    request_id: &str,
    build_id: &str,
    version: Option<&WorkerVersion>,
) -> Option<PollActivityTaskQueueResponse> {
    if turn.execution.activities.get(&scheduled_event_id)?.started.is_some() {
        return None;
    }
    let start = ActivityStart {
        time: turn.stamp.now,
        identity: identity.to_owned(),
        request_id: request_id.to_owned(),
        build_id: build_id.to_owned(),
        version: version.cloned(),
    };
    begin(turn, scheduled_event_id, start);
    task(&turn.execution, scheduled_event_id)
}

fn begin(turn: &mut Turn<'_>, scheduled_event_id: i64, start: ActivityStart) {
    let Some(activity) = turn.execution.activities.get(&scheduled_event_id) else { return };
    let attempt = activity.attempt;
    turn.record(Record::ActivityStarted { scheduled_event_id, attempt, start });
}

/// The attempt that a worker holds, as it is told to that worker. The namespace's name is not known here;
/// the frontend fills it in.
fn task(execution: &Execution, scheduled_event_id: i64) -> Option<PollActivityTaskQueueResponse> {
    let activity = execution.activities.get(&scheduled_event_id)?;
    let start = activity.started.as_ref()?;
    let token = TaskToken {
        run: execution.key().clone(),
        task: TokenTask::Activity {
            scheduled_event_id,
            attempt: activity.attempt,
            activity_id: activity.id().to_owned(),
            started: start.time,
            request_id: start.request_id.clone(),
            generation: activity.generation,
        },
    };
    let scheduled = &activity.scheduled;
    // The real server tells workers the time-outs that the workflow set, though others may count.
    let original = activity.original_options();
    Some(PollActivityTaskQueueResponse {
        task_token: token.encode(),
        workflow_type: execution.start.workflow_type.clone(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id: execution.workflow_id().to_owned(),
            run_id: execution.run_id().to_owned(),
        }),
        activity_type: scheduled.activity_type.clone(),
        activity_id: scheduled.activity_id.clone(),
        header: scheduled.header.clone(),
        input: scheduled.input.clone(),
        heartbeat_details: activity.heartbeat_details.clone().map(|details| details.0),
        scheduled_time: Some(activity.first_scheduled_time.proto()),
        current_attempt_scheduled_time: Some(activity.scheduled_time.proto()),
        started_time: Some(start.time.proto()),
        attempt: activity.attempt,
        schedule_to_close_timeout: original.schedule_to_close_timeout,
        start_to_close_timeout: original.start_to_close_timeout,
        heartbeat_timeout: original.heartbeat_timeout,
        retry_policy: scheduled.retry_policy.clone(),
        priority: scheduled.priority.clone(),
        ..Default::default()
    })
}

/// The priority under which an activity waits: its own, and its workflow's where it says nothing.
pub fn priority(execution: &Execution, activity: &Activity) -> Option<Priority> {
    let (workflow, own) = match (&execution.start.priority, &activity.scheduled.priority) {
        (None, own) => return own.clone(),
        (workflow, None) => return workflow.clone(),
        (Some(workflow), Some(own)) => (workflow, own),
    };
    Some(Priority {
        priority_key: if own.priority_key != 0 { own.priority_key } else { workflow.priority_key },
        fairness_key: if own.fairness_key.is_empty() { &workflow.fairness_key } else { &own.fairness_key }
            .clone(),
        fairness_weight: if own.fairness_weight != 0.0 {
            own.fairness_weight
        } else {
            workflow.fairness_weight
        },
    })
}
