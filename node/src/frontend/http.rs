//! The public API over HTTP with JSON, as the API's annotations lay it out.
//!
//! The JSON becomes the bytes of a request, which then goes the way of every other ([`service::ask`]), and the
//! answer's bytes become JSON again. `routes` says which method a path means, `request` puts its message
//! together, `json` translates, `answer` writes what comes back.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use everlog_proto::{OPENAPI_V2_JSON_GZ, OPENAPI_V3_YAML_GZ, prost::Message as _};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use percent_encoding::NON_ALPHANUMERIC;
use prost_reflect::{DynamicMessage, Value};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    Shared, call, service,
    version::SERVER_VERSION,
    wire::{FORWARDED_BYTES_MAX, MESSAGE_BYTES_MAX},
};

mod answer;
mod json;
mod request;
mod routes;
#[cfg(test)]
mod stories;

pub(super) use answer::Style;
pub(super) use request::{parameter, unescape};
use routes::{Found, ROUTES, Route};

/// How long a request's body may take to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(60);
/// What a caller over HTTP is that does not say so.
const CLIENT_NAME: &str = "temporal-server-http";
/// Headers with this prefix are headers of the call.
const CALL_HEADER_PREFIX: &str = "grpc-metadata-";
/// Headers that are headers of the call without a prefix.
const CALL_HEADERS: [&str; 2] = ["client-name", "client-version"];

/// The HTTP API of one node. A cheap handle.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

impl Http {
    pub(super) fn new(shared: Arc<Shared>) -> Http {
        Http { shared }
    }

    /// Answers a request of the HTTP port.
    pub async fn serve(self, request: Request<Body>) -> Response<Body> {
        let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
        if request.method() != Method::GET && matches!(site, Some(b"cross-site" | b"same-site")) {
            // A page of another site must not act for whoever has it open. No other program says this.
            let refusal = Status::permission_denied("requests from pages of other sites are refused");
            return answer::refusal(&refusal, Style::PLAIN);
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/swagger.json" | "/api/v1/swagger.json") => {
                document(OPENAPI_V2_JSON_GZ, "application/vnd.oai.openapi+json;version=2.0")
            }
            (&Method::GET, "/openapi.yaml" | "/api/v1/openapi.yaml") => {
                document(OPENAPI_V3_YAML_GZ, "application/vnd.oai.openapi;version=3.0")
            }
            _ => {
                let style = Style::of(request.headers(), request.uri().query().unwrap_or_default());
                let mut headers = call_headers(request.headers());
                headers.entry("client-name").or_insert(HeaderValue::from_static(CLIENT_NAME));
                headers.entry("client-version").or_insert(HeaderValue::from_static(SERVER_VERSION));
                self.call(request, headers, style).await
            }
        }
    }

    /// Calls the method that a request means, with the headers of a gRPC call.
    pub(super) async fn call(
        self,
        request: Request<Body>,
        headers: HeaderMap,
        style: Style,
    ) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let (route, values) = match ROUTES.find(request.method(), &path) {
            Found::Route(route, values) => (route, values),
            Found::OtherVerb => return answer::refusal(&Status::unimplemented("Method Not Allowed"), style),
            Found::Nothing => return answer::refusal(&Status::not_found("Not Found"), style),
        };
        match self.asked(request, route, &values, &headers, style).await {
            Ok(message) => answer::answer(&message, style),
            Err(status) => answer::refusal(&status, style),
        }
    }

    /// All events of a run in one array, by the path of its history.
    pub(super) async fn history(self, path: &str, headers: HeaderMap, style: Style) -> Response<Body> {
        let (stream, parts) = mpsc::channel(1);
        let path = path.to_owned();
        tokio::spawn(async move {
            let mut before = "[";
            let mut next = String::new();
            loop {
                let (json, token) = match self.page(&format!("{path}{next}"), &headers, style).await {
                    Ok(page) => page,
                    Err(status) => {
                        let error = serde_json::json!({ "error": status.to_string() });
                        (vec![error.to_string()], String::new())
                    }
                };
                for event in json {
                    if stream.send(Ok::<_, Infallible>(format!("{before}{event}\n"))).await.is_err() {
                        return;
                    }
                    before = ",";
                }
                if token.is_empty() {
                    break;
                }
                let token: String = percent_encoding::utf8_percent_encode(&token, NON_ALPHANUMERIC).collect();
                next = format!("&nextPageToken={token}");
            }
            let end = if before == "[" { "[]" } else { "]" };
            let _ = stream.send(Ok(end.to_owned())).await;
        });
        let mut response = Response::new(Body::from_stream(ReceiverStream::new(parts)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(style.content_type));
        response
    }

    /// The events of one page, and the token of the next.
    async fn page(
        &self,
        path: &str,
        headers: &HeaderMap,
        style: Style,
    ) -> Result<(Vec<String>, String), Status> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().map_err(|_| Status::invalid_argument("no such path"))?;
        let path = request.uri().path().to_owned();
        let Found::Route(route, values) = ROUTES.find(&Method::GET, &path) else {
            return Err(Status::not_found("Not Found"));
        };
        let page = self.clone().asked(request, route, &values, headers, style).await?;
        let token = page.get_field_by_name("next_page_token");
        let token = token.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
        let history = page.get_field_by_name("history");
        let events = history.as_deref().and_then(Value::as_message);
        let events = events.and_then(|history| history.get_field_by_name("events"));
        let events = events.as_deref().and_then(Value::as_list).unwrap_or_default();
        let events = events.iter().filter_map(Value::as_message);
        let events = events.map(|event| json::write(event, style.writes_shorthand));
        let events = events.collect::<Result<_, _>>().map_err(Status::internal)?;
        Ok((events, STANDARD.encode(token)))
    }

    async fn asked(
        self,
        request: Request<Body>,
        route: &Route,
        values: &[&str],
        headers: &HeaderMap,
        style: Style,
    ) -> Result<DynamicMessage, Status> {
        if call::timeout(headers).is_err() {
            let text = headers.get("grpc-timeout").map(HeaderValue::as_bytes).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            return Err(Status::invalid_argument(format!("invalid grpc-timeout: {text}")));
        }
        let (head, body) = request.into_parts();
        let body = match route.body {
            routes::Body::None => Bytes::new(),
            _ => read(body).await?,
        };
        let text = std::str::from_utf8(&body)
            .map_err(|_| Status::invalid_argument("temporalproto: invalid UTF-8 in the body"))?;
        let query = head.uri.query().unwrap_or_default();
        let message = request::message(route, values, query, text, style.reads_shorthand)?;
        let message = message.encode_to_vec();
        if message.len() > FORWARDED_BYTES_MAX {
            // Payloads in short are shorter.
            let size = message.len();
            let text = format!("grpc: received message larger than max ({size} vs. {FORWARDED_BYTES_MAX})");
            return Err(Status::resource_exhausted(text));
        }
        let bytes = service::ask(self.shared, &route.path, headers, message.into()).await?;
        DynamicMessage::decode(route.output.clone(), bytes)
            .map_err(|error| Status::internal(format!("the answer cannot be read: {error}")))
    }
}

/// The whole body of a request.
async fn read(body: Body) -> Result<Bytes, Status> {
    let collected = timeout(BODY_WAIT_MAX, Limited::new(body, MESSAGE_BYTES_MAX).collect()).await;
    let collected = collected.map_err(|_| Status::deadline_exceeded("the body did not arrive in time"))?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Status::invalid_argument("http: request body too large"))
        }
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    }
}

/// The headers of the call that a request stands for.
fn call_headers(headers: &HeaderMap) -> HeaderMap {
    let mut translated = HeaderMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let inner = name.strip_prefix(CALL_HEADER_PREFIX);
        let kept = inner.or_else(|| CALL_HEADERS.contains(&name).then_some(name));
        // The deadline has its own name, of the same prefix as others have for other purposes.
        let kept = kept.or_else(|| (name == "grpc-timeout").then_some(name));
        if let Some(name) = kept.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
            translated.insert(name, value.clone());
        }
    }
    translated
}

/// A document that is kept compressed.
fn document(packed: &[u8], content_type: &'static str) -> Response<Body> {
    let mut text = Vec::new();
    let read = std::io::Read::read_to_end(&mut GzDecoder::new(packed), &mut text);
    let mut response = Response::new(Body::from(text));
    if read.is_err() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
