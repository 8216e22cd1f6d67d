//! Versions of workers: pinned workflows end on the version that they began with, others move on with the current
//! one, and a version that nobody is pinned to any more has drained.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion, WorkerDeploymentVersionInfo},
    enums::v1::{RoutingConfigUpdateState, VersionDrainageStatus, VersioningBehavior, WorkerVersioningMode},
    history::v1::history_event::Attributes,
    protocol::v1::Message,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        DescribeWorkerDeploymentRequest, DescribeWorkerDeploymentVersionRequest,
        SetWorkerDeploymentCurrentVersionRequest, SetWorkerDeploymentRampingVersionRequest,
    },
};
use tonic::Code;

use super::{
    answer,
    client::{Client, PERSIST},
    feature::{Answer, Expected, Feature, Told},
};
use crate::{
    api::{self, NAMESPACE},
    load::Workers,
    program::{Program, Step, signal_value},
    record::Recorder,
    unique::Chance,
};

const PINNED: &str = "pinned";
const MOVING: &str = "moving";
const OLD: &str = "1";
const NEW: &str = "2";
/// Of each version, at each node.
const POLLERS: usize = 1;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Workflow tasks and activities.
const QUEUES_OF_A_VERSION: usize = 2;

pub(super) struct Versions;

/// A workflow that waits for its last signal.
struct Waiting {
    workflow_type: &'static str,
    id: String,
    program: Program,
}

impl Feature for Versions {
    fn name(&self) -> &'static str {
        "versions"
    }

    /// A round has many pollers of its own.
    fn clients(&self) -> usize {
        1
    }

    fn types(&self) -> &'static [&'static str] {
        &[PINNED, MOVING]
    }

    fn answer(&self, told: &Told<'_>, _: &[Message]) -> Answer {
        let Ok(program) = told.input.parse::<Program>() else { return Answer::default() };
        let behavior = if told.workflow_type == PINNED {
            VersioningBehavior::Pinned
        } else {
            VersioningBehavior::AutoUpgrade
        };
        Answer { commands: program.decide(told.events, told.queue), behavior, ..Answer::default() }
    }

    /// Each round has a deployment of its own, and a queue that is named like it.
    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let deployment = client.id();
            let old = workers(client, &deployment, OLD);
            wait_polled(client, &deployment, OLD).await?;
            set_current(client, &deployment, OLD).await?;
            let mut waiting = Vec::new();
            for _ in 0..1 + chance.below(3) {
                for workflow_type in [PINNED, MOVING] {
                    waiting.push(Waiting::start(client, &deployment, workflow_type, chance).await?);
                }
            }
            for workflow in &waiting {
                workflow.rests(client).await?;
            }
            let new = workers(client, &deployment, NEW);
            wait_polled(client, &deployment, NEW).await?;
            let ramps = chance.below(2) == 0;
            if ramps {
                set_ramping(client, &deployment, NEW).await?;
            } else {
                set_current(client, &deployment, NEW).await?;
            }
            let mut young = Vec::new();
            for workflow_type in [PINNED, MOVING] {
                young.push(Waiting::start(client, &deployment, workflow_type, chance).await?);
            }
            let mut expected = Vec::new();
            for workflow in young {
                expected.push(workflow.goes_on(client, &[NEW]).await?);
            }
            let (pinned, moving): (Vec<Waiting>, Vec<Waiting>) =
                waiting.into_iter().partition(|workflow| workflow.workflow_type == PINNED);
            for workflow in moving {
                expected.push(workflow.goes_on(client, &[OLD, NEW]).await?);
            }
            if ramps {
                set_current(client, &deployment, NEW).await?;
            }
            let drainage = drainage(client, &deployment).await?;
            ensure!(drainage == VersionDrainageStatus::Draining, "{deployment}: pinned, and {drainage:?}");
            for workflow in pinned {
                expected.push(workflow.goes_on(client, &[OLD]).await?);
            }
            wait_drained(client, &deployment).await?;
            for workflow in &expected {
                wait_closed(client, &workflow.workflow_id).await?;
            }
            old.kill().await;
            new.kill().await;
            Ok(expected)
        })
    }
}

impl Waiting {
    async fn start(
        client: &Client,
        queue: &str,
        workflow_type: &'static str,
        chance: &mut Chance,
    ) -> Result<Self> {
        let mut program = Program { steps: vec![Step::Activities(1 + chance.below(2)), Step::Signals(1)] };
        program.steps.extend(Program::random(chance, false).steps);
        let id = client.id();
        let queue = TaskQueue { name: queue.into(), ..Default::default() };
        client.start_on(queue, workflow_type, &id, &program.to_string()).await?;
        Ok(Self { workflow_type, id, program })
    }

    /// Until it has done what it does before the signal.
    async fn rests(&self, client: &Client) -> Result<()> {
        let first = match self.program.steps.first() {
            Some(Step::Activities(count)) => *count as usize,
            _ => 0,
        };
        let deadline = Instant::now() + PERSIST;
        loop {
            let events = client.history(&self.id, "").await?;
            let done = events.iter().filter(|event| {
                matches!(event.attributes, Some(Attributes::ActivityTaskCompletedEventAttributes(_)))
            });
            let last = events.last().and_then(|event| event.attributes.as_ref());
            if done.count() == first
                && matches!(last, Some(Attributes::WorkflowTaskCompletedEventAttributes(_)))
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} does not come to rest", self.id);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn goes_on(self, client: &Client, builds: &[&str]) -> Result<Expected> {
        let signals = vec![client.signal(&self.id, signal_value(0)).await?];
        let builds = builds.iter().map(|build| (*build).to_owned()).collect();
        Ok(Expected { signals, builds, ..Expected::new(&self.id, self.program.result()) })
    }
}

fn workers(client: &Client, deployment: &str, build: &str) -> Workers {
    let version = WorkerDeploymentOptions {
        deployment_name: deployment.into(),
        build_id: build.into(),
        worker_versioning_mode: WorkerVersioningMode::Versioned as i32,
    };
    Workers::start_version(Some(version), deployment, answer, client.api(), &Recorder::new(), POLLERS, 0)
}

async fn set_current(client: &Client, deployment: &str, build: &str) -> Result<()> {
    let request = SetWorkerDeploymentCurrentVersionRequest {
        namespace: NAMESPACE.into(),
        deployment_name: deployment.into(),
        build_id: build.into(),
        // Who has polled is in the memory of a node that may have died.
        allow_no_pollers: true,
        ..Default::default()
    };
    client
        .write("a change of the current version", &request, |mut client, request| async move {
            client.set_worker_deployment_current_version(request).await
        })
        .await?;
    wait_routed(client, deployment).await
}

async fn set_ramping(client: &Client, deployment: &str, build: &str) -> Result<()> {
    let request = SetWorkerDeploymentRampingVersionRequest {
        namespace: NAMESPACE.into(),
        deployment_name: deployment.into(),
        build_id: build.into(),
        percentage: 100.0,
        allow_no_pollers: true,
        ..Default::default()
    };
    client
        .write("a change of the ramping version", &request, |mut client, request| async move {
            client.set_worker_deployment_ramping_version(request).await
        })
        .await?;
    wait_routed(client, deployment).await
}

/// Until all queues know of the change.
async fn wait_routed(client: &Client, deployment: &str) -> Result<()> {
    let request =
        DescribeWorkerDeploymentRequest { namespace: NAMESPACE.into(), deployment_name: deployment.into() };
    let deadline = Instant::now() + PERSIST;
    loop {
        let described = client
            .write("the description of a deployment", &request, |mut client, request| async move {
                client.describe_worker_deployment(request).await
            })
            .await?;
        let info = described.worker_deployment_info.unwrap_or_default();
        if info.routing_config_update_state() != RoutingConfigUpdateState::InProgress {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{deployment}: a change does not reach all queues");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What there is of a version; nothing before its workers have polled.
async fn version(client: &Client, deployment: &str, build: &str) -> Result<WorkerDeploymentVersionInfo> {
    let request = DescribeWorkerDeploymentVersionRequest {
        namespace: NAMESPACE.into(),
        deployment_version: Some(WorkerDeploymentVersion {
            deployment_name: deployment.into(),
            build_id: build.into(),
        }),
        ..Default::default()
    };
    let described = client
        .write("the description of a version", &request, |mut client: api::Client, request| async move {
            match client.describe_worker_deployment_version(request).await {
                Err(status) if status.code() == Code::NotFound => {
                    Ok(tonic::Response::new(Default::default()))
                }
                answer => answer,
            }
        })
        .await?;
    Ok(described.worker_deployment_version_info.unwrap_or_default())
}

async fn wait_polled(client: &Client, deployment: &str, build: &str) -> Result<()> {
    let deadline = Instant::now() + PERSIST;
    while version(client, deployment, build).await?.task_queue_infos.len() < QUEUES_OF_A_VERSION {
        ensure!(Instant::now() < deadline, "{deployment}: nobody polls as {build}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn drainage(client: &Client, deployment: &str) -> Result<VersionDrainageStatus> {
    Ok(version(client, deployment, OLD).await?.drainage_info.unwrap_or_default().status())
}

async fn wait_drained(client: &Client, deployment: &str) -> Result<()> {
    let deadline = Instant::now() + PERSIST;
    while drainage(client, deployment).await? != VersionDrainageStatus::Drained {
        ensure!(Instant::now() < deadline, "{deployment}: the old version does not drain");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// The workers of its versions are needed until then.
async fn wait_closed(client: &Client, id: &str) -> Result<()> {
    let deadline = Instant::now() + PERSIST;
    loop {
        let events = client.history(id, "").await?;
        if crate::history::Run::new(id, "", &events).is_closed() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{id} does not end");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
