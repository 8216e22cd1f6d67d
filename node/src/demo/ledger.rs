//! The bank's book: an append-only file of charges.
//!
//! It is what the demo is judged by, so it is as simple as a book can be: a line for each attempt to charge,
//! never changed, synced before the attempt is answered. The first attempt under an idempotency key is a
//! charge; those that follow under the same key are repeats and move no money. Several processes write to
//! the book, one at a time under the file's lock, and any of them may be killed in the middle: the system
//! then frees the lock, and a line without an end counts for nothing.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tokio::sync::oneshot;

/// Most attempts that are written and synced together.
const BATCH_ATTEMPTS_MAX: usize = 256;

/// The idempotency key of a charge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Charge {
    pub(super) workflow: String,
    pub(super) run: String,
    pub(super) period: u32,
}

/// A line of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) entry: Entry,
    pub(super) key: Charge,
    pub(super) cents: u64,
    /// The attempt of the activity, from 1.
    pub(super) attempt: u32,
    /// The process that wrote it.
    pub(super) process: u32,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The money moved.
    Charged,
    /// The key was known: it had moved before.
    Repeated,
}

/// The book could not be written. The attempt may be repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error("the ledger cannot be written: {0}")]
    Io(String),
    #[error("the ledger is closed")]
    Closed,
}

/// The book, open for writing by this process.
pub(super) struct Ledger {
    attempts: mpsc::Sender<Attempt>,
}

struct Attempt {
    key: Charge,
    cents: u64,
    attempt: u32,
    done: oneshot::Sender<Result<Entry, LedgerError>>,
}

impl Ledger {
    /// Opens the book, and creates it if need be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut book = Book::open(path)?;
        let (attempts, waiting) = mpsc::channel();
        std::thread::Builder::new().name("ledger".into()).spawn(move || book.serve(&waiting))?;
        Ok(Self { attempts })
    }

    /// Charges, unless the key was charged before. Returns when the attempt is on disk.
    pub(super) async fn charge(&self, key: Charge, cents: u64, attempt: u32) -> Result<Entry, LedgerError> {
        let (done, answer) = oneshot::channel();
        self.attempts.send(Attempt { key, cents, attempt, done }).map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}

/// The thread that writes, and what it knows.
struct Book {
    file: File,
    reader: Reader,
    known: BTreeSet<Charge>,
}

impl Book {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, reader: Reader::new(path), known: BTreeSet::new() })
    }

    /// Writes whatever waits at once, until nobody can send any more.
    fn serve(&mut self, waiting: &mpsc::Receiver<Attempt>) {
        while let Ok(first) = waiting.recv() {
            let rest = waiting.try_iter().take(BATCH_ATTEMPTS_MAX - 1);
            let batch: Vec<Attempt> = std::iter::once(first).chain(rest).collect();
            match self.write(&batch) {
                Ok(entries) => {
                    for (attempt, entry) in batch.into_iter().zip(entries) {
                        // An activity that has been given up does not wait for its answer.
                        let _ = attempt.done.send(Ok(entry));
                    }
                }
                Err(error) => {
                    for attempt in batch {
                        let _ = attempt.done.send(Err(LedgerError::Io(error.to_string())));
                    }
                }
            }
        }
    }

    fn write(&mut self, batch: &[Attempt]) -> io::Result<Vec<Entry>> {
        self.file.lock()?;
        let written = self.write_locked(batch);
        self.file.unlock()?;
        written
    }

    fn write_locked(&mut self, batch: &[Attempt]) -> io::Result<Vec<Entry>> {
        self.known.extend(self.reader.read_new()?.into_iter().map(|record| record.key));
        let mut text = String::new();
        if self.reader.ends_torn() {
            // Whoever wrote the last line was killed. Nobody else writes now, so it will stay as it is.
            text.push('\n');
        }
        let mut entries = Vec::with_capacity(batch.len());
        for attempt in batch {
            // A key of this batch is known to the lines after it. Should the write fail, all of them fail,
            // and the next batch learns from the file what is in it.
            let entry = match self.known.insert(attempt.key.clone()) {
                true => Entry::Charged,
                false => Entry::Repeated,
            };
            entries.push(entry);
            let Attempt { key, cents, attempt, .. } = attempt;
            let record = Record {
                entry,
                key: key.clone(),
                cents: *cents,
                attempt: *attempt,
                process: std::process::id(),
            };
            text.push_str(&record.to_line());
        }
        let outcome = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if outcome.is_err() {
            self.known.clear();
            self.reader.rewind();
        }
        outcome.map(|()| entries)
    }
}

impl Record {
    fn to_line(&self) -> String {
        let Self { entry, key: Charge { workflow, run, period }, cents, attempt, process } = self;
        let entry = match entry {
            Entry::Charged => "charged",
            Entry::Repeated => "repeated",
        };
        format!("{entry} {workflow}/{run}/{period} cents={cents} attempt={attempt} process={process}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let entry = match words.next()? {
            "charged" => Entry::Charged,
            "repeated" => Entry::Repeated,
            _ => return None,
        };
        let mut key = words.next()?.split('/');
        let key = Charge {
            workflow: key.next()?.to_owned(),
            run: key.next()?.to_owned(),
            period: key.next()?.parse().ok()?,
        };
        let mut figure = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            entry,
            key,
            cents: figure("cents")?.parse().ok()?,
            attempt: figure("attempt")?.parse().ok()?,
            process: figure("process")?.parse().ok()?,
        })
    }
}

/// Reads the book as it grows.
pub(super) struct Reader {
    path: PathBuf,
    /// Up to where it was read: the end of a line.
    at: u64,
    /// There is something after that, and it is not a whole line.
    torn: bool,
}

impl Reader {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), at: 0, torn: false }
    }

    /// The whole lines that came since the last call. A book that does not exist yet is empty.
    pub(super) fn read_new(&mut self) -> io::Result<Vec<Record>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.at += whole as u64;
        self.torn = whole < bytes.len();
        // A line that was torn by a kill, and ended by the next writer, is not a record.
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| Record::parse(std::str::from_utf8(line).ok()?)).collect())
    }

    fn ends_torn(&self) -> bool {
        self.torn
    }

    fn rewind(&mut self) {
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(period: u32) -> Charge {
        Charge { workflow: "sub-1".into(), run: "run".into(), period }
    }

    #[tokio::test]
    async fn a_key_is_charged_once_whoever_asks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let (one, other) = (Ledger::open(&path).expect("opens"), Ledger::open(&path).expect("opens"));
        assert_eq!(one.charge(key(1), 900, 1).await.expect("writes"), Entry::Charged);
        assert_eq!(other.charge(key(1), 900, 2).await.expect("writes"), Entry::Repeated);
        assert_eq!(other.charge(key(2), 900, 1).await.expect("writes"), Entry::Charged);
        let records = Reader::new(&path).read_new().expect("reads");
        let told: Vec<_> = records.iter().map(|it| (it.entry, it.key.period, it.attempt)).collect();
        assert_eq!(told, [(Entry::Charged, 1, 1), (Entry::Repeated, 1, 2), (Entry::Charged, 2, 1)]);
    }

    #[tokio::test]
    async fn a_torn_line_counts_for_nothing_and_spoils_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        std::fs::write(&path, "charged sub-1/run/1 cents=9").expect("writes");
        let ledger = Ledger::open(&path).expect("opens");
        assert_eq!(ledger.charge(key(1), 900, 2).await.expect("writes"), Entry::Charged);
        let mut reader = Reader::new(&path);
        let records = reader.read_new().expect("reads");
        assert_eq!(records.iter().map(|it| it.cents).collect::<Vec<_>>(), [900]);
        assert!(reader.read_new().expect("reads").is_empty(), "nothing is read twice");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record =
            Record { entry: Entry::Repeated, key: key(12), cents: 1_250, attempt: 3, process: 4_711 };
        assert_eq!(Record::parse(record.to_line().trim_end()), Some(record));
    }
}
