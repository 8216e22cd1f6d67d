//! Opening the log: what is there, what was torn, what is damaged.
//!
//! The end of the last segment may hold a write that the power cut short. Nobody was told that it
//! succeeded, so it is cut off. A bad record with a *later* write behind it is another matter: the later
//! write was only begun when the earlier was durable, so that record was once good, perhaps acknowledged,
//! and is now unreadable. That is corruption, and it is never cut.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Recovered, Shared, Wal, WalOptions,
    record::{self, Kind, NO_GROUP},
    segment::{self, FOLDER, Place, Segment},
    spare::{self, Spares},
    writer::Writer,
};
use crate::{Error, disk::Disk};

/// Opens the log and finds out where every group stands.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    options: WalOptions,
) -> Result<(Wal, BTreeMap<u64, Recovered>), Error> {
    disk.create_folder(FOLDER).map_err(Error::io(FOLDER))?;
    let names = disk.list(FOLDER).map_err(Error::io(FOLDER))?;
    for unfinished in names.iter().filter(|name| segment::is_unfinished(name)) {
        let path = format!("{FOLDER}/{unfinished}");
        disk.remove(&path).map_err(Error::io(path))?;
    }
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    check_sequence(&numbers)?;

    let mut reading = Reading { disk: &*disk, groups: BTreeMap::new(), end: None };
    let mut spare = None;
    for &number in &numbers {
        match reading.segment(number, Some(&number) == numbers.last())? {
            Found::Begun => {}
            Found::Spare(segment) => spare = Some(segment),
        }
    }
    let Reading { groups, end, .. } = reading;
    for (group, found) in &groups {
        found.check(*group)?;
    }

    let mut segments = BTreeMap::new();
    for &number in numbers.iter().filter(|number| Some(**number) != spare.as_ref().map(|s| s.number)) {
        segments.insert(number, Arc::new(open_segment(&*disk, number)?));
    }
    let current = end.and_then(|(number, at)| Some((segments.get(&number)?.clone(), at)));
    let spares = Arc::new(Spares::new(spare, numbers.last().map_or(1, |last| last + 1)));
    let shared = Arc::new(Shared::new(disk.clone(), segments, spares.clone(), options));
    let standing = groups.iter().map(|(group, found)| (*group, found.standing.clone())).collect();
    let threads = [
        spare::start(spares, disk, options.segment_bytes),
        Writer { shared: shared.clone(), current, standing }.start(),
    ];
    for thread in threads {
        shared.threads().push(thread.map_err(Error::io("a thread of the log"))?);
    }
    Ok((Wal { shared }, groups))
}

/// Segments are removed from the front only.
fn check_sequence(numbers: &[u64]) -> Result<(), Error> {
    match numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let what = format!("segments {} to {} are missing", pair[0] + 1, pair[1] - 1);
            Err(Error::Corrupt { segment: segment::path(pair[1]), offset: 0, what })
        }
    }
}

fn open_segment(disk: &dyn Disk, number: u64) -> Result<Segment, Error> {
    let path = segment::path(number);
    let file = disk.open(&path).map_err(Error::io(path.clone()))?;
    let bytes = file.bytes().map_err(Error::io(path))?;
    Ok(Segment { number, file, bytes })
}

enum Found {
    Begun,
    /// Nothing was written to it, or nothing that anybody was told of.
    Spare(Segment),
}

struct Reading<'a> {
    disk: &'a dyn Disk,
    groups: BTreeMap<u64, Recovered>,
    /// Where the last segment that was begun ends.
    end: Option<(u64, u64)>,
}

impl Reading<'_> {
    fn segment(&mut self, number: u64, is_last: bool) -> Result<Found, Error> {
        let path = segment::path(number);
        let segment = open_segment(self.disk, number)?;
        let mut content = vec![0; segment.bytes as usize];
        let read = segment.file.read_at(0, &mut content).map_err(Error::io(path.clone()))?;
        content.truncate(read);
        let corrupt = |offset: usize, what: String| Error::Corrupt {
            segment: path.clone(),
            offset: offset as u64,
            what,
        };
        if !segment::is_header(&content, number) {
            return Err(corrupt(0, "the header is not that of this segment".to_owned()));
        }

        let is_begun = is_begun(&content);
        let good = if is_begun { self.records(number, &content)? } else { segment::HEADER_BYTES as usize };
        let rest = &content[good..];
        let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let rest = &rest[..used];
        if !is_begun && !is_last {
            return Err(corrupt(good, "it does not say how it begins, and later segments follow".to_owned()));
        }
        if !rest.is_empty() && is_begun && !is_last && !self.is_untouched(number + 1)? {
            return Err(corrupt(good, "an unreadable record, and later segments follow".to_owned()));
        }
        if let Some(later) = later_write(rest, good as u64) {
            return Err(corrupt(good, format!("an unreadable record, and a later write at byte {later}")));
        }
        if !rest.is_empty() {
            tracing::warn!(segment = path, offset = good, bytes = used, "cut off a write that never ended");
            let wiped = segment.file.write_at(good as u64, &vec![0; used]);
            wiped.and_then(|()| segment.file.sync_data()).map_err(Error::io(path))?;
        }
        if !is_begun {
            return Ok(Found::Spare(segment));
        }
        self.end = Some((number, good as u64));
        Ok(Found::Begun)
    }

    /// Whether this is the last segment, and nothing was ever written to it. Then the one before it may
    /// have a torn end: the next is only begun when it has none.
    fn is_untouched(&self, number: u64) -> Result<bool, Error> {
        let later = self.disk.list(FOLDER).map_err(Error::io(FOLDER))?;
        if later.iter().filter_map(|name| segment::number(name)).any(|other| other > number) {
            return Ok(false);
        }
        let segment = open_segment(self.disk, number)?;
        let mut content = vec![0; (segment.bytes - segment::HEADER_BYTES.min(segment.bytes)) as usize];
        let read = segment.file.read_at(segment::HEADER_BYTES, &mut content);
        read.map_err(Error::io(segment::path(number)))?;
        Ok(content.iter().all(|byte| *byte == 0))
    }

    /// Takes in all good records, and says where they end.
    fn records(&mut self, number: u64, content: &[u8]) -> Result<usize, Error> {
        let mut at = segment::HEADER_BYTES as usize;
        while let Some(record) = record::read(&content[at..]) {
            let place = Place { segment: number, offset: at as u64, bytes: record.bytes as u32 };
            if record.head.group != NO_GROUP {
                let is_known = self.groups.contains_key(&record.head.group);
                let found = self.groups.entry(record.head.group).or_default();
                let begins = record.head.kind == Kind::Begin && !is_known;
                if !begins && record.chain != found.standing.chain {
                    return Err(Error::Corrupt {
                        segment: segment::path(number),
                        offset: at as u64,
                        what: format!("a record of group {} before this one is missing", record.head.group),
                    });
                }
                found.take(&record, place);
            }
            at += record.bytes;
        }
        Ok(at)
    }
}

/// Whether the beginning of a segment, with where every group stands, is whole.
fn is_begun(content: &[u8]) -> bool {
    let mut at = segment::HEADER_BYTES as usize;
    while let Some(record) = record::read(&content[at..]) {
        if record.head.group == NO_GROUP {
            return true;
        }
        at += record.bytes;
    }
    false
}

/// The offset of a good record in `rest` that was part of a write that began after `bad`.
fn later_write(rest: &[u8], bad: u64) -> Option<u64> {
    let is_later = |at: &usize| record::is_of_write(&rest[*at..], bad + 1..=bad + *at as u64);
    (1..rest.len()).find(is_later).map(|at| bad + at as u64)
}

impl Recovered {
    fn take(&mut self, record: &record::Read<'_>, place: Place) {
        let head = record.head;
        match head.kind {
            Kind::Begin => {
                self.standing.chain = record.chain;
                return;
            }
            Kind::Entry => {
                self.entries.split_off(&head.index);
                self.entries.insert(head.index, place);
            }
            Kind::Moved => {
                self.entries.insert(head.index, place);
            }
            Kind::Truncate => {
                self.entries.split_off(&head.index);
            }
            Kind::Purge => {
                self.entries = self.entries.split_off(&(head.index + 1));
            }
            Kind::Vote | Kind::Committed => {}
        }
        self.standing.note(&head, record.body);
        self.standing.chain = record.next_chain;
    }

    /// Entries follow each other, and nothing that was committed is missing at the end.
    fn check(&self, group: u64) -> Result<(), Error> {
        let missing = |index: u64| Error::Missing { group, index };
        let mut expected = self.first();
        for &index in self.entries.keys() {
            if index != expected {
                return Err(missing(expected));
            }
            expected += 1;
        }
        match &self.standing.committed {
            Some((committed, _)) if *committed >= expected => Err(missing(expected)),
            _ => Ok(()),
        }
    }
}
