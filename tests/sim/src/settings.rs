//! What a seed decides before the run begins. All of it is printed with a failure.

use std::time::Duration;

use crate::random::Random;

/// Rates are probabilities per message, task or attempt; they hold in the safety phase only.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub nodes: usize,
    pub shards: usize,
    pub workers: usize,
    /// Workflows with a program and a known end.
    pub workflows: usize,
    /// Workflow ids that many clients fight over.
    pub hot_ids: usize,
    /// How long faults go on.
    pub safety: Duration,
    /// Mean time between two faults.
    pub fault_every: Duration,
    pub message_lost: f64,
    pub message_doubled: f64,
    pub message_slow: f64,
    pub task_failed: f64,
    pub bad_command: f64,
    pub task_abandoned: f64,
    pub task_slow: f64,
    pub activity_failed: f64,
    pub activity_abandoned: f64,
    pub activity_slow: f64,
    pub answer_doubled: f64,
    pub sticky: bool,
    pub inline_tasks: bool,
    /// Clocks of nodes differ by at most this much.
    pub clock_skew: Duration,
    /// How far a follower may lag behind what is committed.
    pub apply_lag_ms_max: u64,
}

impl Settings {
    pub fn draw(seed: u64) -> Settings {
        let mut random = Random::of(seed, 1);
        let random = &mut random;
        // A third of the runs is gentle in each respect, so that rare combinations get far enough.
        let rate = |random: &mut Random, most: f64| match random.below(3) {
            0 => 0.0,
            1 => most / 5.0,
            _ => most,
        };
        Settings {
            seed,
            nodes: *random.pick(&[1, 3, 3, 3, 5]),
            shards: random.between(1, 4),
            workers: random.between(1, 4),
            workflows: random.between(6, 20),
            hot_ids: random.between(1, 3),
            safety: random.millis(15_000, 50_000),
            fault_every: random.millis(700, 6_000),
            message_lost: rate(random, 0.05),
            message_doubled: rate(random, 0.05),
            message_slow: rate(random, 0.05),
            task_failed: rate(random, 0.08),
            bad_command: rate(random, 0.10),
            task_abandoned: rate(random, 0.03),
            task_slow: rate(random, 0.03),
            activity_failed: rate(random, 0.2),
            activity_abandoned: rate(random, 0.08),
            activity_slow: rate(random, 0.10),
            answer_doubled: rate(random, 0.10),
            sticky: random.chance(0.75),
            inline_tasks: random.chance(0.5),
            clock_skew: if random.chance(0.5) { Duration::ZERO } else { random.millis(1, 300) },
            apply_lag_ms_max: *random.pick(&[2, 20, 400]),
        }
    }
}
