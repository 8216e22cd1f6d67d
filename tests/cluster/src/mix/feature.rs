//! What a feature of the mix has to say.

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    command::v1::Command,
    history::v1::{HistoryEvent, history_event::Attributes},
    protocol::v1::Message,
};

use super::client::Client;
pub use crate::load::Answer;
use crate::{
    api::{number, text},
    unique::Chance,
};

/// One file, one subject.
pub trait Feature: Sync {
    fn name(&self) -> &'static str;

    /// How many clients play rounds at a time.
    fn clients(&self) -> usize {
        2
    }

    /// The types of its workflows. None: it starts those of others, or does without.
    fn types(&self) -> &'static [&'static str] {
        &[]
    }

    /// The commands that follow from a history; the same ones on every worker and in every attempt.
    fn decide(&self, _: &Told<'_>) -> Vec<Command> {
        Vec::new()
    }

    /// The same for a feature whose tasks bring messages as well.
    fn answer(&self, told: &Told<'_>, _: &[Message]) -> Answer {
        Answer { commands: self.decide(told), ..Answer::default() }
    }

    /// Plays one round, and tells what must have become of it in the end.
    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>>;
}

/// A workflow, and what was known of it beforehand.
#[derive(Clone, Debug)]
pub struct Expected {
    pub workflow_id: String,
    /// How its last run ends.
    pub end: End,
    /// Marks of the signals that were acknowledged: each is in its history once.
    pub signals: Vec<String>,
    /// What was made of its runs, one after the other.
    pub resets: Vec<Reset>,
    /// The builds of the workers that complete its workflow tasks, in this order. None: any.
    pub builds: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// With this number.
    Completed(u64),
    Canceled,
    Terminated,
}

/// A reset that was acknowledged.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The run whose first events were kept.
    pub base: String,
    /// So many were.
    pub kept: usize,
    /// The run that the reset made.
    pub made: String,
}

impl Expected {
    /// One that completes with this number.
    pub fn new(workflow_id: &str, result: u64) -> Self {
        Self::ending(workflow_id, End::Completed(result))
    }

    pub fn ending(workflow_id: &str, end: End) -> Self {
        Self {
            workflow_id: workflow_id.to_owned(),
            end,
            signals: Vec::new(),
            resets: Vec::new(),
            builds: Vec::new(),
        }
    }
}

/// What a history tells.
#[derive(Debug)]
pub struct Told<'a> {
    pub workflow_id: &'a str,
    pub workflow_type: &'a str,
    /// The queue that it was started on.
    pub queue: &'a str,
    /// The words of the workflow's input.
    pub input: String,
    pub events: &'a [HistoryEvent],
}

impl<'a> Told<'a> {
    pub fn of(workflow_id: &'a str, events: &'a [HistoryEvent]) -> Option<Self> {
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events.first()?.attributes
        else {
            return None;
        };
        Some(Self {
            workflow_id,
            workflow_type: &started.workflow_type.as_ref()?.name,
            queue: &started.task_queue.as_ref()?.name,
            input: text(started.input.as_ref())?,
            events,
        })
    }

    /// The numbers of the input, which is words of digits.
    pub fn numbers(&self) -> Vec<u64> {
        self.input.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    /// The numbers that signals have brought, in their order.
    pub fn signals(&self) -> Vec<u64> {
        let of = |event: &HistoryEvent| match &event.attributes {
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) => Some(number(it.input.as_ref())),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}
