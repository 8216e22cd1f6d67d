//! A schedule's specification: which times it names, after which other time.
//!
//! Whatever way a specification was written in, it is kept in one canonical form: structured calendars and
//! intervals, with all defaults filled in. The times are the union of all of them, less those that are
//! excluded, within the start and the end. Jitter moves each time by an amount that depends on nothing but
//! the schedule and that time, so that asking twice gives the same answer.

use everlog_proto::api::schedule::v1::{IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    SpecError,
    calendar::{Calendar, YEAR_MAX, YEAR_MIN},
    cron_string::{self, Cron},
    zone::Zone,
};
use crate::time::{Time, duration};

/// Longer comments of calendars are refused.
const COMMENT_BYTES_MAX: usize = 200;
/// So many excluded stretches are skipped in the search for one time; a specification that excludes more in
/// a row names no further time.
const EXCLUSIONS_SKIPPED_MAX: usize = 100_000;
const SECOND_NANOS: i64 = 1_000_000_000;

/// A specification that is ready to be asked.
#[derive(Clone, Debug)]
pub struct Spec {
    zone: Zone,
    calendars: Vec<Calendar>,
    excluded: Vec<Calendar>,
    /// Interval and phase in whole seconds.
    intervals: Vec<(i64, i64)>,
    start: Option<Time>,
    end: Option<Time>,
    jitter_ms: u64,
}

/// A time of a schedule: as specified, and as moved by jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub nominal: Time,
    pub at: Time,
}

impl Spec {
    /// From the canonical form or any other.
    pub fn new(spec: &ScheduleSpec) -> Result<Spec, SpecError> {
        let spec = canonical(spec)?;
        let seconds = |of: &Option<prost_types::Duration>| duration(of.as_ref()).as_secs() as i64;
        Ok(Spec {
            zone: zone(&spec)?,
            calendars: spec.structured_calendar.iter().map(Calendar::new).collect(),
            excluded: spec.exclude_structured_calendar.iter().map(Calendar::new).collect(),
            intervals: spec
                .interval
                .iter()
                .map(|i| (seconds(&i.interval).max(1), seconds(&i.phase)))
                .collect(),
            start: spec.start_time.as_ref().map(Time::from_proto),
            end: spec.end_time.as_ref().map(Time::from_proto),
            jitter_ms: duration(spec.jitter.as_ref()).as_millis().min(u128::from(u32::MAX)) as u64,
        })
    }

    /// The first time after `after`; the seed belongs to the schedule.
    pub fn next(&self, seed: u64, after: Time) -> Option<Due> {
        let start = self.start.unwrap_or_default();
        let mut after = after.max(Time(start.0.saturating_sub(SECOND_NANOS))).0.div_euclid(SECOND_NANOS);
        for _ in 0..EXCLUSIONS_SKIPPED_MAX {
            let nominal = self.next_raw(after)?;
            if self.end.is_some_and(|end| time(nominal) > end) {
                return None;
            }
            match self.excluded_until(nominal) {
                None => return Some(Due { nominal: time(nominal), at: self.jittered(seed, nominal) }),
                Some(until) => after = until - 1,
            }
        }
        None
    }

    /// Up to `most` times after `after`, none of them past `until`.
    pub fn times(&self, seed: u64, after: Time, until: Time, most: usize) -> Vec<Due> {
        let mut at = after;
        let next = || {
            let due = self.next(seed, at).filter(|due| due.at <= until)?;
            at = due.at;
            Some(due)
        };
        std::iter::from_fn(next).take(most).collect()
    }

    fn next_raw(&self, after: i64) -> Option<i64> {
        let calendars = self.calendars.iter().filter_map(|calendar| calendar.next(&self.zone, after));
        let intervals = self.intervals.iter().map(|(interval, phase)| {
            // Rounds towards zero, as the real server does around the epoch.
            ((after - phase) / interval + 1) * interval + phase
        });
        calendars.chain(intervals).min().filter(|second| *second < LATEST_SECOND)
    }

    /// The end of the stretch that is excluded around this second, as far as can be seen at a glance.
    fn excluded_until(&self, second: i64) -> Option<i64> {
        let excluding = self.excluded.iter().filter(|calendar| calendar.matches(&self.zone, second));
        excluding.map(|calendar| calendar.matches_until(&self.zone, second)).max()
    }

    /// No time is moved past the one that follows it.
    fn jittered(&self, seed: u64, nominal: i64) -> Time {
        if self.jitter_ms == 0 {
            return time(nominal);
        }
        let until_next = self.next_raw(nominal).map_or(u64::MAX, |next| (next - nominal) as u64 * 1000);
        let most = self.jitter_ms.min(until_next);
        let chance = xxh3_64_with_seed(&nominal.to_be_bytes(), seed) >> 32;
        let millis = ((u128::from(chance) * u128::from(most)) >> 32) as i64;
        Time(time(nominal).0 + millis * 1_000_000)
    }
}

/// The end of [`YEAR_MAX`].
const LATEST_SECOND: i64 = 4_133_980_800;

fn time(second: i64) -> Time {
    Time(second.saturating_mul(SECOND_NANOS))
}

fn zone(spec: &ScheduleSpec) -> Result<Zone, SpecError> {
    if spec.timezone_data.is_empty() {
        Zone::named(&spec.timezone_name)
    } else {
        Zone::from_data(&spec.timezone_name, &spec.timezone_data)
    }
}

/// The form in which a specification is kept and shown, or what is wrong with it.
pub fn canonical(given: &ScheduleSpec) -> Result<ScheduleSpec, SpecError> {
    let mut spec = given.clone();
    for calendar in std::mem::take(&mut spec.calendar) {
        spec.structured_calendar.push(cron_string::calendar(&calendar)?);
    }
    #[allow(deprecated, reason = "clients may still send the older form of exclusions")]
    for calendar in std::mem::take(&mut spec.exclude_calendar) {
        spec.exclude_structured_calendar.push(cron_string::calendar(&calendar)?);
    }
    take_cron_strings(&mut spec)?;
    for calendar in &spec.structured_calendar {
        check_calendar(calendar)?;
    }
    for interval in &spec.interval {
        check_interval(interval)?;
    }
    let calendars = spec.structured_calendar.iter_mut().chain(&mut spec.exclude_structured_calendar);
    calendars.for_each(fill_in_ranges);
    zone(&spec)?;
    Ok(spec)
}

/// All cron strings have to agree on a zone, with each other and with the specification.
fn take_cron_strings(spec: &mut ScheduleSpec) -> Result<(), SpecError> {
    let mut agreed: Option<String> = None;
    for text in std::mem::take(&mut spec.cron_string) {
        let zone = match cron_string::parse(&text)? {
            Cron::Calendar { calendar, zone } => {
                spec.structured_calendar.push(*calendar);
                zone
            }
            Cron::Interval(interval) => {
                spec.interval.push(interval);
                String::new()
            }
        };
        if agreed.as_ref().is_some_and(|agreed| *agreed != zone) {
            return Err(SpecError::ConflictingZones);
        }
        agreed = Some(zone);
    }
    let Some(zone) = agreed.filter(|zone| !zone.is_empty()) else { return Ok(()) };
    let another = !spec.timezone_name.is_empty() && spec.timezone_name != zone;
    if another || !spec.timezone_data.is_empty() {
        return Err(SpecError::ConflictingZones);
    }
    spec.timezone_name = zone;
    Ok(())
}

fn check_calendar(spec: &StructuredCalendarSpec) -> Result<(), SpecError> {
    let mut errors = Vec::new();
    let mut check = |field: &'static str, ranges: &[Range], min: i32, max: i32| {
        for range in ranges {
            if range.start < min || range.start > max {
                errors.push(SpecError::StartNotInRange { field, min, max });
            }
            if range.end != 0 && (range.end < range.start || range.end > max) {
                errors.push(SpecError::EndNotInRange { field, min, max });
            }
            if range.step < 0 {
                errors.push(SpecError::Step { field });
            }
        }
    };
    check("Second", &spec.second, 0, 59);
    check("Minute", &spec.minute, 0, 59);
    check("Hour", &spec.hour, 0, 23);
    check("DayOfMonth", &spec.day_of_month, 1, 31);
    check("Month", &spec.month, 1, 12);
    check("Year", &spec.year, YEAR_MIN, YEAR_MAX);
    check("DayOfWeek", &spec.day_of_week, 0, 6);
    if spec.comment.len() > COMMENT_BYTES_MAX {
        errors.push(SpecError::Comment);
    }
    if errors.is_empty() { Ok(()) } else { Err(SpecError::Calendar(errors)) }
}

fn check_interval(spec: &IntervalSpec) -> Result<(), SpecError> {
    let nanos = |of: &Option<prost_types::Duration>| {
        of.as_ref().map_or(0, |of| i128::from(of.seconds) * i128::from(SECOND_NANOS) + i128::from(of.nanos))
    };
    let (interval, phase) = (nanos(&spec.interval), nanos(&spec.phase));
    if interval < i128::from(SECOND_NANOS) {
        Err(SpecError::IntervalTooSmall)
    } else if phase < 0 {
        Err(SpecError::PhaseNegative)
    } else if phase >= interval {
        Err(SpecError::PhaseTooLarge)
    } else {
        Ok(())
    }
}

fn fill_in_ranges(calendar: &mut StructuredCalendarSpec) {
    let StructuredCalendarSpec { second, minute, hour, day_of_month, month, year, day_of_week, .. } =
        calendar;
    for range in [second, minute, hour, day_of_month, month, year, day_of_week].into_iter().flatten() {
        range.end = range.end.max(range.start);
        if range.step == 0 {
            range.step = 1;
        }
    }
}
