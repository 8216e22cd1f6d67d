//! Checkpoints: the overlay moves to sled, all of it or nothing.
//!
//! sled does not promise that a large batch survives a power cut as a whole, and replaying the log over
//! half a checkpoint would not lead to the same rows. So the frozen overlay is first written to a journal
//! file and synced; only then does it go to sled, in small pieces that hold nobody up. If the power goes
//! in between, the next start writes the whole journal to sled again. Writing rows twice is harmless.
//! When sled is synced, the journal is emptied, and the log up to here may be purged.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Applied, AppliedMark, OrderedTable, Overlay, Tables, user_key};
use crate::{
    Error,
    disk::{Disk, DiskFile},
};

pub(crate) const JOURNAL: &str = "checkpoint";
const JOURNAL_MAGIC: u64 = 0x3154_504b_4345_5645;
const JOURNAL_HEADER_BYTES: usize = 8 + 8 + 4;
/// Rows are moved in pieces of this size, with the lock of sled released in between.
const PIECE_BYTES: usize = 256 << 10;
const APPLIED_PREFIX: &[u8] = b"a";

#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Counts requests and completions, so that a caller can wait for a checkpoint that began after it asked.
    pub(crate) wanted: u64,
    pub(crate) done: u64,
    pub(crate) failed: Option<String>,
    pub(crate) closing: bool,
    pub(crate) ended: bool,
    /// By group: the index up to which the tables are durable.
    pub(crate) durable: BTreeMap<u64, u64>,
}

/// When a checkpoint is made without being asked for.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointOptions {
    pub overlay_bytes_max: usize,
    pub every: Duration,
}

impl Default for CheckpointOptions {
    fn default() -> CheckpointOptions {
        CheckpointOptions { overlay_bytes_max: 64 << 20, every: Duration::from_secs(60) }
    }
}

impl Tables {
    /// Waits until everything that is applied now is durable in the tables.
    pub fn checkpoint(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let mut progress = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        progress.wanted += 1;
        let ticket = progress.wanted;
        shared.checkpoint_wanted.notify_all();
        while progress.done < ticket {
            if let Some(why) = &progress.failed {
                return Err(Error::Tables(why.clone()));
            }
            if progress.ended {
                return Err(Error::Tables("the store is closed".to_owned()));
            }
            progress = shared.checkpoint_done.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// By group: the index up to which the tables are durable.
    pub(crate) fn durable(&self) -> BTreeMap<u64, u64> {
        self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).durable.clone()
    }

    /// Asks the checkpointing thread to make a last checkpoint and to end.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let mut progress = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        progress.closing = true;
        shared.checkpoint_wanted.notify_all();
        while !progress.ended {
            progress = shared.checkpoint_done.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        match &progress.failed {
            Some(why) => Err(Error::Tables(why.clone())),
            None => Ok(()),
        }
    }
}

/// Starts the thread that makes checkpoints. `after` is called behind each one.
pub(crate) fn start(
    tables: Tables,
    disk: Arc<dyn Disk>,
    options: CheckpointOptions,
    after: impl Fn() + Send + 'static,
) {
    std::thread::Builder::new()
        .name("checkpoint".to_owned())
        .spawn(move || run(&tables, &*disk, options, after))
        .expect("a thread can be started when the node starts");
}

fn run(tables: &Tables, disk: &dyn Disk, options: CheckpointOptions, after: impl Fn()) {
    const LOOK_EVERY: Duration = Duration::from_millis(200);
    let mut last = Instant::now();
    loop {
        let shared = &tables.shared;
        let mut progress = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.wanted == progress.done && !progress.closing {
            let waited = shared.checkpoint_wanted.wait_timeout(progress, LOOK_EVERY);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (wanted, closing) = (progress.wanted, progress.closing);
        let asked = wanted > progress.done || closing;
        drop(progress);
        if !asked && tables.active_bytes() < options.overlay_bytes_max && last.elapsed() < options.every {
            continue;
        }
        last = Instant::now();
        let outcome = make(tables, disk);
        if outcome.is_ok() {
            after();
        }
        let mut progress = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(durable) => {
                progress.done = wanted;
                progress.durable.extend(durable);
            }
            Err(error) => {
                tracing::error!(%error, "a checkpoint failed; the log is kept");
                progress.failed = Some(error.to_string());
            }
        }
        let end = closing || progress.failed.is_some();
        progress.ended |= end;
        shared.checkpoint_done.notify_all();
        if end {
            return;
        }
    }
}

/// Makes one checkpoint, and returns how far each group's rows are durable now.
pub(crate) fn make(tables: &Tables, disk: &dyn Disk) -> Result<BTreeMap<u64, u64>, Error> {
    let shared = &tables.shared;
    let (frozen, applied) = {
        let mut layers = shared.layers.write().unwrap_or_else(PoisonError::into_inner);
        let active = std::mem::take(&mut layers.active);
        layers.active_bytes = 0;
        let frozen = Arc::new(active);
        layers.frozen = Some(frozen.clone());
        (frozen, layers.applied.clone())
    };
    let rows = rows_of(&frozen, &applied);
    write_journal(disk, &rows)?;
    move_rows(&*shared.base, &rows)?;
    clear_journal(disk)?;
    shared.layers.write().unwrap_or_else(PoisonError::into_inner).frozen = None;
    Ok(applied.into_iter().map(|(group, mark)| (group, mark.index)).collect())
}

type Rows = Vec<(Vec<u8>, Option<Bytes>)>;

fn rows_of(frozen: &Overlay, applied: &Applied) -> Rows {
    let user =
        frozen.iter().map(|(key, value)| (user_key(key), value.as_ref().map(|value| value.to_bytes())));
    let marks = applied.iter().map(|(group, mark)| (applied_key(*group), Some(mark.encode())));
    user.chain(marks).collect()
}

fn move_rows(base: &dyn OrderedTable, rows: &Rows) -> Result<(), Error> {
    let mut from = 0;
    let mut bytes = 0;
    for (at, (key, value)) in rows.iter().enumerate() {
        bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        if bytes >= PIECE_BYTES {
            base.write(&rows[from..=at])?;
            from = at + 1;
            bytes = 0;
            std::thread::yield_now();
        }
    }
    base.write(&rows[from..])?;
    base.flush()
}

/// `magic | length | crc32c | rows`, where a row is `key length | key | value length + 1, or 0 | value`.
fn write_journal(disk: &dyn Disk, rows: &Rows) -> Result<(), Error> {
    let mut bytes = vec![0; JOURNAL_HEADER_BYTES];
    for (key, value) in rows {
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(key);
        bytes.extend(value.as_ref().map_or(0, |value| value.len() as u32 + 1).to_le_bytes());
        bytes.extend(value.as_deref().unwrap_or_default());
    }
    let body = &bytes[JOURNAL_HEADER_BYTES..];
    let (length, crc) = (body.len() as u64, crc32c::crc32c(body));
    bytes[..8].copy_from_slice(&JOURNAL_MAGIC.to_le_bytes());
    bytes[8..16].copy_from_slice(&length.to_le_bytes());
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    let file = open_journal(disk)?;
    file.write_at(0, &bytes).and_then(|()| file.sync_data()).map_err(Error::io(JOURNAL))
}

/// The journal keeps its blocks: only its header is wiped.
fn clear_journal(disk: &dyn Disk) -> Result<(), Error> {
    let file = open_journal(disk)?;
    let wiped = file.write_at(0, &[0; JOURNAL_HEADER_BYTES]);
    wiped.and_then(|()| file.sync_data()).map_err(Error::io(JOURNAL))
}

fn open_journal(disk: &dyn Disk) -> Result<Arc<dyn DiskFile>, Error> {
    disk.open(JOURNAL).map_err(Error::io(JOURNAL))
}

/// After a start: writes a journal that is whole to sled again. One that is not whole was never acted on.
pub(crate) fn redo(disk: &dyn Disk, base: &dyn OrderedTable) -> Result<(), Error> {
    let file = open_journal(disk)?;
    disk.sync_dir().map_err(Error::io(JOURNAL))?;
    let mut header = [0; JOURNAL_HEADER_BYTES];
    let read = file.read_at(0, &mut header).map_err(Error::io(JOURNAL))?;
    let number = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
    if read < header.len() || number(0) != JOURNAL_MAGIC {
        return Ok(());
    }
    let available = file.len().map_err(Error::io(JOURNAL))?.saturating_sub(JOURNAL_HEADER_BYTES as u64);
    if number(8) > available {
        return Ok(());
    }
    let mut body = vec![0; number(8) as usize];
    let read = file.read_at(JOURNAL_HEADER_BYTES as u64, &mut body).map_err(Error::io(JOURNAL))?;
    let crc = header[16..20].try_into().map(u32::from_le_bytes).unwrap_or_default();
    if read < body.len() || crc32c::crc32c(&body) != crc {
        return Ok(());
    }
    let rows =
        parse_rows(&body).ok_or_else(|| Error::Tables("the checkpoint journal does not parse".to_owned()))?;
    tracing::info!(rows = rows.len(), "finishing a checkpoint that was interrupted");
    move_rows(base, &rows)?;
    clear_journal(disk)
}

fn parse_rows(mut body: &[u8]) -> Option<Rows> {
    let mut rows = Rows::new();
    let length = |body: &mut &[u8]| {
        let (length, rest) = body.split_first_chunk::<4>()?;
        *body = rest;
        Some(u32::from_le_bytes(*length) as usize)
    };
    while !body.is_empty() {
        let key_bytes = length(&mut body)?;
        let (key, rest) = body.split_at_checked(key_bytes)?;
        body = rest;
        let value = match length(&mut body)? {
            0 => None,
            bytes => {
                let (value, rest) = body.split_at_checked(bytes - 1)?;
                body = rest;
                Some(Bytes::copy_from_slice(value))
            }
        };
        rows.push((key.to_vec(), value));
    }
    Some(rows)
}

pub(crate) fn applied_key(group: u64) -> Vec<u8> {
    [APPLIED_PREFIX, &group.to_be_bytes()].concat()
}

/// How far each group had come at the last checkpoint.
pub(crate) fn read_applied(base: &dyn OrderedTable) -> Result<Applied, Error> {
    let rows = base.range(APPLIED_PREFIX, b"b", usize::MAX, false)?;
    let parse = |(key, value): (Vec<u8>, Bytes)| {
        let group = key.get(1..)?.try_into().ok().map(u64::from_be_bytes)?;
        Some((group, AppliedMark::decode(&value)?))
    };
    rows.into_iter()
        .map(|row| parse(row).ok_or_else(|| Error::Tables("an applied mark is unreadable".to_owned())))
        .collect()
}

impl AppliedMark {
    pub(crate) fn encode(&self) -> Bytes {
        [&self.index.to_le_bytes()[..], &self.record].concat().into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Option<AppliedMark> {
        let index = u64::from_le_bytes(*bytes.first_chunk()?);
        Some(AppliedMark { index, record: bytes.slice(8..) })
    }
}
