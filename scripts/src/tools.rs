//! Programs that the chores need: found, or made once.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{output, stream},
    workspace::{Workspace, cache_dir},
};

/// The first build on a small machine compiles everything.
pub const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

const CARGO_DENY_VERSION: &str = "0.20.2";

/// A component of the toolchain, such as `clippy`, added where it is missing.
pub fn component(cargo_command: &str, component: &str) -> Result<()> {
    let present = Command::new("cargo")
        .args([cargo_command, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if present {
        return Ok(());
    }
    let status = stream(
        Command::new("rustup").args(["component", "add", component]),
        Duration::from_secs(300),
        |_| {},
    )?;
    if !status.success() {
        bail!("`cargo {cargo_command}` is missing and `rustup component add {component}` failed");
    }
    Ok(())
}

/// How the server is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// For tests: it has its assertions, and most of it was compiled for the unit tests.
    Checked,
    /// For measurements: as it is shipped.
    Shipped,
}

/// Builds the server and says where it is.
pub fn server_binary(workspace: &Workspace, build: Build) -> Result<PathBuf> {
    let arguments: &[&str] = match build {
        Build::Checked => &["build", "--workspace", "--bin", "everlog"],
        Build::Shipped => &["build", "--package", "everlog-node", "--bin", "everlog", "--release"],
    };
    let status = stream(&mut workspace.cargo(arguments), BUILD_LIMIT, |_| {})?;
    if !status.success() {
        bail!("the server does not build");
    }
    // Nothing is left to build: this only says where cargo put the binary.
    let messages = output(workspace.cargo(arguments).arg("--message-format=json"))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .context("cargo did not say where the binary is")
}

/// `cargo deny`, installed into the cache. It is only ever run for seconds, so it is compiled quickly
/// rather than well.
pub fn cargo_deny() -> Result<PathBuf> {
    let root = cache_dir()?.join("tools").join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let binary = root.join("bin/cargo-deny");
    if binary.is_file() {
        return Ok(binary);
    }
    println!("    installing cargo-deny {CARGO_DENY_VERSION}, once; this takes some minutes");
    let build = root.join("build");
    let status = stream(
        Command::new("cargo")
            .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION, "--root"])
            .arg(&root)
            .arg("--target-dir")
            .arg(&build)
            .env_remove("CARGO_BUILD_BUILD_DIR")
            .envs([
                ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
                ("CARGO_PROFILE_RELEASE_LTO", "off"),
                ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
            ]),
        BUILD_LIMIT,
        |_| {},
    )?;
    if !status.success() || !binary.is_file() {
        bail!("cargo-deny could not be installed");
    }
    // What was compiled on the way is large and never needed again; failing to remove it harms nothing.
    let _ = std::fs::remove_dir_all(build);
    Ok(binary)
}
