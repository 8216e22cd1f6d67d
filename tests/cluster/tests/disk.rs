//! A full disk: the node says so and ends, the others go on, and when there is room again nothing is missing.

use std::{
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use everlog_cluster_tests::{
    cluster::{Cluster, SmallDisk, binary, small_disk},
    scenario::Load,
};

/// Small segments of the log, so that the disk is soon needed for a new one.
const SEGMENT: &str = "store.segment_bytes=1048576";
const DISK_BYTES: u64 = 64 << 20;
/// What is left when the load begins.
const LEFT_BYTES: u64 = 128 << 10;
/// The node waits a while for room before it gives up, and the load needs some time to fill a segment.
const FULL_LIMIT: Duration = Duration::from_secs(90);
const REFUSAL_LIMIT: Duration = Duration::from_secs(40);
const AFTER: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_three() -> Result<()> {
    let Some(disk) = disk()? else { return Ok(()) };
    let full = 3;
    let mut cluster = Cluster::start_on_disk(full, disk.path(), &[SEGMENT]).await?;
    cluster.wait_spread().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(2)).await;
    disk.fill(LEFT_BYTES)?;
    let filled = Instant::now();
    let status = ended(&mut cluster, full).await?;
    println!("{:.1} s after its disk was filled node {full} ended: {status}", filled.elapsed().as_secs_f64());
    println!("{}", cluster.node(full).log_tail());
    ensure!(status.code().is_some_and(|code| code != 0), "it ended with {status}");
    let log = cluster.node(full).log_tail();
    ensure!(log.contains("no room is left on the disk"), "it does not say why");
    ensure!(!log.contains("damaged"), "nothing is damaged");
    let before = load.recorder.operations().len();
    load.run(AFTER).await;
    ensure!(load.recorder.operations().len() > before, "the others do not go on");

    disk.make_room()?;
    cluster.node(full).kill();
    cluster.node(full).start()?;
    cluster.wait_ready().await?;
    load.run(AFTER).await;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_on_a_full_disk() -> Result<()> {
    let Some(disk) = disk()? else { return Ok(()) };
    disk.fill(LEFT_BYTES)?;
    let mut child = Command::new(binary()?)
        .args(["server", "--bootstrap-expect", "1", "--data-dir"])
        .arg(disk.path().join("data"))
        .args(
            ["api", "peer", "metrics"]
                .iter()
                .flat_map(|port| ["--set".into(), format!("{port}.listen=\"127.0.0.1:0\"")]),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + REFUSAL_LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("it goes on without room");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{}: {said}", output.status);
    ensure!(output.status.code().is_some_and(|code| code != 0), "it ended with {}", output.status);
    ensure!(said.contains("No space left on device"), "it does not say why");
    Ok(())
}

fn disk() -> Result<Option<SmallDisk>> {
    let disk = SmallDisk::new(DISK_BYTES)?;
    if disk.is_none() {
        println!("nothing was tested: this machine does not let us make a small disk ({})", small_disk::HOW);
    }
    Ok(disk)
}

/// How a node ended by itself.
async fn ended(cluster: &mut Cluster, id: usize) -> Result<ExitStatus> {
    let deadline = Instant::now() + FULL_LIMIT;
    loop {
        if let Some(status) = cluster.node(id).exited()? {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "node {id} goes on without room\n{}", cluster.node(id).log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
