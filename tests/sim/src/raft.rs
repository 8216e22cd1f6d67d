//! How leaders come and go, and what becomes of proposals.
//!
//! The rules of Raft as far as a shard can tell: one leader a term; it appends, and commits what a
//! majority can have; a successor has everything committed and a prefix of what was not; a node that was
//! deposed hears of it late. Who is elected and what survives is drawn; what Raft excludes is never drawn.

use std::{collections::VecDeque, sync::Arc};

use everlog_engine::{
    codec::CodecError,
    deployment,
    execution::Execution,
    fact::{Change, Entry},
    rows::{self, ApplyError},
    schedule,
    shard::Input,
    standalone::{self, Standalone},
    testing::MemoryTables,
};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    agenda::Event,
    log::{Fate, Pending, Proposed, Proposer, Record},
    random::Random,
    sim::Sim,
};

/// Members are compared with each other at every so many entries.
const DIGEST_EVERY_ENTRIES: usize = 16;
/// How often a leader does not hear in time what became of its proposal.
const GIVEN_UP: f64 = 0.004;
/// Rounds without a leader before there is an election.
const LEADERLESS_ROUNDS_MIN: u32 = 2;

impl Sim {
    /// Nodes that hear each other.
    fn reachable(&self) -> Vec<usize> {
        self.nodes.iter().filter(|node| node.is_reachable()).map(|node| node.id).collect()
    }

    fn has_quorum(&self, node: usize) -> bool {
        let reachable = self.reachable();
        reachable.contains(&node) && reachable.len() * 2 > self.nodes.len()
    }

    pub fn election(&mut self, shard: usize) {
        let again = self.now + self.random.millis(200, 600);
        self.agenda.plan(again, Event::Election { shard });
        if self.logs[shard].leader.is_some_and(|leader| self.has_quorum(leader)) {
            self.leaderless[shard] = 0;
            return;
        }
        self.leaderless[shard] += 1;
        let candidates = self.reachable();
        if self.leaderless[shard] >= LEADERLESS_ROUNDS_MIN && candidates.len() * 2 > self.nodes.len() {
            let new = *self.random.pick(&candidates);
            self.elect(shard, new);
        }
    }

    /// A new term begins, led by this node, which must be able to reach a majority.
    pub fn elect(&mut self, shard: usize, new: usize) {
        let old = self.logs[shard].leader;
        let pending = std::mem::take(&mut self.logs[shard].pending);
        let may_survive = pending.iter().take_while(|p| p.reached_others || old == Some(new)).count();
        let survive = if old == Some(new) { may_survive } else { self.random.below(may_survive + 1) };
        if survive < pending.len() {
            self.coverage.hit("a proposal was lost with its leader");
        }
        self.note_lost_tasks(shard, old);
        let commits_at = self.now + self.random.millis(1, 200);
        let mut kept: VecDeque<Pending> = pending.into_iter().take(survive).collect();
        for pending in &mut kept {
            pending.ready_at = commits_at;
        }
        let log = &mut self.logs[shard];
        log.term += 1;
        log.leader = Some(new);
        let record = Record { term: log.term, change: None };
        kept.push_back(Pending { record, ready_at: commits_at, reached_others: true });
        log.pending = kept;
        let term = log.term;
        self.leaderless[shard] = 0;
        self.trace.say(self.now, None, || {
            format!("shard {shard}: node {new} leads in term {term}, before: {old:?}")
        });
        self.agenda.plan(commits_at, Event::Commit { shard, term });
        for node in 0..self.nodes.len() {
            let slow = self.settings.apply_lag_ms_max;
            let delay =
                if node == new { self.random.millis(0, 1) } else { self.random.millis(0, slow.max(5)) };
            let life = self.nodes[node].life;
            self.agenda.plan(self.now + delay, Event::Learn { node, life, shard });
        }
    }

    /// Counts what the change of leader interrupts.
    fn note_lost_tasks(&mut self, shard: usize, old: Option<usize>) {
        let Some(shell) = old.map(|old| &self.nodes[old].shells[shard]) else { return };
        let held = self.logs[shard].open.keys().any(|workflow| shell.shard.holds_task(workflow));
        if held {
            self.coverage.hit("leader changed while a workflow task was held");
        }
    }

    pub fn propose(&mut self, node: usize, shard: usize, proposal: u64, term: u64, entry: Entry) {
        let (ready_at, slow) = (self.now + self.random.millis(0, 3), self.strikes(0.02));
        let ready_at = if slow { ready_at + self.random.millis(20, 800) } else { ready_at };
        let life = self.nodes[node].life;
        let by = Proposer { node, life, proposal };
        let reached_others = self.has_quorum(node);
        let shell = &mut self.nodes[node].shells[shard];
        let log = &mut self.logs[shard];
        if log.term == term && log.leader == Some(node) {
            shell.outstanding.insert(proposal);
            let bytes = Arc::new(entry.encode());
            let change = Some(Proposed { by, bytes, entry: Arc::new(entry) });
            let record = Record { term, change };
            // In order: nothing overtakes what was appended before.
            let ready_at = log.pending.back().map_or(ready_at, |before| before.ready_at.max(ready_at));
            log.pending.push_back(Pending { record, ready_at, reached_others });
            self.agenda.plan(ready_at, Event::Commit { shard, term });
            if self.strikes(GIVEN_UP) {
                self.give_up(node, shard, proposal);
            }
        } else if shell.known_term == term {
            self.coverage.hit("a stale leader proposed");
            shell.outstanding.insert(proposal);
        } else {
            self.coverage.hit("a proposal of an old term was refused");
            self.push_input(node, shard, Input::Lost { proposal });
        }
    }

    /// The proposer stops to wait, though it may go on leading. It decides nothing more before an empty
    /// entry behind the proposal is applied: then what became of that one is known as well.
    fn give_up(&mut self, node: usize, shard: usize, proposal: u64) {
        self.coverage.hit("a proposal was given up by a leader that went on leading");
        let shell = &mut self.nodes[node].shells[shard];
        shell.outstanding.remove(&proposal);
        shell.settles = true;
        self.push_input(node, shard, Input::Lost { proposal });
    }

    /// The empty entry comes behind everything that was proposed in the same turn.
    pub fn settle(&mut self, node: usize, shard: usize) {
        if !std::mem::take(&mut self.nodes[node].shells[shard].settles) {
            return;
        }
        let record = Record { term: self.logs[shard].term, change: None };
        let log = &mut self.logs[shard];
        let ready_at = log.pending.back().map_or(self.now, |before| before.ready_at);
        log.pending.push_back(Pending { record, ready_at, reached_others: true });
    }

    pub fn commit(&mut self, shard: usize, term: u64) {
        let Some(leader) = self.logs[shard].leader else { return };
        if self.logs[shard].term != term || !self.has_quorum(leader) {
            return;
        }
        let mut committed = false;
        while let Some(pending) = self.logs[shard].pending.front()
            && pending.ready_at <= self.now
        {
            let Some(pending) = self.logs[shard].pending.pop_front() else { break };
            self.take_as_truth(shard, leader, pending.record);
            committed = true;
        }
        if !committed {
            return;
        }
        for node in 0..self.nodes.len() {
            let slow = self.settings.apply_lag_ms_max;
            let delay = if node == leader { self.random.millis(0, 1) } else { self.random.millis(0, slow) };
            let life = self.nodes[node].life;
            self.agenda.plan(self.now + delay, Event::Apply { node, life, shard });
        }
    }

    /// From here on it has happened, whoever knows of it.
    fn take_as_truth(&mut self, shard: usize, leader: usize, record: Record) {
        if let Some(change) = &record.change {
            if change.by.node != leader || change.by.life != self.nodes[leader].life {
                self.coverage.hit("an entry was committed although its proposer was deposed");
            }
            let log = &mut self.logs[shard];
            let outcome = apply_bytes(&mut log.truth, &change.bytes, Some(&change.entry));
            match outcome {
                Ok(changes) => crate::check::online(self, shard, &changes),
                Err(why) => self.fail(
                    "every committed entry applies, and folds to what its leader prepared",
                    None,
                    why,
                ),
            }
        }
        let log = &mut self.logs[shard];
        log.committed.push(record);
        if log.committed.len().is_multiple_of(DIGEST_EVERY_ENTRIES) {
            log.digests.insert(log.committed.len(), digest(&log.truth));
        }
    }

    pub fn apply(&mut self, node: usize, life: u64, shard: usize) {
        if !self.is_life(node, life) || self.nodes[node].isolated {
            return;
        }
        if let Some(until) = self.nodes[node].paused_until {
            self.agenda.plan(until, Event::Apply { node, life, shard });
            return;
        }
        let mut inputs = Vec::new();
        let shell = &mut self.nodes[node].shells[shard];
        let log = &self.logs[shard];
        let mut broken = None;
        while let Some(record) = log.committed.get(shell.applied) {
            match &record.change {
                None if record.term == log.term && log.leader == Some(node) => {
                    // No two leaders draw the same numbers, or runs of different workflows would share ids.
                    let seed = Random::of(shard as u64, record.term).draw();
                    inputs.push((true, Input::Lead { term: record.term, seed }));
                    shell.leads_in = Some(record.term);
                }
                None => {}
                Some(change) => {
                    let own = change.by.node == node && change.by.life == life;
                    let outcome = if own {
                        apply_prepared(&mut shell.tables, &change.entry)
                    } else {
                        apply_bytes(&mut shell.tables, &change.bytes, None).map(|_| ())
                    };
                    if let Err(why) = outcome {
                        broken = Some(why);
                    }
                    if own && shell.outstanding.remove(&change.by.proposal) {
                        inputs.push((false, Input::Committed { proposal: change.by.proposal }));
                    }
                }
            }
            shell.applied += 1;
            if let Some(expected) = log.digests.get(&shell.applied)
                && *expected != digest(&shell.tables)
            {
                broken = Some(format!("node {node} differs from the others at entry {}", shell.applied));
            }
        }
        if let Some(why) = broken {
            self.fail("at the same index all members have the same bytes (I-10)", None, why);
        }
        for (leads, input) in inputs {
            if leads {
                // What routing needs is known by then.
                self.learn(node, life, shard);
                self.trace.say(self.now, None, || format!("shard {shard}: node {node} is told to lead"));
            }
            self.push_input(node, shard, input);
        }
    }

    /// A node hears who leads now: a deposed leader stops, routes change, queues move.
    pub fn learn(&mut self, node: usize, life: u64, shard: usize) {
        if !self.is_life(node, life) || self.nodes[node].isolated {
            return;
        }
        if let Some(until) = self.nodes[node].paused_until {
            self.agenda.plan(until, Event::Learn { node, life, shard });
            return;
        }
        let (term, leader) = (self.logs[shard].term, self.logs[shard].leader);
        let shell = &mut self.nodes[node].shells[shard];
        if shell.known_term == term && shell.known_leader == leader {
            return;
        }
        let was_leading = shell.leads_in.is_some_and(|led| led < term);
        shell.known_term = term;
        shell.known_leader = leader;
        let mut lost = Vec::new();
        for proposal in shell.outstanding.clone() {
            let fate = self.logs[shard].fate(Proposer { node, life, proposal });
            // Of what may still be committed the shell hears now that it is unknown, or later the truth.
            if fate == Fate::Lost || self.random.chance(0.5) {
                lost.push(proposal);
            }
        }
        let shell = &mut self.nodes[node].shells[shard];
        for proposal in &lost {
            shell.outstanding.remove(proposal);
        }
        let follows_first = self.random.chance(0.5);
        let steps_down = was_leading && (leader != Some(node) || self.random.chance(0.5));
        if steps_down {
            self.nodes[node].shells[shard].leads_in = None;
        }
        if steps_down && follows_first {
            self.push_input(node, shard, Input::Follow);
        }
        for proposal in lost {
            self.push_input(node, shard, Input::Lost { proposal });
        }
        if steps_down && !follows_first {
            self.push_input(node, shard, Input::Follow);
        }
        self.queues_move(node);
    }

    /// Whether the leader of this term was still the leader when its followers were asked.
    pub fn barrier(&mut self, node: usize, life: u64, shard: usize, term: u64, read: u64) {
        if !self.is_life(node, life) {
            return;
        }
        if let Some(until) = self.nodes[node].paused_until {
            self.agenda.plan(until, Event::Barrier { node, life, shard, term, read });
            return;
        }
        let log = &self.logs[shard];
        let confirmed = log.term == term && log.leader == Some(node) && self.has_quorum(node);
        if !confirmed {
            self.coverage.hit("a stale leader was refused a read barrier");
        }
        let input = if confirmed { Input::ReadReady { read } } else { Input::ReadFailed { read } };
        self.push_input(node, shard, input);
    }

    pub fn checkpoint(&mut self, node: usize) {
        let again = self.now + self.random.millis(500, 5_000);
        self.agenda.plan(again, Event::Checkpoint { node });
        if self.is_faulty() && self.nodes[node].alive && self.nodes[node].paused_until.is_none() {
            for shell in &mut self.nodes[node].shells {
                if shell.checkpoint.1 != shell.applied {
                    shell.checkpoint = (shell.tables.clone(), shell.applied);
                }
            }
        }
    }

    pub fn is_life(&self, node: usize, life: u64) -> bool {
        self.nodes[node].alive && self.nodes[node].life == life
    }
}

/// Applies an entry as a replica does. With `prepared`, compares what comes of it with what the leader
/// computed. Returns the changes with the states that they led to.
pub fn apply_bytes(
    tables: &mut MemoryTables,
    bytes: &[u8],
    prepared: Option<&Entry>,
) -> Result<Vec<Change>, String> {
    let entry = Entry::decode(bytes).map_err(|error: CodecError| error.to_string())?;
    let mut changes = entry.changes;
    for (index, change) in changes.iter_mut().enumerate() {
        let state = tables.apply_change(change).map_err(|error: ApplyError| error.to_string())?;
        let expected = prepared.and_then(|entry| entry.changes.get(index)).and_then(|c| c.prepared.as_ref());
        if let Some(expected) = expected
            && *expected != state
        {
            return Err(format!(
                "the fold of {:?} at version {} differs from the prepared state",
                change.run, change.version
            ));
        }
        change.prepared = Some(state);
    }
    for (index, change) in entry.schedules.iter().enumerate() {
        let state = schedule::rows::apply(tables, change).map_err(|error| error.to_string())?;
        let expected = prepared.and_then(|entry| entry.schedules.get(index)?.prepared.as_ref());
        if expected.is_some_and(|expected| *expected != state) {
            return Err(format!(
                "the fold of {:?} at version {} differs from the prepared state",
                change.key, change.version
            ));
        }
    }
    for (index, change) in entry.deployments.iter().enumerate() {
        let state = deployment::rows::apply(tables, change).map_err(|error| error.to_string())?;
        let expected = prepared.and_then(|entry| entry.deployments.get(index)?.prepared.as_ref());
        if expected.is_some_and(|expected| *expected != state) {
            return Err(format!(
                "the fold of {:?} at version {} differs from the prepared state",
                change.key, change.version
            ));
        }
    }
    for (index, change) in entry.standalone.iter().enumerate() {
        let state = standalone::rows::apply(tables, change).map_err(|error| error.to_string())?;
        let expected = prepared.and_then(|entry| entry.standalone.get(index)?.prepared.as_ref());
        if expected.is_some_and(|expected| *expected != state) {
            return Err(format!(
                "the fold of {:?} at version {} differs from the prepared state",
                change.run, change.version
            ));
        }
    }
    Ok(changes)
}

fn apply_prepared(tables: &mut MemoryTables, entry: &Entry) -> Result<(), String> {
    for change in &entry.changes {
        tables.apply_change(change).map_err(|error| error.to_string())?;
    }
    for change in &entry.schedules {
        schedule::rows::apply(tables, change).map_err(|error| error.to_string())?;
    }
    for change in &entry.deployments {
        deployment::rows::apply(tables, change).map_err(|error| error.to_string())?;
    }
    for change in &entry.standalone {
        standalone::rows::apply(tables, change).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What members have in common. Maps inside messages have no order of their own, so the states of runs are
/// compared without what only repeats the history, as members of a cluster compare them.
pub fn digest(tables: &MemoryTables) -> u64 {
    let mut hasher = Xxh3::new();
    for (key, value) in tables.rows() {
        let comparable = rows::is_execution(key).then(|| Execution::decode(value).ok()).flatten();
        let comparable = comparable.map(|execution| execution.comparable().encode()).or_else(|| {
            let state = standalone::rows::is_state(key).then(|| Standalone::decode(value).ok()).flatten();
            state.map(|state| state.comparable().encode())
        });
        let value = comparable.as_ref().unwrap_or(value);
        hasher.update(&(key.len() as u32).to_le_bytes());
        hasher.update(key);
        hasher.update(&(value.len() as u32).to_le_bytes());
        hasher.update(value);
    }
    hasher.digest()
}
