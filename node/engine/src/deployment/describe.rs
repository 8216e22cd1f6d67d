//! A deployment as the API shows it.

use everlog_proto::api::{
    deployment::v1::{
        RoutingConfig, VersionDrainageInfo, VersionMetadata, WorkerDeploymentInfo,
        WorkerDeploymentVersionInfo, worker_deployment_info::WorkerDeploymentVersionSummary,
        worker_deployment_version_info::VersionTaskQueueInfo,
    },
    enums::v1::{RoutingConfigUpdateState, VersionDrainageStatus},
    workflowservice::v1::list_worker_deployments_response::WorkerDeploymentSummary,
};
use prost::Message;

use super::{
    name::{UNVERSIONED, dotted_or_unversioned},
    state::{DeploymentState, Drainage, Version},
};
use crate::time::Time;

pub fn deployment(state: &DeploymentState) -> WorkerDeploymentInfo {
    WorkerDeploymentInfo {
        name: state.key.name().to_owned(),
        version_summaries: newest_first(state)
            .map(|(build_id, version)| summary(state, build_id, version))
            .collect(),
        create_time: Some(state.head.create_time.proto()),
        routing_config: Some(routing(state)),
        last_modifier_identity: state.head.last_modifier.clone(),
        manager_identity: state.head.manager.clone(),
        routing_config_update_state: RoutingConfigUpdateState::Completed as i32,
    }
}

pub fn in_list(state: &DeploymentState) -> WorkerDeploymentSummary {
    let of = |build_id: Option<&String>| {
        let (build_id, version) = state.versions.get_key_value(build_id?)?;
        Some(summary(state, build_id, version))
    };
    let routing_config = routing(state);
    let ramping = state.head.routing.ramp.as_ref().and_then(|ramp| ramp.build_id.as_ref());
    WorkerDeploymentSummary {
        name: state.key.name().to_owned(),
        create_time: Some(state.head.create_time.proto()),
        routing_config: Some(routing_config),
        latest_version_summary: of(newest_first(state).next().map(|(build_id, _)| build_id)),
        current_version_summary: of(state.head.routing.current.as_ref()),
        ramping_version_summary: of(ramping),
    }
}

fn newest_first(state: &DeploymentState) -> impl Iterator<Item = (&String, &Version)> {
    let mut versions: Vec<_> = state.versions.iter().collect();
    versions.sort_by_key(|(_, version)| std::cmp::Reverse(version.create_time));
    versions.into_iter()
}

#[allow(deprecated, reason = "older clients read the texts")]
fn routing(state: &DeploymentState) -> RoutingConfig {
    let routing = &state.head.routing;
    let current = routing.current.as_ref().map(|build_id| state.named(build_id));
    let ramping =
        routing.ramp.as_ref().map(|ramp| ramp.build_id.as_ref().map(|build_id| state.named(build_id)));
    RoutingConfig {
        current_version: dotted_or_unversioned(current.as_ref()),
        current_deployment_version: current.map(|version| version.api()),
        ramping_version: match &ramping {
            Some(version) => dotted_or_unversioned(version.as_ref()),
            None => String::new(),
        },
        ramping_deployment_version: ramping.flatten().map(|version| version.api()),
        ramping_version_percentage: routing.ramp.as_ref().map_or(0.0, |ramp| ramp.percentage),
        current_version_changed_time: routing.current_changed.map(Time::proto),
        ramping_version_changed_time: routing.ramp_changed.map(Time::proto),
        ramping_version_percentage_changed_time: routing.percentage_changed.map(Time::proto),
        revision_number: routing.revision,
    }
}

fn drainage(drainage: &Drainage) -> VersionDrainageInfo {
    VersionDrainageInfo {
        status: drainage.status,
        last_changed_time: Some(drainage.changed.proto()),
        last_checked_time: Some(drainage.checked.proto()),
    }
}

#[allow(deprecated, reason = "older clients read the text")]
fn summary(state: &DeploymentState, build_id: &str, version: &Version) -> WorkerDeploymentVersionSummary {
    let named = state.named(build_id);
    WorkerDeploymentVersionSummary {
        version: named.dotted(),
        status: state.status(build_id) as i32,
        deployment_version: Some(named.api()),
        create_time: Some(version.create_time.proto()),
        drainage_status: version.drainage_status() as i32,
        drainage_info: version.drainage.as_ref().map(drainage),
        current_since_time: version.current_since.map(Time::proto),
        ramping_since_time: version.ramping_since.map(Time::proto),
        routing_update_time: version.routing_changed.map(Time::proto),
        first_activation_time: version.first_activation.map(Time::proto),
        last_current_time: version.last_current.map(Time::proto),
        last_deactivation_time: version.last_deactivation.map(Time::proto),
        ..Default::default()
    }
}

#[allow(deprecated, reason = "older clients read the text")]
pub fn version(state: &DeploymentState, build_id: &str) -> Option<WorkerDeploymentVersionInfo> {
    let version = state.versions.get(build_id)?;
    let named = state.named(build_id);
    let is_draining = version.drainage_status() != VersionDrainageStatus::Unspecified;
    let ramp = state.head.routing.ramp.as_ref().filter(|_| state.is_ramping(build_id));
    let entries = version
        .metadata
        .iter()
        .filter_map(|(key, payload)| Some((key.clone(), Message::decode(&payload[..]).ok()?)));
    Some(WorkerDeploymentVersionInfo {
        version: named.dotted(),
        status: state.status(build_id) as i32,
        deployment_version: Some(named.api()),
        create_time: Some(version.create_time.proto()),
        routing_changed_time: version.routing_changed.map(Time::proto),
        current_since_time: version.current_since.map(Time::proto),
        ramping_since_time: version.ramping_since.map(Time::proto),
        ramp_percentage: ramp.map_or(0.0, |ramp| ramp.percentage),
        task_queue_infos: version
            .queues
            .iter()
            .map(|queue| VersionTaskQueueInfo { name: queue.name.clone(), r#type: queue.kind })
            .collect(),
        drainage_info: version.drainage.as_ref().filter(|_| is_draining).map(drainage),
        metadata: (!version.metadata.is_empty()).then(|| VersionMetadata { entries: entries.collect() }),
        last_modifier_identity: version.last_modifier.clone(),
        ..Default::default()
    })
}

/// What a version is called where there may be none.
pub fn unversioned() -> String {
    UNVERSIONED.to_owned()
}
