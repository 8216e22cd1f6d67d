//! The binary as an operator runs it: processes that are killed, frozen and stopped.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use everlog_proto::cluster as proto;
use tonic::transport::Channel;

const EVERLOG: &str = env!("CARGO_BIN_EXE_everlog");
const PATIENCE: Duration = Duration::from_secs(20);
/// Writes must work again so soon after a leader's death.
const REPLACED_WITHIN: Duration = Duration::from_secs(3);
/// A leader is frozen for longer than it takes to replace it.
const FROZEN: Duration = Duration::from_secs(4);

#[test]
fn a_killed_leader_is_replaced_and_restarted() {
    let mut dev = Dev::start();
    let leader = dev.leader(0);
    dev.propose(leader, "before").expect("taken");
    dev.signal(leader, "KILL");
    let killed = Instant::now();
    let took = loop {
        let others = [1, 2, 3].into_iter().filter(|node| *node != leader);
        if others.map(|node| dev.propose(node, "after")).any(|outcome| outcome.is_ok()) {
            break killed.elapsed();
        }
        assert!(killed.elapsed() < PATIENCE, "no new leader");
        std::thread::sleep(Duration::from_millis(10));
    };
    println!("writes again after {took:?}");
    assert!(took < REPLACED_WITHIN, "it took {took:?}");

    // The killed node comes back as another process and serves.
    dev.wait_line(|line| line.starts_with(&format!("node {leader} ended")));
    dev.wait_line(|line| line.starts_with(&format!("node {leader} pid")));
    dev.wait_status("all are ready again", |nodes| {
        nodes.iter().filter(|node| node["ready"] == true).count() == 3
    });
    // Nothing that was acknowledged is lost, and all three have the same.
    let rows = |dev: &Dev| dev.run(&["cluster", "--json", "hashes"]);
    let hashes = rows(&dev);
    assert_eq!(hashes["different"], serde_json::json!([]), "{hashes}");
    let leader = dev.leader(0);
    let counted = dev.ask(leader, "read 0").expect("read");
    let count: u64 = counted.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("a count");
    assert!(count >= 2, "acknowledged twice and counted {count}");
    dev.stop();
}

#[test]
fn a_frozen_leader_does_not_answer_from_the_past() {
    let mut dev = Dev::start();
    let old = dev.leader(0);
    dev.propose(old, "before").expect("taken");
    dev.signal(old, "STOP");
    std::thread::sleep(FROZEN);
    let new = [1, 2, 3].into_iter().find(|node| *node != old && dev.propose(*node, "after").is_ok());
    let new = new.expect("one of the others leads");
    let newest: u64 = dev.propose(new, "newest").expect("taken").1;

    dev.signal(old, "CONT");
    // It still believes that it leads. Whatever it answers must contain what was acknowledged since.
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        if let Ok(text) = dev.ask(old, "read 0") {
            let index: u64 = text.split(' ').next().and_then(|index| index.parse().ok()).expect("an index");
            assert!(index >= newest, "node {old} answered from index {index}, and {newest} was acknowledged");
        }
        if let Ok((_, index)) = dev.propose(old, "late") {
            assert!(index > newest, "node {old} wrote at {index} after {newest}");
        }
    }
    dev.stop();
}

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

/// A cluster of three processes.
struct Dev {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    port: u16,
    runtime: tokio::runtime::Runtime,
    cluster_id: String,
    _data: tempfile::TempDir,
}

impl Dev {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let port = free_ports();
        let mut child = Command::new(EVERLOG)
            .args(["dev", "--nodes", "3", "--port", &port.to_string(), "--set", "raft.shards=3"])
            // Leaderships stay where they are.
            .args(["--set", "raft.balance_ms=0", "--log-level", "warn", "--data-dir"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                println!("{line}");
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let mut dev =
            Self { child, lines, seen: Vec::new(), port, runtime, cluster_id: String::new(), _data: data };
        dev.wait_line(|line| line == "ready");
        dev.cluster_id = dev.status()[0]["cluster"].as_str().expect("formed").to_owned();
        dev
    }

    /// Waits for a line that was not there at the last call.
    fn wait_line(&mut self, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("the line comes");
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| wanted(line)) {
                return;
            }
        }
    }

    /// The process of a node: the last one that was announced.
    fn signal(&mut self, node: u64, signal: &str) {
        self.seen.extend(self.lines.try_iter());
        let start = format!("node {node} pid ");
        let pid = self.seen.iter().rev().find_map(|line| line.strip_prefix(&start)).expect("announced");
        let pid = pid.split(' ').next().expect("a number");
        let done = Command::new("kill").args([&format!("-{signal}"), pid]).status().expect("runs");
        assert!(done.success());
    }

    fn status(&self) -> Vec<serde_json::Value> {
        self.run(&["cluster", "--json", "status"])["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// What a command prints.
    fn run(&self, arguments: &[&str]) -> serde_json::Value {
        let peer = format!("127.0.0.1:{}", self.port + 100);
        let output = Command::new(EVERLOG).args(arguments).env("EVERLOG_PEER", peer).output().expect("runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn wait_status(&self, what: &str, holds: impl Fn(&[serde_json::Value]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.status()) {
            assert!(Instant::now() < deadline, "in vain: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn leader(&self, shard: usize) -> u64 {
        let leads = |node: &serde_json::Value| node["shards"][shard]["role"] == "leader";
        self.status()
            .iter()
            .find(|node| leads(node))
            .and_then(|node| node["node"].as_u64())
            .expect("a leader")
    }

    /// Proposes to shard 0 on a node; the term and the index.
    fn propose(&self, node: u64, text: &str) -> Result<(u64, u64), tonic::Status> {
        let answer = self.ask(node, &format!("propose 0 {text}"))?;
        let mut numbers = answer.split(' ').map(|number| number.parse().expect("a number"));
        Ok((numbers.next().expect("a term"), numbers.next().expect("an index")))
    }

    fn ask(&self, node: u64, text: &str) -> Result<String, tonic::Status> {
        let address = format!("127.0.0.1:{}", self.port + 100 + node as u16 - 1);
        let mut request =
            tonic::Request::new(proto::InternalMessage { payload: Bytes::from(text.to_owned()) });
        request.metadata_mut().insert("everlog-cluster-id", self.cluster_id.parse().expect("ascii"));
        request.metadata_mut().insert("everlog-target", node.to_string().parse().expect("ascii"));
        request.metadata_mut().insert("everlog-from", "1".parse().expect("ascii"));
        self.runtime.block_on(async move {
            let call = async {
                let channel: Channel = everlog_node::peer::endpoint(&address)?
                    .connect()
                    .await
                    .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
                proto::peer_client::PeerClient::new(channel).internal(request).await
            };
            match tokio::time::timeout(Duration::from_secs(1), call).await {
                Ok(answer) => Ok(String::from_utf8_lossy(&answer?.into_inner().payload).into_owned()),
                Err(_) => Err(tonic::Status::deadline_exceeded("no answer")),
            }
        })
    }

    /// Ends the cluster as Ctrl-C does.
    fn stop(mut self) {
        let started = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("runs").success());
        let ended = self.child.wait().expect("ends");
        println!("stopped in {:?}", started.elapsed());
        assert!(ended.success(), "{ended}");
        assert!(started.elapsed() < Duration::from_secs(12));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // The nodes see the end of their input and stop by themselves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first port of three blocks that are free, below those that the system hands out.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 12_000 + (std::process::id() % 97) as u16 * 100;
    loop {
        let port = start + NEXT.fetch_add(7, Ordering::Relaxed);
        assert!(port < 32_000, "no free ports");
        let wanted = (0..3).flat_map(|kind| (0..3).map(move |node| port + kind * 100 + node));
        let held: Vec<_> = wanted.map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if held.iter().all(Result::is_ok) {
            return port;
        }
    }
}
