//! Calls from outside: sent to some node, repeated to another if the answer does not come.
//!
//! A caller that has been answered knows; one that has not may never know. `uncertain` remembers that an
//! attempt got lost or was answered with Unavailable: a later refusal then proves nothing.

use std::time::Duration;

use everlog_engine::{key::WorkflowKey, reject::Reject, reply::Reply, request::Request};
use everlog_proto::api::history::v1::HistoryEvent;

use crate::{
    agenda::{Answer, Asker, Event, Message},
    sim::Sim,
};

#[derive(Debug)]
pub struct Rpc {
    workflow: WorkflowKey,
    request: Request,
    owner: Owner,
    attempt: u32,
    attempts_left: u32,
    uncertain: bool,
    timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
pub enum Owner {
    Session { session: usize, op: usize },
    Worker { worker: usize, life: u64, job: u64 },
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Done {
        reply: Reply,
        events: Vec<HistoryEvent>,
    },
    /// Certain means that no attempt can have been carried out.
    Refused {
        reject: Reject,
        certain: bool,
    },
    Unknown,
}

impl Sim {
    pub fn call(
        &mut self,
        workflow: WorkflowKey,
        request: Request,
        owner: Owner,
        attempts: u32,
        timeout: Duration,
    ) {
        let id = self.next_rpc;
        self.next_rpc += 1;
        let rpc =
            Rpc { workflow, request, owner, attempt: 0, attempts_left: attempts, uncertain: false, timeout };
        self.rpcs.insert(id, rpc);
        self.rpc_attempt(id);
    }

    pub fn rpc_attempt(&mut self, id: u64) {
        let Some(rpc) = self.rpcs.get_mut(&id) else { return };
        rpc.attempt += 1;
        rpc.attempts_left -= 1;
        let (attempt, timeout, owner) = (rpc.attempt, rpc.timeout, rpc.owner);
        let (workflow, request) = (rpc.workflow.clone(), Box::new(rpc.request.clone()));
        if attempt > 1 {
            self.note_repeated(owner);
        }
        let node = self.random.below(self.nodes.len());
        let asker = Asker::Rpc { rpc: id, attempt };
        self.send(None, node, Message::Request { workflow, request, asker, hops: 0 });
        self.agenda.plan(self.now + timeout, Event::RpcTimeout { rpc: id, attempt });
    }

    /// The network delivers an attempt twice: a refusal may then be of the second delivery.
    pub fn rpc_doubled(&mut self, id: u64) {
        let Some(rpc) = self.rpcs.get_mut(&id) else { return };
        rpc.uncertain = true;
        let owner = rpc.owner;
        self.note_repeated(owner);
    }

    fn note_repeated(&mut self, owner: Owner) {
        if let Owner::Session { op, .. } = owner {
            self.records.ops[op].repeated = true;
        }
    }

    pub fn rpc_answered(&mut self, id: u64, attempt: u32, answer: Answer) {
        if self.rpcs.get(&id).is_none_or(|rpc| rpc.attempt != attempt) {
            return;
        }
        match answer.reply {
            Err(Reject::Unavailable(_) | Reject::Overloaded(_)) => self.rpc_failed(id),
            Ok(reply) => self.rpc_ends(id, |_| Outcome::Done { reply, events: answer.events }),
            Err(reject) => {
                self.rpc_ends(id, |rpc| Outcome::Refused { reject, certain: !rpc.uncertain });
            }
        }
    }

    pub fn rpc_timed_out(&mut self, id: u64, attempt: u32) {
        if self.rpcs.get(&id).is_some_and(|rpc| rpc.attempt == attempt) {
            self.rpc_failed(id);
        }
    }

    fn rpc_failed(&mut self, id: u64) {
        let Some(rpc) = self.rpcs.get_mut(&id) else { return };
        rpc.uncertain = true;
        if rpc.attempts_left == 0 {
            self.rpc_ends(id, |_| Outcome::Unknown);
            return;
        }
        // What still comes as an answer to the old attempt comes too late.
        rpc.attempt += 1;
        let at = self.now + self.random.millis(20, 400);
        self.agenda.plan(at, Event::RpcRetry { rpc: id });
    }

    fn rpc_ends(&mut self, id: u64, outcome: impl FnOnce(&Rpc) -> Outcome) {
        let Some(rpc) = self.rpcs.remove(&id) else { return };
        let outcome = outcome(&rpc);
        match rpc.owner {
            Owner::Session { session, op } => self.op_ended(session, op, outcome),
            Owner::Worker { worker, life, job } => self.job_answered(worker, life, job, outcome),
        }
    }
}
