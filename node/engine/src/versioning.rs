//! On which version of its workers a run is, and whether it stays there.
//!
//! A worker says with each workflow task that it completes of which version it is and how the workflow
//! behaves: pinned to that version, or moving on with the deployment's current one. Somebody may override
//! that by hand. Part of a run's state, changed by its events alone but for the revision of the routing.

use everlog_proto::api::{
    common::v1::Payload,
    deployment::v1::InheritedAutoUpgradeInfo,
    enums::v1::VersioningBehavior,
    history::v1::{
        WorkflowExecutionOptionsUpdatedEventAttributes, WorkflowExecutionStartedEventAttributes,
        WorkflowTaskCompletedEventAttributes,
    },
    workflow::v1::{
        DeploymentVersionTransition, VersioningOverride, WorkflowExecutionVersioningInfo,
        versioning_override::{
            OneTimeOverride, Override as ApiOverride, PinnedOverride, PinnedOverrideBehavior,
        },
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    decide::json_string,
    deployment::{Placement, WorkerVersion, name::dotted_or_unversioned},
    execution::{Execution, keywords},
    shared::Shared,
    volatile::StartedTask,
};

/// Versions that a run remembers to have been on; the oldest are forgotten first.
const USED_VERSIONS_MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Versioning {
    /// The API's `VersioningBehavior`, as the worker of the latest task said.
    pub behavior: i32,
    /// Of the worker of the latest task, or what the run inherited.
    pub version: Option<WorkerVersion>,
    pub by_hand: Option<Override>,
    /// The deployment of the worker of the latest task; also of one that names it and has no version.
    pub deployment: String,
    /// Of the routing that led the run to its version.
    pub revision: i64,
    /// Versions that completed tasks of this run.
    pub used: Vec<WorkerVersion>,
    /// The API's `ContinueAsNewVersioningBehavior` with which the run was begun.
    pub began_as: i32,
}

/// What somebody wants instead of what the workers say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Override {
    Pinned(WorkerVersion),
    AutoUpgrade,
    /// Pinned until a workflow task is completed there.
    Once(WorkerVersion),
}

/// An override as events have it, in whatever form it was given.
pub fn newest_form(given: Option<&VersioningOverride>) -> Option<VersioningOverride> {
    Override::from_api(given).as_ref().map(Override::api)
}

impl Override {
    /// None if nothing is overridden.
    #[allow(deprecated, reason = "histories may have the older form")]
    pub fn from_api(given: Option<&VersioningOverride>) -> Option<Override> {
        let given = given?;
        match &given.r#override {
            Some(ApiOverride::Pinned(pinned)) => {
                return pinned
                    .version
                    .as_ref()
                    .map(|version| Override::Pinned(WorkerVersion::from_api(version)));
            }
            Some(ApiOverride::OneTime(once)) => {
                let version = once.target_deployment_version.as_ref();
                return version.map(|version| Override::Once(WorkerVersion::from_api(version)));
            }
            Some(ApiOverride::AutoUpgrade(true)) => return Some(Override::AutoUpgrade),
            Some(ApiOverride::AutoUpgrade(false)) | None => {}
        }
        match given.behavior() {
            VersioningBehavior::AutoUpgrade => Some(Override::AutoUpgrade),
            VersioningBehavior::Pinned => match &given.deployment {
                Some(deployment) => {
                    Some(Override::Pinned(WorkerVersion::new(&deployment.series_name, &deployment.build_id)))
                }
                None => WorkerVersion::from_dotted(&given.pinned_version).map(Override::Pinned),
            },
            VersioningBehavior::Unspecified => None,
        }
    }

    /// As events have it.
    pub fn api(&self) -> VersioningOverride {
        let r#override = Some(match self {
            Override::Pinned(version) => ApiOverride::Pinned(PinnedOverride {
                behavior: PinnedOverrideBehavior::Pinned as i32,
                version: Some(version.api()),
            }),
            Override::AutoUpgrade => ApiOverride::AutoUpgrade(true),
            Override::Once(version) => {
                ApiOverride::OneTime(OneTimeOverride { target_deployment_version: Some(version.api()) })
            }
        });
        VersioningOverride { r#override, ..VersioningOverride::default() }
    }

    /// As descriptions have it, for older clients too.
    #[allow(deprecated, reason = "that is what older clients read")]
    pub fn described(&self) -> VersioningOverride {
        let (behavior, pinned_version) = match self {
            Override::Pinned(version) => (VersioningBehavior::Pinned, version.dotted()),
            Override::AutoUpgrade => (VersioningBehavior::AutoUpgrade, String::new()),
            Override::Once(_) => (VersioningBehavior::Unspecified, String::new()),
        };
        VersioningOverride { behavior: behavior as i32, pinned_version, ..self.api() }
    }
}

impl Versioning {
    /// How the run behaves, all things considered.
    pub fn behavior(&self) -> VersioningBehavior {
        match &self.by_hand {
            Some(Override::Pinned(_) | Override::Once(_)) => VersioningBehavior::Pinned,
            Some(Override::AutoUpgrade) => VersioningBehavior::AutoUpgrade,
            None => VersioningBehavior::try_from(self.behavior).unwrap_or(VersioningBehavior::Unspecified),
        }
    }

    /// On which version it is, all things considered.
    pub fn version(&self) -> Option<&WorkerVersion> {
        match &self.by_hand {
            Some(Override::Pinned(version) | Override::Once(version)) => Some(version),
            _ => self.version.as_ref(),
        }
    }

    pub fn is_pinned(&self) -> bool {
        self.behavior() == VersioningBehavior::Pinned
    }

    /// Whether the run is with workers that have a version, or will be.
    pub fn is_versioned(&self) -> bool {
        self.behavior() != VersioningBehavior::Unspecified
    }

    /// What a run takes over that continues this one, or is its child.
    pub fn inherited(&self) -> Inherited {
        let version = self.version().cloned();
        let by_hand = self.by_hand.clone().filter(|by_hand| matches!(by_hand, Override::Pinned(_)));
        match self.behavior() {
            VersioningBehavior::Pinned => Inherited { pinned: version, by_hand, ..Inherited::default() },
            VersioningBehavior::AutoUpgrade => {
                let auto_upgrade = version.map(|version| (version, self.revision));
                Inherited { auto_upgrade, ..Inherited::default() }
            }
            VersioningBehavior::Unspecified => Inherited::default(),
        }
    }

    /// The same for a run that tries again: it stays where it is only if it did not choose that itself.
    pub fn inherited_by_retry(&self, start: &WorkflowExecutionStartedEventAttributes) -> Inherited {
        let inherited = self.inherited();
        let pinned = inherited.pinned.filter(|_| start.inherited_pinned_version.is_some());
        Inherited { pinned, by_hand: inherited.by_hand, auto_upgrade: None }
    }

    /// What queues are told.
    pub fn placement(&self, normal_queue: &str) -> Placement {
        Placement {
            version: self.version().cloned(),
            pinned: self.is_pinned(),
            revision: self.revision,
            normal_queue: normal_queue.to_owned(),
        }
    }

    /// Whether a worker of this version may work on the run as it is.
    pub fn admits(&self, worker: Option<&WorkerVersion>) -> bool {
        !self.is_pinned() || self.version() == worker
    }

    fn deployment(&self) -> &str {
        match &self.by_hand {
            Some(Override::Pinned(version) | Override::Once(version)) => &version.deployment,
            _ => &self.deployment,
        }
    }
}

/// What a run takes over from the run that it continues, or from its parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    pub pinned: Option<WorkerVersion>,
    /// With the revision of the routing that led there.
    pub auto_upgrade: Option<(WorkerVersion, i64)>,
    pub by_hand: Option<Override>,
}

impl Inherited {
    pub fn is_nothing(&self) -> bool {
        *self == Inherited::default()
    }

    /// Writes it into a run's first event.
    pub fn put(&self, attributes: &mut WorkflowExecutionStartedEventAttributes) {
        attributes.inherited_pinned_version = self.pinned.as_ref().map(WorkerVersion::api);
        attributes.inherited_auto_upgrade_info =
            self.auto_upgrade.as_ref().map(|(version, revision)| InheritedAutoUpgradeInfo {
                source_deployment_version: Some(version.api()),
                source_deployment_revision_number: *revision,
                ..InheritedAutoUpgradeInfo::default()
            });
        attributes.versioning_override = self.by_hand.as_ref().map(Override::api);
    }

    /// A pinned run may want its successor to move on.
    pub fn moving_on(self, revision: i64) -> Inherited {
        let auto_upgrade = self.pinned.map(|version| (version, revision)).or(self.auto_upgrade);
        Inherited { pinned: None, auto_upgrade, by_hand: self.by_hand }
    }
}

pub fn started(shared: &mut Shared<Versioning>, attributes: &WorkflowExecutionStartedEventAttributes) {
    let is_plain = attributes.versioning_override.is_none()
        && attributes.inherited_pinned_version.is_none()
        && attributes.inherited_auto_upgrade_info.is_none();
    if is_plain {
        return;
    }
    let versioning = &mut **shared;
    versioning.by_hand = Override::from_api(attributes.versioning_override.as_ref());
    let inherited = attributes.inherited_auto_upgrade_info.as_ref();
    let (behavior, version) = match &attributes.inherited_pinned_version {
        Some(version) => (VersioningBehavior::Pinned, Some(version)),
        None => match inherited.and_then(|info| info.source_deployment_version.as_ref()) {
            Some(version) => (VersioningBehavior::AutoUpgrade, Some(version)),
            None => return,
        },
    };
    versioning.behavior = behavior as i32;
    versioning.version = version.map(WorkerVersion::from_api);
    versioning.deployment = version.map(|version| version.deployment_name.clone()).unwrap_or_default();
    versioning.revision = inherited.map_or(0, |info| info.source_deployment_revision_number);
    versioning.began_as = inherited.map_or(0, |info| info.continue_as_new_initial_versioning_behavior);
}

pub fn task_completed(shared: &mut Shared<Versioning>, attributes: &WorkflowTaskCompletedEventAttributes) {
    // Most tasks change nothing of this, and the state before goes on sharing it.
    let mut versioning = (**shared).clone();
    versioning.behavior = attributes.versioning_behavior;
    versioning.deployment.clone_from(&attributes.worker_deployment_name);
    let version = attributes.deployment_version.as_ref().map(WorkerVersion::from_api);
    let is_versioned = attributes.versioning_behavior != VersioningBehavior::Unspecified as i32;
    if matches!(&versioning.by_hand, Some(Override::Once(once)) if Some(once) == version.as_ref()) {
        versioning.by_hand = None;
    }
    versioning.version = version.clone().filter(|_| is_versioned);
    if let Some(version) = version.filter(|version| !versioning.used.contains(version)) {
        if versioning.used.len() == USED_VERSIONS_MAX {
            versioning.used.remove(0);
        }
        versioning.used.push(version);
    }
    if versioning != **shared {
        *shared = versioning.into();
    }
}

pub fn options_updated(
    versioning: &mut Versioning,
    attributes: &WorkflowExecutionOptionsUpdatedEventAttributes,
) {
    if attributes.unset_versioning_override {
        versioning.by_hand = None;
    } else if attributes.versioning_override.is_some() {
        versioning.by_hand = Override::from_api(attributes.versioning_override.as_ref());
    }
}

/// What a description says. A task that a worker of another version holds is a transition to that version.
#[allow(deprecated, reason = "older clients read the texts")]
pub fn described(
    execution: &Execution,
    held: Option<&StartedTask>,
) -> Option<WorkflowExecutionVersioningInfo> {
    let versioning = &execution.versioning;
    let moves_to =
        held.filter(|held| !versioning.is_pinned() && held.version.as_ref() != versioning.version());
    let is_plain = versioning.behavior == 0
        && versioning.revision == 0
        && versioning.by_hand.is_none()
        && versioning.used.is_empty();
    if is_plain && moves_to.is_none() {
        return None;
    }
    let transition = moves_to.map(|held| DeploymentVersionTransition {
        version: dotted_or_unversioned(held.version.as_ref()),
        deployment_version: held.version.as_ref().map(WorkerVersion::api),
    });
    Some(WorkflowExecutionVersioningInfo {
        behavior: versioning.behavior,
        version: versioning.version.as_ref().map(WorkerVersion::dotted).unwrap_or_default(),
        deployment_version: versioning.version.as_ref().map(WorkerVersion::api),
        versioning_override: versioning.by_hand.as_ref().map(Override::described),
        version_transition: transition,
        revision_number: moves_to.map_or(versioning.revision, |held| held.revision),
        continue_as_new_initial_versioning_behavior: versioning.began_as,
        ..WorkflowExecutionVersioningInfo::default()
    })
}

/// The deployment that a description names.
pub fn deployment_name(execution: &Execution) -> String {
    execution.versioning.deployment().to_owned()
}

/// The search attributes that tell of versions, and the builds that belong into `BuildIds`.
pub fn search_attributes(versioning: &Versioning) -> (Vec<(&'static str, Payload)>, Option<String>) {
    let mut shown = Vec::new();
    let mut show = |name, value: &str| shown.push((name, keyword(value)));
    if !versioning.deployment().is_empty() {
        show("TemporalWorkerDeployment", versioning.deployment());
    }
    if let Some(version) = versioning.version() {
        show("TemporalWorkerDeploymentVersion", &version.colon());
    }
    match versioning.behavior() {
        VersioningBehavior::Pinned => show("TemporalWorkflowVersioningBehavior", "Pinned"),
        VersioningBehavior::AutoUpgrade => show("TemporalWorkflowVersioningBehavior", "AutoUpgrade"),
        VersioningBehavior::Unspecified => {}
    }
    if !versioning.used.is_empty() {
        let used: Vec<String> = versioning.used.iter().map(|version| json_string(&version.colon())).collect();
        shown.push(("TemporalUsedWorkerDeploymentVersions", keywords(&used)));
    }
    let pinned = versioning.version().filter(|_| versioning.is_pinned());
    (shown, pinned.map(|version| format!("pinned:{}", version.colon())))
}

/// A search attribute of the type Keyword.
fn keyword(value: &str) -> Payload {
    let mut payload = Payload { data: json_string(value).into_bytes(), ..Payload::default() };
    payload.metadata.insert("encoding".into(), b"json/plain".to_vec());
    payload.metadata.insert("type".into(), b"Keyword".to_vec());
    payload
}
