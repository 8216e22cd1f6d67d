//! Conversions between the time types of the standard library and those of the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost_types::{Duration as WireDuration, Timestamp};

/// The longest duration that the wire carries; longer ones are cut to it. About 290 years.
const DURATION_SECONDS_MAX: u64 = i64::MAX as u64 / 1_000_000_000;

pub(crate) fn to_wire(duration: Duration) -> WireDuration {
    WireDuration {
        seconds: duration.as_secs().min(DURATION_SECONDS_MAX) as i64,
        nanos: duration.subsec_nanos() as i32,
    }
}

pub(crate) fn from_wire(duration: Option<&WireDuration>) -> Option<Duration> {
    let duration = duration?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?))
}

pub(crate) fn timestamp_to_system(timestamp: Option<&Timestamp>) -> SystemTime {
    let Some(timestamp) = timestamp else { return UNIX_EPOCH };
    let seconds = Duration::from_secs(timestamp.seconds.max(0) as u64);
    UNIX_EPOCH + seconds + Duration::from_nanos(timestamp.nanos.max(0) as u64)
}
