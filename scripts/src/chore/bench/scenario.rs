//! What is run, and what of one peer is comparable with what of another.
//!
//! Temporal's activity is dispatched to a worker and comes back, as a service call does in Restate; a
//! local activity runs where the workflow runs and is written down, as `ctx.run` is. Other pairs would
//! compare unlike things, so scenarios without a counterpart are left out for that peer.

use anyhow::{Context, Result};

use super::subject::Kind;

#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    /// For servers with Temporal's API.
    temporal: &'static [&'static str],
    restate: Option<&'static [&'static str]>,
}

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "start-c16",
        about: "accept a workflow durably",
        temporal: &["--scenario", "start", "--concurrency", "16"],
        restate: Some(&["--scenario", "start", "--concurrency", "16"]),
    },
    Scenario {
        name: "hello-c1",
        about: "one activity, one client",
        temporal: &["--scenario", "hello", "--concurrency", "1"],
        restate: Some(&["--scenario", "hello-call", "--concurrency", "1"]),
    },
    Scenario {
        name: "hello-c16",
        about: "one activity",
        temporal: &["--scenario", "hello", "--concurrency", "16"],
        restate: Some(&["--scenario", "hello-call", "--concurrency", "16"]),
    },
    Scenario {
        name: "chain10-c1",
        about: "ten activities in a row, one client",
        temporal: &["--scenario", "chain10", "--concurrency", "1"],
        restate: Some(&["--scenario", "call10", "--concurrency", "1"]),
    },
    Scenario {
        name: "chain10-c16",
        about: "ten activities in a row",
        temporal: &["--scenario", "chain10", "--concurrency", "16"],
        restate: Some(&["--scenario", "call10", "--concurrency", "16"]),
    },
    Scenario {
        name: "local10-c1",
        about: "ten local steps in a row, one client",
        temporal: &["--scenario", "local10", "--concurrency", "1"],
        restate: Some(&["--scenario", "run10", "--concurrency", "1"]),
    },
    Scenario {
        name: "local10-c16",
        about: "ten local steps in a row",
        temporal: &["--scenario", "local10", "--concurrency", "16"],
        restate: Some(&["--scenario", "run10", "--concurrency", "16"]),
    },
    Scenario {
        name: "fanout100-c4",
        about: "a hundred activities at once",
        temporal: &["--scenario", "fanout100", "--concurrency", "4"],
        restate: Some(&["--scenario", "fanout100", "--concurrency", "4"]),
    },
    Scenario {
        name: "query-c16",
        about: "ask a running workflow",
        temporal: &["--scenario", "query", "--concurrency", "16"],
        restate: Some(&["--scenario", "query", "--concurrency", "16"]),
    },
    Scenario {
        name: "signals-c16",
        about: "signals to one workflow, a thousand each (counted by the signal)",
        temporal: &["--scenario", "signals", "--concurrency", "16"],
        restate: None,
    },
];

/// Memory of sleeping workflows; run apart, because it counts and does not time.
pub const IDLE: &str = "idle";

impl Scenario {
    /// The load generator's arguments, if the peer has anything comparable.
    pub fn arguments(&self, kind: Kind) -> Option<&'static [&'static str]> {
        match kind {
            Kind::Everlog { .. } | Kind::Temporal => Some(self.temporal),
            Kind::Restate { .. } => self.restate,
        }
    }
}

pub fn find(name: &str) -> Result<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name).with_context(|| {
        let known: Vec<String> =
            ALL.iter().map(|scenario| format!("  {:14} {}", scenario.name, scenario.about)).collect();
        format!("there is no scenario {name}; there are\n{}", known.join("\n"))
    })
}
