//! Just enough JSON for search attributes: a scalar, or a list of strings.

/// Numbers keep their text, since only the attribute's type says what they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
}

/// Lists in lists, and objects, are no search attributes.
pub(super) fn parse(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader { rest: text.trim_matches(is_space) };
    let value = if reader.eat('[') { reader.list()? } else { reader.scalar()? };
    reader.rest.is_empty().then_some(value)
}

/// A text as JSON.
pub(super) fn quote(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn list(&mut self) -> Option<Json> {
        let mut values = Vec::new();
        self.space();
        if self.eat(']') {
            return Some(Json::List(values));
        }
        loop {
            self.space();
            values.push(self.scalar()?);
            self.space();
            if self.eat(']') {
                return Some(Json::List(values));
            }
            if !self.eat(',') {
                return None;
            }
        }
    }

    fn scalar(&mut self) -> Option<Json> {
        if self.eat('"') {
            return self.text().map(Json::Text);
        }
        let end = self.rest.find(|c: char| is_space(c) || matches!(c, ',' | ']')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "null" => Some(Json::Null),
            "true" => Some(Json::Bool(true)),
            "false" => Some(Json::Bool(false)),
            _ if is_number(word) => Some(Json::Number(word.to_owned())),
            _ => None,
        }
    }

    /// What follows an opening quote, up to the closing one.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let c = self.next()?;
            match c {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\x1f' => return None,
                _ => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return None,
        })
    }

    /// A code point, or two halves of one. A half alone is replaced, as Go does.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if (0xD800..0xDC00).contains(&first) && self.rest.starts_with("\\u") {
            let before = self.rest;
            self.rest = &self.rest[2..];
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
            self.rest = before;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.rest = &self.rest[4..];
        u32::from_str_radix(digits, 16).ok()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// A minus, digits, a fraction and an exponent, as JSON has them.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_is_fine = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    let mantissa_is_fine = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    mantissa_is_fine && exponent_is_fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_and_lists_are_read() {
        let text = |text: &str| Json::Text(text.to_owned());
        let number = |text: &str| Some(Json::Number(text.to_owned()));
        let cases = [
            (r#" "a" "#, Some(text("a"))),
            (r#""""#, Some(text(""))),
            (r#""q\"b\\s\/n\nt\tu\u00e9""#, Some(text("q\"b\\s/n\nt\tué"))),
            (r#""\ud83d\ude00 \ud83d x \ud83d\u0041""#, Some(text("😀 \u{fffd} x \u{fffd}A"))),
            ("5", number("5")),
            ("-1.5e+3", number("-1.5e+3")),
            ("true", Some(Json::Bool(true))),
            ("null", Some(Json::Null)),
            ("[]", Some(Json::List(vec![]))),
            (r#"[ "a", "b" ]"#, Some(Json::List(vec![text("a"), text("b")]))),
            ("[1,null]", Some(Json::List(vec![Json::Number("1".to_owned()), Json::Null]))),
            ("", None),
            ("\"a", None),
            ("\"\\x\"", None),
            ("\"\\u12\"", None),
            ("+1", None),
            ("1.", None),
            ("nul", None),
            ("{}", None),
            ("[1,]", None),
            ("[1 2]", None),
            ("[[1]]", None),
            ("1 2", None),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn quoted_texts_read_back() {
        for text in ["", "a", "q\"b\\s", "\n\u{1}", "é😀"] {
            assert_eq!(parse(quote(text).as_bytes()), Some(Json::Text(text.to_owned())), "{text}");
        }
    }
}
