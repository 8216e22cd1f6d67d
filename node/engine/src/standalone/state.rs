//! The state of one run: the fold of its facts.

use std::{collections::BTreeMap, time::Duration};

use everlog_proto::api::{
    common::v1::{Header, Link, Payload, Payloads},
    failure::v1::Failure,
    sdk::v1::UserMetadata,
};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{activity, key::StandaloneRun, operation};
use crate::{
    codec::{self, CodecError, Proto},
    execution::Activity,
    nexus::NexusOperation,
    planted,
    shared::Shared,
    time::Time,
};

pub const STANDALONE_KIND: u8 = b'x';
const STANDALONE_VERSION: u8 = 1;

/// Version 1 of the stored form, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standalone {
    pub run: StandaloneRun,
    /// How many changes this state has folded. An entry names the version it follows.
    pub version: u64,
    /// How many facts: what a long poll has seen.
    pub transitions: i64,
    pub create_request_id: String,
    pub start_time: Time,
    pub status: Status,
    pub close_time: Option<Time>,
    /// It is deleted after this moment, once it has closed.
    pub retain_until: Option<Time>,
    pub deleted: bool,
    pub given: Shared<Given>,
    /// By the request that brought them.
    pub links: Vec<(String, Vec<Proto<Link>>)>,
    pub cancel: Option<CancelRequest>,
    pub terminate_request_id: String,
    pub outcome: Option<Shared<Outcome>>,
    pub body: Body,
}

/// What the start said and nothing changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Given {
    pub input: Option<Proto<Payloads>>,
    pub header: Option<Proto<Header>>,
    pub user_metadata: Option<Proto<UserMetadata>>,
    pub search_attributes: BTreeMap<String, Proto<Payload>>,
}

/// What is particular to a kind. Appended to, never reordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Before the first fact.
    None,
    Activity(Shared<ActivityBody>),
    Operation(Shared<OperationBody>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Running,
    Completed,
    Failed,
    Canceled,
    Terminated,
    TimedOut,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    pub request_id: String,
    pub identity: String,
    pub reason: String,
    pub time: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub result: Option<Proto<Payloads>>,
    /// Set for everything that has not completed.
    pub failure: Option<Proto<Failure>>,
    /// The API's `RetryState`.
    pub retry_state: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityBody {
    /// Its attempts, as those of a workflow's activity. Input and header are in [`Given`], and whether it is to
    /// be cancelled is for every kind to say.
    pub activity: Activity,
    /// The first attempt is put off by so much. That none was given and that none is wanted shows.
    pub start_delay: Option<Duration>,
    /// Heartbeats of all attempts.
    pub heartbeats: i64,
    /// The client of the worker that had the last attempt.
    pub sdk_name: String,
    pub sdk_version: String,
    /// A worker holds an attempt, after which the activity begins anew.
    pub reset: Option<ResetRequest>,
    /// What `activity.original_options` would not tell: the delay that the start gave.
    pub original_start_delay: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationBody {
    /// Its calls, as those of a workflow's operation. The input stays in it, since descriptions show it.
    pub operation: NexusOperation,
    /// Whoever started it.
    pub identity: String,
    /// The run that told how it ended, if one did: what says so again is no other end.
    pub completed_by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequest {
    pub drops_heartbeats: bool,
    pub keeps_pause: bool,
    pub restores_options: bool,
}

impl Standalone {
    /// The state before the first fact.
    pub fn fresh(run: StandaloneRun) -> Standalone {
        Standalone {
            run,
            version: 0,
            transitions: 0,
            create_request_id: String::new(),
            start_time: Time::default(),
            status: Status::Running,
            close_time: None,
            retain_until: None,
            deleted: false,
            given: Shared::default(),
            links: Vec::new(),
            cancel: None,
            terminate_request_id: String::new(),
            outcome: None,
            body: Body::None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.status == Status::Running && !self.deleted
    }

    pub fn id(&self) -> &str {
        self.run.id()
    }

    pub fn run_id(&self) -> &str {
        &self.run.run.run_id
    }

    pub fn activity(&self) -> Option<&ActivityBody> {
        match &self.body {
            Body::Activity(body) => Some(body),
            Body::Operation(_) | Body::None => None,
        }
    }

    pub(super) fn activity_mut(&mut self) -> Option<&mut ActivityBody> {
        match &mut self.body {
            Body::Activity(body) => Some(&mut **body),
            Body::Operation(_) | Body::None => None,
        }
    }

    pub fn operation(&self) -> Option<&OperationBody> {
        match &self.body {
            Body::Operation(body) => Some(body),
            Body::Activity(_) | Body::None => None,
        }
    }

    pub(super) fn operation_mut(&mut self) -> Option<&mut OperationBody> {
        match &mut self.body {
            Body::Operation(body) => Some(&mut **body),
            Body::Activity(_) | Body::None => None,
        }
    }

    /// How often it has changed, for those who wait for a change. That a back-off has passed is one of which
    /// the log knows nothing.
    pub fn changes(&self, now: Time) -> i64 {
        self.transitions + operation::passed_backoffs(self, now)
    }

    /// When a leader that does not have it in memory must look at it: also for a task that is owed already.
    pub fn wake_row(&self) -> Option<Time> {
        if planted::is("standalone_row_missing") && self.is_running() {
            return None;
        }
        self.due(None)
    }

    /// When something falls due, for a leader that has made its offers.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        self.due(Some(now))
    }

    fn due(&self, offered_until: Option<Time>) -> Option<Time> {
        if self.deleted {
            return None;
        }
        if !self.is_running() {
            return self.retain_until;
        }
        let (next, deadline) = match &self.body {
            Body::None => return None,
            Body::Activity(body) => {
                (activity::dispatch_time(body), activity::deadlines(body).map(|(_, at)| at).min())
            }
            Body::Operation(body) => {
                let operation = &body.operation;
                (operation.owed().map(|(_, at)| at), operation.deadline().map(|(at, _)| at))
            }
        };
        let next = next.filter(|at| offered_until.is_none_or(|now| *at > now));
        next.into_iter().chain(deadline).min()
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(STANDALONE_KIND, STANDALONE_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Standalone, CodecError> {
        codec::decode(STANDALONE_KIND, STANDALONE_VERSION, bytes)
    }

    /// What the payloads in it take, about.
    pub fn payload_bytes(&self) -> usize {
        let given = self.given.input.as_ref().map_or(0, |input| input.encoded_len());
        let operation = self.operation().and_then(|body| body.operation.scheduled.input.as_ref());
        let input = given + operation.map_or(0, |input| input.encoded_len());
        let result = self.outcome.as_ref().and_then(|outcome| outcome.result.as_ref());
        input + result.map_or(0, |result| result.encoded_len())
    }

    /// Without messages whose maps have no order: the rest has the same bytes on every member.
    pub fn comparable(&self) -> Standalone {
        let mut bare = self.clone();
        bare.given = Shared::default();
        bare.outcome = None;
        if let Some(body) = bare.activity_mut() {
            body.activity.heartbeat_details = None;
            body.activity.last_failure = None;
        }
        if let Some(body) = bare.operation_mut() {
            let operation = &mut body.operation;
            operation.scheduled.0.nexus_header.clear();
            operation.scheduled.0.input = None;
            operation.start.last_failure = None;
            if let Some(cancel) = &mut operation.cancel {
                cancel.attempts.last_failure = None;
            }
        }
        bare
    }
}
