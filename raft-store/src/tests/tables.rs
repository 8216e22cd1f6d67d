//! The tables: what readers see through all layers, and what a checkpoint leaves behind.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use openraft::storage::RaftStateMachine;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::support::{Folding, Group, Model, World, entry, folded, options, payload, rows, run};
use crate::{
    Batch, Deferred, Error, KeyRange, Machine, Payload, StateMachine, Store, Value,
    table::{OrderedTable, Row, memory_table::MemoryTable, sled_table::SledTable},
};

/// What a test wants done in the next apply.
type Work = Box<dyn FnOnce(&mut Batch) + Send>;

/// Does what it is told, in order.
#[derive(Default)]
struct Obedient {
    work: std::sync::Mutex<Vec<Work>>,
}

impl Machine for Obedient {
    fn apply(&self, _group: u64, _index: u64, _term: u64, _payload: &Payload, batch: &mut Batch) -> Bytes {
        for work in self.work.lock().expect("not poisoned").drain(..) {
            work(batch);
        }
        Bytes::new()
    }

    fn ranges(&self, _group: u64) -> Vec<KeyRange> {
        vec![KeyRange { from: vec![0], to: vec![255] }]
    }
}

struct Told {
    machine: Arc<Obedient>,
    state: StateMachine,
    next: u64,
}

impl Told {
    fn open(store: &Store) -> Told {
        let machine = Arc::new(Obedient::default());
        let (_log, state) = store.group(1, machine.clone()).expect("a group");
        Told { machine, state, next: 0 }
    }

    async fn apply(&mut self, work: impl FnOnce(&mut Batch) + Send + 'static) {
        self.machine.work.lock().expect("not poisoned").push(Box::new(work));
        let entries = [Ok((entry(1, self.next, b""), None))];
        self.state.apply(stream::iter(entries)).await.expect("it applies");
        self.next += 1;
    }
}

/// A new row that goes before the next checkpoint leaves nothing behind, and brings back nothing older.
async fn new_rows_leave_no_trace(store: &Store) {
    let mut told = Told::open(store);
    let tables = store.tables();
    let one = || Value::Bytes(Bytes::from_static(b"1"));
    told.apply(move |batch| batch.put_new(b"k".to_vec(), one())).await;
    assert!(tables.overlay_bytes() > 0);
    told.apply(|batch| batch.delete(b"k".to_vec())).await;
    assert_eq!(tables.overlay_bytes(), 0);
    told.apply(move |batch| batch.put_new(b"k".to_vec(), one())).await;
    tables.checkpoint().expect("it is made");
    // From here on it must be said that the row is gone.
    told.apply(|batch| batch.delete(b"k".to_vec())).await;
    told.apply(move |batch| batch.put_new(b"k".to_vec(), one())).await;
    told.apply(|batch| batch.delete(b"k".to_vec())).await;
    assert!(tables.get(b"k").is_none() && tables.overlay_bytes() > 0);
    tables.checkpoint().expect("it is made");
    assert!(tables.get(b"k").is_none() && tables.overlay_bytes() == 0);
}

#[test]
fn rows_that_come_and_go_leave_no_trace() {
    let world = World::new(1);
    run(new_rows_leave_no_trace(&world.open().expect("it opens")));
}

enum Change {
    Put(Vec<u8>, Bytes),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

fn random_key(random: &mut StdRng) -> Vec<u8> {
    let bytes = random.random_range(0..3);
    [vec![b'k'], (0..bytes).map(|_| random.random_range(0..6u8) * 50).collect()].concat()
}

fn random_change(random: &mut StdRng) -> Change {
    match random.random_range(0..10) {
        0..6 => {
            let bytes = if random.random_ratio(1, 30) { 60_000 } else { random.random_range(0..40) };
            Change::Put(random_key(random), vec![random.random(); bytes].into())
        }
        6..9 => Change::Delete(random_key(random)),
        _ => Change::DeleteRange(random_key(random), random_key(random)),
    }
}

/// Whatever is written, removed and checkpointed: every scan reads what a plain sorted map would.
async fn reads_like_a_sorted_map(seed: u64, store: &Store) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut told = Told::open(store);
    let mut model = Model::new();
    let tables = store.tables();
    for _ in 0..random.random_range(10..40) {
        let changes: Vec<Change> =
            (0..random.random_range(1..30)).map(|_| random_change(&mut random)).collect();
        for change in &changes {
            match change {
                Change::Put(key, value) => drop(model.insert(key.clone(), value.clone())),
                Change::Delete(key) => drop(model.remove(key)),
                Change::DeleteRange(from, to) => model.retain(|key, _| key < from || key >= to),
            }
        }
        let expected_in_batch = model.clone();
        told.apply(move |batch| {
            for change in changes {
                match change {
                    Change::Put(key, value) => match batch.get(&key) {
                        None if value.len() % 3 > 0 => batch.put_new(key, Value::Bytes(value)),
                        _ => batch.put(key, Value::Bytes(value)),
                    },
                    Change::Delete(key) => batch.delete(key),
                    Change::DeleteRange(from, to) => batch.delete_range(from, to),
                }
            }
            for (key, value) in &expected_in_batch {
                assert_eq!(batch.get(key).map(|value| value.to_bytes()).as_ref(), Some(value));
            }
        })
        .await;
        match random.random_range(0..6) {
            0 => tables.checkpoint().expect("it is made"),
            // A view that is let go leaves one more frozen layer behind.
            1 => drop(told.state.get_current_snapshot().await.expect("a snapshot")),
            _ => {}
        }
        for _ in 0..4 {
            let (from, to) = (random_key(&mut random), random_key(&mut random));
            let expected: Vec<_> = if from < to {
                model.range(from.clone()..to.clone()).map(|(k, v)| (k.clone(), v.clone())).collect()
            } else {
                Vec::new()
            };
            let plain = |(key, value): (Vec<u8>, Value)| (key, value.to_bytes());
            let forward: Vec<_> = tables.scan(from.clone(), to.clone()).map(plain).collect();
            assert_eq!(forward, expected, "seed {seed}");
            let mut backward: Vec<_> = tables.scan_back(from.clone(), to).map(plain).collect();
            backward.reverse();
            assert_eq!(backward, expected, "seed {seed}");
            let found = tables.get(&from).map(|value| value.to_bytes());
            assert_eq!(found.as_ref(), model.get(&from), "seed {seed}");
        }
    }
}

#[test]
fn scans_read_like_a_sorted_map_over_rows_in_memory() {
    run(async {
        for seed in 0..150 {
            let store = World::new(seed).open().expect("it opens");
            reads_like_a_sorted_map(seed, &store).await;
        }
    });
}

#[test]
fn scans_read_like_a_sorted_map_over_sled() {
    run(async {
        for seed in 0..8 {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(folder.path(), options()).expect("it opens");
            reads_like_a_sorted_map(seed, &store).await;
        }
    });
}

#[test]
fn long_ranges_are_read_in_pieces_without_gaps() {
    run(async {
        let store = World::new(1).open().expect("it opens");
        let mut told = Told::open(&store);
        let key = |number: u32| [b"k", &number.to_be_bytes()[..]].concat();
        for layer in 0..3u32 {
            told.apply(move |batch| {
                for number in (0..2000u32).filter(|number| number % 3 == layer || number.is_multiple_of(7)) {
                    batch.put(key(number), Value::Bytes(Bytes::copy_from_slice(&layer.to_be_bytes())));
                }
                for number in (0..2000).filter(|number| number % 5 == layer) {
                    batch.delete(key(number));
                }
            })
            .await;
            match layer {
                0 => store.tables().checkpoint().expect("it is made"),
                _ => drop(told.state.get_current_snapshot().await.expect("a snapshot")),
            }
        }
        let forward: Vec<_> = store.tables().scan(key(0), key(2000)).map(|(key, _)| key).collect();
        let mut backward: Vec<_> = store.tables().scan_back(key(0), key(2000)).map(|(key, _)| key).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert!(forward.is_sorted());
        let is_live = |number: u32| {
            let put = (0..3u32).rev().find(|layer| number % 3 == *layer || number.is_multiple_of(7));
            let deleted = (0..3u32).rev().find(|layer| number % 5 == *layer);
            put.is_some_and(|put| deleted.is_none_or(|deleted| deleted < put))
        };
        let expected: Vec<_> = (0..2000).filter(|number| is_live(*number)).map(key).collect();
        assert_eq!(forward, expected);
    });
}

/// Counts how often it is encoded.
struct Counted {
    encoded: Arc<AtomicU64>,
    text: &'static str,
}

impl Deferred for Counted {
    fn to_bytes(&self) -> Vec<u8> {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.text.into()
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn approximate_bytes(&self) -> usize {
        self.text.len()
    }
}

#[test]
fn a_deferred_value_is_encoded_by_a_checkpoint_and_not_before() {
    run(async {
        let store = World::new(1).open().expect("it opens");
        let mut told = Told::open(&store);
        let encoded = Arc::new(AtomicU64::new(0));
        let value = |text| Arc::new(Counted { encoded: encoded.clone(), text }) as Arc<dyn Deferred>;
        let (short, long) = (value("short-lived"), value("long-lived"));
        told.apply(|batch| {
            batch.put(b"short".to_vec(), Value::Deferred(short));
            batch.put(b"long".to_vec(), Value::Deferred(long));
        })
        .await;
        let tables = store.tables();
        let Some(Value::Deferred(found)) = tables.get(b"short") else { panic!("it is kept as it is") };
        assert!(found.as_any().downcast::<Counted>().is_ok());
        told.apply(|batch| batch.delete(b"short".to_vec())).await;
        assert_eq!(encoded.load(Ordering::Relaxed), 0);
        tables.checkpoint().expect("it is made");
        assert_eq!(encoded.load(Ordering::Relaxed), 1, "the row that was gone is never encoded");
        assert!(matches!(tables.get(b"long"), Some(Value::Bytes(bytes)) if bytes == "long-lived"));
        assert!(tables.get(b"short").is_none());
        assert_eq!((store.metrics().checkpoints, store.metrics().overlay_bytes), (1, 0));
    });
}

#[test]
fn a_large_overlay_is_moved_without_being_asked_for() {
    run(async {
        let world = World::new(1);
        let mut options = options();
        options.checkpoint.overlay_bytes_max = 100_000;
        let store = world.open_with(options).expect("it opens");
        let mut told = Told::open(&store);
        for number in 0..500u32 {
            told.apply(move |batch| {
                batch.put(number.to_be_bytes().to_vec(), Value::Bytes(vec![7; 2000].into()))
            })
            .await;
        }
        assert!(store.metrics().checkpoints >= 3, "{:?}", store.metrics());
        assert!(store.metrics().overlay_bytes < 500_000, "{:?}", store.metrics());
        assert_eq!(store.tables().scan(vec![0], vec![1]).count(), 500);
    });
}

#[test]
fn what_a_start_has_applied_is_moved_before_the_next_start() {
    run(async {
        let world = World::new(1);
        let mut options = options();
        options.checkpoint.overlay_bytes_max = 100_000;
        let store = world.open_with(options).expect("it opens");
        let mut told = Told::open(&store);
        for number in 0..10u32 {
            told.apply(move |batch| {
                batch.put(number.to_be_bytes().to_vec(), Value::Bytes(vec![7; 2000].into()))
            })
            .await;
        }
        assert_eq!(store.metrics().checkpoints, 0);
        store.opened();
        let moved = async {
            while store.metrics().checkpoints == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), moved).await.expect("a checkpoint");
        assert_eq!(store.metrics().overlay_bytes, 0);
    });
}

#[test]
fn a_batch_is_seen_as_a_whole_while_checkpoints_are_made() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), options()).expect("it opens");
        let mut told = Told::open(&store);
        let keys: Vec<Vec<u8>> = (0..20u8).map(|number| vec![b'k', number * 10]).collect();
        let all = keys.clone();
        let write = move |round: u64| {
            let keys = all.clone();
            move |batch: &mut Batch| {
                for key in keys {
                    batch.put(key, Value::Bytes(Bytes::copy_from_slice(&round.to_be_bytes())));
                }
            }
        };
        told.apply(write(0)).await;
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = [false, true]
            .into_iter()
            .map(|backward| {
                let (tables, stop) = (store.tables(), stop.clone());
                std::thread::spawn(move || {
                    let mut looks = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Fewer rows than the first piece has: one look.
                        let (from, to) = (vec![b'k'], vec![b'k', 70]);
                        let scan = if backward { tables.scan_back(from, to) } else { tables.scan(from, to) };
                        let found: Vec<Bytes> = scan.map(|(_, value)| value.to_bytes()).collect();
                        assert_eq!(found.len(), 7);
                        assert!(found.iter().all(|value| *value == found[0]), "{found:?}");
                        looks += 1;
                    }
                    looks
                })
            })
            .collect();
        for round in 1..300 {
            told.apply(write(round)).await;
            if round % 10 == 0 {
                store.tables().checkpoint().expect("it is made");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("no mixed look") > 0);
        }
    });
}

#[test]
fn a_checkpoint_that_finds_the_disk_full_is_made_when_there_is_room() {
    run(async {
        let world = World::new(1);
        let store = world.open().expect("it opens");
        let mut told = Told::open(&store);
        told.apply(|batch| batch.put(b"key".to_vec(), Value::Bytes(vec![7; 100_000].into()))).await;
        world.disk.limit(Some(world.disk.bytes()));
        let tables = store.tables();
        let made = std::thread::spawn(move || tables.checkpoint());
        while store.metrics().checkpoints_failed == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(store.trouble().is_some_and(|trouble| trouble.is_full && trouble.may_pass));
        told.apply(|batch| batch.put(b"other".to_vec(), Value::Bytes("more".into()))).await;
        world.disk.limit(None);
        made.join().expect("no panic").expect("it is made");
        assert_eq!(store.trouble(), None);
        let keys: Vec<_> = store.tables().scan(vec![0], vec![255]).map(|(key, _)| key).collect();
        assert_eq!(keys, [b"key".to_vec(), b"other".to_vec()]);
    });
}

/// Whoever asked is stopped; that the node can't go on is known from then on.
#[test]
fn rows_that_can_not_be_read_are_trouble_for_good() {
    run(async {
        let world = World::new(1);
        let base = Arc::new(Unreadable(world.table.clone()));
        let store = Store::over(Arc::new(world.disk.clone()), base, options()).expect("it opens");
        let tables = store.tables();
        let read = std::thread::spawn(move || tables.get(b"key")).join();
        assert!(read.is_err(), "there is no answer");
        assert!(store.trouble().is_some_and(|trouble| !trouble.is_full && !trouble.may_pass));
        assert!(store.close().is_err());
    });
}

/// A table whose rows have become unreadable.
struct Unreadable(MemoryTable);

impl OrderedTable for Unreadable {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>, Error> {
        Err(Error::Tables("bits have rotted".to_owned()))
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, Error> {
        self.0.range(from, to, most, backward)
    }

    fn write(&self, rows: &[Row]) -> Result<(), Error> {
        self.0.write(rows)
    }

    fn flush(&self) -> Result<(), Error> {
        self.0.flush()
    }
}

/// A checkpoint that is cut short at any point at all leaves rows of one index, and replaying the log over
/// them leads to the rows that there would have been.
#[test]
fn a_power_cut_anywhere_in_a_checkpoint_leaves_rows_of_one_index() {
    let payload_of = |index: u64| format!("payload {index}").into_bytes();
    let payloads: Vec<Vec<u8>> = (0..60).map(payload_of).collect();
    let model = |count: usize| folded(3, payloads[..count].iter().map(Vec::as_slice));
    let (mut cuts, mut before, mut after) = (0, 0, 0);
    for operations in 1.. {
        let is_done = run(async {
            let world = World::new(operations);
            {
                let store = world.open().expect("it opens");
                let mut group = Group::open(&store, 3).expect("a group");
                for (index, payload) in payloads.iter().enumerate() {
                    group.append_durably(index as u64, payload).await;
                }
                group.apply(0, 25).await.expect("it applies");
                store.tables().checkpoint().expect("it is made");
                group.apply(25, 55).await.expect("it applies");
                world.disk.cut_after(operations);
                if store.tables().checkpoint().is_ok() {
                    return true;
                }
            }
            let store = world.cut().open().expect("it opens");
            let mut group = Group::open(&store, 3).expect("a group");
            let applied = group.applied().await.expect("something was applied") + 1;
            assert!(applied == 25 || applied == 55, "{applied}");
            *(if applied == 25 { &mut before } else { &mut after }) += 1;
            assert_eq!(rows(&store, 3), model(applied as usize), "cut at operation {operations}");
            group.apply(applied, 60).await.expect("it applies");
            assert_eq!(rows(&store, 3), model(60), "cut at operation {operations}");
            store.tables().checkpoint().expect("it is made");
            assert_eq!(rows(&store, 3), model(60), "cut at operation {operations}");
            false
        });
        if is_done {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 50 && before > 0 && after > 0, "{cuts} cuts, {before} before, {after} after");
}

/// The same bytes in sled, after the process was killed rather than closed.
#[test]
fn sled_and_the_log_together_lead_to_the_same_rows_after_a_kill() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let payloads: Vec<Vec<u8>> =
            (0..200u32).map(|index| vec![index as u8; 1 + index as usize * 300]).collect();
        {
            let store = Store::open(folder.path(), options()).expect("it opens");
            let mut group = Group::open(&store, 3).expect("a group");
            for (index, payload) in payloads.iter().enumerate() {
                group.append_durably(index as u64, payload).await;
            }
            group.apply(0, 120).await.expect("it applies");
            store.tables().checkpoint().expect("it is made");
            group.apply(120, 180).await.expect("it applies");
        }
        let store = Store::open(folder.path(), options()).expect("it opens");
        let mut group = Group::open(&store, 3).expect("a group");
        assert_eq!(group.applied().await, Some(119));
        let found = group.read(0, 200).await;
        assert!(found.iter().map(payload).eq(payloads.iter().cloned().map(Bytes::from)));
        group.apply(120, 200).await.expect("it applies");
        let expected = folded(3, payloads.iter().map(Vec::as_slice));
        assert_eq!(rows(&store, 3), expected);
        store.close().expect("it closes");
        drop((group, store));
        let store = Store::open(folder.path(), options()).expect("it opens");
        let (_, mut state) = store.group(3, Arc::new(Folding)).expect("a group");
        assert_eq!(state.applied_state().await.expect("known").0.map(|id| id.index), Some(199));
        assert_eq!(rows(&store, 3), expected);
    });
}

#[test]
fn both_tables_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let sled = SledTable::open(folder.path(), 1 << 20).expect("it opens");
    let memory = World::new(1).table;
    let mut random = StdRng::seed_from_u64(7);
    let mut model: BTreeMap<Vec<u8>, Bytes> = BTreeMap::new();
    for _ in 0..300 {
        let key = random_key(&mut random);
        let bytes = if random.random_ratio(1, 5) { 70_000 } else { 50 };
        let value = random.random_ratio(2, 3).then(|| Bytes::from(vec![random.random(); bytes]));
        match value.clone() {
            Some(value) => drop(model.insert(key.clone(), value)),
            None => drop(model.remove(&key)),
        }
        for table in [&sled as &dyn OrderedTable, &memory] {
            table.write(&[(key.clone(), value.clone())]).expect("it writes");
            let (from, to) = (random_key(&mut random), random_key(&mut random));
            let most = random.random_range(1..5);
            let in_range = model.iter().filter(|(key, _)| **key >= from && **key < to);
            let mut expected: Vec<_> = in_range.map(|(k, v)| (k.clone(), v.clone())).collect();
            let backward = random.random();
            if backward {
                expected.reverse();
            }
            expected.truncate(most);
            assert_eq!(table.range(&from, &to, most, backward).expect("it reads"), expected);
        }
    }
}
