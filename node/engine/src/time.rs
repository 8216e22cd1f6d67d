//! Time is a value: the engine is told what time it is and never asks.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A moment, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Time {
    /// Later than every moment that a workflow can name.
    pub const NEVER: Time = Time(i64::MAX);

    pub fn from_proto(timestamp: &prost_types::Timestamp) -> Time {
        Time(timestamp.seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(i64::from(timestamp.nanos)))
    }

    pub fn proto(self) -> prost_types::Timestamp {
        prost_types::Timestamp {
            seconds: self.0.div_euclid(NANOS_PER_SECOND),
            nanos: self.0.rem_euclid(NANOS_PER_SECOND) as i32,
        }
    }

    /// The time that lies between `earlier` and this moment; none if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.div_euclid(NANOS_PER_SECOND), self.0.rem_euclid(NANOS_PER_SECOND))
    }
}

/// The API's optional duration as ours: absent, zero and negative all mean "not set".
pub fn set_duration(duration: Option<&prost_types::Duration>) -> Option<Duration> {
    let duration = duration?;
    let nanos = i128::from(duration.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(duration.nanos);
    match u64::try_from(nanos) {
        Ok(0) => None,
        Ok(nanos) => Some(Duration::from_nanos(nanos).min(DURATION_MAX)),
        Err(_) => (nanos > 0).then_some(DURATION_MAX),
    }
}

/// Like [`set_duration`], with zero where nothing is set.
pub fn duration(duration: Option<&prost_types::Duration>) -> Duration {
    set_duration(duration).unwrap_or_default()
}

pub fn proto_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos() as i32,
    }
}

/// Longer durations are cut to this: a hundred years.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What is wrong with a duration, in the real server's words. None at all is fine.
pub fn fault(duration: Option<&prost_types::Duration>) -> Option<&'static str> {
    let duration = duration?;
    match (duration.seconds.signum(), duration.nanos.signum()) {
        (1, -1) | (-1, 1) => Some("duration has seconds and nanos with different signs"),
        (-1, _) | (_, -1) => Some("negative duration"),
        _ => None,
    }
}

/// Whether the API would refuse this duration as negative.
pub fn is_negative(duration: Option<&prost_types::Duration>) -> bool {
    duration.is_some_and(|duration| duration.seconds < 0 || duration.nanos < 0)
}
