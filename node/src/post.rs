//! Messages between workflows, carried from one shard to another.
//!
//! Nothing is kept here: the sender's state says what it owes, and its shard asks again for what was not
//! answered. So a message may be dropped at any point, and is when a node or its leadership goes.

use std::{sync::Arc, time::Duration};

use everlog_engine::{
    codec::Proto,
    message::{Body, Message, Outcome, Subject},
    nexus::{
        Outcome as Called,
        callback::{self, OperationRef},
    },
    reject::Reject,
    reply::Reply,
    request::Request,
    standalone::{Kind, StandaloneKey, request::StandaloneRequest},
};
use everlog_proto::api::enums::v1::{
    CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause,
    StartChildWorkflowExecutionFailedCause,
};
use tokio::sync::Semaphore;

use crate::{
    internal::{Internal, InternalReply},
    nexus,
    router::{Place, Router},
    shard::LimitsOf,
};

/// Messages that one node carries at a time; the rest wait their turn.
const UNDER_WAY_MAX: usize = 1024;
/// Calls to handlers and strangers, who may take their time: these have room of their own.
const CALLS_UNDER_WAY_MAX: usize = 4096;
/// The receiver's shard has answered by then, or is asked again later.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Post {
    router: Router,
    limits: LimitsOf,
    room: Arc<Semaphore>,
    room_for_calls: Arc<Semaphore>,
}

impl Post {
    pub fn new(router: Router, limits: LimitsOf) -> Post {
        let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        Post { router, limits, room, room_for_calls: Arc::new(Semaphore::new(CALLS_UNDER_WAY_MAX)) }
    }

    /// Takes a message to its receiver, what became of it back to its sender, and goes on with what follows.
    pub fn send(&self, message: Message) {
        let post = self.clone();
        tokio::spawn(async move {
            let is_call = matches!(message.body, Body::NexusCall(_) | Body::Post(_));
            let room = if is_call { &post.room_for_calls } else { &post.room };
            let Ok(_room) = room.clone().acquire_owned().await else { return };
            let mut next = Some(message);
            while let Some(message) = next {
                next = post.carry(message).await;
            }
        });
    }

    async fn carry(&self, mut message: Message) -> Option<Message> {
        let known = self.router.cluster().borrow().clone();
        let from = known.namespace_by_id(&message.from.workflow.namespace_id).ok()?;
        message.from_namespace = from.name.clone();
        let to = known.namespace_by_id(&message.to.namespace_id).ok();
        let outcome = if let Some(outcome) = self.tell_stranger(&message).await {
            Ok(Ok(outcome))
        } else if to.is_some() {
            tokio::time::timeout(ANSWER_TIMEOUT, self.ask(&message)).await
        } else {
            Ok(Ok(without_namespace(&message.body)))
        };
        let Ok(Ok(outcome)) = outcome else {
            self.router.offer_refused(&message.from);
            return None;
        };
        if matches!(message.body, Body::ReleaseChild) {
            return None;
        }
        if let (Subject::Operation(call), Outcome::Nexus(outcome)) = (message.subject, &outcome) {
            let key = StandaloneKey { kind: Kind::Operation, named: message.from.workflow };
            let run_id = message.from.run_id.to_string();
            let called = StandaloneRequest::OperationCalled { run_id, call, outcome: outcome.clone() };
            // An answer that is lost is asked for again: the operation still owes its call.
            let _ = self.router.call_standalone(key, called).await;
            return None;
        }
        let delivered = Request::Delivered {
            run_id: message.from.run_id.to_string(),
            subject: message.subject,
            outcome,
            namespace: to.map(|namespace| namespace.name.clone()).unwrap_or_default(),
        };
        match self.router.call(message.from.workflow, delivered).await {
            Ok(Reply::Noted(next)) => next.map(|next| *next),
            _ => None,
        }
    }

    /// What is for nobody of this cluster goes out of it; the answer may take a while.
    async fn tell_stranger(&self, message: &Message) -> Option<Outcome> {
        let outcome = match &message.body {
            Body::NexusCall(call) => {
                let limits = (self.limits)(&message.from.workflow.namespace_id);
                nexus::call::make(&self.router, &limits, message, call).await
            }
            Body::NexusCompletion(completion) if completion.operation.is_none() => {
                let failure = callback::refusal("BAD_REQUEST", "invalid callback token", false);
                Called::Error { failure: Box::new(Proto(failure)), retryable: false }
            }
            Body::Post(_) => {
                let failure = callback::refusal("NOT_IMPLEMENTED", "callbacks to other servers", false);
                Called::Error { failure: Box::new(Proto(failure)), retryable: false }
            }
            _ => return None,
        };
        Some(Outcome::Nexus(Box::new(outcome)))
    }

    async fn ask(&self, message: &Message) -> Result<Outcome, Reject> {
        match self.router.locate(&message.to.namespace_id, &message.to.workflow_id) {
            Place::Here { .. } => hear(&self.router, message.clone()).await,
            Place::There { node, .. } => {
                match self.router.internal(node, &Internal::Message(message.clone())).await? {
                    InternalReply::Message(outcome) => Ok(outcome),
                    InternalReply::Reject(reject) => Err(reject),
                    _ => Err(Reject::Unavailable("no answer to a message".into())),
                }
            }
            Place::Nowhere { .. } => Err(Reject::Unavailable("the receiver's shard has no leader".into())),
        }
    }
}

/// A message for a workflow, or for an operation that runs on its own, whose shard this node leads.
pub async fn hear(router: &Router, message: Message) -> Result<Outcome, Reject> {
    if let Body::NexusCompletion(completion) = &message.body
        && let Some(run) = completion.operation.as_ref().and_then(OperationRef::standalone)
    {
        let told = StandaloneRequest::CompleteOperation {
            run_id: run.run.run_id.to_string(),
            completion: completion.clone(),
            by_run: message.from.run_id.to_string(),
            from_namespace: message.from_namespace,
        };
        return match router.call_standalone(run.key(), told).await {
            Ok(Reply::Message(outcome)) => Ok(outcome),
            Ok(_) => Err(Reject::Internal("a completion is answered with its outcome".into())),
            Err(Reject::NotFound(why)) => {
                let failure = Box::new(Proto(callback::refusal("NOT_FOUND", &why, false)));
                Ok(Outcome::Nexus(Box::new(Called::Error { failure, retryable: false })))
            }
            Err(reject) => Err(reject),
        };
    }
    match router.call(message.to.clone(), Request::Message(Box::new(message))).await? {
        Reply::Message(outcome) => Ok(outcome),
        _ => Err(Reject::Internal("a message is answered with its outcome".into())),
    }
}

/// The receiver's namespace has been deleted.
fn without_namespace(body: &Body) -> Outcome {
    let cause = match body {
        Body::StartChild(_) => StartChildWorkflowExecutionFailedCause::NamespaceNotFound as i32,
        Body::Signal { .. } => SignalExternalWorkflowExecutionFailedCause::NamespaceNotFound as i32,
        Body::Cancel { .. } => CancelExternalWorkflowExecutionFailedCause::NamespaceNotFound as i32,
        Body::IsChildKnown { .. } => return Outcome::Unknown,
        Body::NexusCompletion(_) => {
            let failure = Box::new(Proto(callback::refusal("NOT_FOUND", "namespace not found", false)));
            return Outcome::Nexus(Box::new(Called::Error { failure, retryable: false }));
        }
        _ => return Outcome::Done,
    };
    Outcome::Failed { cause }
}
