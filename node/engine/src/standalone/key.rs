//! Who is who among what runs on its own. Ids of different kinds are strangers, and so are workflows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::{RunKey, WorkflowKey};

/// Appended to, never reordered: it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Activity,
    /// A Nexus operation.
    Operation,
}

impl Kind {
    /// Sets the kinds apart in keys of rows.
    pub(super) fn letter(self) -> u8 {
        match self {
            Kind::Activity => b'a',
            Kind::Operation => b'n',
        }
    }

    pub(super) fn of_letter(letter: u8) -> Option<Kind> {
        [Kind::Activity, Kind::Operation].into_iter().find(|kind| kind.letter() == letter)
    }

    /// How messages call one.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Activity => "activity",
            Kind::Operation => "operation",
        }
    }
}

/// One id of a kind, whatever runs it has had. It is hashed to a slot as workflow ids are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StandaloneKey {
    pub kind: Kind,
    /// Namespace and id, in the form that queues and tokens know.
    pub named: WorkflowKey,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StandaloneRun {
    pub kind: Kind,
    pub run: RunKey,
}

impl StandaloneKey {
    pub fn new(kind: Kind, namespace_id: &str, id: &str) -> StandaloneKey {
        StandaloneKey { kind, named: WorkflowKey::new(namespace_id, id) }
    }

    pub fn namespace_id(&self) -> &str {
        &self.named.namespace_id
    }

    pub fn id(&self) -> &str {
        &self.named.workflow_id
    }

    pub fn slot(&self) -> u16 {
        self.named.slot()
    }

    pub fn run(&self, run_id: &str) -> StandaloneRun {
        StandaloneRun { kind: self.kind, run: self.named.run(run_id) }
    }
}

impl StandaloneRun {
    pub fn key(&self) -> StandaloneKey {
        StandaloneKey { kind: self.kind, named: self.run.workflow.clone() }
    }

    pub fn id(&self) -> &str {
        &self.run.workflow.workflow_id
    }

    pub fn slot(&self) -> u16 {
        self.run.workflow.slot()
    }
}

impl fmt::Debug for StandaloneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.noun(), self.named)
    }
}

impl fmt::Debug for StandaloneRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.noun(), self.run)
    }
}
