//! Clients: each starts one workflow after the other and sends it the signals it waits for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use temporalio_protos::temporal::api::{
    common::v1::{Memo, WorkflowType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest},
};
use tokio::{sync::watch, task::JoinSet};

use super::QUEUE;
use crate::{
    api::{Answer, Api, CALL_TIMEOUT, NAMESPACE, duration, execution, marked, payloads, with_deadline},
    program::{Program, signal_value},
    record::{Kind, Outcome, Recorder},
    unique::{Chance, unique},
};

/// A write is repeated until it is acknowledged; a cluster that takes longer than this is broken.
const PERSIST: Duration = Duration::from_secs(60);
/// A task that went to a worker which is gone is offered again after this.
const WORKFLOW_TASK_TIMEOUT: Duration = Duration::from_secs(4);
/// One start in so many is given up at the first silence, so that some outcomes stay unknown.
const IMPATIENT_ONE_IN: u64 = 8;

/// Clients at work until they are told to stop.
#[derive(Debug)]
pub struct Clients {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Clients {
    /// Each client pauses between two workflows, which bounds what a test leaves to check.
    pub fn start(api: &Api, recorder: &Recorder, count: usize, pause: Duration, seed: u64) -> Self {
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (api, recorder, stopping) = (api.clone(), recorder.clone(), stopping.clone());
            let mut chance = Chance::new(seed + number as u64);
            tasks.spawn(async move {
                while !*stopping.borrow() {
                    one_workflow(&api, &recorder, number, &mut chance).await;
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { stop, tasks }
    }

    /// Lets every client finish the workflow it is at, signals included.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn one_workflow(api: &Api, recorder: &Recorder, client: usize, chance: &mut Chance) {
    let impatient = chance.below(IMPATIENT_ONE_IN) == 0;
    let program = Program::random(chance, !impatient);
    let workflow_id = unique("workflow");
    let patience = if impatient { Duration::ZERO } else { PERSIST };
    start(api, recorder, client, &workflow_id, &program, patience).await;
    for index in 0..program.signals() {
        // Signals come through another node than the start did, so that what one node acknowledged must
        // be known to the next.
        let node = client + 1 + index as usize;
        signal(api, recorder, node, &workflow_id, index, PERSIST).await;
        tokio::time::sleep(Duration::from_millis(chance.below(80))).await;
    }
}

/// Starts a workflow; the run id if it was acknowledged.
pub async fn start(
    api: &Api,
    recorder: &Recorder,
    node: usize,
    workflow_id: &str,
    program: &Program,
    patience: Duration,
) -> Option<String> {
    let request = start_request(workflow_id, program, &unique("start"));
    started(api, recorder, node, program, request, patience).await
}

/// Starts a workflow on a queue of which nobody takes anything, so that nothing happens to it but what the
/// test does.
pub async fn start_unattended(
    api: &Api,
    recorder: &Recorder,
    node: usize,
    workflow_id: &str,
    patience: Duration,
) -> Option<String> {
    let program = Program { steps: Vec::new() };
    let mut request = start_request(workflow_id, &program, &unique("start"));
    request.task_queue = Some(TaskQueue { name: "unattended".into(), ..Default::default() });
    started(api, recorder, node, &program, request, patience).await
}

async fn started(
    api: &Api,
    recorder: &Recorder,
    node: usize,
    program: &Program,
    request: StartWorkflowExecutionRequest,
    patience: Duration,
) -> Option<String> {
    let kind = Kind::Start { program: program.clone() };
    let under_way = recorder.invoke(&request.workflow_id, kind, &request.request_id);
    let answer = api
        .persist(node, Instant::now() + patience, |mut client| {
            let request = with_deadline(request.clone(), CALL_TIMEOUT);
            async move { client.start_workflow_execution(request).await }
        })
        .await;
    let run_id = if let Answer::Done(response) = &answer { Some(response.run_id.clone()) } else { None };
    under_way.end(outcome(answer, |response| response.run_id));
    run_id
}

pub fn start_request(workflow_id: &str, program: &Program, mark: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: workflow_id.into(),
        workflow_type: Some(WorkflowType { name: "program".into() }),
        task_queue: Some(TaskQueue { name: QUEUE.into(), ..Default::default() }),
        input: Some(payloads(&serde_json::json!(program.to_string()).to_string())),
        workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
        identity: mark.into(),
        request_id: mark.into(),
        memo: Some(memo()),
        ..Default::default()
    }
}

/// Several entries: a map has no order, and members that kept it each in their own would differ.
fn memo() -> Memo {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let entry = |name: &str| {
        let payload = payloads(&format!("\"{name}-{number}\"")).payloads.remove(0);
        (name.to_owned(), payload)
    };
    Memo { fields: ["customer", "plan", "region", "source", "tier"].map(entry).into() }
}

/// Sends the signal of a position; whether it was acknowledged.
pub async fn signal(
    api: &Api,
    recorder: &Recorder,
    node: usize,
    workflow_id: &str,
    index: u64,
    patience: Duration,
) -> bool {
    let mark = unique("signal");
    let request = signal_request(workflow_id, index, &mark);
    let under_way = recorder.invoke(workflow_id, Kind::Signal, &mark);
    let answer = api
        .persist(node, Instant::now() + patience, |mut client| {
            let request = with_deadline(request.clone(), CALL_TIMEOUT);
            async move { client.signal_workflow_execution(request).await }
        })
        .await;
    let acknowledged = matches!(answer, Answer::Done(_));
    under_way.end(outcome(answer, |_| String::new()));
    acknowledged
}

pub fn signal_request(workflow_id: &str, index: u64, mark: &str) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(workflow_id, "")),
        signal_name: "number".into(),
        input: Some(marked(signal_value(index), mark)),
        identity: mark.into(),
        request_id: mark.into(),
        ..Default::default()
    }
}

/// What an answer means for the record.
pub(super) fn outcome<T>(answer: Answer<T>, run_id: impl FnOnce(T) -> String) -> Outcome {
    match answer {
        Answer::Done(value) => Outcome::Acknowledged { run_id: run_id(value) },
        Answer::Refused(status) => {
            Outcome::Refused { why: format!("{:?}: {}", status.code(), status.message()) }
        }
        Answer::Unknown(..) => Outcome::Unknown,
    }
}
