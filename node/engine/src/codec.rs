//! How values become bytes: `[kind][version]`, then bincode over frozen structs.
//!
//! bincode is not self-describing, so a struct that was ever stored never changes: a new shape is a new
//! version, converted on read. API messages are stored as their own protobuf bytes.

use std::{fmt, ops::Deref};

use bincode::Options;
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// Larger than any record that the limits let through; what claims to be larger is damaged.
const RECORD_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("record is empty or cut short")]
    Short,
    #[error("record has kind {found}, expected {expected}")]
    Kind { expected: u8, found: u8 },
    #[error("record of kind {kind} has unknown version {version}")]
    Version { kind: u8, version: u8 },
    #[error("record cannot be decoded: {0}")]
    Decode(#[from] bincode::Error),
}

fn options() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes().with_limit(RECORD_BYTES_MAX)
}

/// Encodes `value` behind its kind and version.
pub fn encode<T: Serialize>(kind: u8, version: u8, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend([kind, version]);
    options().serialize_into(&mut bytes, value).expect("plain data always encodes into memory");
    bytes
}

/// Splits a record into its version and body, after checking its kind.
pub fn open(kind: u8, bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    match bytes {
        [found, version, body @ ..] if *found == kind => Ok((*version, body)),
        [found, _, ..] => Err(CodecError::Kind { expected: kind, found: *found }),
        _ => Err(CodecError::Short),
    }
}

pub fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    Ok(options().deserialize(body)?)
}

/// Decodes a record that has had only one version so far.
pub fn decode<T: DeserializeOwned>(kind: u8, version: u8, bytes: &[u8]) -> Result<T, CodecError> {
    match open(kind, bytes)? {
        (found, body) if found == version => decode_body(body),
        (found, _) => Err(CodecError::Version { kind, version: found }),
    }
}

/// An API message inside a bincode record: stored as its protobuf bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proto<M>(pub M);

impl<M> Deref for Proto<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M: Message> Serialize for Proto<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0.encode_to_vec())
    }
}

impl<'de, M: Message + Default> Deserialize<'de> for Proto<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<M>(std::marker::PhantomData<M>);
        impl<M: Message + Default> serde::de::Visitor<'_> for Visitor<M> {
            type Value = Proto<M>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("protobuf bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Proto<M>, E> {
                M::decode(bytes).map(Proto).map_err(E::custom)
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Proto<M>, E> {
                self.visit_bytes(&bytes)
            }
        }
        deserializer.deserialize_byte_buf(Visitor(std::marker::PhantomData))
    }
}
