//! sled 0.34.7 as the durable map behind the tables.
//!
//! Five of its habits are worked around here. Its `flush` writes but does not sync the file, so we sync it
//! through a handle of our own. Values that outgrow a page go to files of their own that it never syncs, so
//! large values are cut into pieces. It panics on some damaged files, so it is opened under `catch_unwind`.
//! Its threads may hold the lock of its file for a moment after it was dropped, so that moment is waited
//! for; other processes are kept out by the store's own lock. And it hears late of which pages were used, and
//! keeps far more of them than it was told to until then, so it is made to hear of them when it rests. What it
//! remembers of each page it allocates in the middle of what a busy node needs for a moment, so that few pages of the
//! allocator become empty; when it rests it is made to allocate that anew, close together.
//!
//! ```text
//! key                                                  0 | value
//! key                                                  1 | version u64 | pieces u32
//! 'p' | key bytes u16 | key | version u64 | piece u32  bytes
//! ```
//!
//! Pieces carry the hash of the whole value as their version, so that a reader who comes while a value is
//! replaced never mixes two of them.

use std::{
    fs::{File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sled::IVec;
use xxhash_rust::xxh3::xxh3_64;

use super::{OrderedTable, Row};
use crate::Error;

/// Values up to this size are one row of sled.
const INLINE_BYTES_MAX: usize = 24 << 10;
/// Its file grows by so much.
const SEGMENT_BYTES: usize = 2 << 20;
/// Its file, in its folder.
const DB_FILE: &str = "db";
/// The same, for messages.
const FILE: &str = "tables/db";
/// How long an earlier sled of this process may take to let go of its file.
const LET_GO_LIMIT: Duration = Duration::from_secs(10);
/// Keys that begin alike for so long stand for each other when pages are looked for.
const SAMPLE_BYTES: usize = 3;
/// Pages that are read when it rests, so many that hardly a part of the cache has none of them, and how often.
const REST_PAGES: usize = 1024;
const REST_ROUNDS: usize = 64;
/// So many bytes of rows are walked over at once when it rests.
const WALK_BYTES: u64 = 32 << 20;
/// Behind so many ends of the table, all pages have been walked over.
const WALK_ENDS: u32 = 2;
const PIECE_PREFIX: u8 = b'p';
const INLINE: u8 = 0;
const IN_PIECES: u8 = 1;

pub struct SledTable {
    db: sled::Db,
    /// sled's own file, opened once more to sync it.
    file: File,
    walk: Mutex<Walk>,
}

/// Reading a page and letting it go allocates anew what sled remembers of it. How far that is done follows from how
/// much was written, so that a large table with few changes is not read for their sake.
#[derive(Default)]
struct Walk {
    /// So many bytes were written that no walk has followed yet.
    owed_bytes: u64,
    /// The first key that was not walked over.
    from: Vec<u8>,
    /// How often the end was reached since something was written.
    ends: u32,
}

impl SledTable {
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<SledTable, Error> {
        wait_until_let_go(&folder.join(DB_FILE))?;
        let config = sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(Error::Tables("sled can't make sense of its file".to_owned())),
        };
        let path = folder.join(DB_FILE);
        let file = File::open(&path).map_err(Error::io(path.display().to_string()))?;
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(Error::io(folder.display().to_string()))?;
        }
        Ok(SledTable { db, file, walk: Mutex::default() })
    }

    /// The value that is stored under a key. The row may be replaced at any time; its pieces then go.
    fn assemble(&self, key: &[u8], mut stored: IVec) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some((&INLINE, value)) = stored.split_first() {
                return Ok(Some(Bytes::copy_from_slice(value)));
            }
            let pieces = Pieces::of(&stored).ok_or_else(|| damaged(key))?;
            if let Some(value) = self.join(key, &pieces)? {
                return Ok(Some(value));
            }
            match self.db.get(key).map_err(failed)? {
                None => return Ok(None),
                Some(again) if again == stored => return Err(damaged(key)),
                Some(again) => stored = again,
            }
        }
    }

    fn join(&self, key: &[u8], pieces: &Pieces) -> Result<Option<Bytes>, Error> {
        let mut value = Vec::with_capacity(pieces.count as usize * INLINE_BYTES_MAX);
        for number in 0..pieces.count {
            match self.db.get(pieces.key(key, number)).map_err(failed)? {
                Some(piece) => value.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        if xxh3_64(&value) != pieces.version {
            return Err(damaged(key));
        }
        Ok(Some(value.into()))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if value.len() <= INLINE_BYTES_MAX {
            let old = self.db.insert(key, [&[INLINE], value].concat()).map_err(failed)?;
            return self.forget(key, old, None);
        }
        let pieces = Pieces { version: xxh3_64(value), count: value.len().div_ceil(INLINE_BYTES_MAX) as u32 };
        for (number, piece) in (0..).zip(value.chunks(INLINE_BYTES_MAX)) {
            self.db.insert(pieces.key(key, number), piece).map_err(failed)?;
        }
        let old = self.db.insert(key, pieces.stored()).map_err(failed)?;
        self.forget(key, old, Some(pieces.version))
    }

    fn walk_state(&self) -> MutexGuard<'_, Walk> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Walks over the next rows, and says whether that was all. Who writes does not wait for it.
    fn walk(&self) -> Result<bool, Error> {
        let (mut left, mut from) = {
            let mut walk = self.walk_state();
            let left = walk.owed_bytes.min(WALK_BYTES);
            walk.owed_bytes -= left;
            (left, std::mem::take(&mut walk.from))
        };
        let mut rows = self.db.range(from.as_slice()..);
        let mut is_end = false;
        while left > 0 && !is_end {
            if let Some(row) = rows.next() {
                let (key, value) = row.map_err(failed)?;
                left = left.saturating_sub((key.len() + value.len()) as u64);
                if left == 0 {
                    from = key.to_vec();
                }
            } else {
                is_end = true;
                from.clear();
            }
        }
        let mut walk = self.walk_state();
        walk.from = from;
        walk.ends += u32::from(is_end);
        if walk.ends == WALK_ENDS {
            walk.owed_bytes = 0;
        }
        Ok(walk.owed_bytes == 0)
    }

    /// Removes the pieces of a value that was replaced.
    fn forget(&self, key: &[u8], old: Option<IVec>, kept_version: Option<u64>) -> Result<(), Error> {
        let Some(old) = old.as_deref().and_then(Pieces::of) else { return Ok(()) };
        if Some(old.version) == kept_version {
            return Ok(());
        }
        for number in 0..old.count {
            self.db.remove(old.key(key, number)).map_err(failed)?;
        }
        Ok(())
    }
}

impl OrderedTable for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.db.get(key).map_err(failed)? {
            Some(stored) => self.assemble(key, stored),
            None => Ok(None),
        }
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = self.db.range(from..to);
        let row = |row: sled::Result<(IVec, IVec)>| -> Result<Option<(Vec<u8>, Bytes)>, Error> {
            let (key, stored) = row.map_err(failed)?;
            Ok(self.assemble(&key, stored)?.map(|value| (key.to_vec(), value)))
        };
        let live = |row: Result<Option<_>, Error>| row.transpose();
        if backward {
            range.rev().map(row).filter_map(live).take(most).collect()
        } else {
            range.map(row).filter_map(live).take(most).collect()
        }
    }

    /// Row by row rather than as a batch, which would stop all readers until it is through.
    fn write(&self, rows: &[Row]) -> Result<(), Error> {
        let bytes = |(key, value): &Row| (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64;
        {
            let mut walk = self.walk_state();
            walk.owed_bytes += rows.iter().map(bytes).sum::<u64>();
            walk.ends = 0;
        }
        for (key, value) in rows {
            match value {
                Some(value) => self.put(key, value)?,
                None => {
                    let old = self.db.remove(key).map_err(failed)?;
                    self.forget(key, old, None)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.db.flush().map_err(failed)?;
        self.file.sync_data().map_err(Error::io(FILE))
    }

    /// Which pages were used goes into lists, one for each of 256 parts of its cache, and is taken into account
    /// when a list has 64 lines: some ten thousand pages may be in memory that no limit knows of. A few
    /// hundred pages, of all parts, are read until every list is full.
    fn rest(&self) -> Result<bool, Error> {
        if !self.walk()? {
            return Ok(false);
        }
        let mut samples = Vec::new();
        let mut from = Vec::new();
        while let Some((key, _)) = self.db.get_gt(&from).map_err(failed)? {
            let next = next_sample(&key);
            samples.push(key);
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        let step = samples.len().div_ceil(REST_PAGES).max(1);
        for _ in 0..REST_ROUNDS {
            for key in samples.iter().step_by(step) {
                self.db.get(key).map_err(failed)?;
            }
            std::thread::yield_now();
        }
        Ok(true)
    }
}

/// If it is never free, sled says so itself.
fn wait_until_let_go(path: &Path) -> Result<(), Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io(path.display().to_string()))?,
    };
    let deadline = Instant::now() + LET_GO_LIMIT;
    while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The next key that begins differently; none behind the last.
fn next_sample(key: &[u8]) -> Option<Vec<u8>> {
    let mut next = key[..key.len().min(SAMPLE_BYTES)].to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// Where the pieces of a large value are.
struct Pieces {
    version: u64,
    count: u32,
}

impl Pieces {
    fn of(stored: &[u8]) -> Option<Pieces> {
        let (&IN_PIECES, rest) = stored.split_first()? else { return None };
        let (version, rest) = rest.split_first_chunk()?;
        Some(Pieces {
            version: u64::from_le_bytes(*version),
            count: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }

    fn stored(&self) -> Vec<u8> {
        [&[IN_PIECES], &self.version.to_le_bytes()[..], &self.count.to_le_bytes()].concat()
    }

    fn key(&self, key: &[u8], number: u32) -> Vec<u8> {
        let key_bytes = (key.len() as u16).to_be_bytes();
        [&[PIECE_PREFIX], &key_bytes[..], key, &self.version.to_be_bytes(), &number.to_be_bytes()].concat()
    }
}

fn failed(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => Error::Io { path: FILE.to_owned(), error },
        damaged => Error::Tables(damaged.to_string()),
    }
}

fn damaged(key: &[u8]) -> Error {
    Error::Tables(format!("the value of key {} is not whole", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> SledTable {
        SledTable::open(folder, 1 << 20).expect("it opens")
    }

    #[test]
    fn large_values_come_back_whole_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = open(folder.path());
        let key = b"uk".to_vec();
        for bytes in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 1 << 20, 3 * INLINE_BYTES_MAX, 5] {
            let value: Vec<u8> = (0..bytes).map(|at| (at * 7 + bytes) as u8).collect();
            table.write(&[(key.clone(), Some(value.clone().into()))]).expect("it writes");
            assert_eq!(table.get(&key).expect("it reads"), Some(value.clone().into()));
            let rows = table.range(b"u", b"v", 10, bytes % 2 == 0).expect("it reads");
            assert_eq!(rows, [(key.clone(), value.into())]);
        }
        assert_eq!(table.db.len(), 1, "pieces of replaced values are gone");
        table.write(&[(key.clone(), Some(vec![1; 1 << 20].into())), (key.clone(), None)]).expect("it writes");
        assert_eq!((table.get(&key).expect("it reads"), table.db.len()), (None, 0));
        assert!(!folder.path().join("blobs").read_dir().is_ok_and(|mut blobs| blobs.next().is_some()));
    }

    #[test]
    fn a_table_that_rests_keeps_its_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = open(folder.path());
        assert!(table.rest().expect("it rests"), "there is nothing to rest from");
        let rows: Vec<Row> = (0u32..5000)
            .map(|row| ([&[255], &row.to_be_bytes()[2..], &[7]].concat(), Some(vec![row as u8; 100].into())))
            .collect();
        table.write(&rows).expect("it writes");
        assert!(table.rest().expect("it rests"), "that is walked over at once");
        let found = table.range(&[], &[255; 5], usize::MAX, false).expect("it reads");
        assert_eq!(found.len(), rows.len());
    }

    #[test]
    fn a_walk_ends_behind_what_was_written_and_goes_on_from_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = open(folder.path());
        let row = |number: u32| (number.to_be_bytes().to_vec(), Some(Bytes::from(vec![7; 20_000])));
        let rows: Vec<Row> = (0..2_000).map(row).collect();
        table.write(&rows).expect("it writes");
        let walk = || {
            let is_done = table.rest().expect("it rests");
            let walk = table.walk.lock().expect("no panic");
            (is_done, walk.owed_bytes, walk.from.clone())
        };
        let first_walk_rows = WALK_BYTES.div_ceil(20_005) as u32;
        assert_eq!(
            walk(),
            (false, 2_000 * 20_004 - WALK_BYTES, (first_walk_rows - 1).to_be_bytes().to_vec())
        );
        let (is_done, owed_bytes, from) = walk();
        assert_eq!((is_done, owed_bytes), (true, 0));
        assert!(from > first_walk_rows.to_be_bytes().to_vec() && from < 2_000_u32.to_be_bytes().to_vec());
        for _ in 0..3 {
            table.write(&rows).expect("it writes");
        }
        let walks = (1..).find(|_| walk().0).expect("it ends");
        assert_eq!(walks, 3, "the little that was left, and all of it once");
    }

    #[test]
    fn a_file_that_is_let_go_of_late_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(open(folder.path()));
        let file = File::open(folder.path().join(DB_FILE)).expect("it opens");
        file.lock().expect("it locks");
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| open(folder.path()));
            thread::sleep(Duration::from_millis(50));
            drop(file);
            opening.join().expect("it opens");
        });
    }

    #[test]
    fn a_reader_never_mixes_two_values() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = open(folder.path());
        let value = |byte: u8| Bytes::from(vec![byte; 100_000 + usize::from(byte)]);
        table.write(&[(b"uk".to_vec(), Some(value(0)))]).expect("it writes");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for byte in 1..100 {
                    table.write(&[(b"uk".to_vec(), Some(value(byte)))]).expect("it writes");
                }
            });
            while !writer.is_finished() {
                let found = table.get(b"uk").expect("it reads").expect("it is there");
                assert_eq!(found, value(found[0]));
            }
        });
    }

    /// What is damaged is found out when it is opened or when it is read, and never by a panic.
    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let rows: Vec<Row> =
            (0u32..3000).map(|row| (row.to_be_bytes().to_vec(), Some(vec![row as u8; 500].into()))).collect();
        let mut refused = 0;
        for damage in ["conf", "db", "snap"] {
            let folder = tempfile::tempdir().expect("a folder");
            {
                let table = open(folder.path());
                table.write(&rows).expect("it writes");
                table.flush().expect("it flushes");
            }
            for file in folder.path().read_dir().expect("a folder").flatten() {
                if file.file_name().to_string_lossy().starts_with(damage) {
                    let mut content = std::fs::read(file.path()).expect("it reads");
                    content.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a);
                    std::fs::write(file.path(), content).expect("it writes");
                }
            }
            let opened = SledTable::open(folder.path(), 1 << 20);
            let read = opened.and_then(|table| table.range(&[], &[255; 5], usize::MAX, false));
            refused += u32::from(read.is_err());
        }
        assert!(refused > 0, "damage is noticed");
    }
}
