//! Activities that are paused, reset and given other options while they run, by calls that the client has as they are.

use std::time::Duration;

use anyhow::Result;
use temporalio_client::{Client, WorkflowHandle, tonic::Request};
use temporalio_common::{
    HasWorkflowDefinition, RetryPolicy,
    protos::temporal::api::{
        common::v1::WorkflowExecution,
        workflow::v1::PendingActivityInfo,
        workflowservice::v1::{
            PauseActivityRequest, ResetActivityRequest, UnpauseActivityRequest, pause_activity_request,
            reset_activity_request, unpause_activity_request,
        },
    },
};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};
use tokio::time::sleep;

use crate::harness::{Case, Env, NAMESPACE, SOON, equal, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![paused_while_it_runs, reset_while_it_runs];

struct Works;

#[activities]
impl Works {
    /// Tells in its second attempt that the first one was told to stop.
    #[activity]
    async fn until_told(ctx: ActivityContext) -> Result<String, ActivityError> {
        if let Some(told) = ctx.heartbeat_details().deserialize::<Option<String>>()?.flatten() {
            return Ok(told);
        }
        while !ctx.is_cancelled() {
            ctx.record_heartbeat(None::<String>).await?;
            sleep(Duration::from_millis(50)).await;
        }
        ctx.record_heartbeat(Some("told".to_owned())).await?;
        Err(anyhow::anyhow!("was told to stop").into())
    }
}

#[workflow]
#[derive(Default)]
struct HasItDone;

#[workflow_methods]
impl HasItDone {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let again = RetryPolicy::builder()
            .initial_interval(Duration::from_millis(200))
            .backoff_coefficient(1.0)
            .build();
        let options = ActivityOptions::with_start_to_close_timeout(SOON)
            .activity_id("it".to_owned())
            .heartbeat_timeout(Duration::from_secs(2))
            .retry_policy(again)
            .build();
        Ok(ctx.execute_activity(Works::until_told, (), options).await?)
    }
}

async fn pending<W: HasWorkflowDefinition>(
    handle: &WorkflowHandle<Client, W>,
) -> Result<Option<PendingActivityInfo>> {
    Ok(handle.describe(usual()).await?.into_raw().pending_activities.pop())
}

async fn started<W: HasWorkflowDefinition>(handle: &WorkflowHandle<Client, W>) -> Result<WorkflowExecution> {
    until("the attempt to begin", async || Ok(pending(handle).await?.and_then(|it| it.last_started_time)))
        .await?;
    Ok(WorkflowExecution { workflow_id: handle.info().workflow_id.clone(), run_id: String::new() })
}

/// The code is cancelled; after the unpause it is tried again with its heartbeat.
async fn paused_while_it_runs(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<HasItDone>().activities(Works);
    worker
        .during(async {
            let handle = env.start(HasItDone::run, ()).await?;
            let execution = Some(started(&handle).await?);
            let mut service = env.client.connection().workflow_service();
            let pause = PauseActivityRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution.clone(),
                activity: Some(pause_activity_request::Activity::Id("it".to_owned())),
                reason: "lunch".to_owned(),
                ..PauseActivityRequest::default()
            };
            service.pause_activity(Request::new(pause)).await?;
            let paused = until("the attempt to end", async || {
                Ok(pending(&handle).await?.filter(|it| it.attempt == 2 && it.last_started_time.is_none()))
            })
            .await?;
            holds(paused.paused && paused.pause_info.is_some(), &paused)?;
            let unpause = UnpauseActivityRequest {
                namespace: NAMESPACE.to_owned(),
                execution,
                activity: Some(unpause_activity_request::Activity::Id("it".to_owned())),
                ..UnpauseActivityRequest::default()
            };
            service.unpause_activity(Request::new(unpause)).await?;
            equal(result(&handle).await?, "told")
        })
        .await
}

/// The code is cancelled, and tried again with its heartbeat.
async fn reset_while_it_runs(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<HasItDone>().activities(Works);
    worker
        .during(async {
            let handle = env.start(HasItDone::run, ()).await?;
            let reset = ResetActivityRequest {
                namespace: NAMESPACE.to_owned(),
                execution: Some(started(&handle).await?),
                activity: Some(reset_activity_request::Activity::Id("it".to_owned())),
                ..ResetActivityRequest::default()
            };
            env.client.connection().workflow_service().reset_activity(Request::new(reset)).await?;
            equal(result(&handle).await?, "told")
        })
        .await
}
