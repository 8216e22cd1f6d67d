//! Verbs of updates, and what workers say about them.
//!
//! ```text
//! send-update order change stage=accepted
//! take        order
//! finish      order accept=change respond=change,done
//! ```

use everlog_proto::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes},
    common::v1::WorkflowExecution,
    enums::v1::{CommandType, UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowIdConflictPolicy},
    protocol::v1::Message,
    update::v1::{Acceptance, Input, Meta, Outcome, Rejection, Request as UpdateRequest, Response, outcome},
    workflowservice::v1::{
        RespondWorkflowTaskCompletedRequest, UpdateWorkflowExecutionRequest,
        respond_workflow_task_completed_request::Capabilities,
    },
};
use prost::Name;

use super::{
    Story,
    words::{failure, payloads, start_request, text_of, word},
};
use crate::{
    reject::Reject,
    reply::{Reply, UpdateOutcome, UpdateReply},
    request::Request,
};

/// How long callers wait, as the real server lets them.
const TIMEOUT_MS: u64 = 20_000;

impl Story {
    pub(super) fn update(&mut self, verb: &str, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let name = words.get(1).copied().unwrap_or_default();
        let update_id = name.to_owned();
        let stage = match word(words, "stage") {
            Some("accepted") => Stage::Accepted,
            Some("any") => Stage::Unspecified,
            _ => Stage::Completed,
        };
        let update = Box::new(UpdateWorkflowExecutionRequest {
            workflow_execution: Some(WorkflowExecution { workflow_id: id.into(), run_id: String::new() }),
            wait_policy: Some(everlog_proto::api::update::v1::WaitPolicy { lifecycle_stage: stage as i32 }),
            request: Some(body(name, word(words, "size"))),
            ..Default::default()
        });
        let request = match verb {
            "send-update" => Request::Update { request: update, timeout_ms: TIMEOUT_MS },
            "poll-update" => {
                Request::PollUpdate { run_id: String::new(), update_id, stage, timeout_ms: TIMEOUT_MS }
            }
            _ => {
                let mut start = start_request(id, words);
                start.workflow_id_conflict_policy = WorkflowIdConflictPolicy::UseExisting as i32;
                Request::UpdateWithStart { start: Box::new(start), update, timeout_ms: TIMEOUT_MS }
            }
        };
        let call = self.call(id, request);
        match self.replies.remove(&call) {
            Some(Ok(Reply::Update(reply))) => {
                let told = shown(&reply);
                self.say(&format!("{verb} {id} {name}: {told}"));
                Ok(Reply::Done)
            }
            Some(reply) => reply,
            None => {
                self.queries.insert(format!("{id} {name} ({verb} {call})"), call);
                Ok(Reply::Done)
            }
        }
    }
}

pub(super) fn shown(reply: &UpdateReply) -> String {
    let started = match &reply.started {
        Some(started) if started.started => ", started anew",
        Some(_) => ", not started anew",
        None => "",
    };
    let outcome = match &reply.outcome {
        None => String::new(),
        Some(UpdateOutcome::Event(id)) => format!(" by event {id}"),
        Some(UpdateOutcome::Value(outcome)) => match &outcome.value {
            Some(outcome::Value::Success(result)) => format!(" {}", text_of(result)),
            Some(outcome::Value::Failure(failure)) => format!(" failed: {}", failure.message),
            None => " with nothing".to_owned(),
        },
    };
    format!("{:?}{outcome}{started}", reply.stage)
}

fn body(name: &str, size: Option<&str>) -> UpdateRequest {
    let args = size.map(|size| payloads(&"x".repeat(size.parse().unwrap_or_default())));
    UpdateRequest {
        meta: Some(Meta { update_id: name.to_owned(), identity: "client".into() }),
        input: Some(Input { name: "change".into(), args, ..Default::default() }),
        ..Default::default()
    }
}

/// Adds what one word of `finish` says about an update. False if it is no such word.
pub(super) fn answer(request: &mut RespondWorkflowTaskCompletedRequest, word: &str) -> bool {
    let Some((verb, rest)) = word.split_once('=') else {
        if word == "goes-back" {
            request.capabilities = Some(Capabilities { discard_speculative_workflow_task_with_events: true });
        }
        return word == "goes-back";
    };
    let (name, text) = rest.split_once(',').unwrap_or((rest, "done"));
    let id = format!("{name}/{verb}");
    let body = match verb {
        "accept" => packed(&Acceptance {
            accepted_request_message_id: format!("{name}/request"),
            accepted_request_sequencing_event_id: 2,
            accepted_request: (text == "all").then(|| self::body(name, None)),
        }),
        "reject" => packed(&Rejection { failure: Some(failure(text)), ..Default::default() }),
        "respond" => packed(&Response {
            meta: Some(Meta { update_id: name.to_owned(), identity: "client".into() }),
            outcome: Some(Outcome { value: Some(outcome::Value::Success(payloads(text))) }),
        }),
        "say" => None,
        _ => return false,
    };
    if verb != "reject" {
        let attributes = ProtocolMessageCommandAttributes { message_id: id.clone() };
        request.commands.push(Command {
            command_type: CommandType::ProtocolMessage as i32,
            attributes: Some(Attributes::ProtocolMessageCommandAttributes(attributes)),
            ..Default::default()
        });
    }
    // A command alone, without its message.
    if verb != "say" {
        request.messages.push(Message {
            id,
            protocol_instance_id: name.to_owned(),
            body,
            ..Default::default()
        });
    }
    true
}

fn packed<M: prost::Message + Name>(message: &M) -> Option<prost_types::Any> {
    let type_url = format!("type.googleapis.com/{}", M::full_name());
    Some(prost_types::Any { type_url, value: message.encode_to_vec() })
}
