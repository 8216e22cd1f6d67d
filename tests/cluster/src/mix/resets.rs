//! Runs that are reset while signals and updates come in: the last run comes to what was computed beforehand, and
//! what had been done before the point is not done again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    history::v1::{HistoryEvent, history_event::Attributes},
    protocol::v1::Message,
    workflowservice::v1::ResetWorkflowExecutionRequest,
};

use super::{
    QUEUE,
    client::{Client, PERSIST},
    feature::{Answer, Expected, Feature, Reset, Told},
    updates,
};
use crate::{
    api::{NAMESPACE, execution},
    program::{Program, Progress, complete, signal_value},
    unique::{Chance, unique},
};

const TYPE: &str = "rewound";
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) struct Resets;

impl Feature for Resets {
    fn name(&self) -> &'static str {
        "resets"
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    /// The input is how many updates will be taken, and a program.
    fn answer(&self, told: &Told<'_>, messages: &[Message]) -> Answer {
        let (mut answer, taken) = updates::take(told, messages);
        let Some((updates, program)) = told.input.split_once(' ') else { return answer };
        let (Ok(updates), Ok(program)) = (updates.parse::<usize>(), program.parse::<Program>()) else {
            return answer;
        };
        match program.advance(told.events, QUEUE) {
            Progress::Next(commands) => answer.commands.extend(commands),
            Progress::Done(sum) if taken.len() >= updates => {
                answer.commands.push(complete(sum + taken.values().sum::<u64>()));
            }
            Progress::Done(_) => {}
        }
        answer
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let program = Program::random(chance, true);
            let updates = chance.below(4);
            let id = client.id();
            let first = client.start(TYPE, &id, &format!("{updates} {program}")).await?;
            let plan: Vec<Planned> = (0..1 + chance.below(3)).map(|_| Planned::random(chance)).collect();
            let (signals, (), resets) = tokio::try_join!(
                send_signals(client, &id, program.signals()),
                send_updates(client, &id, updates),
                make(client, &id, first, &plan),
            )?;
            let sum = program.result() + (0..updates).map(signal_value).sum::<u64>();
            Ok(vec![Expected { signals, resets, ..Expected::new(&id, sum) }])
        })
    }
}

/// When a reset is made, and which of the workflow tasks it goes back to.
struct Planned {
    after: Duration,
    task: usize,
}

impl Planned {
    fn random(chance: &mut Chance) -> Self {
        Self { after: Duration::from_millis(chance.below(900)), task: chance.below(1 << 16) as usize }
    }
}

async fn send_signals(client: &Client, id: &str, count: u64) -> Result<Vec<String>> {
    let mut marks = Vec::new();
    for index in 0..count {
        marks.push(client.signal(id, signal_value(index)).await?);
    }
    Ok(marks)
}

async fn send_updates(client: &Client, id: &str, count: u64) -> Result<()> {
    for index in 0..count {
        updates::update_through_resets(client, id, signal_value(index)).await?;
    }
    Ok(())
}

/// Resets the first run, then the run that came of it, and so on.
async fn make(client: &Client, id: &str, first: String, plan: &[Planned]) -> Result<Vec<Reset>> {
    let mut resets = Vec::new();
    let mut base = first;
    for planned in plan {
        tokio::time::sleep(planned.after).await;
        let point = point(client, id, &base, planned.task).await?;
        let made = reset(client, id, &base, point).await?;
        resets.push(Reset { base, kept: point as usize - 1, made: made.clone() });
        base = made;
    }
    Ok(resets)
}

/// The end of one of the workflow tasks that a run has completed, as soon as it has completed one.
pub(super) async fn point(client: &Client, id: &str, run_id: &str, pick: usize) -> Result<i64> {
    let deadline = Instant::now() + PERSIST;
    loop {
        let events = client.history(id, run_id).await?;
        let points: Vec<i64> = events.iter().filter(|e| is_point(e)).map(|e| e.event_id).collect();
        if !points.is_empty() {
            return Ok(points[pick % points.len()]);
        }
        ensure!(Instant::now() < deadline, "{id}: no workflow task of {run_id} is completed");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_point(event: &HistoryEvent) -> bool {
    matches!(event.attributes, Some(Attributes::WorkflowTaskCompletedEventAttributes(_)))
}

/// Asks until it is answered, and a cluster once more: the run that came of it stays the same. A lone server may
/// be the real one, which takes a repetition for another reset.
async fn reset(client: &Client, id: &str, base: &str, point: i64) -> Result<String> {
    let request = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(id, base)),
        reason: "the mix".into(),
        workflow_task_finish_event_id: point,
        request_id: unique("reset"),
        ..Default::default()
    };
    let ask = async || {
        client
            .write("a reset", &request, |mut client, request| async move {
                client.reset_workflow_execution(request).await
            })
            .await
    };
    let made = ask().await?.run_id;
    if client.api().nodes() > 1 {
        let again = ask().await?.run_id;
        ensure!(made == again, "{id}: the reset of {base} made {made}, and {again} when it was repeated");
    }
    Ok(made)
}
