//! The threads on which workflows run.
//!
//! Each run belongs to one thread, chosen by its id, which keeps it between its tasks. The threads are
//! plain ones: code of a workflow that reaches for an async runtime finds none, and panics. If a workflow
//! blocks its thread, the task fails, and the thread is left behind and replaced, so that the other
//! workflows go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use everlog_proto::api::common::v1::Payloads;
use everlog_proto::api::failure::v1::Failure;
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::query::v1::WorkflowQuery;
use tokio::sync::oneshot;

use super::cache::Cache;
use crate::random::Random;
use crate::replay::TaskError;
use crate::replay::command::Command;
use crate::replay::history::{HistoryError, steps};
use crate::replay::run::{Definition, Identity, Run, workflow_name};
use crate::replay::state::LocalTask;

/// How long a workflow may compute between two awaits.
const BLOCKED_MAX: Duration = Duration::from_secs(2);
/// So many threads are left behind at most; then a blocked thread stays as it is.
const LEFT_BEHIND_MAX: usize = 16;

/// A workflow task, as a thread gets it.
#[derive(Debug)]
pub(super) struct WorkflowJob {
    pub(super) identity: Identity,
    pub(super) events: Vec<HistoryEvent>,
    pub(super) previous_started_id: i64,
    /// The task in hand; 0 if it is only a query.
    pub(super) started_id: i64,
    pub(super) queries: Vec<(String, WorkflowQuery)>,
    /// A query that is a task of its own.
    pub(super) only_query: Option<WorkflowQuery>,
}

/// What a thread makes of it.
#[derive(Debug)]
pub(super) enum Reply {
    /// The run is not in the cache, and the events do not begin at the beginning.
    NeedHistory(Box<WorkflowJob>),
    /// Local activities are to be started, or are running.
    Working {
        locals: Vec<LocalTask>,
        task_timeout: Duration,
    },
    Done(Done),
    Answer(Result<Payloads, String>),
    Failed(TaskError),
}

/// The end of a task.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) commands: Vec<Command>,
    pub(super) answers: Vec<(String, Result<Payloads, String>)>,
    /// The workflow has closed.
    pub(super) closed: bool,
    /// Local activities are still running, so the task has to be followed by another one.
    pub(super) heartbeat: bool,
    /// The history does not name this crate yet.
    pub(super) first_of_sdk: bool,
}

/// The outcome of a local activity.
#[derive(Debug)]
pub(super) struct LocalDone {
    pub(super) seq: u64,
    pub(super) attempt: u32,
    pub(super) result: Result<Option<Payloads>, Box<Failure>>,
}

enum Job {
    Advance(Box<WorkflowJob>, oneshot::Sender<Reply>),
    Local(String, LocalDone, oneshot::Sender<Reply>),
    /// Ends the task although local activities are running.
    Flush(String, oneshot::Sender<Reply>),
    Evict(String),
}

pub(super) struct Lanes {
    workflows: Arc<HashMap<&'static str, Arc<Definition>>>,
    lanes: Vec<Mutex<Arc<Lane>>>,
    runs_max: usize,
    left_behind: AtomicUsize,
}

struct Lane {
    jobs: mpsc::Sender<Job>,
    /// The run that the thread works on, and since when.
    busy: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Lanes {
    pub(super) fn start(
        workflows: HashMap<&'static str, Arc<Definition>>,
        threads: usize,
        cached_runs: usize,
    ) -> std::io::Result<Self> {
        let workflows = Arc::new(workflows);
        let runs_max = cached_runs.div_ceil(threads);
        let lanes: std::io::Result<_> =
            (0..threads).map(|_| Ok(Mutex::new(Arc::new(Lane::start(&workflows, runs_max)?)))).collect();
        Ok(Self { workflows, lanes: lanes?, runs_max, left_behind: AtomicUsize::new(0) })
    }

    pub(super) async fn advance(&self, job: Box<WorkflowJob>) -> Reply {
        let run_id = job.identity.run_id.clone();
        self.ask(&run_id, |reply| Job::Advance(job, reply)).await
    }

    pub(super) async fn local_done(&self, run_id: &str, done: LocalDone) -> Reply {
        self.ask(run_id, |reply| Job::Local(run_id.to_owned(), done, reply)).await
    }

    pub(super) async fn flush(&self, run_id: &str) -> Reply {
        self.ask(run_id, |reply| Job::Flush(run_id.to_owned(), reply)).await
    }

    /// Forgets a run. It leaves no trace.
    pub(super) fn evict(&self, run_id: &str) {
        let lane = self.lane(run_id);
        let lane = Arc::clone(&lane.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = lane.jobs.send(Job::Evict(run_id.to_owned()));
    }

    async fn ask(&self, run_id: &str, job: impl FnOnce(oneshot::Sender<Reply>) -> Job) -> Reply {
        let slot = self.lane(run_id);
        let lane = Arc::clone(&slot.lock().unwrap_or_else(PoisonError::into_inner));
        let (sender, mut reply) = oneshot::channel();
        if lane.jobs.send(job(sender)).is_err() {
            return Reply::Failed(TaskError::Panicked("the thread of the workflow has ended".into()));
        }
        loop {
            match tokio::time::timeout(BLOCKED_MAX, &mut reply).await {
                Ok(Ok(reply)) => return reply,
                Ok(Err(_)) => {
                    return Reply::Failed(TaskError::Panicked("the thread of the workflow has ended".into()));
                }
                Err(_) => {}
            }
            let busy = lane.busy.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some((since, culprit)) = busy else { continue };
            if since.elapsed() < BLOCKED_MAX {
                continue;
            }
            self.leave_behind(slot, &lane);
            if culprit == run_id {
                return Reply::Failed(TaskError::Blocked(BLOCKED_MAX));
            }
        }
    }

    fn leave_behind(&self, slot: &Mutex<Arc<Lane>>, lane: &Arc<Lane>) {
        let mut current = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, lane) || self.left_behind.load(Ordering::Relaxed) >= LEFT_BEHIND_MAX {
            return;
        }
        tracing::error!("a workflow blocks its thread, which is replaced");
        match Lane::start(&self.workflows, self.runs_max) {
            Ok(fresh) => {
                *current = Arc::new(fresh);
                self.left_behind.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "cannot start a thread"),
        }
    }

    fn lane(&self, run_id: &str) -> &Mutex<Arc<Lane>> {
        let at = Random::from_text(run_id).below(self.lanes.len() as u64);
        &self.lanes[at as usize]
    }
}

impl Lane {
    fn start(
        workflows: &Arc<HashMap<&'static str, Arc<Definition>>>,
        runs_max: usize,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let busy = Arc::new(Mutex::new(None));
        let (workflows, shown) = (Arc::clone(workflows), Arc::clone(&busy));
        // Runs cannot leave their thread, so the cache is made on it.
        std::thread::Builder::new().name("everlog-workflows".into()).spawn(move || {
            Thread { workflows, cache: Cache::new(runs_max), busy: shown }.run(&inbox);
        })?;
        Ok(Self { jobs, busy })
    }
}

struct Thread {
    workflows: Arc<HashMap<&'static str, Arc<Definition>>>,
    cache: Cache,
    busy: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Thread {
    /// Ends when the worker is gone.
    fn run(mut self, inbox: &mpsc::Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            // The asker may have given up; then nobody wants the answer.
            match job {
                Job::Advance(job, reply) => {
                    let run_id = job.identity.run_id.clone();
                    let _ = reply.send(self.guarded(run_id, |thread| thread.advance(job)));
                }
                Job::Local(run_id, done, reply) => {
                    let _ =
                        reply.send(self.guarded(run_id.clone(), |thread| thread.local_done(run_id, done)));
                }
                Job::Flush(run_id, reply) => {
                    let _ = reply.send(self.guarded(run_id.clone(), |thread| thread.flush(run_id)));
                }
                Job::Evict(run_id) => {
                    self.guarded(run_id.clone(), |thread| drop(thread.cache.take(&run_id)));
                }
            }
        }
    }

    fn guarded<T>(&mut self, run_id: String, work: impl FnOnce(&mut Self) -> T) -> T {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), run_id));
        let result = work(self);
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
        result
    }

    fn advance(&mut self, mut job: Box<WorkflowJob>) -> Reply {
        let run_id = job.identity.run_id.clone();
        let cached = self.cache.take(&run_id).map(|entry| entry.run).filter(|run| continues(run, &job));
        let starts_over = job.events.first().is_some_and(|event| event.event_id == 1);
        let run = match cached {
            Some(run) => run,
            None if starts_over => match self.new_run(&job) {
                Ok(run) => run,
                Err(error) => return Reply::Failed(error),
            },
            None => return Reply::NeedHistory(job),
        };
        let events = std::mem::take(&mut job.events);
        match live_through(run, events, job.started_id) {
            Err(error) => Reply::Failed(error),
            Ok(run) => match job.only_query.take() {
                Some(query) => {
                    let answer = run.query(&query.query_type, query.query_args.as_ref());
                    if !run.is_closed() {
                        self.cache.put(run_id, run, Vec::new(), false);
                    }
                    Reply::Answer(answer)
                }
                None => self.settle(run_id, run, std::mem::take(&mut job.queries)),
            },
        }
    }

    fn local_done(&mut self, run_id: String, done: LocalDone) -> Reply {
        let Some(mut entry) = self.cache.take(&run_id) else { return gone() };
        match entry.run.resolve_local(done.seq, done.attempt, done.result) {
            Ok(()) => self.settle(run_id, entry.run, entry.queries),
            Err(error) => Reply::Failed(error),
        }
    }

    fn flush(&mut self, run_id: String) -> Reply {
        match self.cache.take(&run_id) {
            Some(entry) => self.finish(run_id, entry.run, entry.queries, true),
            None => gone(),
        }
    }

    /// Goes on with local activities if there are any, and ends the task if there are none.
    fn settle(&mut self, run_id: String, mut run: Run, queries: Vec<(String, WorkflowQuery)>) -> Reply {
        let locals = run.take_locals();
        if !run.has_locals() {
            return self.finish(run_id, run, queries, false);
        }
        let task_timeout = run.task_timeout();
        self.cache.put(run_id, run, queries, true);
        Reply::Working { locals, task_timeout }
    }

    fn finish(
        &mut self,
        run_id: String,
        mut run: Run,
        queries: Vec<(String, WorkflowQuery)>,
        heartbeat: bool,
    ) -> Reply {
        let commands = run.take_commands();
        let answer = |(id, query): (String, WorkflowQuery)| {
            let answer = run.query(&query.query_type, query.query_args.as_ref());
            (id, answer)
        };
        let answers = queries.into_iter().map(answer).collect();
        let closed = run.is_closed();
        let first_of_sdk = !run.sdk_recorded;
        if !closed {
            self.cache.put(run_id, run, Vec::new(), heartbeat);
        }
        Reply::Done(Done { commands, answers, closed, heartbeat, first_of_sdk })
    }

    fn new_run(&self, job: &WorkflowJob) -> Result<Run, TaskError> {
        let name = workflow_name(&job.events)?;
        let definition = self.workflows.get(name.as_str()).ok_or(TaskError::UnknownWorkflow(name))?;
        let first = job.events.first().ok_or(HistoryError::Empty)?;
        Run::new(Arc::clone(definition), job.identity.clone(), first)
    }
}

/// Whether the events of a task follow what a cached run has lived through.
fn continues(run: &Run, job: &WorkflowJob) -> bool {
    run.last_started_id() == job.previous_started_id
        && job.events.first().is_none_or(|event| event.event_id <= run.last_event_id() + 1)
}

fn live_through(mut run: Run, events: Vec<HistoryEvent>, started_id: i64) -> Result<Run, TaskError> {
    let steps = steps(events, run.last_event_id(), started_id)?;
    run.advance(steps)?;
    if started_id > 0 && run.last_started_id() != started_id {
        let message = format!("it ends before the workflow task that was started with event {started_id}");
        return Err(HistoryError::Unreadable(message).into());
    }
    Ok(run)
}

fn gone() -> Reply {
    Reply::Failed(TaskError::Panicked("the run was dropped in the middle of its task".into()))
}
