//! What specifications mean, shown; and what must hold whatever they say.

use std::fmt::Write as _;

use everlog_proto::api::schedule::v1::{
    CalendarSpec, IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec,
};
use expect_test::expect;

use super::{
    Spec,
    spec::{Due, canonical},
};
use crate::time::Time;

const SECOND: i64 = 1_000_000_000;
/// 2026-11-23 17:31:00 UTC, a Monday.
const NOW: Time = Time(1_795_455_060 * SECOND);
const SEED: u64 = 7;

fn cron(text: &str) -> ScheduleSpec {
    ScheduleSpec { cron_string: vec![text.to_owned()], ..ScheduleSpec::default() }
}

fn every(interval: i64, phase: i64) -> IntervalSpec {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    IntervalSpec { interval: seconds(interval), phase: seconds(phase) }
}

/// The next times of a specification, as UTC.
fn times(spec: &ScheduleSpec, most: usize) -> String {
    match Spec::new(spec) {
        Err(error) => error.to_string(),
        Ok(spec) => {
            let times = spec.times(SEED, NOW, Time::NEVER, most);
            times.iter().map(|due| format!("{}\n", due.at.proto())).collect()
        }
    }
}

#[test]
fn weekdays_at_noon() {
    expect![[r#"
        2026-11-24T12:00:00Z
        2026-11-25T12:00:00Z
        2026-11-27T12:00:00Z
        2026-11-30T12:00:00Z
    "#]]
    .assert_eq(&times(&cron("0 12 * * MON-WED,FRI"), 4));
}

/// At 2:30 on the day when clocks go forward there is no such time; when they go back there are two.
#[test]
fn clocks_change() {
    let spec = ScheduleSpec {
        start_time: Some(prost_types::Timestamp { seconds: 1_774_600_000, nanos: 0 }),
        ..cron("CRON_TZ=Europe/Berlin 30 2 28,29,30 3 *")
    };
    let from = Time(1_774_600_000 * SECOND);
    let next = |after| Spec::new(&spec).unwrap().next(SEED, after).unwrap().at;
    assert_eq!(next(from).proto().to_string(), "2026-03-28T01:30:00Z");
    assert_eq!(next(next(from)).proto().to_string(), "2026-03-30T00:30:00Z");
    let autumn = Spec::new(&cron("TZ=Europe/Berlin 30 2 25 10 *")).unwrap();
    let shown: String =
        autumn.times(SEED, from, Time::NEVER, 3).iter().map(|due| format!("{}\n", due.at.proto())).collect();
    expect![[r#"
        2026-10-25T00:30:00Z
        2026-10-25T01:30:00Z
        2027-10-25T00:30:00Z
    "#]]
    .assert_eq(&shown);
}

#[test]
fn intervals_are_counted_from_the_epoch() {
    let spec = ScheduleSpec { interval: vec![every(3600, 120), every(86_400, 0)], ..ScheduleSpec::default() };
    expect![[r#"
        2026-11-23T18:02:00Z
        2026-11-23T19:02:00Z
        2026-11-23T20:02:00Z
        2026-11-23T21:02:00Z
        2026-11-23T22:02:00Z
        2026-11-23T23:02:00Z
        2026-11-24T00:00:00Z
    "#]]
    .assert_eq(&times(&spec, 7));
}

#[test]
fn exclusions_start_and_end() {
    #[allow(deprecated, reason = "clients may still send it")]
    let spec = ScheduleSpec {
        interval: vec![every(3600, 0)],
        exclude_calendar: vec![CalendarSpec {
            hour: "18-23".to_owned(),
            minute: "*".to_owned(),
            second: "*".to_owned(),
            ..CalendarSpec::default()
        }],
        end_time: Some(Time(NOW.0 + 9 * 3600 * SECOND).proto()),
        ..ScheduleSpec::default()
    };
    expect![[r#"
        2026-11-24T00:00:00Z
        2026-11-24T01:00:00Z
        2026-11-24T02:00:00Z
    "#]]
    .assert_eq(&times(&spec, 10));
}

/// Every second of the century is excluded: the search gives up soon.
#[test]
fn everything_excluded() {
    let all = |start, end| vec![Range { start, end, step: 1 }];
    let always = StructuredCalendarSpec {
        second: all(0, 59),
        minute: all(0, 59),
        hour: all(0, 23),
        day_of_month: all(1, 31),
        month: all(1, 12),
        day_of_week: all(0, 6),
        ..StructuredCalendarSpec::default()
    };
    let spec = ScheduleSpec {
        interval: vec![every(1, 0)],
        exclude_structured_calendar: vec![always],
        ..ScheduleSpec::default()
    };
    assert_eq!(times(&spec, 1), "");
}

#[test]
fn refusals() {
    let mut shown = String::new();
    for text in [
        "1 2 3",
        "60 * * * *",
        "* * 0 * *",
        "* * * foo *",
        "1-2-3 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1/2/3 * * * *",
        "*/x * * * *",
        "-1 * * * *",
        "* * * * * 1999",
        "@every",
        "@every 10",
        "@every x",
        "@every 2w",
        "@every 0s",
        "@every -5m",
        "@every 5m/10m",
        "CRON_TZ=UTC",
        "CRON_TZ=No/Where 0 1 * * *",
        "@DAILY",
        "0 0 * * fri-sun",
        "@every 5m/30s/3s",
    ] {
        writeln!(shown, "{text}: {}", Spec::new(&cron(text)).unwrap_err()).unwrap();
    }
    expect![[r#"
        1 2 3: CronString does not have 5-7 fields
        60 * * * *: Minute is not in range [0-59]
        * * 0 * *: DayOfMonth is not in range [1-31]
        * * * foo *: Month is not in range [1-12]
        1-2-3 * * * *: Minute has too many dashes
        5-1 * * * *: Minute End is before Start or not in range [0-59]
        */0 * * * *: Minute has invalid Step
        1/2/3 * * * *: Minute has too many slashes
        */x * * * *: strconv.Atoi: parsing "x": invalid syntax
        -1 * * * *: Minute Start is not in range [0-59]
        * * * * * 1999: Year is not in range [2000-2100]
        @every: CronString does not have interval after @every
        @every 10: time: missing unit in duration "10"
        @every x: time: invalid duration "x"
        @every 2w: time: unknown unit "w" in duration "2w"
        @every 0s: interval is too small
        @every -5m: interval is too small
        @every 5m/10m: phase cannot be greater than Interval
        CRON_TZ=UTC: CronString has time zone but missing fields
        CRON_TZ=No/Where 0 1 * * *: unknown time zone No/Where
        @DAILY: CronString does not have 5-7 fields
        0 0 * * fri-sun: DayOfWeek End is before Start or not in range [0-7]
        @every 5m/30s/3s: time: unknown unit "s/" in duration "30s/3s"
    "#]]
    .assert_eq(&shown);
}

#[test]
fn sunday_has_two_numbers() {
    let weekdays = |text: &str| -> Vec<(i32, i32, i32)> {
        let spec = canonical(&cron(&format!("0 0 * * {text}"))).unwrap();
        spec.structured_calendar[0].day_of_week.iter().map(|r| (r.start, r.end, r.step)).collect()
    };
    assert_eq!(weekdays("7"), [(0, 0, 1)]);
    assert_eq!(weekdays("*"), [(0, 6, 1)]);
    assert_eq!(weekdays("5-7"), [(0, 0, 1), (5, 6, 1)]);
    assert_eq!(weekdays("3/2"), [(0, 0, 1), (3, 6, 2)]);
    assert_eq!(weekdays("0-7/2"), [(0, 6, 2)]);
    assert_eq!(weekdays("1-7/3"), [(0, 0, 1), (1, 6, 3)]);
    assert_eq!(weekdays("1-7"), [(1, 6, 1)]);
}

#[test]
fn a_canonical_form_is_its_own() {
    for text in [
        "0 12 * * MON-WED,FRI # noon",
        "*/5 2/3 * jan *",
        "30 1 2 3 4 5 2030-2040/3",
        "@every 5m/1m",
        "TZ=Asia/Tokyo @daily",
    ] {
        let once = canonical(&cron(text)).unwrap();
        assert_eq!(canonical(&once).unwrap(), once, "{text}");
        assert!(once.cron_string.is_empty());
        assert_eq!(times(&once, 20), times(&cron(text), 20), "{text}");
    }
}

/// SplitMix64, so that the cases are the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as i64
    }

    fn ranges(&mut self, min: i64, max: i64) -> Vec<Range> {
        let count = self.below(3) + 1;
        let one = |chance: &mut Chance| {
            let start = min + chance.below(max - min + 1);
            let end = start + chance.below(max - start + 1);
            Range { start: start as i32, end: end as i32, step: (1 + chance.below(4)) as i32 }
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn spec(&mut self) -> ScheduleSpec {
        let zones = ["", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"];
        let calendar = |chance: &mut Chance| StructuredCalendarSpec {
            second: chance.ranges(0, 59),
            minute: chance.ranges(0, 59),
            hour: chance.ranges(0, 23),
            day_of_month: chance.ranges(1, 31),
            month: chance.ranges(1, 12),
            day_of_week: chance.ranges(0, 6),
            ..StructuredCalendarSpec::default()
        };
        let interval = 1 + self.below(200_000);
        ScheduleSpec {
            structured_calendar: (0..self.below(3)).map(|_| calendar(self)).collect(),
            interval: (0..self.below(2)).map(|_| every(interval, self.below(interval))).collect(),
            exclude_structured_calendar: (0..self.below(2)).map(|_| calendar(self)).collect(),
            jitter: Some(prost_types::Duration { seconds: self.below(2) * self.below(100_000), nanos: 0 }),
            timezone_name: zones[self.below(zones.len() as i64) as usize].to_owned(),
            ..ScheduleSpec::default()
        }
    }
}

/// Times rise; jitter moves a time forward, yet never past the next one; asking from between two times gives
/// the later one; and a time that is named is one that a search from just before it finds.
#[test]
fn times_rise_and_are_stable() {
    let mut chance = Chance(42);
    for case in 0..300 {
        let given = chance.spec();
        let spec = Spec::new(&given).unwrap();
        let after = Time(NOW.0 + chance.below(30_000_000) * SECOND);
        let times = spec.times(SEED, after, Time::NEVER, 8);
        for pair in times.windows(2) {
            let (Due { nominal, at }, next) = (pair[0], pair[1]);
            assert!(nominal <= at && at <= next.nominal && nominal < next.nominal, "case {case}: {given:?}");
        }
        for due in &times {
            let again = spec.next(SEED, Time(due.nominal.0 - 1)).unwrap();
            assert_eq!(again, *due, "case {case}: {given:?}");
        }
    }
}
