//! Messages to JSON and back: every type of the API, and payloads in short.

use everlog_proto::prost::Message as _;
use expect_test::expect;
use prost_reflect::{Cardinality, DynamicMessage, Kind, MapKey, MessageDescriptor, Value};

use super::*;
use crate::frontend::http::routes::{POOL, ROUTES};

fn read(kind: &str, text: &str) -> Result<DynamicMessage, String> {
    let kind = POOL.get_message_by_name(kind).expect("a type of the API");
    let part = first_value(text)?.ok_or("nothing")?;
    Reader { text, shorthand: true }.message(&kind, part)
}

/// A message of which every field is set, as deep as types that contain themselves go once.
fn filled(kind: &MessageDescriptor, above: &mut Vec<String>) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    if is_well_known(kind.full_name()) || above.iter().any(|name| name == kind.full_name()) {
        return message;
    }
    above.push(kind.full_name().to_owned());
    for field in kind.fields() {
        let one = field.kind();
        let value = match (&one, field.cardinality()) {
            (Kind::Message(entry), _) if field.is_map() => {
                let key = sample(&entry.map_entry_key_field().kind(), above);
                let key = key.into_map_key().unwrap_or(MapKey::Bool(true));
                Value::Map([(key, sample(&entry.map_entry_value_field().kind(), above))].into())
            }
            (one, Cardinality::Repeated) => Value::List(vec![sample(one, above), sample(one, above)]),
            (one, _) => sample(one, above),
        };
        message.set_field(&field, value);
    }
    above.pop();
    if kind.full_name() == "temporal.api.common.v1.Payload" {
        // One without an encoding is taken for a value.
        let encoding = (MapKey::String("encoding".to_owned()), Value::Bytes("binary/plain".into()));
        message.set_field_by_name("metadata", Value::Map([encoding].into()));
    }
    message
}

fn sample(kind: &Kind, above: &mut Vec<String>) -> Value {
    match kind {
        Kind::Double => Value::F64(1.5),
        Kind::Float => Value::F32(-2.25),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-7),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::MIN),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX),
        Kind::Bool => Value::Bool(true),
        Kind::String => Value::String("a \"é\" \u{1}".to_owned()),
        Kind::Bytes => Value::Bytes(vec![0, 255, 62].into()),
        Kind::Message(kind) => Value::Message(filled(kind, above)),
        Kind::Enum(kind) => Value::EnumNumber(kind.values().last().map_or(0, |value| value.number())),
    }
}

#[test]
fn every_message_of_an_annotated_method_comes_back() {
    for route in ROUTES.iter() {
        for kind in [&route.input, &route.output] {
            let message = filled(kind, &mut Vec::new());
            for shorthand in [true, false] {
                let json = write(&message, shorthand).expect("it can be written");
                for json in [indent(&json), json] {
                    let part = first_value(&json).expect("it is JSON").expect("it is something");
                    let back = Reader { text: &json, shorthand }.message(kind, part);
                    let back = back.unwrap_or_else(|error| panic!("{}: {error}\n{json}", kind.full_name()));
                    assert_eq!(write(&back, false), write(&message, false), "{}", kind.full_name());
                    assert_eq!(back.encode_to_vec().len(), message.encode_to_vec().len());
                }
            }
        }
    }
}

const START: &str = "temporal.api.workflowservice.v1.StartWorkflowExecutionRequest";
const PAYLOADS: &str = "temporal.api.common.v1.Payloads";

/// A list of payloads, read in short and written in full and in short.
fn both(text: &str) -> String {
    match read(PAYLOADS, text) {
        Ok(message) => {
            format!("{}\n{}", write(&message, false).expect("long"), write(&message, true).expect("short"))
        }
        Err(error) => error,
    }
}

#[test]
fn a_value_is_a_payload_of_plain_json() {
    let values = both(r#"["x", 1.50, {"b": 1, "a": [ ]}, 12345678901234567890, null]"#);
    expect![[r#"
        {"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Ingi"},{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MS41MA=="},{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"eyJiIjogMSwgImEiOiBbIF19"},{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="},{"metadata":{"encoding":"YmluYXJ5L251bGw="}}]}
        ["x",1.50,{"b": 1, "a": [ ]},12345678901234567890,{"metadata":{"encoding":"YmluYXJ5L251bGw="}}]"#]]
    .assert_eq(&values);
}

#[test]
fn a_payload_that_short_forms_cannot_say_stays_long() {
    let binary = r#"{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"},"data":"eHg="}"#;
    let written = both(&format!("[1,{binary}]"));
    assert!(written.ends_with(&format!(r#"{{"payloads":[1,{binary}]}}"#)), "{written}");
    // Not JSON, although it says so.
    let broken = r#"{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"e2I="}"#;
    let written = both(&format!("[{broken}]"));
    assert!(written.ends_with(&format!(r#"{{"payloads":[{broken}]}}"#)), "{written}");
}

#[test]
fn a_protobuf_message_has_its_type_among_its_fields() {
    let short = r#"[{"_protoMessageType":"a.B","a":2}]"#;
    assert!(both(short).ends_with(short), "{}", both(short));
    let refused = both(r#"[{"_protoMessageType":5}]"#);
    assert_eq!(
        refused,
        r#"unable to unmarshal payload: internal key "_protoMessageType" should have type string"#
    );
}

#[test]
fn what_is_refused_is_refused_with_its_place() {
    let refused = |text: &str| read(START, text).expect_err("it is refused");
    assert_eq!(refused("{\n \"é\": 1}"), "temporalproto: (line 2:2): unknown field \"é\"");
    assert_eq!(refused("{\"memo\": [1]}"), "temporalproto: syntax error (line 1:10): unexpected token [");
    assert_eq!(
        refused(r#"{"workflowRunTimeout":"x"}"#),
        r#"temporalproto: (line 1:23): invalid google.protobuf.Duration value "x""#
    );
    assert_eq!(refused("{\"a\":"), "unexpected EOF");
}

#[test]
fn depth_is_bounded() {
    let kind = "temporal.api.failure.v1.Failure";
    let nested = |depth: usize| format!("{}{}", "{\"cause\":".repeat(depth) + "{}", "}".repeat(depth));
    assert!(read(kind, &nested(DEPTH_MAX)).is_ok());
    assert_eq!(
        read(kind, &nested(DEPTH_MAX + 1)).expect_err("too deep"),
        "temporalproto: exceeded max recursion depth"
    );
    // What is inside of a payload is text.
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(PAYLOADS, &deep).is_ok());
}

#[test]
fn lines_are_broken_outside_of_texts_only() {
    let json = r#"{"a":[1,{"b":"x:{,\"}"}],"c":{},"d":[]}"#;
    expect![[r#"
        {
          "a": [
            1,
            {
              "b": "x:{,\"}"
            }
          ],
          "c": {},
          "d": []
        }"#]]
    .assert_eq(&indent(json));
}
