//! What must be true when the mix is over and the cluster is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use temporalio_protos::temporal::api::{
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::ListWorkflowExecutionsRequest,
};
use tonic::{Code, Status};

use super::feature::{End, Expected};
use crate::{
    api::{Api, NAMESPACE, history, mark, number},
    history::Event,
};

/// No workflow may be open this long after everything works again.
const FINISH_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(300);
const READ_LIMIT: Duration = Duration::from_secs(30);
const READS_AT_A_TIME: usize = 16;
const LIST_PAGE: i32 = 200;
/// So many faults are shown.
const SHOWN_MAX: usize = 10;
/// A run in which less came to an end was idle, and proves nothing.
const WORKFLOWS_MIN: usize = 20;

/// The runs of one workflow, the first one first.
type Runs = Vec<Vec<HistoryEvent>>;

pub async fn judge(api: &Api, prefix: &str, expected: &[Expected]) -> Result<()> {
    ensure!(expected.len() >= WORKFLOWS_MIN, "only {} workflows were begun: an idle mix", expected.len());
    wait_finished(api, expected).await?;
    let mut faults = Vec::new();
    let mut events = 0;
    for node in 0..api.nodes() {
        let views: Vec<(&Expected, Runs)> =
            stream::iter(expected)
                .map(|expected| async move {
                    Ok::<_, anyhow::Error>((expected, runs(api, node, expected).await?))
                })
                .buffer_unordered(READS_AT_A_TIME)
                .try_collect()
                .await?;
        for (expected, runs) in views {
            events += runs.iter().map(Vec::len).sum::<usize>();
            let complain = |fault: String| format!("{} on node {}: {fault}", expected.workflow_id, node + 1);
            faults.extend(faults_of(expected, &runs).into_iter().map(complain));
        }
    }
    let begun: BTreeSet<&str> = expected.iter().map(|it| it.workflow_id.as_str()).collect();
    let listed = list(api, prefix).await?;
    faults.extend(
        listed.iter().filter(|id| !begun.contains(id.as_str())).map(|id| format!("{id} was never begun")),
    );
    faults.extend(begun.iter().filter(|id| !listed.contains(**id)).map(|id| format!("{id} is not listed")));
    println!(
        "{} workflows with {} events; errors that clients met: {:?}",
        expected.len(),
        events / api.nodes().max(1),
        api.errors()
    );
    for fault in faults.iter().take(SHOWN_MAX) {
        println!("    {fault}");
    }
    match faults.first() {
        Some(first) => bail!("{} faults; the first: {first}", faults.len()),
        None => Ok(()),
    }
}

/// What is wrong with a workflow, as one node tells it.
fn faults_of(expected: &Expected, runs: &Runs) -> Vec<String> {
    let mut faults = Vec::new();
    let events = runs.last().map(Vec::as_slice).unwrap_or_default();
    let end = end(events);
    if end != Some(expected.end) {
        let last = events.last().map(|event| &event.attributes);
        faults.push(format!("it ends with {last:?}, and not as {:?}", expected.end));
    }
    let cancels =
        count(events, |it| matches!(it, Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)));
    if cancels != usize::from(expected.end == End::Canceled) {
        faults.push(format!("{cancels} requests to cancel it"));
    }
    if !expected.builds.is_empty() && builds(events) != expected.builds {
        faults.push(format!("workers of {:?} ran it, not of {:?}", builds(events), expected.builds));
    }
    faults.extend(runs.iter().flat_map(|events| answered_twice(events)));
    faults.extend(faults_of_resets(expected, runs));
    // The last run of those that resets have made has what is left of the others.
    let counted = if expected.resets.is_empty() { &runs[..] } else { &runs[runs.len().saturating_sub(1)..] };
    let mut signals: BTreeMap<String, usize> = BTreeMap::new();
    for event in counted.iter().flatten() {
        if let Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) = &event.attributes {
            *signals.entry(mark(it.input.as_ref()).unwrap_or_default()).or_default() += 1;
        }
    }
    for signal in &expected.signals {
        match signals.get(signal) {
            Some(1) => {}
            times => faults.push(format!("the signal {signal} is there {} times", times.unwrap_or(&0))),
        }
    }
    faults
}

fn end(events: &[HistoryEvent]) -> Option<End> {
    match events.last()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(it) => {
            Some(End::Completed(number(it.result.as_ref())))
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(_) => Some(End::Canceled),
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => Some(End::Terminated),
        _ => None,
    }
}

fn count(events: &[HistoryEvent], which: impl Fn(&Attributes) -> bool) -> usize {
    events.iter().filter(|event| event.attributes.as_ref().is_some_and(&which)).count()
}

/// The builds that completed the workflow tasks, in their order, each as long as it did.
fn builds(events: &[HistoryEvent]) -> Vec<String> {
    let mut builds: Vec<String> = Vec::new();
    for event in events {
        if let Some(Attributes::WorkflowTaskCompletedEventAttributes(it)) = &event.attributes {
            builds.push(it.deployment_version.clone().unwrap_or_default().build_id);
        }
    }
    builds.dedup();
    builds
}

/// Each run that a reset has made begins with what was kept of the one before, and does none of it again.
fn faults_of_resets(expected: &Expected, runs: &Runs) -> Vec<String> {
    let mut faults = Vec::new();
    if !expected.resets.is_empty() && runs.len() != expected.resets.len() + 1 {
        faults.push(format!("{} runs after {} resets", runs.len(), expected.resets.len()));
    }
    for (reset, pair) in expected.resets.iter().zip(runs.windows(2)) {
        let [base, made] = pair else { continue };
        let mut complain =
            |fault: String| faults.push(format!("the reset of {} to {}: {fault}", reset.base, reset.made));
        let is_kept = |(old, new): (&HistoryEvent, &HistoryEvent)| old.attributes == new.attributes;
        if made.len() < reset.kept || !base.iter().zip(made).take(reset.kept).all(is_kept) {
            complain(format!("the first {} events were not kept", reset.kept));
            continue;
        }
        let (kept, rest) = made.split_at(reset.kept);
        // Where the task had not been started, its start is written first.
        let is_told = rest.iter().take(2).any(|event| match &event.attributes {
            Some(Attributes::WorkflowTaskFailedEventAttributes(it)) => {
                it.base_run_id == reset.base && it.new_run_id == reset.made
            }
            _ => false,
        });
        if !is_told {
            complain("the new run does not tell of it".into());
        }
        let before: BTreeSet<&str> = kept.iter().filter_map(activity).collect();
        if let Some(again) = rest.iter().filter_map(activity).find(|id| before.contains(id)) {
            complain(format!("the activity {again} was scheduled again"));
        }
        match end(base) {
            Some(End::Terminated) => {}
            Some(end) if end == expected.end => {}
            other => complain(format!("the old run ended with {other:?}")),
        }
    }
    faults
}

fn activity(event: &HistoryEvent) -> Option<&str> {
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskScheduledEventAttributes(it) => Some(&it.activity_id),
        _ => None,
    }
}

/// Events that answer something which was answered before: a second result of one activity, timer or child.
fn answered_twice(events: &[HistoryEvent]) -> Vec<String> {
    let mut answered = BTreeSet::new();
    let mut faults = Vec::new();
    for event in events {
        if let Some((kind, of)) = answer(event)
            && !answered.insert((kind, of))
        {
            faults.push(format!("event {} is a second {kind} of event {of}", event.event_id));
        }
    }
    faults
}

fn answer(event: &HistoryEvent) -> Option<(&'static str, i64)> {
    match event.attributes.as_ref()? {
        Attributes::ChildWorkflowExecutionStartedEventAttributes(it) => {
            Some(("start of the child", it.initiated_event_id))
        }
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(it) => {
            Some(("end of the child", it.initiated_event_id))
        }
        Attributes::ExternalWorkflowExecutionSignaledEventAttributes(it) => {
            Some(("arrival of the signal", it.initiated_event_id))
        }
        Attributes::ActivityTaskCompletedEventAttributes(it) => {
            Some(("end of the activity", it.scheduled_event_id))
        }
        Attributes::NexusOperationStartedEventAttributes(it) => {
            Some(("start of the operation", it.scheduled_event_id))
        }
        Attributes::NexusOperationCompletedEventAttributes(it) => {
            Some(("end of the operation", it.scheduled_event_id))
        }
        Attributes::TimerFiredEventAttributes(it) => Some(("firing of the timer", it.started_event_id)),
        _ => None,
    }
}

/// Waits until the last run of each is closed.
async fn wait_finished(api: &Api, expected: &[Expected]) -> Result<()> {
    let began = Instant::now();
    let mut open: Vec<&Expected> = expected.iter().collect();
    loop {
        let looked: Vec<(&Expected, Option<String>)> = stream::iter(open)
            .map(|expected| async move { Ok::<_, anyhow::Error>((expected, tail(api, expected).await?)) })
            .buffer_unordered(READS_AT_A_TIME)
            .try_collect()
            .await?;
        let stuck: Vec<(&Expected, String)> =
            looked.into_iter().filter_map(|(expected, tail)| Some((expected, tail?))).collect();
        if stuck.is_empty() {
            println!("all workflows had ended {:.1} s after the mix", began.elapsed().as_secs_f64());
            return Ok(());
        }
        if began.elapsed() > FINISH_LIMIT {
            for (expected, tail) in stuck.iter().take(SHOWN_MAX) {
                println!("stuck: {} after {tail}", expected.workflow_id);
            }
            bail!("{} workflows are stuck {FINISH_LIMIT:?} after the mix", stuck.len());
        }
        open = stuck.into_iter().map(|(expected, _)| expected).collect();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The last events of a workflow that is still open; none of one that is closed. A child is not there before its
/// parent has begun it, so one that is not there counts as open: if it stays so, it is stuck.
async fn tail(api: &Api, expected: &Expected) -> Result<Option<String>> {
    let events = match read(api, 0, expected, "").await {
        Err(status) if status.code() == Code::NotFound => return Ok(Some("nothing: it is not there".into())),
        events => told(expected, events)?,
    };
    let run = crate::history::Run::new(&expected.workflow_id, "", &events);
    let continues = |event: &Event| format!("{:?}", event.kind).contains("ContinuedAsNew");
    let is_over = run.is_closed() && !run.events.last().is_some_and(continues);
    Ok(if is_over { None } else { Some(run.tail()) })
}

/// The runs of a workflow, from the first to the last.
async fn runs(api: &Api, node: usize, expected: &Expected) -> Result<Runs> {
    let last = told(expected, read(api, node, expected, "").await)?;
    if !expected.resets.is_empty() {
        let mut runs = Vec::new();
        for reset in &expected.resets {
            runs.push(told(expected, read(api, node, expected, &reset.base).await)?);
        }
        runs.push(last);
        return Ok(runs);
    }
    let mut run = match last.first().and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => it.first_execution_run_id.clone(),
        _ => String::new(),
    };
    let mut runs = Vec::new();
    while !run.is_empty() {
        let events = told(expected, read(api, node, expected, &run).await)?;
        run = match events.last().and_then(|event| event.attributes.as_ref()) {
            Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(it)) => {
                it.new_execution_run_id.clone()
            }
            _ => String::new(),
        };
        runs.push(events);
    }
    Ok(runs)
}

async fn read(
    api: &Api,
    node: usize,
    expected: &Expected,
    run_id: &str,
) -> Result<Vec<HistoryEvent>, Status> {
    let deadline = Instant::now() + READ_LIMIT;
    loop {
        match history(api.node(node), &expected.workflow_id, run_id).await {
            Err(status) if !crate::api::is_final(status.code()) && Instant::now() <= deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

fn told(expected: &Expected, answer: Result<Vec<HistoryEvent>, Status>) -> Result<Vec<HistoryEvent>> {
    answer.with_context(|| format!("read {}", expected.workflow_id))
}

/// The ids of all workflows that begin so.
async fn list(api: &Api, prefix: &str) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            page_size: LIST_PAGE,
            query: format!("WorkflowId STARTS_WITH '{prefix}'"),
            next_page_token,
        };
        let page = api
            .read(0, Instant::now() + READ_LIMIT, |mut client| {
                let request = request.clone();
                async move { client.list_workflow_executions(request).await }
            })
            .await?;
        ids.extend(page.executions.into_iter().filter_map(|info| Some(info.execution?.workflow_id)));
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return Ok(ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use temporalio_protos::temporal::api::{
        deployment::v1::WorkerDeploymentVersion,
        history::v1::{
            ActivityTaskScheduledEventAttributes, TimerFiredEventAttributes,
            WorkflowExecutionCompletedEventAttributes, WorkflowExecutionSignaledEventAttributes,
            WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes,
        },
    };

    use super::{super::feature::Reset, *};
    use crate::api::{marked, payloads};

    fn event(event_id: i64, attributes: Attributes) -> HistoryEvent {
        HistoryEvent { event_id, attributes: Some(attributes), ..Default::default() }
    }

    fn signal(mark: &str) -> HistoryEvent {
        let input = Some(marked(1, mark));
        let attributes = WorkflowExecutionSignaledEventAttributes { input, ..Default::default() };
        event(5, Attributes::WorkflowExecutionSignaledEventAttributes(attributes))
    }

    fn fired() -> HistoryEvent {
        let attributes = TimerFiredEventAttributes { started_event_id: 5, timer_id: "t".into() };
        event(6, Attributes::TimerFiredEventAttributes(attributes))
    }

    fn completed(result: u64) -> HistoryEvent {
        let attributes = WorkflowExecutionCompletedEventAttributes {
            result: Some(payloads(&result.to_string())),
            ..Default::default()
        };
        event(9, Attributes::WorkflowExecutionCompletedEventAttributes(attributes))
    }

    #[test]
    fn each_kind_of_fault_is_seen() {
        let expected = Expected { signals: vec!["s".into()], ..Expected::new("w", 7) };
        let faults = |runs: &[&[HistoryEvent]]| {
            faults_of(&expected, &runs.iter().map(|events| events.to_vec()).collect()).len()
        };
        assert_eq!(faults(&[&[signal("s")], &[fired(), completed(7)]]), 0);
        assert_eq!(faults(&[&[signal("s"), completed(8)]]), 1, "another result");
        assert_eq!(faults(&[&[signal("s")]]), 1, "no end");
        assert_eq!(faults(&[&[signal("s")], &[signal("s"), completed(7)]]), 1, "a signal in two runs");
        assert_eq!(faults(&[&[completed(7)]]), 1, "a lost signal");
        assert_eq!(faults(&[&[signal("s"), fired(), fired(), completed(7)]]), 1, "a timer that fires twice");
    }

    fn terminated() -> HistoryEvent {
        event(9, Attributes::WorkflowExecutionTerminatedEventAttributes(Default::default()))
    }

    fn scheduled(activity_id: &str) -> HistoryEvent {
        let attributes =
            ActivityTaskScheduledEventAttributes { activity_id: activity_id.into(), ..Default::default() };
        event(5, Attributes::ActivityTaskScheduledEventAttributes(attributes))
    }

    fn went_back(base: &str) -> HistoryEvent {
        let attributes = WorkflowTaskFailedEventAttributes {
            base_run_id: base.into(),
            new_run_id: "new".into(),
            ..Default::default()
        };
        event(6, Attributes::WorkflowTaskFailedEventAttributes(attributes))
    }

    #[test]
    fn each_fault_of_a_reset_is_seen() {
        let reset = Reset { base: "old".into(), kept: 1, made: "new".into() };
        let expected = Expected { signals: vec!["s".into()], resets: vec![reset], ..Expected::new("w", 7) };
        let faults = |runs: &[&[HistoryEvent]]| {
            faults_of(&expected, &runs.iter().map(|events| events.to_vec()).collect()).len()
        };
        let base = [scheduled("a0"), signal("s"), terminated()];
        assert_eq!(faults(&[&base, &[scheduled("a0"), went_back("old"), signal("s"), completed(7)]]), 0);
        assert_eq!(faults(&[&base, &[scheduled("a0"), went_back("old"), completed(7)]]), 1, "a lost signal");
        let twice = [scheduled("a0"), went_back("old"), signal("s"), signal("s"), completed(7)];
        assert_eq!(faults(&[&base, &twice]), 1, "a signal applied twice");
        let other = [scheduled("a1"), went_back("old"), signal("s"), completed(7)];
        assert_eq!(faults(&[&base, &other]), 1, "another beginning");
        let again = [scheduled("a0"), went_back("old"), scheduled("a0"), signal("s"), completed(7)];
        assert_eq!(faults(&[&base, &again]), 1, "an activity that runs again");
        let second = [scheduled("a0"), went_back("between"), signal("s"), completed(7)];
        assert_eq!(faults(&[&base, &second]), 1, "a run of another reset");
        let open = [scheduled("a0"), signal("s")];
        let made = [scheduled("a0"), went_back("old"), signal("s"), completed(7)];
        assert_eq!(faults(&[&open, &made]), 1, "the old run goes on");
    }

    #[test]
    fn another_end_and_another_worker_are_seen() {
        let task = |build: &str| {
            let version = WorkerDeploymentVersion { build_id: build.into(), ..Default::default() };
            let attributes = WorkflowTaskCompletedEventAttributes {
                deployment_version: Some(version),
                ..Default::default()
            };
            event(4, Attributes::WorkflowTaskCompletedEventAttributes(attributes))
        };
        let expected = Expected { builds: vec!["1".into(), "2".into()], ..Expected::new("w", 7) };
        let faults = |events: &[HistoryEvent]| faults_of(&expected, &vec![events.to_vec()]).len();
        assert_eq!(faults(&[task("1"), task("1"), task("2"), completed(7)]), 0);
        assert_eq!(faults(&[task("1"), completed(7)]), 1, "it has not moved");
        assert_eq!(faults(&[task("1"), task("2"), task("1"), completed(7)]), 1, "it has moved back");
        assert_eq!(faults(&[task("1"), task("2"), terminated()]), 1, "it was terminated");
    }
}
