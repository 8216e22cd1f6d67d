//! Completion callbacks: whom a workflow tells how it ended, once no run follows.
//!
//! Each is tried until it is taken or refused for good. One that leads back to this cluster completes an
//! operation of another workflow: it is a message between workflows like any other. Others go out by HTTP.

use everlog_proto::api::{
    common::v1::{Callback as ApiCallback, Link, Payload, callback::Variant, link},
    enums::v1::{CallbackState, EventType, TimeoutType},
    failure::v1::{
        ApplicationFailureInfo, CanceledFailureInfo, Failure, TerminatedFailureInfo, TimeoutFailureInfo,
        failure::FailureInfo,
    },
    history::v1::{HistoryEvent, history_event::Attributes},
    workflow::v1::{CallbackInfo, callback_info},
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Attempts, Settled};
use crate::{
    codec,
    codec::Proto,
    execution::Execution,
    key::RunKey,
    standalone::{Kind, StandaloneRun},
    time::Time,
};

/// Where callbacks to operations of this cluster go.
pub const SYSTEM_URL: &str = "temporal://system";
/// The header with the [`OperationRef`].
pub const TOKEN_HEADER: &str = "temporal-callback-token";
/// The header in which a handler may say the operation's token, if the end is told before the start.
pub const OPERATION_TOKEN_HEADER: &str = "nexus-operation-token";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    pub callback: Proto<ApiCallback>,
    pub registered: Time,
    pub attempts: Attempts,
    pub settled: Option<Settled>,
}

/// Names an operation to whoever will complete it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRef {
    pub run: RunKey,
    /// The event of the workflow that scheduled it; of one that runs on its own there is none, which is zero.
    pub scheduled_event_id: i64,
    pub request_id: String,
}

const TOKEN_KIND: u8 = b'B';
const TOKEN_VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

impl OperationRef {
    pub fn on_its_own(run: RunKey, request_id: &str) -> OperationRef {
        OperationRef { run, scheduled_event_id: 0, request_id: request_id.to_owned() }
    }

    /// The operation, if it runs on its own.
    pub fn standalone(&self) -> Option<StandaloneRun> {
        let run = || StandaloneRun { kind: Kind::Operation, run: self.run.clone() };
        (self.scheduled_event_id == 0).then(run)
    }

    /// As the value of a header.
    pub fn encode(&self) -> String {
        let mut bytes = codec::encode(TOKEN_KIND, TOKEN_VERSION, self);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn decode(text: &str) -> Option<OperationRef> {
        let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |n, d| n * 16 + d) as u8).collect();
        let (body, checksum) = bytes.split_at(bytes.len().checked_sub(CHECKSUM_BYTES)?);
        let sound = digits.len().is_multiple_of(2) && xxh3_64(body).to_le_bytes() == checksum;
        sound.then(|| codec::decode(TOKEN_KIND, TOKEN_VERSION, body).ok())?
    }
}

/// What an operation is told when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// None if the token was damaged, or is nobody's.
    pub operation: Option<OperationRef>,
    /// Only needed if the operation does not know that it was started.
    pub operation_token: String,
    pub started: Time,
    pub links: Vec<Proto<Link>>,
    pub end: End,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum End {
    Succeeded(Option<Proto<Payload>>),
    Failed { failure: Box<Proto<Failure>>, canceled: bool },
}

/// A completion for somebody elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posted {
    pub url: String,
    pub header: Vec<(String, String)>,
    pub completion: Completion,
}

impl Posted {
    pub fn new(callback: &Callback, completion: Completion) -> Posted {
        let header = match &callback.callback.variant {
            Some(Variant::Nexus(nexus)) => nexus.header.clone().into_iter().collect(),
            _ => Vec::new(),
        };
        Posted { url: callback.url().to_owned(), header, completion }
    }
}

impl Callback {
    pub fn new(callback: ApiCallback, registered: Time) -> Callback {
        Callback { callback: Proto(callback), registered, ..Callback::default() }
    }

    pub fn url(&self) -> &str {
        match &self.callback.variant {
            Some(Variant::Nexus(nexus)) => &nexus.url,
            _ => "",
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let Some(Variant::Nexus(nexus)) = &self.callback.variant else { return "" };
        let found = nexus.header.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn is_of_this_cluster(&self) -> bool {
        self.url() == SYSTEM_URL
    }

    pub fn info(&self, triggered: bool, now: Time) -> CallbackInfo {
        let backs_off = self.settled.is_none() && self.attempts.is_backing_off(now);
        let state = match self.settled {
            Some(Settled::Succeeded) => CallbackState::Succeeded,
            Some(Settled::Failed) => CallbackState::Failed,
            None if !triggered => CallbackState::Standby,
            None if backs_off => CallbackState::BackingOff,
            None => CallbackState::Scheduled,
        };
        CallbackInfo {
            callback: Some(self.callback.0.clone()),
            trigger: Some(callback_info::Trigger {
                variant: Some(callback_info::trigger::Variant::WorkflowClosed(
                    callback_info::WorkflowClosed {},
                )),
            }),
            registration_time: Some(self.registered.proto()),
            state: state as i32,
            attempt: self.attempts.made,
            last_attempt_complete_time: self.attempts.last_complete_time.map(Time::proto),
            last_attempt_failure: self.attempts.last_failure.clone().map(|failure| failure.0),
            next_attempt_schedule_time: backs_off.then(|| self.attempts.next_time.proto()),
            ..CallbackInfo::default()
        }
    }
}

/// Whether callbacks of this run are to be delivered: it is closed, and no run follows.
pub fn are_triggered(execution: &Execution) -> bool {
    execution.end.is_some()
}

/// What is to be said by a callback of a closed run.
pub fn completion(execution: &Execution, callback: &Callback) -> Option<Completion> {
    Some(Completion {
        operation: OperationRef::decode(callback.header(TOKEN_HEADER)),
        operation_token: callback.header(OPERATION_TOKEN_HEADER).to_owned(),
        started: execution.start_time,
        links: vec![Proto(start_link(execution))],
        end: end(execution.end.as_ref()?)?,
    })
}

/// Points to the first event of a run. The name of its namespace is the shell's to fill in.
fn start_link(execution: &Execution) -> Link {
    let reference = link::workflow_event::EventReference {
        event_id: 1,
        event_type: EventType::WorkflowExecutionStarted as i32,
    };
    Link {
        variant: Some(link::Variant::WorkflowEvent(link::WorkflowEvent {
            namespace: String::new(),
            workflow_id: execution.workflow_id().to_owned(),
            run_id: execution.run_id().to_owned(),
            reference: Some(link::workflow_event::Reference::EventRef(reference)),
        })),
    }
}

/// The end of a workflow as that of an operation. Of several results the first counts.
fn end(event: &HistoryEvent) -> Option<End> {
    let failed = |message: &str, canceled: bool, info: FailureInfo| {
        let failure = Failure { message: message.into(), failure_info: Some(info), ..Failure::default() };
        End::Failed { failure: Box::new(Proto(failure)), canceled }
    };
    Some(match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(a) => {
            End::Succeeded(a.result.as_ref().and_then(|result| result.payloads.first().cloned()).map(Proto))
        }
        Attributes::WorkflowExecutionFailedEventAttributes(a) => {
            End::Failed { failure: Box::new(Proto(a.failure.clone().unwrap_or_default())), canceled: false }
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(a) => {
            let info = CanceledFailureInfo { details: a.details.clone(), ..Default::default() };
            failed("operation canceled", true, FailureInfo::CanceledFailureInfo(info))
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(_) => {
            let info = TimeoutFailureInfo {
                timeout_type: TimeoutType::Unspecified as i32,
                ..TimeoutFailureInfo::default()
            };
            failed("operation exceeded internal timeout", false, FailureInfo::TimeoutFailureInfo(info))
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => failed(
            "operation terminated",
            false,
            FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo::default()),
        ),
        _ => return None,
    })
}

/// Why a completion was not taken, as the descriptions of callbacks tell it.
pub fn refusal(kind: &str, why: &str, retryable: bool) -> Failure {
    let info = ApplicationFailureInfo { non_retryable: !retryable, ..ApplicationFailureInfo::default() };
    Failure {
        message: format!("handler error ({kind}): {why}"),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::WorkflowKey;

    #[test]
    fn a_token_is_whole_or_nothing() {
        let operation = OperationRef {
            run: WorkflowKey::new("n", "w").run("r"),
            scheduled_event_id: 5,
            request_id: "id".into(),
        };
        let text = operation.encode();
        assert_eq!(OperationRef::decode(&text), Some(operation));
        for damaged in ["", "0", "zz", &text[1..], &text[..text.len() - 2], &text.replace('5', "6")] {
            assert_eq!(OperationRef::decode(damaged), None, "{damaged}");
        }
    }
}
