//! A data folder belongs to one process and one node of one cluster. Anything else is refused with a message
//! and a code, and damages nothing.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use everlog_cluster_tests::{
    cluster::{Cluster, NODES, binary},
    load,
    program::Program,
    record::Recorder,
    unique::unique,
};

const REFUSAL_LIMIT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused() -> Result<()> {
    let cluster = Cluster::start().await?;
    // Other ports, so that the folder is all they would share.
    let second = refused(&cluster, 1, &["api", "peer", "metrics"])?;
    ensure!(said(&second).contains("in use"), "the refusal does not say why: {}", said(&second));
    accepts_writes(&cluster).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_another_node_is_refused() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.node(3).kill();
    let aside = cluster.node(3).folder.join("data-of-3");
    fs::rename(cluster.node(3).data_dir(), &aside)?;
    cluster.node(2).kill();
    fs::rename(cluster.node(2).data_dir(), cluster.node(3).data_dir())?;
    let third = refused(&cluster, 3, &[])?;
    ensure!(said(&third).contains("node 2"), "the refusal does not say why: {}", said(&third));

    // Each gets its own again, and all is as it was.
    fs::rename(cluster.node(3).data_dir(), cluster.node(2).data_dir())?;
    fs::rename(aside, cluster.node(3).data_dir())?;
    cluster.node(2).start()?;
    cluster.node(3).start()?;
    cluster.wait_ready().await?;
    accepts_writes(&cluster).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_log_does_not_vote_as_if_it_knew() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    accepts_writes(&cluster).await?;
    cluster.node(3).kill();
    // Everything is gone except who it is.
    for entry in fs::read_dir(cluster.node(3).data_dir())? {
        let entry = entry?;
        if entry.file_name() != "identity.json" {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    let third = refused(&cluster, 3, &[])?;
    ensure!(!said(&third).is_empty(), "the refusal says nothing");
    accepts_writes(&cluster).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_place_of_the_folder_is_refused() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.node(1).kill();
    let data = cluster.node(1).data_dir();
    let aside = cluster.node(1).folder.join("aside");
    fs::rename(&data, &aside)?;
    fs::write(&data, "not a folder")?;
    refused(&cluster, 1, &[])?;
    ensure!(fs::read_to_string(&data)? == "not a folder", "the file was damaged");
    fs::remove_file(&data)?;
    fs::rename(&aside, &data)?;
    cluster.node(1).start()?;
    cluster.wait_ready().await?;
    accepts_writes(&cluster).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_another_cluster_is_refused() -> Result<()> {
    let (mut ours, mut theirs) = (Cluster::start().await?, Cluster::start().await?);
    ours.node(3).kill();
    theirs.node(3).kill();
    let aside = ours.node(3).folder.join("aside");
    fs::rename(ours.node(3).data_dir(), &aside)?;
    fs::rename(theirs.node(3).data_dir(), ours.node(3).data_dir())?;
    let third = refused(&ours, 3, &[])?;
    ensure!(said(&third).contains("belongs to cluster"), "the refusal does not say why: {}", said(&third));

    // Each gets its own again, and all is as it was.
    fs::rename(ours.node(3).data_dir(), theirs.node(3).data_dir())?;
    fs::rename(aside, ours.node(3).data_dir())?;
    for cluster in [&mut ours, &mut theirs] {
        cluster.node(3).start()?;
        cluster.wait_ready().await?;
        accepts_writes(cluster).await?;
    }
    theirs.passed()?;
    ours.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_can_not_be_read_is_refused() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.node(2).kill();
    let data = cluster.node(2).data_dir();
    for unreadable in [data.clone(), data.join("log"), data.join("tables").join("db")] {
        let before = fs::metadata(&unreadable)?.permissions();
        fs::set_permissions(&unreadable, Permissions::from_mode(0o000))?;
        let second = refused(&cluster, 2, &[]);
        fs::set_permissions(&unreadable, before)?;
        let second = second?;
        ensure!(
            said(&second).contains("Permission denied"),
            "the refusal does not say why: {}",
            said(&second)
        );
        ensure!(!said(&second).contains("damaged"), "nothing is damaged: {}", said(&second));
    }
    cluster.node(2).start()?;
    cluster.wait_ready().await?;
    accepts_writes(&cluster).await?;
    cluster.passed()
}

/// The server, without the right of the superuser to read what is forbidden.
fn bound_by_permissions() -> Result<Command> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(binary()?));
    }
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search").arg(binary()?);
    Ok(command)
}

/// Runs a node's command, with free ports for the named sections, and expects it to end by itself with a
/// failure and a message.
fn refused(cluster: &Cluster, id: usize, other_ports: &[&str]) -> Result<Output> {
    let node = &cluster.nodes[id - 1];
    let mut command = bound_by_permissions()?;
    command.arg("server").arg("--config").arg(node.config_file());
    for section in other_ports {
        command.args(["--set", &format!("{section}.listen=\"127.0.0.1:0\"")]);
    }
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
    let deadline = Instant::now() + REFUSAL_LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("it was not refused: {}", said(&child.wait_with_output()?));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output()?;
    println!("{}: {}", output.status, said(&output));
    ensure!(output.status.code().is_some_and(|code| code != 0), "it ended with {}", output.status);
    Ok(output)
}

/// What a process said, its last line first in mind: logs may come before.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

async fn accepts_writes(cluster: &Cluster) -> Result<()> {
    let (api, recorder) = (cluster.api()?, Recorder::new());
    let program: Program = "t1".parse().map_err(anyhow::Error::msg)?;
    for node in 0..NODES {
        load::start(&api, &recorder, node, &unique("after"), &program, PATIENCE)
            .await
            .context("the cluster takes no writes")?;
    }
    Ok(())
}
