//! Promise (I15): a query is answered for itself, and sees every signal that was acknowledged before it
//! was asked.

use everlog_proto::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{Checked, Evidence, broken};
use crate::{
    machine::text_of,
    record::{Ended, Op, OpKind},
};

const OWN: &str = "a query gets the answer to itself (I15)";
const FRESH: &str = "a query sees every signal that was acknowledged before it (I15)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let ops = &evidence.sim.records.ops;
    for query in ops.iter().filter(|op| op.kind == OpKind::Query && op.is(Ended::Acknowledged)) {
        let answer = query.answer.clone().unwrap_or_default();
        let parts: Vec<&str> = answer.split('@').collect();
        let [of, run_id, seen] = parts.as_slice() else {
            return broken(OWN, &query.workflow, format!("{} was answered {answer}", query.request_id));
        };
        if *of != query.request_id {
            return broken(OWN, &query.workflow, format!("{} was answered {answer}", query.request_id));
        }
        let Some(run) = evidence.of(&query.workflow).find(|run| run.execution.run_id() == *run_id) else {
            continue;
        };
        let acknowledged = run.events_of(EventType::WorkflowExecutionSignaled).filter(|event| {
            let Some(op) = signal_of(event) else { return false };
            op_of(ops, &op)
                .and_then(|sent| sent.ended)
                .is_some_and(|(at, how)| how == Ended::Acknowledged && at < query.invoked)
        });
        let acknowledged = acknowledged.count();
        if seen.parse::<usize>().unwrap_or_default() < acknowledged {
            let text = format!("{} saw {seen} signals, {acknowledged} were acknowledged", query.request_id);
            return broken(FRESH, &query.workflow, text);
        }
    }
    Ok(())
}

/// The call that an event of a signal tells of.
fn signal_of(event: &HistoryEvent) -> Option<String> {
    let Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) = &event.attributes else {
        return None;
    };
    a.input.as_ref().map(text_of)
}

fn op_of<'a>(ops: &'a [Op], request_id: &str) -> Option<&'a Op> {
    ops.get(request_id.strip_prefix("op-")?.parse::<usize>().ok()?)
}
