//! Stories of rates that operators set, and of keys that share a queue.

use expect_test::expect;

use super::check;

#[test]
fn keys_take_turns_by_their_weights() {
    check(
        "
        offer normal a1 key=a
        offer normal a2 key=a
        offer normal a3 key=a
        offer normal a4 key=a weight=1
        offer normal b1 key=b weight=3
        offer normal b2 key=b weight=3
        offer normal b3 key=b weight=3
        offer normal b4 key=b weight=3
        offer normal first key=b priority=1
        poll normal 1
        poll normal 2
        poll normal 3
        poll normal 4
        poll normal 5
        poll normal 6
        poll normal 7
        poll normal 8
        poll normal 9
        ",
        expect![[""]],
    );
}

#[test]
fn a_key_that_comes_back_does_not_catch_up() {
    check(
        "
        offer normal a1 key=a
        offer normal a2 key=a
        offer normal a3 key=a
        offer normal a4 key=a
        poll normal 1
        poll normal 2
        offer normal b1 key=b
        offer normal b2 key=b
        poll normal 3
        poll normal 4
        poll normal 5
        poll normal 6
        ",
        expect![[""]],
    );
}

#[test]
fn an_operators_weight_replaces_the_tasks() {
    check(
        "
        configure normal weight:a=2
        offer normal a1 key=a weight=0.1
        offer normal a2 key=a weight=0.1
        offer normal a3 key=a weight=0.1
        offer normal b1 key=b
        offer normal b2 key=b
        poll normal 1
        poll normal 2
        poll normal 3
        poll normal 4
        poll normal 5
        ",
        expect![[""]],
    );
}

#[test]
fn an_operators_rate_replaces_the_workers() {
    check(
        "
        offer activity a
        offer activity b
        offer activity c
        poll activity 1 rate=1
        poll activity 2 rate=1
        configure activity rate=10
        at 1
        configure activity rate=0
        poll activity 3
        at 30
        configure activity
        describe activity
        at 40
        ",
        expect![[""]],
    );
}

#[test]
fn each_key_has_its_rate_and_the_others_go_on() {
    check(
        "
        configure activity key-rate=1 weight:b=2
        offer activity a1 key=a
        offer activity a2 key=a
        offer activity a3 key=a
        offer activity b1 key=b
        offer activity b2 key=b
        offer activity b3 key=b
        poll activity 1
        poll activity 2
        poll activity 3
        poll activity 4
        poll activity 5
        poll activity 6
        describe activity
        at 3
        configure activity
        ",
        expect![[""]],
    );
}

#[test]
fn queries_have_no_rate() {
    check(
        "
        configure normal key-rate=0
        offer normal a
        offer normal query
        poll normal 1
        poll normal 2
        at 5
        configure normal
        ",
        expect![[""]],
    );
}
