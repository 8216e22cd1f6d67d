//! What only the leader remembers of a run, and may forget at any moment.
//!
//! Who holds the running workflow task, which queries wait for an answer. After a change of leader the
//! task is simply offered again and the old holder's token is refused; callers of queries ask again.

use std::collections::BTreeMap;

use everlog_proto::api::{
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage, query::v1::WorkflowQuery,
    update::v1::Request as UpdateRequest,
};

use crate::{
    codec::Proto,
    deployment::WorkerVersion,
    execution::{AdmittedUpdate, Updates, WorkflowTask},
    reject::Reject,
    reply::Started,
    shared::Shared,
    time::Time,
};

#[derive(Clone, Debug, Default)]
pub struct Volatile {
    /// The workflow task that a worker holds now.
    pub started: Option<StartedTask>,
    /// The sticky queue had no poller: the pending task was sent to the normal queue instead.
    pub moved_to_normal: bool,
    /// Queries waiting for a workflow task to carry them, or for a direct answer. By query id.
    pub queries: BTreeMap<u64, WaitingQuery>,
    pub next_query_id: u64,
    /// A workflow task that only updates need. It has ids, but nothing is written of it before it leads to
    /// something, or something else happens.
    pub speculative: Option<WorkflowTask>,
    /// Updates that no worker has accepted yet, in the order in which they were asked for.
    pub updates: Vec<WaitingUpdate>,
    /// Callers that wait for an update to get further.
    pub update_waiters: Vec<UpdateWaiter>,
    /// Updates that the end of the run left unaccepted, and what whoever asks for one is told.
    pub aborted: Vec<(String, Reject)>,
}

/// A workflow task in a worker's hands. Its Started event is written together with its completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartedTask {
    pub scheduled_event_id: i64,
    pub started_event_id: i64,
    pub attempt: i32,
    pub time: Time,
    pub identity: String,
    pub request_id: String,
    pub build_id: String,
    /// Of the worker, and the revision of the routing that led to it.
    pub version: Option<WorkerVersion>,
    pub revision: i64,
    /// Tasks that are free to go anywhere go elsewhere now.
    pub target_changed: bool,
    /// Values that the worker was told, to be written exactly so.
    pub history_bytes: i64,
    pub suggest_continue_as_new: bool,
    pub suggest_reasons: Vec<i32>,
    /// Tells this start from every other, also from one by another leader.
    pub nonce: u64,
    /// When the worker must have answered.
    pub deadline: Time,
    /// The task came through the sticky queue, so the worker was sent only the newer events.
    pub sticky: bool,
    /// Queries that travel with this task.
    pub queries: Vec<u64>,
    /// Updates that travel with it, by their ids.
    pub updates: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct WaitingQuery {
    /// The caller, as the shard knows it.
    pub call: u64,
    /// Under which it travels with a workflow task.
    pub name: String,
    pub query: WorkflowQuery,
    pub state: QueryState,
    pub deadline: Time,
    /// When it was last offered to a queue as a task of its own.
    pub offered: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// Waits for the next workflow task.
    Buffered,
    /// Travels with the running workflow task.
    Attached,
    /// Offered as a task of its own; sticky tells through which queue.
    Direct { sticky: bool },
}

/// An update on its way to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingUpdate {
    pub id: String,
    /// None if an event of the history has it.
    pub request: Option<Shared<Proto<UpdateRequest>>>,
    pub admitted: Time,
    /// Whether the state has it too, so that it outlives this leader.
    pub noted: bool,
    /// A worker was told of it and has not answered yet.
    pub sent: bool,
}

#[derive(Clone, Debug)]
pub struct UpdateWaiter {
    pub call: u64,
    pub update_id: String,
    /// How far the update has to get.
    pub stage: Stage,
    /// When the caller is told how far it got, though that be not far enough.
    pub deadline: Time,
    /// What else the caller hears, if it asked for a start as well.
    pub started: Option<Box<Started>>,
}

impl WaitingUpdate {
    pub fn noted(id: &str, update: &AdmittedUpdate) -> WaitingUpdate {
        let (id, request) = (id.to_owned(), update.request.clone());
        WaitingUpdate { id, request, admitted: update.time, noted: true, sent: false }
    }
}

impl Volatile {
    /// Whether some update that the state has noted is not among those that wait here: its leader is new.
    pub fn has_forgotten(&self, updates: &Updates) -> bool {
        updates.admitted.keys().any(|id| self.updates.iter().all(|update| update.id != *id))
    }
}
