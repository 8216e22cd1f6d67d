//! What a worker says to an update.

use prost::Name;
use temporalio_protos::temporal::api::{
    failure::v1::Failure,
    protocol::v1::Message,
    update::v1::{Acceptance, Meta, Outcome, Rejection, Response, outcome::Value},
};

use crate::api::payloads;

/// An event that the worker had seen when it answered. Which one, nobody looks at.
const SEEN: i64 = 1;

pub fn acceptance(id: &str) -> Message {
    let acceptance = Acceptance {
        accepted_request_message_id: format!("{id}/request"),
        accepted_request_sequencing_event_id: SEEN,
        ..Default::default()
    };
    message(id, "accept", &acceptance)
}

pub fn response(id: &str, answer: u64) -> Message {
    let response = Response {
        meta: Some(Meta { update_id: id.into(), identity: "worker".into() }),
        outcome: Some(Outcome { value: Some(Value::Success(payloads(&answer.to_string()))) }),
    };
    message(id, "complete", &response)
}

pub fn rejection(id: &str, why: &str) -> Message {
    let rejection = Rejection {
        rejected_request_message_id: format!("{id}/request"),
        rejected_request_sequencing_event_id: SEEN,
        failure: Some(Failure { message: why.into(), ..Default::default() }),
        ..Default::default()
    };
    message(id, "reject", &rejection)
}

fn message<M: prost::Message + Name>(update_id: &str, what: &str, body: &M) -> Message {
    Message {
        id: format!("{update_id}/{what}"),
        protocol_instance_id: update_id.into(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/{}", M::full_name()),
            value: body.encode_to_vec(),
        }),
        ..Default::default()
    }
}
