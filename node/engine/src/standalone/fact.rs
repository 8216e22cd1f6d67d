//! What happens to a run, as the log has it, and what it means for the state. Like all that is stored, the
//! enums are appended to and never reordered.

use std::{sync::Arc, time::Duration};

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    common::v1::{Link, Payloads},
    failure::v1::Failure,
    history::v1::{ActivityTaskScheduledEventAttributes, NexusOperationScheduledEventAttributes},
};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{
    key::StandaloneRun,
    state::{
        ActivityBody, Body, CancelRequest, Given, OperationBody, Outcome, ResetRequest, Standalone, Status,
    },
};
use crate::{
    codec::Proto,
    execution::{Activity, ActivityStart, Pause},
    nexus::{Attempts, NexusCancel, NexusOperation, Settled},
    shared::Shared,
    time::Time,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StandaloneFact {
    Created(Box<Creation>),
    LinksAttached {
        request_id: String,
        links: Vec<Proto<Link>>,
    },
    CancelRequested(CancelRequest),
    Closed(Box<Closing>),
    /// Nothing is left of it.
    Deleted,
    Activity(ActivityFact),
    Operation(OperationFact),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Creation {
    pub at: Time,
    pub request_id: String,
    pub given: Given,
    pub links: Vec<Proto<Link>>,
    pub subject: Subject,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Subject {
    /// The attributes without input and header, which are in [`Given`].
    Activity {
        scheduled: Proto<ActivityTaskScheduledEventAttributes>,
        start_delay: Option<Duration>,
    },
    Operation {
        scheduled: Proto<NexusOperationScheduledEventAttributes>,
        identity: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    pub at: Time,
    pub status: Status,
    pub outcome: Outcome,
    /// If it was terminated, by which request.
    pub terminate_request_id: String,
    pub retain_until: Time,
}

/// What happens to an activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActivityFact {
    Started {
        attempt: i32,
        start: ActivityStart,
        sdk_name: String,
        sdk_version: String,
    },
    Heartbeat {
        time: Time,
        details: Option<Proto<Payloads>>,
    },
    /// An attempt is over, whoever said so; the activity may be, too.
    AttemptEnded {
        at: Time,
        /// Whoever reported it.
        identity: Option<String>,
        /// None if it succeeded; a failure without any reason is inside.
        failure: Option<Option<Proto<Failure>>>,
    },
    /// There will be another.
    Retry {
        attempt: i32,
        scheduled_time: Time,
        interval: Duration,
    },
    Paused(Pause),
    /// It goes on. A time says that its next attempt may run then, and no longer waits for a back-off.
    Unpaused {
        scheduled_time: Option<Time>,
    },
    ResetRequested(ResetRequest),
    /// Attempts are counted from one again.
    Reset {
        scheduled_time: Time,
        drops_heartbeats: bool,
        keeps_pause: bool,
    },
    Options {
        options: Proto<ActivityOptions>,
        start_delay: Option<Duration>,
        scheduled_time: Time,
        interval: Option<Duration>,
    },
}

/// What happens to a Nexus operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OperationFact {
    /// A call to start it has failed, and is followed by another.
    StartFailed {
        at: Time,
        failure: Option<Proto<Failure>>,
        next_time: Time,
    },
    /// A handler works on it.
    Started {
        /// When that was heard.
        at: Time,
        started: Time,
        operation_token: String,
    },
    /// A call to start it was the last: it is over with that.
    StartEnded {
        at: Time,
        /// None if it succeeded.
        failure: Option<Proto<Failure>>,
    },
    CancelFailed {
        at: Time,
        failure: Option<Proto<Failure>>,
        next_time: Time,
    },
    CancelSettled {
        at: Time,
        /// None if the handler has taken it.
        failure: Option<Proto<Failure>>,
    },
    /// This run says how it ended.
    CompletedBy {
        run_id: String,
    },
}

/// What a fact weighs beside the payloads in it, about.
const FACT_BYTES: usize = 64;

impl StandaloneFact {
    /// How much room the fact takes in an entry, about: exact where it can be much.
    pub fn weight_bytes(&self) -> usize {
        let payloads = match self {
            StandaloneFact::Created(creation) => {
                let given = creation.given.input.as_ref().map_or(0, |input| input.encoded_len());
                let subject = match &creation.subject {
                    Subject::Activity { .. } => 0,
                    Subject::Operation { scheduled, .. } => scheduled.encoded_len(),
                };
                given + subject + creation.given.header.as_ref().map_or(0, |header| header.encoded_len())
            }
            StandaloneFact::Closed(closing) => {
                let result = closing.outcome.result.as_ref().map_or(0, |result| result.encoded_len());
                result + closing.outcome.failure.as_ref().map_or(0, |failure| failure.encoded_len())
            }
            StandaloneFact::Activity(ActivityFact::Heartbeat { details: Some(details), .. }) => {
                details.encoded_len()
            }
            StandaloneFact::Activity(ActivityFact::AttemptEnded { failure: Some(Some(failure)), .. }) => {
                failure.encoded_len()
            }
            StandaloneFact::Operation(
                OperationFact::StartFailed { failure: Some(failure), .. }
                | OperationFact::StartEnded { failure: Some(failure), .. }
                | OperationFact::CancelFailed { failure: Some(failure), .. }
                | OperationFact::CancelSettled { failure: Some(failure), .. },
            ) => failure.encoded_len(),
            _ => 0,
        };
        FACT_BYTES + payloads
    }
}

/// What happened to one run in one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StandaloneChange {
    pub run: StandaloneRun,
    /// The version of the state that these facts follow.
    pub version: u64,
    pub facts: Vec<StandaloneFact>,
    /// The state after these facts, as the leader computed it. Never stored: replicas fold.
    #[serde(skip)]
    pub prepared: Option<Arc<Standalone>>,
}

pub fn evolve_change(state: &mut Standalone, change: &StandaloneChange) {
    for fact in &change.facts {
        evolve(state, fact);
    }
    state.version += 1;
}

/// Never fails: what was committed has happened.
pub fn evolve(state: &mut Standalone, fact: &StandaloneFact) {
    state.transitions += 1;
    match fact {
        StandaloneFact::Created(creation) => create(state, creation),
        StandaloneFact::LinksAttached { request_id, links } => {
            state.links.push((request_id.clone(), links.clone()));
        }
        StandaloneFact::CancelRequested(request) => {
            state.cancel = Some(request.clone());
            if let Some(body) = state.operation_mut() {
                body.operation.cancel = Some(NexusCancel {
                    requested_time: request.time,
                    attempts: Attempts::from(request.time),
                    ..NexusCancel::default()
                });
            }
        }
        StandaloneFact::Closed(closing) => {
            state.status = closing.status;
            state.close_time = Some(closing.at);
            state.outcome = Some(closing.outcome.clone().into());
            state.terminate_request_id = closing.terminate_request_id.clone();
            state.retain_until = Some(closing.retain_until);
        }
        StandaloneFact::Deleted => state.deleted = true,
        StandaloneFact::Activity(fact) => {
            let start_time = state.start_time;
            if let Some(body) = state.activity_mut() {
                evolve_activity(body, start_time, fact);
            }
        }
        StandaloneFact::Operation(fact) => {
            if let Some(body) = state.operation_mut() {
                evolve_operation(body, fact);
            }
        }
    }
}

fn create(state: &mut Standalone, creation: &Creation) {
    state.create_request_id = creation.request_id.clone();
    state.start_time = creation.at;
    state.given = creation.given.clone().into();
    if !creation.links.is_empty() {
        state.links = vec![(creation.request_id.clone(), creation.links.clone())];
    }
    state.body = match &creation.subject {
        Subject::Activity { scheduled, start_delay } => {
            let first = creation.at + start_delay.unwrap_or_default();
            Body::Activity(Shared::from(ActivityBody {
                activity: Activity {
                    scheduled: scheduled.clone(),
                    first_scheduled_time: first,
                    scheduled_time: first,
                    attempt: 1,
                    ..Activity::default()
                },
                start_delay: *start_delay,
                original_start_delay: *start_delay,
                ..ActivityBody::default()
            }))
        }
        Subject::Operation { scheduled, identity } => Body::Operation(Shared::from(OperationBody {
            operation: NexusOperation {
                scheduled: scheduled.clone(),
                scheduled_time: creation.at,
                start: Attempts::from(creation.at),
                ..NexusOperation::default()
            },
            identity: identity.clone(),
            ..OperationBody::default()
        })),
    };
}

fn evolve_operation(body: &mut OperationBody, fact: &OperationFact) {
    let operation = &mut body.operation;
    match fact {
        OperationFact::StartFailed { at, failure, next_time } => {
            operation.start.fail(*at, failure.clone(), *next_time);
        }
        OperationFact::Started { at, started, operation_token } => {
            operation.start.succeed(*at);
            operation.started_time = Some(*started);
            operation.operation_token = operation_token.clone();
            if let Some(cancel) = &mut operation.cancel {
                cancel.attempts.next_time = *at;
            }
        }
        OperationFact::StartEnded { at, failure } => match failure {
            Some(_) => operation.start.fail(*at, failure.clone(), Time::NEVER),
            // What the real server tells of the last attempt is then that of the one before.
            None => {
                operation.start.made += 1;
                operation.start.next_time = Time::NEVER;
            }
        },
        OperationFact::CancelFailed { at, failure, next_time } => {
            if let Some(cancel) = &mut operation.cancel {
                cancel.attempts.fail(*at, failure.clone(), *next_time);
            }
        }
        OperationFact::CancelSettled { at, failure } => {
            if let Some(cancel) = &mut operation.cancel {
                match failure {
                    None => cancel.attempts.succeed(*at),
                    Some(_) => cancel.attempts.fail(*at, failure.clone(), Time::NEVER),
                }
                let succeeded = failure.is_none();
                cancel.settled = Some(if succeeded { Settled::Succeeded } else { Settled::Failed });
            }
        }
        OperationFact::CompletedBy { run_id } => body.completed_by = run_id.clone(),
    }
}

fn evolve_activity(body: &mut ActivityBody, start_time: Time, fact: &ActivityFact) {
    let activity = &mut body.activity;
    match fact {
        ActivityFact::Started { attempt, start, sdk_name, sdk_version } => {
            if activity.attempt == *attempt {
                activity.start(start);
                body.sdk_name = sdk_name.clone();
                body.sdk_version = sdk_version.clone();
            }
        }
        ActivityFact::Heartbeat { time, details } => {
            activity.heartbeat_time = Some(*time);
            activity.heartbeat_details = details.clone();
            body.heartbeats += 1;
        }
        ActivityFact::AttemptEnded { at, identity, failure } => {
            activity.last_attempt_complete_time = Some(*at);
            activity.forget_attempt();
            if let Some(identity) = identity {
                activity.last_identity = identity.clone();
            }
            if let Some(failure) = failure {
                activity.last_failure = failure.clone();
            }
        }
        ActivityFact::Retry { attempt, scheduled_time, interval } => {
            activity.attempt = *attempt;
            activity.scheduled_time = *scheduled_time;
            activity.retry_interval = Some(*interval);
        }
        ActivityFact::Paused(pause) => {
            activity.pause = Some(pause.clone());
            activity.stamp += 1;
        }
        ActivityFact::Unpaused { scheduled_time } => {
            activity.pause = None;
            activity.stamp += 1;
            if let Some(scheduled_time) = scheduled_time {
                activity.scheduled_time = *scheduled_time;
                activity.retry_interval = None;
            }
        }
        ActivityFact::ResetRequested(reset) => body.reset = Some(*reset),
        ActivityFact::Reset { scheduled_time, drops_heartbeats, keeps_pause } => {
            activity.attempt = 1;
            activity.generation += 1;
            activity.stamp += 1;
            activity.scheduled_time = *scheduled_time;
            activity.retry_interval = None;
            if *drops_heartbeats {
                (activity.heartbeat_time, activity.heartbeat_details) = (None, None);
            }
            if !keeps_pause {
                activity.pause = None;
            }
            body.reset = None;
        }
        ActivityFact::Options { options, start_delay, scheduled_time, interval } => {
            if body.activity.original_options.is_none() {
                let original = options_of(body);
                body.activity.original_options = Some(Proto(original));
            }
            let activity = &mut body.activity;
            let scheduled = &mut activity.scheduled.0;
            scheduled.task_queue = options.task_queue.clone();
            scheduled.schedule_to_close_timeout = options.schedule_to_close_timeout;
            scheduled.schedule_to_start_timeout = options.schedule_to_start_timeout;
            scheduled.start_to_close_timeout = options.start_to_close_timeout;
            scheduled.heartbeat_timeout = options.heartbeat_timeout;
            scheduled.retry_policy = options.retry_policy.clone();
            scheduled.priority = options.priority.clone();
            activity.first_scheduled_time = start_time + start_delay.unwrap_or_default();
            activity.scheduled_time = *scheduled_time;
            activity.retry_interval = *interval;
            activity.stamp += 1;
            body.start_delay = *start_delay;
        }
    }
}

/// The options as they count now.
pub(super) fn options_of(body: &ActivityBody) -> ActivityOptions {
    let scheduled = &body.activity.scheduled;
    ActivityOptions {
        task_queue: scheduled.task_queue.clone(),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy.clone(),
        priority: scheduled.priority.clone(),
        ..ActivityOptions::default()
    }
}
