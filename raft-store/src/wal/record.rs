//! One record of the log, byte by byte.
//!
//! ```text
//! length u32 | crc32c u32 | group u64 | kind u8 | term u64 | index u64 | chain u64 | batch u64 | body
//! ```
//!
//! Little-endian. `length` counts everything after itself, the checksum covers everything after itself.
//! `chain` is the hash of the group's previous record, so that a record can't go missing in the middle
//! unnoticed. `batch` is the offset at which the write began that this record was part of: what follows a
//! bad record *in the same write* was never acknowledged, what was written later proves that the bad one
//! was once good.
//!
//! Whoever appends leaves a record without chain, batch and checksum ([`begin`], [`end`]): those depend on
//! the order of all records, which only the writer knows ([`seal`]).

use xxhash_rust::xxh3::xxh3_64_with_seed;

const CRC_AT: usize = 4;
const GROUP_AT: usize = 8;
const KIND_AT: usize = 16;
const TERM_AT: usize = 17;
const INDEX_AT: usize = 25;
const CHAIN_AT: usize = 33;
const BATCH_AT: usize = 41;
pub(crate) const HEADER_BYTES: usize = 49;
/// Larger than the largest legal entry; what claims to be larger is damaged.
pub(crate) const RECORD_BYTES_MAX: usize = 128 << 20;

/// The group of the record that ends the beginning of a segment: without it, the beginning is not whole.
pub(crate) const NO_GROUP: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Entry = 1,
    Vote = 2,
    /// Entries from `index` on are gone.
    Truncate = 3,
    /// Entries up to and including `index` are gone.
    Purge = 4,
    /// Where a group stood when a segment began: its chain, in place of the segments before.
    Begin = 5,
    /// The group's entries up to `index` are committed. A hint: it is never waited for.
    Committed = 6,
    /// An entry that was copied from an old segment, so that the segment can go.
    Moved = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        use Kind::*;
        [Entry, Vote, Truncate, Purge, Begin, Committed, Moved].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What is known of a record before its place in the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) group: u64,
    pub(crate) kind: Kind,
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// Begins a record at the end of `out`. The body follows, then [`end`] with what this returned.
pub(crate) fn begin(out: &mut Vec<u8>, head: &Head) -> usize {
    let start = out.len();
    let mut header = [0; HEADER_BYTES];
    header[GROUP_AT..KIND_AT].copy_from_slice(&head.group.to_le_bytes());
    header[KIND_AT] = head.kind as u8;
    header[TERM_AT..INDEX_AT].copy_from_slice(&head.term.to_le_bytes());
    header[INDEX_AT..CHAIN_AT].copy_from_slice(&head.index.to_le_bytes());
    out.extend_from_slice(&header);
    start
}

/// Ends the record that began at `start`, and returns its size.
pub(crate) fn end(out: &mut [u8], start: usize) -> usize {
    let bytes = out.len() - start;
    out[start..start + CRC_AT].copy_from_slice(&((bytes - CRC_AT) as u32).to_le_bytes());
    bytes
}

/// Gives a record its place, and returns the group's new chain hash.
pub(crate) fn seal(record: &mut [u8], chain: u64, batch: u64) -> u64 {
    record[CHAIN_AT..BATCH_AT].copy_from_slice(&chain.to_le_bytes());
    record[BATCH_AT..HEADER_BYTES].copy_from_slice(&batch.to_le_bytes());
    let crc = crc32c::crc32c(&record[GROUP_AT..]);
    record[CRC_AT..GROUP_AT].copy_from_slice(&crc.to_le_bytes());
    next_chain(chain, crc, record.len())
}

/// The chain hash after a record. Over the checksum, which stands for all the bytes.
fn next_chain(chain: u64, crc: u32, bytes: usize) -> u64 {
    let word = u64::from(crc) | (bytes as u64) << 32;
    xxh3_64_with_seed(&word.to_le_bytes(), chain)
}

/// The size of the record that begins here, whether or not the rest of it is good.
pub(crate) fn size(bytes: &[u8]) -> Option<usize> {
    let size = CRC_AT + u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    ((HEADER_BYTES..=RECORD_BYTES_MAX).contains(&size) && size <= bytes.len()).then_some(size)
}

/// The head of a record that is known to be long enough.
pub(crate) fn head(record: &[u8]) -> Option<Head> {
    Some(Head {
        group: number(record, GROUP_AT)?,
        kind: Kind::of(*record.get(KIND_AT)?)?,
        term: number(record, TERM_AT)?,
        index: number(record, INDEX_AT)?,
    })
}

pub(crate) struct Read<'a> {
    pub(crate) head: Head,
    pub(crate) chain: u64,
    pub(crate) batch: u64,
    pub(crate) body: &'a [u8],
    /// Bytes of the whole record.
    pub(crate) bytes: usize,
    pub(crate) next_chain: u64,
}

/// The record at the start of `bytes`, if there is a whole and good one.
pub(crate) fn read(bytes: &[u8]) -> Option<Read<'_>> {
    let record = &bytes[..size(bytes)?];
    let head = head(record)?;
    let crc = u32::from_le_bytes(*record[CRC_AT..].first_chunk()?);
    if crc32c::crc32c(&record[GROUP_AT..]) != crc {
        return None;
    }
    let chain = number(record, CHAIN_AT)?;
    Some(Read {
        head,
        chain,
        batch: number(record, BATCH_AT)?,
        body: &record[HEADER_BYTES..],
        bytes: record.len(),
        next_chain: next_chain(chain, crc, record.len()),
    })
}

/// Whether a good record begins here that was part of a write which began in `writes`. Cheap where there
/// is none, so that it can be asked of every byte of a segment.
pub(crate) fn is_of_write(bytes: &[u8], writes: std::ops::RangeInclusive<u64>) -> bool {
    let plausible = number(bytes, BATCH_AT).is_some_and(|batch| writes.contains(&batch));
    plausible && read(bytes).is_some_and(|record| writes.contains(&record.batch))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_no_flipped_bit_goes_unnoticed() {
        let head = Head { group: 3, kind: Kind::Entry, term: 2, index: 9 };
        let mut bytes = Vec::new();
        let start = begin(&mut bytes, &head);
        bytes.extend(b"body");
        assert_eq!(end(&mut bytes, start), HEADER_BYTES + 4);
        let chain = seal(&mut bytes, 77, 4096);
        let back = read(&bytes).expect("a good record");
        assert_eq!((back.head, back.chain, back.batch), (head, 77, 4096));
        assert_eq!((back.body, back.next_chain), (&b"body"[..], chain));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_none(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|short| read(&bytes[..short]).is_none()));
    }

    #[test]
    fn a_write_is_recognised_by_where_it_began() {
        let mut bytes = Vec::new();
        let start = begin(&mut bytes, &Head { group: 1, kind: Kind::Vote, term: 0, index: 0 });
        end(&mut bytes, start);
        seal(&mut bytes, 0, 5000);
        assert!(is_of_write(&bytes, 4097..=6000));
        assert!(!is_of_write(&bytes, 5001..=6000));
        assert!(!is_of_write(&bytes[..20], 0..=6000));
    }
}
