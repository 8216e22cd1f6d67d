//! Updates: each that was answered has changed its workflow once, whoever led meanwhile; a rejected one not at all.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use prost::Message as _;
use temporalio_protos::temporal::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes as CommandAttributes},
    enums::v1::{CommandType, UpdateWorkflowExecutionLifecycleStage as Stage},
    history::v1::history_event::Attributes,
    protocol::v1::Message,
    update::v1::{Input, Meta, Outcome, Request, WaitPolicy, outcome::Value},
    workflowservice::v1::{UpdateWorkflowExecutionRequest, UpdateWorkflowExecutionResponse},
};
use tonic::{Response, Status};

use super::{
    client::{Client, PERSIST},
    feature::{Answer, Expected, Feature, Told},
};
use crate::{
    api::{self, Answer as ApiAnswer, NAMESPACE, execution, number, payloads},
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
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

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
        let (mut answer, taken) = take(told, messages);
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

/// The answers to the updates that a task brings, and the values of all that were taken so far, by update id.
pub(super) fn take(told: &Told<'_>, messages: &[Message]) -> (Answer, BTreeMap<String, u64>) {
    let (admitted, mut taken) = history(told);
    let mut answer = Answer::default();
    for (id, name, value) in messages.iter().filter_map(request_of).chain(admitted) {
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
    (answer, taken)
}

/// What the history tells of updates: id, name and value of those that a reset has applied again, which no message
/// brings, and the values of those that were taken.
fn history(told: &Told<'_>) -> (Vec<(String, String, u64)>, BTreeMap<String, u64>) {
    let (mut admitted, mut accepted) = (Vec::new(), BTreeMap::new());
    for event in told.events {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(it)) => {
                admitted.extend(it.request.clone().and_then(parts_of));
            }
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(it)) => {
                let id = &it.protocol_instance_id;
                // The request of one that was applied again is only there.
                let again = admitted.iter().find(|(admitted, ..)| admitted == id).map(|(_, _, value)| *value);
                let own = it.accepted_request.clone().and_then(parts_of).map(|(_, _, value)| value);
                accepted.insert(id.clone(), own.or(again).unwrap_or_default());
            }
            _ => {}
        }
    }
    (admitted, accepted)
}

/// Sends an update until it is answered.
async fn update(client: &Client, workflow_id: &str, name: &str, value: u64) -> Result<Outcome> {
    let request = request(workflow_id, name, value);
    loop {
        let answer = client.write("an update", &request, send).await?;
        // Without an outcome the server has waited for as long as it may.
        if let Some(outcome) = answer.outcome {
            return Ok(outcome);
        }
    }
}

/// The same for a workflow that is reset meanwhile: a run that ends so fails the updates it has not answered, and
/// the run that the reset makes is asked again.
pub(super) async fn update_through_resets(client: &Client, workflow_id: &str, value: u64) -> Result<()> {
    let request = request(workflow_id, "add", value);
    let deadline = Instant::now() + PERSIST;
    loop {
        let said = match client.call(&request, send).await {
            ApiAnswer::Done(answer) => match answer.outcome.and_then(|outcome| outcome.value) {
                Some(Value::Success(result)) => {
                    let answer = number(Some(&result));
                    ensure!(answer == value * ANSWER_FACTOR, "{workflow_id}: {answer} answers {value}");
                    return Ok(());
                }
                said => format!("{said:?}"),
            },
            said => format!("{said:?}"),
        };
        ensure!(Instant::now() < deadline, "{workflow_id}: an update was answered with {said}");
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

/// An update keeps its id, so a repetition gets the answer of the first.
fn request(workflow_id: &str, name: &str, value: u64) -> UpdateWorkflowExecutionRequest {
    UpdateWorkflowExecutionRequest {
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
    }
}

async fn send(
    mut client: api::Client,
    request: tonic::Request<UpdateWorkflowExecutionRequest>,
) -> Result<Response<UpdateWorkflowExecutionResponse>, Status> {
    client.update_workflow_execution(request).await
}

/// Id, name and value of the update that a message asks for.
fn request_of(message: &Message) -> Option<(String, String, u64)> {
    parts_of(Request::decode(message.body.as_ref()?.value.as_slice()).ok()?)
}

fn parts_of(request: Request) -> Option<(String, String, u64)> {
    let input = request.input?;
    Some((request.meta?.update_id, input.name, number(input.args.as_ref())))
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
