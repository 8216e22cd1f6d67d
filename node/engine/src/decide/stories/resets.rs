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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
    );
}

#[test]
fn a_child_that_was_asked_for_before_the_point_is_started_once() {
    check(
        "
        start  order
        take   order
        signal order go
        deaf
        finish order child=parcel
        wait   1s
        reset  order 8
        hearing
        wait   10s
        ",
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
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
        expect![[r#""#]],
    );
}
