//! Failures in the form that Nexus had before workers sent Temporal's own.

use std::collections::{BTreeMap, HashMap};

use everlog_proto::api::{
    common::v1::{Payload, Payloads},
    failure::v1::{ApplicationFailureInfo, CanceledFailureInfo, Failure, failure::FailureInfo},
    nexus::v1::Failure as NexusFailure,
};
use serde::Serialize;
use serde_json::Value;

/// How a failure that says nothing of its kind is called.
const KIND: &str = "NexusFailure";

/// What does not fit into a failure of ours is its details.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

pub(super) fn of_nexus(failure: NexusFailure) -> Failure {
    if failure == NexusFailure::default() {
        return Failure::default();
    }
    let info = ApplicationFailureInfo {
        r#type: KIND.into(),
        details: details(&failure),
        ..ApplicationFailureInfo::default()
    };
    Failure {
        message: failure.message,
        stack_trace: failure.stack_trace,
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        cause: failure.cause.map(|cause| Box::new(of_nexus(*cause))),
        ..Failure::default()
    }
}

pub(super) fn canceled(failure: NexusFailure) -> Failure {
    let details = details(&failure);
    Failure {
        message: failure.message,
        stack_trace: failure.stack_trace,
        failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo {
            details,
            ..CanceledFailureInfo::default()
        })),
        ..Failure::default()
    }
}

fn details(failure: &NexusFailure) -> Option<Payloads> {
    if failure.metadata.is_empty() && failure.details.is_empty() {
        return None;
    }
    let details = Details {
        metadata: failure.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        details: serde_json::from_slice(&failure.details).ok(),
    };
    let data = serde_json::to_vec(&details).ok()?;
    let metadata = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Some(Payloads { payloads: vec![Payload { metadata, data, ..Payload::default() }] })
}
