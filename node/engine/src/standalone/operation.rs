//! Nexus operations that run on their own: the calls of one, from its start to its outcome.
//!
//! The calls are owed, made and repeated as those of a workflow's operation ([`crate::nexus`]); what comes of
//! them is a fact instead of an event.

mod calls;
mod describe;
mod start;

pub use calls::{called, completed, owed};
pub(super) use calls::{passed_backoffs, time_out};
pub use describe::{Ended, info, is_started, outcome, status};
pub use start::start;

use super::{
    fact::{OperationFact, StandaloneFact},
    turn::Turn,
};

fn record(turn: &mut Turn<'_>, fact: OperationFact) {
    turn.fact(StandaloneFact::Operation(fact));
}
