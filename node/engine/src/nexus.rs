//! Nexus operations as their caller's state has them, and the calls that they owe.
//!
//! An operation is scheduled by a command and carried out by a handler behind an endpoint, in another
//! namespace or another system. What is to be called when follows from the state ([`crate::todo`]); the call
//! itself is the shell's, and what came of it comes back as an [`Outcome`]. A call may be made twice, by
//! the leaders before and after a change: handlers know it by its request id, and an outcome counts only for
//! the attempt that it belongs to.

pub mod callback;
pub mod links;

use std::{collections::BTreeMap, time::Duration};

use everlog_proto::api::{
    common::v1::{Link, Payload},
    enums::v1::{
        NexusOperationCancellationState as CancelState, PendingNexusOperationState as State, TimeoutType,
    },
    failure::v1::Failure,
    history::v1::NexusOperationScheduledEventAttributes,
    workflow::v1::{NexusOperationCancellationInfo, PendingNexusOperationInfo},
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Proto,
    execution::Execution,
    nexus::callback::OperationRef,
    time::{Time, set_duration},
};

/// How long a call may take: `component.nexusoperations.request.timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// With less time left an operation is not tried again: `component.nexusoperations.limit.request.timeout.min`.
pub const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(1500);

/// A pending operation. Its input goes from the state once it is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NexusOperation {
    pub scheduled: Proto<NexusOperationScheduledEventAttributes>,
    pub scheduled_time: Time,
    /// Attempts to start it, while one is pending, or to cancel it.
    pub start: Attempts,
    /// Set once a handler has begun to work on it; it may then take as long as it likes.
    pub started_time: Option<Time>,
    pub operation_token: String,
    pub cancel: Option<NexusCancel>,
}

/// A cancel request for an operation, on its way to the handler once the operation is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NexusCancel {
    pub requested_event_id: i64,
    pub requested_time: Time,
    pub attempts: Attempts,
    /// Delivered or refused for good.
    pub settled: Option<Settled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    Succeeded,
    Failed,
}

/// Attempts at one call, repeated with growing pauses for as long as they fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// Those that are over.
    pub made: i32,
    pub last_complete_time: Option<Time>,
    pub last_failure: Option<Proto<Failure>>,
    /// When the next one may be made.
    pub next_time: Time,
}

impl Attempts {
    /// The next of them may be made at this time.
    pub fn from(next_time: Time) -> Attempts {
        Attempts { next_time, ..Attempts::default() }
    }

    pub fn succeed(&mut self, at: Time) {
        self.made += 1;
        self.last_complete_time = Some(at);
        self.last_failure = None;
    }

    pub fn fail(&mut self, at: Time, failure: Option<Proto<Failure>>, next_time: Time) {
        self.made += 1;
        self.last_complete_time = Some(at);
        self.last_failure = failure;
        self.next_time = next_time;
    }

    pub fn is_backing_off(&self, now: Time) -> bool {
        self.made > 0 && self.next_time > now
    }
}

/// A call to a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub endpoint_id: String,
    pub endpoint: String,
    pub service: String,
    pub operation: String,
    pub header: BTreeMap<String, String>,
    pub what: CallOf,
    /// The answer is of no use after this time.
    pub deadline: Option<(Time, TimeoutKind)>,
    /// When the operation as a whole times out.
    pub closes_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CallOf {
    Start {
        request_id: String,
        input: Option<Proto<Payload>>,
        /// Handed to the handler, who hands it back with the operation's end.
        callback: OperationRef,
        /// How long the operation may take once it is started.
        operation_timeout: Option<Duration>,
    },
    Cancel {
        operation_token: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeoutKind {
    ScheduleToStart,
    ScheduleToClose,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The operation goes on without us, under this token.
    Started {
        operation_token: String,
        links: Vec<Proto<Link>>,
    },
    Succeeded {
        payload: Option<Proto<Payload>>,
        links: Vec<Proto<Link>>,
    },
    /// The operation itself has failed, or was cancelled.
    Unsuccessful {
        failure: Box<Proto<Failure>>,
        canceled: bool,
    },
    /// The call has failed.
    Error {
        failure: Box<Proto<Failure>>,
        retryable: bool,
    },
    /// There is not enough time left for another call.
    TooLate(TimeoutKind),
    /// The cancel request, or the completion, was taken.
    Taken,
}

impl NexusOperation {
    pub fn is_started(&self) -> bool {
        self.started_time.is_some()
    }

    /// The moment at which it times out, and which of its limits that is.
    pub fn deadline(&self) -> Option<(Time, TimeoutType)> {
        let a = &self.scheduled;
        let from = |start: Time, timeout: &Option<prost_types::Duration>, kind| {
            set_duration(timeout.as_ref()).map(|timeout| (start + timeout, kind))
        };
        let all = from(self.scheduled_time, &a.schedule_to_close_timeout, TimeoutType::ScheduleToClose);
        let phase = match self.started_time {
            None => from(self.scheduled_time, &a.schedule_to_start_timeout, TimeoutType::ScheduleToStart),
            Some(started) => from(started, &a.start_to_close_timeout, TimeoutType::StartToClose),
        };
        // Of two at the same time it is the phase's own.
        phase.into_iter().chain(all).min_by_key(|(time, _)| *time)
    }

    /// The call that is owed next, and from when on.
    pub fn owed(&self) -> Option<(Owed, Time)> {
        if !self.is_started() {
            return Some((Owed::Start(self.start.made), self.start.next_time));
        }
        let cancel = self.cancel.as_ref().filter(|cancel| cancel.settled.is_none())?;
        Some((Owed::Cancel(cancel.attempts.made), cancel.attempts.next_time))
    }

    pub fn info(&self, scheduled_event_id: i64, now: Time) -> PendingNexusOperationInfo {
        let a = &self.scheduled;
        let backs_off = !self.is_started() && self.start.is_backing_off(now);
        let state = match (self.is_started(), backs_off) {
            (true, _) => State::Started,
            (false, true) => State::BackingOff,
            (false, false) => State::Scheduled,
        };
        #[allow(deprecated, reason = "older clients look for the id")]
        PendingNexusOperationInfo {
            endpoint: a.endpoint.clone(),
            service: a.service.clone(),
            operation: a.operation.clone(),
            operation_id: self.operation_token.clone(),
            schedule_to_close_timeout: a.schedule_to_close_timeout,
            schedule_to_start_timeout: a.schedule_to_start_timeout,
            start_to_close_timeout: a.start_to_close_timeout,
            scheduled_time: Some(self.scheduled_time.proto()),
            state: state as i32,
            attempt: self.start.made,
            last_attempt_complete_time: self.start.last_complete_time.map(Time::proto),
            last_attempt_failure: self.start.last_failure.clone().map(|failure| failure.0),
            next_attempt_schedule_time: backs_off.then(|| self.start.next_time.proto()),
            cancellation_info: self.cancel.as_ref().map(|cancel| cancel.info(self.started_time, now)),
            scheduled_event_id,
            operation_token: self.operation_token.clone(),
            ..PendingNexusOperationInfo::default()
        }
    }
}

/// The payload that stands for none.
pub fn null() -> Payload {
    let metadata = [("encoding".to_owned(), b"binary/null".to_vec())].into();
    Payload { metadata, ..Payload::default() }
}

/// Which call an operation owes, with the number of attempts made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Owed {
    Start(i32),
    Cancel(i32),
}

impl NexusCancel {
    fn info(&self, started: Option<Time>, now: Time) -> NexusOperationCancellationInfo {
        // Before the operation is started there is nothing to tell yet.
        let Some(started) = started else { return NexusOperationCancellationInfo::default() };
        let backs_off = self.settled.is_none() && self.attempts.is_backing_off(now);
        let state = match self.settled {
            Some(Settled::Succeeded) => CancelState::Succeeded,
            Some(Settled::Failed) => CancelState::Failed,
            None if backs_off => CancelState::BackingOff,
            None => CancelState::Scheduled,
        };
        NexusOperationCancellationInfo {
            requested_time: Some(self.requested_time.max(started).proto()),
            state: state as i32,
            attempt: self.attempts.made,
            last_attempt_complete_time: self.attempts.last_complete_time.map(Time::proto),
            last_attempt_failure: self.attempts.last_failure.clone().map(|failure| failure.0),
            next_attempt_schedule_time: backs_off.then(|| self.attempts.next_time.proto()),
            blocked_reason: String::new(),
        }
    }
}

/// The call to start an operation of a workflow.
pub fn start_call(execution: &Execution, id: i64) -> Option<Call> {
    let operation = execution.nexus_operations.get(&id).filter(|operation| !operation.is_started())?;
    Some(operation.start_call(OperationRef {
        run: execution.key().clone(),
        scheduled_event_id: id,
        request_id: operation.scheduled.request_id.clone(),
    }))
}

/// The call to cancel an operation of a workflow that is started.
pub fn cancel_call(execution: &Execution, id: i64) -> Option<Call> {
    let operation = execution.nexus_operations.get(&id)?;
    matches!(operation.owed()?, (Owed::Cancel(_), _)).then(|| operation.cancel_call())
}

impl NexusOperation {
    /// The call to start it, with what names it to whoever ends it.
    pub fn start_call(&self, callback: OperationRef) -> Call {
        let a = &self.scheduled;
        let scheduled = self.scheduled_time;
        let by = |timeout: Option<&prost_types::Duration>, kind| {
            set_duration(timeout).map(|timeout| (scheduled + timeout, kind))
        };
        let deadline = by(a.schedule_to_start_timeout.as_ref(), TimeoutKind::ScheduleToStart)
            .or_else(|| by(a.schedule_to_close_timeout.as_ref(), TimeoutKind::ScheduleToClose));
        let what = CallOf::Start {
            request_id: a.request_id.clone(),
            input: a.input.clone().map(Proto),
            callback,
            operation_timeout: set_duration(a.start_to_close_timeout.as_ref()),
        };
        self.call(what, deadline)
    }

    pub fn cancel_call(&self) -> Call {
        let what = CallOf::Cancel { operation_token: self.operation_token.clone() };
        let deadline = self.closes_at().map(|at| (at, TimeoutKind::ScheduleToClose));
        self.call(what, deadline)
    }

    fn call(&self, what: CallOf, deadline: Option<(Time, TimeoutKind)>) -> Call {
        let a = &self.scheduled;
        Call {
            endpoint_id: a.endpoint_id.clone(),
            endpoint: a.endpoint.clone(),
            service: a.service.clone(),
            operation: a.operation.clone(),
            header: a.nexus_header.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            what,
            deadline,
            closes_at: self.closes_at(),
        }
    }

    /// When it times out as a whole.
    fn closes_at(&self) -> Option<Time> {
        let close = set_duration(self.scheduled.schedule_to_close_timeout.as_ref())?;
        Some(self.scheduled_time + close)
    }
}
