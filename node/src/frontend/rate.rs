//! How much of one node a namespace may take: calls a second, and calls that wait.
//!
//! A bucket fills with `rate` tokens a second up to `rate * burst`; a call takes one. Lists and counts
//! have a bucket of their own, because each of them is work for every shard. Calls that another node
//! forwarded were counted there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use everlog_engine::time::Time;

/// Buckets and counters that are kept; beyond this, those that are full or unused are dropped.
const ENTRIES_MAX: usize = 10_000;

#[derive(Default)]
pub struct RateLimits {
    buckets: Mutex<HashMap<(String, Class), Bucket>>,
    waiting: Mutex<HashMap<(String, &'static str), Arc<AtomicUsize>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Execution,
    Visibility,
}

/// Calls a second, and how many seconds' worth may come at once. A rate of zero admits everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub calls_per_second: f64,
    pub burst_seconds: f64,
}

struct Bucket {
    tokens: f64,
    at: Time,
}

impl RateLimits {
    /// Takes a token, if there is one.
    pub fn admit(&self, namespace_id: &str, class: Class, rate: Rate, now: Time) -> bool {
        if rate.calls_per_second <= 0.0 {
            return true;
        }
        let full = (rate.calls_per_second * rate.burst_seconds).max(1.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ENTRIES_MAX {
            // A bucket that has had time to fill is as good as a new one.
            buckets.retain(|_, bucket| bucket.level(rate, full, now) < full);
        }
        let bucket =
            buckets.entry((namespace_id.to_owned(), class)).or_insert(Bucket { tokens: full, at: now });
        bucket.tokens = bucket.level(rate, full, now);
        bucket.at = bucket.at.max(now);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Counts a call that may wait for long. None if too many of its kind wait already.
    pub fn wait(&self, namespace_id: &str, operation: &'static str, max: usize) -> Option<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= ENTRIES_MAX {
            waiting.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        let count = waiting.entry((namespace_id.to_owned(), operation)).or_default();
        // The lock is held, so nobody else adds; a guard that is dropped meanwhile only subtracts.
        if count.load(Ordering::Relaxed) >= max {
            return None;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Some(Waiting(count.clone()))
    }
}

impl Bucket {
    fn level(&self, rate: Rate, full: f64, now: Time) -> f64 {
        (self.tokens + now.since(self.at).as_secs_f64() * rate.calls_per_second).min(full)
    }
}

/// A call that is counted as long as this lives.
pub struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { calls_per_second: 10.0, burst_seconds: 2.0 };

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let limits = RateLimits::default();
        let start = Time(1_000_000_000);
        let admitted = |at| (0..100).filter(|_| limits.admit("n", Class::Execution, RATE, at)).count();
        assert_eq!(admitted(start), 20);
        assert_eq!(admitted(start + Duration::from_millis(500)), 5);
        assert_eq!(admitted(start + Duration::from_secs(60)), 20);
        // A clock that steps back gives nothing away.
        assert_eq!(admitted(start), 0);
    }

    #[test]
    fn namespaces_and_classes_are_apart() {
        let limits = RateLimits::default();
        let one = Rate { calls_per_second: 1.0, burst_seconds: 1.0 };
        assert!(limits.admit("a", Class::Execution, one, Time(0)));
        assert!(!limits.admit("a", Class::Execution, one, Time(0)));
        assert!(limits.admit("a", Class::Visibility, one, Time(0)));
        assert!(limits.admit("b", Class::Execution, one, Time(0)));
    }

    #[test]
    fn a_waiting_call_frees_its_place() {
        let limits = RateLimits::default();
        let first = limits.wait("n", "Poll", 2).unwrap();
        let _second = limits.wait("n", "Poll", 2).unwrap();
        assert!(limits.wait("n", "Poll", 2).is_none());
        assert!(limits.wait("n", "Other", 2).is_some());
        drop(first);
        assert!(limits.wait("n", "Poll", 2).is_some());
    }
}
