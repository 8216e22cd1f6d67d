//! One gRPC request and its answer as bytes.
//!
//! The API's calls are unary: one message in, one out. Between the two the frontend needs the message as
//! it came, because a call may have to go to another node, and wants to hand out answers that it put
//! together from stored bytes. So messages are not decoded here. The texts of the refusals are those of
//! the Go library that the real server runs on; clients match some of them.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use tonic::{Status, body::Body};

use super::gzip;

/// The largest message that is accepted, before and after decompression.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The largest message that another node may forward: what was accepted there, with what was added.
pub const FORWARDED_BYTES_MAX: usize = 8 << 20;
/// Smaller answers are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// A message is preceded by a byte that says whether it is compressed, and four with its length.
const PREFIX_BYTES: usize = 5;

const GRPC_CONTENT_TYPE: &str = "application/grpc";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How the messages of one call are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// What the caller used, and will be answered in.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Status> {
        match headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(Encoding::Identity),
            Some(b"gzip") => Ok(Encoding::Gzip),
            Some(other) => Err(Status::unimplemented(format!(
                "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
                String::from_utf8_lossy(other)
            ))),
        }
    }
}

/// Whether this is a gRPC request at all.
pub fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(GRPC_CONTENT_TYPE.as_bytes()))
}

/// The one message of a request.
pub async fn read(body: Body, encoding: Encoding, bytes_max: usize) -> Result<Bytes, Status> {
    let mut body = body;
    let mut received = BytesMut::new();
    let mut length = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|status| Status::cancelled(status.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        received.extend_from_slice(&data);
        if length.is_none() && received.len() >= PREFIX_BYTES {
            length = Some(announced_length(&received, bytes_max)?);
        }
        if length.is_some_and(|length| received.len() > PREFIX_BYTES + length) {
            return Err(Status::internal("grpc: a unary call carries one message"));
        }
    }
    match length {
        Some(length) if received.len() == PREFIX_BYTES + length => {}
        _ => return Err(Status::internal("unexpected EOF")),
    }
    let mut message = received.freeze();
    let prefix = message.split_to(PREFIX_BYTES);
    match (prefix[0], encoding) {
        (0, _) => Ok(message),
        (1, Encoding::Gzip) => decompress(&message, bytes_max),
        (1, Encoding::Identity) => {
            Err(Status::internal("grpc: compressed flag set with identity or empty encoding"))
        }
        (flag, _) => Err(Status::internal(format!("grpc: received unexpected payload format {flag}"))),
    }
}

fn announced_length(received: &[u8], bytes_max: usize) -> Result<usize, Status> {
    let length = u32::from_be_bytes([received[1], received[2], received[3], received[4]]) as usize;
    if length > bytes_max {
        let text = format!("grpc: received message larger than max ({length} vs. {bytes_max})");
        return Err(Status::resource_exhausted(text));
    }
    Ok(length)
}

fn decompress(message: &[u8], bytes_max: usize) -> Result<Bytes, Status> {
    let decompressed = gzip::decompress(message, bytes_max).map_err(|error| {
        Status::internal(format!("grpc: failed to decompress the received message: {error}"))
    })?;
    if decompressed.len() > bytes_max {
        let text = format!("grpc: received message after decompression larger than max {bytes_max}");
        return Err(Status::resource_exhausted(text));
    }
    Ok(decompressed.into())
}

/// The answer to a call that went well.
pub fn answer(message: &Bytes, encoding: Encoding) -> Response<Body> {
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.extend([0; PREFIX_BYTES]);
    let compress = encoding == Encoding::Gzip && message.len() >= COMPRESSED_BYTES_MIN;
    if compress {
        gzip::compress(message, &mut framed);
    } else {
        framed.extend_from_slice(message);
    }
    let length = framed.len() - PREFIX_BYTES;
    let Ok(announced) = u32::try_from(length) else {
        return refusal(&Status::resource_exhausted(format!("grpc: message too large: {length} bytes")));
    };
    framed[0] = u8::from(compress);
    framed[1..PREFIX_BYTES].copy_from_slice(&announced.to_be_bytes());

    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let mut response = Response::new(Body::new(Full::new(Bytes::from(framed)).with_trailers(trailers)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC_CONTENT_TYPE));
    headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if encoding == Encoding::Gzip {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The answer to a call that is refused.
pub fn refusal(status: &Status) -> Response<Body> {
    status.clone().into_http()
}

/// What a message that is no message is answered with.
pub fn malformed(error: &prost::DecodeError) -> Status {
    let reason = error.to_string();
    let reason = if reason.contains("UTF-8") {
        "string field contains invalid UTF-8"
    } else {
        "proto:\u{a0}cannot parse invalid wire-format data"
    };
    Status::internal(format!("grpc: error unmarshalling request: {reason}"))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Body {
        let mut bytes = vec![flag];
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
        Body::new(Full::new(Bytes::from(bytes)))
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        gzip::compress(message, &mut frame);
        frame
    }

    #[tokio::test]
    async fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
        for (length, allowed) in [(9, true), (10, true), (11, false)] {
            let read = read(framed(0, &vec![7; length]), Encoding::Identity, 10).await;
            assert_eq!(read.is_ok(), allowed, "{length}");
            if let Err(status) = read {
                assert_eq!(status.code(), Code::ResourceExhausted);
                assert_eq!(status.message(), "grpc: received message larger than max (11 vs. 10)");
            }
        }
    }

    #[tokio::test]
    async fn a_small_message_may_not_blow_up() {
        let bomb = gzip(&vec![0; 100_000]);
        assert!(bomb.len() < 1000);
        let read_bomb = read(framed(1, &bomb), Encoding::Gzip, 1000).await.unwrap_err();
        assert_eq!(read_bomb.code(), Code::ResourceExhausted);
        let read = read(framed(1, &gzip(&vec![5; 1000])), Encoding::Gzip, 1000).await.unwrap();
        assert_eq!(read, vec![5; 1000]);
    }

    #[tokio::test]
    async fn a_damaged_request_is_refused() {
        let refused = [
            (Body::empty(), Encoding::Identity),
            (Body::new(Full::new(Bytes::from_static(&[0, 0, 0]))), Encoding::Identity),
            (Body::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 9, 1]))), Encoding::Identity),
            (Body::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 1, 1, 1]))), Encoding::Identity),
            (framed(1, &gzip(b"x")), Encoding::Identity),
            (framed(1, b"no gzip"), Encoding::Gzip),
            (framed(7, b"x"), Encoding::Identity),
        ];
        for (body, encoding) in refused {
            assert_eq!(read(body, encoding, 100).await.unwrap_err().code(), Code::Internal);
        }
    }

    #[tokio::test]
    async fn an_answer_is_compressed_if_the_request_was() {
        for (length, encoding, flag) in [
            (5000, Encoding::Identity, 0),
            (5000, Encoding::Gzip, 1),
            (COMPRESSED_BYTES_MIN - 1, Encoding::Gzip, 0),
        ] {
            let message = Bytes::from(vec![3; length]);
            let response = answer(&message, encoding);
            assert_eq!(response.headers().contains_key(GRPC_ENCODING), encoding == Encoding::Gzip);
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()[GRPC_STATUS], "0");
            let bytes = collected.to_bytes();
            assert_eq!(bytes[0], flag);
            let again = read(Body::new(Full::new(bytes)), encoding, length).await.unwrap();
            assert_eq!(again, message);
        }
    }

    #[test]
    fn an_unknown_compression_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_ENCODING, HeaderValue::from_static("snappy"));
        let status = Encoding::of(&headers).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(status.message(), "grpc: Decompressor is not installed for grpc-encoding \"snappy\"");
    }
}
