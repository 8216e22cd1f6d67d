//! Stories of rates that operators set, and of keys that share a queue: what is served when, and in which order.

use super::Teller;

/// The tasks in the order in which they are handed out, each with the second at which it was.
fn served(story: &str) -> Vec<(u64, String)> {
    let mut teller = Teller::default();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        teller.tell(line);
    }
    let matches = teller.text.lines().filter_map(|line| line.trim().split_once(" to "));
    matches
        .map(|(what, _)| {
            let (at, name) = what.split_once("s ").unwrap();
            (at.parse::<f64>().unwrap() as u64, name.to_owned())
        })
        .collect()
}

/// Only the names, parted by blanks.
fn order(story: &str) -> String {
    served(story).into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

const POLLS: &str = "
    poll normal 1
    poll normal 2
    poll normal 3
    poll normal 4
    poll normal 5
    poll normal 6
    poll normal 7
    poll normal 8
    poll normal 9
";

#[test]
fn keys_take_turns_by_their_weights() {
    let story = "
        offer normal a1 key=a
        offer normal a2 key=a
        offer normal a3 key=a
        offer normal a4 key=a weight=1
        offer normal b1 key=b weight=3
        offer normal b2 key=b weight=3
        offer normal b3 key=b weight=3
        offer normal b4 key=b weight=3
        offer normal first key=b priority=1
    ";
    assert_eq!(order(&format!("{story}{POLLS}")), "first b1 b2 b3 a1 b4 a2 a3 a4");
}

#[test]
fn a_key_that_comes_back_does_not_catch_up() {
    let story = "
        offer normal a1 key=a
        offer normal a2 key=a
        offer normal a3 key=a
        offer normal a4 key=a
        offer normal a5 key=a
        poll normal 11
        poll normal 12
        offer normal b1 key=b
        offer normal b2 key=b
        offer normal b3 key=b
    ";
    assert_eq!(order(&format!("{story}{POLLS}")), "a1 a2 a3 b1 a4 b2 a5 b3");
}

#[test]
fn an_operators_weight_replaces_the_tasks() {
    let story = "
        configure normal weight:a=2
        offer normal a1 key=a weight=0.1
        offer normal a2 key=a weight=0.1
        offer normal a3 key=a weight=0.1
        offer normal b1 key=b
        offer normal b2 key=b
    ";
    assert_eq!(order(&format!("{story}{POLLS}")), "a1 a2 b1 a3 b2");
}

#[test]
fn an_operators_rate_replaces_the_workers() {
    let story = "
        at 100
        offer activity a
        offer activity b
        offer activity c
        poll activity 1 rate=0
        poll activity 2 rate=0
        at 110
        configure activity rate=1
        at 120
        configure activity rate=0
        poll activity 3
        at 130
        configure activity rate=5
        at 131
    ";
    let served = served(story);
    assert_eq!(served.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [110, 111, 130]);
}

#[test]
fn each_key_has_its_rate_and_the_others_go_on() {
    let story = "
        at 100
        configure activity key-rate=0 weight:b=2
        offer activity a1 key=a
        poll activity 1
        poll activity 2
        poll activity 3
        poll activity 4
        at 110
        configure activity key-rate=1 weight:b=2
        offer activity a2 key=a
        offer activity b1 key=b
        offer activity b2 key=b
        at 120
    ";
    // Two a second for the heavier key, which has them at once; one a second for the other.
    let expected = [(110, "a1"), (110, "b1"), (110, "b2"), (111, "a2")];
    assert_eq!(served(story), expected.map(|(at, name)| (at, name.to_owned())));
}

#[test]
fn queries_have_no_rate() {
    let story = "
        configure normal key-rate=0
        offer normal a
        offer normal query
    ";
    assert_eq!(order(&format!("{story}{POLLS}")), "query");
}
