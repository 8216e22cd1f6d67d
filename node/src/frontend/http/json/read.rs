//! JSON as a message.
//!
//! What is refused is refused with its place in the text, in the words of the real server.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::{
    DEPTH_MAX, is_well_known,
    payload::{Content, bytes, may_be_in_full},
    text::{Part, array, object, place, string},
};

/// Reads the parts of one text.
pub(in crate::frontend::http) struct Reader<'a> {
    pub(in crate::frontend::http) text: &'a str,
    /// Whether payloads may be in short.
    pub(in crate::frontend::http) shorthand: bool,
}

impl Reader<'_> {
    pub(in crate::frontend::http) fn message(
        &self,
        kind: &MessageDescriptor,
        part: Part<'_>,
    ) -> Result<DynamicMessage, String> {
        self.nested(kind, part, 0)
    }

    pub(in crate::frontend::http) fn field(
        &self,
        field: &FieldDescriptor,
        part: Part<'_>,
    ) -> Result<Value, String> {
        self.repeated(field, part, 0)
    }

    fn nested(
        &self,
        kind: &MessageDescriptor,
        part: Part<'_>,
        depth: usize,
    ) -> Result<DynamicMessage, String> {
        if depth > DEPTH_MAX {
            return Err("temporalproto: exceeded max recursion depth".to_owned());
        }
        match kind.full_name() {
            "temporal.api.common.v1.Payload" if self.shorthand => self.payload(kind, part, depth),
            "temporal.api.common.v1.Payloads" if self.shorthand => match array(part) {
                Some(list) => self.payloads(kind, list, depth),
                None => self.object(kind, part, depth),
            },
            // One that holds nothing has no type.
            "google.protobuf.Any" if object(part).is_some_and(|entries| entries.is_empty()) => {
                Ok(DynamicMessage::new(kind.clone()))
            }
            name if is_well_known(name) => {
                let mut text = serde_json::Deserializer::from_str(part.get());
                DynamicMessage::deserialize(kind.clone(), &mut text).map_err(|_| {
                    let is_text = part.get().starts_with('"');
                    let refused = || self.refused(part, &format!("invalid {name} value {}", part.get()));
                    if is_text { refused() } else { self.unexpected(part) }
                })
            }
            _ => self.object(kind, part, depth),
        }
    }

    fn payloads(
        &self,
        kind: &MessageDescriptor,
        list: Vec<Part<'_>>,
        depth: usize,
    ) -> Result<DynamicMessage, String> {
        let mut message = DynamicMessage::new(kind.clone());
        let field = kind.get_field_by_name("payloads").ok_or("payloads without payloads")?;
        let one = field.kind();
        let one = one.as_message().ok_or("payloads that are no payloads")?;
        let all: Result<_, _> =
            list.into_iter().map(|part| self.payload(one, part, depth + 1).map(Value::Message)).collect();
        put(&mut message, &field, Value::List(all?));
        Ok(message)
    }

    /// A payload in full or in short. What could be either is taken as in full.
    fn payload(
        &self,
        kind: &MessageDescriptor,
        part: Part<'_>,
        depth: usize,
    ) -> Result<DynamicMessage, String> {
        if may_be_in_full(part)
            && let Ok(message) = self.object(kind, part, depth)
        {
            return Ok(message);
        }
        Ok(in_short(kind, Content::read(part)?))
    }

    fn object(
        &self,
        kind: &MessageDescriptor,
        part: Part<'_>,
        depth: usize,
    ) -> Result<DynamicMessage, String> {
        let entries = object(part).ok_or_else(|| self.unexpected(part))?;
        let mut message = DynamicMessage::new(kind.clone());
        let mut seen = BTreeSet::new();
        let mut chosen = BTreeSet::new();
        for (key, value) in entries {
            let name = string(key).unwrap_or_default();
            let field = field(kind, &name)
                .ok_or_else(|| self.refused(key, &format!("unknown field {}", key.get())))?;
            if !seen.insert(field.number()) {
                return Err(self.refused(key, &format!("duplicate field {}", key.get())));
            }
            if value.get() == "null" && !takes_null(&field) {
                continue;
            }
            if let Some(oneof) = field.containing_oneof()
                && !chosen.insert(oneof.full_name().to_owned())
            {
                let text = format!("error parsing {}, oneof {} is already set", key.get(), oneof.full_name());
                return Err(self.refused(key, &text));
            }
            put(&mut message, &field, self.repeated(&field, value, depth)?);
        }
        Ok(message)
    }

    fn repeated(&self, field: &FieldDescriptor, part: Part<'_>, depth: usize) -> Result<Value, String> {
        if field.is_map() {
            return self.map(field, part, depth);
        }
        if field.cardinality() != Cardinality::Repeated {
            return self.value(&field.kind(), part, depth);
        }
        let list = array(part).ok_or_else(|| self.unexpected(part))?;
        let kind = field.kind();
        list.into_iter().map(|one| self.value(&kind, one, depth)).collect::<Result<_, _>>().map(Value::List)
    }

    fn map(&self, field: &FieldDescriptor, part: Part<'_>, depth: usize) -> Result<Value, String> {
        let entries = object(part).ok_or_else(|| self.unexpected(part))?;
        let kind = field.kind();
        let entry = kind.as_message().ok_or("a map without entries")?;
        let (key_kind, value_kind) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut map: HashMap<MapKey, Value> = HashMap::new();
        for (key, value) in entries {
            let name = string(key).unwrap_or_default();
            let refused = |what: &str| self.refused(key, &format!("{what} {}", key.get()));
            let parsed = scalar_of_text(&key_kind, &name).ok().and_then(Value::into_map_key);
            let parsed = parsed.ok_or_else(|| refused("invalid value for map key"))?;
            if map.contains_key(&parsed) {
                return Err(refused("duplicate map key"));
            }
            map.insert(parsed, self.value(&value_kind, value, depth)?);
        }
        Ok(Value::Map(map))
    }

    fn value(&self, kind: &Kind, part: Part<'_>, depth: usize) -> Result<Value, String> {
        if let Kind::Message(kind) = kind {
            return self.nested(kind, part, depth + 1).map(Value::Message);
        }
        let text = part.get();
        let read = match (kind, text.as_bytes().first()) {
            (Kind::Bool, Some(b't' | b'f')) => Some(Value::Bool(text == "true")),
            (Kind::String, Some(b'"')) => string(part).map(Value::String),
            (Kind::Bytes, Some(b'"')) => {
                string(part).and_then(|text| bytes(&text)).map(|bytes| Value::Bytes(Bytes::from(bytes)))
            }
            (Kind::Enum(kind), Some(b'"')) => {
                string(part).and_then(|name| named(kind, &name)).map(Value::EnumNumber)
            }
            (Kind::Enum(_), _) => integer(text).and_then(|n| n.try_into().ok()).map(Value::EnumNumber),
            (Kind::Bool | Kind::String | Kind::Bytes, _) => None,
            (kind, Some(b'"')) => string(part).and_then(|text| number(kind, &text)),
            (kind, _) => number(kind, text),
        };
        read.ok_or_else(|| self.refused(part, &format!("invalid value for {} type: {text}", kind_name(kind))))
    }

    fn refused(&self, part: Part<'_>, what: &str) -> String {
        let (line, column) = place(self.text, part);
        format!("temporalproto: (line {line}:{column}): {what}")
    }

    fn unexpected(&self, part: Part<'_>) -> String {
        let (line, column) = place(self.text, part);
        let text = part.get();
        // The real server reads a token at a time.
        let token = if text.starts_with(['{', '[']) { &text[..1] } else { text };
        format!("temporalproto: syntax error (line {line}:{column}): unexpected token {token}")
    }
}

/// A field of a field by their names, with dots between them.
pub(in crate::frontend::http) fn field_of(
    kind: &MessageDescriptor,
    names: &str,
) -> Option<Vec<FieldDescriptor>> {
    let mut kind = kind.clone();
    let mut fields = Vec::new();
    let mut names = names.split('.').peekable();
    while let Some(name) = names.next() {
        let found = field(&kind, name)?;
        if names.peek().is_some() {
            let is_one = found.cardinality() != Cardinality::Repeated;
            kind = found.kind().as_message().filter(|_| is_one)?.clone();
        }
        fields.push(found);
    }
    Some(fields)
}

/// A field by its name in JSON, or in the source.
fn field(kind: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    kind.get_field_by_json_name(name).or_else(|| kind.get_field_by_name(name))
}

fn takes_null(field: &FieldDescriptor) -> bool {
    field.kind().as_message().is_some_and(|kind| kind.full_name() == "google.protobuf.Value")
}

/// Sets a field. A list of nothing is none.
fn put(message: &mut DynamicMessage, field: &FieldDescriptor, value: Value) {
    let is_nothing = match &value {
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    };
    if !is_nothing {
        message.set_field(field, value);
    }
}

fn in_short(kind: &MessageDescriptor, content: Content) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    let metadata =
        content.metadata.into_iter().map(|(key, value)| (MapKey::String(key), Value::Bytes(value.into())));
    message.set_field_by_name("metadata", Value::Map(metadata.collect()));
    message.set_field_by_name("data", Value::Bytes(content.data.into()));
    message
}

/// A number in a form that JSON has, whole if the kind is.
fn number(kind: &Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(integer(text)?.try_into().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(integer(text)?.try_into().ok()?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(integer(text)?.try_into().ok()?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(integer(text)?.try_into().ok()?),
        Kind::Float => Value::F32(float(text)? as f32),
        Kind::Double => Value::F64(float(text)?),
        _ => return None,
    })
}

fn integer(text: &str) -> Option<i128> {
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    /// Beyond it not every whole number is one of these.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let number = float(text)?;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i128)
}

fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => serde_json::from_str(text).ok(),
    }
}

/// A value of an enumeration by its name, or by the part of it that follows the enumeration's own.
fn named(kind: &EnumDescriptor, name: &str) -> Option<i32> {
    let known = kind.get_value_by_name(name).or_else(|| {
        let long = format!("{}_{}", screaming(kind.name()), screaming(name));
        kind.get_value_by_name(&long)
    })?;
    Some(known.number())
}

/// `SomeName` as `SOME_NAME`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    let mut last = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (last.is_ascii_lowercase() || last.is_ascii_digit()) {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
        last = c;
    }
    out
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Message(_) => "message",
        Kind::Enum(_) => "enum",
    }
}

/// A value of a query or of a path, or why it is none.
pub(in crate::frontend::http) type Scalar = Result<Value, String>;

/// A value that stands alone, as in a query or a path, in the words of Go's library.
pub(in crate::frontend::http) fn scalar_of_text(kind: &Kind, text: &str) -> Scalar {
    let failed = |function: &str| format!("strconv.{function}: parsing {text:?}: invalid syntax");
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(failed("ParseBool")),
        },
        Kind::Bytes => match bytes(text) {
            Some(bytes) => Ok(Value::Bytes(bytes.into())),
            None => {
                let is_known = |c: u8| c.is_ascii_alphanumeric() || b"+/-_=".contains(&c);
                let at = text.bytes().position(|c| !is_known(c)).unwrap_or(text.len());
                Err(format!("illegal base64 data at input byte {at}"))
            }
        },
        Kind::Enum(kind) => {
            let number = text.parse().ok().filter(|number| kind.get_value(*number).is_some());
            let known = kind.get_value_by_name(text).map(|value| value.number()).or(number);
            known.map(Value::EnumNumber).ok_or_else(|| format!("{text:?} is not a valid value"))
        }
        Kind::Message(kind) => Err(format!("unsupported message type: {:?}", kind.full_name())),
        Kind::Float | Kind::Double => number(kind, text).ok_or_else(|| failed("ParseFloat")),
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => {
            text.parse::<u64>().ok().and_then(|_| number(kind, text)).ok_or_else(|| failed("ParseUint"))
        }
        _ => text.parse::<i64>().ok().and_then(|_| number(kind, text)).ok_or_else(|| failed("ParseInt")),
    }
}
