//! A snapshot's file, independent of what keeps the rows.
//!
//! ```text
//! magic
//! ( bytes u32 | crc32c u32 | ( key bytes u32 | key | value bytes u32 | value )* )*
//! 0 u32 | crc32c u32 | rows u64
//! ```
//!
//! The checksum of a block covers its rows and continues that of the block before, so that no block can be
//! damaged, missing or out of place. A file without its end is not a snapshot.

use std::io;

use bytes::{Buf, Bytes};

use crate::disk::DiskFile;

const MAGIC: &[u8; 8] = b"EVERSNP1";
/// A block is written when it has so many bytes.
const BLOCK_BYTES: usize = 256 << 10;
/// What claims to be larger is damaged: a block is one row larger than it should be, at most.
const BLOCK_BYTES_MAX: usize = 256 << 20;
const BLOCK_HEADER_BYTES: usize = 8;
const END_BYTES: usize = 8;

pub(super) struct Writer<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    block: Vec<u8>,
    crc: u32,
    rows: u64,
}

impl Writer<'_> {
    pub(super) fn begin(file: &dyn DiskFile) -> io::Result<Writer<'_>> {
        file.write_at(0, MAGIC)?;
        Ok(Writer { file, at: MAGIC.len() as u64, block: empty_block(), crc: crc32c::crc32c(MAGIC), rows: 0 })
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            self.block.extend_from_slice(&(part.len() as u32).to_le_bytes());
            self.block.extend_from_slice(part);
        }
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> io::Result<()> {
        let bytes = (self.block.len() - BLOCK_HEADER_BYTES) as u32;
        self.write(bytes)
    }

    fn write(&mut self, bytes: u32) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, &self.block[BLOCK_HEADER_BYTES..]);
        self.block[..4].copy_from_slice(&bytes.to_le_bytes());
        self.block[4..BLOCK_HEADER_BYTES].copy_from_slice(&self.crc.to_le_bytes());
        self.file.write_at(self.at, &self.block)?;
        self.at += self.block.len() as u64;
        self.block.truncate(BLOCK_HEADER_BYTES);
        Ok(())
    }

    /// Says that the rows are complete, and how many they are.
    pub(super) fn end(mut self) -> io::Result<u64> {
        if self.block.len() > BLOCK_HEADER_BYTES {
            self.write_block()?;
        }
        self.block.extend_from_slice(&self.rows.to_le_bytes());
        self.write(0)?;
        Ok(self.rows)
    }
}

fn empty_block() -> Vec<u8> {
    vec![0; BLOCK_HEADER_BYTES]
}

/// Gives all rows of a file to `row`, block by block, and checks it to its end. Returns how many there were.
pub(super) fn read(
    file: &dyn DiskFile,
    mut row: impl FnMut(Vec<u8>, Bytes) -> io::Result<()>,
) -> io::Result<u64> {
    let mut at = MAGIC.len() as u64;
    let magic = read_exactly(file, 0, MAGIC.len())?;
    if magic != MAGIC[..] {
        return Err(damaged("it does not begin as one"));
    }
    let mut crc = crc32c::crc32c(MAGIC);
    let mut rows = 0;
    loop {
        let mut header = read_exactly(file, at, BLOCK_HEADER_BYTES)?;
        let (bytes, expected) = (header.get_u32_le() as usize, header.get_u32_le());
        let is_end = bytes == 0;
        if bytes > BLOCK_BYTES_MAX {
            return Err(damaged("a block is too large"));
        }
        at += BLOCK_HEADER_BYTES as u64;
        let mut block = read_exactly(file, at, if is_end { END_BYTES } else { bytes })?;
        at += block.len() as u64;
        crc = crc32c::crc32c_append(crc, &block);
        if crc != expected {
            return Err(damaged("a block's checksum is wrong"));
        }
        if is_end {
            let is_all = block.get_u64_le() == rows && file.bytes()? == at;
            return if is_all { Ok(rows) } else { Err(damaged("its end does not fit its rows")) };
        }
        while !block.is_empty() {
            let key = take(&mut block)?.to_vec();
            // A value of its own, so that it does not keep the whole block in memory.
            let value = Bytes::copy_from_slice(&take(&mut block)?);
            row(key, value)?;
            rows += 1;
        }
    }
}

fn take(block: &mut Bytes) -> io::Result<Bytes> {
    let bytes = block.try_get_u32_le().map_err(|_| damaged("a row is cut short"))? as usize;
    if bytes > block.len() {
        return Err(damaged("a row is cut short"));
    }
    Ok(block.split_to(bytes))
}

fn read_exactly(file: &dyn DiskFile, at: u64, bytes: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; bytes];
    if file.read_at(at, &mut buffer)? < bytes {
        return Err(damaged("it is cut short"));
    }
    Ok(buffer.into())
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, sim::SimDisk};

    fn rows() -> Vec<(Vec<u8>, Bytes)> {
        let row = |at: usize| (at.to_be_bytes().to_vec(), Bytes::from(vec![at as u8; at * 37 % 5000]));
        (0..300).map(row).chain([(b"z".to_vec(), Bytes::from(vec![1; 700 << 10]))]).collect()
    }

    fn written(disk: &SimDisk) -> std::sync::Arc<dyn DiskFile> {
        let file = disk.open("file").expect("it opens");
        let mut writer = Writer::begin(&*file).expect("it writes");
        for (key, value) in rows() {
            writer.put(&key, &value).expect("it writes");
        }
        assert_eq!(writer.end().expect("it ends"), 301);
        file
    }

    #[test]
    fn rows_read_back() {
        let file = written(&SimDisk::new(1));
        let mut back = Vec::new();
        let put = |key, value| {
            back.push((key, value));
            Ok(())
        };
        assert_eq!(read(&*file, put).expect("it reads"), 301);
        assert_eq!(back, rows());
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let disk = SimDisk::new(1);
        let file = written(&disk);
        let bytes = file.bytes().expect("a length");
        for at in (0..bytes).step_by(911).chain(bytes - 16..bytes) {
            disk.flip_bit("file", at, (at % 8) as u8);
            assert!(read(&*file, |_, _| Ok(())).is_err(), "a flipped bit in byte {at}");
            disk.flip_bit("file", at, (at % 8) as u8);
        }
        for short in (0..bytes).step_by(4999) {
            let cut = SimDisk::new(2);
            let other = cut.open("file").expect("it opens");
            other.write_at(0, &disk.content("file")[..short as usize]).expect("it writes");
            assert!(read(&*other, |_, _| Ok(())).is_err(), "cut at byte {short}");
        }
    }
}
