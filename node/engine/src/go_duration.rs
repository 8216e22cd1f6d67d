//! Durations as users of the real server write them: `1h30m`, `1.5s`, `2d`, `300ms`.

const NANOSECOND: i64 = 1;
const MICROSECOND: i64 = 1_000 * NANOSECOND;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// In nanoseconds, or nothing if `text` is no such duration or is too long.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Some(0);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut rest = unsigned;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        total = total.checked_add(nanos(whole, fraction, unit_nanos(unit)?)?)?;
        rest = next;
    }
    Some(if negative { -total } else { total })
}

/// `hh:mm:ss`, with hours as many as there are.
pub fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str, digits_max: usize| {
        let is_number = !part.is_empty() && part.len() <= digits_max && digits(part).1.is_empty();
        is_number.then(|| part.parse::<i64>().ok()).flatten()
    };
    let (hours, minutes, seconds) = (number(hours, 7)?, number(minutes, 2)?, number(seconds, 2)?);
    let is_clock = parts.next().is_none() && minutes < 60 && seconds < 60;
    is_clock.then_some(())?;
    hours.checked_mul(HOUR)?.checked_add(minutes * MINUTE + seconds * SECOND)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Option<i64> {
    match unit {
        "ns" => Some(NANOSECOND),
        "us" | "µs" | "μs" => Some(MICROSECOND),
        "ms" => Some(MILLISECOND),
        "s" => Some(SECOND),
        "m" => Some(MINUTE),
        "h" => Some(HOUR),
        "d" => Some(DAY),
        _ => None,
    }
}

fn nanos(whole: &str, fraction: &str, unit: i64) -> Option<i64> {
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits that are worth less than a nanosecond are dropped.
    let (mut part, mut worth) = (0, unit);
    for digit in fraction.bytes() {
        worth /= 10;
        part += i64::from(digit - b'0') * worth;
    }
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("1h30m", Some(90 * MINUTE)),
            ("-1.5h", Some(-90 * MINUTE)),
            ("+5s", Some(5 * SECOND)),
            ("300ms", Some(300 * MILLISECOND)),
            (".5s", Some(500 * MILLISECOND)),
            ("1.s", Some(SECOND)),
            ("2d12h", Some(60 * HOUR)),
            ("1µs1us", Some(2 * MICROSECOND)),
            ("1.0000000001s", Some(SECOND)),
            ("", None),
            ("-", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("1h 30m", None),
            ("9999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn clock_durations_have_three_parts() {
        let cases = [
            ("01:02:03", Some(HOUR + 2 * MINUTE + 3 * SECOND)),
            ("100:00:00", Some(100 * HOUR)),
            ("1:60:00", None),
            ("1:00", None),
            ("1:00:00:00", None),
            ("-1:00:00", None),
            ("a:b:c", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_clock(text), expected, "{text}");
        }
    }
}
