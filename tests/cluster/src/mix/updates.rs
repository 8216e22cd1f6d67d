//! Updates: each that was answered has changed its workflow once, whoever led meanwhile; a rejected one not at all.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use prost::Message as _;
use temporalio_protos::temporal::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes as CommandAttributes},
    enums::v1::{CommandType, UpdateWorkflowExecutionLifecycleStage as Stage},
    history::v1::history_event::Attributes,
    protocol::v1::Message,
    update::v1::{Input, Meta, Outcome, Request, WaitPolicy, outcome::Value},
    workflowservice::v1::UpdateWorkflowExecutionRequest,
};

use super::{
    client::Client,
    feature::{Answer, Expected, Feature, Told},
};
use crate::{
    api::{NAMESPACE, execution, number, payloads},
    messages::{acceptance, rejection, response},
    program::{command, complete, signal_value},
    unique::{Chance, unique},
};

const TYPE: &str = "ledger";
/// The worker rejects updates of this name, and takes all others.
const UNWANTED: &str = "unwanted";
const UNWANTED_ONE_IN: u64 = 4;
/// What an update is answered with, so that the answer to another one would be seen.
const ANSWER_FACTOR: u64 = 2;

pub(super) struct Updates;

impl Feature for Updates {
    fn name(&self) -> &'static str {
        "updates"
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    /// The input is how many updates will be taken.
    fn answer(&self, told: &Told<'_>, messages: &[Message]) -> Answer {
        let mut taken = taken(told);
        let mut answer = Answer::default();
        for request in messages.iter().filter_map(request_of) {
            let (id, name, value) = request;
            // An update that is in the history was answered then.
            if taken.contains_key(&id) {
                continue;
            }
            let said = if name == UNWANTED {
                vec![rejection(&id, UNWANTED)]
            } else {
                taken.insert(id.clone(), value);
                vec![acceptance(&id), response(&id, value * ANSWER_FACTOR)]
            };
            answer.commands.extend(said.iter().map(in_this_place));
            answer.messages.extend(said);
        }
        if told.numbers().first().is_some_and(|wanted| taken.len() as u64 >= *wanted) {
            answer.commands.push(complete(taken.values().sum()));
        }
        answer
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let count = 1 + chance.below(6);
            let id = client.id();
            client.start(TYPE, &id, &count.to_string()).await?;
            for index in 0..count {
                if chance.below(UNWANTED_ONE_IN) == 0 {
                    let outcome = update(client, &id, UNWANTED, signal_value(index)).await?;
                    ensure!(
                        matches!(outcome.value, Some(Value::Failure(_))),
                        "{id}: an unwanted update was answered with {outcome:?}"
                    );
                }
                let value = signal_value(index);
                let outcome = update(client, &id, "add", value).await?;
                let answer = match &outcome.value {
                    Some(Value::Success(result)) => number(Some(result)),
                    other => anyhow::bail!("{id}: an update was answered with {other:?}"),
                };
                ensure!(answer == value * ANSWER_FACTOR, "{id}: {answer} answers the update with {value}");
            }
            Ok(vec![Expected::new(&id, (0..count).map(signal_value).sum())])
        })
    }
}

/// The values of the updates that the history has as completed, by update id.
fn taken(told: &Told<'_>) -> BTreeMap<String, u64> {
    let mut accepted = BTreeMap::new();
    for event in told.events {
        if let Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(it)) = &event.attributes {
            let input = it.accepted_request.as_ref().and_then(|request| request.input.as_ref());
            let value = number(input.and_then(|input| input.args.as_ref()));
            accepted.insert(it.protocol_instance_id.clone(), value);
        }
    }
    accepted
}

/// Sends an update until it is answered. It keeps its id, so a repetition gets the answer of the first.
async fn update(client: &Client, workflow_id: &str, name: &str, value: u64) -> Result<Outcome> {
    let request = UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(workflow_id, "")),
        wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed as i32 }),
        request: Some(Request {
            meta: Some(Meta { update_id: unique("update"), identity: "client".into() }),
            input: Some(Input {
                name: name.into(),
                args: Some(payloads(&value.to_string())),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    loop {
        let answer = client
            .write("an update", &request, |mut client, request| async move {
                client.update_workflow_execution(request).await
            })
            .await?;
        // Without an outcome the server has waited for as long as it may.
        if let Some(outcome) = answer.outcome {
            return Ok(outcome);
        }
    }
}

/// Id, name and value of the update that a message asks for.
fn request_of(message: &Message) -> Option<(String, String, u64)> {
    let request = Request::decode(message.body.as_ref()?.value.as_slice()).ok()?;
    let input = request.input?;
    Some((message.protocol_instance_id.clone(), input.name, number(input.args.as_ref())))
}

/// The command that puts a message among the others.
fn in_this_place(message: &Message) -> Command {
    command(
        CommandType::ProtocolMessage,
        CommandAttributes::ProtocolMessageCommandAttributes(ProtocolMessageCommandAttributes {
            message_id: message.id.clone(),
        }),
    )
}
