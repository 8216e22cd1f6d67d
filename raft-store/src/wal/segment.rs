//! A segment: a preallocated file with a header, then records, then zeros.

use std::{io, sync::Arc};

use crate::disk::{Disk, DiskFile};

pub(crate) const FOLDER: &str = "log";
const MAGIC: &[u8; 8] = b"EVERLOG1";
/// One page, so that records begin on one.
pub(crate) const HEADER_BYTES: u64 = 4096;
const NAME_PREFIX: &str = "segment-";
const UNFINISHED_PREFIX: &str = "new-";
const FIXED_BYTES: usize = MAGIC.len() + 8;

pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// How much of it is preallocated.
    pub(crate) bytes: u64,
}

/// Where a record is. Segment 0 is none: it is not written yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

impl Place {
    pub(crate) fn is_written(&self) -> bool {
        self.segment != 0
    }
}

pub(crate) fn path(number: u64) -> String {
    format!("{FOLDER}/{NAME_PREFIX}{number:016}")
}

/// The number of a segment with this file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix(NAME_PREFIX)?.parse().ok()
}

/// Whether this is the file of a segment that was never finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED_PREFIX)
}

/// Makes a segment with all its blocks written. It gets its name only when it is whole.
pub(crate) fn create(disk: &dyn Disk, number: u64, bytes: u64) -> io::Result<Segment> {
    let unfinished = format!("{FOLDER}/{UNFINISHED_PREFIX}{number:016}");
    let made = fill(disk, &unfinished, number, bytes);
    if made.is_err() {
        // Whatever it took is given back, above all when the disk is full.
        let _ = disk.remove(&unfinished);
    }
    let file = made?;
    disk.rename(&unfinished, &path(number))?;
    if !cfg!(planted = "no_folder_sync") {
        disk.sync_folder(FOLDER)?;
    }
    Ok(Segment { number, file, bytes })
}

fn fill(disk: &dyn Disk, name: &str, number: u64, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(name)?;
    file.write_at(0, &header(number))?;
    file.preallocate(HEADER_BYTES, bytes)?;
    file.sync_data()?;
    Ok(file)
}

fn header(number: u64) -> Vec<u8> {
    let mut header = vec![0; HEADER_BYTES as usize];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[MAGIC.len()..FIXED_BYTES].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..FIXED_BYTES]);
    header[FIXED_BYTES..FIXED_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Whether a segment begins as it must.
pub(crate) fn is_header(bytes: &[u8], expected: u64) -> bool {
    bytes.starts_with(&header(expected))
}
