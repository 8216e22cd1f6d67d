//! Signals and queries.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use temporalio_client::{
    QueryRejectCondition, UntypedQuery, UntypedSignal, WorkflowQueryOptions,
    errors::{WorkflowInteractionError, WorkflowQueryError},
};
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};

use crate::harness::{Case, Env, equal, failure, holds, result, usual};

pub const CASES: &[Case] = crate::cases![
    in_order,
    before_the_worker,
    signal_with_start,
    signal_with_start_of_a_name,
    slow_handlers,
    queries,
    rejected_query,
    too_late
];

/// Keeps what it is given until it is told to finish.
#[workflow]
#[derive(Default)]
pub struct Bin {
    items: Vec<i64>,
    is_full: bool,
}

#[workflow_methods]
impl Bin {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<i64>> {
        ctx.wait_condition(|bin| bin.is_full).await?;
        Ok(ctx.state(|bin| bin.items.clone()))
    }

    #[signal]
    pub fn put(&mut self, _ctx: &mut SyncWorkflowContext<Self>, item: i64) {
        self.items.push(item);
    }

    #[signal(name = "put-by-name")]
    fn put_by_name(&mut self, _ctx: &mut SyncWorkflowContext<Self>, item: i64) {
        self.items.push(item);
    }

    #[signal]
    pub fn finish(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_full = true;
    }

    #[query]
    fn items(&self, _ctx: &WorkflowContextView) -> Vec<i64> {
        self.items.clone()
    }

    #[query]
    fn total(&self, _ctx: &WorkflowContextView, factor: i64) -> i64 {
        self.items.iter().sum::<i64>() * factor
    }

    #[query]
    fn broken(&self, _ctx: &WorkflowContextView) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
        Err("no answer".into())
    }
}

/// Its handlers take their time.
#[workflow]
#[derive(Default)]
struct Slow {
    done: Vec<u64>,
}

#[workflow_methods]
impl Slow {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, count: usize) -> WorkflowResult<Vec<u64>> {
        ctx.wait_condition(|slow| slow.done.len() == count).await?;
        Ok(ctx.state(|slow| slow.done.clone()))
    }

    #[signal]
    async fn put(ctx: &mut WorkflowContext<Self>, milliseconds: u64) {
        ctx.timer(Duration::from_millis(milliseconds)).await;
        ctx.state_mut(|slow| slow.done.push(milliseconds));
    }
}

/// Fifty signals arrive once each, in the order in which they were sent.
async fn in_order(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let handle = env.start(Bin::run, ()).await?;
            for item in 0..50 {
                handle.signal(Bin::put, item, usual()).await?;
            }
            handle.signal(Bin::finish, (), usual()).await?;
            equal(result(&handle).await?, (0..50).collect::<Vec<_>>())
        })
        .await
}

/// Signals wait for the worker, a query too.
async fn before_the_worker(env: &Env) -> Result<()> {
    let handle = env.start(Bin::run, ()).await?;
    handle.signal(Bin::put, 1, usual()).await?;
    handle.signal(Bin::put, 2, usual()).await?;
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            equal(handle.query(Bin::items, (), usual()).await?, [1, 2])?;
            handle.signal(Bin::finish, (), usual()).await?;
            equal(result(&handle).await?, [1, 2])
        })
        .await
}

/// Once to start, once to signal what runs.
async fn signal_with_start(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let start = |item| {
                env.client.signal_with_start_workflow(Bin::run, (), Bin::put, item, env.options("").build())
            };
            let first = start(1).await?;
            let second = start(2).await?;
            env.replay(&first);
            equal(first.run_id(), second.run_id())?;
            first.signal(Bin::finish, (), usual()).await?;
            equal(result(&second).await?, [1, 2])
        })
        .await
}

/// A signal that is known by its name only.
async fn signal_with_start_of_a_name(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let value = RawValue::from_value(&7, &PayloadConverter::default());
            let signal = UntypedSignal::new("put-by-name");
            let started = env
                .client
                .signal_with_start_workflow(Bin::run, (), signal, value, env.options("").build())
                .await?;
            env.replay(&started);
            started.signal(Bin::finish, (), usual()).await?;
            equal(result(&started).await?, [7])
        })
        .await
}

/// Handlers that wait, all at the same time.
async fn slow_handlers(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Slow>();
    worker
        .during(async {
            let handle = env.start(Slow::run, 5_usize).await?;
            try_join_all([500, 400, 300, 200, 100].map(|pause| handle.signal(Slow::put, pause, usual())))
                .await?;
            let mut done = result(&handle).await?;
            done.sort_unstable();
            equal(done, [100, 200, 300, 400, 500])
        })
        .await
}

/// With arguments, of a closed workflow, of one that nobody knows, and one that fails.
async fn queries(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let handle = env.start(Bin::run, ()).await?;
            handle.signal(Bin::put, 20, usual()).await?;
            handle.signal(Bin::put, 22, usual()).await?;
            equal(handle.query(Bin::total, 2, usual()).await?, 84)?;
            let broken = failure(handle.query(Bin::broken, (), usual()).await)?;
            holds(format!("{broken:?}").contains("no answer"), &broken)?;
            let nonsense = handle.query(UntypedQuery::new("nonsense"), RawValue::empty(), usual()).await;
            let unknown = failure(nonsense)?;
            holds(
                matches!(&unknown, WorkflowQueryError::Rpc(status) if status.message().contains("nonsense")),
                &unknown,
            )?;
            handle.signal(Bin::finish, (), usual()).await?;
            result(&handle).await?;
            equal(handle.query(Bin::items, (), usual()).await?, [20, 22])
        })
        .await
}

/// A client that wants no answer from what is closed.
async fn rejected_query(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let handle = env.start(Bin::run, ()).await?;
            handle.signal(Bin::finish, (), usual()).await?;
            result(&handle).await?;
            let picky =
                WorkflowQueryOptions::builder().reject_condition(QueryRejectCondition::NotOpen).build();
            let error = failure(handle.query(Bin::items, (), picky).await)?;
            holds(matches!(error, WorkflowQueryError::Rejected { status: Some(_) }), &error)
        })
        .await
}

/// A signal to what has closed, and to nobody.
async fn too_late(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            let handle = env.start(Bin::run, ()).await?;
            handle.signal(Bin::finish, (), usual()).await?;
            result(&handle).await?;
            for late in [handle, env.current(Bin::run, "nobody")] {
                let error = failure(late.signal(Bin::put, 1, usual()).await)?;
                holds(matches!(error, WorkflowInteractionError::NotFound(_)), &error)?;
            }
            Ok(())
        })
        .await
}
