//! The checkpoint journal: what is about to be moved to the durable table, written down first.
//!
//! No durable map promises that a large batch survives a power cut as a whole, and applying the log again
//! over half a checkpoint would not lead to the same rows. So rows go to the journal and are synced; then
//! its header is written and synced, which says that the rows are whole; only then is the durable table
//! touched. If the power goes in between, the next start writes all rows of the journal again, which is
//! harmless. A header that is good while the rows are not is damage, not an interruption.
//!
//! ```text
//! page 0: magic u64 | rows' bytes u64 | rows' crc32c u32 | crc32c of the above u32
//! then:   ( key bytes u32 | key | value bytes u32 + 1, or 0 | value )*
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::Row;
use crate::{
    Error,
    disk::{Disk, DiskFile},
};

const FOLDER: &str = "journal";
const PATH: &str = "journal/checkpoint";
const MAGIC: &[u8; 8] = b"EVERCKP1";
const ROWS_AT: u64 = 4096;
const CHECKED_BYTES: usize = 8 + 8 + 4;
const HEADER_BYTES: usize = CHECKED_BYTES + 4;
/// Rows are written to the file in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

pub(crate) struct Journal {
    file: Arc<dyn DiskFile>,
}

impl Journal {
    pub(crate) fn open(disk: &dyn Disk) -> Result<Journal, Error> {
        disk.create_folder(FOLDER).map_err(Error::io(FOLDER))?;
        let file = disk.open(PATH).map_err(Error::io(PATH))?;
        disk.sync_folder(FOLDER).map_err(Error::io(FOLDER))?;
        Ok(Journal { file })
    }

    /// Writes rows durably, and returns how many bytes that took. After this they are written to the table
    /// even if the power goes.
    pub(crate) fn write(&self, rows: &[Row]) -> Result<u64, Error> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let (mut bytes, mut crc) = (0, 0);
        let flush = |piece: &mut Vec<u8>, bytes: &mut u64, crc: &mut u32| {
            *crc = crc32c::crc32c_append(*crc, piece);
            let written = self.file.write_at(ROWS_AT + *bytes, piece);
            *bytes += piece.len() as u64;
            piece.clear();
            written.map_err(Error::io(PATH))
        };
        for (key, value) in rows {
            piece.extend_from_slice(&(key.len() as u32).to_le_bytes());
            piece.extend_from_slice(key);
            piece.extend_from_slice(&value.as_ref().map_or(0, |value| value.len() as u32 + 1).to_le_bytes());
            piece.extend_from_slice(value.as_deref().unwrap_or_default());
            if piece.len() >= PIECE_BYTES {
                flush(&mut piece, &mut bytes, &mut crc)?;
            }
        }
        flush(&mut piece, &mut bytes, &mut crc)?;
        self.file.sync_data().map_err(Error::io(PATH))?;

        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&bytes.to_le_bytes());
        header.extend_from_slice(&crc.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        self.write_header(&header)?;
        Ok(bytes)
    }

    /// Says that the rows are in the table.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.write_header(&[0; HEADER_BYTES])
    }

    fn write_header(&self, header: &[u8]) -> Result<(), Error> {
        let written = self.file.write_at(0, header);
        written.and_then(|()| self.file.sync_data()).map_err(Error::io(PATH))
    }

    /// The rows of a checkpoint that was interrupted, if one was.
    pub(crate) fn interrupted(&self) -> Result<Option<Vec<Row>>, Error> {
        let mut header = [0; HEADER_BYTES];
        let read = self.file.read_at(0, &mut header).map_err(Error::io(PATH))?;
        let crc = crc32c::crc32c(&header[..CHECKED_BYTES]).to_le_bytes();
        if read < header.len() || !header.starts_with(MAGIC) || header[CHECKED_BYTES..] != crc {
            return Ok(None);
        }
        let damaged = || Error::Tables("the checkpoint journal is damaged".to_owned());
        let bytes =
            header[8..16].first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or_else(damaged)?;
        if bytes > self.file.bytes().map_err(Error::io(PATH))? {
            return Err(damaged());
        }
        let mut body = vec![0; bytes as usize];
        let read = self.file.read_at(ROWS_AT, &mut body).map_err(Error::io(PATH))?;
        if read < body.len() || crc32c::crc32c(&body).to_le_bytes() != header[16..20] {
            return Err(damaged());
        }
        parse(body.into()).map(Some).ok_or_else(damaged)
    }
}

fn parse(mut body: Bytes) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let key_bytes = take_length(&mut body)?;
        let key = take(&mut body, key_bytes)?.to_vec();
        let value = match take_length(&mut body)? {
            0 => None,
            bytes => Some(take(&mut body, bytes - 1)?),
        };
        rows.push((key, value));
    }
    Some(rows)
}

fn take_length(body: &mut Bytes) -> Option<usize> {
    Some(u32::from_le_bytes(*take(body, 4)?.first_chunk()?) as usize)
}

fn take(body: &mut Bytes, bytes: usize) -> Option<Bytes> {
    (bytes <= body.len()).then(|| body.split_to(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    fn rows() -> Vec<Row> {
        vec![
            (b"a".to_vec(), Some(Bytes::from_static(b"value"))),
            (b"b".to_vec(), None),
            (b"c".to_vec(), Some(Bytes::new())),
            (b"d".to_vec(), Some(vec![7; 3 << 20].into())),
        ]
    }

    #[test]
    fn rows_read_back_until_they_are_cleared() {
        let disk = SimDisk::new(1);
        let journal = Journal::open(&disk).expect("it opens");
        assert_eq!(journal.interrupted().expect("it reads"), None);
        journal.write(&rows()).expect("it writes");
        let again = Journal::open(&disk).expect("it opens");
        assert_eq!(again.interrupted().expect("it reads"), Some(rows()));
        again.clear().expect("it clears");
        assert_eq!(again.interrupted().expect("it reads"), None);
    }

    #[test]
    fn damaged_rows_under_a_good_header_are_refused() {
        let disk = SimDisk::new(1);
        let journal = Journal::open(&disk).expect("it opens");
        journal.write(&rows()).expect("it writes");
        disk.flip_bit(PATH, ROWS_AT + 10, 3);
        assert!(matches!(journal.interrupted(), Err(Error::Tables(_))));
    }
}
