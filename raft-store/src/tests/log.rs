//! The log: what a restart finds, what damage it admits, and what it does when the disk fails.

use std::{any::Any, sync::Arc, time::Duration};

use openraft::{EntryPayload, RaftLogReader, storage::RaftLogStorage};

use super::support::{Group, World, entry, log_id, options, payload, run, vote};
use crate::{
    Error, Options, Store, Trouble,
    wal::{record, segment},
};

const FIRST_SEGMENT: &str = "log/segment-0000000000000001";
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A store whose group 3 has so many acknowledged entries, not applied.
async fn with_entries(world: &World, count: u64) -> (Store, Group) {
    let store = world.open().expect("it opens");
    let mut group = Group::open(&store, 3).expect("a group");
    for index in 0..count {
        group.append_durably(index, format!("payload {index}").as_bytes()).await;
    }
    (store, group)
}

#[test]
fn a_restart_finds_what_was_acknowledged() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = with_entries(&world, 300).await;
            group.log.save_vote(&vote(7)).await.expect("it is durable");
            group.log.truncate_after(Some(log_id(1, 250))).await.expect("it truncates");
            let replaced = group.append_all(vec![entry(2, 251, b"replaced")]).await;
            replaced.await.expect("told").expect("durable");
            group.apply(0, 100).await.expect("it applies");
            store.tables().checkpoint().expect("it is made");
            group.log.purge(log_id(1, 9)).await.expect("it purges");
            store.close().expect("it closes");
        }
        let world = world.cut();
        let store = world.open().expect("it opens");
        assert_eq!(store.groups_on_disk(), [3]);
        let mut group = Group::open(&store, 3).expect("a group");
        assert_eq!(group.applied().await, Some(99));
        assert_eq!(group.log.read_vote().await.expect("it reads"), Some(vote(7)));
        let state = group.log.get_log_state().await.expect("it is known");
        assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 9)), Some(log_id(2, 251))));
        let found = group.read(0, 1000).await;
        assert_eq!(found.len(), 242);
        assert_eq!((found[0].log_id, payload(&found[0])), (log_id(1, 10), "payload 10".into()));
        assert_eq!((found[241].log_id, payload(&found[241])), (log_id(2, 251), "replaced".into()));
    });
}

#[test]
fn a_write_that_never_ended_is_cut_off() {
    run(async {
        let world = World::new(1);
        let used = {
            let (_store, _group) = with_entries(&world, 10).await;
            last_used(&world, FIRST_SEGMENT)
        };
        world.disk.flip_bit(FIRST_SEGMENT, used, 2);
        let store = world.open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert_eq!(group.last().await, Some(8), "the last write can't be told from one that never ended");
        group.append_durably(9, b"again").await;
        drop((group, store));
        let store = world.cut().open().expect("it opens");
        let found = Group::open(&store, 3).expect("a group").read(0, 100).await;
        assert_eq!((found.len(), payload(&found[9])), (10, "again".into()));
    });
}

#[test]
fn damage_before_a_later_write_is_refused_and_nothing_is_cut() {
    run(async {
        let world = World::new(1);
        drop(with_entries(&world, 400).await);
        let segments: Vec<String> = (1..=2).map(segment::path).collect();
        for name in &segments {
            let used = last_used(&world, name);
            for at in (segment::HEADER_BYTES..used - 200).step_by(991).chain([0, 9]) {
                world.disk.flip_bit(name, at, (at % 8) as u8);
                let before = world.disk.content(name);
                let refused = world.open().err();
                assert!(matches!(refused, Some(Error::Corrupt { .. })), "byte {at} of {name}: {refused:?}");
                assert_eq!(world.disk.content(name), before, "nothing is cut");
                world.disk.flip_bit(name, at, (at % 8) as u8);
            }
        }
        let store = world.open().expect("it opens when the damage is undone");
        assert_eq!(Group::open(&store, 3).expect("a group").last().await, Some(399));
    });
}

#[test]
fn damage_of_other_kinds_is_refused_too() {
    run(async {
        let fresh = || async {
            let world = World::new(1);
            drop(with_entries(&world, 600).await);
            world
        };
        // Zeros where records were.
        let world = fresh().await;
        let mut content = world.disk.content(FIRST_SEGMENT);
        content[6000..7000].fill(0);
        world.disk.replace(FIRST_SEGMENT, Some(content));
        assert!(matches!(world.open().err(), Some(Error::Corrupt { .. })));
        // Two records have changed places.
        let world = fresh().await;
        let mut content = world.disk.content(FIRST_SEGMENT);
        let first = segment::HEADER_BYTES as usize + record::HEADER_BYTES + 500;
        let (left, right) = content.split_at_mut(first + 512);
        left[first..].swap_with_slice(&mut right[512..1024]);
        world.disk.replace(FIRST_SEGMENT, Some(content));
        assert!(matches!(world.open().err(), Some(Error::Corrupt { .. })));
        // All records of a segment are gone.
        let world = fresh().await;
        let mut content = world.disk.content(FIRST_SEGMENT);
        content[segment::HEADER_BYTES as usize..].fill(0);
        world.disk.replace(FIRST_SEGMENT, Some(content));
        assert!(matches!(world.open().err(), Some(Error::Corrupt { .. })));
        // A segment is gone: one in the middle, and the first.
        let world = fresh().await;
        world.disk.replace(&segment::path(2), None);
        assert!(matches!(world.open().err(), Some(Error::Corrupt { .. })));
        let world = fresh().await;
        world.disk.replace(FIRST_SEGMENT, None);
        assert!(matches!(world.open().err(), Some(Error::Missing { group: 3, index: 0 })));
    });
}

#[test]
fn a_log_that_lost_what_was_applied_is_refused() {
    run(async {
        let world = World::new(1);
        let used = {
            let (store, mut group) = with_entries(&world, 10).await;
            group.apply(0, 10).await.expect("it applies");
            store.tables().checkpoint().expect("it is made");
            last_used(&world, FIRST_SEGMENT)
        };
        world.disk.flip_bit(FIRST_SEGMENT, used, 0);
        let store = world.open().expect("the log alone looks like one that was torn");
        let refused = Group::open(&store, 3).err();
        assert!(matches!(refused, Some(Error::Missing { group: 3, index: 9 })), "{refused:?}");
    });
}

#[test]
fn entries_are_readable_before_they_are_durable() {
    run(async {
        let world = World::new(1);
        let store = world.open().expect("it opens");
        let mut group = Group::open(&store, 1).expect("a group");
        world.disk.slow_syncs(Duration::from_millis(50));
        let durable = group.append(0, b"first").await;
        let found = group.read(0, 10).await;
        assert_eq!(found.len(), 1);
        assert_eq!(group.last().await, Some(0));
        durable.await.expect("told").expect("durable");
    });
}

#[test]
fn everybody_who_waits_shares_a_sync() {
    run(async {
        let world = World::new(1);
        let store = world.open().expect("it opens");
        let mut groups: Vec<Group> =
            (0..20).map(|number| Group::open(&store, number).expect("a group")).collect();
        groups[0].append_durably(0, b"warm").await;
        world.disk.slow_syncs(Duration::from_millis(20));
        let before = store.metrics();
        let mut waiting = Vec::new();
        for index in 0..10 {
            for group in &mut groups {
                let first = u64::from(group.number == 0);
                waiting.push(group.append(first + index, b"together").await);
            }
        }
        for durable in waiting {
            durable.await.expect("told").expect("durable");
        }
        let after = store.metrics();
        assert_eq!(after.log_records - before.log_records, 200);
        assert!(after.log_syncs - before.log_syncs < 20, "{} syncs", after.log_syncs - before.log_syncs);
    });
}

#[test]
fn a_failed_sync_closes_the_log_for_ever() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = with_entries(&world, 5).await;
            world.disk.fail_syncs(1);
            assert!(group.append(5, b"lost").await.await.expect("told").is_err());
            assert!(
                group.append(6, b"lost too").await.await.expect("told").is_err(),
                "though syncs work again"
            );
            assert!(group.log.save_vote(&vote(9)).await.is_err());
            let trouble = store.trouble();
            let lasts = |trouble: &Trouble| !trouble.may_pass && trouble.why.contains("os error 5");
            assert!(trouble.as_ref().is_some_and(lasts), "{trouble:?}");
            group.apply(0, 5).await.expect("it applies");
            assert!(store.tables().checkpoint().is_err(), "tables don't go where the log can't follow");
            assert!(store.close().is_err());
        }
        let store = world.cut().open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert!(group.last().await >= Some(4), "what was acknowledged is there");
        assert_eq!(group.log.read_vote().await.expect("it reads"), None);
    });
}

#[test]
fn a_failed_write_closes_the_log_too() {
    run(async {
        let world = World::new(1);
        let (_store, mut group) = with_entries(&world, 5).await;
        world.disk.fail_writes(1);
        assert!(group.append(5, b"lost").await.await.expect("told").is_err());
        assert!(group.append(6, b"lost too").await.await.expect("told").is_err());
    });
}

#[test]
fn on_a_full_disk_the_log_waits_until_there_is_room() {
    run(async {
        let world = World::new(1);
        let (store, mut group) = with_entries(&world, 1).await;
        world.disk.limit(Some(world.disk.bytes()));
        let mut waiting = Vec::new();
        for index in 1..2000 {
            waiting.push(group.append(index, &[7; 100]).await);
        }
        while store.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let last = waiting.pop().expect("an append");
        assert!(futures::FutureExt::now_or_never(last).is_none(), "it is neither durable nor failed");
        world.disk.limit(None);
        for durable in waiting {
            durable.await.expect("told").expect("durable");
        }
        assert_eq!(store.trouble(), None);
    });
}

#[test]
fn a_store_on_a_full_disk_can_be_closed() {
    run(async {
        let world = World::new(1);
        let (store, mut group) = with_entries(&world, 1).await;
        world.disk.limit(Some(world.disk.bytes()));
        let mut last = None;
        for index in 1..2000 {
            last = Some(group.append(index, &[7; 100]).await);
        }
        while store.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(store.trouble().is_some_and(|trouble| trouble.is_full && trouble.may_pass));
        // Rows that a checkpoint would move, behind a log that can't follow.
        group.apply(0, 2).await.expect("it applies");
        let closed = closed_in_time(store).await;
        assert!(closed.as_ref().is_err_and(Error::is_full), "{closed:?}");
        let last = last.expect("an append").await.expect("told").expect_err("there is no room");
        assert_eq!(last.kind(), std::io::ErrorKind::StorageFull, "{last}");
        drop(group);
        world.disk.limit(None);
        let store = world.cut().open().expect("it opens");
        assert!(Group::open(&store, 3).expect("a group").last().await >= Some(0), "nothing is damaged");
    });
}

/// There is no room for what a checkpoint writes first, though the log has enough.
#[test]
fn a_store_whose_last_checkpoint_finds_no_room_says_so() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = with_entries(&world, 20).await;
            group.apply(0, 20).await.expect("it applies");
            world.disk.limit(Some(world.disk.bytes()));
            let closed = closed_in_time(store).await;
            let error = closed.expect_err("there is no room");
            assert!(error.is_full() && !error.to_string().contains("damaged"), "{error}");
        }
        world.disk.limit(None);
        let store = world.cut().open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        group.apply(0, 20).await.expect("nothing is lost");
    });
}

async fn closed_in_time(store: Store) -> Result<(), Error> {
    let closed = tokio::task::spawn_blocking(move || store.close());
    tokio::time::timeout(WAIT_MAX, closed).await.expect("it ends").expect("it does not panic")
}

#[test]
fn a_group_that_sleeps_does_not_keep_the_log() {
    run(async {
        let world = World::new(1);
        let store = world.open().expect("it opens");
        let mut sleeping = Group::open(&store, 1).expect("a group");
        for index in 0..30 {
            sleeping.append_durably(index, format!("asleep {index}").as_bytes()).await;
        }
        sleeping.log.save_vote(&vote(4)).await.expect("it is durable");
        let mut busy = Group::open(&store, 2).expect("a group");
        for round in 0..40 {
            let entries = (round * 50..(round + 1) * 50).map(|index| entry(1, index, &[round as u8; 400]));
            busy.append_all(entries.collect()).await.await.expect("told").expect("durable");
            busy.apply(round * 50, (round + 1) * 50).await.expect("it applies");
            store.tables().checkpoint().expect("it is made");
            busy.log.purge(log_id(1, round * 50 + 48)).await.expect("it purges");
        }
        let is_small = async {
            while store.metrics().log_segments > 5 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, is_small).await.expect("the log becomes small");
        assert!(store.metrics().log_moved >= 30, "{:?}", store.metrics());
        assert_eq!(sleeping.read(0, 100).await.len(), 30);
        drop((sleeping, busy, store));

        let store = world.cut().open().expect("it opens");
        let mut sleeping = Group::open(&store, 1).expect("a group");
        let found: Vec<_> = sleeping.read(0, 100).await.iter().map(payload).collect();
        let expected: Vec<_> = (0..30).map(|index| format!("asleep {index}")).collect();
        assert_eq!(found, expected);
        assert_eq!(sleeping.log.read_vote().await.expect("it reads"), Some(vote(4)));
        assert_eq!(Group::open(&store, 2).expect("a group").last().await, Some(1999));
    });
}

#[test]
fn what_is_committed_is_remembered_without_a_sync_of_its_own() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = with_entries(&world, 500).await;
            let before = (store.metrics(), world.disk.operations());
            for index in 0..500 {
                group.log.save_committed(Some(log_id(1, index))).await.expect("it is kept");
            }
            assert_eq!((store.metrics(), world.disk.operations()), before);
            group.append_durably(500, b"one more").await;
        }
        let store = world.cut().open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert_eq!(group.log.read_committed().await.expect("it reads"), Some(log_id(1, 499)));
    });
}

#[test]
fn what_a_proposer_attached_is_there_until_it_is_applied() {
    run(async {
        let world = World::new(1);
        let store = world.open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        let prepared: Arc<dyn Any + Send + Sync> = Arc::new("prepared".to_owned());
        let mut attached = entry(1, 0, b"bytes");
        if let EntryPayload::Normal(payload) = &mut attached.payload {
            payload.prepared = Some(prepared.clone());
        }
        group.append_all(vec![attached]).await.await.expect("told").expect("durable");
        let is_attached = |entry: &crate::tests::support::Entry| match &entry.payload {
            EntryPayload::Normal(payload) => payload.prepared.is_some(),
            _ => false,
        };
        assert!(is_attached(&group.read(0, 1).await[0]));
        assert_eq!(Arc::strong_count(&prepared), 2);
        group.apply(0, 1).await.expect("it applies");
        assert!(!is_attached(&group.read(0, 1).await[0]));
        assert_eq!(Arc::strong_count(&prepared), 1);
    });
}

#[test]
fn old_entries_are_read_from_their_segments() {
    run(async {
        let world = World::new(1);
        let (_store, mut group) = with_entries(&world, 700).await;
        for (from, to) in [(0, 700), (3, 4), (250, 600), (690, 2000), (700, 701), (0, 0)] {
            let found = group.read(from, to).await;
            let expected = (from..to.min(700)).map(|index| format!("payload {index}"));
            assert!(found.iter().map(payload).eq(expected), "{from} to {to}");
        }
        group.log.truncate_after(Some(log_id(1, 20))).await.expect("it truncates");
        group.append_durably(21, b"new").await;
        assert_eq!(payload(&group.read(0, 100).await[21]), "new");
        assert_eq!(group.last().await, Some(21));
    });
}

#[test]
fn an_entry_out_of_order_is_refused_and_leaves_nothing() {
    run(async {
        let world = World::new(1);
        let (store, mut group) = with_entries(&world, 3).await;
        let before = store.metrics().log_records;
        let refused = group.append_all(vec![entry(1, 7, b"gap")]).await;
        assert!(refused.await.is_err(), "nobody says that it is durable");
        group.append_durably(3, b"in order").await;
        assert_eq!(store.metrics().log_records, before + 1);
    });
}

#[test]
fn a_folder_is_used_by_one_store_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = Options { cache_bytes: 1 << 20, ..options() };
    let store = Store::open(folder.path(), small).expect("it opens");
    let refused = Store::open(folder.path(), small).err();
    assert!(matches!(&refused, Some(Error::Locked(path)) if *path == folder.path().display().to_string()));
    drop(store);
    Store::open(folder.path(), small).expect("it opens again").close().expect("it closes");

    let world = World::new(1);
    let store = world.open().expect("it opens");
    assert!(matches!(world.open().err(), Some(Error::Locked(_))));
    assert!(store.group(1, Arc::new(super::support::Folding)).is_ok());
    let again = store.group(1, Arc::new(super::support::Folding)).err();
    assert!(matches!(again, Some(Error::GroupOpen(1))));
}

/// The last byte of a segment that is not zero.
fn last_used(world: &World, name: &str) -> u64 {
    let content = world.disk.content(name);
    content.iter().rposition(|byte| *byte != 0).unwrap_or_default() as u64
}
