//! Which version of its workers a run is on, what it refuses, and what it hands on.

use super::{check, expect};

#[test]
fn a_pinned_run_is_worked_on_by_its_version_only() {
    check(
        "
        start     order
        take      order on=1
        finish    order pinned=1
        signal    order
        take      order on=2
        take      order
        take      order on=1 target=2
        finish    order pinned=1 complete
        ",
        expect![[r#"
            ! take      order on=2: task gone
            ! take      order: task gone
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted Pinned on 1
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted target changed
            8 WorkflowTaskCompleted Pinned on 1
            9 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_run_that_moves_on_is_worked_on_by_whoever_its_queue_says() {
    check(
        "
        start     order
        take      order on=1
        finish    order moving=1
        signal    order
        take      order on=2
        finish    order moving=2
        signal    order
        take      order
        finish    order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted AutoUpgrade on 1
            5 WorkflowExecutionSignaled signal
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted AutoUpgrade on 2
            9 WorkflowExecutionSignaled signal
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn an_activity_waits_until_its_run_has_moved_on() {
    check(
        "
        start     order
        take      order on=1
        finish    order moving=1 activity=a
        take-activity order on=2
        take      order on=2
        finish    order moving=2
        take-activity order on=2
        ",
        expect![[r#"
            ! take-activity order on=2: task gone
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted AutoUpgrade on 1
            5 ActivityTaskScheduled a
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted AutoUpgrade on 2
            todo: activity 5 attempt 1 on q
        "#]],
    );
}

#[test]
fn an_activity_elsewhere_needs_nobody_to_move() {
    check(
        "
        start     order
        take      order on=1
        finish    order moving=1 activity=a
        take-activity order on=2 independent
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted AutoUpgrade on 1
            5 ActivityTaskScheduled a
            todo: activity 5 attempt 1 on q
        "#]],
    );
}

#[test]
fn a_continued_run_begins_where_the_one_before_was() {
    check(
        "
        start     pinned
        take      pinned on=1
        finish    pinned pinned=1 again
        start     moving
        take      moving on=1
        finish    moving moving=1 again
        ",
        expect![[r#"
            -- moving
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted AutoUpgrade on 1
            5 WorkflowExecutionContinuedAsNew
            -- moving
            1 WorkflowExecutionStarted continued from 1
            todo: wake in 1s
            -- pinned
            1 WorkflowExecutionStarted continued pinned to 1
            todo: wake in 1s
            -- pinned
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted Pinned on 1
            5 WorkflowExecutionContinuedAsNew
        "#]],
    );
}
