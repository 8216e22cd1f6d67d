//! `cargo x bench`: speed, beside the peers.

use anyhow::{Result, bail};

use crate::{tally::Tally, workspace::Workspace};

pub fn run(_: &Workspace, _: &[String]) -> Result<Tally> {
    bail!("the benchmark is not written yet")
}
