//! Activities, timers and signals, in any order.

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::command::v1::Command;

use super::{
    QUEUE,
    client::Client,
    feature::{Expected, Feature, Told},
};
use crate::{
    program::{Program, signal_value},
    unique::Chance,
};

/// Workflows of this type run the program that is their input; others start them as well.
pub(super) const TYPE: &str = "steps";

pub(super) struct Steps;

impl Feature for Steps {
    fn name(&self) -> &'static str {
        TYPE
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        told.input
            .parse::<Program>()
            .map_or_else(|_| Vec::new(), |program| program.decide(told.events, QUEUE))
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let program = Program::random(chance, true);
            let id = client.id();
            client.start(TYPE, &id, &program.to_string()).await?;
            let mut expected = Expected::new(&id, program.result());
            for index in 0..program.signals() {
                expected.signals.push(client.signal(&id, signal_value(index)).await?);
            }
            Ok(vec![expected])
        })
    }
}
