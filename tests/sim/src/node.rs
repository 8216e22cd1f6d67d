//! A node: its queues, and for each shard a shell with the real [`Shard`], the tables it has applied and
//! what it believes of the log. A crash loses all of it but the checkpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use everlog_engine::{
    key::SLOTS,
    limits::Limits,
    queue::{PollId, Queues},
    shard::{Call, Input, Shard},
    testing::MemoryTables,
    time::Time,
};

use crate::agenda::{Asker, PollBy};

pub struct Node {
    pub id: usize,
    /// Counts restarts; what was meant for a former life is dropped.
    pub life: u64,
    pub alive: bool,
    /// Cut off from the other nodes, though not from clients and workers.
    pub isolated: bool,
    pub paused_until: Option<Time>,
    /// How far this node's clock is ahead.
    pub skew: Duration,
    pub shells: Vec<Shell>,
    pub queues: Queues,
    pub polls: BTreeMap<PollId, PollBy>,
    pub next_poll: PollId,
    pub takes: BTreeSet<u64>,
    pub next_take: u64,
    pub queue_wake: Option<Time>,
}

pub struct Shell {
    pub shard: Shard,
    pub inbox: Vec<Input>,
    pub turn_at: Option<Time>,
    /// Turns in a row that had nothing to do and yet want another one at once.
    pub idle_turns: u32,
    pub calls: BTreeMap<Call, Asker>,
    pub next_call: Call,
    /// Proposals whose fate this shell has not been told.
    pub outstanding: BTreeSet<u64>,
    /// A proposal of this turn was given up: what became of it is settled behind the turn's proposals.
    pub settles: bool,
    pub tables: MemoryTables,
    pub applied: usize,
    pub checkpoint: (MemoryTables, usize),
    pub known_term: u64,
    pub known_leader: Option<usize>,
    /// The term in which the shard was told to lead.
    pub leads_in: Option<u64>,
}

impl Node {
    pub fn new(id: usize, skew: Duration, shards: usize, limits: &Arc<Limits>) -> Node {
        let shells = (0..shards).map(|shard| Shell::new(shard, shards, limits)).collect();
        Node {
            id,
            life: 1,
            alive: true,
            isolated: false,
            paused_until: None,
            skew,
            shells,
            queues: Queues::new(),
            polls: BTreeMap::new(),
            next_poll: 1,
            takes: BTreeSet::new(),
            next_take: 1,
            queue_wake: None,
        }
    }

    pub fn clock(&self, now: Time) -> Time {
        now + self.skew
    }

    /// Whether others hear from this node now.
    pub fn is_reachable(&self) -> bool {
        self.alive && !self.isolated && self.paused_until.is_none()
    }

    /// Loses everything but what is on disk.
    pub fn crash(&mut self) {
        self.life += 1;
        self.alive = false;
        self.paused_until = None;
        self.queues = Queues::new();
        self.polls.clear();
        self.takes.clear();
        self.queue_wake = None;
        let shards = self.shells.len();
        for (shard, shell) in self.shells.iter_mut().enumerate() {
            let (tables, applied) = shell.checkpoint.clone();
            let limits = tables.limits.clone();
            *shell = Shell {
                tables: tables.clone(),
                applied,
                checkpoint: (tables, applied),
                ..Shell::new(shard, shards, &limits)
            };
        }
    }
}

impl Shell {
    fn new(shard: usize, shards: usize, limits: &Arc<Limits>) -> Shell {
        let mut tables = MemoryTables::default();
        tables.limits = limits.clone();
        let of = |slot: &u16| usize::from(*slot) * shards / usize::from(SLOTS) == shard;
        Shell {
            shard: Shard::new((0..SLOTS).filter(of).collect()),
            inbox: Vec::new(),
            turn_at: None,
            idle_turns: 0,
            calls: BTreeMap::new(),
            next_call: 1,
            outstanding: BTreeSet::new(),
            settles: false,
            tables: tables.clone(),
            applied: 0,
            checkpoint: (tables, 0),
            known_term: 0,
            known_leader: None,
            leads_in: None,
        }
    }
}
