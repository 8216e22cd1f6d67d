//! The only place that reads the time of day, and the source of chance.
//!
//! The engine gets both as values, so that the same inputs give the same outputs; everything else in
//! this crate asks here, but for the names of requests, which the frontend draws itself. Durations are
//! measured with `std::time::Instant`, which cannot go back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

/// A cheap handle to the time of day and to chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The time of day. A clock before 1970 reads as 1970.
    pub fn now(&self) -> Timestamp {
        let since = since_epoch();
        Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 }
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        since_epoch().as_millis() as u64
    }

    /// Chance for one decision.
    pub fn seed(&self) -> u64 {
        rand::random()
    }

    /// A new identifier that no other call anywhere returns.
    pub fn unique_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    /// The duration, shortened or lengthened by up to a quarter, so that nodes don't act in step.
    pub fn jitter(&self, duration: Duration) -> Duration {
        duration.mul_f64(rand::random_range(0.75..1.25))
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock {
    /// The time of day as the engine has it.
    pub fn time(&self) -> everlog_engine::time::Time {
        everlog_engine::time::Time(i64::try_from(since_epoch().as_nanos()).unwrap_or(i64::MAX))
    }
}
