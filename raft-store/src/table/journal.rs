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

use bytes::{Bytes, BytesMut};

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
/// Rows are written to the file, and read from it, in pieces of about this size. Between two pieces that are read,
/// others get a chance.
const PIECE_BYTES: usize = 256 << 10;

pub(crate) struct Journal {
    file: Arc<dyn DiskFile>,
}

/// How much was written.
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Journal {
    pub(crate) fn open(disk: &dyn Disk) -> Result<Journal, Error> {
        disk.create_folder(FOLDER).map_err(Error::io(FOLDER))?;
        let file = disk.open(PATH).map_err(Error::io(PATH))?;
        disk.sync_folder(FOLDER).map_err(Error::io(FOLDER))?;
        Ok(Journal { file })
    }

    /// Writes rows durably. After this they are written to the table even if the power goes.
    pub(crate) fn write(&self, rows: impl Iterator<Item = Result<Row, Error>>) -> Result<Written, Error> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let (mut count, mut bytes, mut crc) = (0, 0, 0);
        let flush = |piece: &mut Vec<u8>, bytes: &mut u64, crc: &mut u32| {
            *crc = crc32c::crc32c_append(*crc, piece);
            let written = self.file.write_at(ROWS_AT + *bytes, piece);
            *bytes += piece.len() as u64;
            piece.clear();
            written.map_err(Error::io(PATH))
        };
        for row in rows {
            let (key, value) = row?;
            piece.extend_from_slice(&(key.len() as u32).to_le_bytes());
            piece.extend_from_slice(&key);
            piece.extend_from_slice(&value.as_ref().map_or(0, |value| value.len() as u32 + 1).to_le_bytes());
            piece.extend_from_slice(value.as_deref().unwrap_or_default());
            count += 1;
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
        Ok(Written { rows: count, bytes })
    }

    /// The rows that were just written.
    pub(crate) fn read(&self, bytes: u64) -> Pieces<'_> {
        Pieces { journal: self, at: 0, end: bytes, rest: BytesMut::new() }
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
    pub(crate) fn interrupted(&self) -> Result<Option<Pieces<'_>>, Error> {
        let mut header = [0; HEADER_BYTES];
        let read = self.file.read_at(0, &mut header).map_err(Error::io(PATH))?;
        let crc = crc32c::crc32c(&header[..CHECKED_BYTES]).to_le_bytes();
        if read < header.len() || !header.starts_with(MAGIC) || header[CHECKED_BYTES..] != crc {
            return Ok(None);
        }
        let bytes = header[8..16].first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        if bytes > self.file.bytes().map_err(Error::io(PATH))? {
            return Err(damaged());
        }
        let mut pieces = self.read(bytes);
        let mut crc = 0;
        while pieces.read_more()? {
            crc = crc32c::crc32c_append(crc, &pieces.rest);
            pieces.rest.clear();
        }
        if crc.to_le_bytes() != header[16..20] {
            return Err(damaged());
        }
        Ok(Some(self.read(bytes)))
    }
}

/// The rows of the journal, some at a time.
pub(crate) struct Pieces<'a> {
    journal: &'a Journal,
    /// What was read of the rows' bytes, and how many they are.
    at: u64,
    end: u64,
    /// Read, and not handed out yet: the beginning of a row.
    rest: BytesMut,
}

impl Pieces<'_> {
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// The next rows, or none behind the last.
    pub(crate) fn next_rows(&mut self) -> Result<Option<Vec<Row>>, Error> {
        while self.read_more()? {
            let whole = whole_rows(&self.rest);
            if whole > 0 {
                return parse(self.rest.split_to(whole).freeze()).map(Some).ok_or_else(damaged);
            }
        }
        if self.rest.is_empty() { Ok(None) } else { Err(damaged()) }
    }

    /// False at the end.
    fn read_more(&mut self) -> Result<bool, Error> {
        let wanted = (self.end - self.at).min(PIECE_BYTES as u64) as usize;
        let from = self.rest.len();
        self.rest.resize(from + wanted, 0);
        let file = &self.journal.file;
        let read = file.read_at(ROWS_AT + self.at, &mut self.rest[from..]).map_err(Error::io(PATH))?;
        if read < wanted {
            return Err(damaged());
        }
        self.at += wanted as u64;
        Ok(wanted > 0)
    }
}

fn damaged() -> Error {
    Error::Tables("the checkpoint journal is damaged".to_owned())
}

/// The bytes of those rows that are there to their end.
fn whole_rows(bytes: &[u8]) -> usize {
    let length = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    let row_end = |from: usize| {
        let value = from + 4 + length(from)?;
        let end = value + 4 + length(value)?.saturating_sub(1);
        (end <= bytes.len()).then_some(end)
    };
    let mut end = 0;
    while let Some(next) = row_end(end) {
        end = next;
    }
    end
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
        let small = |number: u32| (number.to_be_bytes().to_vec(), Some(Bytes::from(vec![1; 1_000])));
        let mut rows = vec![
            (b"a".to_vec(), Some(Bytes::from_static(b"value"))),
            (b"b".to_vec(), None),
            (b"c".to_vec(), Some(Bytes::new())),
            (b"d".to_vec(), Some(vec![7; 3 << 20].into())),
        ];
        rows.extend((0..1_000).map(small));
        rows
    }

    fn write(journal: &Journal) -> u64 {
        let written = journal.write(rows().into_iter().map(Ok)).expect("it writes");
        assert_eq!(written.rows, rows().len() as u64);
        written.bytes
    }

    fn all(mut pieces: Pieces<'_>) -> Vec<Row> {
        let mut all = Vec::new();
        while let Some(rows) = pieces.next_rows().expect("it reads") {
            let bytes: usize = rows.iter().map(value_bytes).sum();
            let largest = rows.iter().map(value_bytes).max().unwrap_or_default();
            assert!(bytes <= largest + 2 * PIECE_BYTES, "pieces are small, this has {bytes} bytes");
            all.extend(rows);
        }
        all
    }

    fn value_bytes((_, value): &Row) -> usize {
        value.as_ref().map_or(0, Bytes::len)
    }

    fn interrupted(journal: &Journal) -> Option<Vec<Row>> {
        journal.interrupted().expect("it reads").map(all)
    }

    #[test]
    fn rows_read_back_until_they_are_cleared() {
        let disk = SimDisk::new(1);
        let journal = Journal::open(&disk).expect("it opens");
        assert_eq!(interrupted(&journal), None);
        let bytes = write(&journal);
        assert!(all(journal.read(bytes)) == rows());
        let again = Journal::open(&disk).expect("it opens");
        assert!(interrupted(&again) == Some(rows()));
        again.clear().expect("it clears");
        assert_eq!(interrupted(&again), None);
    }

    #[test]
    fn damaged_rows_under_a_good_header_are_refused() {
        let disk = SimDisk::new(1);
        let journal = Journal::open(&disk).expect("it opens");
        write(&journal);
        disk.flip_bit(PATH, ROWS_AT + 10, 3);
        assert!(matches!(journal.interrupted(), Err(Error::Tables(_))));
    }

    #[test]
    fn rows_that_end_too_early_are_damage() {
        let disk = SimDisk::new(1);
        let journal = Journal::open(&disk).expect("it opens");
        let bytes = write(&journal);
        let mut pieces = journal.read(bytes - 1);
        let ended = std::iter::from_fn(|| pieces.next_rows().transpose()).find_map(Result::err);
        assert!(matches!(ended, Some(Error::Tables(_))), "{ended:?}");
    }
}
