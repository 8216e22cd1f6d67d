//! Whose turn it is within a priority: tasks with different fairness keys share the workers by weight.
//!
//! Each key has a pass, a clock that a task of it moves on by one over its weight; the key whose next task ends
//! first on that clock is served next. A key that comes back after a while starts where the others are, so that
//! nobody saves up turns by being away. Keys may also have a rate each: one that has used it up is left out
//! until its next token, and the others go on.

use std::collections::{BTreeMap, BTreeSet};

use super::{config::Config, rate::RateLimit, task::Fairness};
use crate::time::Time;

/// By how much a task of weight 1 moves its key's clock on.
const PASS_PER_TASK: f64 = 1e6;
/// Weights beyond these count as these, as in the real server.
const WEIGHT_MIN: f64 = 0.001;
const WEIGHT_MAX: f64 = 1_000.0;
/// Keys whose rate one queue remembers; the oldest tokens are forgotten beyond it.
const RATED_KEYS_MAX: usize = 10_000;

/// The tasks of one key at one rank.
type Group = (i32, String);

/// The order in which the keys of a backlog are served. Every key that has tasks at a rank is either in turn or
/// held back.
#[derive(Debug, Default)]
pub(super) struct Turns {
    in_turn: BTreeSet<(i32, u64, String)>,
    held: BTreeSet<(Time, i32, String)>,
    groups: BTreeMap<Group, State>,
    /// Where the clock of the key that was served last is, by rank.
    reached: BTreeMap<i32, u64>,
    rates: BTreeMap<String, RateLimit>,
}

#[derive(Debug)]
struct State {
    tasks: usize,
    /// Where the clock will be after the next task.
    pass: u64,
    /// Of the task that came last.
    weight: f64,
    held_until: Option<Time>,
}

/// The weight in force: the operator's, else the task's, else 1.
fn weight(config: &Config, fairness: &Fairness) -> f64 {
    let asked = config.weights.get(&fairness.key).copied();
    let weight = asked.unwrap_or(f64::from(fairness.weight));
    if weight > 0.0 { weight.clamp(WEIGHT_MIN, WEIGHT_MAX) } else { 1.0 }
}

fn stride(weight: f64) -> u64 {
    (PASS_PER_TASK / weight) as u64
}

impl Turns {
    /// A task of this key waits.
    pub(super) fn add(&mut self, rank: i32, fairness: &Fairness, config: &Config) {
        let key = &fairness.key;
        let reached = self.reached.get(&rank).copied().unwrap_or_default();
        let weight = weight(config, fairness);
        let state = self.groups.entry((rank, key.clone())).or_insert_with(|| State {
            tasks: 0,
            pass: reached + stride(weight),
            weight,
            held_until: None,
        });
        state.tasks += 1;
        state.weight = weight;
        if state.tasks == 1 {
            self.in_turn.insert((rank, state.pass, key.clone()));
        }
    }

    /// A task of this key waits no more.
    pub(super) fn remove(&mut self, rank: i32, key: &str) {
        let group = (rank, key.to_owned());
        let Some(state) = self.groups.get_mut(&group) else { return };
        state.tasks -= 1;
        if state.tasks > 0 {
            return;
        }
        let (pass, held_until) = (state.pass, state.held_until);
        self.groups.remove(&group);
        match held_until {
            Some(until) => self.held.remove(&(until, rank, group.1)),
            None => self.in_turn.remove(&(rank, pass, group.1)),
        };
    }

    /// The rank and key to be served next. Those that have used up their rate are held back on the way.
    pub(super) fn next(&mut self, now: Time, rated_above: i32, config: &Config) -> Option<(i32, String)> {
        self.release(now);
        loop {
            let (rank, pass, key) = self.in_turn.first()?.clone();
            let group = (rank, key.clone());
            let weight = self.groups.get(&group).map_or(1.0, |state| state.weight);
            let per_second = config.key_per_second.filter(|_| rank > rated_above);
            let until = per_second.map_or(now, |rate| self.rate(now, &key, rate * weight).next());
            if until <= now {
                return Some(group);
            }
            self.in_turn.remove(&(rank, pass, key.clone()));
            self.held.insert((until, rank, key));
            if let Some(state) = self.groups.get_mut(&group) {
                state.held_until = Some(until);
            }
        }
    }

    /// A task of this key is served.
    pub(super) fn serve(
        &mut self,
        now: Time,
        rank: i32,
        fairness: &Fairness,
        rated_above: i32,
        config: &Config,
    ) {
        let weight = weight(config, fairness);
        if let Some(per_second) = config.key_per_second.filter(|_| rank > rated_above) {
            self.rate(now, &fairness.key, per_second * weight).take(now);
        }
        let Some(state) = self.groups.get_mut(&(rank, fairness.key.clone())) else { return };
        let before = (rank, state.pass, fairness.key.clone());
        self.reached.insert(rank, state.pass);
        state.pass += stride(weight);
        let after = (rank, state.pass, fairness.key.clone());
        if self.in_turn.remove(&before) {
            self.in_turn.insert(after);
        }
    }

    /// Other rates may be in force: whoever is held back is looked at anew.
    pub(super) fn reconsider(&mut self) {
        self.rates.clear();
        while let Some(first) = self.held.pop_first() {
            self.put_back(first);
        }
    }

    /// When the first key that is held back may be served.
    pub(super) fn first_release(&self) -> Time {
        self.held.first().map_or(Time::NEVER, |(until, ..)| *until)
    }

    fn release(&mut self, now: Time) {
        while self.held.first().is_some_and(|(until, ..)| *until <= now) {
            if let Some(first) = self.held.pop_first() {
                self.put_back(first);
            }
        }
    }

    fn put_back(&mut self, (_, rank, key): (Time, i32, String)) {
        let reached = self.reached.get(&rank).copied().unwrap_or_default();
        if let Some(state) = self.groups.get_mut(&(rank, key.clone())) {
            state.held_until = None;
            state.pass = state.pass.max(reached);
            self.in_turn.insert((rank, state.pass, key));
        }
    }

    /// The rate of a key, which begins full.
    fn rate(&mut self, now: Time, key: &str, per_second: f64) -> &mut RateLimit {
        if self.rates.len() >= RATED_KEYS_MAX && !self.rates.contains_key(key) {
            self.rates.retain(|_, rate| !rate.is_full(now));
            if self.rates.len() >= RATED_KEYS_MAX {
                self.rates.pop_first();
            }
        }
        let rate = self.rates.entry(key.to_owned()).or_insert_with(|| RateLimit::new(now, per_second));
        rate.set(now, per_second);
        rate
    }
}
