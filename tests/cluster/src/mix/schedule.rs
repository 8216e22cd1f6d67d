//! A schedule with so many actions left: each is taken once, whoever leads.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    common::v1::WorkflowType,
    enums::v1::ScheduleOverlapPolicy,
    schedule::v1::{
        IntervalSpec, Schedule as Definition, ScheduleAction, ScheduleInfo, SchedulePolicies, ScheduleSpec,
        ScheduleState, schedule_action::Action,
    },
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{CreateScheduleRequest, DeleteScheduleRequest, DescribeScheduleRequest},
};

use super::{
    client::{Client, PERSIST, WORKFLOW_TASK_TIMEOUT, queue},
    feature::{Expected, Feature},
    steps,
};
use crate::{
    api::{NAMESPACE, duration, payloads},
    program::Program,
    unique::{Chance, unique},
};

const EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For seeing that nothing more is done.
const LONGER: Duration = Duration::from_millis(1_500);

pub(super) struct Schedule;

impl Feature for Schedule {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let program = Program::random(chance, false);
            let actions = 1 + chance.below(3) as i64;
            let id = client.id();
            create(client, &id, &program, actions).await?;
            let deadline = Instant::now() + PERSIST;
            while describe(client, &id).await?.action_count < actions {
                ensure!(Instant::now() < deadline, "the schedule {id} has not taken {actions} actions");
                tokio::time::sleep(LOOK_EVERY).await;
            }
            tokio::time::sleep(LONGER).await;
            let info = describe(client, &id).await?;
            ensure!(info.action_count == actions, "{id}: {} actions, not {actions}", info.action_count);
            let started = info.recent_actions.into_iter().filter_map(|it| it.start_workflow_result);
            let expected: Vec<Expected> =
                started.map(|it| Expected::new(&it.workflow_id, program.result())).collect();
            ensure!(expected.len() as i64 == actions, "{id}: {} are told of", expected.len());
            delete(client, &id).await?;
            Ok(expected)
        })
    }
}

async fn create(client: &Client, id: &str, program: &Program, actions: i64) -> Result<()> {
    let start = NewWorkflowExecutionInfo {
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: steps::TYPE.into() }),
        task_queue: Some(queue()),
        input: Some(payloads(&serde_json::json!(program.to_string()).to_string())),
        workflow_task_timeout: Some(duration(WORKFLOW_TASK_TIMEOUT)),
        ..Default::default()
    };
    let interval = IntervalSpec { interval: Some(duration(EVERY)), phase: None };
    let definition = Definition {
        spec: Some(ScheduleSpec { interval: vec![interval], ..Default::default() }),
        action: Some(ScheduleAction { action: Some(Action::StartWorkflow(start)) }),
        policies: Some(SchedulePolicies {
            overlap_policy: ScheduleOverlapPolicy::AllowAll as i32,
            ..Default::default()
        }),
        state: Some(ScheduleState {
            limited_actions: true,
            remaining_actions: actions,
            ..Default::default()
        }),
    };
    let request = CreateScheduleRequest {
        namespace: NAMESPACE.into(),
        schedule_id: id.into(),
        schedule: Some(definition),
        request_id: unique("create"),
        ..Default::default()
    };
    client
        .write("the creation of a schedule", &request, |mut client, request| async move {
            client.create_schedule(request).await
        })
        .await?;
    Ok(())
}

async fn describe(client: &Client, id: &str) -> Result<ScheduleInfo> {
    let request = DescribeScheduleRequest { namespace: NAMESPACE.into(), schedule_id: id.into() };
    let described = client
        .write("a description", &request, |mut client, request| async move {
            client.describe_schedule(request).await
        })
        .await?;
    Ok(described.info.unwrap_or_default())
}

/// A deletion that is repeated finds nothing; that the first call did it is what matters.
async fn delete(client: &Client, id: &str) -> Result<()> {
    let request =
        DeleteScheduleRequest { namespace: NAMESPACE.into(), schedule_id: id.into(), ..Default::default() };
    let _ =
        client
            .write("a deletion", &request, |mut client, request| async move {
                client.delete_schedule(request).await
            })
            .await;
    Ok(())
}
