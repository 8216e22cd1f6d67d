//! A deployment in the simulation: one client makes it, and then one version after the other the current one,
//! asking for each until it is answered. Every change carries the conflict token of the one before, so what
//! comes late or twice changes nothing.

use everlog_engine::{
    deployment::{
        DeploymentKey, DeploymentState,
        request::{DeploymentReply, DeploymentRequest, SetCurrent, token_bytes},
    },
    reject::Reject,
    reply::Reply,
    shard::{Input as ShardInput, World},
};

use crate::{
    agenda::{Asker, Event, Message},
    random::Random,
    sim::{NAMESPACE, Sim},
};

/// What somebody wants of a deployment, and how far he has come.
#[derive(Clone, Debug)]
pub struct Changes {
    pub key: DeploymentKey,
    pub wanted: usize,
    /// Changes that were answered.
    pub made: usize,
    /// Of the last answer; none before the deployment was created.
    token: Option<i64>,
}

impl Changes {
    pub fn draw(random: &mut Random) -> Changes {
        let key = DeploymentKey::new(NAMESPACE, "deployment");
        Changes { key, wanted: random.below(8), made: 0, token: None }
    }

    fn is_done(&self) -> bool {
        self.made >= self.wanted
    }

    fn next(&self) -> DeploymentRequest {
        let identity = "operator".to_owned();
        match self.token {
            None => DeploymentRequest::Create { request_id: "create".into(), identity, others: 0 },
            Some(token) => DeploymentRequest::SetCurrent(SetCurrent {
                build_id: Some((self.made + 1).to_string()),
                identity,
                conflict_token: token_bytes(token),
                allow_no_pollers: true,
                ..SetCurrent::default()
            }),
        }
    }
}

impl Sim {
    /// The client asks for its next change, at whatever node, until it is told that it was made.
    pub fn change_deployment(&mut self) {
        if self.deployment.is_done() {
            return;
        }
        let (key, request) = (self.deployment.key.clone(), Box::new(self.deployment.next()));
        let node = self.random.below(self.nodes.len());
        let asker = Asker::DeploymentClient { made: self.deployment.made };
        self.send(None, node, Message::Deployment { key, request, asker, hops: 0 });
        let at = self.now + self.random.millis(300, 3_000);
        self.agenda.plan(at, Event::ChangeDeployment);
    }

    pub fn deployment_answered(&mut self, made: usize, reply: &Result<Reply, Reject>) {
        // Answers to what was answered before tell nothing new.
        if made != self.deployment.made {
            return;
        }
        match reply {
            Ok(Reply::Deployment(DeploymentReply::Created { conflict_token })) => {
                self.deployment.token.get_or_insert(*conflict_token);
            }
            Ok(Reply::Deployment(DeploymentReply::Current { conflict_token, .. })) => {
                self.deployment.made += 1;
                self.deployment.token = Some(*conflict_token);
                self.coverage.hit("a deployment changed its current version");
            }
            _ => {}
        }
    }

    /// The leader is here, or one forward away.
    pub fn route_deployment(
        &mut self,
        node: usize,
        key: DeploymentKey,
        request: Box<DeploymentRequest>,
        asker: Asker,
        hops: u32,
    ) {
        let shard = self.shard_of_slot(key.slot());
        match self.nodes[node].shells[shard].known_leader {
            Some(leader) if leader == node => {
                let shell = &mut self.nodes[node].shells[shard];
                let call = shell.next_call;
                shell.next_call += 1;
                shell.calls.insert(call, asker);
                self.push_input(node, shard, ShardInput::Deployment { call, key, request: *request });
            }
            Some(leader) if hops == 0 => {
                self.send(Some(node), leader, Message::Deployment { key, request, asker, hops: 1 });
            }
            // The client asks again by itself.
            _ => {}
        }
    }

    pub fn deployment_is_done(&self) -> bool {
        self.deployment.is_done()
    }

    /// As it was committed.
    pub fn deployment_state(&self) -> Option<std::sync::Arc<DeploymentState>> {
        let log = &self.logs[self.shard_of_slot(self.deployment.key.slot())];
        World::deployment(&log.truth, &self.deployment.key)
    }
}
