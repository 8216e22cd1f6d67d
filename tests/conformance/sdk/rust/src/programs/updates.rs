//! Updates, alone and with a start.

use std::{pin::pin, time::Duration};

use anyhow::{Result, bail};
use futures::future::{join_all, try_join_all};
use temporalio_client::{
    UntypedUpdate, WorkflowExecuteUpdateOptions, WorkflowIdConflictPolicy, WorkflowStartUpdateOptions,
    WorkflowUpdateWithStartOptions,
    errors::{WorkflowStartError, WorkflowUpdateError, WorkflowUpdateWithStartError},
};
use temporalio_common::{
    data_converters::RawValue, protos::temporal::api::history::v1::history_event::Attributes,
};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext,
    WorkflowContextView, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};
use tokio::time::timeout;

use crate::harness::{Case, Env, SOON, count_of, equal, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    answered,
    at_once,
    rejected,
    failed,
    stages,
    before_the_worker,
    while_it_continues_as_new,
    with_start,
    with_start_and_a_stage,
    with_start_that_may_not
];

type Refusal = Box<dyn std::error::Error + Send + Sync>;

struct Prices;

#[activities]
impl Prices {
    #[activity]
    async fn price(_ctx: ActivityContext, item: String) -> Result<usize, ActivityError> {
        Ok(item.len())
    }
}

#[workflow]
struct Cart {
    generation: u32,
    items: Vec<String>,
    is_open: bool,
    is_to_renew: bool,
    is_checked_out: bool,
}

#[workflow_methods]
impl Cart {
    #[init]
    fn new(_ctx: &WorkflowContextView, generation: u32) -> Self {
        Self { generation, items: Vec::new(), is_open: false, is_to_renew: false, is_checked_out: false }
    }

    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<String>> {
        ctx.wait_condition(|cart| cart.is_checked_out || cart.is_to_renew).await?;
        if ctx.state(|cart| cart.is_to_renew && !cart.is_checked_out) {
            let next = ctx.state(|cart| cart.generation) + 1;
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        Ok(ctx.state(|cart| cart.items.clone()))
    }

    #[update]
    fn add(&mut self, _ctx: &mut SyncWorkflowContext<Self>, item: String) -> usize {
        self.items.push(item);
        self.items.len()
    }

    #[update_validator(add)]
    fn validate_add(&self, _ctx: &WorkflowContextView, item: &String) -> Result<(), Refusal> {
        if item.is_empty() { Err("nothing to add".into()) } else { Ok(()) }
    }

    #[update]
    async fn add_priced(ctx: &mut WorkflowContext<Self>, item: String) -> Result<usize, Refusal> {
        let options = ActivityOptions::start_to_close_timeout(SOON);
        let price = ctx.execute_activity(Prices::price, item.clone(), options).await?;
        ctx.state_mut(|cart| cart.items.push(format!("{item}:{price}")));
        Ok(price)
    }

    #[update]
    fn refuse(&mut self, _ctx: &mut SyncWorkflowContext<Self>) -> Result<u32, Refusal> {
        let failure = ApplicationFailure::builder(anyhow::anyhow!("not today"))
            .type_name("Refused".to_owned())
            .non_retryable(true)
            .build();
        Err(failure.into())
    }

    #[update]
    async fn pass(ctx: &mut WorkflowContext<Self>) -> Result<usize, Refusal> {
        ctx.wait_condition(|cart| cart.is_open).await?;
        Ok(ctx.state(|cart| cart.items.len()))
    }

    #[update]
    fn check_out(&mut self, _ctx: &mut SyncWorkflowContext<Self>) -> Vec<String> {
        self.is_checked_out = true;
        self.items.clone()
    }

    #[signal]
    fn open(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_open = true;
    }

    #[signal]
    fn renew(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_to_renew = true;
    }

    #[query]
    fn generation(&self, _ctx: &WorkflowContextView) -> u32 {
        self.generation
    }
}

/// One after the other, then one that closes the workflow.
async fn answered(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            equal(handle.execute_update(Cart::add, "a".to_owned(), usual()).await?, 1)?;
            equal(handle.execute_update(Cart::add, "b".to_owned(), usual()).await?, 2)?;
            equal(handle.execute_update(Cart::check_out, (), usual()).await?, ["a", "b"])?;
            equal(result(&handle).await?, ["a", "b"])
        })
        .await
}

/// Eight at the same time, with an activity each.
async fn at_once(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>().activities(Prices);
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            let items: Vec<_> = (1..=8).map(|length| "x".repeat(length)).collect();
            let added =
                items.iter().map(|item| handle.execute_update(Cart::add_priced, item.clone(), usual()));
            equal(try_join_all(added).await?, (1..=8).collect::<Vec<_>>())?;
            handle.execute_update(Cart::check_out, (), usual()).await?;
            let mut bought = result(&handle).await?;
            bought.sort();
            equal(bought, items.iter().map(|item| format!("{item}:{}", item.len())).collect::<Vec<_>>())
        })
        .await
}

/// By the validator: nothing is left of it.
async fn rejected(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            let error = failure(handle.execute_update(Cart::add, String::new(), usual()).await)?;
            holds(
                matches!(&error, WorkflowUpdateError::Failed(it) if it.message.contains("nothing to add")),
                &error,
            )?;
            equal(handle.execute_update(Cart::add, "a".to_owned(), usual()).await?, 1)?;
            handle.execute_update(Cart::check_out, (), usual()).await?;
            result(&handle).await?;
            let accepted =
                |it: &Attributes| matches!(it, Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(_));
            equal(count_of(&handle, accepted).await?, 2)
        })
        .await
}

/// By the handler, and one that nobody handles.
async fn failed(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            let error = failure(handle.execute_update(Cart::refuse, (), usual()).await)?;
            holds(
                matches!(&error, WorkflowUpdateError::Failed(it) if it.message.contains("not today")),
                &error,
            )?;
            let nonsense =
                handle.execute_update(UntypedUpdate::new("nonsense"), RawValue::empty(), usual()).await;
            let error = failure(nonsense.map(|_| ()))?;
            holds(
                matches!(&error, WorkflowUpdateError::Failed(it) if it.message.contains("nonsense")),
                &error,
            )?;
            handle.execute_update(Cart::check_out, (), usual()).await?;
            result(&handle).await?;
            Ok(())
        })
        .await
}

/// Accepted first; the outcome comes later, and twice.
async fn stages(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            let options = WorkflowStartUpdateOptions::builder().update_id("gate".to_owned()).build();
            let update = handle.start_update(Cart::pass, (), options).await?;
            equal(update.id(), "gate")?;
            let (outcome, sent) =
                futures::join!(update.get_result(usual()), handle.signal(Cart::open, (), usual()));
            sent?;
            equal(outcome?, 0)?;
            equal(handle.get_update_handle(Cart::pass, "gate").get_result(usual()).await?, 0)?;
            let again = WorkflowExecuteUpdateOptions::builder().update_id("gate".to_owned()).build();
            equal(handle.execute_update(Cart::pass, (), again).await?, 0)?;
            handle.execute_update(Cart::check_out, (), usual()).await?;
            result(&handle).await?;
            equal(handle.get_update_handle(Cart::pass, "gate").get_result(usual()).await?, 0)?;
            let unknown = failure(handle.get_update_handle(Cart::pass, "nobody").get_result(usual()).await)?;
            holds(matches!(unknown, WorkflowUpdateError::NotFound(_)), &unknown)
        })
        .await
}

/// It waits for the worker.
async fn before_the_worker(env: &Env) -> Result<()> {
    let handle = env.start(Cart::run, 0_u32).await?;
    let mut first = pin!(handle.execute_update(Cart::add, "a".to_owned(), usual()));
    holds(timeout(Duration::from_millis(500), &mut first).await.is_err(), "no answer yet")?;
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            equal(first.await?, 1)?;
            handle.execute_update(Cart::check_out, (), usual()).await?;
            equal(result(&handle).await?, ["a"])
        })
        .await
}

/// Updates go to whichever run is there.
async fn while_it_continues_as_new(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            handle.signal(Cart::renew, (), usual()).await?;
            let latest = env.current(Cart::run, "");
            until("the next run", async || {
                Ok((latest.query(Cart::generation, (), usual()).await? == 1).then_some(()))
            })
            .await?;
            equal(latest.execute_update(Cart::add, "a".to_owned(), usual()).await?, 1)?;
            latest.execute_update(Cart::check_out, (), usual()).await?;
            equal(result(&handle).await?, ["a"])?;
            equal(latest.query(Cart::generation, (), usual()).await?, 1)
        })
        .await
}

fn starting(env: &Env, policy: WorkflowIdConflictPolicy) -> WorkflowUpdateWithStartOptions {
    WorkflowUpdateWithStartOptions::new(env.queue.clone(), env.id(""), policy).build()
}

/// The first starts the workflow, the second finds it.
async fn with_start(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            for number in 0..2 {
                let options = starting(env, WorkflowIdConflictPolicy::UseExisting);
                let item = format!("item {number}");
                let added = env
                    .client
                    .execute_update_with_start_workflow(Cart::run, 0, Cart::add, item, options)
                    .await?;
                equal(added, number + 1)?;
            }
            let handle = env.current(Cart::run, "");
            handle.execute_update(Cart::check_out, (), usual()).await?;
            equal(result(&handle).await?, ["item 0", "item 1"])?;
            let run_id = handle.describe(usual()).await?.run_id().to_owned();
            env.replay(&env.run_of(Cart::run, &env.id(""), &run_id));
            Ok(())
        })
        .await
}

/// Several at once wait for one workflow, which one of them has started.
async fn with_start_and_a_stage(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let accepted = join_all((0..3).map(|_| {
                let options = starting(env, WorkflowIdConflictPolicy::UseExisting);
                env.client.start_update_with_start_workflow(Cart::run, 0, Cart::pass, (), options)
            }));
            let updates = accepted.await.into_iter().collect::<Result<Vec<_>, _>>()?;
            let handle = env.current(Cart::run, "");
            handle.signal(Cart::open, (), usual()).await?;
            for update in updates {
                equal(update.get_result(usual()).await?, 0)?;
            }
            handle.execute_update(Cart::check_out, (), usual()).await?;
            equal(result(&handle).await?, Vec::<String>::new())
        })
        .await
}

/// The id is taken, and the policy says to fail.
async fn with_start_that_may_not(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Cart>();
    worker
        .during(async {
            let handle = env.start(Cart::run, 0_u32).await?;
            let options = starting(env, WorkflowIdConflictPolicy::Fail);
            let item = "a".to_owned();
            let refused =
                env.client.execute_update_with_start_workflow(Cart::run, 0, Cart::add, item, options).await;
            match failure(refused)? {
                WorkflowUpdateWithStartError::Start(WorkflowStartError::AlreadyStarted {
                    run_id, ..
                }) => {
                    equal(run_id.as_deref(), handle.run_id())?;
                }
                other => bail!("another error: {other:?}"),
            }
            equal(handle.execute_update(Cart::check_out, (), usual()).await?, Vec::<String>::new())?;
            result(&handle).await?;
            Ok(())
        })
        .await
}
