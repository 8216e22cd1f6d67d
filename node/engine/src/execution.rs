//! The state of one workflow run: the fold of its facts.
//!
//! Data and a few questions about it. Who changes it is `evolve`, who decides is `decide/`; nobody else
//! writes a field. Everything here is persisted; what only the leader remembers is in [`crate::volatile`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    common::v1::{Payload, Payloads, RetryPolicy},
    enums::v1::{EventType, WorkflowExecutionStatus},
    failure::v1::Failure,
    history::v1::{
        ActivityTaskScheduledEventAttributes, HistoryEvent,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
        SignalExternalWorkflowExecutionInitiatedEventAttributes,
        StartChildWorkflowExecutionInitiatedEventAttributes, WorkflowExecutionStartedEventAttributes,
    },
    sdk::v1::UserMetadata,
    update::v1::Request as UpdateRequest,
    workflow::v1::ResetPointInfo,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::Proto,
    decide::json_string,
    deployment::WorkerVersion,
    key::RunKey,
    nexus::{NexusOperation, callback::Callback},
    planted,
    shared::Shared,
    time::Time,
    versioning::{self, Versioning},
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    pub key: Option<RunKey>,
    /// How many batches of facts this state has folded. An entry names the version it follows.
    pub version: u64,
    /// Attributes of the first event. `input` is kept only where a retry or cron may need it again.
    pub start: Shared<Proto<WorkflowExecutionStartedEventAttributes>>,
    pub create_request_id: String,
    pub start_time: Time,
    /// When the first workflow task may run: later than the start by its back-off.
    pub execution_time: Time,
    pub run_expiration: Option<Time>,
    pub status: i32,
    pub close_time: Option<Time>,
    /// The event that closed the run, kept to answer result polls without reading history.
    pub close_event_id: i64,
    pub new_run_id: String,
    /// A closed run is deleted after this moment.
    pub retain_until: Option<Time>,
    pub deleted: bool,

    pub next_event_id: i64,
    pub history_bytes: i64,
    /// Running hash over all event bytes: equal on every replica at the same version.
    pub history_hash: u64,
    pub state_transitions: i64,

    pub workflow_task: Option<WorkflowTask>,
    /// False while the first workflow task waits for its back-off.
    pub has_first_task: bool,
    /// The attempt that the next workflow task will have.
    pub next_attempt: i32,
    /// `started_event_id` of the last completed workflow task; 0 before the first.
    pub last_completed_started_event_id: i64,
    /// Id of the last WorkflowTaskCompleted event.
    pub last_completed_event_id: i64,
    pub sticky: Option<Sticky>,
    /// A close command met events that the worker had not seen; the next task will try again.
    pub close_attempted: bool,
    pub cause_of_last_task_failure: i32,

    /// By scheduled event id.
    pub activities: BTreeMap<i64, Shared<Activity>>,
    /// By timer id.
    pub timers: Shared<BTreeMap<String, Timer>>,
    /// Child workflows, by initiated event id. Those of a closed run have not heard of it yet.
    pub children: BTreeMap<i64, Shared<Child>>,
    /// Signals and cancel requests on their way to other workflows, by initiated event id.
    pub external_signals: Shared<BTreeMap<i64, ExternalSignal>>,
    pub external_cancels: Shared<BTreeMap<i64, ExternalCancel>>,
    /// A child run that waits for its parent to write down that it was started.
    pub held_by_parent: bool,
    /// The event that closed a child run, until its parent has heard of it.
    pub report: Option<Shared<Proto<HistoryEvent>>>,
    /// The run that was the workflow's latest before this one.
    pub previous_run_id: String,
    /// Events that happened while a workflow task was running; they have no id yet.
    pub buffered: Vec<Shared<Proto<HistoryEvent>>>,

    pub signal_count: i64,
    pub signal_request_ids: Shared<BTreeSet<String>>,
    /// Request ids attached to this run, with the event that tells of them.
    pub request_ids: Shared<BTreeMap<String, AttachedRequest>>,
    pub cancel_requested: bool,
    pub cancel_request_id: String,

    /// Where the run may be reset to: the first task completed by each build of the worker.
    pub reset_points: Shared<Vec<Proto<ResetPointInfo>>>,
    /// The build that completed the latest workflow task, if its worker said so.
    pub build_id: String,
    /// Builds that completed tasks of this run, as the search attribute `BuildIds` has them.
    pub build_ids: Shared<Vec<String>>,

    pub memo: Shared<BTreeMap<String, Proto<Payload>>>,
    pub search_attributes: Shared<BTreeMap<String, Proto<Payload>>>,
    pub user_metadata: Option<Shared<Proto<UserMetadata>>>,
    /// Who has paused the run, until it goes on. What is closed meanwhile stays so.
    pub pause: Option<Shared<Pause>>,
    /// What of this run is paused, as the search attribute `TemporalPauseInfo` has it.
    pub pause_info: Shared<Vec<String>>,
    /// On which version of its workers it is.
    pub versioning: Shared<Versioning>,
    pub updates: Shared<Updates>,
    /// What resets have to do with this run; for nearly all runs nothing.
    pub resets: Option<Shared<Resets>>,
    /// Nexus operations, by scheduled event id.
    pub nexus_operations: BTreeMap<i64, Shared<NexusOperation>>,
    /// Operations that went on by themselves and have ended: who tells of it again is not refused.
    pub ended_operations: Shared<BTreeSet<i64>>,
    /// Who is to be told of the workflow's end.
    pub callbacks: Shared<Vec<Callback>>,
    /// The event that closed the run, if no other follows, until all callbacks have been told.
    pub end: Option<Shared<Proto<HistoryEvent>>>,
}

/// The updates of a run, by their ids. One that was rejected is in none of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Updates {
    /// Asked for, and not accepted yet. Most are accepted before they would be noted here.
    pub admitted: BTreeMap<String, AdmittedUpdate>,
    /// With the event that tells so.
    pub accepted: BTreeMap<String, i64>,
    /// With the event that has the outcome.
    pub completed: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdmittedUpdate {
    /// None if an event of the history has it: from there workers know it.
    pub request: Option<Shared<Proto<UpdateRequest>>>,
    pub time: Time,
}

/// How a run came out of a reset, and which runs came out of resetting it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resets {
    /// Whose events this run begins with, oldest first. Empty if no reset has made it.
    pub copied: Vec<Copied>,
    /// When the run that the first event was written for was started.
    pub original_start_time: Option<Time>,
    /// The request that made this run.
    pub request_id: String,
    /// The runs that resetting this one has made, by request, latest last.
    pub made: Vec<MadeByReset>,
    /// A reset has ended this run: what it had begun belongs to the run that the reset made.
    pub has_ended_it: bool,
}

/// A part of a history that was written for another run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    pub run_id: String,
    pub last_event_id: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MadeByReset {
    pub request_id: String,
    pub run_id: String,
}

/// A workflow task that is owed. Whether a worker holds it now is the leader's own knowledge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkflowTask {
    /// For a transient task: the id its Scheduled event would get.
    pub scheduled_event_id: i64,
    pub attempt: i32,
    pub scheduled_time: Time,
    /// Where a chain of heartbeats began.
    pub original_scheduled_time: Time,
    pub queue: String,
    /// Sticky tasks time out if nobody takes them.
    pub sticky_timeout: Option<Duration>,
    pub start_to_close_timeout: Duration,
    /// False for a transient task: an attempt after a failure, whose events are written only on success.
    pub written: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sticky {
    pub queue: String,
    pub schedule_to_start_timeout: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    pub scheduled: Proto<ActivityTaskScheduledEventAttributes>,
    pub first_scheduled_time: Time,
    pub attempt: i32,
    /// When the current attempt was, or may be, handed out.
    pub scheduled_time: Time,
    pub started: Option<ActivityStart>,
    pub heartbeat_time: Option<Time>,
    pub heartbeat_details: Option<Proto<Payloads>>,
    pub last_failure: Option<Proto<Failure>>,
    pub last_identity: String,
    pub last_started_time: Option<Time>,
    pub last_attempt_complete_time: Option<Time>,
    pub retry_interval: Option<Duration>,
    pub cancel_requested_event_id: i64,
    /// Set while somebody has paused it: it is not handed out, and does not time out.
    pub pause: Option<Pause>,
    /// It was reset while a worker held an attempt, whose heartbeats tell that worker so.
    pub is_reset: bool,
    /// The next attempt begins without the heartbeat details of this one.
    pub drops_heartbeat: bool,
    /// Grows whenever somebody changes by hand what queues may have been offered: those offers are void.
    pub stamp: u32,
    /// Grows whenever attempts are counted from one again. An attempt is named by both numbers, so that
    /// whoever held the second of an earlier count cannot complete the second of this one.
    pub generation: u32,
    /// The options that the workflow gave it, kept once others were set by hand.
    pub original_options: Option<Proto<ActivityOptions>>,
    /// Of the worker that has, or had, the latest attempt.
    pub last_version: Option<WorkerVersion>,
}

/// Who paused a workflow or an activity, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub time: Time,
    pub identity: String,
    pub reason: String,
    pub request_id: String,
}

/// A worker holds this attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityStart {
    pub time: Time,
    pub identity: String,
    pub request_id: String,
    pub build_id: String,
    pub version: Option<WorkerVersion>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timer {
    pub started_event_id: i64,
    pub fire_at: Time,
}

/// A child workflow. Its input goes from the state once it is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Child {
    pub initiated: Proto<StartChildWorkflowExecutionInitiatedEventAttributes>,
    pub user_metadata: Option<Proto<UserMetadata>>,
    /// Its first run, once it is known to be started.
    pub run_id: String,
    /// 0 while the event is buffered.
    pub started_event_id: i64,
    /// The parent has closed, and the child has been dealt with as its policy says.
    pub told_of_close: bool,
    /// The version of the workers that its parent is on does not have its queue.
    pub is_elsewhere: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExternalSignal {
    pub initiated: Proto<SignalExternalWorkflowExecutionInitiatedEventAttributes>,
    pub since: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExternalCancel {
    pub initiated: Proto<RequestCancelExternalWorkflowExecutionInitiatedEventAttributes>,
    pub since: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttachedRequest {
    pub event_type: i32,
    /// 0 while the event is buffered.
    pub event_id: i64,
}

impl Execution {
    /// The state before the first fact.
    pub fn fresh(key: RunKey) -> Execution {
        Execution { key: Some(key), next_event_id: 1, next_attempt: 1, ..Execution::default() }
    }

    pub fn key(&self) -> &RunKey {
        self.key.as_ref().expect("an execution is only handled after its first event")
    }

    pub fn run_id(&self) -> &str {
        &self.key().run_id
    }

    pub fn workflow_id(&self) -> &str {
        &self.key().workflow.workflow_id
    }

    pub fn status(&self) -> WorkflowExecutionStatus {
        WorkflowExecutionStatus::try_from(self.status).unwrap_or(WorkflowExecutionStatus::Unspecified)
    }

    /// Whether the run is open, paused or not.
    pub fn is_running(&self) -> bool {
        matches!(self.status(), WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Paused)
    }

    pub fn is_paused(&self) -> bool {
        self.status() == WorkflowExecutionStatus::Paused
    }

    /// Whether tasks of the run are handed out.
    pub fn hands_out(&self) -> bool {
        self.is_running() && (!self.is_paused() || planted::is("paused_run_handed_out"))
    }

    pub fn task_queue(&self) -> &str {
        self.start.task_queue.as_ref().map_or("", |queue| &queue.name)
    }

    pub fn workflow_type(&self) -> &str {
        self.start.workflow_type.as_ref().map_or("", |kind| &kind.name)
    }

    pub fn history_length(&self) -> i64 {
        self.next_event_id - 1
    }

    pub fn expiration(&self) -> Option<Time> {
        self.start.workflow_execution_expiration_time.as_ref().map(Time::from_proto)
    }

    /// Whether some workflow task was ever completed: before that, no worker knows this run.
    pub fn has_completed_task(&self) -> bool {
        self.last_completed_event_id > 0
    }

    /// The run for which an event of this history was written: this one, unless a reset has copied it.
    pub fn writer_of(&self, event_id: i64) -> &str {
        let copied = self.resets.iter().flat_map(|resets| &resets.copied);
        let of = copied.into_iter().find(|copied| event_id <= copied.last_event_id);
        of.map_or_else(|| self.run_id(), |copied| &copied.run_id)
    }

    /// The latest run that resetting this one has made; empty if there is none.
    pub fn reset_run_id(&self) -> &str {
        let made = self.resets.as_ref().and_then(|resets| resets.made.last());
        made.map_or("", |made| &made.run_id)
    }

    pub fn is_ended_by_reset(&self) -> bool {
        self.resets.as_ref().is_some_and(|resets| resets.has_ended_it)
    }

    /// The search attributes as lists and descriptions show them: those of the workflow, and `BuildIds`.
    pub fn shown_search_attributes(&self) -> BTreeMap<String, Proto<Payload>> {
        let mut shown = (*self.search_attributes).clone();
        let (of_versions, pinned) = versioning::search_attributes(&self.versioning);
        shown.extend(of_versions.into_iter().map(|(name, payload)| (name.to_owned(), Proto(payload))));
        // The others are those of workers without a version, as long as the run is with them.
        let unversioned = self.build_ids.iter().filter(|_| !self.versioning.is_versioned());
        let builds: Vec<&String> = pinned.iter().chain(unversioned).collect();
        if !builds.is_empty() {
            let names: Vec<String> = builds.iter().map(|build| json_string(build)).collect();
            shown.insert("BuildIds".into(), Proto(keywords(&names)));
        }
        if !self.pause_info.is_empty() {
            let paused: Vec<String> = self.pause_info.iter().map(|entry| json_string(entry)).collect();
            shown.insert("TemporalPauseInfo".into(), Proto(keywords(&paused)));
        }
        let checksums: Vec<String> = self
            .reset_points
            .iter()
            .map(|point| {
                #[allow(deprecated, reason = "workers without deployments say only this")]
                let checksum = &point.binary_checksum;
                checksum
            })
            .filter(|checksum| !checksum.is_empty())
            .map(|checksum| format!("{checksum:?}"))
            .collect();
        if !checksums.is_empty() {
            shown.insert("BinaryChecksums".into(), Proto(keywords(&checksums)));
        }
        shown
    }

    /// Without what only repeats the history in messages whose maps have no order: the rest has the same
    /// bytes on every member, and the hash of the history stands for what is left out.
    pub fn comparable(&self) -> Execution {
        let mut bare = self.clone();
        bare.start = Shared::default();
        bare.user_metadata = None;
        bare.buffered = vec![Shared::default(); self.buffered.len()];
        for payload in bare.memo.values_mut().chain(bare.search_attributes.values_mut()) {
            *payload = Proto::default();
        }
        for child in bare.children.values_mut() {
            (child.initiated, child.user_metadata) = Default::default();
        }
        for signal in bare.external_signals.values_mut() {
            signal.initiated = Proto::default();
        }
        (bare.report, bare.end) = (None, None);
        for operation in bare.nexus_operations.values_mut() {
            operation.scheduled = Proto::default();
            operation.start.last_failure = None;
            if let Some(cancel) = &mut operation.cancel {
                cancel.attempts.last_failure = None;
            }
        }
        for callback in bare.callbacks.iter_mut() {
            callback.callback = Proto::default();
            callback.attempts.last_failure = None;
        }
        for update in bare.updates.admitted.values_mut() {
            update.request = None;
        }
        for activity in bare.activities.values_mut() {
            activity.scheduled = Proto::default();
            activity.heartbeat_details = None;
            activity.last_failure = None;
        }
        bare
    }

    pub fn buffered_bytes(&self) -> usize {
        use prost::Message;
        self.buffered.iter().map(|event| event.encoded_len()).sum()
    }

    pub fn has_buffered_finish_of(&self, scheduled_event_id: i64) -> bool {
        self.buffered.iter().any(|event| crate::event::finished_activity(event) == Some(scheduled_event_id))
    }

    /// The first workflow task has not been scheduled because its back-off has not passed.
    pub fn is_backing_off(&self) -> bool {
        self.is_running() && !self.has_first_task && self.execution_time > self.start_time
    }
}

impl Activity {
    pub fn id(&self) -> &str {
        &self.scheduled.activity_id
    }

    pub fn queue(&self) -> &str {
        self.scheduled.task_queue.as_ref().map_or("", |queue| &queue.name)
    }

    /// The moment after which no further attempt may run, counted from the first schedule.
    pub fn expiration(&self) -> Option<Time> {
        crate::time::set_duration(self.scheduled.schedule_to_close_timeout.as_ref())
            .map(|timeout| self.first_scheduled_time + timeout)
    }

    pub fn cancel_requested(&self) -> bool {
        self.cancel_requested_event_id != 0
    }

    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// A worker takes the current attempt.
    pub(crate) fn start(&mut self, start: &ActivityStart) {
        self.last_version = start.version.clone();
        self.last_identity = start.identity.clone();
        self.last_started_time = Some(start.time);
        self.started = Some(start.clone());
    }

    /// Nobody holds an attempt any more.
    pub(crate) fn forget_attempt(&mut self) {
        self.started = None;
        self.is_reset = false;
        if std::mem::take(&mut self.drops_heartbeat) {
            (self.heartbeat_time, self.heartbeat_details) = (None, None);
        }
    }

    pub fn kind(&self) -> &str {
        self.scheduled.activity_type.as_ref().map_or("", |kind| &kind.name)
    }

    /// Its options as they count now. What the policy says of types of errors is no option.
    pub fn options(&self) -> ActivityOptions {
        let scheduled = &self.scheduled;
        let retry_policy = scheduled.retry_policy.clone();
        ActivityOptions {
            task_queue: scheduled.task_queue.clone(),
            schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
            schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
            start_to_close_timeout: scheduled.start_to_close_timeout,
            heartbeat_timeout: scheduled.heartbeat_timeout,
            retry_policy: retry_policy
                .map(|policy| RetryPolicy { non_retryable_error_types: Vec::new(), ..policy }),
            priority: scheduled.priority.clone(),
            ..ActivityOptions::default()
        }
    }

    /// Its options as the workflow gave them.
    pub fn original_options(&self) -> ActivityOptions {
        self.original_options.as_ref().map_or_else(|| self.options(), |options| options.0.clone())
    }
}

/// The type of an event, as the API's enum.
pub fn event_type(event: &HistoryEvent) -> EventType {
    EventType::try_from(event.event_type).unwrap_or(EventType::Unspecified)
}

/// A search attribute of the type KeywordList, from quoted words.
pub(crate) fn keywords(quoted: &[String]) -> Payload {
    let mut payload = Payload { data: format!("[{}]", quoted.join(",")).into_bytes(), ..Payload::default() };
    payload.metadata.insert("encoding".into(), b"json/plain".to_vec());
    payload.metadata.insert("type".into(), b"KeywordList".to_vec());
    payload
}
