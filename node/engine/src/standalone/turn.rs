//! One decision in the making: a scratch copy of the state, and the facts so far.

use super::{
    fact::{Closing, StandaloneFact, evolve},
    state::{Outcome, Standalone, Status},
};
use crate::stamp::Stamp;

#[derive(Debug)]
pub struct Turn<'a> {
    pub stamp: &'a Stamp<'a>,
    pub state: Standalone,
    pub facts: Vec<StandaloneFact>,
}

impl<'a> Turn<'a> {
    pub fn new(stamp: &'a Stamp<'a>, state: Standalone) -> Turn<'a> {
        Turn { stamp, state, facts: Vec::new() }
    }

    pub fn fact(&mut self, fact: StandaloneFact) {
        evolve(&mut self.state, &fact);
        self.facts.push(fact);
    }

    /// The end of the run, from which it is kept for so long.
    pub(super) fn close(&mut self, status: Status, outcome: Outcome, terminate_request_id: &str) {
        let at = self.stamp.now;
        self.fact(StandaloneFact::Closed(Box::new(Closing {
            at,
            status,
            outcome,
            terminate_request_id: terminate_request_id.to_owned(),
            retain_until: at + self.stamp.limits.retention,
        })));
    }
}
