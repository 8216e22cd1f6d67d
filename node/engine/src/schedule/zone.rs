//! Time zones: which offset from UTC holds at a moment, and until when.
//!
//! The database is compiled in, so every node of a cluster that runs one version answers alike, and no
//! file of the machine matters. Only leaders ask; what they found out is what the log says.

use jiff::{Timestamp, tz::TimeZone};

use super::SpecError;

#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, in the database's own spelling. Empty is UTC.
    pub(super) fn named(name: &str) -> Result<Zone, SpecError> {
        // A machine's local zone says nothing in a cluster; servers run in UTC.
        if matches!(name, "" | "UTC" | "Local") {
            return Ok(Zone(TimeZone::UTC));
        }
        if name.contains("..") || name.starts_with(['/', '\\']) {
            return Err(SpecError::ZoneName);
        }
        match TimeZone::get(name) {
            Ok(zone) if !zone.is_unknown() && zone.iana_name() == Some(name) => Ok(Zone(zone)),
            _ => Err(SpecError::UnknownZone(name.to_owned())),
        }
    }

    /// A zone that comes with the schedule, in the format of the zone files.
    pub(super) fn from_data(name: &str, data: &[u8]) -> Result<Zone, SpecError> {
        TimeZone::tzif(name, data).map(Zone).map_err(|_| SpecError::ZoneData)
    }

    /// Seconds east of UTC at a moment, in seconds since the epoch.
    pub(super) fn offset(&self, second: i64) -> i64 {
        self.0.to_offset(timestamp(second)).seconds().into()
    }

    /// The next moment at which another offset may begin to hold.
    pub(super) fn next_change(&self, second: i64) -> Option<i64> {
        self.0.following(timestamp(second)).next().map(|transition| transition.timestamp().as_second())
    }
}

fn timestamp(second: i64) -> Timestamp {
    let second = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert!(Zone::named("Europe/Berlin").is_ok());
        assert!(Zone::named("").is_ok());
        assert_eq!(Zone::named("europe/berlin").unwrap_err(), SpecError::UnknownZone("europe/berlin".into()));
        assert_eq!(Zone::named("Nope").unwrap_err().to_string(), "unknown time zone Nope");
        assert_eq!(Zone::named("../etc/passwd").unwrap_err(), SpecError::ZoneName);
        assert_eq!(Zone::from_data("x", b"xx").unwrap_err(), SpecError::ZoneData);
    }

    #[test]
    fn offsets_change_when_they_should() {
        // 2026-03-29 01:00 UTC: Berlin goes from +1 to +2.
        let change = 1_774_746_000;
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.next_change(change - 1000), Some(change));
        assert_eq!((berlin.offset(change - 1), berlin.offset(change)), (3600, 7200));
        assert_eq!(Zone::named("UTC").unwrap().next_change(change), None);
    }
}
