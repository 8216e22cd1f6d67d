//! Runs that follow each other: continue-as-new and cron.

use std::collections::HashSet;

use anyhow::Result;
use temporalio_client::{WorkflowExecutionStatus, WorkflowGetResultOptions, errors::WorkflowGetResultError};
use temporalio_common::MemoValues;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use super::hello::{Nothing, WhoAmI};
use crate::harness::{Case, Env, equal, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![continued, as_another, signals_between_runs, cron];

#[workflow]
#[derive(Default)]
pub struct CountsDown;

#[workflow_methods]
impl CountsDown {
    #[run]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: (u32, Vec<String>),
    ) -> WorkflowResult<Vec<String>> {
        let (left, mut runs) = input;
        runs.push(ctx.run_id().to_owned());
        if left > 0 {
            ctx.continue_as_new((left - 1, runs.clone()), ContinueAsNewOptions::default())?;
        }
        Ok(runs)
    }
}

#[workflow]
#[derive(Default)]
struct BecomesAnother;

#[workflow_methods]
impl BecomesAnother {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let mut memo = MemoValues::new();
        memo.insert("note", "another".to_owned());
        let options = ContinueAsNewOptions::builder().workflow_type("WhoAmI".to_owned()).memo(memo).build();
        ctx.continue_as_new((), options)?;
        Ok(())
    }
}

#[derive(Default, serde::Deserialize, serde::Serialize)]
struct Sum {
    wanted: usize,
    seen: usize,
    sum: i64,
}

#[workflow]
struct Sums {
    so_far: Sum,
    new: Vec<i64>,
}

#[workflow_methods]
impl Sums {
    #[init]
    fn new(_ctx: &WorkflowContextView, so_far: Sum) -> Self {
        Self { so_far, new: Vec::new() }
    }

    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<i64> {
        ctx.wait_condition(|sums| !sums.new.is_empty()).await?;
        let next = ctx.state_mut(|sums| {
            let new = std::mem::take(&mut sums.new);
            Sum {
                wanted: sums.so_far.wanted,
                seen: sums.so_far.seen + new.len(),
                sum: sums.so_far.sum + new.iter().sum::<i64>(),
            }
        });
        let sum = next.sum;
        if next.seen < next.wanted {
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        Ok(sum)
    }

    #[signal]
    fn add(&mut self, _ctx: &mut SyncWorkflowContext<Self>, number: i64) {
        self.new.push(number);
    }
}

/// Three times as new; the caller gets the last result.
async fn continued(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<CountsDown>();
    worker
        .during(async {
            let handle = env.start(CountsDown::run, (3, Vec::new())).await?;
            let runs = result(&handle).await?;
            equal((runs.len(), runs.iter().collect::<HashSet<_>>().len()), (4, 4))?;
            equal(handle.run_id(), Some(runs[0].as_str()))?;
            let first = env.run_of(CountsDown::run, &env.id(""), &runs[0]);
            equal(first.describe(usual()).await?.status(), WorkflowExecutionStatus::ContinuedAsNew)?;
            let only_this = WorkflowGetResultOptions::builder().follow_runs(false).build();
            let error = failure(first.get_result(only_this).await)?;
            holds(matches!(error, WorkflowGetResultError::ContinuedAsNew), &error)
        })
        .await
}

/// The next run is of another type and has another memo.
async fn as_another(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<BecomesAnother>().workflow::<WhoAmI>();
    worker
        .during(async {
            env.start(BecomesAnother::run, ()).await?;
            let known = result(&env.current(WhoAmI::run, "")).await?;
            equal((known.workflow_type.as_str(), known.note.as_deref()), ("WhoAmI", Some("another")))
        })
        .await
}

/// No signal is lost or doubled while runs change.
async fn signals_between_runs(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Sums>();
    worker
        .during(async {
            let handle = env.start(Sums::run, Sum { wanted: 20, ..Sum::default() }).await?;
            let current = env.current(Sums::run, "");
            for number in 1..=20 {
                current.signal(Sums::add, number, usual()).await?;
            }
            equal(result(&handle).await?, 210)
        })
        .await
}

/// Once a second, until it is terminated.
async fn cron(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Nothing>();
    worker
        .during(async {
            env.start_with(Nothing::run, (), env.options("").cron_schedule("@every 1s".to_owned()).build())
                .await?;
            let current = env.current(Nothing::run, "");
            let mut seen = HashSet::new();
            until("the third run", async || {
                seen.insert(current.describe(usual()).await?.run_id().to_owned());
                Ok((seen.len() >= 3).then_some(()))
            })
            .await?;
            Ok(current.terminate(usual()).await?)
        })
        .await?;
    // Its last run may have no task.
    env.replay_nothing();
    Ok(())
}
