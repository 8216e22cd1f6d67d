//! Handing an attempt to a worker.

use everlog_proto::api::{common::v1::WorkflowExecution, workflowservice::v1::PollActivityTaskQueueResponse};

use super::record;
use crate::{
    execution::ActivityStart,
    queue::Fairness,
    reply::Reply,
    standalone::{fact::ActivityFact, request::TakeStandaloneActivity, state::Standalone, turn::Turn},
    time::Time,
    token::{TaskToken, TokenTask},
};

/// An attempt that waits for a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed<'a> {
    pub queue: &'a str,
    pub attempt: i32,
    pub stamp: u32,
    pub scheduled_time: Time,
    pub priority: i32,
    pub fairness: Fairness,
}

/// What is to be offered to a queue at `now`.
pub fn owed(state: &Standalone, now: Time) -> Option<Owed<'_>> {
    let body = state.activity().filter(|_| state.is_running())?;
    let scheduled_time = super::dispatch_time(body).filter(|at| *at <= now)?;
    let activity = &body.activity;
    Some(Owed {
        queue: activity.queue(),
        attempt: activity.attempt,
        stamp: activity.stamp,
        scheduled_time,
        priority: activity.scheduled.priority.as_ref().map_or(0, |priority| priority.priority_key),
        fairness: Fairness::of(activity.scheduled.priority.as_ref()),
    })
}

/// A poller wants an attempt that was offered. The same poller asking again is given the same answer.
pub fn take(turn: &mut Turn<'_>, take: &TakeStandaloneActivity) -> Reply {
    let now = turn.stamp.now;
    let Some(body) = turn.state.activity().filter(|_| turn.state.is_running()) else {
        return Reply::TaskGone;
    };
    let activity = &body.activity;
    if activity.attempt != take.attempt {
        return Reply::TaskGone;
    }
    match &activity.started {
        Some(start) if start.request_id != take.request_id => return Reply::TaskGone,
        Some(_) => {}
        // Whatever was offered before somebody paused or changed it is void.
        None if activity.is_paused() || activity.stamp != take.stamp => return Reply::TaskGone,
        None if activity.scheduled_time > now => return Reply::TaskGone,
        None => {
            let start = ActivityStart {
                time: now,
                identity: take.identity.clone(),
                request_id: take.request_id.clone(),
                build_id: take.build_id.clone(),
                version: None,
            };
            let attempt = activity.attempt;
            let (sdk_name, sdk_version) = (take.sdk_name.clone(), take.sdk_version.clone());
            record(turn, ActivityFact::Started { attempt, start, sdk_name, sdk_version });
        }
    }
    task(&turn.state).map_or(Reply::TaskGone, |task| Reply::ActivityTask(Box::new(task)))
}

/// The attempt that a worker holds, as it is told to that worker.
fn task(state: &Standalone) -> Option<PollActivityTaskQueueResponse> {
    let body = state.activity()?;
    let activity = &body.activity;
    let start = activity.started.as_ref()?;
    let token = TaskToken {
        run: state.run.run.clone(),
        task: TokenTask::StandaloneActivity {
            attempt: activity.attempt,
            started: start.time,
            request_id: start.request_id.clone(),
            generation: activity.generation,
        },
    };
    let scheduled = &activity.scheduled;
    Some(PollActivityTaskQueueResponse {
        task_token: token.encode(),
        workflow_execution: Some(WorkflowExecution::default()),
        activity_type: scheduled.activity_type.clone(),
        activity_id: scheduled.activity_id.clone(),
        header: state.given.header.clone().map(|header| header.0),
        input: state.given.input.clone().map(|input| input.0),
        heartbeat_details: activity.heartbeat_details.clone().map(|details| details.0),
        scheduled_time: Some(state.start_time.proto()),
        current_attempt_scheduled_time: Some(activity.scheduled_time.proto()),
        started_time: Some(start.time.proto()),
        attempt: activity.attempt,
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy.clone(),
        priority: scheduled.priority.clone(),
        activity_run_id: state.run_id().to_owned(),
        ..Default::default()
    })
}
