//! RFC 3339, read as the real server reads it.

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// `2024-01-02T03:04:05.678+01:00` in nanoseconds since the epoch. Years too far away to be counted in
/// nanoseconds become the first or the last moment that can.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4)?;
    expect(&mut rest, b"-")?;
    let month = number(&mut rest, 2)?;
    expect(&mut rest, b"-")?;
    let day = number(&mut rest, 2)?;
    expect(&mut rest, b"T")?;
    let hour = number(&mut rest, 2)?;
    expect(&mut rest, b":")?;
    let minute = number(&mut rest, 2)?;
    expect(&mut rest, b":")?;
    let second = number(&mut rest, 2)?;
    let nanos = fraction(&mut rest)?;
    let offset = offset(&mut rest)?;
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !rest.is_empty() || !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    let total = i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos);
    Some(total.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(digits)?;
    *rest = tail;
    head.iter().try_fold(0, |total, byte| byte.is_ascii_digit().then(|| total * 10 + i64::from(byte - b'0')))
}

fn expect(rest: &mut &[u8], byte: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(byte)?;
    Some(())
}

/// Digits beyond the nanosecond are dropped.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let Some(after) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) else { return Some(0) };
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, tail) = after.split_at(digits);
    *rest = tail;
    let padded = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    (digits > 0).then(|| padded.fold(0, |total, byte| total * 10 + i64::from(byte - b'0')))
}

fn offset(rest: &mut &[u8]) -> Option<i64> {
    if expect(rest, b"Z").is_some() {
        return Some(0);
    }
    let sign = match rest.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = number(rest, 2)?;
    expect(rest, b":")?;
    let minutes = number(rest, 2)?;
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts whole years by their leap days, then whole months. Years are 0 to 9999.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let leap_days_before = |year: i64| (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let days_before = |year: i64| year * 365 + leap_days_before(year);
    let months: i64 = (1..month).map(|month| days_in_month(year, month)).sum();
    days_before(year) - days_before(1970) + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_read() {
        let seconds = |seconds: i64| Some(seconds * 1_000_000_000);
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", seconds(-1)),
            ("2000-02-29T12:00:00Z", seconds(951_825_600)),
            ("2024-01-02T03:04:05+01:00", seconds(1_704_161_045)),
            ("2024-01-02T03:04:05-00:30", seconds(1_704_166_445)),
            ("2024-01-02T02:04:05.5Z", seconds(1_704_161_045).map(|nanos| nanos + 500_000_000)),
            ("2024-01-02T02:04:05,1234567899Z", seconds(1_704_161_045).map(|nanos| nanos + 123_456_789)),
            ("9999-12-31T23:59:59Z", Some(i64::MAX)),
            ("0000-01-01T00:00:00Z", Some(i64::MIN)),
            ("2024-02-30T00:00:00Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:00:60Z", None),
            ("2024-1-1T00:00:00Z", None),
            ("2024-01-01", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01 00:00:00Z", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00Zx", None),
            ("2024-01-01T00:00:00+1:00", None),
            ("", None),
            ("now", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
