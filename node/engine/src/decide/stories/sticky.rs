//! Sticky queues: the worker that knows a workflow is asked first, and everybody else if it is gone.

use super::{check, expect};

#[test]
fn a_failure_on_the_sticky_queue_costs_the_stickiness_and_no_attempt() {
    check(
        "
        start     order
        take      order
        finish    order sticky=mine
        signal    order
        take      order
        fail-task order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on mine
            7 WorkflowTaskStarted
            8 WorkflowTaskFailed WorkflowWorkerUnhandledFailure "broken"
            9 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_failure_on_the_normal_queue_counts_though_the_run_was_sticky_to_a_worker_that_is_gone() {
    check(
        "
        start     order
        take      order
        finish    order sticky=mine
        signal    order
        no-poller order
        take      order queue=q
        fail-task order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on mine
            7 WorkflowTaskStarted
            8 WorkflowTaskFailed WorkflowWorkerUnhandledFailure "broken"
            todo: workflow task on q attempt 2
        "#]],
    );
}

#[test]
fn a_query_that_nobody_polls_for_goes_to_the_normal_queue_and_is_refused_there() {
    check(
        "
        start     order
        take      order
        finish    order sticky=mine
        query     order
        no-poller order
        no-poller order
        ",
        expect![[r#"
            query order state: ! FailedPrecondition("no poller seen for task queue recently, worker may be down")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}
