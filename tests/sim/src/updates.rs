//! Updates: what workers make of them, which their ids decide, so that every worker makes the same of them.

use std::collections::BTreeSet;

use everlog_proto::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes as Attrs},
    enums::v1::CommandType,
    history::v1::{HistoryEvent, history_event::Attributes},
    protocol::v1::Message,
    update::v1::{Acceptance, Input, Meta, Outcome, Rejection, Request, Response, outcome},
};
use prost::Name;

use crate::machine::{failure, payloads};

/// What a worker does with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reject,
    AcceptNow,
    /// Accepted at once, completed with a later task.
    AcceptAndAnswerLater,
}

pub fn verdict(update_id: &str) -> Verdict {
    match update_id.strip_prefix("u-").and_then(|number| number.parse::<usize>().ok()).unwrap_or_default() % 4
    {
        0 => Verdict::Reject,
        1 => Verdict::AcceptAndAnswerLater,
        _ => Verdict::AcceptNow,
    }
}

/// The result of an update that was accepted.
pub fn answer(update_id: &str) -> String {
    format!("answer to {update_id}")
}

pub fn update_body(update_id: &str) -> Request {
    Request {
        meta: Some(Meta { update_id: update_id.to_owned(), identity: "client".into() }),
        input: Some(Input { name: "change".into(), args: Some(payloads(update_id)), ..Default::default() }),
        ..Default::default()
    }
}

/// What a worker says about updates with its answer to a task.
#[derive(Debug, Default)]
pub struct Said {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
}

/// The answers to the updates that a task brings, and to those that the history has as accepted.
pub fn said(brought: &[Message], events: &[HistoryEvent], closes: bool) -> Said {
    let mut said = Said::default();
    let brought = brought.iter().map(|message| message.protocol_instance_id.clone());
    for id in &brought.chain(admitted(events)).collect::<BTreeSet<String>>() {
        match verdict(id) {
            Verdict::Reject => {
                let rejection = Rejection { failure: Some(failure("unwanted")), ..Default::default() };
                said.messages.push(packed(id, "reject", &rejection));
            }
            // A run that ends has no ear for them.
            _ if closes => {}
            verdict => {
                said.say(id, "accept", &acceptance(id));
                if verdict == Verdict::AcceptNow {
                    said.say(id, "respond", &response(id));
                }
            }
        }
    }
    for id in open(events).iter().filter(|_| !closes) {
        said.say(id, "respond", &response(id));
    }
    said
}

impl Said {
    fn say<M: prost::Message + Name>(&mut self, id: &str, what: &str, body: &M) {
        let message = packed(id, what, body);
        let attributes = ProtocolMessageCommandAttributes { message_id: message.id.clone() };
        self.commands.push(Command {
            command_type: CommandType::ProtocolMessage as i32,
            attributes: Some(Attrs::ProtocolMessageCommandAttributes(attributes)),
            ..Default::default()
        });
        self.messages.push(message);
    }
}

/// Updates that a reset has applied again: they come as events, and no message brings them.
fn admitted(events: &[HistoryEvent]) -> Vec<String> {
    let mut admitted = Vec::new();
    for event in events {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a)) => {
                let meta = a.request.as_ref().and_then(|request| request.meta.as_ref());
                admitted.extend(meta.map(|meta| meta.update_id.clone()));
            }
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                admitted.retain(|id| *id != a.protocol_instance_id);
            }
            _ => {}
        }
    }
    admitted
}

/// Updates that are accepted and not completed.
fn open(events: &[HistoryEvent]) -> Vec<String> {
    let mut open = Vec::new();
    for event in events {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                open.push(a.protocol_instance_id.clone());
            }
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                open.retain(|id| a.meta.as_ref().is_none_or(|meta| meta.update_id != *id));
            }
            _ => {}
        }
    }
    open
}

fn acceptance(id: &str) -> Acceptance {
    Acceptance {
        accepted_request_message_id: format!("{id}/request"),
        accepted_request_sequencing_event_id: 1,
        accepted_request: None,
    }
}

fn response(id: &str) -> Response {
    Response {
        meta: Some(Meta { update_id: id.to_owned(), identity: "client".into() }),
        outcome: Some(Outcome { value: Some(outcome::Value::Success(payloads(&answer(id)))) }),
    }
}

fn packed<M: prost::Message + Name>(id: &str, what: &str, body: &M) -> Message {
    Message {
        id: format!("{id}/{what}"),
        protocol_instance_id: id.to_owned(),
        body: Some(everlog_proto::prost_types::Any {
            type_url: format!("type.googleapis.com/{}", M::full_name()),
            value: body.encode_to_vec(),
        }),
        ..Default::default()
    }
}
