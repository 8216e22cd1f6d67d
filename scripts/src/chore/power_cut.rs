//! `cargo x power-cut`: what was not synced is dropped at any point, and nothing acknowledged is lost.
//!
//! The tests of raft-store that say `power_cut` in their name, which `cargo x unit` runs too. That a build
//! without the sync fails these very tests is one of the planted bugs (`cargo x planted`).

use std::process::Command;

use anyhow::{Context, Result};

use crate::{chore::unit::cargo_test, process::output, tally::Tally, workspace::Workspace};

const PACKAGE: &str = "everlog-raft-store";
const FOLDER: &str = "raft-store";
const NAME: &str = "power_cut";

pub fn present(workspace: &Workspace) -> bool {
    let files = workspace.files().unwrap_or_default();
    files
        .iter()
        .filter(|file| file.starts_with(FOLDER) && file.ends_with(".rs"))
        .any(|file| file.contains(NAME) || workspace.read(file).is_ok_and(|source| source.contains(NAME)))
}

pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    cargo_test("power-cut", tests(workspace).args(["--", "--show-output"]).args(arguments))
}

/// The command that runs these tests.
fn tests(workspace: &Workspace) -> Command {
    workspace.cargo(["test", "--package", PACKAGE, NAME])
}

/// The same, compiled with a bug that is left out of every other build. Only the one crate is compiled for
/// it, and beside the right one.
pub fn tests_with_bug(workspace: &Workspace, bug: &str) -> Result<Command> {
    let mut build = workspace.cargo(["rustc", "--package", PACKAGE, "--lib", "--profile", "test"]);
    build.args(["--message-format", "json", "--", "--cfg", &format!("planted=\"{bug}\"")]);
    let messages = output(&mut build)?;
    let program =
        messages.lines().filter_map(executable).next_back().context("cargo built no test program")?;
    let mut command = Command::new(program);
    command.arg(NAME).current_dir(workspace.path(FOLDER));
    Ok(command)
}

/// The program that a message of cargo tells of.
fn executable(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn the_program_is_named_by_the_last_message_that_names_one() {
        let messages = [
            r#"{"reason":"compiler-artifact","executable":null,"fresh":true}"#,
            r#"{"reason":"compiler-artifact","executable":"/target/debug/deps/store-1","fresh":false}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let found: Vec<&str> = messages.into_iter().filter_map(executable).collect();
        assert_eq!(found, ["/target/debug/deps/store-1"]);
    }
}
