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
    goes_on("answer order done=shipped", expect![[""]]);
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
    );
}

#[test]
fn a_call_that_will_never_do_fails_the_operation() {
    goes_on("answer order error=nobody!", expect![[""]]);
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
    );
}
