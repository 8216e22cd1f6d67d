//! What was asked, answered and executed: the evidence that the checkers compare with the histories.

use everlog_engine::{
    key::RunKey,
    reply::{Reply, UpdateOutcome, UpdateReply},
    time::Time,
};
use everlog_proto::api::{
    history::v1::{HistoryEvent, history_event::Attributes},
    update::v1::outcome,
};
use prost::Message;
use xxhash_rust::xxh3::Xxh3;

use crate::rpc::Outcome;

#[derive(Debug, Default)]
pub struct Records {
    pub ops: Vec<Op>,
    pub completions: Vec<Completion>,
    pub results: Vec<ActivityResult>,
    pub executions: Vec<Execution>,
    pub told: Vec<Told>,
}

/// How a call ended, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Acknowledged,
    /// Refused, and no attempt can have been carried out.
    Refused,
    Unknown,
}

impl Ended {
    pub fn of(outcome: &Outcome) -> Ended {
        match outcome {
            Outcome::Done { reply: Reply::QueryRejected(_), .. } => Ended::Refused,
            Outcome::Done { .. } => Ended::Acknowledged,
            Outcome::Refused { certain: true, .. } => Ended::Refused,
            Outcome::Refused { certain: false, .. } | Outcome::Unknown => Ended::Unknown,
        }
    }
}

/// A call of a client.
#[derive(Clone, Debug)]
pub struct Op {
    pub session: usize,
    pub kind: OpKind,
    pub workflow: String,
    /// Of an update, its id.
    pub request_id: String,
    pub invoked: Time,
    pub ended: Option<(Time, Ended)>,
    /// It was sent more than once, by its client or by the network.
    pub repeated: bool,
    pub refusal: Option<String>,
    /// The run that a start or a reset was told of.
    pub run_id: Option<String>,
    pub answer: Option<String>,
    /// The run that was current in the log when the call began, and its version.
    pub floor: Option<(String, u64)>,
    /// The run and version that a read told of.
    pub seen: Option<(String, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    Start,
    StartUsingExisting,
    StartTerminating,
    SignalWithStart,
    Signal,
    Cancel,
    Terminate,
    Delete,
    Query,
    Read,
    Watch,
    ResetSticky,
    Update,
    Pause,
    Unpause,
    Reset,
}

impl Op {
    pub fn is(&self, ended: Ended) -> bool {
        self.ended.is_some_and(|(_, how)| how == ended)
    }

    pub fn note(&mut self, now: Time, outcome: &Outcome) {
        self.ended = Some((now, Ended::of(outcome)));
        match outcome {
            Outcome::Done { reply: Reply::Started(started), .. } => {
                self.run_id = Some(started.run_id.clone())
            }
            Outcome::Done { reply: Reply::Reset { run_id }, .. } => self.run_id = Some(run_id.clone()),
            Outcome::Done { reply: Reply::State(state), .. } => {
                self.seen = Some((state.execution.run_id().to_owned(), state.execution.version));
            }
            Outcome::Done { reply: Reply::QueryAnswer { result }, .. } => {
                self.answer = result.as_ref().map(crate::machine::text_of);
            }
            Outcome::Done { reply: Reply::Update(reply), .. } => self.answer = said(reply),
            Outcome::Refused { reject, .. } => self.refusal = Some(format!("{reject:?}")),
            _ => {}
        }
    }
}

/// What an update came to: `failed: why`, or `event run/id`. None if it is not done.
fn said(reply: &UpdateReply) -> Option<String> {
    match reply.outcome.as_ref()? {
        UpdateOutcome::Event(id) => Some(format!("event {}/{id}", reply.run_id)),
        UpdateOutcome::Value(outcome) => match &outcome.value {
            Some(outcome::Value::Failure(failure)) => Some(format!("failed: {}", failure.message)),
            _ => Some("nothing".to_owned()),
        },
    }
}

/// A worker's answer to a workflow task. Its index is in the event that it became.
#[derive(Clone, Debug)]
pub struct Completion {
    pub run: RunKey,
    /// Sent with a token that had been used before.
    pub spent: bool,
    /// The worker was told to go back: nothing is there of the task.
    pub forgotten: bool,
    pub ended: Option<Ended>,
}

/// A worker's result of an activity. Its index is the result.
#[derive(Clone, Debug)]
pub struct ActivityResult {
    pub run: RunKey,
    pub scheduled_event_id: i64,
    /// None if the activity was named by its id, whatever attempt ran.
    pub attempt: Option<i32>,
    pub ended: Option<Ended>,
}

/// A worker ran an attempt of an activity.
#[derive(Clone, Debug)]
pub struct Execution {
    pub run: RunKey,
    pub scheduled_event_id: i64,
    /// Only one attempt may ever run.
    pub once: bool,
}

/// The history that a worker's accepted answer was based on.
#[derive(Clone, Debug)]
pub struct Told {
    pub run: RunKey,
    pub events: usize,
    pub digest: u64,
}

impl Told {
    pub fn new(run: RunKey, events: &[HistoryEvent]) -> Told {
        Told { run, events: events.len(), digest: digest(events) }
    }
}

/// Of everything but the task ids, which events that are not written yet don't have.
pub fn digest(events: &[HistoryEvent]) -> u64 {
    let mut hasher = Xxh3::new();
    for event in events {
        let mut event = HistoryEvent { task_id: 0, ..event.clone() };
        // The metadata of a value is a map, whose bytes have no one order.
        if let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = &mut event.attributes {
            a.search_attributes = None;
        }
        // Who took a task that only updates needed is not written if something else made it an ordinary one.
        if let Some(Attributes::WorkflowTaskStartedEventAttributes(a)) = &mut event.attributes {
            a.identity.clear();
        }
        hasher.update(&event.encode_to_vec());
    }
    hasher.digest()
}
