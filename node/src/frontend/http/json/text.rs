//! JSON as text: one level of a value at a time, with the places where its parts stand.

use serde::de::IgnoredAny;

/// A value within a text that is JSON as a whole, without blanks around it.
#[derive(Clone, Copy, Debug)]
pub(in crate::frontend::http) struct Part<'a>(&'a str);

impl<'a> Part<'a> {
    /// The value as it stands there.
    pub(in crate::frontend::http) fn get(self) -> &'a str {
        self.0
    }
}

/// The first value of a text, or none if it is blank. What follows it is not looked at.
///
/// Refuses what is not JSON, in the words of the real server as far as they can be known.
pub(in crate::frontend::http) fn first_value(text: &str) -> Result<Option<Part<'_>>, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    match values.next() {
        None => Ok(None),
        Some(Ok(_)) => Ok(Some(Part(text.get(..values.byte_offset()).unwrap_or_default().trim_ascii()))),
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".to_owned()),
        Some(Err(error)) => match text.trim_ascii_start().chars().next() {
            Some(first) if !"{[\"-0123456789tfn".contains(first) => {
                Err(format!("invalid character {first:?} looking for beginning of value"))
            }
            _ => Err(format!("invalid JSON: {error}")),
        },
    }
}

/// The names and values of an object, in the order in which they stand; nothing if it is none.
pub(super) fn object(part: Part<'_>) -> Option<Vec<(Part<'_>, Part<'_>)>> {
    let mut rest = part.0.strip_prefix('{')?;
    let mut entries = Vec::new();
    while let Some((name, after)) = next(rest) {
        let (value, after) = next(after.trim_ascii_start().strip_prefix(':')?)?;
        entries.push((name, value));
        rest = after;
    }
    Some(entries)
}

/// The elements of an array; nothing if it is none.
pub(super) fn array(part: Part<'_>) -> Option<Vec<Part<'_>>> {
    let mut rest = part.0.strip_prefix('[')?;
    let mut elements = Vec::new();
    while let Some((element, after)) = next(rest) {
        elements.push(element);
        rest = after;
    }
    Some(elements)
}

/// The next value and what follows it; nothing at the end of what it is in.
fn next(text: &str) -> Option<(Part<'_>, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', ',']);
    let length = match text.as_bytes().first()? {
        b'}' | b']' => return None,
        b'"' => string_length(text),
        b'{' | b'[' => bracket_length(text),
        _ => text.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(text.len()),
    };
    let (value, after) = text.split_at_checked(length)?;
    Some((Part(value), after))
}

/// The length of the string at the beginning of a text, its quotes included.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of the object or array at the beginning of a text.
fn bracket_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string_length(text.get(at..).unwrap_or_default());
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// What a string says, if it is one.
pub(super) fn string(part: Part<'_>) -> Option<String> {
    serde_json::from_str(part.0).ok()
}

/// Line and column of a part of the text, both from one.
pub(super) fn place(text: &str, part: Part<'_>) -> (usize, usize) {
    let offset = (part.0.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
