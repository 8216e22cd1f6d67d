//! Time as workflows see it.

use std::time::Duration;

use anyhow::Result;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    CancellableFuture, TimerOptions, TimerResult, WorkflowCancellationToken, WorkflowContext, WorkflowResult,
    workflows::{join_all, select},
};

use crate::harness::{Case, Env, equal, holds};

pub const CASES: &[Case] = crate::cases![slept, race, many, cancelled, cancelled_as_a_group, conditions];

const LONG: Duration = Duration::from_secs(600);

#[workflow]
#[derive(Default)]
struct Slept;

#[workflow_methods]
impl Slept {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, milliseconds: u64) -> WorkflowResult<u128> {
        let before = ctx.workflow_time().unwrap();
        ctx.timer(Duration::from_millis(milliseconds)).await;
        Ok(ctx.workflow_time().unwrap().duration_since(before).unwrap().as_millis())
    }
}

#[workflow]
#[derive(Default)]
struct Race;

#[workflow_methods]
impl Race {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        Ok(select! {
            _ = ctx.timer(LONG) => "slow",
            _ = ctx.timer(Duration::from_millis(200)) => "fast",
        }
        .to_owned())
    }
}

#[workflow]
#[derive(Default)]
struct ManyTimers;

#[workflow_methods]
impl ManyTimers {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, count: u64) -> WorkflowResult<usize> {
        let timers = (0..count).map(|number| ctx.timer(Duration::from_millis(number * 3)));
        Ok(join_all(timers).await.into_iter().filter(|end| *end == TimerResult::Fired).count())
    }
}

#[workflow]
#[derive(Default)]
struct CancelledTimer;

#[workflow_methods]
impl CancelledTimer {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<bool> {
        let timer = ctx.timer(LONG);
        ctx.timer(Duration::from_millis(100)).await;
        timer.cancel();
        Ok(timer.await == TimerResult::Cancelled)
    }
}

#[workflow]
#[derive(Default)]
struct CancelledGroup;

#[workflow_methods]
impl CancelledGroup {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<usize> {
        let group = WorkflowCancellationToken::new();
        let timers: Vec<_> = (0..3)
            .map(|_| ctx.timer(TimerOptions::builder(LONG).cancellation_token(group.clone()).build()))
            .collect();
        ctx.timer(Duration::from_millis(100)).await;
        group.cancel();
        Ok(join_all(timers).await.into_iter().filter(|end| *end == TimerResult::Cancelled).count())
    }
}

#[workflow]
#[derive(Default)]
struct Conditions {
    is_set: bool,
}

#[workflow_methods]
impl Conditions {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<(bool, bool)> {
        let in_vain = select! {
            _ = ctx.wait_condition(|it| it.is_set) => true,
            _ = ctx.timer(Duration::from_millis(100)) => false,
        };
        ctx.state_mut(|it| it.is_set = true);
        let with_success = select! {
            _ = ctx.wait_condition(|it| it.is_set) => true,
            _ = ctx.timer(LONG) => false,
        };
        Ok((in_vain, with_success))
    }
}

/// Not less than was asked for.
async fn slept(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Slept>();
    worker
        .during(async {
            let milliseconds = env.execute(Slept::run, 700_u64).await?;
            holds(milliseconds >= 700, format!("{milliseconds} ms"))
        })
        .await
}

/// The short timer wins; the long one goes with the workflow.
async fn race(env: &Env) -> Result<()> {
    env.worker().workflow::<Race>().during(async { equal(env.execute(Race::run, ()).await?, "fast") }).await
}

/// A hundred at once.
async fn many(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<ManyTimers>()
        .during(async { equal(env.execute(ManyTimers::run, 100_u64).await?, 100) })
        .await
}

/// A timer that is taken back.
async fn cancelled(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<CancelledTimer>()
        .during(async { equal(env.execute(CancelledTimer::run, ()).await?, true) })
        .await
}

/// Three timers with one token.
async fn cancelled_as_a_group(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<CancelledGroup>()
        .during(async { equal(env.execute(CancelledGroup::run, ()).await?, 3) })
        .await
}

/// Waiting with and without success.
async fn conditions(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<Conditions>()
        .during(async { equal(env.execute(Conditions::run, ()).await?, (false, true)) })
        .await
}
