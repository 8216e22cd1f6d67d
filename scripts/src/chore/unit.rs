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

/// Where the integration tests are that are no chores of their own.
const INTEGRATION: &[&str] = &["client", "node"];

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    let mut code =
        workspace.cargo(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--examples"]);
    for folder in INTEGRATION {
        code.args(workspace.tests_in(folder)?);
    }
    let mut tally = cargo_test("unit", code.args(arguments))?;
    let mut docs = workspace.cargo(["test", "--workspace", "--no-fail-fast", "--doc"]);
    tally.add(cargo_test("unit", docs.args(arguments))?);
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
