//! Versions of workers: pinned workflows, those that move on, ramps, overrides, children.

use anyhow::Result;
use futures::future::LocalBoxFuture;
use temporalio_client::{Client, WorkflowHandle, tonic::Request};
use temporalio_common::{
    HasWorkflowDefinition, VersioningOverride,
    protos::temporal::api::{
        history::v1::history_event::Attributes,
        workflowservice::v1::{
            DescribeWorkerDeploymentRequest, DescribeWorkerDeploymentResponse,
            SetWorkerDeploymentCurrentVersionRequest, SetWorkerDeploymentRampingVersionRequest,
        },
    },
    worker::{VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion},
};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, SignalWorkflowOptions, SyncWorkflowContext, WorkflowContext,
    WorkflowContextView, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

use crate::harness::{Case, Env, NAMESPACE, SOON, count_of, equal, result, until, usual};

pub const CASES: &[Case] = crate::cases![pinned, moving, overridden, ramped, children];

/// An activity that tells of which version its worker is.
struct Place {
    build_id: &'static str,
}

#[activities]
impl Place {
    #[activity]
    async fn tell(self: std::sync::Arc<Self>, _ctx: ActivityContext) -> Result<String, ActivityError> {
        Ok(self.build_id.to_owned())
    }
}

/// Tells on which version each of its steps ran.
#[workflow]
#[derive(Default)]
struct Steps {
    steps: usize,
}

#[workflow_methods]
impl Steps {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, count: usize) -> WorkflowResult<Vec<String>> {
        let mut told = Vec::new();
        for step in 0..count {
            ctx.wait_condition(|it| it.steps > step).await?;
            let options = ActivityOptions::start_to_close_timeout(SOON);
            told.push(ctx.execute_activity(Place::tell, (), options).await?);
        }
        Ok(told)
    }

    #[signal]
    fn step(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.steps += 1;
    }

    #[query]
    fn seen(&self, _ctx: &WorkflowContextView) -> usize {
        self.steps
    }
}

#[workflow]
#[derive(Default)]
struct Parent;

#[workflow_methods]
impl Parent {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<String>> {
        let child = ctx.start_child_workflow(Steps::run, 1_usize, ChildWorkflowOptions::default()).await?;
        child.signal(Steps::step, (), SignalWorkflowOptions::default()).await?;
        Ok(child.result().await?)
    }
}

fn deployment(env: &Env) -> String {
    env.id("").replace('.', "-")
}

fn version(env: &Env, build_id: &str) -> WorkerDeploymentVersion {
    WorkerDeploymentVersion::builder().deployment_name(deployment(env)).build_id(build_id).build()
}

/// Runs workers of the versions 1 and 2, and the case when both are known.
async fn with_both(
    env: &Env,
    behaviour: VersioningBehavior,
    body: impl Future<Output = Result<()>>,
) -> Result<()> {
    let worker = |build_id| {
        let options = WorkerDeploymentOptions::new(version(env, build_id))
            .use_worker_versioning(true)
            .default_versioning_behavior(behaviour)
            .build();
        env.worker()
            .workflow::<Steps>()
            .workflow::<Parent>()
            .activities(Place { build_id })
            .with(|worker| worker.deployment_options = options)
    };
    let both: LocalBoxFuture<'_, Result<()>> = Box::pin(worker("2").during(async {
        appeared(env).await?;
        body.await
    }));
    worker("1").during(both).await
}

async fn described(env: &Env) -> Result<DescribeWorkerDeploymentResponse> {
    let request =
        DescribeWorkerDeploymentRequest { namespace: NAMESPACE.to_owned(), deployment_name: deployment(env) };
    let mut service = env.client.connection().workflow_service();
    Ok(service.describe_worker_deployment(Request::new(request)).await?.into_inner())
}

async fn appeared(env: &Env) -> Result<()> {
    until("both versions", async || {
        let known = described(env).await.ok().and_then(|answer| answer.worker_deployment_info);
        Ok(known.filter(|info| info.version_summaries.len() == 2).map(|_| ()))
    })
    .await
}

async fn set_current(env: &Env, build_id: &str) -> Result<()> {
    let request = SetWorkerDeploymentCurrentVersionRequest {
        namespace: NAMESPACE.to_owned(),
        deployment_name: deployment(env),
        build_id: build_id.to_owned(),
        conflict_token: described(env).await?.conflict_token,
        ..SetWorkerDeploymentCurrentVersionRequest::default()
    };
    env.client
        .connection()
        .workflow_service()
        .set_worker_deployment_current_version(Request::new(request))
        .await?;
    until("the current version", async || {
        let routing = described(env).await?.worker_deployment_info.and_then(|info| info.routing_config);
        let current = routing.and_then(|routing| routing.current_deployment_version);
        Ok(current.filter(|version| version.build_id == build_id).map(|_| ()))
    })
    .await
}

async fn set_ramp(env: &Env, build_id: &str, percentage: f32) -> Result<()> {
    let request = SetWorkerDeploymentRampingVersionRequest {
        namespace: NAMESPACE.to_owned(),
        deployment_name: deployment(env),
        build_id: build_id.to_owned(),
        percentage,
        conflict_token: described(env).await?.conflict_token,
        ..SetWorkerDeploymentRampingVersionRequest::default()
    };
    env.client
        .connection()
        .workflow_service()
        .set_worker_deployment_ramping_version(Request::new(request))
        .await?;
    Ok(())
}

/// Where a new workflow of one step ran.
async fn told(env: &Env, name: &str) -> Result<Vec<String>> {
    let handle = env.start_with(Steps::run, 1_usize, env.options(name).build()).await?;
    handle.signal(Steps::step, (), usual()).await?;
    Ok(result(&handle).await?)
}

/// A workflow of two steps whose second one comes after the current version has changed from 1 to 2.
async fn over_a_change(env: &Env) -> Result<Vec<String>> {
    set_current(env, "1").await?;
    let handle = env.start(Steps::run, 2_usize).await?;
    handle.signal(Steps::step, (), usual()).await?;
    until("the first activity", async || {
        let done = |it: &Attributes| matches!(it, Attributes::ActivityTaskCompletedEventAttributes(_));
        Ok((count_of(&handle, done).await? == 1).then_some(()))
    })
    .await?;
    set_current(env, "2").await?;
    handle.signal(Steps::step, (), usual()).await?;
    Ok(result(&handle).await?)
}

/// A pinned workflow ends where it began.
async fn pinned(env: &Env) -> Result<()> {
    with_both(env, VersioningBehavior::Pinned, async {
        equal(over_a_change(env).await?, ["1", "1"])?;
        equal(told(env, "new").await?, ["2"])
    })
    .await
}

/// The other kind goes with the current version.
async fn moving(env: &Env) -> Result<()> {
    with_both(env, VersioningBehavior::AutoUpgrade, async { equal(over_a_change(env).await?, ["1", "2"]) })
        .await
}

/// The queue of a version may be known a little later than the version.
async fn start_on<W>(
    env: &Env,
    workflow: impl Fn() -> W,
    input: impl Fn() -> W::Input,
    build_id: &str,
) -> Result<WorkflowHandle<Client, W>>
where
    W: HasWorkflowDefinition,
    W::Input: Send,
{
    until("the version's queue", async || {
        let pinned = VersioningOverride::Pinned(version(env, build_id));
        let options = env.options("overridden").versioning_override(pinned).build();
        Ok(env.start_with(workflow(), input(), options).await.ok())
    })
    .await
}

/// Whoever starts a workflow may say on which version it is to run.
async fn overridden(env: &Env) -> Result<()> {
    with_both(env, VersioningBehavior::AutoUpgrade, async {
        set_current(env, "2").await?;
        let handle = start_on(env, || Steps::run, || 1, "1").await?;
        handle.signal(Steps::step, (), usual()).await?;
        equal(result(&handle).await?, ["1"])?;
        let info = handle.describe(usual()).await?.into_raw().workflow_execution_info.unwrap_or_default();
        let versioning = info.versioning_info.unwrap_or_default();
        equal(versioning.deployment_version.map(|version| version.build_id).as_deref(), Some("1"))
    })
    .await
}

/// A ramp of a hundred per cent takes every new workflow, one of nought none.
async fn ramped(env: &Env) -> Result<()> {
    with_both(env, VersioningBehavior::Pinned, async {
        set_current(env, "1").await?;
        set_ramp(env, "2", 100.0).await?;
        equal(told(env, "all").await?, ["2"])?;
        set_ramp(env, "2", 0.0).await?;
        equal(told(env, "none").await?, ["1"])
    })
    .await
}

/// A child of a pinned workflow begins on its parent's version, though another one is current.
async fn children(env: &Env) -> Result<()> {
    with_both(env, VersioningBehavior::Pinned, async {
        set_current(env, "2").await?;
        let handle = start_on(env, || Parent::run, || (), "1").await?;
        equal(result(&handle).await?, ["1"])
    })
    .await
}
