//! Handlers behind the Nexus endpoint: some answer at once, others start a workflow that ends the operation.
//!
//! What a handler is asked is in the operation's name; it knows a request that comes again by its id, as the
//! id of the workflow that it starts. Calls and answers get lost and come twice like everything else.

use everlog_engine::{
    codec::Proto,
    key::WorkflowKey,
    message::{Body, Message as Carried, Outcome, Subject},
    nexus::{
        Call, CallOf, Outcome as Called,
        callback::{SYSTEM_URL, TOKEN_HEADER},
    },
    reject::Reject,
    reply::Reply,
    request::Request,
};
use everlog_proto::api::{
    common::v1::{Callback, Payload, WorkflowType, callback},
    enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    failure::v1::Failure,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use crate::{
    agenda::{Answer, Asker, Event, Message},
    machine::{Input, QUEUE},
    sim::{NAMESPACE, Sim},
};

/// The endpoint that programs know.
pub const ENDPOINT: &str = "handlers";
/// What a handler answers that answers at once.
pub const AT_ONCE: &str = "now";

/// What an operation of a step is called: the step, the program that carries it out, if one does, and how
/// often the handler is unavailable before.
pub fn operation_name(step: usize, program: Option<usize>, failures: i32) -> String {
    let program = program.map_or_else(|| AT_ONCE.to_owned(), |program| program.to_string());
    format!("{step}.{program}.{failures}")
}

/// The step that an operation belongs to.
pub fn step_of(operation: &str) -> Option<usize> {
    operation.split('.').next()?.parse().ok()
}

/// The id of the workflow that carries out an operation.
pub fn workflow_of(request_id: &str) -> String {
    format!("h-{request_id}")
}

impl Sim {
    /// A call leaves for the handler.
    pub fn call_handler(&mut self, node: usize, message: Carried) {
        if self.strikes(self.settings.message_lost) {
            self.coverage.hit("a call to a handler was lost");
            return;
        }
        if self.strikes(self.settings.message_doubled) {
            self.coverage.hit("a call to a handler was made twice");
            self.handle_call(node, message.clone());
        }
        self.handle_call(node, message);
    }

    fn handle_call(&mut self, node: usize, message: Carried) {
        let Body::NexusCall(call) = &message.body else { return };
        if let Subject::Operation(owed) = message.subject {
            if let Some(outcome) = self.handle_own_call(&message, call, owed) {
                self.handled(node, message, outcome);
            }
            return;
        }
        let (CallOf::Start { request_id, callback, .. }, Subject::NexusStart(_, made)) =
            (&call.what, message.subject)
        else {
            return;
        };
        let (program, failures) = asked(call);
        if made < failures {
            let failure = Box::new(Proto(Failure { message: "busy".into(), ..Failure::default() }));
            return self.handled(node, message, Called::Error { failure, retryable: true });
        }
        let Some(program) = program else {
            let payload = Payload { data: AT_ONCE.as_bytes().to_vec(), ..Payload::default() };
            let outcome = Called::Succeeded { payload: Some(Proto(payload)), links: Vec::new() };
            return self.handled(node, message, outcome);
        };
        let nexus = callback::Nexus {
            url: SYSTEM_URL.into(),
            header: [(TOKEN_HEADER.to_owned(), callback.encode())].into(),
        };
        let request = StartWorkflowExecutionRequest {
            workflow_id: workflow_of(request_id),
            workflow_type: Some(WorkflowType { name: "Program".into() }),
            task_queue: Some(TaskQueue { name: QUEUE.into(), ..Default::default() }),
            input: Some(Input { program, ..Input::default() }.encode()),
            request_id: request_id.clone(),
            identity: "handler".into(),
            workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate as i32,
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail as i32,
            completion_callbacks: vec![Callback {
                variant: Some(callback::Variant::Nexus(nexus)),
                ..Callback::default()
            }],
            ..Default::default()
        };
        let workflow = WorkflowKey::new(&message.from.workflow.namespace_id, &request.workflow_id);
        let asker = Asker::Handler { node, life: self.nodes[node].life, message: Box::new(message) };
        let request = Box::new(Request::Start(Box::new(request)));
        self.send(Some(node), node, Message::Request { workflow, request, asker, hops: 0 });
    }

    /// The handler's workflow was started, or has been before.
    pub fn handler_started(
        &mut self,
        node: usize,
        life: u64,
        message: Carried,
        reply: Result<Reply, Reject>,
    ) {
        if !self.is_life(node, life) {
            return;
        }
        let outcome = match reply {
            Ok(Reply::Started(_)) | Err(Reject::AlreadyStarted { .. }) => {
                Called::Started { operation_token: "token".into(), links: Vec::new() }
            }
            _ => {
                let failure = Box::new(Proto(Failure { message: "lost".into(), ..Failure::default() }));
                Called::Error { failure, retryable: true }
            }
        };
        self.handled(node, message, outcome);
    }

    /// The answer is on its way back to the operation's shard.
    fn handled(&mut self, node: usize, message: Carried, outcome: Called) {
        let at = self.now + self.latency();
        let reply = Ok(Reply::Message(Outcome::Nexus(Box::new(outcome))));
        let to = Asker::Sender { node, life: self.nodes[node].life, message: Box::new(message) };
        self.agenda.plan(at, Event::Answer { to, answer: Box::new(Answer { reply, events: Vec::new() }) });
    }
}

fn asked(call: &Call) -> (Option<usize>, i32) {
    let mut parts = call.operation.split('.').skip(1);
    let program = parts.next().and_then(|program| program.parse().ok());
    (program, parts.next().and_then(|failures| failures.parse().ok()).unwrap_or_default())
}

/// The endpoints that a completed task may name.
pub fn endpoints() -> std::collections::BTreeMap<String, String> {
    [(ENDPOINT.to_owned(), format!("{NAMESPACE}-endpoint"))].into()
}
