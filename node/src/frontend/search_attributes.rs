//! Search attributes of a new workflow: known names, values of their types, not too large.
//!
//! A value travels as JSON. Null and the empty list mean that the attribute is not set.

use std::collections::BTreeMap;

use everlog_engine::{
    cluster::{ValueType, predefined_attributes, system_attributes},
    decide::attributes::too_large,
    evolve::is_null,
};
use everlog_proto::api::{
    common::v1::{Payload, SearchAttributes},
    enums::v1::IndexedValueType,
};
use serde_json::Value;
use tonic::Status;

use super::call::Scope;

/// Where a payload says of which type its value is.
const TYPE_METADATA: &str = "type";

/// Checks search attributes and how large they are, and notes with each value of which type it is.
pub(super) fn check(scope: &Scope, attributes: Option<&mut SearchAttributes>) -> Result<(), Status> {
    validate(scope, attributes.as_deref())?;
    note_types(scope, attributes);
    Ok(())
}

/// Checks search attributes, and leaves them as they are.
pub(super) fn validate(scope: &Scope, attributes: Option<&SearchAttributes>) -> Result<(), Status> {
    check_fields(scope, attributes)?;
    attributes.and_then(|given| too_large(given, &scope.limits)).map_or(Ok(()), invalid)
}

/// Checks those of what a request begins: what says "null" is left out.
pub(super) fn check_new(scope: &Scope, attributes: &mut Option<SearchAttributes>) -> Result<(), Status> {
    leave_out_nulls(scope, attributes)?;
    check(scope, attributes.as_mut())
}

/// Checks those of a command. How large they are is asked by the engine, since those of the run count too.
pub(super) fn check_of_command(
    scope: &Scope,
    attributes: Option<&mut SearchAttributes>,
) -> Result<(), Status> {
    check_fields(scope, attributes.as_deref())?;
    note_types(scope, attributes);
    Ok(())
}

/// The same for a run that a command begins.
pub(super) fn check_new_of_command(
    scope: &Scope,
    attributes: &mut Option<SearchAttributes>,
) -> Result<(), Status> {
    leave_out_nulls(scope, attributes)?;
    check_of_command(scope, attributes.as_mut())
}

/// Their names have to be known all the same.
fn leave_out_nulls(scope: &Scope, attributes: &mut Option<SearchAttributes>) -> Result<(), Status> {
    if let Some(attributes) = attributes {
        let custom = scope.call.shared.backend.search_attributes(scope.namespace_id());
        check_names(&scope.namespace.name, &attributes.indexed_fields.iter().collect(), custom.as_ref())?;
        attributes.indexed_fields.retain(|_, payload| !is_null(payload));
    }
    attributes.take_if(|attributes| attributes.indexed_fields.is_empty());
    Ok(())
}

/// Notes with each value of which type it is, where it does not say so.
pub(super) fn note_types(scope: &Scope, attributes: Option<&mut SearchAttributes>) {
    let Some(attributes) = attributes.filter(|attributes| !attributes.indexed_fields.is_empty()) else {
        return;
    };
    let custom = scope.call.shared.backend.search_attributes(scope.namespace_id());
    for (name, payload) in &mut attributes.indexed_fields {
        if let Some(kind) = kind_of(name, custom.as_ref()) {
            let kind = || kind.to_string().into_bytes();
            payload.metadata.entry(TYPE_METADATA.to_owned()).or_insert_with(kind);
        }
    }
}

fn kind_of(name: &str, custom: Option<&BTreeMap<String, IndexedValueType>>) -> Option<ValueType> {
    let added = || ValueType::from_api(*custom?.get(name)? as i32);
    find(predefined_attributes(), name).or_else(added)
}

fn check_fields(scope: &Scope, attributes: Option<&SearchAttributes>) -> Result<(), Status> {
    let Some(attributes) = attributes.filter(|attributes| !attributes.indexed_fields.is_empty()) else {
        return Ok(());
    };
    let custom = scope.call.shared.backend.search_attributes(scope.namespace_id());
    let custom = custom.as_ref();
    // In a fixed order, so that of several faults always the same is reported.
    let fields: BTreeMap<&String, &Payload> = attributes.indexed_fields.iter().collect();
    check_names(&scope.namespace.name, &fields, custom)?;
    let limits = &scope.limits;
    if fields.len() > limits.search_attribute_keys_max {
        return invalid(format!(
            "number of search attributes {} exceeds limit {}",
            fields.len(),
            limits.search_attribute_keys_max
        ));
    }
    for (name, payload) in fields {
        if let Some(kind) = kind_of(name, custom) {
            check_value(name, kind, payload)?;
        }
    }
    Ok(())
}

fn invalid<T>(message: String) -> Result<T, Status> {
    Err(Status::invalid_argument(message))
}

/// Unknown names are reported before those that may not be set.
fn check_names(
    namespace: &str,
    fields: &BTreeMap<&String, &Payload>,
    custom: Option<&BTreeMap<String, IndexedValueType>>,
) -> Result<(), Status> {
    for name in fields.keys() {
        let known = find(system_attributes(), name).is_some()
            || find(predefined_attributes(), name).is_some()
            || custom.is_none_or(|custom| custom.contains_key(*name));
        if !known {
            return invalid(format!(
                "Namespace {namespace} has no mapping defined for search attribute {name}"
            ));
        }
    }
    match fields.keys().find(|name| find(system_attributes(), name).is_some()) {
        Some(name) => invalid(format!("{name} attribute can't be set in SearchAttributes")),
        None => Ok(()),
    }
}

fn find(attributes: &[(&str, ValueType)], name: &str) -> Option<ValueType> {
    attributes.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

fn check_value(name: &str, kind: ValueType, payload: &Payload) -> Result<(), Status> {
    let refused =
        |value: &str| invalid(format!("invalid value for search attribute {name} of type {}: {value}", kind));
    let value = match (encoding_of(payload), serde_json::from_slice(&payload.data)) {
        (Some(b"binary/null"), _) => Value::Null,
        (Some(b"binary/plain"), _) => return refused(&go_bytes(&payload.data)),
        (Some(_), Ok(value)) => value,
        _ => return refused(&format!("value from <{}>", go_text(payload))),
    };
    if is_of_type(&value, kind) { Ok(()) } else { refused(&go_value(&value)) }
}

fn is_of_type(value: &Value, kind: ValueType) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) if kind == ValueType::KeywordList => items.iter().all(Value::is_string),
        // Elsewhere a list with one value is that value.
        Value::Array(items) if items.len() <= 1 => items.iter().all(|item| is_single(item, kind)),
        Value::Array(_) => false,
        single => kind != ValueType::KeywordList && is_single(single, kind),
    }
}

fn is_single(value: &Value, kind: ValueType) -> bool {
    match kind {
        ValueType::Keyword | ValueType::Text => value.is_string(),
        ValueType::Int => value.is_i64(),
        ValueType::Double => value.is_number(),
        ValueType::Bool => value.is_boolean(),
        ValueType::Datetime => {
            value.as_str().is_some_and(|text| text.parse::<prost_types::Timestamp>().is_ok())
        }
        ValueType::KeywordList => false,
    }
}

fn encoding_of(payload: &Payload) -> Option<&[u8]> {
    payload.metadata.get("encoding").map(Vec::as_slice)
}

/// Bytes as Go prints them.
fn go_bytes(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", bytes.join(" "))
}

/// A value as Go prints it.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_value).collect();
            format!("[{}]", items.join(" "))
        }
        // serde_json keeps the keys of an object in order, as Go prints those of a map.
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// A payload as Go prints it.
fn go_text(payload: &Payload) -> String {
    let metadata: BTreeMap<_, _> = payload.metadata.iter().collect();
    let mut parts: Vec<String> = metadata
        .iter()
        .map(|(key, value)| format!("metadata:{{key:{key:?} value:{:?}}}", String::from_utf8_lossy(value)))
        .collect();
    if !payload.data.is_empty() {
        parts.push(format!("data:{:?}", String::from_utf8_lossy(&payload.data)));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use everlog_engine::cluster::ValueType::*;

    use super::*;

    fn json(text: &str) -> Payload {
        Payload {
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            data: text.as_bytes().to_vec(),
            ..Payload::default()
        }
    }

    #[test]
    fn a_value_is_of_its_type() {
        let values =
            ["1", "\"a\"", "true", "1.5", "\"2020-01-01T00:00:00Z\"", "[\"a\",\"b\"]", "null", "[]", "[1]"];
        // What the real server took of each type, in the order above.
        let taken = [
            (Int, "1_____nei"),
            (Bool, "__t___ne_"),
            (Datetime, "____d_ne_"),
            (Keyword, "_a__d_ne_"),
            (Text, "_a__d_ne_"),
            (Double, "1__f__nei"),
            (KeywordList, "_____lne_"),
        ];
        for (kind, pattern) in taken {
            for (value, mark) in values.iter().zip(pattern.chars()) {
                let taken = check_value("CI", kind, &json(value)).is_ok();
                assert_eq!(taken, mark != '_', "{kind:?} {value}");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_shown() {
        let text =
            |kind, payload: &Payload| check_value("CI", kind, payload).unwrap_err().message().to_owned();
        assert_eq!(text(Int, &json("\"a\"")), "invalid value for search attribute CI of type Int: a");
        assert_eq!(
            text(Int, &json("[\"a\",\"b\"]")),
            "invalid value for search attribute CI of type Int: [a b]"
        );
        let bare = Payload { data: b"1".to_vec(), ..Payload::default() };
        assert_eq!(
            text(KeywordList, &bare),
            "invalid value for search attribute CI of type KeywordList: value from <data:\"1\">"
        );
        let typed = Payload { metadata: [("type".to_owned(), b"Int".to_vec())].into(), ..bare };
        assert_eq!(
            text(Int, &typed),
            "invalid value for search attribute CI of type Int: value from <metadata:{key:\"type\" value:\"Int\"} data:\"1\">"
        );
    }

    #[test]
    fn names_are_known_and_free() {
        let check = |names: &[&str], custom: Option<&[&str]>| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let payload = Payload::default();
            let fields = names.iter().map(|name| (name, &payload)).collect();
            let custom: Option<BTreeMap<String, IndexedValueType>> = custom.map(|custom| {
                custom.iter().map(|name| ((*name).to_owned(), IndexedValueType::Int)).collect()
            });
            let checked = check_names("default", &fields, custom.as_ref());
            checked.err().map(|status| status.message().to_owned()).unwrap_or_default()
        };
        assert_eq!(check(&["Mine", "BuildIds"], Some(&["Mine"])), "");
        assert_eq!(check(&["Mine"], None), "");
        assert_eq!(
            check(&["RunId", "X1"], Some(&[])),
            "Namespace default has no mapping defined for search attribute X1"
        );
        assert_eq!(check(&["RunId"], Some(&[])), "RunId attribute can't be set in SearchAttributes");
    }
}
