//! What becomes of a run after it has closed: it is kept for a while, asked, and deleted.

use std::time::Duration;

use super::{check, check_with, expect};
use crate::limits::Limits;

fn kept_for(seconds: u64) -> Limits {
    Limits { retention: Duration::from_secs(seconds), ..Limits::default() }
}

#[test]
fn a_closed_run_is_deleted_when_its_retention_has_passed() {
    check_with(
        "
        start  order
        take   order
        finish order complete
        start  other
        wait   61s
        signal order
        ",
        kept_for(60),
        expect![[r#"
            ! NotFound: workflow not found for ID: order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn an_old_run_is_deleted_although_its_workflow_is_busy() {
    // The workflow is in memory all the time, with its current run; the old one is only in the tables.
    check_with(
        "
        start  order
        take   order
        finish order again
        wait   2s
        take   order
        finish order timer=t,1h activity=a,stc:1h
        wait   61s
        ",
        kept_for(60),
        expect![[r#"
            1 WorkflowExecutionStarted continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t
            6 ActivityTaskScheduled a
            todo: activity 6 attempt 1 on q
            todo: wake in 3539s
        "#]],
    );
}

#[test]
fn a_run_is_deleted_once() {
    // The query keeps the deleted run in memory, and its deadline wakes the workflow again.
    check_with(
        "
        start  order
        take   order
        finish order complete
        wait   55s
        query  order state
        wait   1m
        ",
        kept_for(60),
        expect![[r#"
              query order state: ! NotFound: workflow not found for ID: order
        "#]],
    );
}

#[test]
fn deleting_a_run_answers_its_queries() {
    check(
        "
        start  order
        query  order state
        delete order
        ",
        expect![[r#"
              query order state: ! NotFound: workflow not found for ID: order
        "#]],
    );
}

#[test]
fn a_query_that_waits_for_a_task_is_answered_though_the_run_closes() {
    check(
        "
        start     order
        take      order
        finish    order
        signal    order
        take      order
        query     order state
        terminate order
        take-query order
        answer-query order over
        ",
        expect![[r#"
            order: query with events 1..=9
            query order state: over
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskFailed ForceCloseCommand
            9 WorkflowExecutionTerminated ""
        "#]],
    );
}

#[test]
fn a_query_of_a_run_that_no_worker_ever_saw_is_refused_when_it_closes() {
    check(
        "
        start     order
        query     order state
        terminate order
        ",
        expect![[r#"
            query order state: ! WorkflowNotReady: Workflow execution closed before WorkflowTaskStarted event
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated ""
        "#]],
    );
}

#[test]
fn a_query_of_a_run_that_times_out_is_answered() {
    check(
        "
        start  order run-timeout=5s
        take   order
        finish order
        signal order
        query  order state
        wait   6s
        take-query order
        answer-query order late
        ",
        expect![[r#"
            order: query with events 1..=7
            query order state: late
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on q
            7 WorkflowExecutionTimedOut RetryPolicyNotSet
        "#]],
    );
}

#[test]
fn a_run_that_would_outgrow_its_limit_ends_instead() {
    let limits = Limits { history_events_max: 6, ..Limits::default() };
    check_with(
        "
        start  order
        take   order
        finish order
        signal order
        signal order
        signal order
        ",
        limits,
        expect![[r#"
            ! InvalidArgument: Workflow history count exceeds limit.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on q
            7 WorkflowExecutionSignaled signal
            8 WorkflowExecutionTerminated "Workflow history count exceeds limit."
        "#]],
    );
}
