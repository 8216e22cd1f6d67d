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
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stack_trace: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Box<Details<'a>>>,
}

impl<'a> Details<'a> {
    fn of(failure: &'a NexusFailure) -> Details<'a> {
        let metadata = failure.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Details {
            message: &failure.message,
            stack_trace: &failure.stack_trace,
            metadata: metadata.collect(),
            details: serde_json::from_slice(&failure.details).ok(),
            cause: failure.cause.as_deref().map(|cause| Box::new(Details::of(cause))),
        }
    }
}

pub(super) fn of_nexus(failure: NexusFailure) -> Failure {
    let info = details(&failure).map(|details| {
        FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: KIND.into(),
            details: Some(details),
            ..ApplicationFailureInfo::default()
        })
    });
    with_info(failure, info)
}

/// An operation of a workflow that was cancelled. Of why, nothing but the words is kept.
pub(super) fn canceled(failure: NexusFailure) -> Failure {
    with_info(failure, Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())))
}

fn with_info(failure: NexusFailure, failure_info: Option<FailureInfo>) -> Failure {
    Failure {
        message: failure.message,
        stack_trace: failure.stack_trace,
        failure_info,
        cause: failure.cause.map(|cause| Box::new(of_nexus(*cause))),
        ..Failure::default()
    }
}

fn details(failure: &NexusFailure) -> Option<Payloads> {
    if failure.metadata.is_empty() && failure.details.is_empty() {
        return None;
    }
    let details = Details { message: "", stack_trace: "", ..Details::of(failure) };
    let data = serde_json::to_vec(&details).ok()?;
    let metadata = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Some(Payloads { payloads: vec![Payload { metadata, data, ..Payload::default() }] })
}
