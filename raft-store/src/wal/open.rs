//! Opening the log: what is there, what was torn, what is damaged.
//!
//! The end of the last segment may hold a write that the power cut short. Nobody was told that it
//! succeeded, so it is cut off. A bad record with a *later* write behind it is another matter: it was
//! once durable, perhaps acknowledged, and is now unreadable. That is corruption, and it is never cut.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{
    Recovered, Shared, Wal, WalMetrics, WalOptions,
    record::{self, BEGUN, Kind},
    segment::{self, Location, SEGMENT_HEADER_BYTES, Segment},
    writer,
};
use crate::{Error, disk::Disk};

/// Opens the log in a folder and finds out where every group stands.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    options: WalOptions,
) -> Result<(Wal, BTreeMap<u64, Recovered>), Error> {
    let mut groups: BTreeMap<u64, Recovered> = BTreeMap::new();
    let mut segments = BTreeMap::new();
    let names = disk.list().map_err(Error::io("log folder"))?;
    for unfinished in names.iter().filter(|name| name.starts_with("new-")) {
        disk.remove(unfinished).map_err(Error::io(unfinished.clone()))?;
    }
    let numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    check_sequence(&numbers)?;
    let mut last = numbers.last().copied();
    let mut end = SEGMENT_HEADER_BYTES;
    for number in numbers {
        let (segment, used, whole) = read_segment(&*disk, number, Some(number) == last, &mut groups)?;
        if !whole && Some(number) == last {
            // The power went while this segment was begun. It says nothing that the one before does not.
            disk.remove(&segment::name(number)).map_err(Error::io(segment::name(number)))?;
            last = segments.keys().next_back().copied();
            break;
        }
        segments.insert(number, Arc::new(segment));
        end = used;
    }
    let metrics = Arc::new(WalMetrics::default());
    let start = writer::Start {
        segment: last.and_then(|number| segments.get(&number).map(|segment| (number, segment.clone(), end))),
        chains: groups.iter().map(|(group, found)| (*group, found.chain)).collect(),
        votes: groups.iter().filter_map(|(g, found)| found.vote.clone().map(|vote| (*g, vote))).collect(),
        purged: groups
            .iter()
            .filter_map(|(g, found)| found.purged.clone().map(|purged| (*g, purged)))
            .collect(),
    };
    let shared =
        Arc::new(Shared { disk, segments: Mutex::new(segments), metrics, queue: writer::Queue::default() });
    writer::start(shared.clone(), options, start);
    Ok((Wal { shared }, groups))
}

/// Segments are removed from the front only.
fn check_sequence(numbers: &[u64]) -> Result<(), Error> {
    for pair in numbers.windows(2) {
        if pair[0] + 1 != pair[1] {
            let what = format!("the segment before {} is missing", segment::name(pair[1]));
            return Err(Error::Corrupt { segment: segment::name(pair[1]), offset: 0, what });
        }
    }
    Ok(())
}

fn read_segment(
    disk: &dyn Disk,
    number: u64,
    is_last: bool,
    groups: &mut BTreeMap<u64, Recovered>,
) -> Result<(Segment, u64, bool), Error> {
    let name = segment::name(number);
    let file = disk.open(&name).map_err(Error::io(name.clone()))?;
    let bytes = file.len().map_err(Error::io(name.clone()))?;
    let mut content = vec![0; bytes as usize];
    let read = file.read_at(0, &mut content).map_err(Error::io(name.clone()))?;
    content.truncate(read);
    let corrupt = |offset: usize, what: &str| Error::Corrupt {
        segment: name.clone(),
        offset: offset as u64,
        what: what.to_owned(),
    };
    if !segment::check_header(&content, number) {
        return Err(corrupt(0, "the header is not that of this segment"));
    }
    let segment = Segment { file, bytes, last_index: Mutex::default() };
    let mut at = SEGMENT_HEADER_BYTES as usize;
    let mut whole = false;
    while let Some(record) = record::read(&content[at..]) {
        let location = Location { segment: number, offset: at as u64, bytes: record.bytes as u32 };
        let header = record.header;
        if header.group == BEGUN {
            whole = true;
            at += record.bytes;
            continue;
        }
        let is_known = groups.contains_key(&header.group);
        let found = groups.entry(header.group).or_default();
        if (header.kind != Kind::Begin || is_known) && header.chain != found.chain {
            return Err(corrupt(at, "a record of this group is missing before this one"));
        }
        match header.kind {
            Kind::Begin => {}
            Kind::Vote => found.vote = Some(record.body.to_vec()),
            Kind::Entry => {
                found.entries.split_off(&header.index);
                found.entries.insert(header.index, location);
                if let Ok(mut last) = segment.last_index.lock() {
                    last.insert(header.group, header.index);
                }
            }
            Kind::Truncate => {
                found.entries.split_off(&header.index.wrapping_add(1));
            }
            Kind::Purge => {
                found.entries = found.entries.split_off(&header.index.wrapping_add(1));
                found.purged = Some((header.index, record.body.to_vec()));
            }
        }
        found.chain = if header.kind == Kind::Begin { header.chain } else { record.next_chain };
        at += record.bytes;
    }
    let rest = &content[at..];
    if rest.iter().all(|byte| *byte == 0) {
        return Ok((segment, at as u64, whole));
    }
    if !is_last {
        return Err(corrupt(at, "an unreadable record, and later segments follow"));
    }
    if let Some(later) = later_write(rest, at as u64) {
        return Err(corrupt(at, &format!("an unreadable record, and a later write follows at byte {later}")));
    }
    tracing::warn!(segment = name, offset = at, "cut off a write that was never finished");
    segment.file.write_at(at as u64, &vec![0; rest.len()]).map_err(Error::io(name.clone()))?;
    segment.file.sync_data().map_err(Error::io(name.clone()))?;
    Ok((segment, at as u64, whole))
}

/// The offset of a good record in `rest` that was part of a write that began after `bad`.
fn later_write(rest: &[u8], bad: u64) -> Option<u64> {
    let is_later = |at: &usize| record::read(&rest[*at..]).is_some_and(|record| record.header.batch > bad);
    (1..rest.len())
        .filter(|at| rest[*at..].first_chunk::<4>().is_some_and(|l| *l != [0; 4]))
        .find(is_later)
        .map(|at| bad + at as u64)
}
