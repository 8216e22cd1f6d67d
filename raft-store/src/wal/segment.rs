//! A segment: a preallocated file with a header, then records, then zeros.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use crate::disk::{Disk, DiskFile};

const MAGIC: &[u8; 8] = b"EVERLOG1";
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;
const NAME_PREFIX: &str = "log-";
/// Zeros are written in pieces of this size when a segment is preallocated.
const FILL_BYTES: usize = 1 << 20;

pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
    /// The last index of each group that has entries in here.
    pub(crate) last_index: Mutex<BTreeMap<u64, u64>>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

pub(crate) fn name(number: u64) -> String {
    format!("{NAME_PREFIX}{number:016}")
}

pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix(NAME_PREFIX)?.parse().ok()
}

/// Makes a segment, with all its blocks written, so that a sync has no metadata to write. It gets its
/// name only when it is whole.
pub(crate) fn create(disk: &dyn Disk, number: u64, bytes: u64) -> io::Result<Segment> {
    let partial = format!("new-{number:016}");
    let file = disk.open(&partial)?;
    let mut header = vec![0; SEGMENT_HEADER_BYTES as usize];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[MAGIC.len()..MAGIC.len() + 8].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..MAGIC.len() + 8]);
    header[MAGIC.len() + 8..MAGIC.len() + 12].copy_from_slice(&crc.to_le_bytes());
    file.write_at(0, &header)?;
    let zeros = vec![0; FILL_BYTES];
    let mut at = SEGMENT_HEADER_BYTES;
    while at < bytes {
        let piece = zeros.len().min((bytes - at) as usize);
        file.write_at(at, &zeros[..piece])?;
        at += piece as u64;
    }
    file.sync_data()?;
    disk.rename(&partial, &name(number))?;
    disk.sync_dir()?;
    Ok(Segment { file, bytes, last_index: Mutex::default() })
}

/// Whether the header is that of this segment.
pub(crate) fn check_header(bytes: &[u8], number: u64) -> bool {
    let fixed = MAGIC.len() + 8;
    bytes.len() >= SEGMENT_HEADER_BYTES as usize
        && &bytes[..MAGIC.len()] == MAGIC
        && bytes[MAGIC.len()..fixed] == number.to_le_bytes()
        && bytes[fixed..fixed + 4] == crc32c::crc32c(&bytes[..fixed]).to_le_bytes()
}
