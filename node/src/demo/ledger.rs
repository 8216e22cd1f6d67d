//! The world outside: an append-only file in which each attempt to charge leaves a line.
//!
//! It stands for a payment provider. An attempt may be repeated, for nobody can know whether one that went
//! unanswered has charged; so a charge has a key, and attempts with the same key are one charge.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// One attempt to charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The same for every attempt of one charge.
    pub(super) key: String,
    pub(super) customer: String,
    pub(super) period: u64,
    pub(super) cents: u64,
    pub(super) attempt: u32,
}

/// The file, open for appending. Several processes may have it open.
pub(super) struct Ledger {
    file: File,
}

impl Ledger {
    pub(super) fn open(path: &Path) -> io::Result<Ledger> {
        Ok(Ledger { file: OpenOptions::new().create(true).append(true).open(path)? })
    }

    /// Appends a line; on return it is on the disk.
    pub(super) fn append(&self, entry: &Entry) -> io::Result<()> {
        let Entry { key, customer, period, cents, attempt } = entry;
        let line = format!("{key} {customer} {period} {cents} {attempt}\n");
        // One write, so that lines of several processes do not mix.
        (&self.file).write_all(line.as_bytes())?;
        self.file.sync_data()
    }
}

/// All entries. A last line without its end was cut by a kill, and is none.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| parse(line).ok_or_else(|| damaged(line))).collect()
}

/// How many charges these attempts are.
pub(super) fn keys(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| &entry.key).collect::<BTreeSet<_>>().len()
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let entry = Entry {
        key: words.next()?.to_owned(),
        customer: words.next()?.to_owned(),
        period: words.next()?.parse().ok()?,
        cents: words.next()?.parse().ok()?,
        attempt: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(entry)
}

fn damaged(line: &str) -> io::Error {
    io::Error::other(format!("the ledger has a line that is none: {line:?}"))
}
