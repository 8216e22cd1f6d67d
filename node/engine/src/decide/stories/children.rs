//! Child workflows and messages to other workflows.

use super::{check, expect};

#[test]
fn a_child_is_created_then_written_down_then_run() {
    check(
        "
        start  order
        take   order
        finish order child=pay
        take   pay
        finish pay complete
        take   order
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 ChildWorkflowExecutionCompleted 5 started 6
            todo: workflow task on q, held
            -- pay
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
fn a_child_that_closes_while_its_parents_task_runs_is_written_after_its_start() {
    check(
        "
        start  order
        take   order
        finish order child=pay
        take   order
        take   pay
        finish pay fail=broken!
        finish order
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 ChildWorkflowExecutionFailed 5 started 6 RetryPolicyNotSet
            11 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed RetryPolicyNotSet
            todo: message Parent
        "#]],
    );
}

#[test]
fn a_child_whose_id_is_taken_is_not_started() {
    check(
        "
        start  pay
        start  order
        take   order
        finish order child=pay
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 StartChildWorkflowExecutionFailed 5 WorkflowAlreadyExists
            7 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_closed_parent_takes_its_children_with_it_as_their_policies_say() {
    check(
        "
        start  order
        take   order
        finish order child=a child=b,policy:cancel child=c,policy:abandon
        take   order
        finish order complete
        ",
        expect![[r#"
            -- a
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "by parent close policy"
            todo: message Parent
            -- b
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionCancelRequested
            todo: workflow task on q
            -- c
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated a
            6 StartChildWorkflowExecutionInitiated b
            7 StartChildWorkflowExecutionInitiated c
            8 ChildWorkflowExecutionStarted 5
            9 WorkflowTaskScheduled on q
            10 ChildWorkflowExecutionStarted 6
            11 ChildWorkflowExecutionStarted 7
            12 WorkflowTaskStarted
            13 WorkflowTaskCompleted
            14 WorkflowExecutionCompleted
            todo: message ChildOfClosed(5)
            todo: message ChildOfClosed(6)
        "#]],
    );
}

#[test]
fn a_child_that_was_never_written_down_ends_with_its_parent() {
    check(
        "
        start  order
        take   order
        deaf
        finish order child=pay
        hearing
        terminate order
        wait 10s
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 WorkflowExecutionTerminated ""
        "#]],
    );
}

#[test]
fn a_lost_message_is_repeated() {
    check(
        "
        start  order
        take   order
        deaf
        finish order child=pay signal-external=other,go
        hearing
        start other
        wait 3s
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 SignalExternalWorkflowExecutionInitiated
            7 ChildWorkflowExecutionStarted 5
            8 WorkflowTaskScheduled on q
            9 ExternalWorkflowExecutionSignaled 6
            todo: workflow task on q
            -- other
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled go
            todo: workflow task on q
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_new_leader_says_what_was_not_said() {
    check(
        "
        start  order
        take   order
        deaf
        finish order child=pay
        new-leader
        hearing
        wait 3s
        take pay
        finish pay complete
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 ChildWorkflowExecutionCompleted 5 started 6
            todo: workflow task on q
            -- pay
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
fn the_end_of_the_last_run_of_a_chain_is_told() {
    check(
        "
        start  order
        take   order
        finish order child=pay,retry:2
        take   pay
        finish pay fail=once
        wait 1s
        take   pay
        finish pay complete
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 ChildWorkflowExecutionCompleted 5 started 6
            todo: workflow task on q
            -- pay
            1 WorkflowExecutionStarted attempt 2 continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            todo: message Parent
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed InProgress
        "#]],
    );
}

#[test]
fn children_do_not_outlive_a_parent_that_continues_as_new() {
    check(
        "
        start  order
        take   order
        finish order child=pay
        take   order
        finish order again
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 WorkflowExecutionContinuedAsNew
            todo: message ChildOfClosed(5)
            -- order
            1 WorkflowExecutionStarted continued
            todo: wake in 1s
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "by parent close policy"
            todo: message Parent
        "#]],
    );
}

#[test]
fn signals_and_cancel_requests_reach_other_workflows() {
    check(
        "
        start  other
        start  order
        take   order
        finish order signal-external=other,go cancel-external=other signal-external=nobody,go cancel-external=nobody
        take   order
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 SignalExternalWorkflowExecutionInitiated
            6 RequestCancelExternalWorkflowExecutionInitiated
            7 SignalExternalWorkflowExecutionInitiated
            8 RequestCancelExternalWorkflowExecutionInitiated
            9 ExternalWorkflowExecutionSignaled 5
            10 WorkflowTaskScheduled on q
            11 SignalExternalWorkflowExecutionFailed 7 ExternalWorkflowExecutionNotFound
            12 RequestCancelExternalWorkflowExecutionFailed 8 ExternalWorkflowExecutionNotFound
            13 ExternalWorkflowExecutionCancelRequested 6
            todo: workflow task on q, held
            -- other
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled go
            4 WorkflowExecutionCancelRequested
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_workflow_cannot_signal_itself() {
    check(
        "
        start  order
        take   order
        finish order signal-external=order,go
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 SignalExternalWorkflowExecutionInitiated
            6 SignalExternalWorkflowExecutionFailed 5 ExternalWorkflowExecutionNotFound
            7 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn child_only_means_own_children() {
    check(
        "
        start  other
        start  order
        take   order
        finish order child=pay
        take   order
        finish order signal-external=pay,go,child-only signal-external=other,go,child-only
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 SignalExternalWorkflowExecutionInitiated
            11 SignalExternalWorkflowExecutionInitiated
            12 ExternalWorkflowExecutionSignaled 10
            13 WorkflowTaskScheduled on q
            14 SignalExternalWorkflowExecutionFailed 11 ExternalWorkflowExecutionNotFound
            todo: workflow task on q
            -- other
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- pay
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled go
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn starting_and_cancelling_a_child_at_once_is_refused() {
    check(
        "
        start  order
        take   order
        finish order child=pay cancel-external=pay
        ",
        expect![[r#"
            ! InvalidArgument: BadRequestCancelExternalWorkflowExecutionAttributes: Start and RequestCancel for child workflow is not allowed in same workflow task. WorkflowId=pay RunId= Namespace=
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed BadRequestCancelExternalWorkflowExecutionAttributes "BadRequestCancelExternalWorkflowExecutionAttributes: Start and RequestCancel for child workflow is not allowed in same workflow task. WorkflowId=pay RunId= Namespace="
            todo: workflow task on q attempt 2
        "#]],
    );
}

#[test]
fn a_deleted_parent_tells_its_children_before_it_goes() {
    check(
        "
        start  order
        take   order
        finish order child=pay
        delete order
        wait   1s
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "by parent close policy"
        "#]],
    );
}

#[test]
fn a_deleted_child_tells_its_parent_before_it_goes() {
    check(
        "
        start  order
        take   order
        finish order child=pay
        delete pay
        wait   1s
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 StartChildWorkflowExecutionInitiated pay
            6 ChildWorkflowExecutionStarted 5
            7 WorkflowTaskScheduled on q
            8 ChildWorkflowExecutionTerminated 5 started 6
            todo: workflow task on q
        "#]],
    );
}
