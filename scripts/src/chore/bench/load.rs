//! The load generators: built once from sources outside this repository, run once a measurement.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{run_limit, scenario::Scenario, subject::Subject};
use crate::{
    process::{stream, watch},
    tools::BUILD_LIMIT,
    workspace::cache_dir,
};

const CRATES: &[&str] = &["temporal-load", "restate-load"];
const IDLE_CONCURRENCY: &str = "64";
/// Long enough for a checkpoint of ours, which comes once a minute, to move what is in memory to the disk.
const IDLE_SETTLE_SECONDS: &str = "75";
/// How long the idle server's processor time is read.
const IDLE_HOLD_SECONDS: &str = "20";
const IDLE_LIMIT_SECONDS: f64 = 480.0;

#[derive(Debug)]
pub struct Load {
    binaries: PathBuf,
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub workflows_per_s: f64,
    pub steps_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_s_per_1000: f64,
    pub rss_mb: f64,
    pub errors: u64,
    pub idle_bytes: Option<f64>,
    /// Processors that the server keeps busy while all workflows sleep.
    pub idle_cores: Option<f64>,
}

/// Builds both in the cache, from a copy: their own folder may be read-only, and cargo writes a lock file.
pub fn build(sources: &Path) -> Result<Load> {
    let home = cache_dir()?.join("bench");
    for name in CRATES {
        let copy = home.join("sources").join(name);
        copy_changed(&sources.join(name), &copy)?;
        let status = stream(
            Command::new("cargo")
                .args(["build", "--release", "--manifest-path"])
                .arg(copy.join("Cargo.toml"))
                .arg("--target-dir")
                .arg(home.join("target"))
                .env_remove("CARGO_BUILD_BUILD_DIR")
                // It costs the load some cpu and saves minutes of compiling; servers are built as they are shipped.
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
            BUILD_LIMIT,
            |_| {},
        )?;
        ensure!(status.success(), "{name} does not build");
    }
    Ok(Load { binaries: home.join("target/release") })
}

impl Load {
    pub fn run(&self, subject: &Subject, scenario: &Scenario, seconds: f64, warmup: f64) -> Result<Figures> {
        let arguments = scenario.arguments(subject.kind).context("no comparable scenario")?;
        let mut command = self.command(subject);
        command.args(arguments);
        command.args(["--seconds", &seconds.to_string(), "--warmup", &warmup.to_string()]);
        figures(&mut command, seconds, warmup)
    }

    /// Starts workflows that sleep, and reads the server's memory before and after.
    pub fn idle(&self, subject: &Subject, workflows: u64) -> Result<Figures> {
        let mut command = self.command(subject);
        command.args(["--scenario", "idle", "--concurrency", IDLE_CONCURRENCY]);
        command.args(["--settle", IDLE_SETTLE_SECONDS, "--hold", IDLE_HOLD_SECONDS]);
        command.args(["--workflows", &workflows.to_string()]);
        figures(&mut command, IDLE_LIMIT_SECONDS, 0.0)
    }

    fn command(&self, subject: &Subject) -> Command {
        let pids: Vec<String> = subject.pids.iter().map(u32::to_string).collect();
        let mut command = Command::new(self.binaries.join(subject.kind.load()));
        command.args(["--address", &subject.addresses.join(","), "--server-pid", &pids.join(",")]);
        command.args(["--label", &subject.kind.name()]).args(&subject.load_arguments);
        command
    }
}

/// Runs the load; its last line that is JSON is the result.
fn figures(command: &mut Command, seconds: f64, warmup: f64) -> Result<Figures> {
    let mut result = None;
    let mut last = String::new();
    let status = watch(command, run_limit(seconds, warmup), |line| {
        match serde_json::from_str::<Value>(line).ok().filter(Value::is_object) {
            Some(json) => result = Some(json),
            None => line.clone_into(&mut last),
        }
    })?;
    let Some(json) = result.filter(|_| status.success()) else {
        bail!("the load ended with {status}: {last}")
    };
    if let Some(samples) = json["error_samples"].as_object().filter(|samples| !samples.is_empty()) {
        for (error, times) in samples {
            println!("    error, {times} times: {error}");
        }
    }
    let number = |name: &str| json[name].as_f64().unwrap_or_default();
    let latency = |name: &str| json["latency_ms"][name].as_f64().unwrap_or_default();
    // A workflow of that scenario is a thousand signals; one signal is the thing to count.
    let unit = if json["scenario"] == "signals" { "steps" } else { "workflows" };
    Ok(Figures {
        workflows_per_s: number(&format!("{unit}_per_s")),
        steps_per_s: number("steps_per_s"),
        p50_ms: latency("p50"),
        p99_ms: latency("p99"),
        cpu_s_per_1000: number(&format!("server_cpu_s_per_1000_{unit}")),
        rss_mb: number("server_rss_peak_mb"),
        errors: json["errors"].as_u64().unwrap_or_default(),
        idle_bytes: json["idle_bytes_per_workflow"].as_f64(),
        idle_cores: json["idle_cpu_cores"].as_f64(),
    })
}

/// Copies what differs, so that an unchanged source is not built again.
fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                copy_changed(&source, &target)?;
            }
        } else {
            let content = fs::read(&source)?;
            if fs::read(&target).ok().as_ref() != Some(&content) {
                fs::write(&target, content)?;
            }
        }
    }
    Ok(())
}
