//! The state of one schedule: the fold of its facts.
//!
//! What clients gave (the definition, memo, search attributes, results) is kept as the bytes that the log
//! carries: messages with maps have no one encoding, and replicas must write the same bytes. What the engine
//! changes itself (paused, notes, remaining actions) is kept beside it.

use std::{collections::BTreeMap, fmt, time::Duration};

use everlog_proto::api::schedule::v1::Schedule;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, CodecError},
    key::WorkflowKey,
    planted,
    time::Time,
};

pub const SCHEDULE_KIND: u8 = b'S';
const SCHEDULE_VERSION: u8 = 1;

/// Request ids of updates and patches that are remembered.
pub const REQUEST_IDS_MAX: usize = 100;
/// Actions that a description shows.
pub const RECENT_ACTIONS_MAX: usize = 10;

/// Bytes of a message as they were given.
pub type Given = serde_bytes::ByteBuf;

/// Which schedule. Its id is hashed to a slot as workflow ids are, but names another thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScheduleKey(WorkflowKey);

impl ScheduleKey {
    pub fn new(namespace_id: &str, schedule_id: &str) -> ScheduleKey {
        ScheduleKey(WorkflowKey::new(namespace_id, schedule_id))
    }

    pub fn namespace_id(&self) -> &str {
        &self.0.namespace_id
    }

    pub fn schedule_id(&self) -> &str {
        &self.0.workflow_id
    }

    pub fn slot(&self) -> u16 {
        self.0.slot()
    }
}

impl fmt::Debug for ScheduleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {:?}", self.0)
    }
}

/// Version 1 of the stored form, frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    pub key: ScheduleKey,
    pub version: u64,
    /// The namespace's name at the creation, with which the schedule signs.
    pub namespace: String,
    /// Names this creation: a schedule that is created again under the same id is another one.
    pub incarnation: String,
    /// Specification, action and policies, canonical. Their `state` is in `flags`.
    pub definition: Given,
    pub flags: Flags,
    pub memo: BTreeMap<String, Given>,
    pub search_attributes: BTreeMap<String, Given>,
    pub create_request_id: String,
    pub request_ids: Vec<String>,
    pub conflict_token: i64,
    pub create_time: Time,
    pub update_time: Option<Time>,
    /// Times up to here have had their consequences.
    pub last_processed: Time,
    /// The number of the next start.
    pub next_start: u64,
    /// Starts that were due and wait for their turn.
    pub buffered: Vec<BufferedStart>,
    /// Starts that were decided and that another shard has not answered yet.
    pub launching: Vec<Launch>,
    /// Workflows that count as running, by the first run of their chain.
    pub running: Vec<Running>,
    pub recent: Vec<Action>,
    pub backfills: Vec<Backfill>,
    pub counts: Counts,
    pub last_result: Option<Given>,
    pub last_failure: Option<Given>,
    /// When the schedule has to be looked at again, if nothing happens before.
    pub wake: Option<Time>,
    /// The next times, as lists show them.
    pub future: Vec<Time>,
    /// Deleted or finished; kept so long for callers who ask again.
    pub closed_until: Option<Time>,
    /// Nothing is left of it.
    pub forgotten: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    pub notes: String,
    pub paused: bool,
    pub limited_actions: bool,
    pub remaining_actions: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub actions: i64,
    pub missed: i64,
    pub skipped: i64,
    pub dropped: i64,
}

/// A start that is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BufferedStart {
    pub number: u64,
    pub nominal: Time,
    /// The nominal time as moved by jitter.
    pub at: Time,
    /// The API's `ScheduleOverlapPolicy` as given; zero means the schedule's own, whatever it is by then.
    pub overlap: i32,
    /// Triggered or backfilled: neither a pause nor a limit of actions keeps it back.
    pub manual: bool,
}

/// A start on its way. Its request id makes sure that it happens once, however often it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub start: BufferedStart,
    pub workflow_id: String,
    pub request_id: String,
    /// The workflow counts as running, and what comes of it is carried on.
    pub tracked: bool,
    /// A start that has not been answered by then is given up.
    pub give_up_at: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub workflow_id: String,
    /// The first run of the chain.
    pub run_id: String,
    pub stop: Option<Stop>,
}

/// A running workflow has to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub terminate: bool,
    /// It has been told.
    pub told: bool,
}

/// An action that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub at: Time,
    pub taken: Time,
    pub workflow_id: String,
    pub run_id: String,
    /// The API's `WorkflowExecutionStatus`, as far as it is known.
    pub status: i32,
}

/// Times of the past that are to be acted upon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// Times after this moment are still to come.
    pub after: Time,
    pub until: Time,
    pub overlap: i32,
}

impl ScheduleState {
    /// The state before the first fact.
    pub fn fresh(key: ScheduleKey) -> ScheduleState {
        ScheduleState {
            key,
            version: 0,
            namespace: String::new(),
            incarnation: String::new(),
            definition: Given::new(),
            flags: Flags::default(),
            memo: BTreeMap::new(),
            search_attributes: BTreeMap::new(),
            create_request_id: String::new(),
            request_ids: Vec::new(),
            conflict_token: 0,
            create_time: Time::default(),
            update_time: None,
            last_processed: Time::default(),
            next_start: 1,
            buffered: Vec::new(),
            launching: Vec::new(),
            running: Vec::new(),
            recent: Vec::new(),
            backfills: Vec::new(),
            counts: Counts::default(),
            last_result: None,
            last_failure: None,
            wake: None,
            future: Vec::new(),
            closed_until: None,
            forgotten: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.closed_until.is_none() && !self.forgotten
    }

    /// The definition as a message. What was accepted once can be decoded.
    pub fn schedule(&self) -> Schedule {
        Schedule::decode(&self.definition[..]).unwrap_or_default()
    }

    /// Whether somebody has to be asked for something: a leader does not let it out of its sight.
    pub fn owes(&self) -> bool {
        let launches = !self.launching.is_empty() && !planted::is("launch_forgotten");
        let waits = !self.buffered.is_empty() && !self.running.is_empty();
        let stops = self.running.iter().any(|running| running.stop.is_some_and(|stop| !stop.told));
        let watches = !self.running.is_empty() && self.pauses_on_failure();
        self.is_open() && (launches || waits || stops || watches)
    }

    /// When a leader that does not have it in memory must look at it.
    pub fn wake_row(&self) -> Option<Time> {
        if self.forgotten {
            None
        } else if self.closed_until.is_some() {
            self.closed_until
        } else if self.owes() {
            Some(Time(0))
        } else {
            self.wake
        }
    }

    pub fn pauses_on_failure(&self) -> bool {
        self.schedule().policies.is_some_and(|policies| policies.pause_on_failure)
    }

    /// The moment from which an idle schedule's time to live is counted.
    pub fn last_event(&self) -> Time {
        let acted = self.recent.last().map(|action| action.taken);
        [Some(self.create_time), self.update_time, acted].into_iter().flatten().max().unwrap_or_default()
    }

    /// Whether an action may be taken: by the calendar, or because somebody wants it now.
    pub fn may_act(&self, manual: bool) -> bool {
        manual || !self.flags.paused && (!self.flags.limited_actions || self.flags.remaining_actions > 0)
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(SCHEDULE_KIND, SCHEDULE_VERSION, self)
    }

    pub fn decode(bytes: &[u8]) -> Result<ScheduleState, CodecError> {
        codec::decode(SCHEDULE_KIND, SCHEDULE_VERSION, bytes)
    }
}

/// How long a schedule lives on without anything to do.
pub const IDLE_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
