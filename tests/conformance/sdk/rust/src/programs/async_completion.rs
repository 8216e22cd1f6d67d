//! Activities that somebody else completes.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use temporalio_client::{ActivityIdentifier, Client, errors::AsyncActivityError};
use temporalio_common::{RetryPolicy, error::IncomingError, protos::TaskToken};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, ActivityOptions, ApplicationFailure, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, ActivityInfo},
};

use crate::harness::{Case, Env, SOON, equal, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![by_token, by_id, failed, cancelled];

type Left = Arc<Mutex<Option<ActivityInfo>>>;

struct LeftToOthers {
    info: Left,
}

#[activities]
impl LeftToOthers {
    #[activity]
    async fn left(self: Arc<Self>, ctx: ActivityContext) -> Result<String, ActivityError> {
        *self.info.lock().unwrap() = Some(ctx.info().clone());
        Err(ActivityError::WillCompleteAsync)
    }
}

#[workflow]
#[derive(Default)]
struct ByHand;

#[workflow_methods]
impl ByHand {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let once = RetryPolicy::builder().maximum_attempts(1).build();
        let options = ActivityOptions::with_start_to_close_timeout(SOON).retry_policy(once).build();
        Ok(match ctx.execute_activity(LeftToOthers::left, (), options).await {
            Ok(told) => told,
            Err(ActivityExecutionError::Cancelled(_)) => "cancelled".to_owned(),
            Err(ActivityExecutionError::Failed(failure)) => match failure.cause() {
                Some(IncomingError::Application(cause)) => format!("failed: {cause}"),
                Some(IncomingError::Cancelled(_)) => "cancelled".to_owned(),
                other => format!("another cause: {other:?}"),
            },
            Err(error) => format!("another end: {error:?}"),
        })
    }
}

/// Runs the workflow and gives what is needed to complete its activity to `finish`.
async fn left(env: &Env, finish: impl AsyncFnOnce(&Client, ActivityInfo) -> Result<()>) -> Result<String> {
    let info = Left::default();
    let worker = env.worker().workflow::<ByHand>().activities(LeftToOthers { info: info.clone() });
    worker
        .during(async {
            let handle = env.start(ByHand::run, ()).await?;
            let info = until("the activity to start", async || Ok(info.lock().unwrap().take())).await?;
            finish(&env.client, info).await?;
            Ok(result(&handle).await?)
        })
        .await
}

fn token(info: &ActivityInfo) -> ActivityIdentifier {
    ActivityIdentifier::from_task_token(TaskToken::from(info.task_token.clone()))
}

/// Completed with what the activity was given; a second time it is unknown.
async fn by_token(env: &Env) -> Result<()> {
    let told = left(env, async |client, info| {
        let activity = client.get_async_activity_handle(token(&info));
        activity.heartbeat(Some("half".to_owned()), usual()).await?;
        activity.complete(Some("by token".to_owned()), usual()).await?;
        let error = failure(activity.complete(Some("again".to_owned()), usual()).await)?;
        holds(matches!(error, AsyncActivityError::NotFound(_)), &error)
    });
    equal(told.await?, "by token")
}

/// Completed by those who know its name.
async fn by_id(env: &Env) -> Result<()> {
    let told = left(env, async |client, info| {
        let (workflow_id, run_id) = (info.workflow_id.unwrap(), info.workflow_run_id.unwrap());
        let identifier = ActivityIdentifier::by_id_workflow(workflow_id, run_id, info.activity_id);
        let activity = client.get_async_activity_handle(identifier);
        Ok(activity.complete(Some("by id".to_owned()), usual()).await?)
    });
    equal(told.await?, "by id")
}

/// A failure from outside.
async fn failed(env: &Env) -> Result<()> {
    let told = left(env, async |client, info| {
        let activity = client.get_async_activity_handle(token(&info));
        let failure = ApplicationFailure::non_retryable("so sad");
        Ok(activity.fail(failure, None::<String>, usual()).await?)
    });
    equal(told.await?, "failed: so sad")
}

/// Nobody has asked for it, so it may not be.
async fn cancelled(env: &Env) -> Result<()> {
    let told = left(env, async |client, info| {
        let activity = client.get_async_activity_handle(token(&info));
        let error = failure(activity.report_cancelation(None::<String>, usual()).await)?;
        holds(matches!(error, AsyncActivityError::Rpc(_)), &error)?;
        Ok(activity.complete(Some("still there".to_owned()), usual()).await?)
    });
    equal(told.await?, "still there")
}
