//! What came of telling somebody how a workflow ended.

use crate::{
    decide::nexus::next_time,
    fact::Record,
    nexus::{Outcome, Settled},
    turn::Turn,
};

/// It counts only for the attempt that it was.
pub fn told(turn: &mut Turn<'_>, index: u32, made: i32, outcome: &Outcome) {
    let Some(callback) = turn.execution.callbacks.get(index as usize) else { return };
    if callback.settled.is_some() || callback.attempts.made != made {
        return;
    }
    let at = turn.stamp.now;
    let record = match outcome {
        Outcome::Error { failure, retryable } => Record::CallbackTried {
            index,
            at,
            failure: Some((**failure).clone()),
            next_time: next_time(turn.stamp, made),
            settled: (!retryable).then_some(Settled::Failed),
        },
        _ => Record::CallbackTried {
            index,
            at,
            failure: None,
            next_time: at,
            settled: Some(Settled::Succeeded),
        },
    };
    turn.record(record);
}
