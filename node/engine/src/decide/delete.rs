//! Deletion: by request, or when the retention of a closed run has passed.

use crate::{
    decide::{
        Decided,
        terminate::{self, SERVER_IDENTITY},
    },
    fact::Record,
    reply::Reply,
    turn::Turn,
};

/// Deletes a run; one that still runs is terminated in the same entry.
pub fn delete(turn: &mut Turn<'_>) -> Decided {
    if turn.execution.is_running() {
        terminate::end(turn, "Delete workflow execution", None, SERVER_IDENTITY, Vec::new());
    }
    turn.record(Record::Deleted);
    Ok(Some(Reply::Done))
}
