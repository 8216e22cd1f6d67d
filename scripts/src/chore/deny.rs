//! `cargo x deny`: what we build on has a licence we accept, a source we know, and no known fault.
//!
//! Licences, sources and bans are judged from the lock file and always checked. Known faults come from
//! a database outside the package registries. Where it cannot be reached they are *not checked*, which
//! is said and not counted: neither as passed, which would be a lie, nor as failed, which would make
//! every machine without that route unable to test.

use std::{process::Command, time::Duration};

use anyhow::Result;

use crate::{process::stream, tally::Tally, tools, workspace::Workspace};

const LIMIT: Duration = Duration::from_secs(300);
const FETCH_LIMIT: Duration = Duration::from_secs(60);

pub fn run(workspace: &Workspace, _: &[String]) -> Result<Tally> {
    let binary = tools::cargo_deny()?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(["--all-features"]).args(arguments).current_dir(&workspace.root);
        command
    };
    let mut tally = Tally::default();
    for check in ["bans", "licenses", "sources"] {
        let status = stream(&mut deny(&["check", "--hide-inclusion-graph", check]), LIMIT, |_| {})?;
        tally.check(status.success(), format!("deny: {check}"));
    }
    let fetched = stream(&mut deny(&["fetch", "db"]), FETCH_LIMIT, |_| {});
    if fetched.is_ok_and(|status| status.success()) {
        let status = stream(&mut deny(&["check", "--disable-fetch", "advisories"]), LIMIT, |_| {})?;
        tally.check(status.success(), "deny: advisories");
    } else {
        println!("    advisories: NOT CHECKED, because the advisory database cannot be reached from here");
    }
    Ok(tally)
}
