//! Durations as text: `500ms`, `30s`, `5m`, `2h`, `7d`.

use syn::LitStr;

/// The duration in milliseconds.
pub(crate) fn millis(text: &LitStr) -> syn::Result<u64> {
    parse(&text.value()).ok_or_else(|| {
        syn::Error::new(
            text.span(),
            "expected a duration such as \"500ms\", \"30s\", \"5m\", \"2h\" or \"7d\"",
        )
    })
}

fn parse(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_the_usual_units_and_nothing_else() {
        assert_eq!(parse("250ms"), Some(250));
        assert_eq!(parse("5m"), Some(300_000));
        assert_eq!(parse("7d"), Some(604_800_000));
        for bad in ["", "5", "s", "-1s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
