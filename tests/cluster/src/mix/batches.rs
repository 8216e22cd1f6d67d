//! Batches: one operation on many workflows. Each of them gets it once, and the batch has counted them all,
//! whoever carried it out.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    batch::v1::{
        BatchOperationCancellation, BatchOperationReset, BatchOperationSignal, BatchOperationTermination,
    },
    command::v1::{
        CancelWorkflowExecutionCommandAttributes, Command, command::Attributes as CommandAttributes,
    },
    common::v1::{Execution, ResetOptions, reset_options::Target},
    enums::v1::{BatchOperationState, CommandType, ExecutionType},
    history::v1::history_event::Attributes,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, DescribeBatchOperationRequest, DescribeBatchOperationResponse,
        StartBatchOperationRequest, start_batch_operation_request::Operation,
    },
};
use tonic::Code;

use super::{
    client::{Client, PERSIST},
    external,
    feature::{End, Expected, Feature, Reset, Told},
    resets, steps,
};
use crate::{
    api::{Answer, NAMESPACE, marked},
    program::{Program, Step, command, signal_value},
    unique::{Chance, unique},
};

/// Waits until it is cancelled.
const PATIENT: &str = "patient";
/// Slow enough for a leader to die meanwhile.
const OPERATIONS_PER_SECOND: f32 = 4.0;
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Batches;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Signal,
    Cancel,
    Terminate,
    Reset,
}

/// A workflow of a batch.
struct Member {
    id: String,
    run_id: String,
    /// What it does, if it does anything but wait.
    program: Option<Program>,
}

impl Feature for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    /// A namespace has one batch at a time.
    fn clients(&self) -> usize {
        1
    }

    fn types(&self) -> &'static [&'static str] {
        &[PATIENT]
    }

    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        let is_cancelled = told.events.iter().any(|event| {
            matches!(event.attributes, Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)))
        });
        if is_cancelled { vec![cancel()] } else { Vec::new() }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let kind = [Kind::Signal, Kind::Cancel, Kind::Terminate, Kind::Reset][chance.below(4) as usize];
            let group = client.id();
            let mut members = Vec::new();
            for number in 0..2 + chance.below(5) {
                members.push(Member::start(client, kind, &format!("{group}-{number}"), chance).await?);
            }
            for member in &members {
                resets::point(client, &member.id, &member.run_id, 0).await?;
            }
            let mark = unique("signal");
            let mut request = StartBatchOperationRequest {
                namespace: NAMESPACE.into(),
                job_id: group.clone(),
                reason: "the mix".into(),
                max_operations_per_second: OPERATIONS_PER_SECOND,
                operation: Some(kind.operation(&mark, chance)),
                ..Default::default()
            };
            if chance.below(2) == 0 {
                request.target_executions = members.iter().map(Member::target).collect();
            } else {
                // Those that were terminated are not among the running ones any more.
                let and = if chance.below(2) == 0 { " AND ExecutionStatus = 'Running'" } else { "" };
                request.visibility_query = format!("WorkflowId STARTS_WITH '{group}-'{and}");
                wait_listed(client, &request.visibility_query, members.len()).await?;
            }
            start(client, &request).await?;
            let done = wait_done(client, &group).await?;
            let counts =
                (done.total_operation_count, done.complete_operation_count, done.failure_operation_count);
            let all = members.len() as i64;
            ensure!(counts == (all, all, 0), "{group}: {kind:?} counted {counts:?} of {all}");
            let mut expected = Vec::new();
            for member in members {
                expected.push(member.expected(client, kind, &mark).await?);
            }
            Ok(expected)
        })
    }
}

impl Kind {
    fn operation(self, mark: &str, chance: &mut Chance) -> Operation {
        let identity = "client".to_owned();
        match self {
            Kind::Signal => Operation::SignalOperation(BatchOperationSignal {
                signal: "number".into(),
                input: Some(marked(signal_value(0), mark)),
                identity,
                ..Default::default()
            }),
            Kind::Cancel => Operation::CancellationOperation(BatchOperationCancellation { identity }),
            Kind::Terminate => {
                Operation::TerminationOperation(BatchOperationTermination { identity, ..Default::default() })
            }
            Kind::Reset => {
                let target = if chance.below(2) == 0 {
                    Target::FirstWorkflowTask(())
                } else {
                    Target::LastWorkflowTask(())
                };
                let options = ResetOptions { target: Some(target), ..Default::default() };
                let options = Some(options);
                Operation::ResetOperation(BatchOperationReset { identity, options, ..Default::default() })
            }
        }
    }
}

impl Member {
    async fn start(client: &Client, kind: Kind, id: &str, chance: &mut Chance) -> Result<Self> {
        let program = matches!(kind, Kind::Reset).then(|| {
            let mut program = Program::random(chance, true);
            // It is open until the batch is over.
            program.steps.push(Step::Signals(1));
            program
        });
        let (kind, input) = match (kind, &program) {
            (Kind::Signal, _) => (external::COLLECTOR, "2".to_owned()),
            (_, Some(program)) => (steps::TYPE, program.to_string()),
            (_, None) => (PATIENT, String::new()),
        };
        let run_id = client.start(kind, id, &input).await?;
        Ok(Self { id: id.to_owned(), run_id, program })
    }

    fn target(&self) -> Execution {
        Execution {
            r#type: ExecutionType::Workflow as i32,
            business_id: self.id.clone(),
            run_id: self.run_id.clone(),
        }
    }

    /// Lets it end, and tells how. A signal that came twice would be in the sum.
    async fn expected(self, client: &Client, kind: Kind, mark: &str) -> Result<Expected> {
        Ok(match kind {
            Kind::Cancel => Expected::ending(&self.id, End::Canceled),
            Kind::Terminate => Expected::ending(&self.id, End::Terminated),
            Kind::Signal => {
                let own = client.signal(&self.id, signal_value(1)).await?;
                let signals = vec![mark.to_owned(), own];
                Expected { signals, ..Expected::new(&self.id, signal_value(0) + signal_value(1)) }
            }
            Kind::Reset => {
                let program = self.program.unwrap_or(Program { steps: Vec::new() });
                let resets = vec![reset_of(client, &self.id, self.run_id).await?];
                let mut expected = Expected { resets, ..Expected::new(&self.id, program.result()) };
                for index in 0..program.signals() {
                    expected.signals.push(client.signal(&self.id, signal_value(index)).await?);
                }
                expected
            }
        })
    }
}

/// What the batch has made of a run, as the current run tells it.
async fn reset_of(client: &Client, id: &str, base: String) -> Result<Reset> {
    let before = client.history(id, &base).await?;
    let after = client.history(id, "").await?;
    let made = after.iter().find_map(|event| match &event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(it)) if !it.new_run_id.is_empty() => {
            Some(it.new_run_id.clone())
        }
        _ => None,
    });
    let Some(made) = made else { bail!("{id}: the batch has not reset {base}") };
    let kept = before.iter().zip(&after).take_while(|(old, new)| old.attributes == new.attributes).count();
    Ok(Reset { base, kept, made })
}

async fn wait_listed(client: &Client, query: &str, count: usize) -> Result<()> {
    let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
    let deadline = Instant::now() + PERSIST;
    loop {
        let counted = client
            .write("a count", &request, |mut client, request| async move {
                client.count_workflow_executions(request).await
            })
            .await?;
        if counted.count == count as i64 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{} of {count} are found by {query}", counted.count);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A namespace has one batch at a time, so this may have to wait. One that is there already was acknowledged.
async fn start(client: &Client, request: &StartBatchOperationRequest) -> Result<()> {
    let answer = client
        .call(request, |mut client, request| async move {
            match client.start_batch_operation(request).await {
                Err(status) if status.code() == Code::AlreadyExists => {
                    Ok(tonic::Response::new(Default::default()))
                }
                answer => answer,
            }
        })
        .await;
    match answer {
        Answer::Done(_) => Ok(()),
        other => bail!("the start of the batch {} was answered with {other:?}", request.job_id),
    }
}

async fn wait_done(client: &Client, job_id: &str) -> Result<DescribeBatchOperationResponse> {
    let request = DescribeBatchOperationRequest { namespace: NAMESPACE.into(), job_id: job_id.into() };
    let deadline = Instant::now() + PERSIST;
    loop {
        let described = client
            .write("the description of a batch", &request, |mut client, request| async move {
                client.describe_batch_operation(request).await
            })
            .await?;
        match described.state() {
            BatchOperationState::Completed => return Ok(described),
            BatchOperationState::Running => {}
            state => bail!("the batch {job_id} is {state:?}"),
        }
        ensure!(Instant::now() < deadline, "the batch {job_id} does not end: {described:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn cancel() -> Command {
    command(
        CommandType::CancelWorkflowExecution,
        CommandAttributes::CancelWorkflowExecutionCommandAttributes(
            CancelWorkflowExecutionCommandAttributes::default(),
        ),
    )
}
