//! Promise (5d): a reset that was acknowledged made one run, however often it was repeated. That run begins with the
//! events of the run that it was made of, none of what was done there is done again, and an update that was answered
//! there is known here.

use std::collections::{BTreeMap, BTreeSet};

use everlog_engine::event::finished_activity;
use everlog_proto::api::{enums::v1::EventType, history::v1::history_event::Attributes};

use super::{Checked, Evidence, Run, broken};
use crate::record::{self, Ended, Op, OpKind};

const ONCE: &str = "an acknowledged reset made its run, once; a refused one made none (5d)";
const KEPT: &str = "a run that a reset made begins as the old one did, and does none of it again (5d)";
const UPDATES: &str = "an update that was answered survives a reset (5d)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let mut made: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in evidence.runs.iter().filter(|run| run.last_copied() > 0) {
        if let Some(resets) = &run.execution.resets {
            made.entry(&resets.request_id).or_default().push(run);
        }
    }
    let superseded = evidence.superseded();
    for op in &evidence.sim.records.ops {
        match op.kind {
            OpKind::Reset => check_reset(op, &made.remove(&*op.request_id).unwrap_or_default())?,
            OpKind::Update if !superseded.is_empty() => check_update(evidence, &superseded, op)?,
            _ => {}
        }
    }
    if let Some((request_id, runs)) = made.first_key_value() {
        return broken(ONCE, runs[0].workflow(), format!("nobody asked for {request_id}"));
    }
    evidence.runs.iter().filter(|run| run.last_copied() > 0).try_for_each(|run| check_kept(evidence, run))
}

fn check_reset(op: &Op, runs: &[&Run]) -> Checked {
    let ids: Vec<&str> = runs.iter().map(|run| run.execution.run_id()).collect();
    let is_right = match op.ended.map(|(_, how)| how) {
        Some(Ended::Acknowledged) => ids.len() == 1 && op.run_id.as_deref() == Some(ids[0]),
        Some(Ended::Refused) => ids.is_empty(),
        _ => ids.len() <= 1,
    };
    if is_right {
        return Ok(());
    }
    let told = (&op.ended, &op.run_id);
    broken(ONCE, &op.workflow, format!("{} was answered with {told:?}, and made {ids:?}", op.request_id))
}

fn check_kept(evidence: &Evidence<'_>, made: &Run) -> Checked {
    let run_id = made.execution.run_id();
    let wrong = |text: String| broken(KEPT, made.workflow(), format!("{run_id}: {text}"));
    let base = evidence.of(made.workflow()).find(|run| {
        let resets = run.execution.resets.as_ref();
        resets.is_some_and(|resets| resets.made.iter().any(|made| made.run_id == run_id))
    });
    let Some(base) = base else { return wrong("no run says that it was made of it".into()) };
    if base.execution.is_running() {
        return wrong("the run that it was made of is open".into());
    }
    let count = made.last_copied() as usize;
    let (Some(before), Some(kept)) = (base.events.get(..count), made.events.get(..count)) else {
        return wrong(format!("{count} events cannot have been taken over"));
    };
    if record::digest(before) != record::digest(kept) {
        return wrong(format!("its first {count} events are not those of {}", base.execution.run_id()));
    }
    let ended: BTreeSet<i64> = kept.iter().filter_map(finished_activity).collect();
    let again = evidence.sim.records.executions.iter().find(|execution| {
        execution.run == *made.execution.key() && ended.contains(&execution.scheduled_event_id)
    });
    match again {
        Some(again) => wrong(format!("activity {} had ended, and ran again", again.scheduled_event_id)),
        None => Ok(()),
    }
}

/// What was answered in a run that another one has taken the place of was asked for there, or is known there.
fn check_update(evidence: &Evidence<'_>, superseded: &BTreeSet<&str>, op: &Op) -> Checked {
    let answered_by = op.answer.as_deref().and_then(|answer| answer.strip_prefix("event ")?.split_once('/'));
    if !answered_by.is_some_and(|(run_id, _)| superseded.contains(run_id)) {
        return Ok(());
    }
    let mut left = evidence.of(&op.workflow).filter(|run| !superseded.contains(run.execution.run_id()));
    if left.any(|run| knows(run, &op.request_id)) {
        return Ok(());
    }
    broken(UPDATES, &op.workflow, format!("{} was answered, and nothing is left of it", op.request_id))
}

fn knows(run: &Run, update_id: &str) -> bool {
    let admitted = run.events_of(EventType::WorkflowExecutionUpdateAdmitted);
    let accepted = run.events_of(EventType::WorkflowExecutionUpdateAccepted);
    admitted.chain(accepted).any(|event| match &event.attributes {
        Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a)) => {
            let meta = a.request.as_ref().and_then(|request| request.meta.as_ref());
            meta.is_some_and(|meta| meta.update_id == update_id)
        }
        Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
            a.protocol_instance_id == update_id
        }
        _ => false,
    })
}
