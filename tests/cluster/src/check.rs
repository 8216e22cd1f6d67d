//! The judge: compares what was promised with what is there.
//!
//! It sees only values, so it can be tested without a cluster: for every invariant there is a trace
//! that keeps it and one that breaks it. A checker that has never refused anything proves nothing.

use std::{collections::BTreeMap, fmt};

use crate::{history::Run, record::Operation};

mod promises;
mod replicas;
mod results;
mod shape;
#[cfg(test)]
mod trace;

/// All that a test leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub operations: Vec<Operation>,
    /// What each node tells of every workflow that somebody tried to start.
    pub views: Vec<View>,
    /// What the list of workflows shows.
    pub listed: Vec<Listed>,
}

/// One node's account, by workflow id. A workflow that does not exist is absent.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub node: String,
    pub runs: BTreeMap<String, Run>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub workflow_id: String,
    pub run_id: String,
    pub running: bool,
}

/// A broken promise, told so that a person can begin to look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub invariant: &'static str,
    pub workflow_id: String,
    pub story: String,
}

/// An invariant: what it promises, and who checks it.
struct Invariant {
    name: &'static str,
    check: fn(&Evidence, &mut Complaints),
}

const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "an acknowledged start exists, with the run it was told",
        check: promises::starts_exist,
    },
    Invariant {
        name: "an acknowledged write is in the history exactly once",
        check: promises::writes_exist_once,
    },
    Invariant {
        name: "a write of unknown outcome happened at most once",
        check: promises::unknown_at_most_once,
    },
    Invariant { name: "a refused write did not happen", check: promises::refused_is_absent },
    Invariant { name: "every write in a history was asked for", check: promises::nothing_unasked },
    Invariant { name: "event ids are dense from 1", check: shape::dense },
    Invariant {
        name: "a history begins with its start and ends with its close",
        check: shape::begins_and_ends,
    },
    Invariant { name: "what was scheduled is answered at most once", check: shape::answered_once },
    Invariant { name: "every workflow finishes with its known result", check: results::finished },
    Invariant { name: "all nodes tell the same history", check: replicas::same_everywhere },
    Invariant { name: "the list shows exactly the workflows that exist", check: replicas::listed_exactly },
];

/// Everything that is wrong, sorted.
pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut complaints = Complaints::default();
    for invariant in INVARIANTS {
        complaints.invariant = invariant.name;
        (invariant.check)(evidence, &mut complaints);
    }
    complaints.found.sort();
    complaints.found.dedup();
    complaints.found
}

/// Where invariants put what they find.
#[derive(Default)]
struct Complaints {
    invariant: &'static str,
    found: Vec<Violation>,
}

impl Complaints {
    fn add(&mut self, workflow_id: &str, story: impl Into<String>) {
        self.found.push(Violation {
            invariant: self.invariant,
            workflow_id: workflow_id.to_owned(),
            story: story.into(),
        });
    }
}

impl Evidence {
    /// Every run of every view.
    fn runs(&self) -> impl Iterator<Item = (&View, &Run)> {
        self.views.iter().flat_map(|view| view.runs.values().map(move |run| (view, run)))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.workflow_id, self.story)
    }
}
