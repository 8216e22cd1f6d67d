//! Local activities: in the history they are markers.

use std::time::Duration;

use anyhow::Result;
use temporalio_common::{RetryPolicy, protos::temporal::api::history::v1::history_event::Attributes};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, LocalActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
    workflows::join_all,
};
use tokio::time::sleep;

use crate::harness::{Case, Env, SOON, count_of, equal, result};

pub const CASES: &[Case] = crate::cases![several, retried, retried_after_a_timer, failed, long];

struct Local;

#[activities]
impl Local {
    #[activity]
    async fn double(_ctx: ActivityContext, number: i64) -> Result<i64, ActivityError> {
        Ok(2 * number)
    }

    #[activity]
    async fn third_time_lucky(ctx: ActivityContext) -> Result<u32, ActivityError> {
        match ctx.info().attempt {
            attempt @ ..3 => Err(anyhow::anyhow!("attempt {attempt}").into()),
            attempt => Ok(attempt),
        }
    }

    #[activity]
    async fn fails(_ctx: ActivityContext) -> Result<(), ActivityError> {
        Err(anyhow::anyhow!("no luck here").into())
    }

    #[activity]
    async fn takes_four_seconds(ctx: ActivityContext) -> Result<u32, ActivityError> {
        sleep(Duration::from_secs(4)).await;
        Ok(ctx.info().attempt)
    }
}

fn options(policy: RetryPolicy) -> LocalActivityOptions {
    LocalActivityOptions::builder().start_to_close_timeout(SOON).retry_policy(policy).build()
}

fn every(milliseconds: u64) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_millis(milliseconds))
        .backoff_coefficient(1.0)
        .build()
}

#[workflow]
#[derive(Default)]
struct Doubles;

#[workflow_methods]
impl Doubles {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, numbers: Vec<i64>) -> WorkflowResult<(Vec<i64>, Vec<i64>)> {
        let double = |number: &i64| {
            ctx.execute_local_activity(Local::double, *number, options(RetryPolicy::default()))
        };
        let mut one_by_one = Vec::new();
        for number in &numbers {
            one_by_one.push(double(number).await?);
        }
        let at_once = join_all(numbers.iter().map(double)).await.into_iter().collect::<Result<_, _>>()?;
        Ok((one_by_one, at_once))
    }
}

#[workflow]
#[derive(Default)]
struct Retries;

#[workflow_methods]
impl Retries {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        Ok(ctx.execute_local_activity(Local::third_time_lucky, (), options(every(50))).await?)
    }
}

/// The pause between two attempts is longer than the worker keeps its task: a timer waits for it.
#[workflow]
#[derive(Default)]
struct BacksOff;

#[workflow_methods]
impl BacksOff {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        let mut options = options(every(500));
        options.timer_backoff_threshold = Some(Duration::from_millis(100));
        Ok(ctx.execute_local_activity(Local::third_time_lucky, (), options).await?)
    }
}

#[workflow]
#[derive(Default)]
struct Fails;

#[workflow_methods]
impl Fails {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let twice = RetryPolicy::builder().maximum_attempts(2).build();
        Ok(match ctx.execute_local_activity(Local::fails, (), options(twice)).await {
            Err(ActivityExecutionError::Failed(failure)) => failure.failure().message.clone(),
            other => format!("another end: {other:?}"),
        })
    }
}

/// Longer than the time-out of the workflow's task, which the worker has to keep.
#[workflow]
#[derive(Default)]
struct Long;

#[workflow_methods]
impl Long {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        Ok(ctx.execute_local_activity(Local::takes_four_seconds, (), options(RetryPolicy::default())).await?)
    }
}

/// One after the other and all at once.
async fn several(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Doubles>().activities(Local);
    worker
        .during(async {
            let handle = env.start(Doubles::run, vec![1, 2, 3]).await?;
            equal(result(&handle).await?, (vec![2, 4, 6], vec![2, 4, 6]))?;
            let marker = |it: &Attributes| matches!(it, Attributes::MarkerRecordedEventAttributes(_));
            let scheduled =
                |it: &Attributes| matches!(it, Attributes::ActivityTaskScheduledEventAttributes(_));
            equal((count_of(&handle, marker).await?, count_of(&handle, scheduled).await?), (6, 0))
        })
        .await
}

/// Within one task of the workflow.
async fn retried(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Retries>().activities(Local);
    worker.during(async { equal(env.execute(Retries::run, ()).await?, 3) }).await
}

/// A long pause is a timer of the server.
async fn retried_after_a_timer(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<BacksOff>().activities(Local);
    worker
        .during(async {
            let handle = env.start(BacksOff::run, ()).await?;
            equal(result(&handle).await?, 3)?;
            let fired = |it: &Attributes| matches!(it, Attributes::TimerFiredEventAttributes(_));
            equal(count_of(&handle, fired).await?, 2)
        })
        .await
}

/// The workflow learns what it was.
async fn failed(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Fails>().activities(Local);
    worker.during(async { equal(env.execute(Fails::run, ()).await?, "no luck here") }).await
}

/// The worker keeps its task by heartbeats.
async fn long(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Long>().activities(Local);
    worker
        .during(async {
            let options = env.options("").task_timeout(Duration::from_secs(2)).build();
            equal(result(&env.start_with(Long::run, (), options).await?).await?, 1)
        })
        .await
}
