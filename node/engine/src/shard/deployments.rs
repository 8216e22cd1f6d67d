//! The deployments of a shard: actors like schedules, but for time, which nothing of theirs waits for.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{ACTOR_WAITING_MAX, Answer, Call, Output, Shard, World, not_led};
use crate::{
    deployment::{
        DeploymentKey, DeploymentState,
        decide::{DeploymentTurn, decide},
        fact::DeploymentChange,
        request::DeploymentRequest,
    },
    fact::Entry,
    limits::Limits,
    planted,
    reject::Reject,
    reply::Reply,
    stamp::Stamp,
    time::Time,
};

#[derive(Debug, Default)]
pub(super) struct Deployments {
    actors: BTreeMap<DeploymentKey, DeploymentActor>,
    ready: BTreeSet<DeploymentKey>,
    in_flight: BTreeMap<u64, Vec<DeploymentKey>>,
}

#[derive(Debug, Default)]
struct DeploymentActor {
    /// With everything decided so far, committed or on its way.
    state: Option<Arc<DeploymentState>>,
    waiting: VecDeque<(Call, DeploymentRequest)>,
    in_flight: bool,
    replies: Vec<Answer>,
}

/// What one deployment's requests led to in a turn.
struct Decided {
    change: DeploymentChange,
    replies: Vec<Answer>,
    kinds: Vec<&'static str>,
}

impl Shard {
    /// Everything that only the leader knew is gone. Returns the callers that wait.
    pub(super) fn follow_deployments(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        for actor in std::mem::take(&mut self.deployments).actors.into_values() {
            calls.extend(actor.waiting.into_iter().map(|(call, _)| call));
            calls.extend(actor.replies.into_iter().map(|(call, _)| call));
        }
        calls
    }

    pub(super) fn deployment_request(
        &mut self,
        call: Call,
        key: DeploymentKey,
        request: DeploymentRequest,
        world: &dyn World,
    ) {
        if !self.leads() {
            self.outputs.push_back(Output::Reply { call, reply: Err(not_led()) });
            return;
        }
        let actor = self.deployments.actors.entry(key.clone()).or_insert_with(|| DeploymentActor {
            state: world.deployment(&key),
            ..DeploymentActor::default()
        });
        if actor.waiting.len() >= ACTOR_WAITING_MAX {
            let text = "too many requests wait for this deployment";
            self.outputs.push_back(Output::Reply { call, reply: Err(Reject::BusyWorkflow(text.into())) });
            return;
        }
        actor.waiting.push_back((call, request));
        if !actor.in_flight {
            self.deployments.ready.insert(key);
        }
    }

    pub(super) fn awaits_deployments(&self, proposal: u64) -> bool {
        self.deployments.in_flight.contains_key(&proposal)
    }

    pub(super) fn deployments_committed(&mut self, proposal: u64) {
        for key in self.deployments.in_flight.remove(&proposal).unwrap_or_default() {
            let Some(actor) = self.deployments.actors.get_mut(&key) else { continue };
            actor.in_flight = false;
            if actor.state.as_ref().is_some_and(|state| state.deleted) {
                actor.state = None;
            }
            for (call, reply) in std::mem::take(&mut actor.replies) {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            self.touch_deployment(key);
        }
    }

    pub(super) fn decide_deployments(&mut self, now: Time, world: &dyn World) {
        let mut entry = Entry::default();
        let (mut kinds, mut members) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.deployments.ready) {
            let Some(mut actor) = self.deployments.actors.remove(&key) else { continue };
            let limits = world.limits(key.namespace_id());
            self.decisions += 1;
            let seed = self.seed ^ self.decisions.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let mut decided = actor.decide(now, seed, &limits, &key);
            if decided.change.facts.is_empty() {
                self.reads_of_turn.extend(decided.replies);
            } else {
                actor.in_flight = true;
                if planted::is("version_change_answered_early") {
                    let early = decided.replies.drain(..);
                    self.outputs.extend(early.map(|(call, reply)| Output::Reply { call, reply }));
                }
                actor.replies = decided.replies;
                kinds.extend(decided.kinds);
                entry.deployments.push(decided.change);
                members.push(key.clone());
            }
            self.deployments.actors.insert(key.clone(), actor);
            self.touch_deployment(key);
        }
        let Some(term) = self.term.filter(|_| !entry.deployments.is_empty()) else { return };
        let proposal = self.next_proposal;
        self.next_proposal += 1;
        self.deployments.in_flight.insert(proposal, members);
        self.outputs.push_back(Output::Propose { proposal, term, entry, kinds });
    }

    /// Among the ready, or out of memory: what is applied is in the tables.
    fn touch_deployment(&mut self, key: DeploymentKey) {
        let Some(actor) = self.deployments.actors.get(&key) else { return };
        if actor.in_flight {
            return;
        }
        if actor.waiting.is_empty() {
            self.deployments.actors.remove(&key);
        } else {
            self.deployments.ready.insert(key);
        }
    }
}

impl DeploymentActor {
    fn decide(&mut self, now: Time, seed: u64, limits: &Limits, key: &DeploymentKey) -> Decided {
        let version = self.state.as_ref().map_or(0, |state| state.version);
        let change = DeploymentChange { key: key.clone(), version, facts: Vec::new(), prepared: None };
        let mut decided = Decided { change, replies: Vec::new(), kinds: Vec::new() };
        let stamp = Stamp::new(now, seed, limits);
        while let Some((call, request)) = self.waiting.pop_front() {
            let before = match &self.state {
                Some(state) => (**state).clone(),
                None => DeploymentState::fresh(key.clone()),
            };
            let mut turn = DeploymentTurn::new(&stamp, before);
            let outcome = decide(&mut turn, self.state.is_some(), &request);
            if outcome.is_ok() && !turn.facts.is_empty() {
                decided.kinds.push(request.kind());
                decided.change.facts.append(&mut turn.facts);
                self.state = Some(Arc::new(turn.state));
            }
            decided.replies.push((call, outcome.map(Reply::Deployment)));
            if self.state.as_ref().is_some_and(|state| state.deleted) {
                // Whoever comes next meets a deployment that has never been.
                break;
            }
        }
        if !decided.change.facts.is_empty()
            && let Some(state) = &mut self.state
        {
            Arc::make_mut(state).version += 1;
            decided.change.prepared = Some(state.clone());
        }
        decided
    }
}
