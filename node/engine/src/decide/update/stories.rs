//! The life of updates, told from the first request to the answer.

use expect_test::expect;

use crate::{
    limits::Limits,
    testing::{Story, check, check_with},
};

#[test]
fn it_is_accepted_and_completed_in_a_task_of_its_own() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        take   order
        finish order accept=change respond=change,ok
        poll-update order change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_rejection_leaves_nothing_behind() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        take   order
        finish order reject=change,no
        poll-update order change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_rejection_behind_a_command_is_written_unless_the_worker_goes_back() {
    check(
        "
        start  order
        take   order
        finish order timer=t,60s
        update order one
        take   order
        finish order reject=one,no goes-back
        update order two
        take   order
        finish order reject=two,no
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_signal_makes_its_task_an_ordinary_one() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        signal order paid
        take   order
        finish order reject=change,no
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_signal_makes_the_task_that_is_held_an_ordinary_one() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        take   order
        signal order paid
        finish order reject=change,no
        ",
        expect![[r#""#]],
    );
}

#[test]
fn one_that_comes_while_a_task_is_held_comes_with_the_next() {
    check(
        "
        start  order
        take   order
        update order change
        finish order inline
        finish order reject=change,no inline
        update order other
        take   order
        update order third
        finish order accept=other respond=other
        take   order
        finish order accept=third respond=third
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_worker_that_needs_more_time_is_not_told_again() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        take   order
        finish order force inline
        finish order accept=change respond=change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_unanswered_update_is_rejected() {
    check(
        "
        start  order
        update order change
        take   order
        finish order
        ",
        expect![[r#""#]],
    );
}

#[test]
fn callers_wait_for_their_stage_or_for_twenty_seconds() {
    check(
        "
        start  order
        take   order
        finish order
        update order change stage=accepted
        update order change
        update order change stage=any
        take   order
        finish order accept=change
        wait   20s
        poll-update order change stage=accepted
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_task_that_nobody_takes_is_written() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        wait   6s
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_failed_task_brings_it_again_twice() {
    check(
        "
        start     order
        take      order
        finish    order
        update    order change
        take      order
        fail-task order
        take      order
        fail-task order
        update    order other
        take      order
        finish    order
        ",
        expect![[r#""#]],
    );
}

#[test]
fn nonsense_fails_the_task_and_the_update() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        take   order
        finish order say=change
        poll-update order change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_worker_may_know_more_than_the_server() {
    check(
        "
        start  order
        take   order
        finish order accept=change,all respond=change
        poll-update order change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_end_fails_what_was_accepted_and_aborts_the_rest() {
    check(
        "
        start  order
        update order one
        take   order
        update order two
        finish order accept=one complete=ok
        poll-update order one
        update order three
        ",
        expect![[r#""#]],
    );
}

#[test]
fn what_an_old_run_has_not_accepted_may_be_tried_again() {
    check(
        "
        start  order
        update order change
        take   order
        finish order again
        ",
        expect![[r#""#]],
    );
}

#[test]
fn a_termination_does_not_write_a_task_that_nobody_had() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        terminate order
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_update_starts_its_workflow() {
    check(
        "
        update-with-start order one
        take   order
        finish order accept=one respond=one
        update-with-start order one
        update-with-start order two
        take   order
        finish order reject=two,no complete=ok
        ",
        expect![[r#""#]],
    );
}

#[test]
fn ten_may_be_under_way() {
    let limits = Limits { updates_in_flight_max: 2, updates_total_max: 3, ..Limits::default() };
    check_with(
        "
        start  order
        update order one
        update order two
        update order three
        take   order
        finish order accept=one respond=one accept=two
        update order three
        take   order
        finish order accept=three respond=three respond=two
        update order four
        ",
        limits,
        expect![[r#""#]],
    );
}

#[test]
fn twenty_megabytes_may_be_under_way() {
    let limits = Limits { updates_in_flight_bytes_max: 1000, ..Limits::default() };
    check_with(
        "
        start  order
        update order one size=500
        update order two size=500
        update order three size=200
        ",
        limits,
        expect![[r#""#]],
    );
}

#[test]
fn an_update_outlives_its_leader_once_it_has_waited() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        wait   200ms
        new-leader
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_update_outlives_its_leader_once_anything_is_written() {
    check(
        "
        start  order
        take   order
        update order change
        signal order paid
        new-leader
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_update_that_was_rejected_does_not_come_back() {
    check(
        "
        start  order
        take   order
        finish order
        update order change
        wait   200ms
        take   order
        finish order reject=change,no
        new-leader
        poll-update order change
        ",
        expect![[r#""#]],
    );
}

#[test]
fn an_update_costs_one_entry() {
    let mut story = Story::new(Limits::default());
    ["start order", "take order", "finish order"].iter().for_each(|line| story.tell(line));
    let before = story.entries;
    ["update order one", "take order", "finish order accept=one respond=one"]
        .iter()
        .for_each(|line| story.tell(line));
    assert_eq!(story.entries - before, 1);
    ["update order two", "take order", "finish order reject=two,no goes-back"]
        .iter()
        .for_each(|line| story.tell(line));
    assert_eq!(story.entries - before, 1, "a rejection writes nothing");
}
