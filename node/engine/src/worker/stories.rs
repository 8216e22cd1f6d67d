//! What is heard of workers, and how several nodes make one list of it.

use std::time::Duration;

use everlog_proto::api::{enums::v1::WorkerStatus, worker::v1::WorkerHeartbeat};

use super::{
    PART_WORKERS_MAX, WORKER_FORGOTTEN_AFTER, WORKERS_BYTES_MAX, WORKERS_MAX, Wanted, WorkerQuery, Workers,
    merge,
};
use crate::time::Time;

const START: Time = Time(1_700_000_000_000_000_000);

fn running(key: &str, sdk_version: &str) -> WorkerHeartbeat {
    WorkerHeartbeat {
        worker_instance_key: key.to_owned(),
        sdk_version: sdk_version.to_owned(),
        status: WorkerStatus::Running as i32,
        ..WorkerHeartbeat::default()
    }
}

fn gone(key: &str) -> WorkerHeartbeat {
    WorkerHeartbeat { status: WorkerStatus::Shutdown as i32, ..running(key, "") }
}

fn at(seconds: u64) -> Time {
    START + Duration::from_secs(seconds)
}

/// What a list over these nodes says: the keys, each with its version.
fn listed(nodes: &mut [&mut Workers]) -> Vec<(String, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let wanted = Wanted::After(after);
        let part = merge(nodes.iter_mut().map(|node| node.part(at(100), "space", &wanted)).collect());
        all.extend(part.words.iter().filter_map(super::Word::heartbeat));
        if part.is_last {
            return all.into_iter().map(|w| (w.worker_instance_key, w.sdk_version)).collect();
        }
        after = part.words.last().map(|word| word.worker_instance_key.clone());
    }
}

#[test]
fn the_latest_word_counts_wherever_it_was_heard() {
    let (mut a, mut b) = (Workers::default(), Workers::default());
    a.hear(at(1), "space", &running("moved", "old"));
    b.hear(at(2), "space", &running("moved", "new"));
    a.hear(at(1), "space", &running("left", "old"));
    b.hear(at(2), "space", &gone("left"));
    a.hear(at(3), "space", &gone("returned"));
    b.hear(at(4), "space", &running("returned", "again"));
    a.hear(at(5), "elsewhere", &running("other", "1"));
    let expected = [("moved", "new"), ("returned", "again")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(listed(&mut [&mut a, &mut b]), expected);
    assert_eq!(listed(&mut [&mut b, &mut a]), expected);
}

#[test]
fn what_is_heard_while_the_clock_stands_still_is_later_all_the_same() {
    let mut node = Workers::default();
    node.hear(at(5), "space", &running("a", "1"));
    node.hear(at(5), "space", &running("a", "2"));
    let second = node.part(at(5), "space", &Wanted::Only("a".to_owned()));
    node.hear(at(4), "space", &running("a", "3"));
    let third = node.part(at(5), "space", &Wanted::Only("a".to_owned()));
    assert!(second.words[0].heard < third.words[0].heard);
    assert_eq!(node.len(), 1);
}

#[test]
fn a_long_list_comes_in_parts_and_none_is_lost_or_doubled() {
    let (mut a, mut b) = (Workers::default(), Workers::default());
    let count = 2 * PART_WORKERS_MAX + 7;
    for i in 0..count {
        let key = format!("{i:05}");
        // The first node has all of the first half and every third of the rest, the second what is left.
        let node = if i < count / 2 || i % 3 == 0 { &mut a } else { &mut b };
        node.hear(at(1), "space", &running(&key, "1"));
    }
    let keys: Vec<_> = listed(&mut [&mut a, &mut b]).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, (0..count).map(|i| format!("{i:05}")).collect::<Vec<_>>());
}

#[test]
fn who_says_nothing_is_forgotten() {
    let mut node = Workers::default();
    node.hear(START, "space", &running("silent", "1"));
    node.hear(at(60), "space", &running("alive", "1"));
    let all = Wanted::After(None);
    let just_before = START + WORKER_FORGOTTEN_AFTER - Duration::from_nanos(1);
    assert_eq!(node.part(just_before, "space", &all).words.len(), 2);
    let part = node.part(START + WORKER_FORGOTTEN_AFTER, "space", &all);
    assert_eq!(
        part.words.iter().map(|word| word.worker_instance_key.as_str()).collect::<Vec<_>>(),
        ["alive"]
    );
    let later = at(60) + WORKER_FORGOTTEN_AFTER;
    assert!(!node.part(later, "space", &all).is_known, "the namespace is forgotten with its last worker");
    assert!(node.is_empty());
}

#[test]
fn memory_is_bounded_by_number_and_by_size() {
    let mut node = Workers::default();
    for i in 0..=WORKERS_MAX {
        let now = START + Duration::from_millis(i as u64);
        node.hear(now, &format!("space-{}", i % 10), &running(&i.to_string(), "1"));
    }
    assert_eq!(node.len(), WORKERS_MAX);
    let oldest = node.part(at(0), "space-0", &Wanted::Only("0".to_owned()));
    assert!(oldest.words.is_empty(), "the one that was heard of longest ago made room");

    let mut node = Workers::default();
    let large = "x".repeat(WORKERS_BYTES_MAX / 8);
    for i in 0..20 {
        node.hear(at(i), "space", &running(&i.to_string(), &large));
    }
    assert_eq!(node.len(), 7);
    // What is replaced weighs nothing any more.
    for i in 13..20 {
        node.hear(at(30), "space", &running(&i.to_string(), "small"));
    }
    for i in 0..6 {
        node.hear(at(40), "space", &running(&i.to_string(), &large));
    }
    assert_eq!(node.len(), 13);
}

#[test]
fn questions_that_make_no_sense_find_nobody() {
    let worker = WorkerHeartbeat { start_time: Some(START.proto()), ..running("a", "1.2.3") };
    let finds = |query: &str| WorkerQuery::parse(query).map(|query| query.matches(&worker));
    for query in [
        "",
        "WorkerInstanceKey = 'a'",
        "Status = 'Running' AND SdkVersion STARTS_WITH '1.'",
        "HostName IS NULL",
        "WorkerInstanceKey = 'a' OR Nonsense = 'b'",
        "StartTime BETWEEN '2023-11-14T22:13:20Z' AND '2023-11-14T22:13:20Z'",
        "HeartbeatTime < '2020-01-01T00:00:00Z'",
    ] {
        assert_eq!(finds(query), Ok(true), "{query}");
    }
    for query in [
        "WorkerInstanceKey > 'a'",
        "WorkerInstanceKey IN ('a')",
        "NOT WorkerInstanceKey = 'b'",
        "Nonsense = 'a' OR WorkerInstanceKey = 'a'",
        "`Status` = 'Running'",
        "HeartbeatTime BETWEEN '1960-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'",
    ] {
        assert_eq!(finds(query), Ok(false), "{query}");
    }
    for query in
        [" ", "WorkerInstanceKey =", "ORDER BY StartTime", "WHERE Status = 'x'", "Status = 'x' LIMIT 1"]
    {
        assert!(finds(query).is_err(), "{query}");
    }
}
