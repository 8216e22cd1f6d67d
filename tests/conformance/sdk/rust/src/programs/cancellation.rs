//! Cancellation: of workflows, of activities, of groups.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowExecutionStatus, WorkflowHandle, errors::WorkflowGetResultError,
};
use temporalio_common::{
    HasWorkflowDefinition, protos::temporal::api::history::v1::history_event::Attributes,
};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, CancellableFuture,
    WorkflowCancellationToken, WorkflowContext, WorkflowResult, WorkflowTermination,
    activities::{ActivityContext, ActivityError},
};
use tokio::time::sleep;

use crate::harness::{Case, Env, SOON, count_of, equal, events, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    of_a_workflow,
    with_details,
    with_clean_up,
    ignored,
    activity_try_cancel,
    activity_wait_cancellation_completed,
    activity_abandon,
    one_group_only,
    beforehand
];

#[derive(Default)]
struct Notes {
    notes: Arc<Mutex<Vec<String>>>,
}

#[activities]
impl Notes {
    #[activity]
    async fn note(self: Arc<Self>, _ctx: ActivityContext, text: String) -> Result<(), ActivityError> {
        self.notes.lock().unwrap().push(text);
        Ok(())
    }

    #[activity]
    async fn beats_until_cancelled(ctx: ActivityContext) -> Result<(), ActivityError> {
        while !ctx.is_cancelled() {
            ctx.record_heartbeat(()).await?;
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_millis(300)).await;
        Err(ActivityError::cancelled())
    }
}

#[workflow]
#[derive(Default)]
pub struct LetsItselfBeCancelled;

#[workflow_methods]
impl LetsItselfBeCancelled {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.wait_condition(|_| false).await?;
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
struct CancelledWithDetails;

#[workflow_methods]
impl CancelledWithDetails {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let why = ctx.cancelled().await;
        Err(WorkflowTermination::cancelled_with_details(why))
    }
}

#[workflow]
#[derive(Default)]
struct CleansUp;

#[workflow_methods]
impl CleansUp {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let waited = ctx.wait_condition(|_| false).await;
        let detached = ActivityOptions::with_start_to_close_timeout(SOON)
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        ctx.execute_activity(Notes::note, "cleaned".to_owned(), detached).await?;
        Ok(waited?)
    }
}

#[workflow]
#[derive(Default)]
struct IgnoresIt;

#[workflow_methods]
impl IgnoresIt {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        ctx.cancelled().await;
        Ok("no matter".to_owned())
    }
}

#[workflow]
#[derive(Default)]
struct CancelsItsActivity;

#[workflow_methods]
impl CancelsItsActivity {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, kind: ActivityCancellationType) -> WorkflowResult<bool> {
        let options = ActivityOptions::with_start_to_close_timeout(SOON)
            .heartbeat_timeout(Duration::from_secs(2))
            .cancellation_type(kind)
            .build();
        let activity = ctx.execute_activity(Notes::beats_until_cancelled, (), options);
        ctx.timer(Duration::from_millis(500)).await;
        activity.cancel();
        Ok(matches!(activity.await, Err(ActivityExecutionError::Cancelled(_))))
    }
}

#[workflow]
#[derive(Default)]
struct TwoGroups;

#[workflow_methods]
impl TwoGroups {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<(bool, bool)> {
        let inner = ctx.cancellation_token().child_token();
        let options = ActivityOptions::with_start_to_close_timeout(SOON)
            .heartbeat_timeout(Duration::from_secs(2))
            .cancellation_token(inner.clone())
            .build();
        let cancelled = ctx.execute_activity(Notes::beats_until_cancelled, (), options);
        ctx.timer(Duration::from_millis(300)).await;
        inner.cancel();
        let outer = ActivityOptions::start_to_close_timeout(SOON);
        let goes_on = ctx.execute_activity(Notes::note, "outer".to_owned(), outer).await.is_ok();
        Ok((matches!(cancelled.await, Err(ActivityExecutionError::Cancelled(_))), goes_on))
    }
}

#[workflow]
#[derive(Default)]
struct CancelledBeforehand;

#[workflow_methods]
impl CancelledBeforehand {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<bool> {
        let options = ActivityOptions::start_to_close_timeout(SOON);
        let activity = ctx.execute_activity(Notes::note, "never".to_owned(), options);
        activity.cancel();
        Ok(matches!(activity.await, Err(ActivityExecutionError::Cancelled(_))))
    }
}

/// Asks for the cancellation once the workflow has begun.
async fn cancel<W: HasWorkflowDefinition>(handle: &WorkflowHandle<Client, W>) -> Result<()> {
    until("the first task", async || Ok((events(handle).await?.len() >= 4).then_some(()))).await?;
    let why = WorkflowCancelOptions::builder().reason("enough").build();
    Ok(handle.cancel(why).await?)
}

/// It ends as cancelled, and once more is no error.
async fn of_a_workflow(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<LetsItselfBeCancelled>();
    worker
        .during(async {
            let handle = env.start(LetsItselfBeCancelled::run, ()).await?;
            cancel(&handle).await?;
            let error = failure(result(&handle).await)?;
            holds(matches!(error, WorkflowGetResultError::Cancelled { .. }), &error)?;
            equal(handle.describe(usual()).await?.status(), WorkflowExecutionStatus::Canceled)?;
            Ok(handle.cancel(usual()).await?)
        })
        .await
}

/// The caller learns what the workflow says of it, which knows the reason.
async fn with_details(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<CancelledWithDetails>();
    worker
        .during(async {
            let handle = env.start(CancelledWithDetails::run, ()).await?;
            cancel(&handle).await?;
            match failure(result(&handle).await)? {
                WorkflowGetResultError::Cancelled { details } => {
                    equal(details.deserialize::<Option<String>>()?.as_deref(), Some("enough"))
                }
                other => anyhow::bail!("another end: {other:?}"),
            }
        })
        .await
}

/// What is to be done before the end is done.
async fn with_clean_up(env: &Env) -> Result<()> {
    let notes = Notes::default();
    let written = notes.notes.clone();
    let worker = env.worker().workflow::<CleansUp>().activities(notes);
    worker
        .during(async {
            let handle = env.start(CleansUp::run, ()).await?;
            cancel(&handle).await?;
            let error = failure(result(&handle).await)?;
            holds(matches!(error, WorkflowGetResultError::Cancelled { .. }), &error)?;
            equal(written.lock().unwrap().as_slice(), ["cleaned"].as_slice())
        })
        .await
}

/// A workflow may go on.
async fn ignored(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<IgnoresIt>();
    worker
        .during(async {
            let handle = env.start(IgnoresIt::run, ()).await?;
            cancel(&handle).await?;
            equal(result(&handle).await?, "no matter")
        })
        .await
}

async fn of_an_activity(env: &Env, kind: ActivityCancellationType) -> Result<()> {
    let worker = env
        .worker()
        .workflow::<CancelsItsActivity>()
        .activities(Notes::default())
        .with(|options| options.max_heartbeat_throttle_interval = Duration::from_millis(100));
    worker
        .during(async {
            let handle = env.start(CancelsItsActivity::run, kind).await?;
            equal(result(&handle).await?, true)?;
            let asked =
                |it: &Attributes| matches!(it, Attributes::ActivityTaskCancelRequestedEventAttributes(_));
            let done = |it: &Attributes| matches!(it, Attributes::ActivityTaskCanceledEventAttributes(_));
            let expected = match kind {
                ActivityCancellationType::Abandon => (0, 0),
                ActivityCancellationType::TryCancel => (1, 0),
                _ => (1, 1),
            };
            equal((count_of(&handle, asked).await?, count_of(&handle, done).await?), expected)
        })
        .await
}

/// The workflow goes on as soon as it has asked.
async fn activity_try_cancel(env: &Env) -> Result<()> {
    of_an_activity(env, ActivityCancellationType::TryCancel).await
}

/// It waits for what the activity makes of it.
async fn activity_wait_cancellation_completed(env: &Env) -> Result<()> {
    of_an_activity(env, ActivityCancellationType::WaitCancellationCompleted).await
}

/// The activity hears nothing of it.
async fn activity_abandon(env: &Env) -> Result<()> {
    of_an_activity(env, ActivityCancellationType::Abandon).await
}

/// The other activities are not concerned.
async fn one_group_only(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<TwoGroups>().activities(Notes::default());
    worker.during(async { equal(env.execute(TwoGroups::run, ()).await?, (true, true)) }).await
}

/// What is cancelled before its command has left never begins.
async fn beforehand(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<CancelledBeforehand>().activities(Notes::default());
    worker
        .during(async {
            let handle = env.start(CancelledBeforehand::run, ()).await?;
            equal(result(&handle).await?, true)?;
            let scheduled =
                |it: &Attributes| matches!(it, Attributes::ActivityTaskScheduledEventAttributes(_));
            equal(count_of(&handle, scheduled).await?, 0)
        })
        .await
}
