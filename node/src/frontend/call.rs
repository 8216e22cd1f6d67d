//! One call of the public API on its way: what came over the wire, and what was found out about it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everlog_engine::{limits::Limits, token::TaskToken};
use everlog_proto::prost::Message;
use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataMap};

use super::{Shared, backend::Namespace, version::Client};

/// The encoded message of an answer, or a refusal.
pub type Answer = Result<Bytes, Status>;

/// A call as it came, before anything was looked up.
pub struct Call {
    pub shared: Arc<Shared>,
    /// The method's name without its service, as figures and states know it.
    pub operation: &'static str,
    /// The method's full path, for another node.
    pub path: &'static str,
    /// The request's message as it came. A handler that adds something replaces it.
    pub message: Bytes,
    /// What another node has to know besides the message.
    pub metadata: MetadataMap,
    pub client: Client,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Instant>,
    /// Another node sent it here. It is answered here or nowhere.
    pub forwarded: bool,
}

/// A call that was admitted to a namespace.
pub struct Scope {
    pub call: Call,
    pub namespace: Arc<Namespace>,
    pub limits: Arc<Limits>,
    /// What the request's task token says, if the request has one.
    pub token: Option<TaskToken>,
}

/// Headers that matter to whoever answers, so they travel with a forwarded call.
const FORWARDED_HEADERS: [&str; 4] =
    ["client-name", "client-version", "supported-server-versions", "supported-features"];

impl Call {
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The caller's deadline, or the longest that a call without one is worked on.
    pub fn deadline_or(&self, default: Duration) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + default)
    }

    /// Puts what this node added to a request into the message that another node would get.
    pub fn rewrite(&mut self, request: &impl Message) {
        self.message = request.encode_to_vec().into();
    }
}

impl Scope {
    pub fn namespace_id(&self) -> &str {
        &self.namespace.id
    }
}

/// An answer from its message.
pub fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

pub(super) fn client(headers: &HeaderMap) -> Client {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Client {
        name: text("client-name"),
        version: text("client-version"),
        supported_servers: text("supported-server-versions"),
    }
}

pub(super) fn forwarded_metadata(headers: &HeaderMap) -> MetadataMap {
    let mut kept = HeaderMap::new();
    for name in FORWARDED_HEADERS {
        if let Some(value) = headers.get(name) {
            kept.insert(name, value.clone());
        }
    }
    MetadataMap::from_headers(kept)
}

/// The time that the caller allows, by the header `grpc-timeout`: digits and a unit.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    const DIGITS_MAX: usize = 8;
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let malformed = || Status::internal("malformed grpc-timeout");
    let text = value.to_str().map_err(|_| malformed())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(malformed)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let amount: u64 = digits.parse().map_err(|_| malformed())?;
    Ok(Some(match unit {
        "H" => Duration::from_secs(amount * 60 * 60),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return Err(malformed()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Option<Duration>> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        timeout(&headers).ok()
    }

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        assert_eq!(parse("2S"), Some(Some(Duration::from_secs(2))));
        assert_eq!(parse("250m"), Some(Some(Duration::from_millis(250))));
        assert_eq!(parse("99999999H"), Some(Some(Duration::from_secs(99_999_999 * 3600))));
        for bad in ["", "S", "2", "2x", "-2S", "123456789S", "2é"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
    }
}
