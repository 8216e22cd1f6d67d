//! Child workflows, and messages from one workflow to another.

use std::time::Duration;

use anyhow::Result;
use temporalio_client::WorkflowExecutionStatus;
use temporalio_common::error::IncomingError;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ApplicationFailure, CancellableFuture, ChildWorkflowExecutionError, ChildWorkflowOptions,
    ChildWorkflowStartError, ParentClosePolicy, SignalWorkflowOptions, SyncWorkflowContext, WorkflowContext,
    WorkflowResult, WorkflowSignalError, workflows::join_all,
};

use super::{cancellation::LetsItselfBeCancelled, chains::CountsDown, messages::Bin};
use crate::harness::{Case, Env, equal, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    several,
    without_an_id,
    failed,
    signalled,
    cancelled,
    cancelled_by_its_future,
    left_to_terminate,
    left_to_request_cancel,
    left_to_abandon,
    twin,
    continued,
    signal_and_cancel_from_afar,
    signal_to_nobody
];

#[workflow]
#[derive(Default)]
struct Leaf;

#[workflow_methods]
impl Leaf {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, number: usize) -> WorkflowResult<(usize, Option<String>)> {
        Ok((number, ctx.info().parent().map(|parent| parent.workflow_id().to_owned())))
    }
}

#[workflow]
#[derive(Default)]
struct Tree;

#[workflow_methods]
impl Tree {
    #[run]
    async fn run(
        ctx: &mut WorkflowContext<Self>,
        count: usize,
    ) -> WorkflowResult<Vec<(usize, Option<String>)>> {
        let ctx = &*ctx;
        let leaves = (0..count).map(|number| async move {
            let id = format!("{}-{number}", ctx.workflow_id());
            let child =
                ctx.start_child_workflow(Leaf::run, number, ChildWorkflowOptions::workflow_id(id)).await?;
            WorkflowResult::Ok(child.result().await?)
        });
        join_all(leaves).await.into_iter().collect()
    }
}

#[workflow]
#[derive(Default)]
struct ParentOfANamelessOne;

#[workflow_methods]
impl ParentOfANamelessOne {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<(usize, Option<String>)> {
        let child = ctx.start_child_workflow(Leaf::run, 7_usize, ChildWorkflowOptions::default()).await?;
        Ok(child.result().await?)
    }
}

#[workflow]
#[derive(Default)]
struct FailingLeaf;

#[workflow_methods]
impl FailingLeaf {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("a sad leaf"))
            .type_name("Sad".to_owned())
            .details((1, 2))
            .build();
        Err(failure.into())
    }
}

#[workflow]
#[derive(Default)]
struct ParentOfAFailure;

#[workflow_methods]
impl ParentOfAFailure {
    #[run]
    async fn run(
        ctx: &mut WorkflowContext<Self>,
    ) -> WorkflowResult<(String, String, String, Option<(i32, i32)>)> {
        let child = ctx.start_child_workflow(FailingLeaf::run, (), ChildWorkflowOptions::default()).await?;
        match child.result().await {
            Err(ChildWorkflowExecutionError::Failed(failure)) => {
                let kind = failure.workflow_type().unwrap_or_default().to_owned();
                match failure.cause() {
                    Some(IncomingError::Application(cause)) => {
                        let name = cause.type_name().unwrap_or_default().to_owned();
                        Ok((kind, name, cause.to_string(), cause.details()?))
                    }
                    other => Ok((kind, String::new(), format!("{other:?}"), None)),
                }
            }
            other => Err(ApplicationFailure::non_retryable(format!("another end: {other:?}")).into()),
        }
    }
}

#[workflow]
#[derive(Default)]
struct ParentThatSignals;

#[workflow_methods]
impl ParentThatSignals {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<i64>> {
        let id = format!("{}-bin", ctx.workflow_id());
        let child =
            ctx.start_child_workflow(Bin::run, (), ChildWorkflowOptions::workflow_id(id.clone())).await?;
        child.signal(Bin::put, 1, SignalWorkflowOptions::default()).await?;
        let by_id = ctx.external_workflow(id, Some(child.run_id.clone()));
        by_id.signal(Bin::put, 2, SignalWorkflowOptions::default()).await?;
        child.signal(Bin::finish, (), SignalWorkflowOptions::default()).await?;
        Ok(child.result().await?)
    }
}

#[workflow]
#[derive(Default)]
struct ParentThatCancels;

#[workflow_methods]
impl ParentThatCancels {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, by_its_future: bool) -> WorkflowResult<String> {
        let child =
            ctx.start_child_workflow(LetsItselfBeCancelled::run, (), ChildWorkflowOptions::default()).await?;
        ctx.timer(Duration::from_millis(300)).await;
        let outcome = if by_its_future {
            let ending = child.result();
            ending.cancel();
            ending.await
        } else {
            child.cancel("enough".to_owned());
            child.result().await
        };
        Ok(match outcome {
            Err(error) if error.as_cancelled().is_some() => "cancelled".to_owned(),
            other => format!("another end: {other:?}"),
        })
    }
}

#[workflow]
#[derive(Default)]
struct ParentThatLeaves;

#[workflow_methods]
impl ParentThatLeaves {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, policy: String) -> WorkflowResult<()> {
        let policy = match policy.as_str() {
            "terminate" => ParentClosePolicy::Terminate,
            "abandon" => ParentClosePolicy::Abandon,
            _ => ParentClosePolicy::RequestCancel,
        };
        let options = ChildWorkflowOptions::builder()
            .workflow_id(format!("{}-left", ctx.workflow_id()))
            .parent_close_policy(policy)
            .build();
        ctx.start_child_workflow(LetsItselfBeCancelled::run, (), options).await?;
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
struct ParentOfATwin;

#[workflow_methods]
impl ParentOfATwin {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, id: String) -> WorkflowResult<String> {
        let started =
            ctx.start_child_workflow(Leaf::run, 1_usize, ChildWorkflowOptions::workflow_id(id)).await;
        Ok(match started {
            Err(ChildWorkflowStartError::StartFailed { cause, .. }) => format!("{cause:?}"),
            other => format!("another end: {other:?}"),
        })
    }
}

#[workflow]
#[derive(Default)]
struct ParentOfACountdown;

#[workflow_methods]
impl ParentOfACountdown {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<usize> {
        let options = ChildWorkflowOptions::default();
        let child = ctx.start_child_workflow(CountsDown::run, (2, Vec::new()), options).await?;
        Ok(child.result().await?.len())
    }
}

#[workflow]
#[derive(Default)]
struct SignalsAndCancels;

#[workflow_methods]
impl SignalsAndCancels {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, id: String) -> WorkflowResult<()> {
        let other = ctx.external_workflow(id, None);
        other.signal(UntilCancelled::put, 42, SignalWorkflowOptions::default()).await?;
        other.cancel(Some("from afar".to_owned())).await?;
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
struct SignalsNobody;

#[workflow_methods]
impl SignalsNobody {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let nobody = ctx.external_workflow("nobody-has-this-id", None);
        Ok(match nobody.signal(Bin::put, 1, SignalWorkflowOptions::default()).await {
            Err(WorkflowSignalError::NotFound(_)) => "not found".to_owned(),
            other => format!("another end: {other:?}"),
        })
    }
}

#[workflow]
#[derive(Default)]
struct UntilCancelled {
    kept: Vec<i64>,
}

#[workflow_methods]
impl UntilCancelled {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<i64>> {
        ctx.cancelled().await;
        Ok(ctx.state(|it| it.kept.clone()))
    }

    #[signal]
    fn put(&mut self, _ctx: &mut SyncWorkflowContext<Self>, item: i64) {
        self.kept.push(item);
    }
}

/// Ten at once; each knows its parent.
async fn several(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Tree>().workflow::<Leaf>();
    worker
        .during(async {
            let expected: Vec<_> = (0..10).map(|number| (number, Some(env.id("")))).collect();
            equal(env.execute(Tree::run, 10_usize).await?, expected)
        })
        .await
}

/// The SDK makes an id up, the same in every replay.
async fn without_an_id(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<ParentOfANamelessOne>().workflow::<Leaf>();
    worker
        .during(async { equal(env.execute(ParentOfANamelessOne::run, ()).await?, (7, Some(env.id("")))) })
        .await
}

/// The parent learns what its child died of.
async fn failed(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<ParentOfAFailure>().workflow::<FailingLeaf>();
    worker
        .during(async {
            let (kind, name, message, details) = env.execute(ParentOfAFailure::run, ()).await?;
            let told = (kind.as_str(), name.as_str(), message.as_str(), details);
            equal(told, ("FailingLeaf", "Sad", "a sad leaf", Some((1, 2))))
        })
        .await
}

/// By the parent and by whoever knows its id.
async fn signalled(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<ParentThatSignals>().workflow::<Bin>();
    worker.during(async { equal(env.execute(ParentThatSignals::run, ()).await?, [1, 2]) }).await
}

async fn cancels(env: &Env, by_its_future: bool) -> Result<()> {
    let worker = env.worker().workflow::<ParentThatCancels>().workflow::<LetsItselfBeCancelled>();
    worker
        .during(async { equal(env.execute(ParentThatCancels::run, by_its_future).await?, "cancelled") })
        .await
}

/// By its parent, with a reason.
async fn cancelled(env: &Env) -> Result<()> {
    cancels(env, false).await
}

/// With the future that waits for it.
async fn cancelled_by_its_future(env: &Env) -> Result<()> {
    cancels(env, true).await
}

async fn left(env: &Env, policy: &str, status: WorkflowExecutionStatus) -> Result<()> {
    let worker = env.worker().workflow::<ParentThatLeaves>().workflow::<LetsItselfBeCancelled>();
    worker
        .during(async {
            env.execute(ParentThatLeaves::run, policy).await?;
            let child = env.current(LetsItselfBeCancelled::run, "left");
            until("its end", async || Ok((child.describe(usual()).await?.status() == status).then_some(())))
                .await?;
            if status == WorkflowExecutionStatus::Running {
                child.terminate(usual()).await?;
            }
            Ok(())
        })
        .await
}

/// What becomes of a child whose parent has ended: it ends at once.
async fn left_to_terminate(env: &Env) -> Result<()> {
    left(env, "terminate", WorkflowExecutionStatus::Terminated).await
}

/// It is asked to end.
async fn left_to_request_cancel(env: &Env) -> Result<()> {
    left(env, "request cancel", WorkflowExecutionStatus::Canceled).await
}

/// It goes on.
async fn left_to_abandon(env: &Env) -> Result<()> {
    left(env, "abandon", WorkflowExecutionStatus::Running).await
}

/// An id that is taken.
async fn twin(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<ParentOfATwin>().workflow::<Bin>();
    worker
        .during(async {
            let other = env.start_with(Bin::run, (), env.options("other").build()).await?;
            equal(env.execute(ParentOfATwin::run, env.id("other")).await?, "WorkflowAlreadyExists")?;
            Ok(other.terminate(usual()).await?)
        })
        .await
}

/// The parent waits for the last run of its child.
async fn continued(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<ParentOfACountdown>().workflow::<CountsDown>();
    worker.during(async { equal(env.execute(ParentOfACountdown::run, ()).await?, 3) }).await
}

/// To a workflow that is no child.
async fn signal_and_cancel_from_afar(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<SignalsAndCancels>().workflow::<UntilCancelled>();
    worker
        .during(async {
            let other = env.start_with(UntilCancelled::run, (), env.options("other").build()).await?;
            env.execute(SignalsAndCancels::run, env.id("other")).await?;
            equal(result(&other).await?, [42])
        })
        .await
}

/// Fails, and says so.
async fn signal_to_nobody(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<SignalsNobody>();
    worker.during(async { equal(env.execute(SignalsNobody::run, ()).await?, "not found") }).await
}
