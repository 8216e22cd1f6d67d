//! What happens to the second start of an id.

use anyhow::Result;
use temporalio_client::{
    Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowIdConflictPolicy as Conflict,
    WorkflowIdReusePolicy as Reuse, errors::WorkflowStartError,
};
use temporalio_common::HasWorkflowDefinition;

use super::messages::Bin;
use crate::harness::{Case, Env, equal, failure, holds, result, usual};

pub const CASES: &[Case] = crate::cases![; conflicts, reuse];

async fn again(
    env: &Env,
    conflict: Conflict,
    reuse: Reuse,
) -> Result<WorkflowHandle<Client, impl HasWorkflowDefinition<Output = Vec<i64>> + use<>>, WorkflowStartError>
{
    let options = env.options("").id_conflict_policy(conflict).id_reuse_policy(reuse).build();
    env.client.start_workflow(Bin::run, (), options).await
}

async fn is_refused(env: &Env, conflict: Conflict, reuse: Reuse, run_id: Option<&str>) -> Result<()> {
    let error = failure(again(env, conflict, reuse).await.map(|_| ()))?;
    match &error {
        WorkflowStartError::AlreadyStarted { run_id: other, .. } => equal(other.as_deref(), run_id),
        _ => holds(false, &error),
    }
}

/// While the first one runs.
async fn conflicts(env: &Env) -> Result<()> {
    let first = again(env, usual(), usual()).await?;
    is_refused(env, usual(), usual(), first.run_id()).await?;
    is_refused(env, Conflict::Fail, usual(), first.run_id()).await?;
    let same = again(env, Conflict::UseExisting, usual()).await?;
    equal(same.run_id(), first.run_id())?;
    let other = again(env, Conflict::TerminateExisting, usual()).await?;
    holds(other.run_id() != first.run_id(), other.run_id())?;
    equal(first.describe(usual()).await?.status(), WorkflowExecutionStatus::Terminated)?;
    Ok(other.terminate(usual()).await?)
}

/// When the first one has ended.
async fn reuse(env: &Env) -> Result<()> {
    again(env, usual(), usual()).await?.terminate(usual()).await?;
    let second = again(env, usual(), Reuse::AllowDuplicateFailedOnly).await?;
    second.terminate(usual()).await?;
    is_refused(env, usual(), Reuse::RejectDuplicate, second.run_id()).await?;
    let third = again(env, usual(), usual()).await?;
    let worker = env.worker().workflow::<Bin>();
    worker
        .during(async {
            env.current(Bin::run, "").signal(Bin::finish, (), usual()).await?;
            equal(result(&third).await?, Vec::<i64>::new())
        })
        .await?;
    is_refused(env, usual(), Reuse::AllowDuplicateFailedOnly, third.run_id()).await
}
