//! `cargo x test`: everything a change must pass, cheapest first.
//!
//! All parts run even when an early one fails, so that one run shows everything. A part whose folder
//! is not in the checkout is named and left out. The power cuts are among the unit tests.
//!
//! One part after the other: what the process tests do, and what is compared with the real server, depends on
//! time, and both would have the processor to themselves less than any machine of an operator.

use std::time::Instant;

use anyhow::Result;

use crate::{
    chore::{client, cluster, conformance, deny, lint, planted, purity, sim, tidy, unit},
    tally::Tally,
    workspace::Workspace,
};

struct Part {
    name: &'static str,
    present: fn(&Workspace) -> bool,
    run: fn(&Workspace, &[String]) -> Result<Tally>,
}

const PARTS: &[Part] = &[
    Part { name: "tidy", present: always, run: tidy::run },
    Part { name: "purity", present: always, run: purity::run },
    Part { name: "lint", present: always, run: lint::run },
    Part { name: "deny", present: always, run: deny::run },
    Part { name: "unit", present: always, run: unit::run },
    Part { name: "sim", present: |workspace| workspace.has(sim::FOLDER), run: sim::run },
    Part { name: "planted", present: planted::present, run: planted::run },
    Part { name: "cluster", present: |workspace| workspace.has(cluster::FOLDER), run: cluster::run },
    Part { name: "client", present: |workspace| workspace.has(client::FOLDER), run: client::run },
    Part {
        name: "conformance",
        present: |workspace| workspace.has(conformance::FOLDER),
        run: conformance::run,
    },
];

pub fn run(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    let mut total = Tally::default();
    let mut table = Vec::new();
    for part in PARTS {
        println!("=== {}", part.name);
        if !(part.present)(workspace) {
            println!("    not in this checkout, left out");
            table.push(format!("{:12}    left out", part.name));
            continue;
        }
        let started = Instant::now();
        let tally = (part.run)(workspace, &[]);
        let tally = tally
            .unwrap_or_else(|error| Tally::failure(format!("{}: {error:#}", part.name)))
            .not_empty(part.name);
        table.push(format!(
            "{:12} {:6} ok {:4} failed {:5} s",
            part.name,
            tally.passed,
            tally.failed(),
            started.elapsed().as_secs()
        ));
        total.add(tally);
    }
    println!("=== all");
    for line in table {
        println!("    {line}");
    }
    Ok(total)
}

fn always(_: &Workspace) -> bool {
    true
}
