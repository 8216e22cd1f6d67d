//! Values on the wire.
//!
//! A value travels as JSON with the metadata `encoding: json/plain`, which is what the official SDKs
//! of every language write by default. So a workflow in Rust can call an activity in Python, and the
//! web interface can show both. Nothing (`()`, or `None`) is `binary/null`, as theirs is.

pub use everlog_proto::api::common::v1::{Payload, Payloads};
use serde::Serialize;
use serde::de::DeserializeOwned;

const ENCODING: &str = "encoding";
const JSON: &[u8] = b"json/plain";
const JSON_PROTOBUF: &[u8] = b"json/protobuf";
const NULL: &[u8] = b"binary/null";

/// A value could not be turned into a payload, or a payload into the expected type.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CodecError {
    /// The value refused to be serialised.
    #[error("cannot encode a value of type {type_name}: {reason}")]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said.
        reason: String,
    },
    /// The payload does not hold a value of the expected type.
    #[error("cannot decode a value of type {type_name}: {reason}")]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said.
        reason: String,
    },
    /// The payload is in an encoding that this crate does not read.
    #[error("cannot read a payload with the encoding {0:?}")]
    Encoding(String),
}

/// Encodes one value.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
    let type_name = std::any::type_name::<T>();
    let data = serde_json::to_vec(value)
        .map_err(|error| CodecError::Encode { type_name, reason: error.to_string() })?;
    let (encoding, data) = if data == b"null" { (NULL, Vec::new()) } else { (JSON, data) };
    Ok(Payload { metadata: [(ENCODING.to_owned(), encoding.to_vec())].into(), data, ..Default::default() })
}

/// Decodes one value.
pub fn decode<T: DeserializeOwned>(payload: &Payload) -> Result<T, CodecError> {
    let data: &[u8] = match payload.metadata.get(ENCODING).map(Vec::as_slice) {
        Some(JSON | JSON_PROTOBUF) => &payload.data,
        Some(NULL) => b"null",
        other => {
            let encoding = String::from_utf8_lossy(other.unwrap_or_default()).into_owned();
            return Err(CodecError::Encoding(encoding));
        }
    };
    serde_json::from_slice(data).map_err(|error| CodecError::Decode {
        type_name: std::any::type_name::<T>(),
        reason: error.to_string(),
    })
}

/// Encodes one value as a list of one.
pub fn encode_one<T: Serialize + ?Sized>(value: &T) -> Result<Payloads, CodecError> {
    Ok(Payloads { payloads: vec![encode(value)?] })
}

/// Decodes the value at `index` of a list. A value that is absent reads as `null`, so that an
/// optional argument can be added to a signature that is already in use.
pub fn decode_at<T: DeserializeOwned>(payloads: Option<&Payloads>, index: usize) -> Result<T, CodecError> {
    match payloads.and_then(|list| list.payloads.get(index)) {
        Some(payload) => decode(payload),
        None => serde_json::from_value(serde_json::Value::Null).map_err(|_| CodecError::Decode {
            type_name: std::any::type_name::<T>(),
            reason: format!("there is no value at position {index}"),
        }),
    }
}

/// Decodes the first value of a list.
pub fn decode_one<T: DeserializeOwned>(payloads: Option<&Payloads>) -> Result<T, CodecError> {
    decode_at(payloads, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went() {
        let payload = encode(&vec![1, 2, 3]).unwrap();
        assert_eq!(payload.metadata[ENCODING], JSON);
        assert_eq!(decode::<Vec<u8>>(&payload).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn nothing_is_written_as_the_official_sdks_write_it() {
        let payload = encode(&()).unwrap();
        assert_eq!(payload.metadata[ENCODING], NULL);
        assert!(payload.data.is_empty());
        decode::<()>(&payload).unwrap();
        assert_eq!(decode::<Option<u8>>(&payload).unwrap(), None);
    }

    #[test]
    fn an_absent_argument_is_null() {
        assert_eq!(decode_at::<Option<u8>>(None, 0).unwrap(), None);
        let error = decode_at::<u8>(None, 0).unwrap_err();
        assert!(error.to_string().contains("no value at position 0"), "{error}");
    }

    #[test]
    fn an_unknown_encoding_is_named() {
        let payload = Payload {
            metadata: [(ENCODING.into(), b"binary/encrypted".to_vec())].into(),
            ..Default::default()
        };
        assert!(decode::<u8>(&payload).unwrap_err().to_string().contains("binary/encrypted"));
    }
}
