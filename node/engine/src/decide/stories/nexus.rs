//! Nexus operations, and workflows that carry them out.

use super::{check, expect};

/// With an operation that is scheduled.
const SCHEDULED: &str = "
    start  order
    take   order
    finish order operation=ship,s2c:100s
";

fn goes_on(story: &str, expected: expect_test::Expect) {
    check(&format!("{SCHEDULED}\n{story}"), expected);
}

#[test]
fn an_operation_that_is_answered_at_once() {
    goes_on(
        "answer order done=shipped",
        expect![[r#"
        1 WorkflowExecutionStarted
        2 WorkflowTaskScheduled on q
        3 WorkflowTaskStarted
        4 WorkflowTaskCompleted
        5 NexusOperationScheduled ship
        6 NexusOperationCompleted 5 "shipped"
        7 WorkflowTaskScheduled on q
        todo: workflow task on q
    "#]],
    );
}

#[test]
fn an_operation_that_is_started_and_then_completed_by_a_workflow() {
    goes_on(
        "
        handle order pack
        answer order started=token
        answer order started=token
        take   pack
        finish pack complete=packed
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 "token"
            7 WorkflowTaskScheduled on q
            8 NexusOperationCompleted 5 "packed"
            todo: workflow task on q
            -- pack
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn an_operation_that_ends_before_its_start_is_known() {
    goes_on(
        "
        handle order pack
        take   pack
        finish pack fail=broken!
        answer order started=late
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 ""
            7 NexusOperationFailed 5 "broken"
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- pack
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed RetryPolicyNotSet
        "#]],
    );
}

#[test]
fn a_call_that_fails_is_made_again_after_a_growing_pause() {
    goes_on(
        "
        answer order error=busy
        wait   1s
        answer order error=busy
        wait   2s
        answer order failed=no
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationFailed 5 "no"
            7 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_call_that_will_never_do_fails_the_operation() {
    goes_on(
        "answer order error=nobody!",
        expect![[r#"
        1 WorkflowExecutionStarted
        2 WorkflowTaskScheduled on q
        3 WorkflowTaskStarted
        4 WorkflowTaskCompleted
        5 NexusOperationScheduled ship
        6 NexusOperationFailed 5 "nobody"
        7 WorkflowTaskScheduled on q
        todo: workflow task on q
    "#]],
    );
}

#[test]
fn operations_time_out_in_three_ways() {
    check(
        "
        start  order
        take   order
        finish order operation=a,s2c:3s operation=b,s2s:2s operation=c,stc:1s
        answer order started=token
        wait   1s
        take   order
        finish order
        wait   3s
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled a
            6 NexusOperationScheduled b
            7 NexusOperationScheduled c
            8 NexusOperationStarted 7 "token"
            9 WorkflowTaskScheduled on q
            10 NexusOperationTimedOut 7
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 NexusOperationTimedOut 6
            14 WorkflowTaskScheduled on q
            15 NexusOperationTimedOut 5
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_cancel_request_waits_for_the_start_and_is_repeated() {
    check(
        "
        start  order
        take   order
        finish order operation=ship cancel-operation=5
        answer order started=token
        answer order error=busy
        wait   1s
        answer order taken
        take   order
        finish order cancel-operation=5
        ",
        expect![[r#"
            ! InvalidArgument: BadRequestCancelNexusOperationAttributes: cancelation was already requested for an operation with scheduled event ID 5
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationCancelRequested 5
            7 NexusOperationStarted 5 "token"
            8 WorkflowTaskScheduled on q
            9 NexusOperationCancelRequestCompleted 6 of 5
            10 WorkflowTaskStarted
            11 WorkflowTaskFailed BadRequestCancelNexusOperationAttributes "BadRequestCancelNexusOperationAttributes: cancelation was already requested for an operation with scheduled event ID 5"
            todo: workflow task on q attempt 2
        "#]],
    );
}

#[test]
fn a_cancel_request_that_is_refused() {
    check(
        "
        start  order
        take   order
        finish order operation=ship
        answer order started=token
        take   order
        finish order cancel-operation=5
        answer order error=never!
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 "token"
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 NexusOperationCancelRequested 5
            11 NexusOperationCancelRequestFailed 10 of 5
            12 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_cancel_request_for_what_is_over_is_a_bad_command_unless_the_worker_cannot_know() {
    goes_on(
        "
        signal order
        take   order
        answer order done=shipped
        finish order cancel-operation=5
        take   order
        finish order cancel-operation=5
        ",
        expect![[r#"
            ! InvalidArgument: BadRequestCancelNexusOperationAttributes: requested cancelation for a non-existing or already completed operation with scheduled event ID of 5
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 WorkflowExecutionSignaled signal
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 NexusOperationCancelRequested 5
            11 NexusOperationCompleted 5 "shipped"
            12 WorkflowTaskScheduled on q
            13 WorkflowTaskStarted
            14 WorkflowTaskFailed BadRequestCancelNexusOperationAttributes "BadRequestCancelNexusOperationAttributes: requested cancelation for a non-existing or already completed operation with scheduled event ID of 5"
            todo: workflow task on q attempt 2
        "#]],
    );
}

#[test]
fn a_new_leader_makes_the_call_again_and_knows_what_was_answered() {
    goes_on(
        "
        new-leader
        answer order started=token
        new-leader
        answer order started=token
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 "token"
            7 WorkflowTaskScheduled on q
            todo: workflow task on q
            todo: wake in 100s
        "#]],
    );
}

#[test]
fn callbacks_are_handed_on_along_the_chain_and_told_once_at_its_end() {
    goes_on(
        "
        handle order pack retry=1s,2
        answer order started=token
        take   pack
        finish pack fail=once
        wait   1s
        take   pack
        finish pack again
        wait   1s
        new-leader
        take   pack
        finish pack complete=packed
        new-leader
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 "token"
            7 WorkflowTaskScheduled on q
            8 NexusOperationCompleted 5 "packed"
            todo: workflow task on q
            -- pack
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed InProgress
            -- pack
            1 WorkflowExecutionStarted attempt 2 continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionContinuedAsNew
            -- pack
            1 WorkflowExecutionStarted continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn callbacks_can_be_attached_to_a_running_workflow() {
    check(
        "
        start  pack request=own
        start  order
        take   order
        finish order operation=ship
        handle order pack conflict=use attach
        answer order started=token
        take   pack
        finish pack complete=packed
        ",
        expect![[r#"
            ! handle order pack conflict=use attach: not started anew
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationStarted 5 "token"
            7 WorkflowTaskScheduled on q
            8 NexusOperationCompleted 5 "packed"
            todo: workflow task on q
            -- pack
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionOptionsUpdated
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_callback_to_an_operation_that_is_over_fails_for_good() {
    check(
        "
        start  order
        take   order
        finish order operation=ship,s2c:1s
        handle order pack
        wait   1s
        take   pack
        finish pack complete=packed
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 NexusOperationScheduled ship
            6 NexusOperationTimedOut 5
            7 WorkflowTaskScheduled on q
            todo: workflow task on q
            -- pack
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn an_endpoint_that_is_not_there_is_a_bad_command() {
    check(
        "
        start  order
        take   order
        finish order operation=ship,endpoint:nobody
        ",
        expect![[r#"
            ! InvalidArgument: BadScheduleNexusOperationAttributes: endpoint "nobody" not found
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed BadScheduleNexusOperationAttributes "BadScheduleNexusOperationAttributes: endpoint \"nobody\" not found"
            todo: workflow task on q attempt 2
        "#]],
    );
}
