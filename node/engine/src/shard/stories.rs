//! What the shard does with many requests at once, and with large ones.

use everlog_proto::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    workflowservice::v1::SignalWorkflowExecutionRequest,
};

use super::{ENTRY_BYTES_MAX, ENTRY_FACTS_MAX};
use crate::{limits::Limits, request::Request, testing::Story};

const SIGNAL_BYTES: usize = 1 << 20;

fn signal(bytes: usize) -> Request {
    let payload = Payload { data: vec![b'x'; bytes], ..Payload::default() };
    Request::Signal(Box::new(SignalWorkflowExecutionRequest {
        workflow_execution: Some(WorkflowExecution { workflow_id: "order".into(), ..Default::default() }),
        signal_name: "signal".into(),
        input: Some(Payloads { payloads: vec![payload] }),
        ..Default::default()
    }))
}

/// Sends signals while an entry is on its way, so that all of them are decided together. Returns the
/// bytes of the entries that they became.
fn entries_of(signals: usize, bytes: usize) -> Vec<usize> {
    let mut story = Story::new(Limits::default());
    story.tell("start order");
    story.tell("hold");
    story.tell("signal order first");
    for _ in 0..signals {
        story.call("order", signal(bytes));
    }
    story.tell("commit");
    let sizes = story.sizes.clone();
    let signals_there = story.end().lines().filter(|line| line.contains("Signaled")).count();
    assert_eq!(signals_there, signals + 1, "every signal is there once");
    // Those of the start and of the first signal come first.
    sizes[2..].to_vec()
}

#[test]
fn a_thousand_signals_are_one_entry() {
    assert_eq!(entries_of(1_000, 10).len(), 1);
}

#[test]
fn large_signals_are_cut_into_entries_that_a_log_can_take() {
    const SIGNALS: usize = 40;
    let sizes = entries_of(SIGNALS, SIGNAL_BYTES);
    let most = ENTRY_BYTES_MAX + 2 * SIGNAL_BYTES;
    assert!(sizes.iter().all(|size| *size <= most), "{sizes:?} are at most {most}");
    assert!(sizes.len() >= SIGNALS * SIGNAL_BYTES / most, "{sizes:?}");
}

#[test]
fn more_facts_than_an_entry_takes_go_into_the_next() {
    let sizes = entries_of(ENTRY_FACTS_MAX + 1, 1);
    assert_eq!(sizes.len(), 2);
}
