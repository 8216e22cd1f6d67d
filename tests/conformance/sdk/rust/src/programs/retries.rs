//! Activities that fail: retried, given up, timed out; heartbeats that carry over to the next attempt.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use temporalio_common::{RetryPolicy, error::IncomingError};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityCloseTimeouts, ActivityExecutionError, ActivityOptions, ApplicationFailure, WorkflowContext,
    WorkflowResult,
    activities::{ActivityContext, ActivityError},
};
use tokio::time::sleep;

use super::hello::Greeter;
use crate::harness::{Case, Env, SOON, equal, holds};

pub const CASES: &[Case] = crate::cases![
    third_time_lucky,
    attempts_run_out,
    not_retryable,
    listed_as_not_retryable,
    a_panic,
    delay_of_its_own,
    start_to_close,
    heartbeat,
    schedule_to_start,
    schedule_to_close,
    heartbeat_details,
    unknown_activity
];

const SECOND: Duration = Duration::from_secs(1);

struct Failing;

#[activities]
impl Failing {
    #[activity]
    async fn third_time_lucky(ctx: ActivityContext) -> Result<u32, ActivityError> {
        match ctx.info().attempt {
            attempt @ ..3 => Err(anyhow::anyhow!("attempt {attempt}").into()),
            attempt => Ok(attempt),
        }
    }

    #[activity]
    async fn fails(_ctx: ActivityContext, non_retryable: bool) -> Result<(), ActivityError> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("no luck"))
            .type_name("Sad".to_owned())
            .non_retryable(non_retryable)
            .details(("Sad".to_owned(), 7))
            .build();
        Err(ActivityError::application(failure))
    }

    #[activity]
    async fn panics(_ctx: ActivityContext) -> Result<(), ActivityError> {
        panic!("out of luck");
    }

    #[activity]
    async fn asks_for_a_delay(ctx: ActivityContext) -> Result<u128, ActivityError> {
        let info = ctx.info();
        if info.attempt == 1 {
            let failure =
                ApplicationFailure::builder(anyhow::anyhow!("later")).next_retry_delay(SECOND).build();
            return Err(ActivityError::application(failure));
        }
        let (first, current) = (info.scheduled_time, info.current_attempt_scheduled_time);
        Ok(current.unwrap().duration_since(first.unwrap())?.as_millis())
    }

    #[activity]
    async fn sleeps(ctx: ActivityContext) -> Result<(), ActivityError> {
        tokio::select! {
            () = sleep(Duration::from_secs(30)) => Ok(()),
            () = ctx.cancelled() => Err(ActivityError::cancelled()),
        }
    }

    #[activity]
    async fn beats_and_stops(ctx: ActivityContext) -> Result<Option<u32>, ActivityError> {
        if ctx.info().attempt == 1 {
            ctx.record_heartbeat(50_u32).await?;
            ctx.cancelled().await;
        }
        Ok(ctx.heartbeat_details().deserialize()?)
    }
}

/// What is known of an activity that has failed for good.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
struct Caught {
    kind: String,
    message: String,
    details: Option<(String, i32)>,
    activity: String,
    retry_state: String,
}

fn caught(error: ActivityExecutionError) -> Caught {
    let ActivityExecutionError::Failed(failure) = error else {
        return Caught { kind: format!("{error:?}"), ..Caught::default() };
    };
    let mut caught = Caught {
        activity: failure.activity_type().unwrap_or_default().to_owned(),
        retry_state: format!("{:?}", failure.retry_state()),
        ..Caught::default()
    };
    match failure.cause() {
        Some(IncomingError::Application(cause)) => {
            caught.kind = cause.type_name().unwrap_or_default().to_owned();
            caught.message = cause.to_string();
            caught.details = cause.details().ok().flatten();
        }
        Some(IncomingError::Timeout(cause)) => caught.kind = format!("{:?}", cause.timeout_type()),
        other => caught.kind = format!("{other:?}"),
    }
    caught
}

#[workflow]
#[derive(Default)]
struct Lucky;

#[workflow_methods]
impl Lucky {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        Ok(ctx.execute_activity(Failing::third_time_lucky, (), quickly(0)).await?)
    }
}

#[workflow]
#[derive(Default)]
struct Unlucky;

#[workflow_methods]
impl Unlucky {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, how: How) -> WorkflowResult<Caught> {
        let policy = RetryPolicy::builder()
            .initial_interval(Duration::from_millis(50))
            .maximum_attempts(how.attempts)
            .non_retryable_error_types(how.not_retried)
            .build();
        let options = ActivityOptions::with_start_to_close_timeout(SOON).retry_policy(policy).build();
        let outcome = if how.panics {
            ctx.execute_activity(Failing::panics, (), options).await
        } else {
            ctx.execute_activity(Failing::fails, how.non_retryable, options).await
        };
        Ok(outcome.err().map(caught).unwrap_or_default())
    }
}

#[derive(Default, Deserialize, Serialize)]
struct How {
    non_retryable: bool,
    attempts: u32,
    not_retried: Vec<String>,
    panics: bool,
}

#[workflow]
#[derive(Default)]
struct Delayed;

#[workflow_methods]
impl Delayed {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u128> {
        Ok(ctx.execute_activity(Failing::asks_for_a_delay, (), quickly(0)).await?)
    }
}

#[workflow]
#[derive(Default)]
struct TimesOut;

#[workflow_methods]
impl TimesOut {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, which: String) -> WorkflowResult<Caught> {
        let mut options = quickly(1);
        match which.as_str() {
            "StartToClose" => options.close_timeouts = ActivityCloseTimeouts::StartToClose(SECOND),
            "Heartbeat" => options.heartbeat_timeout = Some(SECOND),
            "ScheduleToStart" => {
                options.schedule_to_start_timeout = Some(SECOND);
                options.task_queue = Some("nobody-polls-this-queue".to_owned());
            }
            _ => options = ActivityOptions::schedule_to_close_timeout(SECOND),
        }
        let outcome = ctx.execute_activity(Failing::sleeps, (), options).await;
        Ok(outcome.err().map(caught).unwrap_or_default())
    }
}

#[workflow]
#[derive(Default)]
struct Beats;

#[workflow_methods]
impl Beats {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Option<u32>> {
        let mut options = quickly(0);
        options.heartbeat_timeout = Some(SECOND);
        Ok(ctx.execute_activity(Failing::beats_and_stops, (), options).await?)
    }
}

/// Attempts that follow each other at once; nought is no bound.
fn quickly(attempts: u32) -> ActivityOptions {
    let policy =
        RetryPolicy::builder().initial_interval(Duration::from_millis(50)).maximum_attempts(attempts).build();
    ActivityOptions::with_start_to_close_timeout(SOON).retry_policy(policy).build()
}

/// Two failures, then a result.
async fn third_time_lucky(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<Lucky>()
        .activities(Failing)
        .during(async { equal(env.execute(Lucky::run, ()).await?, 3) })
        .await
}

async fn given_up(env: &Env, how: How, retry_state: &str) -> Result<()> {
    let worker = env.worker().workflow::<Unlucky>().activities(Failing);
    worker
        .during(async {
            let expected = Caught {
                kind: "Sad".to_owned(),
                message: "no luck".to_owned(),
                details: Some(("Sad".to_owned(), 7)),
                activity: "Failing::fails".to_owned(),
                retry_state: retry_state.to_owned(),
            };
            equal(env.execute(Unlucky::run, how).await?, expected)
        })
        .await
}

/// The workflow learns why nothing more is tried: there were enough attempts.
async fn attempts_run_out(env: &Env) -> Result<()> {
    given_up(env, How { attempts: 2, ..How::default() }, "MaximumAttemptsReached").await
}

/// The failure itself says so.
async fn not_retryable(env: &Env) -> Result<()> {
    given_up(env, How { non_retryable: true, attempts: 5, ..How::default() }, "NonRetryableFailure").await
}

/// The policy names its type.
async fn listed_as_not_retryable(env: &Env) -> Result<()> {
    let how = How { attempts: 5, not_retried: vec!["Sad".to_owned()], ..How::default() };
    given_up(env, how, "NonRetryableFailure").await
}

/// A panic is a failure like others.
async fn a_panic(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Unlucky>().activities(Failing);
    worker
        .during(async {
            let how = How { panics: true, attempts: 2, ..How::default() };
            let caught = env.execute(Unlucky::run, how).await?;
            holds(caught.message.contains("out of luck"), &caught)?;
            equal(caught.retry_state, "MaximumAttemptsReached")
        })
        .await
}

/// A failure says when the next attempt is due.
async fn delay_of_its_own(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Delayed>().activities(Failing);
    worker
        .during(async {
            let waited = env.execute(Delayed::run, ()).await?;
            holds((1000..3000).contains(&waited), format!("waited for {waited} ms"))
        })
        .await
}

async fn timed_out(env: &Env, which: &str, retry_state: &str) -> Result<()> {
    let worker = env.worker().workflow::<TimesOut>().activities(Failing);
    worker
        .during(async {
            let caught = env.execute(TimesOut::run, which).await?;
            equal((caught.kind.as_str(), caught.retry_state.as_str()), (which, retry_state))
        })
        .await
}

/// An attempt has taken too long.
async fn start_to_close(env: &Env) -> Result<()> {
    timed_out(env, "StartToClose", "MaximumAttemptsReached").await
}

/// Nothing was heard of it.
async fn heartbeat(env: &Env) -> Result<()> {
    timed_out(env, "Heartbeat", "MaximumAttemptsReached").await
}

/// Nobody took it.
async fn schedule_to_start(env: &Env) -> Result<()> {
    timed_out(env, "ScheduleToStart", "Timeout").await
}

/// All attempts together have taken too long.
async fn schedule_to_close(env: &Env) -> Result<()> {
    timed_out(env, "ScheduleToClose", "Timeout").await
}

/// What the first attempt reported, the second is told.
async fn heartbeat_details(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<Beats>()
        .activities(Failing)
        .during(async { equal(env.execute(Beats::run, ()).await?, Some(50)) })
        .await
}

/// A worker that does not know the activity fails it, and it is tried again until its time is over.
async fn unknown_activity(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<TimesOut>().activities(Greeter);
    worker
        .during(async {
            let caught = env.execute(TimesOut::run, "ScheduleToClose").await?;
            holds(!caught.retry_state.is_empty(), &caught)
        })
        .await
}
