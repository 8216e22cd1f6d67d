//! The nemesis: crashes, cuts, pauses, deposed leaders, workers that die or forget.

use crate::{
    agenda::{Event, Recovery},
    sim::Sim,
};

impl Sim {
    pub fn fault(&mut self) {
        if !self.is_faulty() {
            return;
        }
        let mean = self.settings.fault_every.as_millis() as u64;
        let next = self.now + self.random.millis(mean / 4, mean * 7 / 4);
        self.agenda.plan(next, Event::Fault);
        let node = self.victim();
        match self.random.below(12) {
            0 | 1 => {
                let down = self.random.millis(50, 6_000);
                self.crash(node);
                self.agenda.plan(self.now + down, Event::EndFault { node, fault: Recovery::Restart });
            }
            2..=4 if self.nodes.len() > 1 => {
                self.trace.say(self.now, None, || format!("node {node} is cut off"));
                self.coverage.hit("a node was cut off");
                self.nodes[node].isolated = true;
                let cut = self.random.millis(200, 12_000);
                self.agenda.plan(self.now + cut, Event::EndFault { node, fault: Recovery::Reconnect });
            }
            5 => {
                let until = self.now + self.random.millis(100, 9_000);
                self.trace.say(self.now, None, || format!("node {node} is paused"));
                self.coverage.hit("a node was paused");
                self.nodes[node].paused_until = Some(until);
                self.agenda.plan(until, Event::EndFault { node, fault: Recovery::Resume });
            }
            6..=8 => {
                let shard = self.random.below(self.settings.shards);
                let able = self.logs[shard].leader.is_some_and(|leader| self.nodes[leader].is_reachable());
                let candidates: Vec<usize> =
                    self.nodes.iter().filter(|node| node.is_reachable()).map(|node| node.id).collect();
                if able && candidates.len() * 2 > self.nodes.len() {
                    let new = *self.random.pick(&candidates);
                    self.coverage.hit("a leader was deposed");
                    self.elect(shard, new);
                }
            }
            9 | 10 => {
                let worker = self.random.below(self.workers.len());
                self.crash_worker(worker);
            }
            _ => {
                let worker = self.random.below(self.workers.len());
                self.coverage.hit("a worker lost its cache");
                self.workers[worker].cache.clear();
            }
        }
    }

    /// Half of the time somebody who leads.
    fn victim(&mut self) -> usize {
        let shard = self.random.below(self.settings.shards);
        match self.logs[shard].leader {
            Some(leader) if self.random.chance(0.5) => leader,
            _ => self.random.below(self.nodes.len()),
        }
    }

    fn crash(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.trace.say(self.now, None, || format!("node {node} crashes"));
        self.coverage.hit("a node crashed");
        if self.nodes[node].shells.iter().any(|shell| shell.applied > shell.checkpoint.1) {
            self.coverage.hit("a node lost what it had applied since its checkpoint");
        }
        for shard in 0..self.settings.shards {
            if self.logs[shard].leader == Some(node) {
                // It can come back only by an election.
                self.logs[shard].leader = None;
            }
        }
        self.nodes[node].crash();
    }

    pub fn end_fault(&mut self, node: usize, fault: Recovery) {
        match fault {
            Recovery::Restart if !self.nodes[node].alive => {
                self.trace.say(self.now, None, || format!("node {node} is back"));
                self.nodes[node].alive = true;
            }
            Recovery::Reconnect if self.nodes[node].isolated => {
                self.trace.say(self.now, None, || format!("node {node} is reconnected"));
                self.nodes[node].isolated = false;
            }
            Recovery::Resume
                if self.nodes[node]
                    .paused_until
                    .is_some_and(|until| until <= self.now || !self.is_faulty()) =>
            {
                self.trace.say(self.now, None, || format!("node {node} goes on"));
                self.nodes[node].paused_until = None;
            }
            _ => return,
        }
        let life = self.nodes[node].life;
        for shard in 0..self.settings.shards {
            let (soon, later) = (self.random.millis(0, 50), self.random.millis(0, 200));
            let (first, second) = (Event::Apply { node, life, shard }, Event::Learn { node, life, shard });
            let (first, second) = if self.random.chance(0.5) { (first, second) } else { (second, first) };
            self.agenda.plan(self.now + soon, first);
            self.agenda.plan(self.now + soon + later, second);
            let term = self.logs[shard].term;
            self.agenda.plan(self.now, Event::Commit { shard, term });
        }
    }
}
