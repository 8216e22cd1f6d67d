//! The life of a batch, as the cluster's state has it.

use everlog_proto::api::{
    batch::v1::BatchOperationSignal, common::v1::WorkflowExecution,
    workflowservice::v1::start_batch_operation_request::Operation,
};

use super::*;
use crate::cluster::batches::{Page, Progress, Step};

fn start(job_id: &str, targets: usize) -> Request {
    let operation = BatchOperationSignal { signal: "go".to_owned(), ..Default::default() };
    #[allow(deprecated, reason = "clients name workflows so")]
    let request = StartBatchOperationRequest {
        job_id: job_id.to_owned(),
        reason: "spring cleaning".to_owned(),
        executions: (0..targets)
            .map(|i| WorkflowExecution { workflow_id: format!("w{i}"), run_id: String::new() })
            .collect(),
        operation: Some(Operation::SignalOperation(operation)),
        ..Default::default()
    };
    Request::StartBatch { namespace_id: "ns".to_owned(), request: Proto(request), running_max: 1 }
}

fn step(run_id: &str, from: u8, what: Progress) -> Request {
    Request::StepBatch(Step {
        namespace_id: "ns".to_owned(),
        job_id: "one".to_owned(),
        run_id: run_id.to_owned(),
        from: if from == 0 { Vec::new() } else { vec![from] },
        what,
    })
}

fn page(to: u8, ends: bool) -> Progress {
    let targets = vec![(format!("w{to}"), String::new())];
    Progress::Page { page: Page { targets, to: vec![to], ends }, total: None }
}

fn done(completed: i64) -> Progress {
    Progress::Done { completed, failed: 1 }
}

#[test]
fn one_batch_at_a_time_goes_on_from_where_it_is() {
    let run_id = &Stamp::new(Time(0), 0, &Limits::default()).uuid();
    let stop = |job_id: &str| Request::StopBatch { namespace_id: "ns".to_owned(), job_id: job_id.to_owned() };
    check(
        Cluster::initial(1),
        vec![
            start("one", 10),
            start("two", 1),
            step("another", 0, page(5, false)),
            step(run_id, 0, done(4)),
            step(run_id, 0, page(5, false)),
            step(run_id, 0, page(6, false)),
            step(run_id, 0, done(4)),
            step(run_id, 0, done(4)),
            step(run_id, 5, page(10, true)),
            step(run_id, 5, done(40)),
            step(run_id, 10, page(12, true)),
            start("one", 1),
            stop("one"),
            stop("nobody"),
            start("two", 0),
            stop("two"),
        ],
        expect![[r#"
            start one in ns
              batch one SignalWorkflow, of Some(10)
            start two in ns
              ConcurrentBatches("Max concurrent batch operations is reached")
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "another", from: [], what: Page { page: Page { targets: [("w5", "")], to: [5], ends: false }, total: None } })
              NotFound("workflow execution already completed")
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [], what: Done { completed: 4, failed: 1 } })
              NotFound("workflow execution already completed")
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [], what: Page { page: Page { targets: [("w5", "")], to: [5], ends: false }, total: None } })
              BatchMoved(Moved { namespace_id: "ns", job_id: "one", cursor: [], page: Some(Page { targets: [("w5", "")], to: [5], ends: false }), total: Some(10), completed: 0, failed: 0, state: 1, close_time: None, keep_until: None })
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [], what: Page { page: Page { targets: [("w6", "")], to: [6], ends: false }, total: None } })
              NotFound("workflow execution already completed")
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [], what: Done { completed: 4, failed: 1 } })
              BatchMoved(Moved { namespace_id: "ns", job_id: "one", cursor: [5], page: None, total: Some(10), completed: 4, failed: 1, state: 1, close_time: None, keep_until: None })
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [], what: Done { completed: 4, failed: 1 } })
              NotFound("workflow execution already completed")
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [5], what: Page { page: Page { targets: [("w10", "")], to: [10], ends: true }, total: None } })
              BatchMoved(Moved { namespace_id: "ns", job_id: "one", cursor: [5], page: Some(Page { targets: [("w10", "")], to: [10], ends: true }), total: Some(10), completed: 4, failed: 1, state: 1, close_time: None, keep_until: None })
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [5], what: Done { completed: 40, failed: 1 } })
              BatchMoved(Moved { namespace_id: "ns", job_id: "one", cursor: [10], page: None, total: Some(10), completed: 8, failed: 2, state: 2, close_time: Some(Time(9000000000)), keep_until: Some(Time(9000000000)) })
            StepBatch(Step { namespace_id: "ns", job_id: "one", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", from: [10], what: Page { page: Page { targets: [("w12", "")], to: [12], ends: true }, total: None } })
              NotFound("workflow execution already completed")
            start one in ns
              AlreadyStarted { message: "Workflow execution already finished. WorkflowId: one, RunId: e220a839-7b1d-4daf-8d73-fe3de975ac26. Workflow Id reuse policy: reject duplicate workflow Id.", start_request_id: "06c45d18-8009-454f-b959-8f1a5f539b75", run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", first_run_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26" }
            StopBatch { namespace_id: "ns", job_id: "one" }
              NotFound("workflow execution already completed")
            StopBatch { namespace_id: "ns", job_id: "nobody" }
              NotFound("workflow not found for ID: nobody")
            start two in ns
              BatchForgotten { namespace_id: "ns", job_id: "one" }
              batch two SignalWorkflow, of None
            StopBatch { namespace_id: "ns", job_id: "two" }
              BatchMoved(Moved { namespace_id: "ns", job_id: "two", cursor: [], page: None, total: None, completed: 0, failed: 0, state: 3, close_time: Some(Time(15000000000)), keep_until: Some(Time(15000000000)) })
        "#]],
    );
}

#[test]
fn what_has_ended_gives_way() {
    let mut cluster = Cluster::initial(1);
    for i in 0..batches::BATCHES_MAX + 3 {
        let limits = Limits::default();
        let job_id = format!("{i:03}");
        for request in [start(&job_id, 1), Request::StopBatch { namespace_id: "ns".into(), job_id }] {
            let stamp = Stamp::new(Time(i as i64), i as u64, &limits);
            let (facts, _) = decide(&cluster, &request, &stamp).unwrap();
            facts.iter().for_each(|fact| evolve(&mut cluster, fact));
        }
    }
    let left = batches::listed(&cluster, "ns");
    assert_eq!(left.len(), 1, "their namespace keeps nothing, so each goes when the next begins");
}
