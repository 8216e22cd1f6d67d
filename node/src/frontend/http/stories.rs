//! The HTTP API, told with a node that answers as it is told.

use axum::body::Body as Bytes;
use everlog_engine::{reject::Reject, request::Request as Asked};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use prost_reflect::{Cardinality, DynamicMessage, Kind, MessageDescriptor, Value};

use super::{
    Http, Style, answer, json,
    request::message,
    routes::{Body, POOL, ROUTES, set},
};
use crate::frontend::{backend::CallError, service, testing::Fake};

/// A value that has to be escaped wherever it stands.
const HARD: &str = "a/b &c=d%é+";
const HARD_ESCAPED: &str = "a%2Fb%20%26c%3Dd%25%C3%A9%2B";

/// Every field that a query can say: those that stand alone, of the message or of messages in it.
fn said(kind: &MessageDescriptor, path: &str, into: &mut DynamicMessage, query: &mut Vec<String>) {
    for field in kind.fields() {
        let name = format!("{path}{}", field.json_name());
        let (value, text) = match field.kind() {
            _ if field.is_map() => continue,
            Kind::String => (Value::String(HARD.to_owned()), HARD_ESCAPED),
            Kind::Bool => (Value::Bool(true), "true"),
            Kind::Int32 => (Value::I32(-7), "-7"),
            Kind::Int64 => (Value::I64(1 << 40), "1099511627776"),
            Kind::Bytes => (Value::Bytes(vec![255, 254].into()), "%2F%2F4%3D"),
            Kind::Enum(kind) => {
                let Some(last) = kind.values().last() else { continue };
                query.push(format!("{name}={}", last.name()));
                let value = Value::EnumNumber(last.number());
                let is_one = field.cardinality() != Cardinality::Repeated;
                set(into, &[field], if is_one { value } else { Value::List(vec![value]) });
                continue;
            }
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Duration" => {
                let text = "1.5s";
                let quoted = format!("\"{text}\"");
                let part = json::first_value(&quoted).expect("JSON").expect("something");
                let read = json::Reader { text: &quoted, shorthand: false }.message(&inner, part);
                (Value::Message(read.expect("a duration")), text)
            }
            // Its short form is tried elsewhere.
            Kind::Message(inner) if inner.full_name() == "temporal.api.common.v1.Payload" => continue,
            Kind::Message(inner) if !json::is_well_known(inner.full_name()) && path.is_empty() => {
                if field.cardinality() != Cardinality::Repeated && field.containing_oneof().is_none() {
                    let mut nested = DynamicMessage::new(inner.clone());
                    said(&inner, &format!("{name}."), &mut nested, query);
                    into.set_field(&field, Value::Message(nested));
                }
                continue;
            }
            _ => continue,
        };
        query.push(format!("{name}={text}"));
        let value = if field.cardinality() == Cardinality::Repeated {
            query.push(format!("{name}={text}"));
            Value::List(vec![value.clone(), value])
        } else {
            value
        };
        set(into, &[field], value);
    }
}

#[test]
fn every_route_carries_what_its_message_can_say() {
    for route in ROUTES.iter() {
        let mut expected = DynamicMessage::new(route.input.clone());
        let mut query = Vec::new();
        said(&route.input, "", &mut expected, &mut query);
        let body = match route.body {
            Body::Whole => json::write(&expected, true).expect("it can be written"),
            _ => String::new(),
        };
        let values: Vec<&str> = route.variables().map(|_| HARD_ESCAPED).collect();
        for fields in route.variables() {
            set(&mut expected, fields, Value::String(HARD.to_owned()));
        }
        let made = message(route, &values, &query.join("&"), &body, true);
        let made = made.unwrap_or_else(|error| panic!("{} {}: {error}", route.verb, route.path));
        let (made, expected) = (json::write(&made, false), json::write(&expected, false));
        assert_eq!(made, expected, "{} {}", route.verb, route.path);
    }
}

struct Caller(Fake);

impl Caller {
    async fn ask(self, request: http::request::Builder, body: &str) -> (StatusCode, String, Vec<Asked>) {
        let server = self.0.serve();
        let http = Http::new(server.shared.clone());
        let request = request.body(Bytes::from(body.to_owned())).expect("a request");
        let (head, body) = http.serve(request).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let asked = std::mem::take(&mut *server.fake.asked.lock().unwrap());
        (head.status, String::from_utf8_lossy(&body).into_owned(), asked)
    }
}

const SIGNAL: &str = "/api/v1/namespaces/default/workflows/a%2Fb/signal/go";

#[tokio::test]
async fn a_signal_reaches_the_workflow_that_the_path_names() {
    let body = r#"{"input":["x"],"signalName":"not this","workflowExecution":{"workflowId":"nor this"}}"#;
    let (status, answer, asked) = Caller(Fake::default()).ask(Request::post(SIGNAL), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let [Asked::Signal(signal)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(signal.signal_name, "go");
}

#[tokio::test]
async fn a_refusal_has_its_code_and_its_details() {
    let refusing = Fake {
        answers: Box::new(|_| Err(CallError::Reject(Reject::NotFound("nobody".into())))),
        ..Fake::default()
    };
    let (status, body, _) = Caller(refusing).ask(Request::post(SIGNAL), "{}").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let detail = r#"{"@type":"type.googleapis.com/temporal.api.errordetails.v1.NotFoundFailure"}"#;
    assert_eq!(body, format!(r#"{{"code":5,"message":"nobody","details":[{detail}]}}"#));
}

#[tokio::test]
async fn a_method_that_is_not_served_is_said_to_be_unknown() {
    let shared = Fake::default().serve().shared;
    let path = "/temporal.api.workflowservice.v1.WorkflowService/Nothing";
    let asked = service::ask(shared, path, &HeaderMap::new(), Vec::new().into()).await;
    let refusal = answer::refusal(&asked.expect_err("there is no such method"), Style::PLAIN);
    assert_eq!(refusal.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn pages_of_other_sites_may_not_act() {
    for (verb, site, expected) in [
        (Method::POST, "cross-site", StatusCode::FORBIDDEN),
        (Method::POST, "same-site", StatusCode::FORBIDDEN),
        (Method::POST, "same-origin", StatusCode::OK),
        (Method::POST, "none", StatusCode::OK),
    ] {
        let request = Request::builder().method(verb).uri(SIGNAL).header("sec-fetch-site", site);
        assert_eq!(Caller(Fake::default()).ask(request, "{}").await.0, expected, "{site}");
    }
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let body = format!("{{\"identity\":\"{}\"}}", "x".repeat(4 << 20));
    let (status, body, _) = Caller(Fake::default()).ask(Request::post(SIGNAL), &body).await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::BAD_REQUEST, r#"{"code":3,"message":"http: request body too large"}"#)
    );
}

#[test]
fn every_detail_of_an_error_is_known() {
    for kind in POOL.all_messages().filter(|kind| kind.package_name() == "temporal.api.errordetails.v1") {
        let any = format!("{{\"@type\":\"type.googleapis.com/{}\"}}", kind.full_name());
        let text = format!("{{\"code\":5,\"details\":[{any}]}}");
        let status = POOL.get_message_by_name("google.rpc.Status").expect("it is there");
        let part = json::first_value(&text).expect("JSON").expect("something");
        let read = json::Reader { text: &text, shorthand: false }.message(&status, part).expect("it is read");
        assert_eq!(json::write(&read, true).as_deref(), Ok(text.as_str()));
    }
}
