//! What workers say about updates: messages that come with the completion of a workflow task.
//!
//! A command may give a message its place among the commands; messages without one take effect after all of
//! them (service/history/api/respondworkflowtaskcompleted/workflow_task_completed_handler.go).

use everlog_proto::api::{
    command::v1::ProtocolMessageCommandAttributes,
    enums::v1::WorkflowTaskFailedCause as Cause,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{
        WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateCompletedEventAttributes,
        history_event::Attributes,
    },
    protocol::v1::Message,
    update::v1::{Acceptance, Outcome, Rejection, Request as UpdateRequest, Response, outcome},
};
use prost::Message as _;

use super::{check_total, forget_note, wait, waiting};
use crate::{codec::Proto, decide::BadCommand, turn::Turn, volatile::WaitingUpdate};

const CAUSE: Cause = Cause::BadUpdateWorkflowExecutionMessage;
/// The package that the messages of updates are in.
const PROTOCOL: &str = "temporal.api.update.v1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Acceptance,
    Rejection,
    Response,
    Request,
}

impl MessageKind {
    pub fn of(message: &Message) -> Option<MessageKind> {
        match name_of(message)?.strip_prefix(PROTOCOL)? {
            ".Acceptance" => Some(MessageKind::Acceptance),
            ".Rejection" => Some(MessageKind::Rejection),
            ".Response" => Some(MessageKind::Response),
            ".Request" => Some(MessageKind::Request),
            _ => None,
        }
    }
}

/// The full name of what a message says.
fn name_of(message: &Message) -> Option<&str> {
    let url = &message.body.as_ref()?.type_url;
    Some(url.rsplit_once('/').map_or(url.as_str(), |(_, name)| name))
}

/// The messages of one completion, each to be taken once.
#[derive(Debug)]
pub struct Messages<'a> {
    left: Vec<&'a Message>,
    /// Updates that this completion has rejected.
    rejected: Vec<String>,
    /// Events up to here were there before this completion.
    completed_event_id: i64,
}

impl<'a> Messages<'a> {
    pub fn new(messages: &'a [Message], completed_event_id: i64) -> Messages<'a> {
        Messages { left: messages.iter().collect(), rejected: Vec::new(), completed_event_id }
    }

    /// Carries out the message that a command names.
    pub fn command(
        &mut self,
        turn: &mut Turn<'_>,
        a: &ProtocolMessageCommandAttributes,
    ) -> Result<(), BadCommand> {
        if a.message_id.is_empty() {
            return Err(BadCommand::new(CAUSE, "MessageID is not set on ProtocolMessageCommand."));
        }
        let Some(place) = self.left.iter().position(|message| message.id == a.message_id) else {
            let text = format!("ProtocolMessageCommand referenced absent message ID {}", a.message_id);
            return Err(BadCommand::new(CAUSE, text));
        };
        let message = self.left.remove(place);
        self.carry_out(turn, message)
    }

    /// Carries out what no command has named.
    pub fn rest(&mut self, turn: &mut Turn<'_>) -> Result<(), BadCommand> {
        for message in std::mem::take(&mut self.left) {
            self.carry_out(turn, message)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, turn: &mut Turn<'_>, message: &Message) -> Result<(), BadCommand> {
        let Some(body) = &message.body else { return Err(BadCommand::of_call("nil message body")) };
        let name = name_of(message).unwrap_or_default();
        if body.encoded_len() > turn.stamp.limits.blob_bytes_max {
            return Err(BadCommand::too_large(CAUSE, format!("Message type {name} exceeds size limit.")));
        }
        let protocol = name.rsplit_once('.').map_or("", |(protocol, _)| protocol);
        if protocol != PROTOCOL {
            return Err(BadCommand::new(CAUSE, format!("unsupported protocol type {protocol}")));
        }
        let bytes = body.value.as_slice();
        let said = Said::parse(message, bytes)
            .map_err(|error| BadCommand::new(CAUSE, format!("unable to unmarshal request: {error}")))?;
        let id = &message.protocol_instance_id;
        if self.state_of(turn, id).is_none() && !resurrect(turn, id, &said)? {
            return Err(BadCommand::new(
                CAUSE,
                format!(
                    "update {id} wasn't found on the server. This is most likely a transient error which will \
                     be resolved automatically by retries"
                ),
            ));
        }
        // Of a run that is over nothing more can be written; its updates are aborted.
        if !turn.execution.is_running() && !matches!(said, Said::Rejection(_)) {
            return Ok(());
        }
        match said {
            Said::Acceptance(acceptance) => self.accept(turn, id, &acceptance),
            Said::Rejection(rejection) => self.reject(turn, id, *rejection),
            Said::Response(response) => self.respond(turn, id, *response),
            Said::Other(name) => {
                Err(BadCommand::new(CAUSE, format!("Message type *update.{name} not supported")))
            }
        }
    }

    fn accept(&mut self, turn: &mut Turn<'_>, id: &str, acceptance: &Acceptance) -> Result<(), BadCommand> {
        self.check_state(turn, id, "Acceptance", State::is_waiting)?;
        if acceptance.accepted_request_sequencing_event_id == 0 {
            let text = "invalid *update.Acceptance: accepted_request_sequencing_event_id is not set";
            return Err(BadCommand::new(CAUSE, text));
        }
        let request = waiting(turn, id).and_then(|update| update.request.clone());
        turn.volatile.updates.retain(|update| update.id != id);
        let attributes = WorkflowExecutionUpdateAcceptedEventAttributes {
            protocol_instance_id: id.to_owned(),
            accepted_request_message_id: message_id(id),
            accepted_request_sequencing_event_id: acceptance.accepted_request_sequencing_event_id,
            accepted_request: request.map(|request| request.0.clone()),
        };
        turn.event(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(attributes));
        Ok(())
    }

    fn reject(&mut self, turn: &mut Turn<'_>, id: &str, rejection: Rejection) -> Result<(), BadCommand> {
        self.check_state(turn, id, "Rejection", State::is_waiting)?;
        self.rejected.push(id.to_owned());
        reject(turn, id, rejection.failure.unwrap_or_default());
        Ok(())
    }

    fn respond(&mut self, turn: &mut Turn<'_>, id: &str, response: Response) -> Result<(), BadCommand> {
        self.check_state(turn, id, "Response", State::is_accepted)?;
        let invalid = |what: &str| Err(BadCommand::new(CAUSE, format!("invalid *update.Response: {what}")));
        let Some(meta) = &response.meta else { return invalid("meta is not set") };
        if meta.update_id.is_empty() {
            return invalid("meta.update_id is not set");
        }
        if meta.update_id != id {
            return invalid(&format!("meta.update_id != {id}"));
        }
        if response.outcome.is_none() {
            return invalid("outcome is not set");
        }
        let attributes = WorkflowExecutionUpdateCompletedEventAttributes {
            accepted_event_id: turn.execution.updates.accepted.get(id).copied().unwrap_or_default(),
            meta: response.meta,
            outcome: response.outcome,
        };
        turn.event(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(attributes));
        Ok(())
    }

    fn check_state(
        &self,
        turn: &Turn<'_>,
        id: &str,
        message: &str,
        allowed: fn(&State) -> bool,
    ) -> Result<(), BadCommand> {
        match self.state_of(turn, id) {
            Some(state) if allowed(&state) => Ok(()),
            state => {
                let state = state.map_or("Created", State::name);
                Err(BadCommand::new(
                    CAUSE,
                    format!(
                        "invalid state transition attempted for Update {id}: received *update.{message} \
                         message while in state {state}"
                    ),
                ))
            }
        }
    }

    fn state_of(&self, turn: &Turn<'_>, id: &str) -> Option<State> {
        let updates = &turn.execution.updates;
        let is_new = |event_id: &i64| *event_id > self.completed_event_id;
        if self.rejected.iter().any(|rejected| rejected == id) {
            return Some(State::ProvisionallyCompleted);
        }
        if let Some(update) = waiting(turn, id) {
            return Some(if update.sent { State::Sent } else { State::Admitted });
        }
        if let Some(event_id) = updates.accepted.get(id) {
            return Some(if is_new(event_id) { State::ProvisionallyAccepted } else { State::Accepted });
        }
        let event_id = updates.completed.get(id)?;
        Some(if is_new(event_id) { State::ProvisionallyCompleted } else { State::Completed })
    }
}

/// The states of an update, by the names under which the real server refuses what does not fit them.
#[derive(Clone, Copy, Debug)]
enum State {
    Admitted,
    Sent,
    ProvisionallyAccepted,
    Accepted,
    ProvisionallyCompleted,
    Completed,
}

impl State {
    fn is_waiting(&self) -> bool {
        matches!(self, State::Admitted | State::Sent)
    }

    fn is_accepted(&self) -> bool {
        matches!(self, State::Accepted | State::ProvisionallyAccepted)
    }

    fn name(self) -> &'static str {
        match self {
            State::Admitted => "Admitted",
            State::Sent => "Sent",
            State::ProvisionallyAccepted => "ProvisionallyAccepted",
            State::Accepted => "Accepted",
            State::ProvisionallyCompleted => "ProvisionallyCompleted",
            State::Completed => "Completed",
        }
    }
}

enum Said {
    Acceptance(Acceptance),
    Rejection(Box<Rejection>),
    Response(Box<Response>),
    Other(String),
}

impl Said {
    fn parse(message: &Message, bytes: &[u8]) -> Result<Said, prost::DecodeError> {
        Ok(match MessageKind::of(message) {
            Some(MessageKind::Acceptance) => Said::Acceptance(Acceptance::decode(bytes)?),
            Some(MessageKind::Rejection) => Said::Rejection(Box::new(Rejection::decode(bytes)?)),
            Some(MessageKind::Response) => Said::Response(Box::new(Response::decode(bytes)?)),
            _ => {
                let name =
                    name_of(message).and_then(|name| name.rsplit_once('.')).map_or("", |(_, name)| name);
                Said::Other(name.to_owned())
            }
        })
    }
}

/// A worker knows an update that nobody here remembers. If it tells the whole request, that is as good.
fn resurrect(turn: &mut Turn<'_>, id: &str, said: &Said) -> Result<bool, BadCommand> {
    check_total(turn).map_err(|_| BadCommand::new(CAUSE, "too many updates"))?;
    let request: Option<&UpdateRequest> = match said {
        Said::Acceptance(acceptance) => acceptance.accepted_request.as_ref(),
        Said::Rejection(rejection) => rejection.rejected_request.as_ref(),
        _ => None,
    };
    let Some(request) = request else { return Ok(false) };
    turn.volatile.updates.push(WaitingUpdate {
        id: id.to_owned(),
        request: Some(Proto(request.clone()).into()),
        admitted: turn.stamp.now,
        noted: false,
        sent: false,
    });
    Ok(true)
}

fn reject(turn: &mut Turn<'_>, id: &str, failure: Failure) {
    let update = waiting(turn, id).cloned();
    turn.volatile.updates.retain(|update| update.id != id);
    if let Some(update) = update {
        forget_note(turn, &update);
    }
    wait::answer_with(turn, id, &Ok(Outcome { value: Some(outcome::Value::Failure(failure)) }));
}

/// Rejects what the worker was given and has not answered: it does not know what an update is.
pub fn reject_unanswered(turn: &mut Turn<'_>) {
    let ids: Vec<String> =
        turn.volatile.updates.iter().filter(|update| update.sent).map(|update| update.id.clone()).collect();
    let message = "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update \
                   is not supported by the worker.";
    for id in ids {
        reject(turn, &id, server_failure(message, "UnprocessedUpdate"));
    }
}

pub(super) fn server_failure(message: &str, kind: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        source: "Server".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.to_owned(),
            non_retryable: true,
            ..Default::default()
        })),
        ..Failure::default()
    }
}

/// The id of the message that brings an update to a worker.
pub(super) fn message_id(update_id: &str) -> String {
    format!("{update_id}/request")
}

/// The messages by which the updates of a task reach its worker.
pub fn outgoing(turn: &Turn<'_>, ids: &[String], started_event_id: i64) -> Vec<Message> {
    use everlog_proto::api::protocol::v1::message::SequencingId;
    let requests = ids.iter().filter_map(|id| Some((id, waiting(turn, id)?.request.as_ref()?)));
    let message = |(id, request): (&String, &crate::shared::Shared<Proto<UpdateRequest>>)| Message {
        id: message_id(id),
        protocol_instance_id: id.clone(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/{PROTOCOL}.Request"),
            value: request.encode_to_vec(),
        }),
        sequencing_id: Some(SequencingId::EventId(started_event_id - 1)),
    };
    requests.map(message).collect()
}
