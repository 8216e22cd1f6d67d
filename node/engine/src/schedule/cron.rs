//! The cron schedules of workflows.
//!
//! They look like the cron strings of schedules and are read by another rule, the one of the library that the
//! real server uses for them: five fields, `?` is `*`, weekdays go from 0 to 6, and a day of the month and a
//! weekday that are both restricted need only one of them to match.

use std::time::Duration;

use everlog_proto::api::schedule::v1::{Range, StructuredCalendarSpec};

use super::{calendar::Calendar, cron_string, zone::Zone};
use crate::{go_duration, time::Time};

/// Why a workflow's cron schedule cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("missing field(s)")]
    Missing,
    #[error("expected exactly 5 fields, found {count}: {fields:?}")]
    Fields { count: usize, fields: Vec<String> },
    #[error("provided bad location {0}: unknown time zone {0}")]
    Zone(String),
    #[error("failed to parse duration {0}")]
    Duration(String),
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse field {0}")]
    Field(String),
}

/// The text with which a start is refused whose cron schedule has `error`.
pub fn refusal(_error: &CronError) -> &'static str {
    "invalid CronSchedule."
}

/// The first time of a workflow's cron schedule after `after`. None if the schedule is invalid or names no
/// further time.
pub fn next_cron_time(schedule: &str, after: Time) -> Option<Time> {
    CronSchedule::parse(schedule).ok()?.next(after)
}

/// How long to wait at `now` for the next run, where the last was due at `last`: in whole seconds, so never too
/// short. Times that have passed meanwhile are left out. None if there is no further time.
pub fn backoff(schedule: &str, last: Time, now: Time) -> Option<Duration> {
    if schedule.is_empty() {
        return None;
    }
    let schedule = CronSchedule::parse(schedule).ok()?;
    let mut next = schedule.next(last)?;
    if next < now
        && let CronSchedule::Every { seconds } = schedule
    {
        // Like the loop below, at once.
        let interval = seconds * SECOND_NANOS;
        let missed = (now.0 - next.0 + interval - 1) / interval;
        next = Time(next.0 + missed * interval);
    }
    // Calendars have no memory: the first time at or after now is the first after the moment before.
    if next < now {
        next = schedule.next(Time(now.0 - 1))?;
    }
    let wait = next.since(now);
    Some(Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)))
}

/// Whether a workflow's cron schedule can be followed.
pub fn check(schedule: &str) -> Result<(), CronError> {
    CronSchedule::parse(schedule).map(|_| ())
}

#[derive(Debug)]
enum CronSchedule {
    /// Matches if one of the calendars does.
    Calendars { zone: Zone, calendars: Vec<Calendar> },
    /// Whole seconds after the last time, whatever that was.
    Every { seconds: i64 },
}

const SECOND_NANOS: i64 = 1_000_000_000;

struct Bounds {
    min: i32,
    max: i32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl CronSchedule {
    fn parse(text: &str) -> Result<CronSchedule, CronError> {
        let (zone, text) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(named) => {
                let (name, rest) = named.split_once(' ').unwrap_or((named, ""));
                (Zone::named(name).map_err(|_| CronError::Zone(name.to_owned()))?, rest.trim())
            }
            None => (Zone::named("").map_err(|_| CronError::Zone(String::new()))?, text),
        };
        if text.is_empty() {
            return Err(CronError::Missing);
        }
        if let Some(interval) = text.strip_prefix("@every ") {
            // Durations of this library know no days.
            let nanos = go_duration::parse(interval).filter(|_| !interval.contains('d'));
            let nanos = nanos.ok_or(CronError::Duration(text.to_owned()))?;
            return Ok(CronSchedule::Every { seconds: (nanos / SECOND_NANOS).max(1) });
        }
        let expanded = cron_string::predefined(text);
        if expanded.starts_with('@') {
            return Err(CronError::Descriptor(text.to_owned()));
        }
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let count = fields.len();
            return Err(CronError::Fields { count, fields: fields.into_iter().map(str::to_owned).collect() });
        };
        let calendar = |day: Vec<Range>, weekday: Vec<Range>| {
            Ok(Calendar::new(&StructuredCalendarSpec {
                second: vec![Range { start: 0, end: 0, step: 1 }],
                minute: ranges(minute, &MINUTES)?,
                hour: ranges(hour, &HOURS)?,
                day_of_month: day,
                month: ranges(month, &MONTHS)?,
                day_of_week: weekday,
                ..StructuredCalendarSpec::default()
            }))
        };
        let (days, weekdays) = (ranges(day, &DAYS)?, ranges(weekday, &WEEKDAYS)?);
        let calendars = if is_unrestricted(day) || is_unrestricted(weekday) {
            vec![calendar(days, weekdays)?]
        } else {
            vec![calendar(days, ranges("*", &WEEKDAYS)?)?, calendar(ranges("*", &DAYS)?, weekdays)?]
        };
        Ok(CronSchedule::Calendars { zone, calendars })
    }

    fn next(&self, after: Time) -> Option<Time> {
        let after = after.0.div_euclid(SECOND_NANOS);
        let second = match self {
            CronSchedule::Every { seconds } => Some(after + seconds),
            CronSchedule::Calendars { zone, calendars } => {
                calendars.iter().filter_map(|calendar| calendar.next(zone, after)).min()
            }
        };
        second.map(|second| Time(second.saturating_mul(SECOND_NANOS)))
    }
}

/// A star means that the field does not restrict, even in a list; a star with a step above one does not.
fn is_unrestricted(field: &str) -> bool {
    field.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"))
}

fn ranges(field: &str, bounds: &Bounds) -> Result<Vec<Range>, CronError> {
    field.split(',').filter(|part| !part.is_empty()).map(|part| range(part, bounds)).collect()
}

fn range(part: &str, bounds: &Bounds) -> Result<Range, CronError> {
    let fault = || CronError::Field(part.to_owned());
    let (span, step) = match part.split('/').collect::<Vec<_>>()[..] {
        [span] => (span, None),
        [span, step] => (span, Some(number(step).filter(|step| *step > 0).ok_or_else(fault)?)),
        _ => return Err(fault()),
    };
    let (start, end) = match span.split('-').collect::<Vec<_>>()[..] {
        ["*" | "?"] => (bounds.min, bounds.max),
        [single] => {
            let start = value(single, bounds).ok_or_else(fault)?;
            (start, if step.is_some() { bounds.max } else { start })
        }
        [start, end] => (value(start, bounds).ok_or_else(fault)?, value(end, bounds).ok_or_else(fault)?),
        _ => return Err(fault()),
    };
    if start < bounds.min || end > bounds.max || start > end {
        return Err(fault());
    }
    Ok(Range { start, end, step: step.unwrap_or(1) })
}

fn value(text: &str, bounds: &Bounds) -> Option<i32> {
    let lower = text.to_lowercase();
    let named = bounds.names.iter().position(|name| *name == lower);
    named.and_then(|position| i32::try_from(position).ok()).map(|at| at + bounds.min).or_else(|| number(text))
}

fn number(text: &str) -> Option<i32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23 17:31:00 UTC, a Monday.
    const NOW: Time = Time(1_795_455_060 * SECOND_NANOS);

    fn next(schedule: &str) -> Option<i64> {
        next_cron_time(schedule, NOW).map(|time| (time.0 - NOW.0) / SECOND_NANOS)
    }

    #[test]
    fn times_follow_the_fields() {
        assert_eq!(next("* * * * *"), Some(60));
        assert_eq!(next("*/15 * * * *"), Some(14 * 60));
        assert_eq!(next("0 18 * * *"), Some(29 * 60));
        assert_eq!(next("0 18 ? * TUE"), Some(86_400 + 29 * 60));
        assert_eq!(next("@every 90s"), Some(90));
        assert_eq!(next("@every 10ms"), Some(1));
        assert_eq!(next("@hourly"), Some(29 * 60));
        assert_eq!(next("CRON_TZ=Asia/Tokyo 0 3 * * *"), Some(29 * 60));
        assert_eq!(next("0 0 31 2 *"), None);
    }

    #[test]
    fn two_restricted_days_are_a_choice() {
        // The first of the month or a Tuesday: tomorrow is Tuesday.
        assert_eq!(next("31 17 1 * TUE"), Some(86_400));
        // The twenty-fifth is on Wednesday.
        assert_eq!(next("31 17 25 * MON"), Some(2 * 86_400));
        // A star with a step of one does not restrict; one with another step does.
        assert_eq!(next("31 17 */1 * TUE"), Some(86_400));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "",
            "1 2 3",
            "* * * * * *",
            "60 * * * *",
            "* * * * 7",
            "@reboot",
            "@every x",
            "TZ=No/Where * * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
            assert_eq!(next_cron_time(bad, NOW), None);
        }
        for good in ["0 12 * * MON-FRI", "5,10-20/5 1 * jan,mar-may 0", "TZ=UTC @daily"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
