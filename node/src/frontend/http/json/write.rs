//! A message as JSON.

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde::Serialize;

use super::{DEPTH_MAX, is_well_known, payload::Content};

/// Writes a message, its payloads in short if they may be.
pub(in crate::frontend::http) fn write(message: &DynamicMessage, shorthand: bool) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), shorthand };
    writer.message(message, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    shorthand: bool,
}

impl Writer {
    fn message(&mut self, message: &DynamicMessage, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("a message is nested too deep".to_owned());
        }
        let kind = prost_reflect::ReflectMessage::descriptor(message);
        match kind.full_name() {
            "temporal.api.common.v1.Payload" if self.shorthand => match content(message).short() {
                Some(short) if message.fields().all(|(field, _)| is_content(&field)) => {
                    self.out.push_str(&short);
                    Ok(())
                }
                _ => self.object(message, None, depth),
            },
            "temporal.api.common.v1.Payloads" if self.shorthand => self.payloads(message, depth),
            "google.protobuf.Any" => self.any(message, &kind, depth),
            name if is_well_known(name) => self.plain(message),
            _ => self.object(message, None, depth),
        }
    }

    /// A list of payloads in short is an array, but only if all of them have a short form.
    fn payloads(&mut self, message: &DynamicMessage, depth: usize) -> Result<(), String> {
        let field = message.get_field_by_name("payloads");
        let payloads = field.as_deref().and_then(Value::as_list).unwrap_or_default();
        let all: Option<Vec<String>> =
            payloads.iter().map(|one| content(one.as_message()?).short()).collect();
        match all {
            Some(all) => write!(self.out, "[{}]", all.join(",")).map_err(|error| error.to_string()),
            None => self.object(message, None, depth),
        }
    }

    /// A message of any type, with its type among its fields.
    fn any(&mut self, any: &DynamicMessage, kind: &MessageDescriptor, depth: usize) -> Result<(), String> {
        let url = any.get_field_by_name("type_url");
        let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
        let name = url.rsplit('/').next().unwrap_or_default();
        if any.fields().next().is_none() {
            self.out.push_str("{}");
            return Ok(());
        }
        if name.is_empty() || is_well_known(name) {
            return self.plain(any);
        }
        let found = kind.parent_pool().get_message_by_name(name);
        let found = found.ok_or_else(|| format!("unable to resolve {url:?}: not found"))?;
        let value = any.get_field_by_name("value");
        let bytes = value.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
        let message = DynamicMessage::decode(found, bytes).map_err(|error| error.to_string())?;
        self.object(&message, Some(url), depth)
    }

    fn object(&mut self, message: &DynamicMessage, url: Option<&str>, depth: usize) -> Result<(), String> {
        self.out.push('{');
        if let Some(url) = url {
            self.out.push_str("\"@type\":");
            self.plain(url)?;
        }
        for (field, value) in message.fields() {
            self.comma();
            self.plain(field.json_name())?;
            self.out.push(':');
            match value {
                Value::List(list) => self.list(list, &field.kind(), depth)?,
                Value::Map(map) => self.map(map, &field, depth)?,
                value => self.value(value, &field.kind(), depth)?,
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn list(&mut self, list: &[Value], kind: &Kind, depth: usize) -> Result<(), String> {
        self.out.push('[');
        for value in list {
            self.comma();
            self.value(value, kind, depth)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn map(
        &mut self,
        map: &HashMap<MapKey, Value>,
        field: &FieldDescriptor,
        depth: usize,
    ) -> Result<(), String> {
        let kind = field.kind();
        let entry = kind.as_message().ok_or("a map without entries")?;
        let kind = entry.map_entry_value_field().kind();
        let mut sorted: Vec<(&MapKey, &Value)> = map.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        self.out.push('{');
        for (key, value) in sorted {
            self.comma();
            self.plain(&key_text(key))?;
            self.out.push(':');
            self.value(value, &kind, depth)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn value(&mut self, value: &Value, kind: &Kind, depth: usize) -> Result<(), String> {
        match value {
            Value::Bool(value) => self.plain(value),
            Value::I32(value) => self.plain(value),
            Value::U32(value) => self.plain(value),
            // Not every reader of JSON has integers of this size.
            Value::I64(value) => self.plain(&value.to_string()),
            Value::U64(value) => self.plain(&value.to_string()),
            Value::F32(value) if value.is_finite() => self.plain(value),
            Value::F64(value) if value.is_finite() => self.plain(value),
            Value::F32(value) => self.plain(infinite(f64::from(*value))),
            Value::F64(value) => self.plain(infinite(*value)),
            Value::String(value) => self.plain(value),
            Value::Bytes(value) => self.plain(&STANDARD.encode(value)),
            Value::EnumNumber(number) => match kind.as_enum().and_then(|kind| kind.get_value(*number)) {
                Some(known) => self.plain(known.name()),
                None => self.plain(number),
            },
            Value::Message(message) => self.message(message, depth + 1),
            Value::List(_) | Value::Map(_) => Err("a list within a list".to_owned()),
        }
    }

    fn comma(&mut self) {
        if !self.out.ends_with(['{', '[']) {
            self.out.push(',');
        }
    }

    fn plain(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), String> {
        self.out.push_str(&serde_json::to_string(value).map_err(|error| error.to_string())?);
        Ok(())
    }
}

fn infinite(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn is_content(field: &FieldDescriptor) -> bool {
    matches!(field.name(), "metadata" | "data")
}

/// What a payload holds.
fn content(payload: &DynamicMessage) -> Content {
    let mut content = Content::default();
    if let Some(Value::Map(metadata)) = payload.get_field_by_name("metadata").as_deref() {
        for (key, value) in metadata {
            let value = value.as_bytes().cloned().unwrap_or_default();
            content.metadata.insert(key_text(key), value.into());
        }
    }
    if let Some(Value::Bytes(data)) = payload.get_field_by_name("data").as_deref() {
        content.data = data.to_vec();
    }
    content
}

/// The same JSON over several lines, two blanks for each level.
pub(in crate::frontend::http) fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(inner) = rest.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}
