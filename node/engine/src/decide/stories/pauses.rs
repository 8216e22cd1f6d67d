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
        expect![[""]],
    );
}

#[test]
fn a_run_that_goes_on_is_owed_a_task_in_any_case() {
    check(
        "
        start  order
        take   order
        finish order timer=t,5s
        pause-workflow   order
        pause-workflow   order
        unpause-workflow order
        unpause-workflow order
        ",
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
    );
}

#[test]
fn a_sticky_task_is_not_given_up_while_the_run_is_paused() {
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
        expect![[""]],
    );
}

#[test]
fn a_start_delay_passes_while_the_run_is_paused() {
    check(
        "
        start  order delay=5s
        pause-workflow   order
        wait   6s
        unpause-workflow order
        wait   1s
        ",
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
    );
}
