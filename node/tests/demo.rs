//! `everlog demo`, small: it ends well, its table adds up, and it leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const EVERLOG: &str = env!("CARGO_BIN_EXE_everlog");
/// A debug build on a busy machine.
const TEST_MAX: Duration = Duration::from_secs(240);

#[test]
fn a_small_demo_ends_well_and_its_table_adds_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--workflows", "10", "--seconds", "8", "--kills", "1", "--seed", "7", "--json"];
    let mut demo = demo(folder.path(), &arguments);
    let mut told = String::new();
    let mut stderr = demo.stderr.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let _ = stderr.read_to_string(&mut told);
        told
    });
    let mut outcome = String::new();
    demo.stdout.take().expect("a pipe").read_to_string(&mut outcome).expect("reads");
    let told = reader.join().expect("the reader ends");
    assert!(ended(&mut demo), "{told}\n{outcome}");

    let outcome: Value = serde_json::from_str(&outcome).expect("JSON");
    assert_eq!(outcome["good"], true, "{told}");
    assert_eq!(outcome["seed"], 7);
    assert_eq!(
        (outcome["killed"]["nodes"].as_u64(), outcome["killed"]["workers"].as_u64()),
        (Some(1), Some(1))
    );
    assert!(outcome["leader_changes"].as_u64() >= Some(1), "a leader was killed: {outcome}");
    let row = |what: &str| {
        let rows = outcome["table"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no row {what}"));
        (row["expected"].as_u64().expect("a figure"), row["actual"].as_u64().expect("a figure"))
    };
    assert_eq!(row("subscriptions ended"), (10, 10));
    assert_eq!(row("shards identical on all nodes"), (16, 16));
    // Each is charged at least once, and at most once a second.
    let (expected, actual) = row("charges");
    assert!(expected == actual && (10..=100).contains(&actual), "{outcome}");
    assert!(outcome["attempts"].as_u64() >= Some(actual), "{outcome}");
    // Ten cancellations at least.
    assert!(row("messages acknowledged").1 >= 10, "{outcome}");
    for line in ["kill -9", "everybody cancels", "charges doubled", "Nothing is missing"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(left_in(folder.path()), 0, "{told}");
}

#[test]
fn an_interrupt_ends_everything_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = demo(folder.path(), &["--workflows", "3", "--seconds", "600", "--kills", "0"]);
    // Until the processes are shown; a line is `node 1    process 4711   API at ..`.
    let mut processes = Vec::new();
    let mut lines = BufReader::new(demo.stdout.take().expect("a pipe")).lines();
    while processes.len() < 5 {
        let line = lines.next().expect("the demo goes on").expect("reads");
        let mut words = line.split_whitespace().skip_while(|word| *word != "process").skip(1);
        processes.extend(words.next().and_then(|word| word.parse::<u32>().ok()));
    }
    // What is printed from now on must have a reader.
    let rest = std::thread::spawn(move || lines.count());
    let signalled = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().expect("runs");
    assert!(signalled.success());
    assert!(!ended(&mut demo), "an interrupted demo is no success");
    rest.join().expect("the reader ends");
    assert_eq!(left_in(folder.path()), 0);
    let deadline = Instant::now() + TEST_MAX;
    while let Some(process) = processes.iter().find(|process| is_running(**process)) {
        assert!(Instant::now() < deadline, "process {process} is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_old_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = demo(folder.path(), &["--data-dir", &folder.path().to_string_lossy()]);
    let mut told = String::new();
    demo.stderr.take().expect("a pipe").read_to_string(&mut told).expect("reads");
    assert!(!ended(&mut demo) && told.contains("wants a new folder"), "{told}");
}

/// The demo, with its temporary folder in `folder`.
fn demo(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(EVERLOG)
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Whether it ended well; it must end.
fn ended(demo: &mut Child) -> bool {
    let deadline = Instant::now() + TEST_MAX;
    loop {
        if let Some(status) = demo.try_wait().expect("can be asked") {
            return status.success();
        }
        if Instant::now() > deadline {
            demo.kill().expect("can be killed");
            panic!("the demo does not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("reads").count()
}

fn is_running(process: u32) -> bool {
    // One that has ended and was not collected yet is a zombie.
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}
