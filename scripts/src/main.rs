//! `cargo x`: every chore of the project, so that a newcomer and a build machine type the same words.
//!
//! A chore is a function from its arguments to a [`Tally`]: how many tests passed and how many failed.
//! `cargo x test` runs all that a change must pass, one after the other, and ends with one line that
//! counts every test that ran. A part that ran nothing counts as a failure, because a silent part is
//! how a test suite rots.

// Nothing is reachable from outside a program, so here the lint says nothing.
#![allow(unreachable_pub)]

use std::{env, process::ExitCode};

use anyhow::Result;

use crate::{
    tally::{FAILED, Tally},
    workspace::Workspace,
};

mod chore;
mod process;
mod server;
mod tally;
mod tools;
mod workspace;

/// One word after `cargo x`.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<Tally>,
}

const CHORES: &[Chore] = &[
    Chore { name: "test", about: "everything a change must pass", run: chore::test::run },
    Chore { name: "ci", about: "the same as `test`", run: chore::test::run },
    Chore { name: "fmt", about: "format the sources (--check: only say what differs)", run: chore::fmt::run },
    Chore { name: "lint", about: "formatting and clippy, warnings refused", run: chore::lint::run },
    Chore {
        name: "tidy",
        about: "what no compiler checks: banned words, long files, layers",
        run: chore::tidy::run,
    },
    Chore { name: "purity", about: "the engine performs no effect", run: chore::purity::run },
    Chore {
        name: "deny",
        about: "licences, sources and known faults of dependencies",
        run: chore::deny::run,
    },
    Chore { name: "unit", about: "unit and story tests of all crates", run: chore::unit::run },
    Chore { name: "power-cut", about: "the log survives a loss of power", run: chore::power_cut::run },
    Chore { name: "sim", about: "seeded simulation [--seeds N] [--seed S]", run: chore::sim::run },
    Chore { name: "planted", about: "each planted bug is caught", run: chore::planted::run },
    Chore {
        name: "cluster",
        about: "three processes, killed and stopped [TEST ...]",
        run: chore::cluster::run,
    },
    Chore { name: "chaos", about: "all features while leaders die [--seconds N]", run: chore::chaos::run },
    Chore {
        name: "client",
        about: "the Rust client against three nodes [TEST ...]",
        run: chore::client::run,
    },
    Chore {
        name: "conformance",
        about: "the official SDK, the CLI and the real server",
        run: chore::conformance::run,
    },
    Chore { name: "ui-assets", about: "the files of the Web UI, into FOLDER", run: chore::ui::assets },
    Chore { name: "ui", about: "the Web UI with a browser [--only CASE]", run: chore::ui::run },
    Chore {
        name: "bench-wal",
        about: "the log beside a bare loop [FOLDER] [SECONDS]",
        run: chore::bench_wal::run,
    },
    Chore { name: "bench", about: "speed, beside the peers (--help)", run: chore::bench::run },
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(chore) = arguments.next().and_then(|word| CHORES.iter().find(|chore| chore.name == word)) else {
        usage();
        return ExitCode::from(2);
    };
    let arguments: Vec<String> = arguments.collect();
    match Workspace::find().and_then(|workspace| (chore.run)(&workspace, &arguments)) {
        Ok(tally) => {
            for failure in &tally.failures {
                println!("{FAILED}{failure}");
            }
            println!("{tally}");
            if tally.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("cargo x {}: {error:#}", chore.name);
            println!("{}", Tally::failure(format!("{}: {error:#}", chore.name)));
            ExitCode::FAILURE
        }
    }
}

fn usage() {
    eprintln!("usage: cargo x CHORE [ARGUMENT ...]\n");
    for chore in CHORES {
        eprintln!("  {:12} {}", chore.name, chore.about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_chore() {
        let readme = Workspace::find().and_then(|workspace| workspace.read("README.md")).expect("a README");
        let (_, rest) = readme.split_once("| chore | what it does |").expect("the README has the table");
        let rows = rest.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
        let told: Vec<&str> = rows
            .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
            .collect();
        let chores: Vec<&str> = CHORES.iter().map(|chore| chore.name).collect();
        assert_eq!(told, chores);
    }
}
