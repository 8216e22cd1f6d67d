//! Activities that clients start on their own, without a workflow.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::TryStreamExt;
use temporalio_client::{
    ActivityCancelOptions, ActivityDescribeOptions, ActivityExecutionInfoLike, ActivityExecutionStatus,
    ActivityHandle, ActivityIdConflictPolicy, ActivityIdReusePolicy, ActivityStartOptions,
    ActivityStartOptionsBuilder, ActivityTerminateOptions, Client,
    errors::{ActivityInteractionError, ActivityResultError, StartActivityError},
};
use temporalio_common::{
    Priority, RetryPolicy,
    error::{IncomingError, TimeoutType},
};
use temporalio_macros::activities;
use temporalio_sdk::{
    ApplicationFailure,
    activities::{ActivityContext, ActivityError},
};
use tokio::time::sleep;

use crate::harness::{Case, Env, SOON, equal, failure, holds, until, usual};

pub const CASES: &[Case] = crate::cases![
    executed, found_again, retried, failed, cancelled, timed_out; terminated, same_id, listed
];

struct Alone;

#[activities]
impl Alone {
    #[activity]
    async fn shout(_ctx: ActivityContext, word: String) -> Result<String, ActivityError> {
        Ok(word.to_uppercase())
    }

    #[activity]
    async fn third_time_lucky(ctx: ActivityContext) -> Result<u32, ActivityError> {
        match ctx.info().attempt {
            attempt @ ..3 => Err(anyhow::anyhow!("attempt {attempt}").into()),
            attempt => Ok(attempt),
        }
    }

    #[activity]
    async fn fails_for_good(_ctx: ActivityContext) -> Result<(), ActivityError> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("as you wish"))
            .type_name("Wish".to_owned())
            .non_retryable(true)
            .build();
        Err(ActivityError::application(failure))
    }

    #[activity]
    async fn until_cancelled(ctx: ActivityContext) -> Result<(), ActivityError> {
        while !ctx.is_cancelled() {
            ctx.record_heartbeat("still there".to_owned()).await?;
            sleep(Duration::from_millis(100)).await;
        }
        Err(ActivityError::cancelled_with_details("was told".to_owned()))
    }

    #[activity]
    async fn says_who(ctx: ActivityContext) -> Result<(String, String), ActivityError> {
        let info = ctx.info();
        Ok((info.activity_id.clone(), info.workflow_id.clone().unwrap_or_default()))
    }
}

fn options(env: &Env, name: &str) -> ActivityStartOptionsBuilder {
    ActivityStartOptions::with_start_to_close_timeout(env.queue.clone(), env.id(name), SOON)
}

/// An activity that nobody takes.
async fn begin(
    env: &Env,
    change: impl FnOnce(&mut ActivityStartOptions),
) -> Result<ActivityHandle<Client, alone::Shout>, StartActivityError> {
    let mut options = options(env, "").build();
    change(&mut options);
    env.client.start_activity(Alone::shout, "hello".to_owned(), options).await
}

/// Start, result, description.
async fn executed(env: &Env) -> Result<()> {
    let worker = env.worker().activities(Alone);
    worker
        .during(async {
            let details = options(env, "").summary("a summary".to_owned()).build();
            let handle = env.client.start_activity(Alone::shout, "hello".to_owned(), details).await?;
            equal(handle.result().await?, "HELLO")?;
            let everything =
                ActivityDescribeOptions::builder().include_input(true).include_outcome(true).build();
            let description = handle.describe(everything).await?;
            equal(description.status(), ActivityExecutionStatus::Completed)?;
            equal((description.activity_type(), description.attempt()), ("Alone::shout", 1))?;
            equal(description.input().await?.as_deref(), Some("hello"))?;
            equal(description.static_summary().await?.as_deref(), Some("a summary"))?;
            holds(description.has_outcome(), "an outcome")?;
            let who = env.client.start_activity(Alone::says_who, (), options(env, "who").build()).await?;
            equal(who.result().await?, (env.id("who"), String::new()))
        })
        .await
}

/// The result is there for whoever knows the id, also long after the end.
async fn found_again(env: &Env) -> Result<()> {
    let worker = env.worker().activities(Alone);
    worker
        .during(async {
            let urgent = options(env, "").priority(Priority::builder().priority_key(2).build()).build();
            let handle = env.client.start_activity(Alone::shout, "hello".to_owned(), urgent).await?;
            equal(handle.result().await?, "HELLO")?;
            let run_id = handle.run_id().map(str::to_owned);
            let again = env.client.get_activity_handle(Alone::shout, env.id(""), run_id);
            equal(again.result().await?, "HELLO")?;
            equal(again.describe(usual()).await?.priority().priority_key, Some(2))?;
            let nobody = env.client.get_untyped_activity_handle(env.id("nobody"), None);
            let error = failure(nobody.describe(usual()).await.map(|_| ()))?;
            holds(matches!(error, ActivityInteractionError::NotFound(_)), &error)
        })
        .await
}

/// The third attempt succeeds.
async fn retried(env: &Env) -> Result<()> {
    let worker = env.worker().activities(Alone);
    worker
        .during(async {
            let policy = RetryPolicy::builder().initial_interval(Duration::from_millis(20)).build();
            let again = options(env, "").retry_policy(policy).build();
            let handle = env.client.start_activity(Alone::third_time_lucky, (), again).await?;
            equal(handle.result().await?, 3)?;
            equal(handle.describe(usual()).await?.attempt(), 3)
        })
        .await
}

/// The caller gets the failure of the last attempt.
async fn failed(env: &Env) -> Result<()> {
    let worker = env.worker().activities(Alone);
    worker
        .during(async {
            let handle =
                env.client.start_activity(Alone::fails_for_good, (), options(env, "").build()).await?;
            match failure(handle.result().await)? {
                ActivityResultError::ActivityFailed(IncomingError::Application(cause)) => {
                    equal((cause.to_string().as_str(), cause.type_name()), ("as you wish", Some("Wish")))
                }
                other => bail!("another end: {other:?}"),
            }
        })
        .await
}

/// The worker hears of it by its heartbeats.
async fn cancelled(env: &Env) -> Result<()> {
    let worker = env
        .worker()
        .activities(Alone)
        .with(|options| options.max_heartbeat_throttle_interval = Duration::from_millis(100));
    worker
        .during(async {
            let beating = options(env, "").heartbeat_timeout(Duration::from_secs(2)).build();
            let handle = env.client.start_activity(Alone::until_cancelled, (), beating).await?;
            until("the start", async || Ok(handle.describe(usual()).await?.last_started_time())).await?;
            handle.cancel(ActivityCancelOptions::builder().reason("enough".to_owned()).build()).await?;
            match failure(handle.result().await)? {
                ActivityResultError::Cancelled { details } => {
                    equal(details.deserialize::<String>()?, "was told")?;
                }
                other => bail!("another end: {other:?}"),
            }
            let description = handle.describe(usual()).await?;
            equal(description.status(), ActivityExecutionStatus::Canceled)?;
            equal(description.canceled_reason(), Some("enough"))
        })
        .await
}

/// Nobody has to take it for that.
async fn terminated(env: &Env) -> Result<()> {
    let handle = begin(env, |_| ()).await?;
    handle.terminate(ActivityTerminateOptions::builder().reason("enough".to_owned()).build()).await?;
    let error = failure(handle.result().await)?;
    holds(matches!(error, ActivityResultError::Terminated), &error)
}

/// By the time for one attempt, and by the time until a worker takes it.
async fn timed_out(env: &Env) -> Result<()> {
    let second = Duration::from_secs(1);
    let worker = env.worker().activities(Alone);
    worker
        .during(async {
            let mut short =
                options(env, "").retry_policy(RetryPolicy::builder().maximum_attempts(1).build()).build();
            short.close_timeouts = temporalio_common::ActivityCloseTimeouts::StartToClose(second);
            let handle = env.client.start_activity(Alone::until_cancelled, (), short).await?;
            is_timed_out(handle.result().await, TimeoutType::StartToClose)
        })
        .await?;
    let unseen = begin(env, |options| {
        options.id = env.id("unseen");
        options.schedule_to_start_timeout = Some(second);
    });
    is_timed_out(unseen.await?.result().await, TimeoutType::ScheduleToStart)
}

fn is_timed_out<T>(result: Result<T, ActivityResultError>, of: TimeoutType) -> Result<()> {
    match failure(result)? {
        ActivityResultError::TimedOut(kind) => equal(kind, of),
        ActivityResultError::ActivityFailed(IncomingError::Timeout(error)) => equal(error.timeout_type(), of),
        other => bail!("another end: {other:?}"),
    }
}

/// What the policies say to a second start.
async fn same_id(env: &Env) -> Result<()> {
    let first = begin(env, |_| ()).await?;
    is_refused(begin(env, |_| ()).await, first.run_id())?;
    let used =
        begin(env, |options| options.id_conflict_policy = ActivityIdConflictPolicy::UseExisting).await?;
    equal(used.run_id(), first.run_id())?;
    first.terminate(usual()).await?;
    let again = begin(env, |options| options.id_reuse_policy = ActivityIdReusePolicy::RejectDuplicate).await;
    is_refused(again, first.run_id())?;
    let second = begin(env, |_| ()).await?;
    holds(second.run_id() != first.run_id(), second.run_id())?;
    Ok(second.terminate(usual()).await?)
}

fn is_refused<T>(started: Result<T, StartActivityError>, by: Option<&str>) -> Result<()> {
    match failure(started)? {
        StartActivityError::AlreadyStarted { run_id, .. } => equal(Some(run_id.as_str()), by),
        other => bail!("another error: {other:?}"),
    }
}

/// Lists and counts of one's own.
async fn listed(env: &Env) -> Result<()> {
    let mut started = Vec::new();
    for number in 0..3 {
        started.push(begin(env, |options| options.id = env.id(&number.to_string())).await?);
    }
    let query = format!("TaskQueue = '{}'", env.queue);
    until("the list", async || {
        Ok((env.client.count_activities(&query, usual()).await?.count() == 3).then_some(()))
    })
    .await?;
    let found: Vec<_> = env.client.list_activities(&query, usual()).try_collect().await?;
    let mut ids: Vec<_> = found.iter().map(|info| info.activity_id().to_owned()).collect();
    ids.sort();
    equal(ids, started.iter().map(|handle| handle.activity_id().to_owned()).collect::<Vec<_>>())?;
    for handle in started {
        handle.terminate(usual()).await?;
    }
    Ok(())
}
