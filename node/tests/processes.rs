//! The binary as an operator runs it wrongly: what it says, and that it ends with an error.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const EVERLOG: &str = env!("CARGO_BIN_EXE_everlog");

#[test]
fn clear_messages_for_a_wrong_start() {
    let data = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let output = Command::new(EVERLOG).args(arguments).stdin(Stdio::null()).output().expect("runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (fine, text) = run(&["server", "--set", "colour=red"]);
    assert!(!fine && text.contains("colour"), "{text}");
    let (fine, text) = run(&["server", "--set", "peer.listen=0.0.0.0:0"]);
    assert!(!fine && text.contains("peer.listen"), "{text}");
    let file = data.path().join("file");
    std::fs::write(&file, "x").expect("written");
    let (fine, text) = run(&["server", "--data-dir", &file.to_string_lossy()]);
    assert!(!fine && text.contains("cannot be used"), "{text}");
    let (fine, text) = run(&["cluster", "--peer", "127.0.0.1:1", "status"]);
    assert!(!fine && text.contains("cannot reach"), "{text}");
}

/// A port that somebody else has is no reason to try for ever.
#[test]
fn a_small_cluster_whose_node_cannot_listen_ends() {
    const WITHIN: Duration = Duration::from_secs(30);
    let (first, taken) = ports_with_one_taken();
    let data = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(EVERLOG)
        .args(["dev", "--nodes", "3", "--port", &first.to_string(), "--data-dir"])
        .arg(data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let deadline = Instant::now() + WITHIN;
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("killed");
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().expect("it ended");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let taken = taken.local_addr().expect("an address");
    assert!(said.contains(&format!("cannot listen on {taken} (metrics)")), "{said}");
    assert!(said.contains("node 2 cannot run"), "{said}");
}

/// The first port of a small cluster, all of whose ports are free but the second node's for metrics.
fn ports_with_one_taken() -> (u16, TcpListener) {
    const KINDS: [u16; 3] = [0, 100, 200];
    const NODES: u16 = 3;
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
    let from = 20_000 + (std::process::id() % 50) as u16 * 10;
    for first in (from..from + 600).step_by(3) {
        let all: Option<Vec<TcpListener>> =
            KINDS.iter().flat_map(|kind| (0..NODES).map(move |node| bind(first + kind + node))).collect();
        if let Some(mut all) = all {
            return (first, all.swap_remove(KINDS.len() * NODES as usize - 2));
        }
    }
    panic!("no free ports");
}
