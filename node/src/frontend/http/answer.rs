//! What comes back over HTTP: a message or a refusal, as JSON.

use axum::body::Body;
use everlog_proto::prost::Message as _;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prost_reflect::DynamicMessage;
use tonic::{Code, Status};

use super::{json, request::has, routes::POOL};
use crate::frontend::status::RpcStatus;

/// How JSON is written, and how that of the request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::frontend) struct Style {
    pub(in crate::frontend) reads_shorthand: bool,
    pub(in crate::frontend) writes_shorthand: bool,
    pub(in crate::frontend) is_pretty: bool,
    pub(in crate::frontend) content_type: &'static str,
}

/// The content types that choose a style, the first of which is the default.
const STYLES: [(&str, bool, bool); 4] = [
    ("application/json", true, false),
    ("application/json+pretty", true, true),
    ("application/json+no-payload-shorthand", false, false),
    ("application/json+pretty+no-payload-shorthand", false, true),
];

impl Style {
    /// What is used if nothing is asked for.
    pub(in crate::frontend) const PLAIN: Style = Style {
        reads_shorthand: true,
        writes_shorthand: true,
        is_pretty: false,
        content_type: "application/json",
    };

    /// What the headers ask for, or the parameters `pretty` and `noPayloadShorthand`.
    pub(super) fn of(headers: &HeaderMap, query: &str) -> Style {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let known = |name: &str| STYLES.iter().find(|(known, ..)| *known == name);
        let read = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
        let read = read.and_then(|name| known(name.trim())).unwrap_or(&STYLES[0]);
        let (is_pretty, is_long) = (has(query, "pretty"), has(query, "noPayloadShorthand"));
        let written = if is_pretty || is_long {
            STYLES.iter().find(|(_, short, pretty)| *pretty == is_pretty && *short != is_long)
        } else {
            text(header::ACCEPT).and_then(known)
        };
        let (content_type, writes_shorthand, is_pretty) = *written.unwrap_or(read);
        Style { reads_shorthand: read.1, writes_shorthand, is_pretty, content_type }
    }
}

/// An answer.
pub(super) fn answer(message: &DynamicMessage, style: Style) -> Response<Body> {
    match json::write(message, style.writes_shorthand) {
        Ok(json) => written(StatusCode::OK, json, style),
        Err(error) => refusal(&Status::internal(format!("the answer cannot be written: {error}")), style),
    }
}

/// A refusal, with its details.
pub(in crate::frontend) fn refusal(status: &Status, style: Style) -> Response<Body> {
    let mut rpc = RpcStatus::decode(status.details()).unwrap_or_default();
    rpc.code = status.code() as i32;
    rpc.message = status.message().to_owned();
    let kind = POOL.get_message_by_name("google.rpc.Status");
    let message = kind.and_then(|kind| DynamicMessage::decode(kind, rpc.encode_to_vec().as_slice()).ok());
    let json = message.and_then(|message| json::write(&message, style.writes_shorthand).ok());
    match json {
        Some(json) => written(http_status(status.code()), json, style),
        None => {
            let json = r#"{"code": 13, "message": "failed to marshal error message"}"#.to_owned();
            written(StatusCode::INTERNAL_SERVER_ERROR, json, Style::PLAIN)
        }
    }
}

fn written(status: StatusCode, json: String, style: Style) -> Response<Body> {
    let json = if style.is_pretty { json::indent(&json) } else { json };
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(style.content_type));
    // No browser should take it for anything else, whatever a user put into it.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What HTTP calls a code of gRPC.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // The client is gone; it has no name in the standard.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
