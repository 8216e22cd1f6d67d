//! Deletion: by request, or when the retention of a closed run has passed.

use crate::{
    decide::{
        Decided, query,
        terminate::{self, SERVER_IDENTITY},
    },
    fact::Record,
    reject::Reject,
    reply::Reply,
    todo,
    turn::Turn,
};

/// Deletes a run; one that still runs is terminated in the same entry. What it owes to its parent and its
/// children is said first: it is kept until then, and no longer.
pub fn delete(turn: &mut Turn<'_>) -> Decided {
    if turn.execution.is_running() {
        terminate::end(turn, "Delete workflow execution", None, SERVER_IDENTITY, Vec::new());
    }
    if todo::messages(&turn.execution).is_empty() {
        erase(turn);
    } else {
        turn.record(Record::RetainUntil(turn.stamp.now));
    }
    Ok(Some(Reply::Done))
}

/// The run goes, and with it whatever was asked of it.
pub(super) fn erase(turn: &mut Turn<'_>) {
    let gone = Reject::workflow_not_found(turn.execution.workflow_id());
    turn.record(Record::Deleted);
    query::give_up(turn, &gone);
}
