//! Cron strings of schedules: five to seven fields, `@daily` and the like, `@every`, a zone in front, a
//! comment behind. They are only another way to write calendars and intervals.

use everlog_proto::api::schedule::v1::{CalendarSpec, IntervalSpec, StructuredCalendarSpec};

use super::{SpecError, ranges};
use crate::{
    go_duration,
    time::{Time, proto_duration},
};

/// What a cron string means.
#[derive(Debug)]
pub(super) enum Cron {
    Calendar { calendar: Box<StructuredCalendarSpec>, zone: String },
    Interval(IntervalSpec),
}

pub(super) fn parse(text: &str) -> Result<Cron, SpecError> {
    let (text, comment) = text.split_once('#').unwrap_or((text, ""));
    let text = text.trim();
    let (zone, text) = split_zone(text)?;
    if let Some(rest) = text.strip_prefix("@every") {
        let (_, interval) = rest.split_once(' ').ok_or(SpecError::CronNoInterval)?;
        return interval_of(interval).map(Cron::Interval);
    }
    let fields: Vec<&str> = predefined(text).split_whitespace().collect();
    let (second, fields, year) = match fields[..] {
        [_, _, _, _, _] => ("", &fields[..], ""),
        [.., year] if fields.len() == 6 => ("", &fields[..5], year),
        [second, .., year] if fields.len() == 7 => (second, &fields[1..6], year),
        _ => return Err(SpecError::CronFields),
    };
    let spec = CalendarSpec {
        second: second.to_owned(),
        minute: fields[0].to_owned(),
        hour: fields[1].to_owned(),
        day_of_month: fields[2].to_owned(),
        month: fields[3].to_owned(),
        day_of_week: fields[4].to_owned(),
        year: year.to_owned(),
        comment: comment.trim().to_owned(),
    };
    Ok(Cron::Calendar { calendar: Box::new(calendar(&spec)?), zone: zone.to_owned() })
}

/// A calendar that was given as text.
pub(super) fn calendar(spec: &CalendarSpec) -> Result<StructuredCalendarSpec, SpecError> {
    Ok(StructuredCalendarSpec {
        year: ranges::parse(ranges::YEAR, &spec.year)?,
        month: ranges::parse(ranges::MONTH, &spec.month)?,
        day_of_month: ranges::parse(ranges::DAY_OF_MONTH, &spec.day_of_month)?,
        day_of_week: ranges::parse(ranges::DAY_OF_WEEK, &spec.day_of_week)?,
        hour: ranges::parse(ranges::HOUR, &spec.hour)?,
        minute: ranges::parse(ranges::MINUTE, &spec.minute)?,
        second: ranges::parse(ranges::SECOND, &spec.second)?,
        comment: spec.comment.clone(),
    })
}

fn split_zone(text: &str) -> Result<(&str, &str), SpecError> {
    let Some(named) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Ok(("", text));
    };
    let (zone, rest) = named.split_once(' ').ok_or(SpecError::CronOnlyZone)?;
    Ok((zone, rest))
}

pub(super) fn predefined(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    }
}

/// `5m`, or `5m/30s` with a phase.
fn interval_of(text: &str) -> Result<IntervalSpec, SpecError> {
    let (interval, phase) = text.split_once('/').unwrap_or((text, ""));
    let phase = if phase.is_empty() { None } else { Some(duration(phase)?) };
    Ok(IntervalSpec { interval: Some(duration(interval)?), phase })
}

fn duration(text: &str) -> Result<prost_types::Duration, SpecError> {
    let nanos = go_duration::parse(text).ok_or_else(|| SpecError::Duration(fault(text)))?;
    Ok(if nanos < 0 {
        // Too small or negative is for the check of the interval to say.
        prost_types::Duration { seconds: nanos / 1_000_000_000, nanos: (nanos % 1_000_000_000) as i32 }
    } else {
        proto_duration(Time(nanos).since(Time(0)))
    })
}

/// What the real server's parser says of a duration that is none.
fn fault(text: &str) -> String {
    let mut rest = text.trim_start_matches(['-', '+']);
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if unit.len() == rest.len() {
            break;
        }
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        if unit.is_empty() {
            return format!("missing unit in duration {text:?}");
        }
        if go_duration::parse(&format!("1{unit}")).is_none() {
            return format!("unknown unit {unit:?} in duration {text:?}");
        }
        rest = after;
    }
    format!("invalid duration {text:?}")
}
