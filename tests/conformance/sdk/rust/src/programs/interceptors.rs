//! Headers, which interceptors carry from the client through workflow and activity.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures::future::BoxFuture;
use temporalio_client::{
    Client, ClientInterceptor, ClientOptions, Next, StartWorkflowInput, StartWorkflowOutput,
    errors::WorkflowStartError,
};
use temporalio_common::protos::temporal::api::common::v1::{Header, Payload};
use temporalio_sdk::{
    interceptors::{self, ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput},
    workflow_interceptors::{
        CancellableWorkflowOutboundFuture, ExecuteWorkflowInput, ExecuteWorkflowResult,
        ScheduleActivityInput, ScheduleActivityResult, WorkflowInterceptor, WorkflowInterceptorConstructor,
        WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
    },
};

use super::hello::{Greeter, Greeting};
use crate::harness::{Case, Env, NAMESPACE, equal, result};

pub const CASES: &[Case] = crate::cases![headers];

const HEADER: &str = "everlog-trace";

/// The client's part: its starts carry a header.
struct Sends;

impl ClientInterceptor for Sends {
    fn start_workflow<'a>(
        &'a self,
        mut input: StartWorkflowInput,
        next: Next<'a, StartWorkflowInput, BoxFuture<'a, Result<StartWorkflowOutput, WorkflowStartError>>>,
    ) -> BoxFuture<'a, Result<StartWorkflowOutput, WorkflowStartError>> {
        let trace = Payload { data: b"abc-123".to_vec(), ..Payload::default() };
        input.options.header = Some(Header { fields: [(HEADER.to_owned(), trace)].into() });
        next.run(input)
    }
}

/// The workflow's part: what it was started with goes to its activities.
#[derive(Default)]
struct Carries {
    trace: Arc<Mutex<Option<Payload>>>,
}

impl WorkflowInterceptor for Carries {
    fn execute<'a>(
        &'a self,
        _ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<'a, ExecuteWorkflowInput, WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        *self.trace.lock().unwrap() = input.headers().get(HEADER).cloned();
        next.run(input)
    }

    fn schedule_activity(
        &self,
        _ctx: WorkflowInterceptorContext,
        mut input: ScheduleActivityInput,
        next: WorkflowNext<
            'static,
            ScheduleActivityInput,
            CancellableWorkflowOutboundFuture<ScheduleActivityResult>,
        >,
    ) -> CancellableWorkflowOutboundFuture<ScheduleActivityResult> {
        if let Some(trace) = self.trace.lock().unwrap().clone() {
            input.headers_mut().insert(HEADER.to_owned(), trace);
        }
        next.run(input)
    }
}

/// The activity's part.
#[derive(Clone, Default)]
struct Sees {
    seen: Arc<Mutex<Vec<String>>>,
}

impl ActivityInboundInterceptor for Sees {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: interceptors::Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let trace = input.headers().get(HEADER).map(|it| String::from_utf8_lossy(&it.data).into_owned());
        self.seen.lock().unwrap().extend(trace);
        next.run(input)
    }
}

/// What the client sends along reaches the activity.
async fn headers(env: &Env) -> Result<()> {
    let sees = Sees::default();
    let seen = sees.seen.clone();
    let worker = env.worker().workflow::<Greeting>().activities(Greeter).with(|options| {
        options.workflow_interceptor(WorkflowInterceptorConstructor::new(|_| Carries::default()));
        options.activity_inbound_interceptor(sees);
    });
    worker
        .during(async {
            let interceptors: Vec<Arc<dyn ClientInterceptor>> = vec![Arc::new(Sends)];
            let options = ClientOptions::new(NAMESPACE).client_interceptors(interceptors).build();
            let client = Client::new(env.client.connection().clone(), options)?;
            let started =
                client.start_workflow(Greeting::run, "you".to_owned(), env.options("").build()).await?;
            env.replay(&started);
            equal(result(&started).await?, "Hello, you!")?;
            equal(seen.lock().unwrap().as_slice(), ["abc-123"].as_slice())
        })
        .await
}
