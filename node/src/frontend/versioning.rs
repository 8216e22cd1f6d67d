//! What clients say about versions by hand.

use everlog_engine::{
    deployment::{DeploymentKey, WorkerVersion, state::PolledQueue},
    versioning::Override,
};
use everlog_proto::api::{
    enums::v1::{TaskQueueType, VersioningBehavior},
    workflow::v1::{
        VersioningOverride,
        versioning_override::{Override as ApiOverride, PinnedOverrideBehavior},
    },
};
use tonic::Status;

use super::{
    call::Scope,
    deployment::{bad_version, type_name},
};

/// Checks an override, and that its version has the queue of the workflow.
pub(super) fn check_override(
    scope: &Scope,
    given: Option<&VersioningOverride>,
    queue: &str,
) -> Result<(), Status> {
    check_form(given)?;
    check_queue(scope, given, queue)
}

/// Checks that the version of an override has the queue of the workflow. The oldest form is believed.
#[allow(deprecated, reason = "older clients send the older form")]
pub(super) fn check_queue(
    scope: &Scope,
    given: Option<&VersioningOverride>,
    queue: &str,
) -> Result<(), Status> {
    let Some(given) = given else { return Ok(()) };
    if given.r#override.is_none() && given.deployment.is_some() {
        return Ok(());
    }
    let Some(Override::Pinned(version) | Override::Once(version)) = Override::from_api(Some(given)) else {
        return Ok(());
    };
    let key = DeploymentKey::new(scope.namespace_id(), &version.deployment);
    let kind = TaskQueueType::Workflow as i32;
    let polled = PolledQueue { name: queue.to_owned(), kind };
    let known = scope.call.shared.backend.deployment(&key);
    if known.is_none_or(|state| !state.has_queue(&version.build_id, &polled)) {
        return Err(Status::failed_precondition(format!(
            "Pinned version '{}' is not present in task queue '{queue}' of type '{}'",
            version.colon(),
            type_name(kind)
        )));
    }
    Ok(())
}

/// Whether an override pins a run to the version that it is on already.
pub(super) fn pins_where_it_is(given: Option<&VersioningOverride>) -> bool {
    let Some(ApiOverride::Pinned(pinned)) = given.and_then(|given| given.r#override.as_ref()) else {
        return false;
    };
    pinned.version.is_none() && pinned.behavior != PinnedOverrideBehavior::Unspecified as i32
}

/// Checks an override by itself.
#[allow(deprecated, reason = "older clients send the older form")]
pub(super) fn check_form(given: Option<&VersioningOverride>) -> Result<(), Status> {
    let Some(given) = given else { return Ok(()) };
    let invalid = |why: &str| Err(Status::invalid_argument(why));
    match &given.r#override {
        Some(ApiOverride::Pinned(pinned)) => {
            if pinned.version.is_none() {
                return invalid("must provide version if override is pinned.");
            }
            if pinned.behavior == PinnedOverrideBehavior::Unspecified as i32 {
                return invalid("must specify pinned override behavior if override is pinned.");
            }
            return Ok(());
        }
        Some(ApiOverride::OneTime(once)) if once.target_deployment_version.is_none() => {
            return invalid("must provide target deployment version if override is one-time.");
        }
        Some(ApiOverride::OneTime(_) | ApiOverride::AutoUpgrade(true)) => return Ok(()),
        Some(ApiOverride::AutoUpgrade(false)) => return invalid("auto-upgrade override must be true"),
        None => {}
    }
    match given.behavior() {
        VersioningBehavior::Unspecified => invalid("override behavior is required"),
        VersioningBehavior::AutoUpgrade if given.deployment.is_some() => {
            invalid("only provide deployment if behavior is 'PINNED'")
        }
        VersioningBehavior::AutoUpgrade if !given.pinned_version.is_empty() => {
            invalid("only provide pinned version if behavior is 'PINNED'")
        }
        VersioningBehavior::AutoUpgrade => Ok(()),
        VersioningBehavior::Pinned if given.deployment.is_some() => Ok(()),
        VersioningBehavior::Pinned if given.pinned_version.is_empty() => {
            invalid("must provide deployment (deprecated) or pinned version if behavior is 'PINNED'")
        }
        VersioningBehavior::Pinned if WorkerVersion::from_dotted(&given.pinned_version).is_none() => {
            Err(bad_version(&given.pinned_version))
        }
        VersioningBehavior::Pinned => Ok(()),
    }
}
