//! Workers that come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use futures::future::try_join_all;
use temporalio_common::RetryPolicy;
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
    activities::{ActivityContext, ActivityError},
    runtime::{
        AutoscalingOptions, PollerBehavior,
        worker_tuner::{FixedSizeSlotSupplier, SlotSupplier, TunerHolder},
    },
};
use tokio::time::sleep;

use crate::harness::{Case, Env, SOON, equal, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    one_after_another,
    shut_down_over_an_activity,
    small_cache,
    autoscaled_pollers,
    few_pollers
];

#[derive(Default)]
struct Stepper {
    is_stuck: bool,
    began: Arc<AtomicBool>,
    heard: Arc<AtomicBool>,
}

#[activities]
impl Stepper {
    #[activity]
    async fn step(self: Arc<Self>, ctx: ActivityContext, number: u32) -> Result<u32, ActivityError> {
        if self.is_stuck {
            self.began.store(true, Ordering::SeqCst);
            while !ctx.is_cancelled() {
                ctx.record_heartbeat(()).await?;
                sleep(Duration::from_millis(100)).await;
            }
            self.heard.store(true, Ordering::SeqCst);
            return Err(anyhow::anyhow!("the worker stops").into());
        }
        Ok(number + 1)
    }
}

/// A step for each permission.
#[workflow]
#[derive(Default)]
struct Steps {
    allowed: u32,
    done: u32,
}

#[workflow_methods]
impl Steps {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, count: u32) -> WorkflowResult<u32> {
        let policy = RetryPolicy::builder().initial_interval(Duration::from_millis(100)).build();
        let options = ActivityOptions::with_start_to_close_timeout(SOON)
            .heartbeat_timeout(Duration::from_secs(2))
            .retry_policy(policy)
            .build();
        let mut number = 0;
        while ctx.state(|it| it.done < count) {
            ctx.wait_condition(|it| it.allowed > it.done).await?;
            number = ctx.execute_activity(Stepper::step, number, options.clone()).await?;
            ctx.state_mut(|it| it.done += 1);
        }
        Ok(number)
    }

    #[signal]
    fn allow(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.allowed += 1;
    }

    #[query]
    fn progress(&self, _ctx: &WorkflowContextView) -> u32 {
        self.done
    }
}

/// Each step on another worker; the sticky queue of the last one is dead.
async fn one_after_another(env: &Env) -> Result<()> {
    let handle = env.start(Steps::run, 3_u32).await?;
    for number in 0..3 {
        let client = env.client_of(number as usize);
        let worker = env.worker_on(client).workflow::<Steps>().activities(Stepper::default());
        worker
            .during(async {
                handle.signal(Steps::allow, (), usual()).await?;
                until("the step", async || {
                    Ok((handle.query(Steps::progress, (), usual()).await? > number).then_some(()))
                })
                .await
            })
            .await?;
    }
    let worker = env.worker().workflow::<Steps>().activities(Stepper::default());
    worker.during(async { equal(result(&handle).await?, 3) }).await
}

/// The activity hears of it; the next worker does it again.
async fn shut_down_over_an_activity(env: &Env) -> Result<()> {
    let stuck = Stepper { is_stuck: true, ..Stepper::default() };
    let (began, heard) = (stuck.began.clone(), stuck.heard.clone());
    let handle = env.start(Steps::run, 1_u32).await?;
    handle.signal(Steps::allow, (), usual()).await?;
    let worker = env.worker().workflow::<Steps>().activities(stuck);
    worker
        .during(until("the activity to start", async || Ok(began.load(Ordering::SeqCst).then_some(()))))
        .await?;
    holds(heard.load(Ordering::SeqCst), "heard of the shutdown")?;
    let worker = env.worker().workflow::<Steps>().activities(Stepper::default());
    worker.during(async { equal(result(&handle).await?, 1) }).await
}

/// Five workflows of three steps at a time.
async fn five_at_a_time(env: &Env) -> Result<()> {
    let results = try_join_all((0..5).map(|number| async move {
        let handle = env.start_with(Steps::run, 3_u32, env.options(&number.to_string()).build()).await?;
        for _ in 0..3 {
            handle.signal(Steps::allow, (), usual()).await?;
        }
        anyhow::Ok(result(&handle).await?)
    }));
    equal(results.await?, [3; 5])
}

/// A cache of one workflow: each is evicted and replayed again and again.
async fn small_cache(env: &Env) -> Result<()> {
    let is_cached = env.cached;
    let worker = env.worker().workflow::<Steps>().activities(Stepper::default()).with(|options| {
        let slots = |count| SlotSupplier::FixedSize(FixedSizeSlotSupplier::new(count));
        if is_cached {
            options.max_cached_workflows = 1;
            let tuner = TunerHolder::builder()
                .workflow_task_slot_supplier(slots(2))
                .activity_task_slot_supplier(slots(10))
                .local_activity_task_slot_supplier(slots(10))
                .nexus_task_slot_supplier(slots(10))
                .build();
            options.tuner = tuner.into();
        }
    });
    worker.during(five_at_a_time(env)).await
}

/// Workers that follow the server's advice on how many polls to make.
async fn autoscaled_pollers(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Steps>().activities(Stepper::default()).with(|options| {
        let advised = AutoscalingOptions::builder().minimum(1).maximum(20).initial(2).build();
        options.workflow_task_poller_behavior = Some(PollerBehavior::Autoscaling(advised));
        options.activity_task_poller_behavior = Some(PollerBehavior::Autoscaling(advised));
    });
    worker.during(five_at_a_time(env)).await
}

/// One poll for activities, two for workflows: of the sticky queue and the other.
async fn few_pollers(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Steps>().activities(Stepper::default()).with(|options| {
        options.workflow_task_poller_behavior = Some(PollerBehavior::SimpleMaximum(2));
        options.activity_task_poller_behavior = Some(PollerBehavior::SimpleMaximum(1));
        options.max_task_queue_activities_per_second = Some(50.0);
    });
    worker.during(five_at_a_time(env)).await
}
