//! What happens to a schedule, as the log has it, and what it means for the state.
//!
//! Only the leader knows calendars and clocks: a fact says what came of them, so replicas and later versions
//! fold the same state. Like all that is stored, the enum is appended to and never reordered.

use std::{collections::BTreeMap, sync::Arc};

use everlog_proto::api::enums::v1::WorkflowExecutionStatus;
use serde::{Deserialize, Serialize};

use super::state::{
    Action, Backfill, BufferedStart, Flags, Given, Launch, RECENT_ACTIONS_MAX, REQUEST_IDS_MAX, Running,
    ScheduleKey, ScheduleState, Stop,
};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ScheduleFact {
    Created(Box<Creation>),
    /// Absent search attributes are left as they are.
    Updated {
        at: Time,
        definition: Given,
        search_attributes: Option<BTreeMap<String, Given>>,
    },
    /// The flags changed; every such change raises the conflict token.
    Flagged(Flags),
    RequestSeen(String),
    Processed(Time),
    Missed(i64),
    Skipped(i64),
    Dropped(i64),
    Buffered(BufferedStart),
    /// Starts that leave the buffer without a launch, by number.
    Unbuffered(Vec<u64>),
    /// A start leaves the buffer for another shard.
    Launching(Launch),
    Launched {
        number: u64,
        run_id: String,
        at: Time,
    },
    LaunchFailed {
        number: u64,
    },
    BackfillAdded(Backfill),
    /// The first backfill goes on after this time.
    BackfillMoved(Time),
    BackfillEnded,
    /// All that runs has to make room.
    StopWanted {
        terminate: bool,
    },
    StopTold {
        run_id: String,
    },
    Closed {
        run_id: String,
        status: i32,
        result: Option<Given>,
        failure: Option<Given>,
    },
    Foreseen {
        wake: Option<Time>,
        future: Vec<Time>,
    },
    /// Deleted, or at its end.
    Ended {
        keep_until: Time,
    },
    Forgotten,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Creation {
    pub at: Time,
    pub namespace: String,
    pub incarnation: String,
    pub request_id: String,
    pub definition: Given,
    pub flags: Flags,
    pub memo: BTreeMap<String, Given>,
    pub search_attributes: BTreeMap<String, Given>,
}

/// What happened to one schedule in one entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScheduleChange {
    pub key: ScheduleKey,
    /// The version of the state that these facts follow.
    pub version: u64,
    pub facts: Vec<ScheduleFact>,
    /// The state after these facts, as the leader computed it. Never stored: replicas fold.
    #[serde(skip)]
    pub prepared: Option<Arc<ScheduleState>>,
}

const CONFLICT_TOKEN_FIRST: i64 = 1;

pub fn evolve_change(state: &mut ScheduleState, change: &ScheduleChange) {
    for fact in &change.facts {
        evolve(state, fact);
    }
    state.version += 1;
}

/// Never fails: what was committed has happened.
pub fn evolve(state: &mut ScheduleState, fact: &ScheduleFact) {
    match fact {
        ScheduleFact::Created(creation) => {
            let (key, version) = (state.key.clone(), state.version);
            *state = ScheduleState {
                version,
                namespace: creation.namespace.clone(),
                incarnation: creation.incarnation.clone(),
                definition: creation.definition.clone(),
                flags: creation.flags.clone(),
                memo: creation.memo.clone(),
                search_attributes: creation.search_attributes.clone(),
                create_request_id: creation.request_id.clone(),
                conflict_token: CONFLICT_TOKEN_FIRST,
                create_time: creation.at,
                last_processed: creation.at,
                ..ScheduleState::fresh(key)
            };
        }
        ScheduleFact::Updated { at, definition, search_attributes } => {
            state.definition = definition.clone();
            if let Some(search_attributes) = search_attributes {
                state.search_attributes = search_attributes.clone();
            }
            state.update_time = Some(*at);
        }
        ScheduleFact::Flagged(flags) => {
            state.flags = flags.clone();
            state.conflict_token += 1;
        }
        ScheduleFact::RequestSeen(id) => {
            if state.request_ids.len() >= REQUEST_IDS_MAX {
                state.request_ids.remove(0);
            }
            state.request_ids.push(id.clone());
        }
        ScheduleFact::Processed(until) => state.last_processed = *until,
        ScheduleFact::Missed(count) => state.counts.missed += count,
        ScheduleFact::Skipped(count) => state.counts.skipped += count,
        ScheduleFact::Dropped(count) => state.counts.dropped += count,
        ScheduleFact::Buffered(start) => {
            state.next_start = start.number + 1;
            state.buffered.push(start.clone());
        }
        ScheduleFact::Unbuffered(numbers) => {
            state.buffered.retain(|start| !numbers.contains(&start.number));
        }
        ScheduleFact::Launching(launch) => {
            state.buffered.retain(|start| start.number != launch.start.number);
            state.launching.push(launch.clone());
        }
        ScheduleFact::Launched { number, run_id, at } => launched(state, *number, run_id, *at),
        ScheduleFact::LaunchFailed { number } => {
            state.launching.retain(|launch| launch.start.number != *number);
        }
        ScheduleFact::BackfillAdded(backfill) => state.backfills.push(backfill.clone()),
        ScheduleFact::BackfillMoved(after) => {
            if let Some(first) = state.backfills.first_mut() {
                first.after = *after;
            }
        }
        ScheduleFact::BackfillEnded => {
            if !state.backfills.is_empty() {
                state.backfills.remove(0);
            }
        }
        ScheduleFact::StopWanted { terminate } => {
            for running in &mut state.running {
                running.stop = Some(Stop { terminate: *terminate, told: false });
            }
        }
        ScheduleFact::StopTold { run_id } => {
            let told = state.running.iter_mut().filter(|running| running.run_id == *run_id);
            told.filter_map(|running| running.stop.as_mut()).for_each(|stop| stop.told = true);
        }
        ScheduleFact::Closed { run_id, status, result, failure } => {
            state.running.retain(|running| running.run_id != *run_id);
            for action in state.recent.iter_mut().filter(|action| action.run_id == *run_id) {
                action.status = *status;
            }
            // A failure does not take away the result before it; a result ends the failure.
            if result.is_some() {
                state.last_result = result.clone();
                state.last_failure = None;
            } else if failure.is_some() {
                state.last_failure = failure.clone();
            }
        }
        ScheduleFact::Foreseen { wake, future } => {
            state.wake = *wake;
            state.future = future.clone();
        }
        ScheduleFact::Ended { keep_until } => {
            state.closed_until = Some(*keep_until);
            state.wake = None;
        }
        ScheduleFact::Forgotten => state.forgotten = true,
    }
}

fn launched(state: &mut ScheduleState, number: u64, run_id: &str, at: Time) {
    let Some(position) = state.launching.iter().position(|launch| launch.start.number == number) else {
        return;
    };
    let launch = state.launching.remove(position);
    state.counts.actions += 1;
    if state.recent.len() >= RECENT_ACTIONS_MAX {
        state.recent.remove(0);
    }
    state.recent.push(Action {
        at: launch.start.at,
        taken: at,
        workflow_id: launch.workflow_id.clone(),
        run_id: run_id.to_owned(),
        status: WorkflowExecutionStatus::Running as i32,
    });
    if launch.tracked {
        state.running.push(Running {
            workflow_id: launch.workflow_id,
            run_id: run_id.to_owned(),
            stop: None,
        });
    }
}
