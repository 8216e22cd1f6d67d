//! What goes in the log: facts, never requests.
//!
//! The leader decides; replicas fold. New code may decide differently tomorrow, yet an entry written
//! today means the same for ever. Every enum here is appended to, never reordered: bincode stores
//! variants by position. The first release is to leave golden bytes behind that hold us to it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everlog_proto::api::{
    activity::v1::ActivityOptions, common::v1::Payloads, failure::v1::Failure, history::v1::HistoryEvent,
    sdk::v1::UserMetadata, update::v1::Request as UpdateRequest,
};
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    codec::{self, CodecError, Proto},
    deployment::fact::DeploymentChange,
    execution::{ActivityStart, Copied, Execution, MadeByReset, Pause, Sticky},
    key::RunKey,
    nexus::Settled,
    schedule::fact::ScheduleChange,
    shared::Shared,
    standalone::fact::StandaloneChange,
    time::Time,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// An event that takes its place in the history and its effect now.
    Event(Event),
    /// A durable fact that the history does not show.
    Record(Record),
    /// A buffered event that now gets its id; its effect took place when it was buffered.
    Flushed(Event),
}

/// What a record weighs beside the payloads in it, about.
const RECORD_BYTES: usize = 64;

impl Fact {
    /// How much room the fact takes in an entry, about: exact where it can be much.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Fact::Event(event) | Fact::Flushed(event) => event.bytes.len(),
            Fact::Record(Record::Buffered(event)) => event.encoded_len(),
            Fact::Record(Record::UpdateAdmitted { request, .. }) => RECORD_BYTES + request.encoded_len(),
            Fact::Record(Record::ActivityRetry { failure: Some(failure), .. }) => {
                RECORD_BYTES + failure.encoded_len()
            }
            Fact::Record(
                Record::NexusStartFailed { failure: Some(failure), .. }
                | Record::NexusCancelFailed { failure: Some(failure), .. }
                | Record::CallbackTried { failure: Some(failure), .. },
            ) => RECORD_BYTES + failure.encoded_len(),
            Fact::Record(Record::ActivityHeartbeat { details: Some(details), .. }) => {
                RECORD_BYTES + details.encoded_len()
            }
            Fact::Record(_) => RECORD_BYTES,
        }
    }
}

/// A history event with its protobuf bytes: encoded once, then hashed, logged, stored and served as such.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Boxed, because an event takes two kilobytes whatever it says, and facts are moved about.
    pub event: Box<HistoryEvent>,
    pub bytes: Bytes,
}

impl Event {
    pub fn new(event: HistoryEvent) -> Event {
        let bytes = event.encode_to_vec().into();
        Event { event: Box::new(event), bytes }
    }

    /// An event as it was stored.
    pub fn of_bytes(bytes: Bytes) -> Result<Event, prost::DecodeError> {
        Ok(Event { event: Box::new(HistoryEvent::decode(bytes.clone())?), bytes })
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
        let bytes = Bytes::from(serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec());
        Event::of_bytes(bytes).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The request that created this run; with the summary and details that came with it.
    Created {
        request_id: String,
        user_metadata: Option<Proto<UserMetadata>>,
    },
    /// An event that happened while a workflow task was running.
    Buffered(Shared<Proto<HistoryEvent>>),
    /// A buffered event was taken back (a timer cancelled before its firing was shown).
    Unbuffered {
        index: u32,
    },
    /// The next task has this number; above one it is transient, its events not written.
    NextAttempt(i32),
    /// A transient task is owed.
    TransientTask {
        attempt: i32,
        scheduled_time: Time,
    },
    /// A heartbeat carries on the task that was first scheduled at this time.
    OriginalSchedule(Time),
    /// Stickiness set or cleared.
    Sticky(Option<Sticky>),
    /// A sticky task moves to the normal queue without an event.
    TaskMoved {
        queue: String,
    },
    CloseAttempted(bool),
    TaskFailure {
        cause: i32,
    },
    ActivityStarted {
        scheduled_event_id: i64,
        attempt: i32,
        start: ActivityStart,
    },
    ActivityRetry {
        scheduled_event_id: i64,
        attempt: i32,
        scheduled_time: Time,
        interval: Duration,
        failure: Option<Proto<Failure>>,
        at: Time,
    },
    ActivityHeartbeat {
        scheduled_event_id: i64,
        time: Time,
        details: Option<Proto<Payloads>>,
    },
    SignalRequest(String),
    CancelRequest(String),
    RequestAttached {
        request_id: String,
        event_type: i32,
        event_id: i64,
    },
    /// How long the closed run is kept.
    RetainUntil(Time),
    /// The run and all that it wrote are gone.
    Deleted,
    /// An attempt of a transient task ended; nothing is written of it.
    TaskEnded,
    /// Whether this child run waits for its parent to write down that it was started.
    HeldByParent(bool),
    /// The run that was the workflow's latest before this one.
    Follows(String),
    /// A child of this closed run has been dealt with.
    ChildTold {
        initiated_event_id: i64,
    },
    /// The parent of this closed run has heard of it.
    ParentTold,
    /// An activity was paused by hand, or goes on.
    ActivityPaused {
        scheduled_event_id: i64,
        pause: Option<Pause>,
    },
    /// The attempts of an activity are counted from one again.
    ActivityAttemptsReset {
        scheduled_event_id: i64,
    },
    /// An activity was reset by hand; heartbeats tells that the next attempt shall have none of this one's.
    ActivityReset {
        scheduled_event_id: i64,
        heartbeats: bool,
    },
    /// The heartbeats of an activity are forgotten.
    ActivityHeartbeatForgotten {
        scheduled_event_id: i64,
    },
    /// An activity that nobody holds may be handed out at this time, as if nothing had failed before.
    ActivityRescheduled {
        scheduled_event_id: i64,
        scheduled_time: Time,
    },
    /// Other options were set by hand, or the workflow's own again.
    ActivityOptions {
        scheduled_event_id: i64,
        options: Proto<ActivityOptions>,
    },
    /// An update was asked for, and no worker has accepted it yet.
    UpdateAdmitted {
        request: Shared<Proto<UpdateRequest>>,
        time: Time,
    },
    /// Nothing remains of an update that was noted as admitted: it was rejected.
    UpdateForgotten {
        update_id: String,
    },
    /// A reset has made this run out of the events that are there so far: its life begins now.
    MadeByReset {
        copied: Vec<Copied>,
        request_id: String,
        time: Time,
    },
    /// Resetting this run has made another.
    Reset(MadeByReset),
    /// A reset is about to end this run.
    EndsByReset,
    /// A call to start a Nexus operation has failed and will be made again.
    NexusStartFailed {
        scheduled_event_id: i64,
        at: Time,
        failure: Option<Proto<Failure>>,
        next_time: Time,
    },
    /// The same for a call to cancel one.
    NexusCancelFailed {
        scheduled_event_id: i64,
        at: Time,
        failure: Option<Proto<Failure>>,
        next_time: Time,
    },
    /// A callback of this closed run was tried.
    CallbackTried {
        index: u32,
        at: Time,
        failure: Option<Proto<Failure>>,
        next_time: Time,
        settled: Option<Settled>,
    },
    /// The revision of the routing that led the run to its version of the workers.
    RoutedBy(i64),
    /// The version of the workers that the parent is on does not have the child's queue.
    ChildElsewhere {
        initiated_event_id: i64,
    },
}

/// What happened to one run in one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    pub run: RunKey,
    /// The version of the execution that these facts follow.
    pub version: u64,
    pub facts: Vec<Fact>,
    /// The state after these facts, as the leader computed it. Never stored: replicas fold.
    #[serde(skip)]
    pub prepared: Option<Arc<Execution>>,
}

/// What a shard proposes: the changes of one turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    pub changes: Vec<Change>,
    pub schedules: Vec<ScheduleChange>,
    pub deployments: Vec<DeploymentChange>,
    pub standalone: Vec<StandaloneChange>,
}

pub const ENTRY_KIND: u8 = b'E';
const ENTRY_VERSION: u8 = 1;

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(ENTRY_KIND, ENTRY_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, CodecError> {
        codec::decode(ENTRY_KIND, ENTRY_VERSION, bytes)
    }
}
