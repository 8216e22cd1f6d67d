//! Batches, carried out by the node that leads shard 0.
//!
//! A page of targets is written down, then operated on, then comes the next page. Whoever leads next begins with the
//! page that was under way; what was done is done again under the same request ids, which changes nothing. Deleted
//! namespaces are emptied in the same way.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use everlog_engine::{
    cluster::{
        Cluster, Request,
        batches::{self, Batch, Page, Progress, Step},
        work::Work,
    },
    key::{RunKey, WorkflowKey},
    reject::Reject,
    reply::Reply,
    schedule::{self, ScheduleKey, request::ScheduleRequest},
    standalone::{self, StandaloneKey, request::StandaloneRequest},
    time::Time,
    visibility::Row,
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    cluster,
    internal::{Internal, InternalReply},
    list::{self, ListQuery, Listed},
    router::{Place, Router},
};

/// Targets between two notes of how far a batch has come.
const PAGE_TARGETS_MAX: usize = 100;
/// Targets of a batch that are operated on at a time.
const CONCURRENT_TARGETS_MAX: usize = 5;
/// Operations a second of a batch that does not say how many. `worker.BatcherRPS` of the real server.
const OPERATIONS_PER_SECOND: f64 = 50.0;
/// Between two operations of the slowest batch.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// How often an operation is tried whose target cannot be reached.
const TRIES_MAX: u32 = 50;
const TRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const TRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long one operation may take.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// Targets that a batch remembers to have met, so that it counts each once.
const TARGETS_REMEMBERED_MAX: usize = 1 << 20;
/// The batches are looked at so often even if nothing is heard.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const SHARD: u64 = 0;
const ALL_DIVISIONS: &str = "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL";

type Name = (String, String, String);

/// Carries out all batches while this node leads shard 0.
pub async fn carry_out(router: Router) {
    let Ok(group) = router.groups().get(SHARD) else { return };
    let mut leadership = group.leadership();
    let mut view = router.cluster().clone();
    let mut under_way: BTreeMap<Name, JoinHandle<()>> = BTreeMap::new();
    loop {
        let leads = leadership.borrow_and_update().is_me;
        let wanted: Vec<Name> = if leads { running(&view.borrow_and_update()) } else { Vec::new() };
        under_way.retain(|name, task| {
            let keep = wanted.contains(name) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        for name in wanted {
            let router = router.clone();
            under_way.entry(name.clone()).or_insert_with(|| tokio::spawn(run(router, name)));
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            changed = view.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn running(cluster: &Cluster) -> Vec<Name> {
    let running = cluster.batches.values().filter(|batch| batch.is_running());
    running.map(|batch| (batch.namespace_id.clone(), batch.job_id.clone(), batch.run_id.clone())).collect()
}

/// One batch, until it has ended or somebody else carries it out.
async fn run(router: Router, (namespace_id, job_id, run_id): Name) {
    let mut met: HashSet<String> = HashSet::new();
    let mut pause = TRY_PAUSE_MIN;
    loop {
        let view = router.cluster().borrow().clone();
        let Ok(batch) = batches::find(&view, &namespace_id, &job_id).cloned() else { return };
        if !batch.is_running() || batch.run_id != run_id {
            return;
        }
        let progress = match &batch.page {
            Some(page) => Ok(operate(&router, &batch, page, &mut met).await),
            None => next_page(&router, &batch).await,
        };
        match progress {
            Ok(what) => {
                pause = TRY_PAUSE_MIN;
                let step = Step {
                    namespace_id: namespace_id.clone(),
                    job_id: job_id.clone(),
                    run_id: run_id.clone(),
                    from: batch.cursor.clone(),
                    what,
                };
                match cluster::decide_here(&router, Request::StepBatch(step)).await {
                    Ok(_) => continue,
                    // Stopped, or carried out elsewhere.
                    Err(Reject::NotFound(_)) => return,
                    Err(_) => {}
                }
            }
            Err(Reject::InvalidArgument(why)) => {
                // Its query has no meaning, and never will.
                tracing::debug!(%job_id, why, "a batch fails");
                let (namespace_id, job_id) = (namespace_id.clone(), job_id.clone());
                if cluster::decide_here(&router, Request::StopBatch { namespace_id, job_id }).await.is_ok() {
                    return;
                }
            }
            Err(reject) => tracing::debug!(%job_id, ?reject, "a batch has to wait"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(TRY_PAUSE_MAX);
    }
}

/// The targets that are next.
async fn next_page(router: &Router, batch: &Batch) -> Result<Progress, Reject> {
    let total = match batch.total {
        None => Some(count(router, batch).await?),
        Some(_) => None,
    };
    Ok(Progress::Page { page: page_of(router, batch).await?, total })
}

/// Operates on a page.
async fn operate(router: &Router, batch: &Batch, page: &Page, met: &mut HashSet<String>) -> Progress {
    let (mut completed, mut failed) = (0, 0);
    let asked = batch.request.max_operations_per_second;
    let rate = if asked > 0.0 { f64::from(asked) } else { OPERATIONS_PER_SECOND };
    let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(INTERVAL_MAX).min(INTERVAL_MAX);
    let first = Instant::now();
    let operations = page.targets.clone().into_iter().enumerate().map(|(place, (workflow_id, run_id))| {
        let at = first + interval * place as u32;
        let work = Work::new(batch, &workflow_id, &run_id);
        async move {
            tokio::time::sleep_until(at).await;
            let done = patiently(router, &work).await;
            (format!("{workflow_id}\0{run_id}"), done)
        }
    });
    let mut outcomes = stream::iter(operations).buffer_unordered(CONCURRENT_TARGETS_MAX);
    while let Some((target, outcome)) = outcomes.next().await {
        if met.len() < TARGETS_REMEMBERED_MAX && !met.insert(target) {
            continue;
        }
        match outcome {
            Ok(()) => completed += 1,
            Err(reject) => {
                tracing::debug!(job_id = batch.job_id, ?reject, "an operation of a batch failed");
                failed += 1;
            }
        }
    }
    Progress::Done { completed, failed }
}

fn query(batch: &Batch, after: Vec<u8>, most: usize) -> ListQuery {
    ListQuery {
        namespace_id: batch.namespace_id.clone(),
        query: batch.request.visibility_query.clone(),
        after,
        most,
        of: Listed::Workflows,
    }
}

async fn count(router: &Router, batch: &Batch) -> Result<i64, Reject> {
    Ok(list::count_of_cluster(router, query(batch, Vec::new(), 0)).await?.total)
}

/// The targets behind the cursor.
async fn page_of(router: &Router, batch: &Batch) -> Result<Page, Reject> {
    let named = batches::targets_of(&batch.request);
    if !named.is_empty() {
        let done = batch.cursor.clone().try_into().map_or(0, u64::from_be_bytes) as usize;
        let page = named.into_iter().skip(done).take(PAGE_TARGETS_MAX);
        let targets: Vec<_> = page.map(|target| (target.business_id, target.run_id)).collect();
        let to = (done + targets.len()) as u64;
        let ends = targets.len() < PAGE_TARGETS_MAX;
        return Ok(Page { targets, to: to.to_be_bytes().to_vec(), ends });
    }
    let part = list::of_cluster(router, query(batch, batch.cursor.clone(), PAGE_TARGETS_MAX)).await?;
    let ends = part.read_to.is_none();
    let to = part.read_to.unwrap_or_else(|| batch.cursor.clone());
    let targets = part.rows.iter().filter_map(|row| Row::decode(&row.row).ok()).map(|row| {
        let execution = row.info().execution.unwrap_or_default();
        (execution.workflow_id, execution.run_id)
    });
    Ok(Page { targets: targets.collect(), to, ends })
}

/// Does it again as long as the target cannot be reached. A target that is gone needs nothing.
async fn patiently(router: &Router, work: &Work) -> Result<(), Reject> {
    let mut pause = TRY_PAUSE_MIN;
    for _ in 1..TRIES_MAX {
        match once(router, work).await {
            Ok(()) | Err(Reject::NotFound(_)) => return Ok(()),
            Err(Reject::Unavailable(_) | Reject::Overloaded(_) | Reject::BusyWorkflow(_)) => {}
            Err(reject) => return Err(reject),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(TRY_PAUSE_MAX);
    }
    once(router, work).await
}

async fn once(router: &Router, work: &Work) -> Result<(), Reject> {
    let workflow = &work.target.workflow;
    let operation = async {
        match router.locate(&workflow.namespace_id, &workflow.workflow_id) {
            Place::Here { .. } => here(router, work).await,
            Place::There { node, .. } => {
                match router.internal(node, &Internal::Work(Box::new(work.clone()))).await? {
                    InternalReply::Done => Ok(()),
                    InternalReply::Reject(reject) => Err(reject),
                    _ => Err(unavailable()),
                }
            }
            Place::Nowhere { .. } => Err(unavailable()),
        }
    };
    tokio::time::timeout(OPERATION_TIMEOUT, operation).await.unwrap_or_else(|_| Err(unavailable()))
}

/// Operates on a workflow whose shard this node leads.
pub async fn here(router: &Router, work: &Work) -> Result<(), Reject> {
    let Some(request) = work.ask() else {
        return Err(Reject::InvalidArgument("the operation is not one on workflows".into()));
    };
    match router.call(work.target.workflow.clone(), request).await? {
        Reply::Refused(reject) => Err(reject),
        _ => Ok(()),
    }
}

fn unavailable() -> Reject {
    Reject::Unavailable("the target's shard has no leader".into())
}

/// Empties namespaces that were deleted, and forgets them, while this node leads shard 0.
pub async fn empty_deleted_namespaces(router: Router) {
    let Ok(group) = router.groups().get(SHARD) else { return };
    let mut leadership = group.leadership();
    let mut view = router.cluster().clone();
    loop {
        let leads = leadership.borrow_and_update().is_me;
        let now = router.clock().time();
        let due: Vec<String> = if leads { deleted(&view.borrow_and_update(), now) } else { Vec::new() };
        for namespace_id in due {
            match empty(&router, &namespace_id).await {
                Ok(true) => {
                    let purge = Request::PurgeNamespace { id: namespace_id.clone() };
                    if let Err(reject) = cluster::decide_here(&router, purge).await {
                        tracing::debug!(%namespace_id, ?reject, "a deleted namespace could not be forgotten yet");
                    }
                }
                Ok(false) => {}
                Err(reject) => {
                    tracing::debug!(%namespace_id, ?reject, "a namespace could not be emptied yet")
                }
            }
        }
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            changed = view.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn deleted(cluster: &Cluster, now: Time) -> Vec<String> {
    cluster.purges.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect()
}

/// Deletes what a namespace has. Whether nothing is left.
async fn empty(router: &Router, namespace_id: &str) -> Result<bool, Reject> {
    let every = |of| ListQuery {
        namespace_id: namespace_id.to_owned(),
        query: match of {
            // Else those with a division would be left out, and stay for ever.
            Listed::Workflows => ALL_DIVISIONS.to_owned(),
            Listed::Schedules | Listed::Activities | Listed::Operations => String::new(),
        },
        after: Vec::new(),
        most: PAGE_TARGETS_MAX,
        of,
    };
    let schedules = list::of_cluster(router, every(Listed::Schedules)).await?;
    for row in schedules.rows.iter().filter_map(|row| Row::decode(&row.row).ok()) {
        let id = schedule::list::entry(&row).schedule_id;
        delete(router, Leftover::Schedule(ScheduleKey::new(namespace_id, &id))).await?;
    }
    let activities = list::of_cluster(router, every(Listed::Activities)).await?;
    for row in activities.rows.iter().filter_map(|row| Row::decode(&row.row).ok()) {
        let entry = standalone::list::activity_entry(&row);
        let key = StandaloneKey::new(standalone::Kind::Activity, namespace_id, &entry.activity_id);
        delete(router, Leftover::Standalone { key, run_id: entry.run_id }).await?;
    }
    let operations = list::of_cluster(router, every(Listed::Operations)).await?;
    for row in operations.rows.iter().filter_map(|row| Row::decode(&row.row).ok()) {
        let entry = standalone::list::operation_entry(&row);
        let key = StandaloneKey::new(standalone::Kind::Operation, namespace_id, &entry.operation_id);
        delete(router, Leftover::Standalone { key, run_id: entry.run_id }).await?;
    }
    let workflows = list::of_cluster(router, every(Listed::Workflows)).await?;
    // A list that was cut short by time may have more, even if it has found nothing yet.
    let is_empty = [&schedules, &activities, &operations, &workflows]
        .iter()
        .all(|part| part.rows.is_empty() && part.read_to.is_none());
    let rows = workflows.rows.iter().filter_map(|row| Row::decode(&row.row).ok());
    let targets: Vec<RunKey> = rows
        .map(|row| {
            let execution = row.info().execution.unwrap_or_default();
            WorkflowKey::new(namespace_id, &execution.workflow_id).run(&execution.run_id)
        })
        .collect();
    let deletions =
        targets.into_iter().map(|target| async move { patiently(router, &Work::deletion(target)).await });
    let mut outcomes = stream::iter(deletions).buffer_unordered(CONCURRENT_TARGETS_MAX);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(is_empty)
}

/// Something besides workflows that a deleted namespace has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Leftover {
    Schedule(ScheduleKey),
    /// What runs, or ran, on its own.
    Standalone {
        key: StandaloneKey,
        run_id: String,
    },
}

impl Leftover {
    fn shard(&self, router: &Router) -> u16 {
        match self {
            Leftover::Schedule(key) => router.shard_of(key.namespace_id(), key.schedule_id()),
            Leftover::Standalone { key, .. } => router.shard_of(key.namespace_id(), key.id()),
        }
    }
}

async fn delete(router: &Router, leftover: Leftover) -> Result<(), Reject> {
    let deletion = async {
        match router.place(leftover.shard(router)) {
            Place::Here { .. } => delete_here(router, leftover.clone()).await,
            Place::There { node, .. } => {
                match router.internal(node, &Internal::Delete(leftover.clone())).await? {
                    InternalReply::Done => Ok(()),
                    InternalReply::Reject(reject) => Err(reject),
                    _ => Err(unavailable()),
                }
            }
            Place::Nowhere { .. } => Err(unavailable()),
        }
    };
    tokio::time::timeout(OPERATION_TIMEOUT, deletion).await.unwrap_or_else(|_| Err(unavailable()))
}

/// Deletes what lives in a shard that this node leads.
pub async fn delete_here(router: &Router, leftover: Leftover) -> Result<(), Reject> {
    let shard = router.shard(leftover.shard(router)).ok_or_else(unavailable)?;
    let deleted = match leftover {
        Leftover::Schedule(key) => shard.call_schedule(key, ScheduleRequest::Delete).await,
        Leftover::Standalone { key, run_id } => {
            shard.call_standalone(key, StandaloneRequest::Delete { run_id }).await
        }
    };
    match deleted {
        Ok(_) | Err(Reject::NotFound(_)) => Ok(()),
        Err(reject) => Err(reject),
    }
}
