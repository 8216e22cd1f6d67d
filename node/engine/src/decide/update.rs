//! Updates: a client changes a workflow and waits for what comes of it.
//!
//! An update is *admitted* when it may go to a worker, *accepted* when the worker has taken it on, which is an
//! event, and *completed* by another event that has its outcome. One that the worker rejects leaves no event
//! (docs/architecture/workflow-update.md). Until it is accepted it is the leader's memory; if that takes longer
//! than a moment, or anything else is written of the run, the state notes it too, so that the next leader
//! brings it to a worker though its caller be gone.

mod messages;
#[cfg(test)]
mod stories;
mod wait;
mod with_start;

use std::time::Duration;

use everlog_proto::api::{
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage, failure::v1::Failure,
    update::v1::Request as UpdateRequest, workflowservice::v1::UpdateWorkflowExecutionRequest,
};
pub use messages::{MessageKind, Messages, outgoing, reject_unanswered};
use prost::Message as _;
pub use wait::settle;
pub use with_start::{WithStart, with_start};

use crate::{
    codec::Proto,
    decide::{Decided, cancel::check_chain, workflow_task},
    fact::Record,
    planted,
    reject::Reject,
    time::Time,
    turn::Turn,
    volatile::WaitingUpdate,
};

/// From this attempt on a failing workflow task is taken for broken, and updates are refused.
const TASK_ATTEMPTS_BEFORE_REFUSAL: i32 = 3;
/// After so long an update that no worker has accepted is noted in the state.
const NOTED_AFTER: Duration = Duration::from_millis(100);
/// What a waiting update weighs beside its request and its id, which counts twice.
const WAITING_BYTES: usize = 55;

pub fn update(
    turn: &mut Turn<'_>,
    call: u64,
    request: &UpdateWorkflowExecutionRequest,
    timeout_ms: u64,
) -> Decided {
    check_chain(turn, &request.first_execution_run_id)?;
    let body = body_of(request)?;
    admit(turn, body)?;
    wait::wait(turn, call, id_of(body), stage_of(request), timeout_ms, None);
    Ok(None)
}

/// Waits for an update that was asked for before.
pub fn poll(turn: &mut Turn<'_>, call: u64, update_id: &str, stage: Stage, timeout_ms: u64) -> Decided {
    check_aborted(turn, update_id)?;
    if !is_known(turn, update_id) {
        return Err(Reject::NotFound(format!("update {update_id:?} not found")));
    }
    wait::wait(turn, call, update_id, stage, timeout_ms, None);
    Ok(None)
}

/// An update may go to a worker, unless it is under way or done already.
fn admit(turn: &mut Turn<'_>, request: &UpdateRequest) -> Result<(), Reject> {
    let id = id_of(request);
    check_aborted(turn, id)?;
    if !turn.execution.is_running() {
        return if is_known(turn, id) { Ok(()) } else { Err(Reject::already_completed()) };
    }
    if turn.execution.is_paused() {
        return Err(Reject::FailedPrecondition("Workflow is paused. Cannot update the workflow.".into()));
    }
    let attempt = turn.execution.workflow_task.as_ref().map_or(0, |task| task.attempt);
    if attempt.max(turn.execution.next_attempt) >= TASK_ATTEMPTS_BEFORE_REFUSAL {
        return Err(task_failing());
    }
    if turn.execution.close_attempted && turn.volatile.started.is_some() {
        return Err(Reject::closing());
    }
    if is_known(turn, id) && !(planted::is("update_asked_twice") && waiting(turn, id).is_none()) {
        return Ok(());
    }
    check_room(turn, request)?;
    turn.volatile.updates.push(WaitingUpdate {
        id: id.to_owned(),
        request: Some(Proto(request.clone()).into()),
        admitted: turn.stamp.now,
        noted: false,
        sent: false,
    });
    Ok(())
}

fn check_room(turn: &Turn<'_>, request: &UpdateRequest) -> Result<(), Reject> {
    let limits = turn.stamp.limits;
    let in_flight = turn.volatile.updates.len() + turn.execution.updates.accepted.len();
    let most = limits.updates_in_flight_max;
    if most > 0 && in_flight >= most {
        return Err(Reject::TooManyUpdates(format!(
            "limit on number of concurrent in-flight updates has been reached ({most})"
        )));
    }
    check_total(turn)?;
    let most = limits.updates_in_flight_bytes_max;
    let waiting: usize = turn.volatile.updates.iter().map(weight_bytes).sum();
    if most > 0 && waiting + 2 * id_of(request).len() + request.encoded_len() >= most {
        return Err(Reject::TooManyUpdates(format!(
            "limit on total payload size of in-flight updates has been reached ({most} bytes)"
        )));
    }
    Ok(())
}

fn check_total(turn: &Turn<'_>) -> Result<(), Reject> {
    let most = turn.stamp.limits.updates_total_max;
    if most > 0 && count(turn) >= most {
        return Err(Reject::FailedPrecondition(format!(
            "The limit on the total number of distinct updates in this workflow has been reached ({most}). \
             Make sure any duplicate updates share an Update ID so the server can deduplicate them, and \
             consider rejecting updates that you aren't going to process. You can also Continue-as-New to avoid \
             this; we recommend you check Continue-as-New Suggested in your Workflow."
        )));
    }
    Ok(())
}

fn weight_bytes(update: &WaitingUpdate) -> usize {
    WAITING_BYTES + 2 * update.id.len() + update.request.as_ref().map_or(0, |request| request.encoded_len())
}

/// All updates of the run but those that were rejected.
fn count(turn: &Turn<'_>) -> usize {
    let updates = &turn.execution.updates;
    turn.volatile.updates.len() + updates.accepted.len() + updates.completed.len()
}

/// Whether the run has so many updates that it should make way for another one.
pub fn are_too_many(turn: &Turn<'_>) -> bool {
    let limits = turn.stamp.limits;
    let suggested = limits.updates_total_max as f64 * limits.suggest_continue_as_new_updates_part;
    limits.updates_total_max > 0 && suggested > 0.0 && count(turn) as f64 >= suggested
}

fn is_known(turn: &Turn<'_>, id: &str) -> bool {
    let updates = &turn.execution.updates;
    updates.completed.contains_key(id) || updates.accepted.contains_key(id) || waiting(turn, id).is_some()
}

/// Whoever asks again for an update that was aborted hears the same, as long as the leader remembers.
fn check_aborted(turn: &Turn<'_>, id: &str) -> Result<(), Reject> {
    match turn.volatile.aborted.iter().find(|(aborted, _)| aborted == id) {
        Some((_, why)) => Err(why.clone()),
        None => Ok(()),
    }
}

fn waiting<'a>(turn: &'a Turn<'_>, id: &str) -> Option<&'a WaitingUpdate> {
    turn.volatile.updates.iter().find(|update| update.id == id)
}

/// Brings back what a former leader has noted, and the task that is to carry it.
pub fn remember(turn: &mut Turn<'_>) {
    if !turn.execution.is_running() {
        return;
    }
    if turn.volatile.has_forgotten(&turn.execution.updates) {
        let known = std::mem::take(&mut turn.volatile.updates);
        let mut noted: Vec<WaitingUpdate> = turn
            .execution
            .updates
            .admitted
            .iter()
            .filter(|(id, _)| known.iter().all(|update| update.id != **id))
            .map(|(id, update)| WaitingUpdate::noted(id, update))
            .collect();
        noted.sort_by(|one, other| (one.admitted, &one.id).cmp(&(other.admitted, &other.id)));
        noted.extend(known);
        turn.volatile.updates = noted;
    }
    workflow_task::schedule_for_updates(turn);
}

/// Notes in the state what no worker has accepted yet: in passing, if something is written anyway, or because
/// it has waited for a while.
fn note(turn: &mut Turn<'_>) {
    let now = turn.stamp.now;
    let in_passing = !turn.facts.is_empty();
    let is_due = |update: &WaitingUpdate| !update.noted && (in_passing || noted_at(update) <= now);
    let mut records = Vec::new();
    for update in turn.volatile.updates.iter_mut().filter(|update| is_due(update)) {
        update.noted = true;
        let Some(request) = update.request.clone() else { continue };
        records.push(Record::UpdateAdmitted { request, time: update.admitted });
    }
    records.into_iter().for_each(|record| turn.record(record));
}

/// When an update that nobody has accepted until then is noted.
pub fn noted_at(update: &WaitingUpdate) -> Time {
    update.admitted + NOTED_AFTER
}

/// Updates that go with the task that is handed out now. A worker that goes on with a task it had to
/// put off knows those that it was given before.
pub fn attach(turn: &mut Turn<'_>, goes_on: bool) -> Vec<String> {
    let mut attached = Vec::new();
    for update in turn.volatile.updates.iter_mut().filter(|update| !(goes_on && update.sent)) {
        update.sent = true;
        attached.push(update.id.clone());
    }
    attached
}

/// The task that carried updates ended badly: they wait for the next one, unless it has failed too often.
pub fn release(turn: &mut Turn<'_>) {
    turn.volatile.updates.iter_mut().for_each(|update| update.sent = false);
    if turn.execution.next_attempt >= TASK_ATTEMPTS_BEFORE_REFUSAL {
        forget(turn, |_| true, &task_failing());
    }
}

/// The worker that has them answers nonsense: what it made of these updates is unknown.
pub fn give_up_sent(turn: &mut Turn<'_>) {
    let reason = "Unable to perform workflow execution update due to unexpected workflow task failure.";
    forget(turn, |update| update.sent, &Reject::WorkflowNotReady(reason.into()));
}

fn forget(turn: &mut Turn<'_>, which: impl Fn(&WaitingUpdate) -> bool, why: &Reject) {
    let updates = std::mem::take(&mut turn.volatile.updates);
    let (forgotten, kept): (Vec<_>, Vec<_>) = updates.into_iter().partition(which);
    turn.volatile.updates = kept;
    for update in forgotten {
        wait::answer_with(turn, &update.id, &Err(why.clone()));
        if update.request.is_some() {
            forget_note(turn, &update);
        } else {
            // Its event stays in the history, where the worker of the next task finds it.
            turn.volatile.updates.push(WaitingUpdate { sent: false, ..update });
        }
    }
}

/// Nothing shall remain of an update in the state.
fn forget_note(turn: &mut Turn<'_>, update: &WaitingUpdate) {
    if turn.execution.updates.admitted.contains_key(&update.id) {
        turn.record(Record::UpdateForgotten { update_id: update.id.clone() });
    }
}

fn task_failing() -> Reject {
    let reason = "Unable to perform workflow execution update due to Workflow Task in failed state.";
    Reject::WorkflowNotReady(reason.into())
}

/// What a client is told of an update that was accepted and will never be completed.
fn abandoned() -> Failure {
    let message = "Workflow Update failed because the Workflow completed before the Update completed.";
    messages::server_failure(message, "AcceptedUpdateCompletedWorkflow")
}

fn body_of(request: &UpdateWorkflowExecutionRequest) -> Result<&UpdateRequest, Reject> {
    request
        .request
        .as_ref()
        .ok_or_else(|| Reject::InvalidArgument("Update meta is not set on request.".into()))
}

fn id_of(request: &UpdateRequest) -> &str {
    request.meta.as_ref().map_or("", |meta| &meta.update_id)
}

fn stage_of(request: &UpdateWorkflowExecutionRequest) -> Stage {
    request.wait_policy.as_ref().map_or(Stage::Unspecified, |policy| policy.lifecycle_stage())
}
