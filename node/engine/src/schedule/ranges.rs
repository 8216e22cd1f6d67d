//! One field of a calendar as text: `*`, `5`, `1-5`, `*/10`, `mon-fri/2`, and lists of these.

use everlog_proto::api::schedule::v1::Range;

use super::{
    SpecError,
    calendar::{YEAR_MAX, YEAR_MIN},
};

/// A field: its name in refusals, its bounds, and the names that it knows for values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    min: i32,
    max: i32,
    names: &'static [&'static str],
    /// How much of a name has to be given.
    prefix_bytes_min: usize,
    /// What an absent field means.
    default: &'static str,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Sunday's other number.
const SUNDAY_TOO: i32 = 7;

const fn plain(name: &'static str, min: i32, max: i32, default: &'static str) -> Field {
    Field { name, min, max, names: &[], prefix_bytes_min: 0, default }
}

pub(super) const SECOND: Field = plain("Second", 0, 59, "0");
pub(super) const MINUTE: Field = plain("Minute", 0, 59, "0");
pub(super) const HOUR: Field = plain("Hour", 0, 23, "0");
pub(super) const DAY_OF_MONTH: Field = plain("DayOfMonth", 1, 31, "*");
pub(super) const MONTH: Field = Field { names: &MONTHS, prefix_bytes_min: 3, ..plain("Month", 1, 12, "*") };
pub(super) const YEAR: Field = plain("Year", YEAR_MIN, YEAR_MAX, "*");
pub(super) const DAY_OF_WEEK: Field =
    Field { names: &WEEKDAYS, prefix_bytes_min: 2, ..plain("DayOfWeek", 0, SUNDAY_TOO, "*") };

impl Field {
    fn is_year(&self) -> bool {
        self.min == YEAR_MIN
    }

    fn is_weekday(&self) -> bool {
        self.max == SUNDAY_TOO
    }

    fn not_in_range(&self) -> SpecError {
        SpecError::NotInRange { field: self.name, min: self.min, max: self.max }
    }

    /// A number or a name, within the field's bounds.
    fn value(&self, text: &str) -> Option<i32> {
        if text.len() >= self.prefix_bytes_min && self.prefix_bytes_min > 0 {
            let lower = text.to_lowercase();
            if let Some(position) = self.names.iter().position(|name| name.starts_with(&lower)) {
                return i32::try_from(position).ok().map(|position| position + self.min);
            }
        }
        text.parse().ok().filter(|value| (self.min..=self.max).contains(value))
    }
}

/// The ranges that a field's text means.
pub(super) fn parse(field: Field, text: &str) -> Result<Vec<Range>, SpecError> {
    let text = text.trim();
    let text = if text.is_empty() { field.default } else { text };
    // All years are no restriction, which is said by saying nothing.
    if field.is_year() && text == "*" {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    for part in text.split(',') {
        let (start, end, step) = bounds(field, part)?;
        if field.is_weekday() && end == SUNDAY_TOO {
            // Days from 0 on have their Sunday. The real server takes those from 1 to 7 for these, and so
            // leaves Sunday out; so does this.
            let has_sunday = (SUNDAY_TOO - start) % step == 0;
            if has_sunday && (start > 1 || step > 1) {
                ranges.push(Range { start: 0, end: 0, step: 1 });
            }
            if start < SUNDAY_TOO {
                ranges.push(Range { start, end: SUNDAY_TOO - 1, step });
            }
        } else {
            ranges.push(Range { start, end, step });
        }
    }
    Ok(ranges)
}

fn bounds(field: Field, part: &str) -> Result<(i32, i32, i32), SpecError> {
    let (part, step) = match part.split('/').collect::<Vec<_>>()[..] {
        [part] => (part, None),
        [part, step] => (part, Some(number(step)?)),
        _ => return Err(SpecError::Slashes { field: field.name }),
    };
    if step.is_some_and(|step| step < 1) {
        return Err(SpecError::Step { field: field.name });
    }
    let (start, end) = match part.split('-').collect::<Vec<_>>()[..] {
        ["*"] => (field.min, field.max),
        [single] => {
            let start = field.value(single).ok_or_else(|| field.not_in_range())?;
            // With a step a single value begins a range that goes to the end.
            (start, if step.is_some() { field.max } else { start })
        }
        [start, end] => {
            let Field { name, min, max, .. } = field;
            let start = field.value(start).ok_or(SpecError::StartNotInRange { field: name, min, max })?;
            let end = field.value(end).filter(|end| *end >= start);
            (start, end.ok_or(SpecError::EndNotInRange { field: name, min, max })?)
        }
        _ => return Err(SpecError::Dashes { field: field.name }),
    };
    Ok((start, end, step.unwrap_or(1)))
}

fn number(text: &str) -> Result<i32, SpecError> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        SpecError::Number { text: text.to_owned(), why }
    })
}
