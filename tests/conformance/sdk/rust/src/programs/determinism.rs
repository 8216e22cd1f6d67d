//! What makes replays come out alike: recorded chance, time and patches.

use std::time::Duration;

use anyhow::Result;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{SyncWorkflowContext, WorkflowContext, WorkflowResult};

use crate::harness::{Case, Env, equal, events, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![chance_and_time, patches, caught];

type Seen = (String, u64, Option<std::time::SystemTime>);

/// Chance and time are the same in every replay.
#[workflow]
#[derive(Default)]
struct Chance;

#[workflow_methods]
impl Chance {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<(Seen, Seen)> {
        let look = || (ctx.uuid4(), ctx.random::<u64>(), ctx.workflow_time());
        let before = look();
        ctx.timer(Duration::from_millis(100)).await;
        Ok((before, look()))
    }
}

#[workflow]
#[derive(Default)]
struct PatchedOnce {
    is_to_go: bool,
}

#[workflow_methods]
impl PatchedOnce {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<(bool, bool)> {
        let before = ctx.patched("first-change");
        ctx.wait_condition(|it| it.is_to_go).await?;
        ctx.deprecate_patch("second-change");
        Ok((before, ctx.patched("first-change")))
    }

    #[signal]
    fn go(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_to_go = true;
    }
}

/// Waits for something that no replay would see.
#[workflow]
#[derive(Default)]
struct Sleeps;

#[workflow_methods]
impl Sleeps {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.timer(Duration::from_millis(100)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }

    #[signal]
    fn nudge(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {}
}

/// Random numbers and the clock.
async fn chance_and_time(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Chance>();
    worker
        .during(async {
            let (before, after) = env.execute(Chance::run, ()).await?;
            holds(before.0 != after.0 && before.1 != after.1, (&before, &after))?;
            let slept = after.2.unwrap().duration_since(before.2.unwrap())?;
            holds(slept >= Duration::from_millis(100), slept)
        })
        .await
}

/// A patch is remembered in the history, and found by its name.
async fn patches(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<PatchedOnce>();
    worker
        .during(async {
            let handle = env.start(PatchedOnce::run, ()).await?;
            handle.signal(PatchedOnce::go, (), usual()).await?;
            equal(result(&handle).await?, (true, true))?;
            let mut markers = Vec::new();
            for event in events(&handle).await? {
                if let Some(Attributes::MarkerRecordedEventAttributes(marker)) = event.attributes {
                    markers.push(marker.marker_name);
                }
            }
            equal(markers, ["core_patch", "core_patch"])?;
            let description = handle.describe(usual()).await?;
            let attributes = description.search_attributes();
            let versions = attributes.raw_payload("TemporalChangeVersion").map(|it| it.data.clone());
            let versions = String::from_utf8(versions.unwrap_or_default())?;
            holds(versions.contains("first-change") && versions.contains("second-change"), versions)
        })
        .await
}

/// What is not deterministic fails the task and not the workflow.
async fn caught(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Sleeps>();
    worker
        .during(async {
            let handle = env.start(Sleeps::run, ()).await?;
            until("a failed task", async || {
                handle.signal(Sleeps::nudge, (), usual()).await?;
                Ok(events(&handle).await?.into_iter().find_map(|event| match event.attributes {
                    Some(Attributes::WorkflowTaskFailedEventAttributes(it)) => it.failure,
                    _ => None,
                }))
            })
            .await
            .and_then(|failure| holds(failure.message.contains("TMPRL1100"), failure))?;
            Ok(handle.terminate(usual()).await?)
        })
        .await?;
    env.replay_nothing();
    Ok(())
}
