//! What the clients asked for and what they were told.
//!
//! An operation is one intention, such as "this signal", however many calls it took. Its outcome has
//! three values, and the third is what makes distributed tests honest: a call that timed out may or may not
//! have happened, so nothing may be concluded from it except that it happened at most once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::program::Program;

#[derive(Clone, Debug)]
pub struct Operation {
    pub workflow_id: String,
    pub kind: Kind,
    /// The value that only this operation carries, by which it is found in a history.
    pub mark: String,
    /// Since the recorder was made.
    pub invoked: Duration,
    pub answered: Duration,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Start { program: Program },
    Signal,
    CompleteActivity,
    CompleteTask,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Promised. Starts say which run it was.
    Acknowledged { run_id: String },
    /// Refused for good at the first call: it did not happen and never will.
    Refused { why: String },
    /// At least one call has no answer, and none was a promise.
    Unknown,
}

/// Collects operations from all clients and workers of a test.
#[derive(Clone, Debug)]
pub struct Recorder {
    started: Instant,
    operations: Arc<Mutex<Vec<Operation>>>,
}

/// An operation under way. Dropped without an outcome it counts as unknown: its task was cancelled, and
/// a call may have been on the wire.
#[derive(Debug)]
pub struct UnderWay {
    recorder: Recorder,
    operation: Option<Operation>,
}

impl Recorder {
    #[allow(clippy::new_without_default, reason = "a recorder starts a clock, which is no default value")]
    pub fn new() -> Self {
        Self { started: Instant::now(), operations: Arc::default() }
    }

    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// To be called before the first call is made.
    pub fn invoke(&self, workflow_id: &str, kind: Kind, mark: &str) -> UnderWay {
        let invoked = self.now();
        let operation = Operation {
            workflow_id: workflow_id.to_owned(),
            kind,
            mark: mark.to_owned(),
            invoked,
            answered: invoked,
            outcome: Outcome::Unknown,
        };
        UnderWay { recorder: self.clone(), operation: Some(operation) }
    }

    pub fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl UnderWay {
    pub fn end(mut self, outcome: Outcome) {
        if let Some(operation) = &mut self.operation {
            operation.outcome = outcome;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(mut operation) = self.operation.take() {
            operation.answered = self.recorder.now();
            self.recorder.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_is_cut_short_is_unknown() {
        let recorder = Recorder::new();
        drop(recorder.invoke("w", Kind::Signal, "m-1"));
        recorder.invoke("w", Kind::Signal, "m-2").end(Outcome::Acknowledged { run_id: String::new() });
        let outcomes: Vec<Outcome> = recorder.operations().into_iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Outcome::Unknown, Outcome::Acknowledged { run_id: String::new() }]);
    }
}
