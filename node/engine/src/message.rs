//! Messages from one workflow to another, which may live in another shard or namespace.
//!
//! What a workflow has to say is computed from its state ([`crate::todo::messages`]) and said again and
//! again until it is answered, so a new leader needs no outbox. What is said twice is heard once: a child
//! run has an id that follows from its parent's, signals and cancel requests have request ids, and the rest
//! is recognised by the state that it would change.

use everlog_proto::api::{
    common::v1::WorkflowExecution,
    enums::v1::ParentClosePolicy,
    history::v1::HistoryEvent,
    workflowservice::v1::{
        RequestCancelWorkflowExecutionRequest, SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    },
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    codec::Proto,
    decide::terminate::SERVER_IDENTITY,
    execution::{Child, Execution},
    key::{RunKey, WorkflowKey},
    nexus::{
        self, Owed,
        callback::{self, Completion, Posted},
    },
    time::Time,
    versioning::Inherited,
};

/// The real server's count of changes between data centres, of which there are none here.
const FAILOVER_VERSION: i64 = 0;

/// What in the sender's state a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The child of this initiated event is to be started.
    Child(i64),
    /// This signal to another workflow is on its way.
    Signal(i64),
    /// This cancel request to another workflow is on its way.
    Cancel(i64),
    /// The run has closed and this child is to hear of it.
    ChildOfClosed(i64),
    /// The run has closed and its parent is to hear of it.
    Parent,
    /// A child that was created and never released asks whether its parent knows of it.
    Release,
    /// This Nexus operation is to be started, after so many attempts that failed.
    NexusStart(i64, i32),
    /// The handler of this one is to be asked to cancel it, after so many attempts that failed.
    NexusCancel(i64, i32),
    /// The run has closed and this callback is to be told, after so many attempts that failed.
    Callback(u32, i32),
    /// What an operation that runs on its own owes. The sender is no workflow then.
    Operation(Owed),
}

impl Subject {
    /// Whether it goes to a handler, who may take as long as a call may take, and would begin twice: it is
    /// repeated only when nothing can come of it any more.
    pub fn is_call(self) -> bool {
        matches!(self, Subject::NexusStart(..) | Subject::NexusCancel(..) | Subject::Operation(_))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub from: RunKey,
    /// The name of the sender's namespace, which events repeat. The shell fills it in.
    pub from_namespace: String,
    pub subject: Subject,
    pub to: WorkflowKey,
    /// Empty means the current run.
    pub to_run: String,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    StartChild(Box<StartChild>),
    /// The parent has written that the child was started: its first workflow task may come.
    ReleaseChild,
    /// Asked of the parent by a child run that waits for its release.
    IsChildKnown {
        initiated_event_id: i64,
        child: Proto<WorkflowExecution>,
    },
    /// A run of a child closed and no other follows.
    ChildClosed {
        initiated_event_id: i64,
        first_run_id: String,
        child: Proto<WorkflowExecution>,
        event: Box<Proto<HistoryEvent>>,
    },
    ParentClosed {
        first_run_id: String,
        policy: i32,
    },
    Signal {
        request: Box<Proto<SignalWorkflowExecutionRequest>>,
        child_only: bool,
        since: Time,
    },
    Cancel {
        request: Box<Proto<RequestCancelWorkflowExecutionRequest>>,
        initiated_event_id: i64,
        child_only: bool,
        since: Time,
    },
    /// For whoever is behind an endpoint; it never reaches another workflow.
    NexusCall(Box<nexus::Call>),
    /// An operation of the receiver has ended.
    NexusCompletion(Box<Completion>),
    /// The same for a stranger.
    Post(Box<Posted>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartChild {
    /// Follows from the parent's run and the initiated event, so a child is created once.
    pub run_id: String,
    pub initiated_event_id: i64,
    pub root: Proto<WorkflowExecution>,
    pub request: Proto<StartWorkflowExecutionRequest>,
    /// What it takes over from its parent.
    pub inherited: Inherited,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The child is there, under this run id.
    Started {
        run_id: String,
    },
    Done,
    /// It can never be carried out, for this cause of the enum that belongs to the message.
    Failed {
        cause: i32,
    },
    /// The parent does not know the child that asks.
    Unknown,
    /// What came of a Nexus call, a completion or a callback.
    Nexus(Box<nexus::Outcome>),
}

/// The run that a message of this subject makes exist or be done: the same for every repetition.
pub fn derived_id(run: &RunKey, event_id: i64, what: &str) -> String {
    let text = format!("{what}\0{}\0{}\0{event_id}", run.workflow.namespace_id, run.run_id);
    let hash = xxh3_128(text.as_bytes());
    let (high, low) = ((hash >> 64) as u64, hash as u64);
    let high = (high & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
    let low = (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// The message that a run owes about a subject, if it still owes one.
pub fn compose(execution: &Execution, subject: Subject) -> Option<Message> {
    let from = execution.key().clone();
    match subject {
        Subject::Child(id) => {
            let child = execution.children.get(&id)?;
            let body = Body::StartChild(Box::new(start_child(execution, id, child)));
            Some(message(from, subject, child.workflow(), String::new(), body))
        }
        Subject::ChildOfClosed(id) => {
            let child = execution.children.get(&id)?;
            // A child that was never written down may be there all the same; its id is known.
            let first_run_id =
                if child.is_started() { child.run_id.clone() } else { child_run_id(execution, id) };
            let body = Body::ParentClosed { first_run_id, policy: child.initiated.parent_close_policy };
            Some(message(from, subject, child.workflow(), String::new(), body))
        }
        Subject::Signal(id) => signal(execution, id),
        Subject::Cancel(id) => cancel(execution, id),
        Subject::Parent => {
            let body = Body::ChildClosed {
                initiated_event_id: execution.start.parent_initiated_event_id,
                first_run_id: execution.start.first_execution_run_id.clone(),
                child: Proto(itself(execution)),
                event: Box::new((**execution.report.as_ref()?).clone()),
            };
            let parent = parent_of(execution)?;
            Some(message(from, subject, parent.workflow, parent.run_id.to_string(), body))
        }
        Subject::Release => {
            let body = Body::IsChildKnown {
                initiated_event_id: execution.start.parent_initiated_event_id,
                child: Proto(itself(execution)),
            };
            let parent = parent_of(execution)?;
            Some(message(from, subject, parent.workflow, parent.run_id.to_string(), body))
        }
        Subject::NexusStart(id, _) => Some(nexus_call(from, subject, nexus::start_call(execution, id)?)),
        Subject::NexusCancel(id, _) => Some(nexus_call(from, subject, nexus::cancel_call(execution, id)?)),
        // No workflow owes it.
        Subject::Operation(_) => None,
        Subject::Callback(index, _) => {
            let callback = execution.callbacks.get(index as usize)?;
            let completion = callback::completion(execution, callback)?;
            let itself = execution.key().clone();
            if callback.is_of_this_cluster() {
                let to = completion.operation.as_ref().map_or(itself, |operation| operation.run.clone());
                let body = Body::NexusCompletion(Box::new(completion));
                return Some(message(from, subject, to.workflow, to.run_id.to_string(), body));
            }
            let posted = Posted::new(callback, completion);
            let body = Body::Post(Box::new(posted));
            Some(message(from, subject, itself.workflow, itself.run_id.to_string(), body))
        }
    }
}

impl Message {
    /// Whether a child says it to its parent, of which a reset may have made another run since.
    pub fn is_from_child(&self) -> bool {
        matches!(self.body, Body::IsChildKnown { .. } | Body::ChildClosed { .. })
    }
}

/// The first run of a child that is to be started. Where a reset has copied the parent's decision to start
/// it, the run that decided so may have started it already.
pub fn child_run_id(execution: &Execution, initiated_event_id: i64) -> String {
    derived_id(&written_by(execution, initiated_event_id), initiated_event_id, "child")
}

fn written_by(execution: &Execution, event_id: i64) -> RunKey {
    execution.key().workflow.run(execution.writer_of(event_id))
}

/// A call to whoever is behind an endpoint.
pub fn nexus_call(from: RunKey, subject: Subject, call: nexus::Call) -> Message {
    let (to, to_run) = (from.workflow.clone(), from.run_id.to_string());
    message(from, subject, to, to_run, Body::NexusCall(Box::new(call)))
}

fn message(from: RunKey, subject: Subject, to: WorkflowKey, to_run: String, body: Body) -> Message {
    Message { from, from_namespace: String::new(), subject, to, to_run, body }
}

/// The parent's "go on" to a child that it has written down.
pub fn release(execution: &Execution, initiated_event_id: i64, child: &Child) -> Message {
    let subject = Subject::Child(initiated_event_id);
    message(execution.key().clone(), subject, child.workflow(), child.run_id.clone(), Body::ReleaseChild)
}

/// The parent of a run, if it has one.
pub fn parent_of(execution: &Execution) -> Option<RunKey> {
    let start = &execution.start;
    let parent = start.parent_workflow_execution.as_ref()?;
    Some(WorkflowKey::new(&start.parent_workflow_namespace_id, &parent.workflow_id).run(&parent.run_id))
}

pub fn itself(execution: &Execution) -> WorkflowExecution {
    WorkflowExecution {
        workflow_id: execution.workflow_id().to_owned(),
        run_id: execution.run_id().to_owned(),
    }
}

fn start_child(execution: &Execution, id: i64, child: &Child) -> StartChild {
    let a = &child.initiated;
    let request = StartWorkflowExecutionRequest {
        namespace: a.namespace.clone(),
        workflow_id: a.workflow_id.clone(),
        workflow_type: a.workflow_type.clone(),
        task_queue: a.task_queue.clone(),
        input: a.input.clone(),
        header: a.header.clone(),
        workflow_execution_timeout: a.workflow_execution_timeout,
        workflow_run_timeout: a.workflow_run_timeout,
        workflow_task_timeout: a.workflow_task_timeout,
        // The form in which the real server has it: descriptions show it.
        request_id: format!("{}:{id}:{FAILOVER_VERSION}", execution.run_id()),
        workflow_id_reuse_policy: a.workflow_id_reuse_policy,
        retry_policy: a.retry_policy.clone(),
        cron_schedule: a.cron_schedule.clone(),
        memo: a.memo.clone(),
        search_attributes: a.search_attributes.clone(),
        user_metadata: child.user_metadata.as_ref().map(|metadata| metadata.0.clone()),
        priority: a.priority.clone(),
        ..Default::default()
    };
    StartChild {
        run_id: child_run_id(execution, id),
        initiated_event_id: id,
        root: Proto(execution.start.root_workflow_execution.clone().unwrap_or_else(|| itself(execution))),
        request: Proto(request),
        inherited: if child.is_elsewhere { Inherited::default() } else { execution.versioning.inherited() },
    }
}

fn signal(execution: &Execution, id: i64) -> Option<Message> {
    let pending = execution.external_signals.get(&id)?;
    let a = &pending.initiated;
    let target = a.workflow_execution.clone().unwrap_or_default();
    let request = SignalWorkflowExecutionRequest {
        namespace: a.namespace.clone(),
        workflow_execution: Some(target.clone()),
        signal_name: a.signal_name.clone(),
        input: a.input.clone(),
        identity: SERVER_IDENTITY.into(),
        request_id: derived_id(&written_by(execution, id), id, "signal"),
        header: a.header.clone(),
        ..Default::default()
    };
    let (child_only, since) = (a.child_workflow_only, pending.since);
    let body = Body::Signal { request: Box::new(Proto(request)), child_only, since };
    let to = WorkflowKey::new(&a.namespace_id, &target.workflow_id);
    Some(message(execution.key().clone(), Subject::Signal(id), to, target.run_id, body))
}

fn cancel(execution: &Execution, id: i64) -> Option<Message> {
    let pending = execution.external_cancels.get(&id)?;
    let a = &pending.initiated;
    let target = a.workflow_execution.clone().unwrap_or_default();
    let request = RequestCancelWorkflowExecutionRequest {
        namespace: a.namespace.clone(),
        workflow_execution: Some(target.clone()),
        identity: SERVER_IDENTITY.into(),
        request_id: derived_id(&written_by(execution, id), id, "cancel"),
        reason: a.reason.clone(),
        ..Default::default()
    };
    let (child_only, since) = (a.child_workflow_only, pending.since);
    let body = Body::Cancel { request: Box::new(Proto(request)), initiated_event_id: id, child_only, since };
    let to = WorkflowKey::new(&a.namespace_id, &target.workflow_id);
    Some(message(execution.key().clone(), Subject::Cancel(id), to, target.run_id, body))
}

impl Child {
    pub fn workflow(&self) -> WorkflowKey {
        WorkflowKey::new(&self.initiated.namespace_id, &self.initiated.workflow_id)
    }

    pub fn policy(&self) -> ParentClosePolicy {
        self.initiated.parent_close_policy()
    }

    pub fn is_started(&self) -> bool {
        !self.run_id.is_empty()
    }
}
