//! The frame of every process test: load, a fault in the middle of it, heal, and the verdict.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use temporalio_protos::temporal::api::{
    enums::v1::WorkflowExecutionStatus, workflowservice::v1::ListWorkflowExecutionsRequest,
};
use tonic::Code;

use crate::{
    api::{Api, NAMESPACE, history},
    check::{Evidence, Listed, View, Violation, judge},
    cluster::{Cluster, admin},
    history::Run,
    load::{Clients, Workers},
    record::{Kind, Operation, Outcome, Recorder},
    unique::unique,
};

const CLIENTS: usize = 8;
const CLIENT_PAUSE: Duration = Duration::from_millis(60);
/// Pollers of each kind at each node.
const POLLERS: usize = 3;
const SEED: u64 = 20_260;
/// No workflow may be open this long after everything works again.
const FINISH_LIMIT: Duration = Duration::from_secs(30);
/// A run that acknowledged less than this was idle, and proves nothing.
const ACKNOWLEDGED_MIN: usize = 50;
const READ_LIMIT: Duration = Duration::from_secs(30);
const READS_AT_A_TIME: usize = 16;
const LIST_PAGE: i32 = 200;
/// The real server's list may lag a little.
const FOREIGN_LIST_LAG: Duration = Duration::from_secs(10);
/// Of each kind of fault, so many are shown.
const SHOWN_MAX: usize = 5;

/// Load on a server, with everything written down.
#[derive(Debug)]
pub struct Load {
    pub api: Api,
    pub recorder: Recorder,
    clients: Clients,
    workers: Workers,
    /// Workflow ids of this run begin so.
    prefix: String,
}

impl Load {
    pub fn start(api: Api) -> Self {
        let recorder = Recorder::new();
        let first = unique("workflow");
        let prefix = first.rsplit_once('-').map_or_else(String::new, |(prefix, _)| format!("{prefix}-"));
        Self {
            workers: Workers::start(&api, &recorder, POLLERS, SEED),
            clients: Clients::start(&api, &recorder, CLIENTS, CLIENT_PAUSE, SEED),
            api,
            recorder,
            prefix,
        }
    }

    /// Lets the load run for a while.
    pub async fn run(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    /// A line about the acknowledged write that took longest.
    pub fn slowest_write(&self) -> String {
        let slowest = self
            .recorder
            .operations()
            .into_iter()
            .filter(|it| matches!(it.kind, Kind::Start { .. } | Kind::Signal))
            .filter(|it| matches!(it.outcome, Outcome::Acknowledged { .. }))
            .map(|it| it.answered - it.invoked)
            .max();
        format!("the slowest write took {:.2} s", slowest.unwrap_or_default().as_secs_f64())
    }

    /// Ends the load, waits until every workflow has finished, and judges. The cluster must be whole.
    pub async fn conclude(self, cluster: Option<&Cluster>) -> Result<()> {
        self.clients.stop().await;
        let operations = self.recorder.operations();
        let ids: BTreeSet<String> = operations
            .iter()
            .filter(|operation| matches!(operation.kind, Kind::Start { .. }))
            .map(|operation| operation.workflow_id.clone())
            .collect();
        wait_finished(&self.api, &ids).await?;
        self.workers.kill().await;

        // The last completions are recorded when the workers are gone, not before.
        let mut evidence = Evidence { operations: self.recorder.operations(), ..Default::default() };
        for node in 0..self.api.nodes() {
            evidence.views.push(view(&self.api, node, &ids).await?);
        }
        evidence.listed = list(&self.api, &self.prefix).await?;
        let lag = Instant::now() + FOREIGN_LIST_LAG;
        while cluster.is_none() && evidence.listed.iter().any(|run| run.running) && Instant::now() < lag {
            tokio::time::sleep(Duration::from_millis(200)).await;
            evidence.listed = list(&self.api, &self.prefix).await?;
        }
        tell(&evidence);
        let compared = match cluster {
            Some(cluster) => admin::compare_replicas(cluster).await?,
            None => 0,
        };
        println!("{compared} shards have the same bytes on all nodes");
        verdict(&evidence)
    }
}

/// How long after `fault` the last write took that was under way then or began within a second.
pub fn writes_resumed(operations: &[Operation], fault: Duration) -> Option<Duration> {
    operations
        .iter()
        .filter(|it| matches!(it.kind, Kind::Start { .. } | Kind::Signal))
        .filter(|it| it.invoked < fault + Duration::from_secs(1) && it.answered > fault)
        .filter(|it| matches!(it.outcome, Outcome::Acknowledged { .. }))
        .map(|it| it.answered - fault)
        .max()
}

fn verdict(evidence: &Evidence) -> Result<()> {
    let acknowledged = count(evidence, |outcome| matches!(outcome, Outcome::Acknowledged { .. }));
    ensure!(acknowledged >= ACKNOWLEDGED_MIN, "only {acknowledged} writes were acknowledged: an idle test");
    let violations = judge(evidence);
    if violations.is_empty() {
        return Ok(());
    }
    let mut by_invariant: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
    for violation in &violations {
        by_invariant.entry(violation.invariant).or_default().push(violation);
    }
    for (invariant, violations) in &by_invariant {
        println!("broken {} times: {invariant}", violations.len());
        for violation in violations.iter().take(SHOWN_MAX) {
            println!("    {}: {}", violation.workflow_id, violation.story);
        }
    }
    bail!("{} promises were broken; the first: {}", violations.len(), violations[0])
}

fn tell(evidence: &Evidence) {
    let existing = evidence.views.first().map_or(0, |view| view.runs.len());
    let events: usize =
        evidence.views.first().map_or(0, |view| view.runs.values().map(|run| run.events.len()).sum());
    println!(
        "{existing} workflows with {events} events; writes: {} acknowledged, {} unknown, {} refused",
        count(evidence, |outcome| matches!(outcome, Outcome::Acknowledged { .. })),
        count(evidence, |outcome| *outcome == Outcome::Unknown),
        count(evidence, |outcome| matches!(outcome, Outcome::Refused { .. })),
    );
}

fn count(evidence: &Evidence, of: impl Fn(&Outcome) -> bool) -> usize {
    evidence.operations.iter().filter(|operation| of(&operation.outcome)).count()
}

/// Waits until none of these workflows is open. Those that don't exist are none.
async fn wait_finished(api: &Api, ids: &BTreeSet<String>) -> Result<()> {
    let began = Instant::now();
    let mut open = ids.clone();
    loop {
        let runs = view(api, 0, &open).await?.runs;
        open = runs.values().filter(|run| !run.is_closed()).map(|run| run.workflow_id.clone()).collect();
        if open.is_empty() {
            println!(
                "all workflows had finished {:.1} s after the load ended",
                began.elapsed().as_secs_f64()
            );
            return Ok(());
        }
        if began.elapsed() > FINISH_LIMIT {
            for id in open.iter().take(SHOWN_MAX) {
                println!("stuck: {id} after {}", runs[id].tail());
            }
            bail!("{} workflows are stuck {FINISH_LIMIT:?} after the load ended", open.len());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What one node tells of these workflows.
async fn view(api: &Api, node: usize, ids: &BTreeSet<String>) -> Result<View> {
    let runs: BTreeMap<String, Run> = stream::iter(ids)
        .map(|id| async move { read_run(api, node, id).await.with_context(|| format!("read {id}")) })
        .buffer_unordered(READS_AT_A_TIME)
        .try_filter_map(|run| async move { Ok(run.map(|run| (run.workflow_id.clone(), run))) })
        .try_collect()
        .await?;
    Ok(View { node: format!("node {}", node + 1), runs })
}

/// The current run of a workflow, or none if there is no such workflow.
async fn read_run(api: &Api, node: usize, id: &str) -> Result<Option<Run>> {
    let deadline = Instant::now() + READ_LIMIT;
    loop {
        match history(api.node(node), id, "").await {
            Ok(events) => return Ok(Some(Run::new(id, first_run_id(&events), &events))),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) if Instant::now() > deadline => return Err(status.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A history says itself which run it is.
fn first_run_id(events: &[temporalio_protos::temporal::api::history::v1::HistoryEvent]) -> &str {
    use temporalio_protos::temporal::api::history::v1::history_event::Attributes;
    match events.first().and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => &it.original_execution_run_id,
        _ => "",
    }
}

/// Every listed run whose workflow id has the prefix, page by page.
async fn list(api: &Api, prefix: &str) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            page_size: LIST_PAGE,
            next_page_token,
            ..Default::default()
        };
        let page = api
            .read(0, Instant::now() + READ_LIMIT, |mut client| {
                let request = request.clone();
                async move { client.list_workflow_executions(request).await }
            })
            .await?;
        for info in page.executions {
            let Some(execution) = info.execution.filter(|it| it.workflow_id.starts_with(prefix)) else {
                continue;
            };
            listed.push(Listed {
                workflow_id: execution.workflow_id,
                run_id: execution.run_id,
                running: info.status == WorkflowExecutionStatus::Running as i32,
            });
        }
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return Ok(listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_until_writes_work_is_that_of_the_slowest() {
        let at = Duration::from_secs;
        let operation = |invoked, answered, outcome| Operation {
            workflow_id: "w".into(),
            kind: Kind::Signal,
            mark: "m".into(),
            invoked,
            answered,
            outcome,
        };
        let acknowledged = || Outcome::Acknowledged { run_id: String::new() };
        let operations = [
            operation(at(1), at(2), acknowledged()),
            operation(at(9), at(12), acknowledged()),
            operation(at(10), at(11), acknowledged()),
            operation(at(10), at(40), Outcome::Unknown),
            operation(at(20), at(30), acknowledged()),
        ];
        assert_eq!(writes_resumed(&operations, at(10)), Some(at(2)));
        assert_eq!(writes_resumed(&operations, at(50)), None);
    }
}
