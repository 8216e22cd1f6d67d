//! Messages of the API as JSON, and back.
//!
//! It is the JSON that protobuf defines for its messages, but for payloads, which may be written in short: a
//! payload of plain JSON as the value that it holds. The library has no place for a type whose JSON is its own,
//! so the walk over messages is ours; descriptors, dynamic messages and the JSON of well-known types are its.
//!
//! `text` is what is read, `payload` what is short, `read` and `write` are the two ways.

mod payload;
mod read;
mod text;
mod write;

pub(super) use read::{Reader, Scalar, field_of, scalar_of_text};
pub(super) use text::first_value;
pub(super) use write::{indent, write};

/// Messages inside messages, as deep as the encoded form may have them.
const DEPTH_MAX: usize = 100;

/// Types of the library `google.protobuf` whose JSON is no object of their fields.
pub(super) fn is_well_known(name: &str) -> bool {
    let Some(name) = name.strip_prefix("google.protobuf.") else { return false };
    matches!(
        name,
        "Timestamp" | "Duration" | "FieldMask" | "Struct" | "ListValue" | "Value" | "Empty" | "Any"
    ) || name.ends_with("Value")
}

#[cfg(test)]
mod tests;
