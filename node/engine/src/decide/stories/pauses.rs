//! Runs that are paused by hand: what happens meanwhile is written, and nothing of it is handed out.

use super::{check, expect};

#[test]
fn what_happens_to_a_paused_run_leads_to_no_task() {
    check(
        "
        start  order
        take   order
        finish order timer=t,5s activity=a
        pause-workflow   order reason=holiday
        signal order one
        wait   6s
        take-activity    order
        query  order state
        send-update      order change
        cancel order
        ",
        expect![[r#"
            ! take-activity    order: task gone
            ! query  order state: rejected 8
            ! FailedPrecondition("Workflow is paused. Cannot update the workflow.")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t
            6 ActivityTaskScheduled a
            7 WorkflowExecutionPaused
            8 WorkflowExecutionSignaled one
            9 TimerFired t of 5
            10 WorkflowExecutionCancelRequested
        "#]],
    );
}

#[test]
fn a_pause_is_repeated_under_its_id_and_going_on_owes_a_task_in_any_case() {
    check(
        "
        start  order
        take   order
        finish order timer=t,5s
        pause-workflow   order request=p
        pause-workflow   order request=p
        pause-workflow   order request=q
        unpause-workflow order
        unpause-workflow order
        ",
        expect![[r#"
            ! FailedPrecondition("workflow is already paused.")
            ! FailedPrecondition("workflow is not paused.")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t
            6 WorkflowExecutionPaused
            7 WorkflowExecutionUnpaused
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
            todo: wake in 5s
        "#]],
    );
}

#[test]
fn a_task_that_waits_is_handed_out_when_the_run_goes_on() {
    check(
        "
        start  order
        pause-workflow   order
        take   order
        unpause-workflow order
        take   order
        finish order complete
        ",
        expect![[r#"
            ! take   order: task gone
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskFailed WorkflowPauseRequestedBeforeTaskStarted
            4 WorkflowExecutionPaused
            5 WorkflowExecutionUnpaused
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_worker_may_finish_what_it_has() {
    check(
        "
        start  order
        take   order
        pause-workflow   order
        signal order one
        finish order force
        finish order activity=a,eager timer=t,1h
        unpause-workflow order
        take-activity    order
        complete-activity order a
        ",
        expect![[r#"
            ! FailedPrecondition("Workflow is paused and force create new workflow task is not allowed.")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 TimerStarted t
            7 WorkflowExecutionPaused
            8 WorkflowExecutionSignaled one
            9 WorkflowExecutionUnpaused
            10 WorkflowTaskScheduled on q
            11 ActivityTaskStarted 5 attempt 1
            12 ActivityTaskCompleted 5 started 11
            todo: workflow task on q
            todo: wake in 3600s
        "#]],
    );
}

#[test]
fn a_run_is_not_closed_over_a_pause_that_its_worker_has_not_seen() {
    check(
        "
        start  order
        take   order
        pause-workflow   order
        finish order complete
        unpause-workflow order
        take   order
        finish order complete
        ",
        expect![[r#"
            ! InvalidArgument: UnhandledCommand
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed UnhandledCommand "UnhandledCommand"
            5 WorkflowExecutionPaused
            6 WorkflowExecutionUnpaused
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_task_that_fails_is_not_tried_again_before_the_run_goes_on() {
    check(
        "
        start  order
        take   order
        pause-workflow   order
        fail-task order
        wait   1m
        unpause-workflow order
        take   order
        finish order complete
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure "broken"
            5 WorkflowExecutionPaused
            6 WorkflowExecutionUnpaused
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn attempts_of_activities_wait_and_their_time_outs_run() {
    check(
        "
        start  order
        take   order
        finish order activity=b,s2s:5s activity=a
        take-activity  order
        pause-workflow order
        fail-activity  order a
        wait   6s
        new-leader
        wait   1h
        unpause-workflow order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled b
            6 ActivityTaskScheduled a
            7 WorkflowExecutionPaused
            8 ActivityTaskTimedOut 5 started 0 Timeout "activity ScheduleToStart timeout"
            9 WorkflowExecutionUnpaused
            10 WorkflowTaskScheduled on q
            todo: workflow task on q
            todo: activity 6 attempt 2 on q
            todo: wake in 0ns
        "#]],
    );
}

#[test]
fn a_new_leader_hands_nothing_out_either() {
    check(
        "
        start  order
        take   order
        pause-workflow   order
        new-leader
        wait   1m
        take   order
        signal order one
        unpause-workflow order
        take   order
        ",
        expect![[r#"
            ! take   order: task gone
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionPaused
            4 WorkflowExecutionSignaled one
            5 WorkflowExecutionUnpaused
            todo: workflow task on q, held
        "#]],
    );
}

#[test]
fn a_sticky_task_that_waits_is_failed_and_the_next_is_for_anybody() {
    check(
        "
        start  order
        take   order
        finish order sticky=mine
        signal order one
        pause-workflow   order
        wait   1m
        unpause-workflow order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled one
            6 WorkflowTaskScheduled on mine
            7 WorkflowTaskFailed WorkflowPauseRequestedBeforeTaskStarted
            8 WorkflowExecutionPaused
            9 WorkflowExecutionUnpaused
            10 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn what_was_never_owed_a_task_cannot_be_paused() {
    check(
        "
        start  order delay=5s
        pause-workflow   order
        wait   6s
        unpause-workflow order
        wait   1s
        ",
        expect![[r#"
            ! Internal("something went wrong, please retry (c27988bd)")
            ! FailedPrecondition("workflow is not paused.")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn an_update_that_waits_goes_with_the_task_that_comes_when_the_run_goes_on() {
    check(
        "
        start  order
        take   order
        finish order
        send-update      order change
        pause-workflow   order
        wait   10s
        take   order
        unpause-workflow order
        take   order
        finish order accept=change respond=change,done
        ",
        expect![[r#"
            ! take   order: task gone
            order: task brings change
            update order change (send-update 4): Completed by event 14
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskFailed WorkflowPauseRequestedBeforeTaskStarted
            8 WorkflowExecutionPaused
            9 WorkflowExecutionUnpaused
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 WorkflowExecutionUpdateAccepted change
            14 WorkflowExecutionUpdateCompleted change of 13
        "#]],
    );
}

#[test]
fn a_reset_of_a_paused_run_makes_one_that_is_not() {
    check(
        "
        start  order
        take   order
        finish order timer=t,1h
        pause-workflow order
        signal order one
        reset  order 4
        take   order
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t
            6 WorkflowExecutionPaused
            7 WorkflowExecutionSignaled one
            8 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled one
            6 WorkflowTaskScheduled on q
            todo: workflow task on q, held
        "#]],
    );
}

#[test]
fn a_query_that_waited_sees_the_signals_that_no_task_has_brought() {
    check(
        "
        start  order
        take   order
        finish order sticky=mine
        signal order one
        take   order
        signal order two
        query  order state
        pause-workflow   order
        finish order sticky=mine
        take-query       order
        answer-query     order both
        ",
        expect![[r#"
            order: query with events 1..=10
            query order state: both
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled one
            6 WorkflowTaskScheduled on mine
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionSignaled two
            10 WorkflowExecutionPaused
        "#]],
    );
}
