//! One calendar: sets of seconds, minutes, hours, days, months, weekdays and years.
//!
//! A moment matches if its civil time in the zone is in every set. Where clocks are set back a civil time
//! comes twice and matches twice; where they are set forward the skipped times match never. Both follow from
//! searching each stretch of constant offset by itself.

use everlog_proto::api::schedule::v1::{Range, StructuredCalendarSpec};

use super::zone::Zone;

pub(super) const YEAR_MIN: i32 = 2000;
/// Later times are never searched for.
pub(super) const YEAR_MAX: i32 = 2100;
/// Offsets of one zone differ by no more than this.
const OFFSETS_APART_SECONDS_MAX: i64 = 26 * 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// From [`YEAR_MIN`] on; none means every year.
    year: Option<u128>,
}

impl Calendar {
    pub(super) fn new(spec: &StructuredCalendarSpec) -> Calendar {
        Calendar {
            second: bits(&spec.second, 59),
            minute: bits(&spec.minute, 59),
            hour: bits(&spec.hour, 23),
            day: bits(&spec.day_of_month, 31),
            month: bits(&spec.month, 12),
            weekday: bits(&spec.day_of_week, 6),
            year: (!spec.year.is_empty()).then(|| years(&spec.year)),
        }
    }

    pub(super) fn matches(&self, zone: &Zone, second: i64) -> bool {
        let civil = Civil::at(second + zone.offset(second));
        self.has_day(&civil)
            && has(self.hour, civil.hour)
            && has(self.minute, civil.minute)
            && has(self.second, civil.second)
    }

    /// The first matching second after this one.
    pub(super) fn next(&self, zone: &Zone, after: i64) -> Option<i64> {
        let mut from = after + 1;
        loop {
            let offset = zone.offset(from);
            let found = self.next_civil(Civil::at(from + offset)).map(|civil| civil.seconds() - offset);
            let Some(change) = zone.next_change(from) else { return found };
            match found {
                Some(found) if found < change => return Some(found),
                // Shortly before a change a civil time that has passed may come again.
                _ if change - from <= OFFSETS_APART_SECONDS_MAX => from = change,
                Some(found) => from = change.max(found - OFFSETS_APART_SECONDS_MAX),
                None => return None,
            }
        }
    }

    /// A second after `second`, which matches, up to which all others match too: not the last of them, but
    /// as far as can be seen at a glance.
    pub(super) fn matches_until(&self, zone: &Zone, second: i64) -> i64 {
        let local = second + zone.offset(second);
        let step = match (full(self.second, 0, 59), full(self.minute, 0, 59), full(self.hour, 0, 23)) {
            (true, true, true) => DAY_SECONDS,
            (true, true, false) => 60 * 60,
            (true, false, _) => 60,
            (false, _, _) => 1,
        };
        let until = second + step - local.rem_euclid(step);
        zone.next_change(second).map_or(until, |change| until.min(change))
    }

    fn has_day(&self, civil: &Civil) -> bool {
        self.has_year(civil.year) && has(self.month, civil.month) && self.has_day_of_month(civil)
    }

    fn has_day_of_month(&self, civil: &Civil) -> bool {
        has(self.day, civil.day) && has(self.weekday, civil.weekday())
    }

    fn has_year(&self, year: i32) -> bool {
        let Some(years) = self.year else { return true };
        (YEAR_MIN..=YEAR_MAX).contains(&year) && years >> (year - YEAR_MIN) & 1 == 1
    }

    /// The first matching civil time at or after this one.
    fn next_civil(&self, mut civil: Civil) -> Option<Civil> {
        loop {
            if civil.year > YEAR_MAX {
                return None;
            }
            if !self.has_year(civil.year) {
                civil = Civil::start_of_year(civil.year + 1);
            } else if !has(self.month, civil.month) {
                civil = civil.next_month();
            } else if !self.has_day_of_month(&civil) {
                civil = civil.next_day();
            } else if !has(self.hour, civil.hour) {
                civil = civil.next_hour();
            } else if !has(self.minute, civil.minute) {
                civil = civil.next_minute();
            } else if !has(self.second, civil.second) {
                civil = civil.next_second();
            } else {
                return Some(civil);
            }
        }
    }
}

fn has(set: u64, value: i32) -> bool {
    set >> value & 1 == 1
}

fn full(set: u64, min: i32, max: i32) -> bool {
    (min..=max).all(|value| has(set, value))
}

/// The values up to `max` that lie in one of the ranges, whatever nonsense the ranges say.
fn bits(ranges: &[Range], max: i32) -> u64 {
    (0..=max).filter(|value| in_ranges(ranges, *value)).fold(0, |set, value| set | 1 << value)
}

fn years(ranges: &[Range]) -> u128 {
    (YEAR_MIN..=YEAR_MAX)
        .filter(|year| in_ranges(ranges, *year))
        .fold(0, |set, year| set | 1 << (year - YEAR_MIN))
}

fn in_ranges(ranges: &[Range], value: i32) -> bool {
    ranges.iter().any(|range| {
        let (start, end) = (i64::from(range.start), i64::from(range.end.max(range.start)));
        let step = i64::from(range.step.max(1));
        let value = i64::from(value);
        start <= value && value <= end && (value - start) % step == 0
    })
}

/// A civil time, of whatever zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

impl Civil {
    /// Of seconds since the epoch, as if in UTC.
    fn at(second: i64) -> Civil {
        let days = i32::try_from(second.div_euclid(DAY_SECONDS)).unwrap_or(i32::MAX);
        let in_day = second.rem_euclid(DAY_SECONDS) as i32;
        let (year, month, day) = from_days(days);
        Civil { year, month, day, hour: in_day / 3600, minute: in_day / 60 % 60, second: in_day % 60 }
    }

    fn seconds(&self) -> i64 {
        let days = i64::from(to_days(self.year, self.month, self.day));
        days * DAY_SECONDS + i64::from(self.hour * 3600 + self.minute * 60 + self.second)
    }

    fn start_of_year(year: i32) -> Civil {
        Civil { year, month: 1, day: 1, hour: 0, minute: 0, second: 0 }
    }

    /// Sunday is 0. The epoch was a Thursday.
    fn weekday(&self) -> i32 {
        (to_days(self.year, self.month, self.day) + 4).rem_euclid(7)
    }

    fn next_month(self) -> Civil {
        match self.month {
            12 => Civil::start_of_year(self.year + 1),
            month => Civil { month: month + 1, ..Civil::start_of_year(self.year) },
        }
    }

    fn next_day(self) -> Civil {
        if self.day >= days_in_month(self.year, self.month) {
            return self.next_month();
        }
        Civil { day: self.day + 1, hour: 0, minute: 0, second: 0, ..self }
    }

    fn next_hour(self) -> Civil {
        if self.hour >= 23 {
            self.next_day()
        } else {
            Civil { hour: self.hour + 1, minute: 0, second: 0, ..self }
        }
    }

    fn next_minute(self) -> Civil {
        if self.minute >= 59 {
            self.next_hour()
        } else {
            Civil { minute: self.minute + 1, second: 0, ..self }
        }
    }

    fn next_second(self) -> Civil {
        if self.second >= 59 { self.next_minute() } else { Civil { second: self.second + 1, ..self } }
    }
}

/// Days from the start of March of the year 0 to the epoch.
const EPOCH_DAYS: i32 = 719_468;

/// Days since the epoch. Years that begin in March have their leap day at the end.
fn to_days(year: i32, month: i32, day: i32) -> i32 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    days_before(year) + (153 * month + 2) / 5 + day - 1 - EPOCH_DAYS
}

fn from_days(days: i32) -> (i32, i32, i32) {
    let days = days.saturating_add(EPOCH_DAYS);
    let mut year = (i64::from(days) * 400).div_euclid(146_097) as i32;
    while days_before(year + 1) <= days {
        year += 1;
    }
    while days_before(year) > days {
        year -= 1;
    }
    let in_year = days - days_before(year);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// Days before a year that begins in March.
fn days_before(year: i32) -> i32 {
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
}

fn days_in_month(year: i32, month: i32) -> i32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_times_and_seconds_are_one_to_one() {
        let mut second = -86_400 * 365 * 3;
        while second < 86_400 * 365 * 140 {
            let civil = Civil::at(second);
            assert_eq!(civil.seconds(), second, "{civil:?}");
            assert!((1..=days_in_month(civil.year, civil.month)).contains(&civil.day), "{civil:?}");
            second += 86_400 * 7 + 12_345;
        }
        let known = Civil { year: 2026, month: 11, day: 23, hour: 17, minute: 31, second: 0 };
        assert_eq!((known.seconds(), known.weekday()), (1_795_455_060, 1));
    }

    /// Whatever jumps the search takes, it finds what trying every second finds.
    #[test]
    fn the_search_skips_nothing() {
        let zones = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/New_York"];
        let spec = StructuredCalendarSpec {
            second: vec![Range { start: 0, end: 0, step: 1 }],
            minute: vec![Range { start: 15, end: 59, step: 30 }],
            hour: vec![Range { start: 0, end: 3, step: 1 }, Range { start: 23, end: 23, step: 1 }],
            day_of_month: vec![Range { start: 1, end: 31, step: 1 }],
            month: vec![Range { start: 1, end: 12, step: 1 }],
            day_of_week: vec![Range { start: 0, end: 0, step: 1 }, Range { start: 5, end: 6, step: 1 }],
            ..StructuredCalendarSpec::default()
        };
        let calendar = Calendar::new(&spec);
        for name in zones {
            let zone = Zone::named(name).unwrap();
            // The days around the changes of 2026, and around Samoa's missing day in 2011.
            for start in [1_774_500_000, 1_792_800_000, 1_775_100_000, 1_325_000_000, 1_793_400_000] {
                let end = start + 5 * 86_400;
                let tried: Vec<i64> = (start + 1..=end).filter(|s| calendar.matches(&zone, *s)).collect();
                let mut found = Vec::new();
                let mut at = start;
                while let Some(next) = calendar.next(&zone, at).filter(|next| *next <= end) {
                    found.push(next);
                    at = next;
                }
                assert_eq!(found, tried, "{name} from {start}");
            }
        }
    }

    #[test]
    fn what_never_comes_is_not_searched_for_ever() {
        let never = StructuredCalendarSpec {
            second: vec![Range::default()],
            minute: vec![Range::default()],
            hour: vec![Range::default()],
            day_of_month: vec![Range { start: 31, end: 31, step: 1 }],
            month: vec![Range { start: 2, end: 2, step: 1 }],
            day_of_week: vec![Range { start: 0, end: 6, step: 1 }],
            ..StructuredCalendarSpec::default()
        };
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(Calendar::new(&never).next(&berlin, 0), None);
    }
}
