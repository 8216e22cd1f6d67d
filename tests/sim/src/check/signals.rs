//! Promise (I1, I2, I9): a signal that was acknowledged is in the history of its workflow exactly once,
//! across continue-as-new and resets; one that was refused is nowhere; nothing is there that nobody sent; and the
//! signals of one sender are there in the order in which they were sent.

use std::collections::BTreeMap;

use everlog_proto::api::{enums::v1::EventType, history::v1::history_event::Attributes};

use super::{Checked, Evidence, broken};
use crate::{
    machine::text_of,
    program::is_of_parent,
    record::{Ended, OpKind},
};

const ONCE: &str = "an acknowledged signal is there exactly once, a refused one never (I1, I2, I9, I24)";
const ORDER: &str = "signals of one sender keep their order (I9)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let ops = &evidence.sim.records.ops;
    // By the index of the op: the places in the chain.
    let mut places: BTreeMap<usize, Vec<(usize, i64)>> = BTreeMap::new();
    let superseded = evidence.superseded();
    for (position, run) in evidence.runs.iter().enumerate() {
        if superseded.contains(run.execution.run_id()) {
            continue;
        }
        for event in run.events_of(EventType::WorkflowExecutionSignaled) {
            let Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) = &event.attributes else {
                continue;
            };
            let text = a.input.as_ref().map(text_of).unwrap_or_default();
            if is_of_parent(&text) {
                continue;
            }
            let op: Option<usize> = text.strip_prefix("op-").and_then(|number| number.parse().ok());
            let sent = op.and_then(|op| ops.get(op)).is_some_and(|sent| {
                sent.workflow == run.workflow()
                    && matches!(sent.kind, OpKind::Signal | OpKind::SignalWithStart)
            });
            let (true, Some(op)) = (sent, op) else {
                return broken(ONCE, run.workflow(), format!("nobody sent {text}"));
            };
            places.entry(op).or_default().push((position, event.event_id));
        }
    }
    for (index, op) in ops.iter().enumerate() {
        if !matches!(op.kind, OpKind::Signal | OpKind::SignalWithStart) {
            continue;
        }
        let found = places.get(&index).map(Vec::as_slice).unwrap_or_default();
        let times = found.len();
        let deleted = evidence.may_be_deleted(&op.workflow);
        // A start that was refused as a repetition may have left its signal with the first attempt.
        let wrong = match op.ended.map(|(_, how)| how) {
            Some(Ended::Acknowledged) => times != 1 && !deleted,
            Some(Ended::Refused) => times != 0,
            _ => times > 1,
        };
        if wrong {
            let text = format!("op-{index} {:?} is there {times} times", op.ended.map(|(_, how)| how));
            return broken(ONCE, &op.workflow, text);
        }
    }
    check_order(evidence, &places)
}

fn check_order(evidence: &Evidence<'_>, places: &BTreeMap<usize, Vec<(usize, i64)>>) -> Checked {
    let ops = &evidence.sim.records.ops;
    let mut last: BTreeMap<(usize, &str), (usize, (usize, i64))> = BTreeMap::new();
    for (op, found) in places {
        let (Some(sent), Some(place)) = (ops.get(*op), found.first()) else { continue };
        // Only an acknowledgement tells a sender that the next signal comes after this one.
        if sent.kind != OpKind::Signal || !sent.is(Ended::Acknowledged) || sent.repeated {
            continue;
        }
        let before = last.insert((sent.session, &*sent.workflow), (*op, *place));
        if let Some((earlier, at)) = before
            && at.0 == place.0
            && at > *place
        {
            return broken(ORDER, &sent.workflow, format!("op-{op} is before op-{earlier}"));
        }
    }
    Ok(())
}
