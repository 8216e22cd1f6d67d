//! The binary as an operator runs it wrongly: what it says, and that it ends with an error.

use std::process::{Command, Stdio};

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
