//! Values and how they compare.

use std::cmp::Ordering;

/// Datetimes, durations and statuses are whole numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    List(Vec<String>),
}

impl Value {
    /// Numbers compare by what they mean, whatever they are kept in. Different kinds don't compare.
    pub(super) fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Double(b)) => compare_int_double(*a, *b),
            (Value::Double(a), Value::Int(b)) => compare_int_double(*b, *a).map(Ordering::reverse),
            _ => None,
        }
    }
}

/// Exact, also where a double has no room for all the digits of the integer.
fn compare_int_double(int: i64, double: f64) -> Option<Ordering> {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= TOO_LARGE {
        return Some(Ordering::Less);
    }
    if double < -TOO_LARGE {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    Some(int.cmp(&(whole as i64)).then_with(|| whole.partial_cmp(&double).unwrap_or(Ordering::Equal)))
}

/// Whether a text contains one of the words of a query. A query word that itself consists of several,
/// such as `hello-there`, must occur with its parts next to each other.
pub(super) fn text_contains(text: &str, query: &str) -> bool {
    let words = words(text);
    query.split_whitespace().any(|phrase| {
        let phrase = self::words(phrase);
        !phrase.is_empty() && words.windows(phrase.len()).any(|window| window == phrase)
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_compare_exactly() {
        let max = i64::MAX;
        let cases = [
            (5, 5.0, Ordering::Equal),
            (5, 5.5, Ordering::Less),
            (-5, -5.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (max, 9_223_372_036_854_775_807.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (max, f64::INFINITY, Ordering::Less),
            (max, f64::NEG_INFINITY, Ordering::Greater),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Greater),
        ];
        for (int, double, expected) in cases {
            assert_eq!(Value::Int(int).compare(&Value::Double(double)), Some(expected), "{int} {double}");
            let other_way = Value::Double(double).compare(&Value::Int(int));
            assert_eq!(other_way, Some(expected.reverse()), "{double} {int}");
        }
        assert_eq!(Value::Int(1).compare(&Value::Double(f64::NAN)), None);
        assert_eq!(Value::Int(1).compare(&Value::Text("1".to_owned())), None);
    }

    #[test]
    fn texts_are_found_by_word() {
        let text = "Hello-there big World";
        let cases = [
            ("hello", true),
            ("WORLD", true),
            ("hell", false),
            ("nothing big", true),
            ("hello-there", true),
            ("hello-big", false),
            ("there-big-world", true),
            ("-", false),
            ("", false),
        ];
        for (query, expected) in cases {
            assert_eq!(text_contains(text, query), expected, "{query}");
        }
    }
}
