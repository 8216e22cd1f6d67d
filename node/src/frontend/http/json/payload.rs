//! The short form of payloads: what they hold, instead of how it is encoded.
//!
//! It is lossless but for the blanks of the payload's own JSON. A payload with anything to it that the short
//! form could not say is written in full, and so is one that claims to be JSON and is not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::text::{Part, object, string};

const ENCODING: &str = "encoding";
const MESSAGE_TYPE: &str = "messageType";
/// The name under which the short form of a protobuf message says its type.
const SHORT_MESSAGE_TYPE: &str = "_protoMessageType";
const NULL: &str = "binary/null";
const JSON: &str = "json/plain";
const PROTOBUF_JSON: &str = "json/protobuf";
/// Nothing, which in short is written in full, as `null` is no value of a field.
const NOTHING: &str = r#"{"metadata":{"encoding":"YmluYXJ5L251bGw="}}"#;

/// What is in a payload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) metadata: BTreeMap<String, Vec<u8>>,
    pub(super) data: Vec<u8>,
}

impl Content {
    fn new(encoding: &str, data: Vec<u8>) -> Content {
        Content { metadata: [(ENCODING.to_owned(), encoding.into())].into(), data }
    }

    /// The short form, if there is one.
    pub(super) fn short(&self) -> Option<String> {
        let encoding = std::str::from_utf8(self.metadata.get(ENCODING)?).ok()?;
        match (encoding, self.metadata.len()) {
            (NULL, 1) if self.data.is_empty() => Some(NOTHING.to_owned()),
            (JSON, 1) => {
                let value = std::str::from_utf8(&self.data).ok()?.trim_ascii();
                let _: IgnoredAny = serde_json::from_str(value).ok()?;
                Some(if value == "null" { NOTHING } else { value }.to_owned())
            }
            (PROTOBUF_JSON, 2) => {
                let name = std::str::from_utf8(self.metadata.get(MESSAGE_TYPE)?).ok()?;
                let mut fields: Map<String, Value> = serde_json::from_slice(&self.data).ok()?;
                if name.is_empty() || fields.contains_key(SHORT_MESSAGE_TYPE) {
                    return None;
                }
                fields.insert(SHORT_MESSAGE_TYPE.to_owned(), name.into());
                serde_json::to_string(&fields).ok()
            }
            _ => None,
        }
    }

    /// What a value says in short.
    pub(super) fn read(value: Part<'_>) -> Result<Content, String> {
        let text = value.get();
        if text == "null" {
            return Ok(Content::new(NULL, Vec::new()));
        }
        let entries = object(value).unwrap_or_default();
        let name = entries.iter().find(|(name, _)| string(*name).as_deref() == Some(SHORT_MESSAGE_TYPE));
        match name {
            Some((_, name)) => message(text, string(*name)),
            None => Ok(Content::new(JSON, text.into())),
        }
    }
}

/// Whether a value may be a payload in full: it has metadata with an encoding, and more if that is not nothing.
pub(super) fn may_be_in_full(value: Part<'_>) -> bool {
    let entries = object(value).unwrap_or_default();
    let is_metadata = |name: Part<'_>| string(name).as_deref() == Some("metadata");
    let metadata = entries.iter().find(|(name, _)| is_metadata(*name)).and_then(|(_, value)| object(*value));
    let metadata = metadata.unwrap_or_default();
    let encoding = metadata.iter().find(|(key, _)| string(*key).as_deref() == Some(ENCODING));
    encoding.is_some_and(|(_, encoding)| {
        let encoding = string(*encoding).and_then(|text| bytes(&text));
        entries.len() > 1 || encoding.as_deref() == Some(NULL.as_bytes())
    })
}

/// A protobuf message in short: its JSON, with its type among its fields.
fn message(text: &str, name: Option<String>) -> Result<Content, String> {
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        format!("unable to unmarshal payload: internal key \"{SHORT_MESSAGE_TYPE}\" should have type string")
    })?;
    let mut fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("unable to unmarshal payload: {error}"))?;
    fields.remove(SHORT_MESSAGE_TYPE);
    let data = serde_json::to_vec(&fields).map_err(|error| error.to_string())?;
    let mut content = Content::new(PROTOBUF_JSON, data);
    content.metadata.insert(MESSAGE_TYPE.to_owned(), name.into());
    Ok(content)
}

/// Bytes as protobuf's JSON writes them: base64 of either alphabet, padded or not.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let standard: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let padding = "=".repeat((4 - standard.len() % 4) % 4);
    STANDARD.decode(standard + &padding).ok()
}
