//! The first programs that everybody writes.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use temporalio_common::{MemoValues, data_converters::MultiArgs2};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
    workflows::join_all,
};

use crate::harness::{Case, Env, NAMESPACE, SOON, equal, result};

pub const CASES: &[Case] = crate::cases![
    hello,
    nothing,
    several_activities,
    two_arguments,
    many_workflows,
    started_before_the_worker,
    what_it_knows,
    large_payloads
];

pub struct Greeter;

#[activities]
impl Greeter {
    #[activity]
    pub async fn greet(_ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
        Ok(format!("Hello, {name}!"))
    }

    #[activity]
    pub async fn greet_both(
        _ctx: ActivityContext,
        names: MultiArgs2<String, String>,
    ) -> Result<String, ActivityError> {
        Ok(format!("Hello, {} and {}!", names.0, names.1))
    }
}

#[workflow]
#[derive(Default)]
pub struct Greeting;

#[workflow_methods]
impl Greeting {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, name: String) -> WorkflowResult<String> {
        Ok(ctx.execute_activity(Greeter::greet, name, ActivityOptions::start_to_close_timeout(SOON)).await?)
    }
}

#[workflow]
#[derive(Default)]
pub struct Nothing;

#[workflow_methods]
impl Nothing {
    #[run(name = "nothing")]
    pub async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
struct ManyGreetings;

#[workflow_methods]
impl ManyGreetings {
    #[run]
    async fn run(
        ctx: &mut WorkflowContext<Self>,
        names: Vec<String>,
    ) -> WorkflowResult<(Vec<String>, Vec<String>)> {
        let greet = |name: &String| {
            ctx.execute_activity(Greeter::greet, name.clone(), ActivityOptions::start_to_close_timeout(SOON))
        };
        let mut one_by_one = Vec::new();
        for name in &names {
            one_by_one.push(greet(name).await?);
        }
        let at_once = join_all(names.iter().map(greet)).await.into_iter().collect::<Result<_, _>>()?;
        Ok((one_by_one, at_once))
    }
}

#[workflow]
#[derive(Default)]
struct TwoGreeted;

#[workflow_methods]
impl TwoGreeted {
    #[run]
    async fn run(
        ctx: &mut WorkflowContext<Self>,
        names: MultiArgs2<String, String>,
    ) -> WorkflowResult<String> {
        Ok(ctx
            .execute_activity(Greeter::greet_both, names, ActivityOptions::start_to_close_timeout(SOON))
            .await?)
    }
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub struct Known {
    pub workflow_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    pub namespace: String,
    pub attempt: u32,
    pub note: Option<String>,
}

#[workflow]
#[derive(Default)]
pub struct WhoAmI;

#[workflow_methods]
impl WhoAmI {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Known> {
        let info = ctx.info();
        Ok(Known {
            workflow_id: info.workflow_id().to_owned(),
            workflow_type: info.workflow_type().to_owned(),
            task_queue: info.task_queue().to_owned(),
            namespace: info.namespace().to_owned(),
            attempt: info.attempt(),
            note: ctx.memo().get("note")?,
        })
    }
}

/// One workflow, one activity, one result.
async fn hello(env: &Env) -> Result<()> {
    env.worker()
        .workflow::<Greeting>()
        .activities(Greeter)
        .during(async { equal(env.execute(Greeting::run, "world").await?, "Hello, world!") })
        .await
}

/// A workflow that does nothing.
async fn nothing(env: &Env) -> Result<()> {
    env.worker().workflow::<Nothing>().during(async { equal(env.execute(Nothing::run, ()).await?, ()) }).await
}

/// One after the other and all at once.
async fn several_activities(env: &Env) -> Result<()> {
    let names: Vec<String> = "abcdefgh".chars().map(String::from).collect();
    let worker = env.worker().workflow::<ManyGreetings>().activities(Greeter);
    worker
        .during(async {
            let (one_by_one, at_once) = env.execute(ManyGreetings::run, names.clone()).await?;
            equal(&one_by_one, &names.iter().map(|name| format!("Hello, {name}!")).collect::<Vec<_>>())?;
            equal(at_once, one_by_one)
        })
        .await
}

/// Arguments of their own payloads, as other languages write them.
async fn two_arguments(env: &Env) -> Result<()> {
    let names = ("Ada".to_owned(), "Bob".to_owned());
    env.worker()
        .workflow::<TwoGreeted>()
        .activities(Greeter)
        .during(async { equal(env.execute(TwoGreeted::run, names).await?, "Hello, Ada and Bob!") })
        .await
}

/// Twenty workflows at a time.
async fn many_workflows(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Greeting>().activities(Greeter);
    worker
        .during(async {
            let greeted = try_join_all((0..20).map(|number| async move {
                let options = env.options(&number.to_string()).build();
                let handle = env.start_with(Greeting::run, number.to_string(), options).await?;
                anyhow::Ok(result(&handle).await?)
            }));
            equal(greeted.await?, (0..20).map(|number| format!("Hello, {number}!")).collect::<Vec<_>>())
        })
        .await
}

/// The workflow waits for its worker.
async fn started_before_the_worker(env: &Env) -> Result<()> {
    let handle = env.start(Greeting::run, "late").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    env.worker()
        .workflow::<Greeting>()
        .activities(Greeter)
        .during(async { equal(result(&handle).await?, "Hello, late!") })
        .await
}

/// A workflow is told who it is.
async fn what_it_knows(env: &Env) -> Result<()> {
    let mut memo = MemoValues::new();
    memo.insert("note", "one".to_owned());
    let worker = env.worker().workflow::<WhoAmI>();
    worker
        .during(async {
            let handle = env.start_with(WhoAmI::run, (), env.options("").memo(memo).build()).await?;
            let expected = Known {
                workflow_id: env.id(""),
                workflow_type: "WhoAmI".to_owned(),
                task_queue: env.queue.clone(),
                namespace: NAMESPACE.to_owned(),
                attempt: 1,
                note: Some("one".to_owned()),
            };
            equal(result(&handle).await?, expected)
        })
        .await
}

/// A quarter of a megabyte there and back.
async fn large_payloads(env: &Env) -> Result<()> {
    let name = "x".repeat(1 << 18);
    let worker = env.worker().workflow::<Greeting>().activities(Greeter);
    worker
        .during(async { equal(env.execute(Greeting::run, name.clone()).await?, format!("Hello, {name}!")) })
        .await
}
