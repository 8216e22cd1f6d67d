//! Links to workflows' events, and to operations, as URLs, which is how Nexus carries them.

use everlog_proto::api::{
    common::v1::{
        Link,
        link::{self, workflow_event::Reference},
    },
    enums::v1::EventType,
    nexus::v1::Link as NexusLink,
};

use super::callback::OperationRef;

/// The type of links that lead to an event of a workflow.
pub const WORKFLOW_EVENT: &str = "temporal.api.common.v1.Link.WorkflowEvent";

/// The type of links that lead to an operation that runs on its own.
const NEXUS_OPERATION: &str = "temporal.api.common.v1.Link.NexusOperation";

/// What tells a handler who calls: the event that scheduled the operation, or the operation itself. The
/// namespace is meant by its name.
pub fn to_caller(namespace: &str, operation: &OperationRef) -> NexusLink {
    let (id, run_id) = (&operation.run.workflow.workflow_id, &operation.run.run_id);
    if operation.standalone().is_some() {
        let (namespace, id, run_id) = (escaped(namespace), escaped(id), escaped(run_id));
        let url = format!("temporal:///namespaces/{namespace}/nexus-operations/{id}/{run_id}/details");
        return NexusLink { url, r#type: NEXUS_OPERATION.into() };
    }
    let kind = EventType::NexusOperationScheduled;
    let url = event_url(namespace, id, run_id, operation.scheduled_event_id, kind);
    NexusLink { url, r#type: WORKFLOW_EVENT.into() }
}

/// The URL of an event.
pub fn event_url(namespace: &str, workflow_id: &str, run_id: &str, event_id: i64, kind: EventType) -> String {
    let (namespace, workflow_id, run_id) = (escaped(namespace), escaped(workflow_id), escaped(run_id));
    format!(
        "temporal:///namespaces/{namespace}/workflows/{workflow_id}/{run_id}/history?eventID={event_id}\
         &eventType={}&referenceType=EventReference",
        camel(kind)
    )
}

/// A link of Nexus's as one of ours. Links that lead anywhere else are nothing to us.
pub fn from_nexus(link: &NexusLink) -> Option<Link> {
    if link.r#type != WORKFLOW_EVENT {
        return None;
    }
    let rest = link.url.strip_prefix("temporal://")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "namespaces", namespace, "workflows", workflow_id, run_id, "history"] = parts[..] else {
        return None;
    };
    let value = |name: &str| {
        let of = |pair: &str| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, v)| v.to_owned());
        query
            .split('&')
            .find_map(of)
            .and_then(|value| unescaped(&value.replace('+', " ")))
            .unwrap_or_default()
    };
    let event_type = event_type(&value("eventType"))? as i32;
    let reference = match value("referenceType").as_str() {
        "EventReference" => {
            let id = value("eventID");
            let event_id = if id.is_empty() { 0 } else { id.parse().ok()? };
            Reference::EventRef(link::workflow_event::EventReference { event_id, event_type })
        }
        "RequestIdReference" => Reference::RequestIdRef(link::workflow_event::RequestIdReference {
            request_id: value("requestID"),
            event_type,
        }),
        _ => return None,
    };
    Some(Link {
        variant: Some(link::Variant::WorkflowEvent(link::WorkflowEvent {
            namespace: unescaped(namespace)?,
            workflow_id: unescaped(workflow_id)?,
            run_id: unescaped(run_id)?,
            reference: Some(reference),
        })),
    })
}

/// `EVENT_TYPE_WORKFLOW_EXECUTION_STARTED` as URLs have it: `WorkflowExecutionStarted`.
fn camel(kind: EventType) -> String {
    let name = kind.as_str_name().trim_start_matches("EVENT_TYPE_").to_ascii_lowercase();
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('_').filter(|word| !word.is_empty()).map(word).collect()
}

/// In either spelling; none if it is no type at all.
fn event_type(text: &str) -> Option<EventType> {
    if text.is_empty() {
        return Some(EventType::Unspecified);
    }
    let mut name = String::from("EVENT_TYPE");
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    EventType::from_str_name(&name).or_else(|| EventType::from_str_name(text))
}

/// As a segment of a path, the way Go escapes one.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => escaped.push(byte as char),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b'=' | b':' | b'@' => escaped.push(byte as char),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Option<Link> {
        from_nexus(&NexusLink { url: url.into(), r#type: WORKFLOW_EVENT.into() })
    }

    #[test]
    fn what_is_written_is_read() {
        let url = event_url("n", "an id/é", "r", 5, EventType::NexusOperationScheduled);
        assert_eq!(
            url,
            "temporal:///namespaces/n/workflows/an%20id%2F%C3%A9/r/history?eventID=5\
             &eventType=NexusOperationScheduled&referenceType=EventReference"
        );
        let Some(link::Variant::WorkflowEvent(event)) = read(&url).unwrap().variant else { panic!() };
        assert_eq!(event.workflow_id, "an id/é");
        let expected = link::workflow_event::EventReference {
            event_id: 5,
            event_type: EventType::NexusOperationScheduled as i32,
        };
        assert_eq!(event.reference, Some(Reference::EventRef(expected)));
    }

    #[test]
    fn other_links_are_nothing_to_us() {
        for url in [
            "http://somewhere/else",
            "temporal:///namespaces/n/workflows/w/history?referenceType=EventReference",
            "temporal:///namespaces/n/workflows/w/r/history",
            "temporal:///namespaces/n/workflows/w/r/history?referenceType=EventReference&eventType=Odd",
            "temporal:///namespaces/n/workflows/%zz/r/history?referenceType=EventReference",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
        let other = NexusLink { url: event_url("n", "w", "r", 1, EventType::TimerFired), r#type: "x".into() };
        assert_eq!(from_nexus(&other), None);
    }
}
