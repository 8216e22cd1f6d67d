//! What the shard does with many requests at once, with large ones, and with many tasks that nobody takes.

use everlog_proto::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    workflowservice::v1::SignalWorkflowExecutionRequest,
};

use super::{ACTORS_IDLE_MAX, ENTRY_BYTES_MAX, ENTRY_FACTS_MAX};
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

#[test]
fn workflows_that_wait_for_a_worker_keep_no_actor_and_are_offered_again() {
    const WORKFLOWS: usize = 3 * ACTORS_IDLE_MAX;
    let mut story = Story::new(Limits::default());
    for number in 0..WORKFLOWS {
        story.tell(&format!("start order-{number}"));
    }
    assert_eq!(story.actors(), ACTORS_IDLE_MAX, "the others are parked");
    assert_eq!(story.offers_of(None), WORKFLOWS);
    story.tell("wait 3s");
    assert_eq!(story.offers_of(None), 2 * WORKFLOWS, "every task is offered again after the first interval");
    assert_eq!(story.actors(), ACTORS_IDLE_MAX);
    // One that was parked goes on as if it had not been.
    story.tell("take order-0");
    story.tell("finish order-0 complete=done");
    let told = story.end();
    assert!(told.contains("WorkflowExecutionCompleted"), "{told}");
}

#[test]
fn a_queue_that_refuses_is_asked_again_soon_and_then_less_often() {
    const WORKFLOWS: usize = 2 * ACTORS_IDLE_MAX;
    // The first was parked, the last has an actor.
    for number in [0, WORKFLOWS - 1] {
        let mut story = Story::new(Limits::default());
        for number in 0..WORKFLOWS {
            story.tell(&format!("start order-{number}"));
        }
        let id = &format!("order-{number}");
        let before = story.offers_of(Some(id));
        story.refuse_offer(id);
        story.tell("wait 300ms");
        assert_eq!(story.offers_of(Some(id)), before + 1, "{id} is offered again soon");
        story.refuse_offer(id);
        story.tell("wait 300ms");
        assert_eq!(story.offers_of(Some(id)), before + 1, "{id} is offered less often now");
        for _ in 0..20 {
            story.refuse_offer(id);
            story.tell("wait 1s");
        }
        let offers = story.offers_of(Some(id));
        assert!((before + 4..before + 9).contains(&offers), "{id} is offered {offers} times");
    }
}

#[test]
fn an_actor_that_is_idle_for_long_is_dropped() {
    let mut story = Story::new(Limits::default());
    story.tell("start order-1");
    story.tell("take order-1");
    story.tell("finish order-1 timer=nap,1h");
    assert_eq!(story.actors(), 1);
    story.tell("wait 9s");
    assert_eq!(story.actors(), 1, "it may be asked for again soon");
    story.tell("wait 2s");
    assert_eq!(story.actors(), 0, "its row wakes it");
    story.tell("wait 1h");
    assert_eq!(story.actors(), 1);
    assert!(story.end().contains("TimerFired"));
}
