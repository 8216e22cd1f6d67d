//! Snapshots: out of one store, into another, all of it or nothing.

use std::sync::Arc;

use openraft::{
    storage::{RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine},
    type_config::alias::{SnapshotMetaOf, SnapshotOf},
};

use super::support::{Group, Model, World, entry, folded, log_id, rows, run};
use crate::{Error, SnapshotData, Store, Types};

type Snapshot = SnapshotOf<Types, SnapshotData>;

fn payloads(what: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| format!("{what} {index} {}", "x".repeat(index * 7)).into_bytes()).collect()
}

fn model(payloads: &[Vec<u8>]) -> Model {
    folded(3, payloads.iter().map(Vec::as_slice))
}

/// A store whose group 3 has applied these entries.
async fn applied(world: &World, payloads: &[Vec<u8>]) -> (Store, Group) {
    let store = world.open().expect("it opens");
    let mut group = Group::open(&store, 3).expect("a group");
    for (index, payload) in payloads.iter().enumerate() {
        group.append_durably(index as u64, payload).await;
    }
    group.apply(0, payloads.len() as u64).await.expect("it applies");
    (store, group)
}

async fn snapshot(group: &mut Group) -> Snapshot {
    group.state.get_current_snapshot().await.expect("it is asked for").expect("there is one")
}

/// Carries a snapshot to another store, a chunk at a time.
fn carried(snapshot: &Snapshot, to: &Store) -> std::io::Result<SnapshotData> {
    let mut writer = to.receive_snapshot()?;
    for chunk in snapshot.snapshot.chunks()? {
        for piece in chunk?.chunks(1000) {
            writer.write(piece)?;
        }
    }
    writer.finish()
}

#[test]
fn a_group_travels() {
    run(async {
        let (new, old) = (payloads("new", 80), payloads("old", 30));
        let (_leader, mut from) = applied(&World::new(1), &new).await;
        let world = World::new(2);
        {
            let (store, mut to) = applied(&world, &old).await;
            let sent = snapshot(&mut from).await;
            let data = carried(&sent, &store).expect("it arrives");
            to.state.install_snapshot(&sent.meta, data).await.expect("it is installed");
            assert_eq!((to.applied().await, rows(&store, 3)), (Some(79), model(&new)));
            to.log.purge(log_id(1, 79)).await.expect("it purges");
            to.append_all(vec![entry(1, 80, b"next")]).await.await.expect("told").expect("durable");
            to.apply(80, 81).await.expect("it applies");
            assert_eq!(store.metrics().snapshots_installed, 1);
        }
        let world = world.cut();
        let store = world.open().expect("it opens");
        let mut to = Group::open(&store, 3).expect("a group");
        assert_eq!((to.applied().await, rows(&store, 3)), (Some(79), model(&new)));
        to.apply(80, 81).await.expect("it applies");
        assert_eq!(rows(&store, 3), model(&[new, vec![b"next".to_vec()]].concat()));
        assert!(world.disk.content("snapshots/in-1").is_empty(), "what was received is gone");
    });
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_asked_for() {
    run(async {
        let all = payloads("entry", 90);
        let (store, mut group) = applied(&World::new(1), &all).await;
        drop((store, group));
        let world = World::new(2);
        let store = world.open().expect("it opens");
        group = Group::open(&store, 3).expect("a group");
        for (index, payload) in all.iter().enumerate() {
            group.append_durably(index as u64, payload).await;
        }
        group.apply(0, 20).await.expect("it applies");
        store.tables().checkpoint().expect("it is made");
        group.apply(20, 40).await.expect("it applies");
        let sent = snapshot(&mut group).await;
        // Neither later entries nor a checkpoint that waits for the snapshot change what is in it.
        group.apply(40, 70).await.expect("it applies");
        let tables = store.tables();
        let checkpoint = std::thread::spawn(move || tables.checkpoint());
        group.apply(70, 90).await.expect("it applies");
        let (other, mut to) = applied(&World::new(3), &[]).await;
        let data = carried(&sent, &other).expect("it arrives");
        to.state.install_snapshot(&sent.meta, data).await.expect("it is installed");
        assert_eq!((to.applied().await, rows(&other, 3)), (Some(39), model(&all[..40])));
        drop(sent);
        checkpoint.join().expect("no panic").expect("it is made");
        assert_eq!(rows(&store, 3), model(&all));
    });
}

#[test]
fn building_makes_the_tables_durable() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = applied(&world, &payloads("entry", 30)).await;
            let mut builder = group.state.get_snapshot_builder().await;
            let built = builder.build_snapshot().await.expect("it is built");
            assert_eq!(built.meta.last_log_id, Some(log_id(1, 29)));
            assert!(built.snapshot.chunks().is_err(), "nobody reads what was built: it is asked for");
            group.log.purge(log_id(1, 29)).await.expect("it purges");
            assert_eq!(store.metrics().checkpoints, 1);
        }
        let store = world.cut().open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert_eq!((group.applied().await, rows(&store, 3)), (Some(29), model(&payloads("entry", 30))));
    });
}

#[test]
fn damage_on_the_way_is_noticed_before_anything_is_installed() {
    run(async {
        let (_leader, mut from) = applied(&World::new(1), &payloads("new", 50)).await;
        let (store, mut to) = applied(&World::new(2), &payloads("old", 10)).await;
        let sent = snapshot(&mut from).await;
        let chunks: Vec<_> =
            sent.snapshot.chunks().expect("readable").map(|chunk| chunk.expect("a chunk")).collect();
        let bytes = chunks.concat();
        for at in (0..bytes.len()).step_by(997) {
            let mut writer = store.receive_snapshot().expect("a file");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            writer.write(&damaged).expect("it writes");
            assert!(writer.finish().is_err(), "byte {at}");
        }
        let mut writer = store.receive_snapshot().expect("a file");
        writer.write(&bytes[..bytes.len() - 1]).expect("it writes");
        assert!(writer.finish().is_err(), "a cut end");
        assert_eq!((to.applied().await, rows(&store, 3)), (Some(9), model(&payloads("old", 10))));
    });
}

#[test]
fn rows_of_another_group_are_refused() {
    run(async {
        let (leader, _) = applied(&World::new(1), &payloads("new", 5)).await;
        let mut other = Group::open(&leader, 4).expect("a group");
        other.append_durably(0, b"of group 4").await;
        other.apply(0, 1).await.expect("it applies");
        let sent = snapshot(&mut other).await;
        let (store, mut to) = applied(&World::new(2), &payloads("old", 10)).await;
        let data = carried(&sent, &store).expect("it arrives");
        assert!(to.state.install_snapshot(&sent.meta, data).await.is_err());
        assert_eq!((rows(&store, 3), rows(&store, 4)), (model(&payloads("old", 10)), Model::new()));
    });
}

/// Whenever the power goes during an installation: afterwards the rows are the old ones or the new ones, and
/// what is applied says which.
#[test]
fn a_power_cut_anywhere_in_an_installation_leaves_the_old_rows_or_the_new() {
    let (new, old) = (payloads("new", 60), payloads("old", 30));
    let (mut cuts, mut olds, mut news) = (0, 0, 0);
    for operations in 1.. {
        let is_done = run(async {
            let (_leader, mut from) = applied(&World::new(1), &new).await;
            let world = World::new(operations);
            {
                let (store, mut to) = applied(&world, &old).await;
                store.tables().checkpoint().expect("it is made");
                let sent = snapshot(&mut from).await;
                let data = carried(&sent, &store).expect("it arrives");
                world.disk.cut_after(operations);
                if to.state.install_snapshot(&sent.meta, data).await.is_ok() && !world.disk.is_off() {
                    return true;
                }
            }
            let store = world.cut().open().expect("it opens");
            let mut to = Group::open(&store, 3).expect("a group");
            let count = to.applied().await.expect("something was applied") + 1;
            let expected = match count {
                30 => model(&old),
                60 => model(&new),
                other => panic!("{other} entries are applied"),
            };
            *(if count == 30 { &mut olds } else { &mut news }) += 1;
            assert_eq!(rows(&store, 3), expected, "cut at operation {operations}");
            false
        });
        if is_done {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 30 && olds > 0 && news > 0, "{cuts} cuts, {olds} old, {news} new");
}

#[test]
fn a_group_that_lost_its_rows_is_refused() {
    run(async {
        let world = World::new(1);
        {
            let (store, mut group) = applied(&world, &payloads("entry", 30)).await;
            store.tables().checkpoint().expect("it is made");
            group.log.purge(log_id(1, 20)).await.expect("it purges");
            group.append_durably(30, b"one more").await;
        }
        let disk = world.disk.survivor();
        let world = World { table: crate::table::memory_table::MemoryTable::new(&disk), disk };
        let store = world.open().expect("it opens");
        assert!(matches!(store.group(3, Arc::new(super::support::Folding)).err(), Some(Error::Tables(_))));
    });
}

#[test]
fn the_meta_of_nothing_is_nothing() {
    run(async {
        let store = World::new(1).open().expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert!(group.state.get_current_snapshot().await.expect("it is asked for").is_none());
        let mut builder = group.state.get_snapshot_builder().await;
        let built = builder.build_snapshot().await.expect("it is built");
        assert_eq!(built.meta, SnapshotMetaOf::<Types>::default());
    });
}
