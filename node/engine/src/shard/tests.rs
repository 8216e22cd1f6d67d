//! Bounds of what a shard proposes.

use everlog_proto::api::{
    common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest},
};

use super::{Call, ENTRY_BYTES_MAX, Input, Output, Shard};
use crate::{key::WorkflowKey, request::Request, testing::MemoryTables, time::Time};

const NOW: Time = Time(1_000_000_000_000_000_000);
const SIGNAL_BYTES: usize = 1 << 20;
const SIGNALS: u64 = 20;

fn start() -> Request {
    Request::Start(Box::new(StartWorkflowExecutionRequest {
        workflow_type: Some(WorkflowType { name: "t".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..Default::default() }),
        request_id: "r".into(),
        ..Default::default()
    }))
}

fn signal(number: u64) -> Request {
    let payload = Payload { data: vec![b'x'; SIGNAL_BYTES], ..Payload::default() };
    Request::Signal(Box::new(SignalWorkflowExecutionRequest {
        workflow_execution: Some(WorkflowExecution { workflow_id: "w".into(), ..Default::default() }),
        signal_name: "s".into(),
        request_id: number.to_string(),
        input: Some(Payloads { payloads: vec![payload] }),
        ..Default::default()
    }))
}

/// The bytes of each entry until nothing is proposed any more, and how many callers were answered.
fn drain(shard: &mut Shard, tables: &mut MemoryTables) -> (Vec<usize>, usize) {
    let (mut entries, mut answered) = (Vec::new(), 0);
    loop {
        shard.end_turn(NOW, tables);
        let mut committed = Vec::new();
        while let Some(output) = shard.poll() {
            match output {
                Output::Propose { proposal, entry, .. } => {
                    entries.push(entry.encode().len());
                    tables.apply(&entry).expect("applies");
                    committed.push(proposal);
                }
                Output::Reply { reply, .. } => answered += usize::from(reply.is_ok()),
                _ => {}
            }
        }
        if committed.is_empty() {
            return (entries, answered);
        }
        for proposal in committed {
            shard.handle(NOW, Input::Committed { proposal }, tables);
        }
    }
}

#[test]
fn large_requests_that_waited_together_make_several_entries() {
    let mut tables = MemoryTables::default();
    let mut shard = Shard::new((0..crate::key::SLOTS).collect());
    shard.handle(NOW, Input::Lead { term: 1, seed: 1 }, &tables);
    let workflow = WorkflowKey::new("ns", "w");
    let requests = std::iter::once(start()).chain((0..SIGNALS).map(signal));
    for (call, request) in requests.enumerate() {
        let input = Input::Request { call: call as Call, workflow: workflow.clone(), request };
        shard.handle(NOW, input, &tables);
    }
    let (entries, answered) = drain(&mut shard, &mut tables);
    assert_eq!(answered as u64, SIGNALS + 1);
    let most = ENTRY_BYTES_MAX + SIGNAL_BYTES + 4096;
    assert!(entries.iter().all(|bytes| *bytes <= most), "{entries:?}");
    assert!(entries.len() <= 8, "{entries:?}");
}
