//! One record of the log, byte by byte.
//!
//! ```text
//! length u32 | crc32c u32 | group u64 | kind u8 | term u64 | index u64 | chain u64 | batch u64 | body
//! ```
//!
//! `length` counts everything after itself, the checksum covers everything after itself. `chain` is the
//! hash of the group's previous record, so that a record cannot go missing in the middle unnoticed.
//! `batch` is the offset at which the write began that this record was part of: what follows a bad record
//! *in the same write* was never acknowledged, what was written later proves that the bad one was once
//! good.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const LENGTH_BYTES: usize = 4;
const CHECKED_AT: usize = 8;
pub const HEADER_BYTES: usize = CHECKED_AT + 8 + 1 + 8 + 8 + 8 + 8;
/// Larger than the largest legal entry; what claims to be larger is damaged.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

/// The group of the record that ends the beginning of a segment: without it, the beginning is not whole.
pub const BEGUN: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Entry = 1,
    Vote = 2,
    /// Entries after `index` are gone.
    Truncate = 3,
    /// Entries up to `index` are gone.
    Purge = 4,
    /// Where a group stood when a segment began: its chain, in place of the segments before.
    Begin = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Entry, Kind::Vote, Kind::Truncate, Kind::Purge, Kind::Begin]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub group: u64,
    pub kind: Kind,
    pub term: u64,
    pub index: u64,
    pub chain: u64,
    pub batch: u64,
}

/// Appends the record to `out` and returns the group's new chain hash.
pub fn write(out: &mut Vec<u8>, header: &Header, body: &[u8]) -> u64 {
    let start = out.len();
    let length = (HEADER_BYTES - LENGTH_BYTES + body.len()) as u32;
    out.extend(length.to_le_bytes());
    out.extend([0; 4]);
    out.extend(header.group.to_le_bytes());
    out.push(header.kind as u8);
    out.extend(header.term.to_le_bytes());
    out.extend(header.index.to_le_bytes());
    out.extend(header.chain.to_le_bytes());
    out.extend(header.batch.to_le_bytes());
    out.extend(body);
    let crc = crc32c::crc32c(&out[start + CHECKED_AT..]);
    out[start + LENGTH_BYTES..start + CHECKED_AT].copy_from_slice(&crc.to_le_bytes());
    next_chain(header.chain, crc, length)
}

/// The chain hash after a record. Over the checksum, which stands for all the bytes.
fn next_chain(chain: u64, crc: u32, length: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes[4..].copy_from_slice(&length.to_le_bytes());
    xxh3_64_with_seed(&bytes, chain)
}

pub struct Read<'a> {
    pub header: Header,
    pub body: &'a [u8],
    /// Bytes of the whole record.
    pub bytes: usize,
    pub next_chain: u64,
}

/// The record at the start of `bytes`, if there is a whole and good one.
pub fn read(bytes: &[u8]) -> Option<Read<'_>> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    let total = LENGTH_BYTES + length as usize;
    if !(HEADER_BYTES..=RECORD_BYTES_MAX).contains(&total) || total > bytes.len() {
        return None;
    }
    let crc = u32::from_le_bytes(bytes[LENGTH_BYTES..CHECKED_AT].try_into().ok()?);
    if crc32c::crc32c(&bytes[CHECKED_AT..total]) != crc {
        return None;
    }
    let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    let header = Header {
        group: number(CHECKED_AT)?,
        kind: Kind::of(bytes[CHECKED_AT + 8])?,
        term: number(CHECKED_AT + 9)?,
        index: number(CHECKED_AT + 17)?,
        chain: number(CHECKED_AT + 25)?,
        batch: number(CHECKED_AT + 33)?,
    };
    let next_chain = next_chain(header.chain, crc, length);
    Some(Read { header, body: &bytes[HEADER_BYTES..total], bytes: total, next_chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_no_flipped_bit_goes_unnoticed() {
        let header = Header { group: 3, kind: Kind::Entry, term: 2, index: 9, chain: 77, batch: 4096 };
        let mut bytes = Vec::new();
        let chain = write(&mut bytes, &header, b"body");
        let back = read(&bytes).expect("a good record");
        assert_eq!((back.header, back.body, back.next_chain), (header, &b"body"[..], chain));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_none(), "bit {bit}");
        }
    }
}
