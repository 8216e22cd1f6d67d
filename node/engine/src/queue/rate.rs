//! How fast tasks may leave a queue, and how fast they come and go.

use std::time::Duration;

use super::task::{PRIORITY_MAX, PRIORITY_MIN};
use crate::time::Time;

const NANOS_PER_SECOND: f64 = 1e9;

/// A token bucket that holds one second's worth of tasks, at least one.
///
/// Instead of counting tokens it keeps the moment at which the bucket will be full again: one number that
/// needs no refilling.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    full_at: Time,
}

impl RateLimit {
    /// A poll says how fast the queue may go; the latest poll wins. What was spent stays spent, but a
    /// debt made at a low rate is not paid off at that rate for ever.
    pub(super) fn update(limit: &mut Option<RateLimit>, now: Time, per_second: f64) {
        if !per_second.is_finite() || per_second < 0.0 {
            return;
        }
        limit.get_or_insert_with(|| RateLimit::new(now, per_second)).set(now, per_second);
    }

    /// With all its tokens.
    pub(super) fn new(now: Time, per_second: f64) -> RateLimit {
        RateLimit { per_second, full_at: now }
    }

    pub(super) fn set(&mut self, now: Time, per_second: f64) {
        self.per_second = per_second;
        self.full_at = self.full_at.min(now + self.burst() + self.interval());
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        if now < self.next() {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.interval();
        true
    }

    /// When the next token can be taken.
    pub(super) fn next(&self) -> Time {
        if self.per_second == 0.0 { Time::NEVER } else { self.full_at - self.burst() }
    }

    /// Nothing was taken lately, or it has come back.
    pub(super) fn is_full(&self, now: Time) -> bool {
        self.full_at <= now
    }

    fn interval(&self) -> Duration {
        Duration::from_nanos(self.nanos_per_task() as u64)
    }

    /// The time that a full bucket is ahead of its rate: all its tokens but the one to be taken now.
    fn burst(&self) -> Duration {
        let more = self.per_second.ceil().max(1.0) - 1.0;
        Duration::from_nanos((more * self.nanos_per_task()) as u64)
    }

    fn nanos_per_task(&self) -> f64 {
        NANOS_PER_SECOND / self.per_second
    }
}

const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(BUCKETS as u64 * BUCKET.as_secs());

/// Rates over the last half minute.
#[derive(Debug, Default)]
pub(super) struct Meters {
    added: [Meter; PRIORITY_MAX as usize],
    dispatched: [Meter; PRIORITY_MAX as usize],
    held_back_at: Option<Time>,
}

impl Meters {
    pub(super) fn added(&mut self, now: Time, priority: i32) {
        self.added[index(priority)].count(now);
    }

    pub(super) fn dispatched(&mut self, now: Time, priority: i32) {
        self.dispatched[index(priority)].count(now);
    }

    /// A task and a poll were both there, and the rate limit kept them apart.
    pub(super) fn held_back(&mut self, now: Time) {
        self.held_back_at = Some(now);
    }

    pub(super) fn was_held_back(&self, now: Time) -> bool {
        self.held_back_at.is_some_and(|at| now < at + WINDOW)
    }

    pub(super) fn add_rate(&self, now: Time, priority: Option<i32>) -> f32 {
        rate(&self.added, now, priority)
    }

    pub(super) fn dispatch_rate(&self, now: Time, priority: Option<i32>) -> f32 {
        rate(&self.dispatched, now, priority)
    }
}

fn rate(meters: &[Meter], now: Time, priority: Option<i32>) -> f32 {
    match priority {
        Some(priority) => meters[index(priority)].rate(now),
        None => meters.iter().map(|meter| meter.rate(now)).sum(),
    }
}

fn index(priority: i32) -> usize {
    (priority - PRIORITY_MIN) as usize
}

/// A ring of counters; a counter whose time is long past counts as zero.
#[derive(Debug, Default)]
struct Meter {
    counts: [(i64, u32); BUCKETS],
}

impl Meter {
    fn count(&mut self, now: Time) {
        let number = bucket(now);
        let (of, count) = &mut self.counts[number.rem_euclid(BUCKETS as i64) as usize];
        if *of != number {
            (*of, *count) = (number, 0);
        }
        *count = count.saturating_add(1);
    }

    fn rate(&self, now: Time) -> f32 {
        let current = bucket(now);
        let recent = current - BUCKETS as i64 + 1..=current;
        let total: u64 = self
            .counts
            .iter()
            .filter(|(of, _)| recent.contains(of))
            .map(|(_, count)| u64::from(*count))
            .sum();
        total as f32 / WINDOW.as_secs_f32()
    }
}

fn bucket(now: Time) -> i64 {
    now.0.div_euclid(BUCKET.as_nanos() as i64)
}
