//! Callers that wait for an update, and what they are told.

use std::time::Duration;

use everlog_proto::api::{
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage,
    update::v1::{Outcome, outcome},
};

use super::{abandoned, note, waiting};
use crate::{
    decide::workflow_task,
    reject::Reject,
    reply::{Reply, Started, UpdateOutcome, UpdateReply},
    turn::Turn,
    volatile::UpdateWaiter,
};

/// Aborted updates of a run that its leader remembers.
const ABORTED_REMEMBERED_MAX: usize = 100;

pub(super) fn wait(
    turn: &mut Turn<'_>,
    call: u64,
    update_id: &str,
    stage: Stage,
    timeout_ms: u64,
    started: Option<Box<Started>>,
) {
    let deadline = turn.stamp.now + Duration::from_millis(timeout_ms);
    let update_id = update_id.to_owned();
    turn.volatile.update_waiters.push(UpdateWaiter { call, update_id, stage, deadline, started });
}

/// What a turn owes to updates before it ends: a task, a note, an answer.
pub fn settle(turn: &mut Turn<'_>) {
    if turn.execution.is_running() {
        workflow_task::schedule_for_updates(turn);
        note(turn);
        answer(turn);
    } else {
        answer(turn);
        abort(turn);
    }
}

/// How far an update is. None if it is unknown.
fn reached(turn: &Turn<'_>, id: &str) -> Option<(Stage, Option<UpdateOutcome>)> {
    let updates = &turn.execution.updates;
    if let Some(event_id) = updates.completed.get(id) {
        return Some((Stage::Completed, Some(UpdateOutcome::Event(*event_id))));
    }
    if updates.accepted.contains_key(id) {
        let is_over = !turn.execution.is_running();
        return Some(if is_over { failed() } else { (Stage::Accepted, None) });
    }
    (turn.execution.is_running() && waiting(turn, id).is_some()).then_some((Stage::Admitted, None))
}

fn failed() -> (Stage, Option<UpdateOutcome>) {
    let outcome = Outcome { value: Some(outcome::Value::Failure(abandoned())) };
    (Stage::Completed, Some(UpdateOutcome::Value(Box::new(outcome))))
}

/// Answers all who have what they wait for, or have waited for long enough.
fn answer(turn: &mut Turn<'_>) {
    if turn.volatile.update_waiters.is_empty() {
        return;
    }
    let mut left = Vec::new();
    for waiter in std::mem::take(&mut turn.volatile.update_waiters) {
        match reached(turn, &waiter.update_id) {
            Some((stage, outcome)) if stage >= waiter.stage || waiter.deadline <= turn.stamp.now => {
                tell(turn, waiter, Ok((stage, outcome)));
            }
            _ => left.push(waiter),
        }
    }
    turn.volatile.update_waiters = left;
}

/// The run is over: what it had not accepted it never will. If another run follows, the caller may try there.
fn abort(turn: &mut Turn<'_>) {
    turn.volatile.speculative = None;
    let why = if turn.successor.is_some() { Reject::closing() } else { Reject::UpdateAborted };
    let aborted =
        std::mem::take(&mut turn.volatile.updates).into_iter().map(|update| (update.id, why.clone()));
    turn.volatile.aborted.extend(aborted);
    turn.volatile.aborted.truncate(ABORTED_REMEMBERED_MAX);
    for waiter in std::mem::take(&mut turn.volatile.update_waiters) {
        tell(turn, waiter, Err(why.clone()));
    }
}

/// Tells everybody who waits for this update.
pub(super) fn answer_with(turn: &mut Turn<'_>, id: &str, outcome: &Result<Outcome, Reject>) {
    let waiters = std::mem::take(&mut turn.volatile.update_waiters);
    let (those, others): (Vec<_>, Vec<_>) = waiters.into_iter().partition(|waiter| waiter.update_id == id);
    turn.volatile.update_waiters = others;
    for waiter in those {
        let value = |outcome| Some(UpdateOutcome::Value(Box::new(outcome)));
        let outcome = outcome.clone().map(|outcome| (Stage::Completed, value(outcome)));
        tell(turn, waiter, outcome);
    }
}

type Told = Result<(Stage, Option<UpdateOutcome>), Reject>;

fn tell(turn: &mut Turn<'_>, waiter: UpdateWaiter, told: Told) {
    let UpdateWaiter { call, started, .. } = waiter;
    let reply = match (told, started) {
        (Ok((stage, outcome)), started) => {
            let run_id = turn.execution.run_id().to_owned();
            Ok(Reply::Update(Box::new(UpdateReply { run_id, stage, outcome, started, is_linked: true })))
        }
        (Err(reject), None) => Err(reject),
        (Err(reject), Some(started)) => {
            Err(Reject::UpdateRefused { reject: Box::new(reject), started: started.started })
        }
    };
    turn.answers.push((call, reply));
}
