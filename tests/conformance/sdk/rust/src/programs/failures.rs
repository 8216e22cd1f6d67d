//! Workflows that fail, are tried again, terminated, or run out of time.

use std::time::Duration;

use anyhow::{Result, bail};
use temporalio_client::{WorkflowExecutionStatus, WorkflowTerminateOptions, errors::WorkflowGetResultError};
use temporalio_common::{
    RetryPolicy, error::IncomingError, protos::temporal::api::history::v1::history_event::Attributes,
};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

use super::hello::Nothing;
use crate::harness::{Case, Env, SOON, count_of, equal, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    application_failure, failure_of_an_activity, second_run_lucky, broken_task; run_timeout, execution_timeout
];

struct Broken;

#[activities]
impl Broken {
    #[activity]
    async fn broken(_ctx: ActivityContext) -> Result<(), ActivityError> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("too far"))
            .type_name("RangeError".to_owned())
            .non_retryable(true)
            .build();
        Err(ActivityError::application(failure))
    }
}

#[workflow]
#[derive(Default)]
struct FailsForGood;

#[workflow_methods]
impl FailsForGood {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("as you wish"))
            .type_name("Wish".to_owned())
            .non_retryable(true)
            .details(("a".to_owned(), 2))
            .build();
        Err(failure.into())
    }
}

#[workflow]
#[derive(Default)]
struct FailsOfItsActivity;

#[workflow_methods]
impl FailsOfItsActivity {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        Ok(ctx.execute_activity(Broken::broken, (), ActivityOptions::start_to_close_timeout(SOON)).await?)
    }
}

#[workflow]
#[derive(Default)]
struct SecondRunLucky;

#[workflow_methods]
impl SecondRunLucky {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        match ctx.info().attempt() {
            1 => Err(ApplicationFailure::new("not yet").into()),
            attempt => Ok(attempt),
        }
    }
}

#[workflow]
#[derive(Default)]
struct BrokenTask;

#[workflow_methods]
impl BrokenTask {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        panic!("a bug");
    }
}

/// Type and details reach the caller.
async fn application_failure(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<FailsForGood>();
    worker
        .during(async {
            let handle = env.start(FailsForGood::run, ()).await?;
            let WorkflowGetResultError::Failed(error) = failure(result(&handle).await)? else {
                bail!("another end")
            };
            let IncomingError::Application(cause) = *error else { bail!("another cause: {error:?}") };
            equal(cause.to_string(), "as you wish")?;
            equal((cause.type_name(), cause.is_non_retryable()), (Some("Wish"), true))?;
            equal(cause.details()?, Some(("a".to_owned(), 2)))
        })
        .await
}

/// The chain of causes is whole.
async fn failure_of_an_activity(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<FailsOfItsActivity>().activities(Broken);
    worker
        .during(async {
            let handle = env.start(FailsOfItsActivity::run, ()).await?;
            let WorkflowGetResultError::Failed(error) = failure(result(&handle).await)? else {
                bail!("another end")
            };
            let IncomingError::Activity(activity) = *error else { bail!("another failure: {error:?}") };
            equal(activity.activity_type(), Some("Broken::broken"))?;
            let Some(IncomingError::Application(cause)) = activity.cause() else { bail!("another cause") };
            equal((cause.type_name(), cause.to_string()), (Some("RangeError"), "too far".to_owned()))
        })
        .await
}

/// A retry policy of the workflow makes a second run.
async fn second_run_lucky(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<SecondRunLucky>();
    worker
        .during(async {
            let policy = RetryPolicy::builder()
                .initial_interval(Duration::from_millis(100))
                .maximum_attempts(3)
                .build();
            let options = env.options("").retry_policy(policy).build();
            let handle = env.start_with(SecondRunLucky::run, (), options).await?;
            equal(result(&handle).await?, 2)
        })
        .await
}

/// A bug fails the task and not the workflow, which is then terminated.
async fn broken_task(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<BrokenTask>();
    worker
        .during(async {
            let handle = env.start(BrokenTask::run, ()).await?;
            until("a failed task", async || {
                let failed = |it: &Attributes| matches!(it, Attributes::WorkflowTaskFailedEventAttributes(_));
                Ok((count_of(&handle, failed).await? > 0).then_some(()))
            })
            .await?;
            equal(handle.describe(usual()).await?.status(), WorkflowExecutionStatus::Running)?;
            handle.terminate(WorkflowTerminateOptions::builder().reason("enough").build()).await?;
            let error = failure(result(&handle).await)?;
            holds(matches!(error, WorkflowGetResultError::Terminated { .. }), &error)
        })
        .await?;
    // It cannot be replayed: that is its point.
    env.replay_nothing();
    Ok(())
}

/// Time runs out for a run without a worker.
async fn run_timeout(env: &Env) -> Result<()> {
    let options = env.options("").run_timeout(Duration::from_secs(1)).build();
    timed_out(env, options).await
}

/// The same for all runs together.
async fn execution_timeout(env: &Env) -> Result<()> {
    let options = env.options("").execution_timeout(Duration::from_secs(1)).build();
    timed_out(env, options).await
}

async fn timed_out(env: &Env, options: temporalio_client::WorkflowStartOptions) -> Result<()> {
    let handle = env.start_with(Nothing::run, (), options).await?;
    let error = failure(result(&handle).await)?;
    holds(matches!(error, WorkflowGetResultError::TimedOut), &error)?;
    equal(handle.describe(usual()).await?.status(), WorkflowExecutionStatus::TimedOut)
}
