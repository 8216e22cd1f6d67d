//! `cargo x unit`: the tests that need nothing but the compiler.
//!
//! The crates below `tests/` that start processes or run for minutes have chores of their own; here
//! only their own insides are tested, such as the checker that judges the process tests.

use anyhow::Result;

use crate::{
    process::stream,
    tally::{Reader, Tally},
    tools::BUILD_LIMIT,
    workspace::Workspace,
};

/// Crates whose integration tests are chores, and the folder of each.
const INTEGRATION: &[(&str, &str)] =
    &[("everlog-cluster-tests", "tests/cluster"), ("everlog-sim", "tests/sim")];

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let integration: Vec<&str> = INTEGRATION
        .iter()
        .filter(|(_, folder)| workspace.has(format!("{folder}/Cargo.toml")))
        .map(|(name, _)| *name)
        .collect();
    let mut all = workspace.cargo(["test", "--workspace", "--no-fail-fast"]);
    for name in &integration {
        all.args(["--exclude", name]);
    }
    let mut tally = cargo_test("unit", all.args(arguments))?;
    if !integration.is_empty() {
        let mut insides = workspace.cargo(["test", "--lib", "--bins", "--no-fail-fast"]);
        for name in &integration {
            insides.args(["--package", name]);
        }
        tally.add(cargo_test("unit", insides.args(arguments))?);
    }
    Ok(tally)
}

/// Runs `cargo test` and counts. A failure to compile counts as one failed test.
pub fn cargo_test(part: &str, command: &mut std::process::Command) -> Result<Tally> {
    let mut reader = Reader::default();
    let status = stream(command, BUILD_LIMIT, |line| reader.line(line))?;
    let mut tally = reader.harness(part).not_empty(part);
    if !status.success() && tally.failed() == 0 {
        tally.failures.push(format!("{part}: cargo test failed ({status})"));
    }
    Ok(tally)
}
