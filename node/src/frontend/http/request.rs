//! The message of a request: what its body says, then its path, then its query.

use percent_encoding::percent_decode_str;
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, MapKey, Value};
use tonic::Status;

use super::{
    json::{self, Reader, field_of, scalar_of_text},
    routes::{Body, Route, set, variable},
};

/// Puts a message together.
pub(super) fn message(
    route: &Route,
    values: &[&str],
    query: &str,
    body: &str,
    shorthand: bool,
) -> Result<DynamicMessage, Status> {
    let invalid = |why: String| Status::invalid_argument(why);
    let mut message = DynamicMessage::new(route.input.clone());
    if !matches!(route.body, Body::None)
        && let Some(value) = json::first_value(body).map_err(invalid)?
    {
        let reader = Reader { text: value.get(), shorthand };
        match &route.body {
            Body::Whole => message = reader.message(&route.input, value).map_err(invalid)?,
            Body::Field(field) => {
                message.set_field(field, reader.field(field, value).map_err(invalid)?);
            }
            Body::None => {}
        }
    }
    for (fields, value) in route.variables().zip(values) {
        let name = fields.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
        let text = unescape(value)
            .ok_or_else(|| invalid(format!("malformed path escape {value:?} in parameter {name}")))?;
        let value = variable(fields, &text)
            .map_err(|error| invalid(format!("type mismatch, parameter: {name}, error: {error}")))?;
        set(&mut message, fields, value);
    }
    if !matches!(route.body, Body::Whole) {
        parameters(route, &mut message, query)?;
    }
    Ok(message)
}

/// Sets what the query says and the path does not. Names that no field has are ignored, as there they are.
fn parameters(route: &Route, message: &mut DynamicMessage, query: &str) -> Result<(), Status> {
    for (name, texts) in grouped(query)? {
        let (path, key) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((path, key)) => (path, Some(key)),
            None => (name.as_str(), None),
        };
        let Some(fields) = field_of(&route.input, path) else { continue };
        let taken = |variable: &Vec<FieldDescriptor>| fields.starts_with(variable);
        let is_body = matches!(&route.body, Body::Field(body) if fields.first() == Some(body));
        if route.variables().any(taken) || is_body {
            continue;
        }
        let Some(field) = fields.last() else { continue };
        let value = value_of(field, key, &texts).map_err(Status::invalid_argument)?;
        match (value, field.is_map()) {
            (Value::Map(one), true) => extend(message, &fields, one),
            (value, _) => set(message, &fields, value),
        }
    }
    Ok(())
}

/// The value of a field of which a query says one or more.
fn value_of(field: &FieldDescriptor, key: Option<&str>, texts: &[String]) -> Result<Value, String> {
    let name = field.name();
    let parsed = |field: &FieldDescriptor, text: &String| -> Result<Value, String> {
        let kind = field.kind();
        let Some(message) = kind.as_message().filter(|kind| json::is_well_known(kind.full_name())) else {
            return scalar_of_text(&kind, text).map_err(|error| format!("parsing field {name:?}: {error}"));
        };
        let quoted = serde_json::to_string(text).map_err(|error| error.to_string())?;
        let part = json::first_value(&quoted)?.ok_or("nothing")?;
        let read = Reader { text: &quoted, shorthand: false }.message(message, part);
        read.map(Value::Message).map_err(|error| format!("parsing field {name:?}: {error}"))
    };
    if field.is_map() {
        let kind = field.kind();
        let entry = kind.as_message().ok_or("a map without entries")?;
        let key = key.ok_or_else(|| format!("no key for map field {name:?}"))?;
        let key = scalar_of_text(&entry.map_entry_key_field().kind(), key)?;
        let key = key.into_map_key().ok_or("a key of no kind")?;
        let value = parsed(&entry.map_entry_value_field(), texts.last().ok_or("no value")?)?;
        return Ok(Value::Map([(key, value)].into()));
    }
    if field.cardinality() == Cardinality::Repeated {
        return texts.iter().map(|text| parsed(field, text)).collect::<Result<_, _>>().map(Value::List);
    }
    match texts {
        [text] => parsed(field, text),
        many => Err(format!("too many values for field {name:?}: {}", many.join(", "))),
    }
}

/// Adds to a map, which may be a field of a field.
fn extend(
    message: &mut DynamicMessage,
    fields: &[FieldDescriptor],
    more: std::collections::HashMap<MapKey, Value>,
) {
    let Some((field, inner)) = fields.split_first() else { return };
    match message.get_field_mut(field) {
        Value::Map(map) if inner.is_empty() => map.extend(more),
        Value::Message(nested) => extend(nested, inner, more),
        _ => {}
    }
}

/// The names of a query with all that it says of each, in the order of their first appearance.
fn grouped(query: &str) -> Result<Vec<(String, Vec<String>)>, Status> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| {
            unescape(&text.replace('+', " "))
                .ok_or_else(|| Status::invalid_argument(format!("invalid URL escape {text:?}")))
        };
        let (name, text) = (decoded(name)?, decoded(text)?);
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, texts)) => texts.push(text),
            None => all.push((name, vec![text])),
        }
    }
    Ok(all)
}

/// What a query says first of a name.
pub(in crate::frontend) fn parameter(query: &str, name: &str) -> Option<String> {
    let all = grouped(query).ok()?;
    all.into_iter().find(|(known, _)| known == name).and_then(|(_, texts)| texts.into_iter().next())
}

/// Whether a query has a name, whatever it says of it.
pub(super) fn has(query: &str, name: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some(name))
}

/// Replaces what is written as `%` and two digits. Nothing is what is no such text, or none at all.
pub(in crate::frontend) fn unescape(text: &str) -> Option<String> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut is_digit = || rest.next().is_some_and(|digit| digit.is_ascii_hexdigit());
            if !(is_digit() && is_digit()) {
                return None;
            }
        }
    }
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}
