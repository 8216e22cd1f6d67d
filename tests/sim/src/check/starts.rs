//! Promise (I1, I4): a start that was acknowledged made exactly the run that its caller was told of, a
//! request id makes at most one run however often it is repeated, and a refused start made none.
//!
//! A run that was deleted remembers nothing: a call that is repeated after that may make a second one.

use std::collections::BTreeMap;

use super::{Checked, Evidence, broken};
use crate::record::{Ended, OpKind};

const PROMISE: &str = "an acknowledged start made its run, once; a refused one made none (I1, I4, I24)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let mut made: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for run in evidence.runs.iter().filter(|run| run.last_copied() == 0) {
        made.entry(&run.execution.create_request_id).or_default().push(run.execution.run_id());
    }
    for op in &evidence.sim.records.ops {
        use OpKind::*;
        if !matches!(op.kind, Start | StartUsingExisting | StartTerminating | SignalWithStart) {
            continue;
        }
        let runs = made.get(&*op.request_id).map(Vec::as_slice).unwrap_or_default();
        let forgotten = op.repeated && evidence.may_be_deleted(&op.workflow);
        if runs.len() > 1 && !forgotten {
            return broken(PROMISE, &op.workflow, format!("{} made {runs:?}", op.request_id));
        }
        if op.is(Ended::Refused) && !runs.is_empty() {
            return broken(PROMISE, &op.workflow, format!("{} was refused and made {runs:?}", op.request_id));
        }
        if let (true, Some(told)) = (op.is(Ended::Acknowledged), &op.run_id)
            && !evidence.may_be_deleted(&op.workflow)
        {
            let Some(run) = evidence.of(&op.workflow).find(|run| run.execution.run_id() == told) else {
                return broken(
                    PROMISE,
                    &op.workflow,
                    format!("{} was told of {told}, which is not", op.request_id),
                );
            };
            // A run that a reset has made stands for the one that the start made.
            if op.kind == Start && run.execution.create_request_id != op.request_id {
                return broken(
                    PROMISE,
                    &op.workflow,
                    format!("{} was told of {told}, made {runs:?}", op.request_id),
                );
            }
        }
    }
    Ok(())
}
