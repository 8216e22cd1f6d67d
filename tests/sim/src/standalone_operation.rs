//! Nexus operations that run on their own in the simulation: clients start one each and ask until they hear how
//! it ended. Handlers answer at once, or go on and tell the end later, until they are told that it was taken.

use std::time::Duration;

use everlog_engine::{
    codec::Proto,
    message::{Message as Carried, Outcome},
    nexus::{
        Call, CallOf, Outcome as Called, Owed,
        callback::{Completion, End, OperationRef},
    },
    reject::Reject,
    reply::Reply,
    shard::World,
    standalone::{
        Kind, Standalone, StandaloneKey,
        request::{Asked, StandaloneRequest, Until},
        state::Status,
    },
    time::Time,
};
use everlog_proto::api::{
    common::v1::Payload, failure::v1::Failure, workflowservice::v1::StartNexusOperationExecutionRequest,
};

use crate::{
    agenda::{About, Asker, Event, Message},
    handler::ENDPOINT,
    random::Random,
    sim::{NAMESPACE, Sim},
};

const WANTED_MAX: usize = 5;
/// How long the client of an operation waits for its end, before it asks again.
const END_POLL: Duration = Duration::from_secs(3);
const AT_ONCE: &str = "at once";
const LATER: &str = "later";

/// An operation that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedOperation {
    pub key: StandaloneKey,
    start: StartNexusOperationExecutionRequest,
    /// Calls that fail before one succeeds.
    failures: i32,
    /// As the answer to the start named it.
    pub run_id: Option<String>,
    pub is_terminated: bool,
    termination_settled: bool,
    /// What the handler was handed, if it goes on with it: it tells the end with that.
    callback: Option<OperationRef>,
    /// The handler was told that the end counts.
    pub is_taken: bool,
    end_settled: bool,
    /// What the client was told of the end.
    pub told: Option<Status>,
}

pub fn draw(random: &mut Random) -> Vec<WantedOperation> {
    (0..random.below(WANTED_MAX)).map(|number| WantedOperation::draw(number, random)).collect()
}

impl WantedOperation {
    fn draw(number: usize, random: &mut Random) -> WantedOperation {
        let id = format!("operation-{number}");
        let operation = if random.chance(0.5) { AT_ONCE } else { LATER };
        WantedOperation {
            key: StandaloneKey::new(Kind::Operation, NAMESPACE, &id),
            start: StartNexusOperationExecutionRequest {
                namespace: NAMESPACE.into(),
                request_id: format!("start-{id}"),
                operation_id: id,
                endpoint: ENDPOINT.into(),
                service: "service".into(),
                operation: operation.into(),
                ..StartNexusOperationExecutionRequest::default()
            },
            failures: *random.pick(&[0, 0, 1, 2]),
            run_id: None,
            is_terminated: random.chance(0.2),
            termination_settled: false,
            callback: None,
            is_taken: false,
            end_settled: false,
            told: None,
        }
    }

    /// What it results in if it succeeds.
    pub fn result(&self) -> &str {
        &self.start.operation
    }
}

impl Sim {
    /// A client asks at whatever node: first for the start, then for the end.
    pub fn want_operation(&mut self, index: usize) {
        let wanted = &self.operations[index];
        let (request, about) = match &wanted.run_id {
            _ if wanted.told.is_some() => return,
            None => {
                let request = Box::new(wanted.start.clone());
                (StandaloneRequest::StartOperation { request, endpoint_id: ENDPOINT.into() }, About::Start)
            }
            Some(run_id) => {
                let (run_id, until) = (run_id.clone(), Until::Closed);
                let timeout_ms = END_POLL.as_millis() as u64;
                (StandaloneRequest::Watch { run_id, until, timeout_ms }, About::End)
            }
        };
        self.tell_operation(index, request, about);
        let at = self.now + END_POLL + self.random.millis(0, 2_000);
        self.agenda.plan(at, Event::WantOperation { operation: index });
    }

    pub fn terminate_operation(&mut self, index: usize) {
        if self.operations[index].termination_settled {
            return;
        }
        let asked = Asked {
            run_id: String::new(),
            request_id: format!("terminate-{index}"),
            identity: "client".into(),
            reason: "no longer wanted".into(),
        };
        self.tell_operation(index, StandaloneRequest::Terminate(asked), About::Cancel);
        let at = self.now + self.random.millis(500, 3_000);
        self.agenda.plan(at, Event::TerminateOperation { operation: index });
    }

    /// The handler that goes on with an operation tells its end.
    pub fn operation_ends(&mut self, index: usize) {
        let wanted = &self.operations[index];
        let Some(callback) = wanted.callback.clone().filter(|_| !wanted.end_settled) else { return };
        let completion = Completion {
            operation: Some(callback.clone()),
            operation_token: "token".into(),
            started: Time::default(),
            links: Vec::new(),
            end: End::Succeeded(Some(Proto(payload(LATER)))),
        };
        let request = StandaloneRequest::CompleteOperation {
            run_id: callback.run.run_id.to_string(),
            completion: Box::new(completion),
            by_run: format!("handler-{index}"),
            from_namespace: NAMESPACE.into(),
        };
        self.tell_operation(index, request, About::Attempt(0));
        let at = self.now + self.random.millis(500, 3_000);
        self.agenda.plan(at, Event::OperationEnds { operation: index });
    }

    fn tell_operation(&mut self, index: usize, request: StandaloneRequest, about: About) {
        let key = self.operations[index].key.clone();
        let node = self.random.below(self.nodes.len());
        let asker = Asker::Operation { operation: index, about };
        self.send(None, node, Message::Standalone { key, request: Box::new(request), asker, hops: 0 });
    }

    /// The handler is called. What it answers goes back the way that calls of workflows go.
    pub fn handle_own_call(&mut self, message: &Carried, call: &Call, owed: Owed) -> Option<Called> {
        let id = &*message.from.workflow.workflow_id;
        let index = self.operations.iter().position(|wanted| wanted.key.id() == id)?;
        let (CallOf::Start { callback, .. }, Owed::Start(made)) = (&call.what, owed) else {
            return Some(Called::Taken);
        };
        if made < self.operations[index].failures {
            let failure = Box::new(Proto(Failure { message: "busy".into(), ..Failure::default() }));
            return Some(Called::Error { failure, retryable: true });
        }
        if call.operation == AT_ONCE {
            let payload = Some(Proto(payload(AT_ONCE)));
            return Some(Called::Succeeded { payload, links: Vec::new() });
        }
        if self.operations[index].callback.replace(callback.clone()).is_none() {
            let at = self.now + self.random.millis(0, 4_000);
            self.agenda.plan(at, Event::OperationEnds { operation: index });
        }
        Some(Called::Started { operation_token: "token".into(), links: Vec::new() })
    }

    /// What came of a call is told to the operation.
    pub fn own_call_answered(&mut self, node: usize, message: Carried, call: Owed, outcome: Outcome) {
        let Outcome::Nexus(outcome) = outcome else { return };
        let key = StandaloneKey { kind: Kind::Operation, named: message.from.workflow };
        let run_id = message.from.run_id.to_string();
        let request = Box::new(StandaloneRequest::OperationCalled { run_id, call, outcome });
        let told = Message::Standalone { key, request, asker: Asker::Nobody, hops: 1 };
        self.send(Some(node), node, told);
    }

    pub fn operation_answered(&mut self, index: usize, about: About, reply: &Result<Reply, Reject>) {
        let wanted = &mut self.operations[index];
        match (about, reply) {
            (About::Start, Ok(Reply::StandaloneStarted { run_id, .. })) => match &wanted.run_id {
                None => {
                    wanted.run_id = Some(run_id.clone());
                    self.coverage.hit("an operation on its own was started");
                }
                Some(known) if known != run_id => {
                    let (id, text) = (wanted.key.id().to_owned(), format!("{known} and {run_id}"));
                    self.fail("a start that is repeated gets the same answer (I10)", Some(&id), text);
                }
                Some(_) => {}
            },
            (About::End, Ok(Reply::Standalone(Some(state)))) => {
                wanted.told = Some(state.status);
                self.coverage.hit("the end of an operation on its own was heard of");
            }
            (About::Cancel, Ok(_) | Err(Reject::FailedPrecondition(_))) => wanted.termination_settled = true,
            (About::Attempt(_), Ok(Reply::Message(Outcome::Nexus(outcome)))) => {
                wanted.end_settled = true;
                if **outcome == Called::Taken {
                    wanted.is_taken = true;
                    self.coverage.hit("an operation on its own was told its end");
                }
            }
            _ => {}
        }
    }

    /// What all members have agreed upon of an operation that was started.
    pub fn operation_state(&self, wanted: &WantedOperation) -> Option<std::sync::Arc<Standalone>> {
        let log = &self.logs[self.shard_of_slot(wanted.key.slot())];
        World::standalone(&log.truth, &wanted.key.run(wanted.run_id.as_ref()?))
    }

    pub fn operations_are_done(&self) -> bool {
        self.operations.iter().all(|wanted| wanted.told.is_some())
    }

    /// The state of those that are not.
    pub fn operations_not_done(&self) -> String {
        let open = self.operations.iter().filter(|wanted| wanted.told.is_none());
        open.map(|wanted| format!("{:?}: {:?}", wanted.key, self.operation_state(wanted))).collect()
    }
}

fn payload(data: &str) -> Payload {
    Payload { data: data.as_bytes().to_vec(), ..Payload::default() }
}
