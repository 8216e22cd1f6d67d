//! sled 0.34.7 as the durable map behind the tables.
//!
//! Three of its habits are worked around here. Its `flush` does not sync the file, so we do that through
//! a handle of our own. Values beyond a segment go to files that it never syncs, so large values are cut
//! into pieces. And it panics on some damaged files, so it is opened under `catch_unwind`.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use bytes::Bytes;

use super::OrderedTable;
use crate::Error;

/// Values up to this size are one row of sled.
const INLINE_BYTES_MAX: usize = 24 << 10;
const PIECE_PREFIX: u8 = b'p';
const INLINE: u8 = 0;
const IN_PIECES: u8 = 1;

pub struct SledTable {
    db: sled::Db,
    /// sled's own file, opened once more to sync it.
    file: File,
}

impl SledTable {
    pub fn open(folder: &Path, cache_bytes: u64) -> Result<SledTable, Error> {
        let config = sled::Config::new()
            .path(folder)
            .segment_size(8 << 20)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) => return Err(Error::Tables(error.to_string())),
            Err(_) => return Err(Error::Tables("sled cannot make sense of its file".to_owned())),
        };
        let path = folder.join("db");
        let file = File::open(&path).map_err(Error::io(path.display().to_string()))?;
        for folder in [folder, folder.parent().unwrap_or(folder)] {
            let sync = File::open(folder).and_then(|folder| folder.sync_all());
            sync.map_err(Error::io(folder.display().to_string()))?;
        }
        Ok(SledTable { db, file })
    }

    fn assemble(&self, key: &[u8], stored: &[u8]) -> Result<Bytes, Error> {
        match stored.split_first() {
            Some((&INLINE, value)) => Ok(Bytes::copy_from_slice(value)),
            Some((&IN_PIECES, count)) => {
                let count = count.try_into().map(u32::from_le_bytes).map_err(|_| missing(key))?;
                let mut value = Vec::with_capacity(count as usize * INLINE_BYTES_MAX);
                for piece in 0..count {
                    let found = self.db.get(piece_key(key, piece)).map_err(failed)?;
                    value.extend_from_slice(&found.ok_or_else(|| missing(key))?);
                }
                Ok(value.into())
            }
            _ => Err(missing(key)),
        }
    }
}

impl OrderedTable for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.db.get(key).map_err(failed)? {
            Some(stored) => self.assemble(key, &stored).map(Some),
            None => Ok(None),
        }
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = self.db.range(from..to);
        let collect = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, stored) = row.map_err(failed)?;
            let value = self.assemble(&key, &stored)?;
            Ok((key.to_vec(), value))
        };
        if backward {
            range.rev().take(most).map(collect).collect()
        } else {
            range.take(most).map(collect).collect()
        }
    }

    fn write(&self, rows: &[(Vec<u8>, Option<Bytes>)]) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            let mut new_pieces = 0;
            match value {
                None => batch.remove(key.as_slice()),
                Some(value) if value.len() <= INLINE_BYTES_MAX => {
                    batch.insert(key.as_slice(), [&[INLINE], &value[..]].concat());
                }
                Some(value) => {
                    for (number, piece) in value.chunks(INLINE_BYTES_MAX).enumerate() {
                        batch.insert(piece_key(key, number as u32), piece);
                        new_pieces = number as u32 + 1;
                    }
                    batch.insert(key.as_slice(), [&[IN_PIECES], &new_pieces.to_le_bytes()[..]].concat());
                }
            }
            // Pieces of the value that was there before must not outlive it.
            if let Some(old) = self.db.get(key).map_err(failed)?
                && let Some((&IN_PIECES, count)) = old.split_first()
            {
                let count = count.try_into().map(u32::from_le_bytes).map_err(|_| missing(key))?;
                for piece in new_pieces..count {
                    batch.remove(piece_key(key, piece));
                }
            }
        }
        self.db.apply_batch(batch).map_err(failed)
    }

    fn flush(&self) -> Result<(), Error> {
        self.db.flush().map_err(failed)?;
        self.file.sync_data().map_err(Error::io("the tables' file"))
    }
}

fn piece_key(key: &[u8], piece: u32) -> Vec<u8> {
    [&[PIECE_PREFIX], key, &piece.to_be_bytes()[..]].concat()
}

fn failed(error: sled::Error) -> Error {
    Error::Tables(error.to_string())
}

fn missing(key: &[u8]) -> Error {
    Error::Tables(format!("a value of {} is not whole", String::from_utf8_lossy(key)))
}
