//! How often to try again.
//!
//! [`Retry`] is the policy that travels to the server for an activity or a workflow. [`Backoff`] is what
//! this crate itself does when the server does not answer: waits grow, and each is random between half
//! and the whole, so that a thousand workers do not come back at the same instant.

use std::time::Duration;

use everlog_proto::api::common::v1::RetryPolicy;

use crate::random::Random;
use crate::time::to_wire;

/// When the server tries a failed activity or workflow again. What is not said is the server's default:
/// one second, doubled each time, at most 100 seconds, for ever.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retry {
    initial: Option<Duration>,
    max_interval: Option<Duration>,
    backoff: Option<f64>,
    max_attempts: u32,
    never: Vec<String>,
}

impl Retry {
    /// The server's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// One attempt only.
    pub fn none() -> Self {
        Self::new().max(1)
    }

    /// At most so many attempts; 0 is no limit.
    pub fn max(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The wait before the second attempt.
    pub fn initial(mut self, interval: Duration) -> Self {
        self.initial = Some(interval);
        self
    }

    /// The longest wait between two attempts.
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.max_interval = Some(interval);
        self
    }

    /// The factor by which each wait is longer than the one before.
    pub fn backoff(mut self, factor: f64) -> Self {
        self.backoff = Some(factor);
        self
    }

    /// A failure type that is not tried again.
    pub fn never(mut self, kind: impl Into<String>) -> Self {
        self.never.push(kind.into());
        self
    }

    pub(crate) fn to_wire(&self) -> RetryPolicy {
        RetryPolicy {
            initial_interval: self.initial.map(to_wire),
            backoff_coefficient: self.backoff.unwrap_or_default(),
            maximum_interval: self.max_interval.map(to_wire),
            maximum_attempts: i32::try_from(self.max_attempts).unwrap_or(i32::MAX),
            non_retryable_error_types: self.never.clone(),
        }
    }

    /// Whether and when attempt `attempt + 1` may follow, by the server's own rule. Local activities
    /// are retried by the worker, so it has to know.
    pub(crate) fn next_delay(&self, attempt: u32, kind: &str) -> Option<Duration> {
        if (self.max_attempts > 0 && attempt >= self.max_attempts) || self.never.iter().any(|n| n == kind) {
            return None;
        }
        let initial = self.initial.unwrap_or(Duration::from_secs(1));
        let longest = self.max_interval.unwrap_or(initial * 100);
        let factor = self.backoff.unwrap_or(2.0).max(1.0).powi(attempt.saturating_sub(1).min(64) as i32);
        Some(Duration::try_from_secs_f64(initial.as_secs_f64() * factor).unwrap_or(longest).min(longest))
    }
}

/// The waits between attempts to reach the server.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max, random: Random::from_entropy() }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        let half = whole / 2;
        half + half.mul_f64(self.random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_never_past_it() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, max);
        let waits: Vec<_> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits[0] >= first / 2 && waits[0] <= first);
        assert!(waits[10..].iter().all(|wait| *wait >= max / 2 && *wait <= max));
    }

    #[test]
    fn a_local_retry_follows_the_servers_rule() {
        let retry = Retry::new().initial(Duration::from_secs(2)).backoff(3.0).max(4).never("Fatal");
        assert_eq!(retry.next_delay(1, "Any"), Some(Duration::from_secs(2)));
        assert_eq!(retry.next_delay(3, "Any"), Some(Duration::from_secs(18)));
        assert_eq!(retry.next_delay(4, "Any"), None);
        assert_eq!(retry.next_delay(1, "Fatal"), None);
    }
}
