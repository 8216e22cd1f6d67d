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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
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
        expect![[""]],
    );
}
