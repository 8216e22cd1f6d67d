//! Going back: what a new run has of the old ones, and what becomes of those.

use super::{check, expect};

#[test]
fn a_running_workflow_is_reset() {
    check(
        "
        start  order
        take   order
        finish order timer=t1,60s
        signal order paid
        wait   1s
        reset  order 4
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t1
            6 WorkflowExecutionSignaled paid
            7 WorkflowTaskScheduled on q
            8 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_closed_workflow_is_reset() {
    check(
        "
        start  order
        take   order
        finish order complete=ok
        wait   1s
        reset  order 3
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn only_points_inside_a_workflow_task_will_do() {
    check(
        "
        start  order
        take   order
        signal order buffered
        finish order marker=m timer=t1,60s
        reset  order 1
        reset  order 2
        reset  order 5
        reset  order 6
        reset  order 7
        reset  order 8
        reset  order 10
        ",
        expect![[r#"
            ! InvalidArgument: Workflow task finish ID must be > 1 && <= workflow last event ID.
            ! InvalidArgument: StateRebuilder unable to Rebuild mutable state to event ID: 1, version: 0, this event must be at the boundary
            ! InvalidArgument: StateRebuilder unable to Rebuild mutable state to event ID: 4, version: 0, this event must be at the boundary
            ! InvalidArgument: StateRebuilder unable to Rebuild mutable state to event ID: 5, version: 0, this event must be at the boundary
            ! InvalidArgument: StateRebuilder unable to Rebuild mutable state to event ID: 6, version: 0, this event must be at the boundary
            ! InvalidArgument: StateRebuilder unable to Rebuild mutable state to event ID: 7, version: 0, this event must be at the boundary
            ! InvalidArgument: Workflow task finish ID must be > 1 && <= workflow last event ID.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 MarkerRecorded m
            6 TimerStarted t1
            7 WorkflowExecutionSignaled buffered
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
            todo: wake in 60s
        "#]],
    );
}

#[test]
fn a_task_in_a_workers_hands_can_be_reset_to() {
    check(
        "
        start  order
        take   order
        signal order paid
        wait   1s
        reset  order 4 request=a
        reset  order 3 request=b
        finish order complete=late
        ",
        expect![[r#"
            ! InvalidArgument: Workflow task finish ID must be > 1 && <= workflow last event ID.
            ! NotFound: Workflow task not found.
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ForceCloseCommand
            5 WorkflowExecutionSignaled paid
            6 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_repeated_reset_is_the_same_reset() {
    check(
        "
        start  order
        take   order
        finish order timer=t1,60s
        wait   1s
        reset  order 4 request=r
        reset  order 4 request=r
        new-leader
        reset  order 4 request=r
        reset  order 4 run=1 request=r
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t1
            6 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_signal_that_was_acknowledged_before_a_reset_is_known_behind_it() {
    check(
        "
        start  order
        take   order
        finish order
        signal order paid request=s
        wait   1s
        reset  order 4
        signal order paid request=s
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn signals_can_be_left_out() {
    check(
        "
        start  order
        take   order
        finish order
        signal order paid
        set-priority order 3
        wait   1s
        reset  order 4 exclude=signal
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowExecutionOptionsUpdated
            8 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionOptionsUpdated
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn nothing_is_applied_again_where_everything_is_left_out() {
    check(
        "
        start  order
        take   order
        finish order
        signal order paid
        set-priority order 3
        wait   1s
        reset  order 4 exclude=signal,update,nexus,cancel priority=2
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowExecutionOptionsUpdated
            8 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionOptionsUpdated
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn signals_of_a_chain_are_applied_again() {
    check(
        "
        start  order
        take   order
        finish order
        signal order first
        take   order
        wait   2s
        finish order again
        take   order
        finish order
        signal order second
        take   order
        signal order waiting
        wait   1s
        reset  order 4 run=1
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled first
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionContinuedAsNew
            -- order
            1 WorkflowExecutionStarted continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled second
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskFailed ForceCloseCommand
            9 WorkflowExecutionSignaled waiting
            10 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled first
            6 WorkflowExecutionSignaled second
            7 WorkflowExecutionSignaled waiting
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn an_unfinished_activity_is_owed_again() {
    check(
        "
        start  order
        take   order
        finish order activity=a
        take-activity order
        signal order go
        take   order
        wait   1s
        reset  order 8
        complete-activity order a
        take-activity order
        complete-activity order a
        ",
        expect![[r#"
            ! NotFound: workflow execution already completed
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ForceCloseCommand
            10 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 ActivityTaskStarted 5 attempt 1
            12 ActivityTaskCompleted 5 started 11
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_timer_goes_on_and_one_that_has_fired_fires_again() {
    check(
        "
        start  order
        take   order
        finish order timer=short,5s timer=long,60s
        signal order go
        take   order
        finish order
        wait   6s
        reset  order 9
        wait   60s
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted short
            6 TimerStarted long
            7 WorkflowExecutionSignaled go
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 TimerFired short of 5
            12 WorkflowTaskScheduled on q
            13 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted short
            6 TimerStarted long
            7 WorkflowExecutionSignaled go
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskFailed ResetWorkflow "again"
            11 WorkflowTaskScheduled on q
            12 TimerFired short of 5
            13 TimerFired long of 6
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn time_outs_count_from_the_reset() {
    check(
        "
        start  order run-timeout=10s
        take   order
        finish order timer=t1,60s
        wait   8s
        reset  order 4
        wait   8s
        take   order
        wait   3s
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t1
            6 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskFailed ForceCloseCommand
            8 WorkflowExecutionTimedOut RetryPolicyNotSet
        "#]],
    );
}

#[test]
fn a_child_belongs_to_the_run_that_the_reset_made() {
    check(
        "
        start  order
        take   order
        finish order child=parcel
        take   order
        finish order timer=t1,60s
        wait   1s
        reset  order 9
        take   parcel
        finish parcel complete=done
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 TimerStarted t1
            11 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 ChildWorkflowExecutionCompleted 5 started 6
            12 WorkflowTaskStarted
            13 WorkflowTaskCompleted
            14 WorkflowExecutionCompleted
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            todo: message Parent
        "#]],
    );
}

#[test]
fn a_child_of_a_reset_parent_ends_with_the_run_that_the_reset_made() {
    check(
        "
        start  order
        take   order
        finish order child=parcel
        take   order
        wait   1s
        reset  order 8
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ForceCloseCommand
            10 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 WorkflowExecutionCompleted
            todo: message ChildOfClosed(5)
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "by parent close policy"
            todo: message Parent
        "#]],
    );
}

#[test]
fn the_end_of_a_child_is_written_again() {
    check(
        "
        start  order
        take   order
        finish order child=parcel
        take   order
        finish order timer=t1,60s
        take   parcel
        finish parcel complete=done
        wait   1s
        reset  order 9
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 TimerStarted t1
            11 ChildWorkflowExecutionCompleted 5 started 6
            12 WorkflowTaskScheduled on q
            13 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 ChildWorkflowExecutionCompleted 5 started 6
            11 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_child_that_began_behind_the_point_is_nobodys() {
    check(
        "
        start  order
        take   order
        finish order timer=t1,60s
        signal order go
        take   order
        finish order child=parcel
        wait   1s
        reset  order 4
        take   parcel
        finish parcel complete=done
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t1
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 StartChildWorkflowExecutionInitiated parcel
            11 ChildWorkflowExecutionStarted 10
            12 WorkflowTaskScheduled on q
            13 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled go
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            todo: message Parent
        "#]],
    );
}

#[test]
fn the_parent_of_a_child_that_is_reset_hears_of_its_second_end() {
    check(
        "
        start  order
        take   order
        finish order child=parcel
        take   parcel
        finish parcel timer=t1,60s
        wait   1s
        reset  parcel 4
        take   parcel
        finish parcel complete=done
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 ChildWorkflowExecutionCompleted 5 started 6
            todo: workflow task on q
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t1
            6 WorkflowExecutionTerminated "again"
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionCompleted
            todo: message Parent
        "#]],
    );
}

#[test]
fn a_signal_to_another_workflow_is_heard_once() {
    check(
        "
        start  shop
        start  order
        take   order
        signal order go
        finish order signal-external=shop,paid
        take   order
        finish order timer=t1,60s
        wait   1s
        reset  order 8
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 SignalExternalWorkflowExecutionInitiated
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 ExternalWorkflowExecutionSignaled 5
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 TimerStarted t1
            12 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 SignalExternalWorkflowExecutionInitiated
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 ExternalWorkflowExecutionSignaled 5
            todo: workflow task on q
            -- shop
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled paid
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_reset_run_is_reset() {
    check(
        "
        start  order
        take   order
        finish order child=parcel
        take   order
        finish order timer=t1,60s
        wait   1s
        reset  order 9 request=a
        take   order
        finish order marker=m
        wait   1s
        reset  order 12 request=b
        take   parcel
        finish parcel complete=done
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 TimerStarted t1
            11 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 MarkerRecorded m
            14 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated parcel
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskFailed ResetWorkflow "again"
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskFailed ResetWorkflow "again"
            13 WorkflowTaskScheduled on q
            14 ChildWorkflowExecutionCompleted 5 started 6
            todo: workflow task on q
            -- parcel
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            todo: message Parent
        "#]],
    );
}

#[test]
fn a_reset_survives_its_leader() {
    check(
        "
        start  order
        take   order
        finish order activity=a
        signal order go
        hold
        reset  order 4
        new-leader
        commit
        reset  order 4
        new-leader
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionSignaled go
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionCompleted
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowExecutionTerminated "again"
        "#]],
    );
}
