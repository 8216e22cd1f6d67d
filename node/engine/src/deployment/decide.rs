//! Decides what is asked of a deployment. The order of the checks and the texts are the real server's
//! (service/worker/workerdeployment).

use everlog_proto::api::enums::v1::VersionDrainageStatus;

use super::{
    fact::{DeploymentFact, evolve},
    name::dotted_or_unversioned,
    request::{
        DeploymentReply, DeploymentRequest, SetCurrent, SetRamping, not_found, token_bytes,
        version_not_found, workflow_not_found,
    },
    state::{DeploymentState, Drainage, Head, PolledQueue, Ramp, Version},
};
use crate::{limits::Limits, reject::Reject, stamp::Stamp};

type Decided = Result<DeploymentReply, Reject>;

/// A decision in the making: the state so far, and the facts that led to it.
#[derive(Debug)]
pub struct DeploymentTurn<'a> {
    pub stamp: &'a Stamp<'a>,
    pub state: DeploymentState,
    pub facts: Vec<DeploymentFact>,
}

/// Refuses before it adds a fact. `exists` is false for a deployment that was never there or is gone.
pub fn decide(turn: &mut DeploymentTurn<'_>, exists: bool, request: &DeploymentRequest) -> Decided {
    let name = turn.state.key.name().to_owned();
    let needs = |missing: fn(&str) -> Reject| if exists { Ok(()) } else { Err(missing(&name)) };
    match request {
        DeploymentRequest::Create { request_id, identity, others } => {
            create(turn, exists, request_id, identity, *others)
        }
        DeploymentRequest::CreateVersion { build_id, request_id, identity } => {
            needs(not_found)?;
            create_version(turn, build_id, request_id, identity)
        }
        DeploymentRequest::Polled { build_id, queue, others } => {
            polled(turn, exists, build_id, queue, *others)
        }
        DeploymentRequest::SetCurrent(asked) => {
            if !asked.allow_no_pollers {
                needs(not_found)?;
            }
            set_current(turn, exists, asked)
        }
        DeploymentRequest::SetRamping(asked) => {
            if !asked.allow_no_pollers {
                needs(not_found)?;
            }
            set_ramping(turn, exists, asked)
        }
        DeploymentRequest::SetManager { manager, identity, conflict_token } => {
            needs(workflow_not_found)?;
            set_manager(turn, manager, identity, conflict_token)
        }
        DeploymentRequest::UpdateMetadata { build_id, upsert, remove, identity } => {
            let Some(mut version) = turn.state.versions.get(build_id).cloned() else {
                return Err(Reject::NotFound(format!(
                    "workflow not found for ID: temporal-sys-worker-deployment-version:{name}:{build_id}"
                )));
            };
            version.metadata.extend(upsert.clone());
            version.metadata.retain(|key, _| !remove.contains(key));
            version.last_modifier.clone_from(identity);
            let metadata = version.metadata.clone();
            turn.put_version(build_id, version);
            Ok(DeploymentReply::Metadata(metadata))
        }
        DeploymentRequest::DeleteVersion { build_id, skip_drainage, identity, is_polled } => {
            needs(workflow_not_found)?;
            delete_version(turn, build_id, *skip_drainage, identity, *is_polled)
        }
        DeploymentRequest::Delete => {
            if !exists {
                return Ok(DeploymentReply::Done);
            }
            if !turn.state.versions.is_empty() {
                return refuse("deployment has versions, can't be deleted");
            }
            turn.fact(DeploymentFact::Deleted);
            Ok(DeploymentReply::Done)
        }
        DeploymentRequest::Describe => {
            needs(not_found)?;
            Ok(DeploymentReply::State(turn.state.clone().into()))
        }
        DeploymentRequest::Counted { build_id, are_open } => {
            counted(turn, build_id, *are_open);
            Ok(DeploymentReply::Done)
        }
    }
}

fn full<T>(message: String) -> Result<T, Reject> {
    Err(Reject::DeploymentsFull(message))
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Reject> {
    Err(Reject::FailedPrecondition(message.into()))
}

fn create(
    turn: &mut DeploymentTurn<'_>,
    exists: bool,
    request_id: &str,
    identity: &str,
    others: usize,
) -> Decided {
    if exists {
        let head = &turn.state.head;
        if head.create_request_id.as_deref() == Some(request_id) {
            return Ok(DeploymentReply::Created { conflict_token: head.conflict_token });
        }
        let by_polls =
            if head.create_request_id.is_none() { " (auto-created from worker polls)" } else { "" };
        let name = turn.state.key.name();
        return Err(Reject::AlreadyExists(format!(
            "Worker Deployment with name \"{name}\" already exists{by_polls}"
        )));
    }
    check_deployments(others, turn.stamp.limits)?;
    let last_modifier = identity.to_owned();
    turn.put_head(Head {
        create_request_id: Some(request_id.to_owned()),
        last_modifier,
        ..fresh_head(turn.stamp)
    });
    Ok(DeploymentReply::Created { conflict_token: turn.state.head.conflict_token })
}

fn fresh_head(stamp: &Stamp<'_>) -> Head {
    // From the clock, so that a deployment that was deleted and made again has other tokens.
    Head { create_time: stamp.now, conflict_token: stamp.now.0, ..Head::default() }
}

fn check_deployments(others: usize, limits: &Limits) -> Result<(), Reject> {
    let most = limits.deployments_max;
    if others >= most {
        return full(format!("reached maximum deployments in namespace ({most})"));
    }
    Ok(())
}

fn create_version(
    turn: &mut DeploymentTurn<'_>,
    build_id: &str,
    request_id: &str,
    identity: &str,
) -> Decided {
    if let Some(version) = turn.state.versions.get(build_id) {
        if version.create_request_id.as_deref() == Some(request_id) {
            return Ok(DeploymentReply::Done);
        }
        return Err(Reject::AlreadyExists(format!(
            "Worker Deployment Version \"{}\" already exists",
            turn.state.named(build_id).dotted()
        )));
    }
    make_room(turn, build_id)?;
    let version = Version {
        create_time: turn.stamp.now,
        create_request_id: Some(request_id.to_owned()),
        last_modifier: identity.to_owned(),
        ..Version::default()
    };
    turn.put_version(build_id, version);
    turn.put_head(Head { last_modifier: identity.to_owned(), ..turn.state.head.clone() });
    Ok(DeploymentReply::Done)
}

/// A full deployment forgets the oldest version that nobody needs any more.
fn make_room(turn: &mut DeploymentTurn<'_>, build_id: &str) -> Result<(), Reject> {
    let most = turn.stamp.limits.versions_in_deployment_max;
    if turn.state.versions.len() < most {
        return Ok(());
    }
    let unneeded = turn.state.versions.iter().filter(|(build_id, version)| {
        let was_never_polled = version.queues.is_empty();
        (was_never_polled || version.drainage_status() == VersionDrainageStatus::Drained)
            && !turn.state.is_current(build_id)
            && !turn.state.is_ramping(build_id)
    });
    match unneeded.min_by_key(|(_, version)| version.create_time).map(|(build_id, _)| build_id.clone()) {
        Some(build_id) => {
            turn.fact(DeploymentFact::VersionDeleted { build_id });
            Ok(())
        }
        None => full(format!(
            "cannot add version {} since maximum number of versions ({most}) have been registered in the \
             deployment",
            turn.state.named(build_id).dotted()
        )),
    }
}

fn polled(
    turn: &mut DeploymentTurn<'_>,
    exists: bool,
    build_id: &str,
    queue: &PolledQueue,
    others: usize,
) -> Decided {
    if exists && turn.state.has_queue(build_id, queue) {
        return Ok(DeploymentReply::Done);
    }
    let limits = turn.stamp.limits;
    let known = turn.state.versions.get(build_id).filter(|_| exists).cloned();
    if known.as_ref().is_some_and(|version| version.queues.len() >= limits.queues_in_version_max) {
        return full(format!(
            "cannot add task queue {} since maximum number of task queues ({}) have been registered in deployment",
            queue.name, limits.queues_in_version_max
        ));
    }
    if !exists {
        check_deployments(others, limits)?;
        turn.put_head(fresh_head(turn.stamp));
    }
    let mut version = match known {
        Some(version) => version,
        None => {
            make_room(turn, build_id)?;
            Version { create_time: turn.stamp.now, ..Version::default() }
        }
    };
    version.queues.insert(queue.clone());
    turn.put_version(build_id, version);
    Ok(DeploymentReply::Done)
}

fn set_current(turn: &mut DeploymentTurn<'_>, exists: bool, asked: &SetCurrent) -> Decided {
    let before = turn.state.head.routing.clone();
    let previous = before.current.clone();
    if let Some(build_id) = &asked.build_id {
        check_version(turn, build_id, asked.allow_no_pollers)?;
    }
    check_manager(turn, &asked.identity)?;
    let same = exists && previous == asked.build_id;
    if same && (turn.state.head.last_modifier == asked.identity || asked.build_id.is_none()) {
        let conflict_token = turn.state.head.conflict_token;
        return Ok(DeploymentReply::Current { conflict_token, previous });
    }
    check_token(turn, &asked.conflict_token)?;
    if let Some(build_id) = &asked.build_id {
        check_queues(turn, build_id, &asked.busy, "current")?;
    }
    begin(turn, exists, asked.build_id.as_deref(), asked.others)?;
    let now = turn.stamp.now;
    let mut head = Head { last_modifier: asked.identity.clone(), ..turn.state.head.clone() };
    if !same {
        let routing = &mut head.routing;
        routing.current.clone_from(&asked.build_id);
        routing.current_changed = Some(now);
        routing.revision += 1;
        let was_ramping = routing.ramp.as_ref().is_some_and(|ramp| ramp.build_id == asked.build_id);
        if was_ramping {
            end_ramp(turn.stamp, &mut head);
        }
    }
    turn.put_head_changed(head);
    if !same {
        if let Some(build_id) = &previous {
            drain(turn, build_id);
        }
        if let Some(build_id) = &asked.build_id {
            activate(turn, build_id, |version| {
                version.current_since = Some(now);
                version.last_current = Some(now);
                version.drainage = Some(Drainage { status: 0, changed: now, checked: now });
            });
        }
    }
    Ok(DeploymentReply::Current { conflict_token: turn.state.head.conflict_token, previous })
}

fn set_ramping(turn: &mut DeploymentTurn<'_>, exists: bool, asked: &SetRamping) -> Decided {
    let before = turn.state.head.routing.clone();
    let previous = before.ramp.clone();
    let build_id = asked.ramp.as_ref().and_then(|ramp| ramp.build_id.clone());
    if let Some(build_id) = &build_id {
        check_version(turn, build_id, asked.allow_no_pollers)?;
    }
    check_manager(turn, &asked.identity)?;
    let same = previous == asked.ramp;
    if exists && same && (turn.state.head.last_modifier == asked.identity || asked.ramp.is_none()) {
        let conflict_token = turn.state.head.conflict_token;
        return Ok(DeploymentReply::Ramping { conflict_token, previous });
    }
    if let Some(ramp) = &asked.ramp
        && ramp.build_id == before.current
    {
        let version = ramp.build_id.as_ref().map(|build_id| turn.state.named(build_id));
        return refuse(format!(
            "requested ramping version {} is already current",
            dotted_or_unversioned(version.as_ref())
        ));
    }
    check_token(turn, &asked.conflict_token)?;
    if let Some(build_id) = &build_id {
        check_queues(turn, build_id, &asked.busy, "ramping")?;
    }
    begin(turn, exists, build_id.as_deref(), asked.others)?;
    let now = turn.stamp.now;
    let mut head = Head { last_modifier: asked.identity.clone(), ..turn.state.head.clone() };
    let moves =
        previous.as_ref().map(|ramp| &ramp.build_id) != asked.ramp.as_ref().map(|ramp| &ramp.build_id);
    if !same {
        head.routing.revision += 1;
        match &asked.ramp {
            None => end_ramp(turn.stamp, &mut head),
            Some(ramp) => {
                head.routing.ramp = Some(ramp.clone());
                head.routing.percentage_changed = Some(now);
                if moves {
                    head.routing.ramp_changed = Some(now);
                }
            }
        }
    }
    turn.put_head_changed(head);
    if moves {
        if let Some(Ramp { build_id: Some(build_id), .. }) = &previous {
            drain(turn, build_id);
        }
        if let Some(build_id) = &build_id {
            activate(turn, build_id, |version| {
                version.ramping_since = Some(now);
                version.drainage = None;
            });
        }
        if let (Some(Ramp { build_id: None, .. }), Some(current)) = (&asked.ramp, &before.current) {
            settle_current(turn, current);
        }
    } else if !same && let Some(build_id) = &build_id {
        activate(turn, build_id, |_| ());
    }
    Ok(DeploymentReply::Ramping { conflict_token: turn.state.head.conflict_token, previous })
}

/// A change may be the first that is heard of its deployment or version, if it may be.
fn begin(
    turn: &mut DeploymentTurn<'_>,
    exists: bool,
    build_id: Option<&str>,
    others: usize,
) -> Result<(), Reject> {
    if !exists {
        check_deployments(others, turn.stamp.limits)?;
        turn.put_head(fresh_head(turn.stamp));
    }
    if let Some(build_id) = build_id
        && !turn.state.versions.contains_key(build_id)
    {
        make_room(turn, build_id)?;
        let version = Version { create_time: turn.stamp.now, ..Version::default() };
        turn.put_version(build_id, version);
    }
    Ok(())
}

fn end_ramp(stamp: &Stamp<'_>, head: &mut Head) {
    head.routing.ramp = None;
    head.routing.ramp_changed = Some(stamp.now);
    head.routing.percentage_changed = Some(stamp.now);
}

/// New tasks go elsewhere from here on.
fn drain(turn: &mut DeploymentTurn<'_>, build_id: &str) {
    if turn.state.is_current(build_id) || turn.state.is_ramping(build_id) {
        return;
    }
    let now = turn.stamp.now;
    let Some(mut version) = turn.state.versions.get(build_id).cloned() else { return };
    if version.current_since.take().is_some() {
        version.last_current = Some(now);
    }
    version.ramping_since = None;
    version.routing_changed = Some(now);
    version.last_deactivation = Some(now);
    let status = VersionDrainageStatus::Draining as i32;
    version.drainage = Some(Drainage { status, changed: now, checked: now });
    turn.put_version(build_id, version);
}

fn activate(turn: &mut DeploymentTurn<'_>, build_id: &str, how: impl FnOnce(&mut Version)) {
    let now = turn.stamp.now;
    let Some(mut version) = turn.state.versions.get(build_id).cloned() else { return };
    version.routing_changed = Some(now);
    version.first_activation.get_or_insert(now);
    version.last_deactivation = None;
    if turn.state.is_ramping(build_id) {
        version.current_since = None;
    } else {
        version.ramping_since = None;
    }
    how(&mut version);
    turn.put_version(build_id, version);
}

/// A current version that shares its tasks with workers without a version forgets that it once drained.
fn settle_current(turn: &mut DeploymentTurn<'_>, build_id: &str) {
    let Some(mut version) = turn.state.versions.get(build_id).cloned() else { return };
    version.drainage = None;
    turn.put_version(build_id, version);
}

fn check_manager(turn: &DeploymentTurn<'_>, identity: &str) -> Result<(), Reject> {
    let manager = &turn.state.head.manager;
    if manager.is_empty() || manager == identity {
        return Ok(());
    }
    refuse(format!(
        "ManagerIdentity '{manager}' is set and does not match user identity '{identity}'; to proceed, set your \
         own identity as the ManagerIdentity, remove the ManagerIdentity, or wait for the other client to do so"
    ))
}

fn check_token(turn: &DeploymentTurn<'_>, token: &[u8]) -> Result<(), Reject> {
    if token.is_empty() || token == token_bytes(turn.state.head.conflict_token) {
        return Ok(());
    }
    refuse("conflict token mismatch")
}

fn check_version(turn: &DeploymentTurn<'_>, build_id: &str, allow_no_pollers: bool) -> Result<(), Reject> {
    if allow_no_pollers || turn.state.versions.contains_key(build_id) {
        return Ok(());
    }
    Err(version_not_found(turn.state.key.name(), build_id))
}

/// Queues of the current version that have work would be left to the workers without a version.
fn check_queues(
    turn: &DeploymentTurn<'_>,
    build_id: &str,
    busy: &[PolledQueue],
    kind: &str,
) -> Result<(), Reject> {
    let state = &turn.state;
    let Some(current) = &state.head.routing.current else { return Ok(()) };
    let is_left = |queue: &PolledQueue| state.has_queue(current, queue) && !state.has_queue(build_id, queue);
    if !busy.iter().any(is_left) {
        return Ok(());
    }
    refuse(format!(
        "proposed {kind} version '{}' is missing active task queues from the current version; these would become \
         unversioned if it is set as the {kind} version",
        state.named(build_id).colon()
    ))
}

fn set_manager(
    turn: &mut DeploymentTurn<'_>,
    manager: &str,
    identity: &str,
    conflict_token: &[u8],
) -> Decided {
    let previous = turn.state.head.manager.clone();
    if previous != manager || turn.state.head.last_modifier != identity {
        if previous != manager {
            check_token(turn, conflict_token)?;
        }
        let head = Head {
            manager: manager.to_owned(),
            last_modifier: identity.to_owned(),
            ..turn.state.head.clone()
        };
        turn.put_head_changed(head);
    }
    Ok(DeploymentReply::Manager { conflict_token: turn.state.head.conflict_token, previous })
}

fn delete_version(
    turn: &mut DeploymentTurn<'_>,
    build_id: &str,
    skip_drainage: bool,
    identity: &str,
    is_polled: bool,
) -> Decided {
    let Some(version) = turn.state.versions.get(build_id).cloned() else { return Ok(DeploymentReply::Done) };
    let name = turn.state.named(build_id).colon();
    if turn.state.is_current(build_id) || turn.state.is_ramping(build_id) {
        return refuse(format!("version '{name}' cannot be deleted since it is current or ramping"));
    }
    check_manager(turn, identity)?;
    if !skip_drainage && version.drainage_status() == VersionDrainageStatus::Draining {
        return refuse(format!("version '{name}' cannot be deleted since it is draining"));
    }
    if is_polled {
        return refuse(format!("version '{name}' cannot be deleted since it has active pollers"));
    }
    turn.fact(DeploymentFact::VersionDeleted { build_id: build_id.to_owned() });
    turn.put_head(Head { last_modifier: identity.to_owned(), ..turn.state.head.clone() });
    Ok(DeploymentReply::Done)
}

/// What was counted is of interest only while the version drains: it may be current again meanwhile.
fn counted(turn: &mut DeploymentTurn<'_>, build_id: &str, are_open: bool) {
    let Some(mut version) = turn.state.versions.get(build_id).cloned() else { return };
    let now = turn.stamp.now;
    let drained = VersionDrainageStatus::Drained as i32;
    let Some(drainage) = &mut version.drainage else { return };
    if drainage.status == 0 {
        return;
    }
    drainage.checked = now;
    let status = if are_open { VersionDrainageStatus::Draining as i32 } else { drained };
    if drainage.status != status {
        (drainage.status, drainage.changed) = (status, now);
    }
    turn.put_version(build_id, version);
}

impl<'a> DeploymentTurn<'a> {
    pub fn new(stamp: &'a Stamp<'a>, state: DeploymentState) -> DeploymentTurn<'a> {
        DeploymentTurn { stamp, state, facts: Vec::new() }
    }

    fn fact(&mut self, fact: DeploymentFact) {
        evolve(&mut self.state, &fact);
        self.facts.push(fact);
    }

    fn put_head(&mut self, head: Head) {
        if self.state.head != head {
            self.fact(DeploymentFact::Head(Box::new(head)));
        }
    }

    /// A change that others who change it at the same time have to know of.
    fn put_head_changed(&mut self, mut head: Head) {
        // Greater than every one before, also of a deployment of this name that was deleted.
        head.conflict_token = self.stamp.now.0.max(head.conflict_token + 1);
        self.put_head(head);
    }

    fn put_version(&mut self, build_id: &str, version: Version) {
        let (build_id, version) = (build_id.to_owned(), Box::new(version));
        self.fact(DeploymentFact::Version { build_id, version });
    }
}

/// The refusal of a version that is not there, by the calls that only read.
pub fn no_version() -> Reject {
    Reject::NotFound("Worker Deployment Version not found".to_owned())
}
