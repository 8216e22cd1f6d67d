//! Snapshots of a group: its rows at one applied index, in a file of our own format.
//!
//! ```text
//! magic | ( key length u32 | key | value length u32 | value )* | u32::MAX | rows u64 | crc32c u32
//! ```
//!
//! A received snapshot is a whole, synced file before anything of it is installed. While it is being
//! installed a note in the tables says so; if the power goes, the next start installs it again.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Error,
    table::{AppliedMark, KeyRange, OrderedTable, Tables, checkpoint::applied_key, user_key},
};

const MAGIC: &[u8; 8] = b"EVERSNP1";
const END: u32 = u32::MAX;
/// Pieces in which a snapshot travels.
const CHUNK_BYTES: usize = 1 << 20;
const PIECE_ROWS: usize = 256;
const INSTALLING_PREFIX: &[u8] = b"i";

/// The folder of snapshots on their way out or in.
pub(crate) struct Snapshots {
    folder: PathBuf,
    next: AtomicU64,
}

/// A snapshot's rows: a file that goes when nobody needs it any more, or nothing if it was not written.
#[derive(Debug, Clone, Default)]
pub struct SnapshotData {
    file: Option<Arc<SnapshotFile>>,
}

#[derive(Debug)]
struct SnapshotFile {
    path: PathBuf,
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        // What is left over is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

impl SnapshotData {
    pub(crate) fn unwritten() -> SnapshotData {
        SnapshotData::default()
    }

    fn path(&self) -> io::Result<&Path> {
        let file = self.file.as_ref().ok_or_else(|| io::Error::other("this snapshot was not written out"))?;
        Ok(&file.path)
    }

    /// The file's bytes in order, for sending.
    pub fn chunks(&self) -> io::Result<impl Iterator<Item = io::Result<Bytes>> + Send + use<>> {
        let mut file = File::open(self.path()?)?;
        Ok(std::iter::from_fn(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            match file.read(&mut chunk) {
                Ok(0) => None,
                Ok(read) => {
                    chunk.truncate(read);
                    Some(Ok(chunk.into()))
                }
                Err(error) => Some(Err(error)),
            }
        }))
    }
}

/// A snapshot that is being received.
pub struct SnapshotWriter {
    file: BufWriter<File>,
    data: Arc<SnapshotFile>,
}

impl SnapshotWriter {
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_all(chunk)
    }

    /// The whole file, synced and checked.
    pub fn finish(mut self) -> io::Result<SnapshotData> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        read_rows(&self.data.path, |_, _| Ok(()))?;
        Ok(SnapshotData { file: Some(self.data) })
    }
}

impl Snapshots {
    /// Opens the folder, finishing an installation that was interrupted.
    pub(crate) fn open(folder: PathBuf, base: &dyn OrderedTable) -> Result<Snapshots, Error> {
        let name = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(Error::io(name.clone()))?;
        for (key, note) in base.range(INSTALLING_PREFIX, b"j", usize::MAX, false)? {
            let note = Note::decode(&note)
                .ok_or_else(|| Error::Tables("an installation's note is unreadable".into()))?;
            tracing::info!(group = note.group, "finishing the installation of a snapshot");
            replace_rows(base, &note, &folder.join(&note.file))?;
            base.write(&[(key, None)])?;
            base.flush()?;
        }
        for entry in fs::read_dir(&folder).map_err(Error::io(name.clone()))?.flatten() {
            fs::remove_file(entry.path()).map_err(Error::io(name.clone()))?;
        }
        Ok(Snapshots { folder, next: AtomicU64::new(1) })
    }

    /// A file to receive a snapshot into.
    pub(crate) fn receive(&self) -> io::Result<SnapshotWriter> {
        let data = self.new_file("in");
        let file = BufWriter::new(File::create(&data.path)?);
        Ok(SnapshotWriter { file, data })
    }

    fn new_file(&self, kind: &str) -> Arc<SnapshotFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(SnapshotFile { path: self.folder.join(format!("{kind}-{number}")) })
    }

    /// Writes a group's rows to a file.
    pub(crate) fn write(&self, group: u64, tables: &Tables, ranges: &[KeyRange]) -> io::Result<SnapshotData> {
        let data = self.new_file("out");
        let mut writer = Checked { inner: BufWriter::new(File::create(&data.path)?), crc: 0 };
        writer.put(MAGIC)?;
        let mut rows: u64 = 0;
        for range in ranges {
            for (key, value) in tables.scan(range.from.clone(), range.to.clone()) {
                let value = value.to_bytes();
                writer.put(&(key.len() as u32).to_le_bytes())?;
                writer.put(&key)?;
                writer.put(&(value.len() as u32).to_le_bytes())?;
                writer.put(&value)?;
                rows += 1;
            }
        }
        writer.put(&END.to_le_bytes())?;
        writer.put(&rows.to_le_bytes())?;
        let crc = writer.crc;
        writer.put(&crc.to_le_bytes())?;
        writer.inner.flush()?;
        tracing::info!(group, rows, "wrote a snapshot for a member that is behind");
        Ok(SnapshotData { file: Some(data) })
    }
}

struct Checked<W> {
    inner: W,
    crc: u32,
}

impl<W: Write> Checked<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Checked<R> {
    fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut taken = vec![0; bytes];
        self.inner.read_exact(&mut taken)?;
        self.crc = crc32c::crc32c_append(self.crc, &taken);
        Ok(taken)
    }

    fn length(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(bytes.try_into().map(u32::from_le_bytes).unwrap_or_default())
    }
}

/// Reads a snapshot to its end and checks it as a whole.
fn read_rows(path: &Path, mut row: impl FnMut(Vec<u8>, Bytes) -> io::Result<()>) -> io::Result<()> {
    let damaged =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is damaged: {what}"));
    let mut reader = Checked { inner: BufReader::new(File::open(path)?), crc: 0 };
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    let mut rows: u64 = 0;
    loop {
        let length = reader.length()?;
        if length == END {
            break;
        }
        let key = reader.take(length as usize)?;
        let length = reader.length()?;
        let value = reader.take(length as usize)?;
        row(key, value.into())?;
        rows += 1;
    }
    let counted = reader.take(8)?.try_into().map(u64::from_le_bytes).unwrap_or_default();
    let crc = reader.crc;
    if counted != rows || reader.length()? != crc {
        return Err(damaged("its end does not fit its rows"));
    }
    Ok(())
}

/// What has to be done again if the power goes during an installation.
struct Note {
    group: u64,
    file: String,
    mark: AppliedMark,
    ranges: Vec<KeyRange>,
}

impl Note {
    fn encode(&self) -> Bytes {
        let ranges: Vec<(&[u8], &[u8])> =
            self.ranges.iter().map(|range| (&range.from[..], &range.to[..])).collect();
        let note = (self.group, &self.file, &self.mark.encode()[..], ranges);
        crate::group::encode(&note).expect("plain data encodes").into()
    }

    fn decode(bytes: &Bytes) -> Option<Note> {
        type Plain = (u64, String, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);
        let (group, file, mark, ranges): Plain = crate::group::decode(bytes).ok()?;
        let ranges = ranges.into_iter().map(|(from, to)| KeyRange { from, to }).collect();
        Some(Note { group, file, mark: AppliedMark::decode(&mark.into())?, ranges })
    }
}

/// Replaces all rows of a group by those of a snapshot.
pub(crate) fn install(
    tables: &Tables,
    snapshots: &Snapshots,
    group: u64,
    ranges: &[KeyRange],
    mark: &AppliedMark,
    snapshot: &SnapshotData,
) -> Result<(), Error> {
    let path = snapshot.path().map_err(Error::io("snapshot"))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    File::open(&snapshots.folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io(snapshots.folder.display().to_string()))?;
    // Rows in memory would hide the new ones.
    tables.checkpoint()?;
    let base = &*tables.shared.base;
    let note = Note { group, file, mark: mark.clone(), ranges: ranges.to_vec() };
    let key = [INSTALLING_PREFIX, &group.to_be_bytes()].concat();
    base.write(&[(key.clone(), Some(note.encode()))])?;
    base.flush()?;
    replace_rows(base, &note, path)?;
    base.write(&[(key, None)])?;
    base.flush()?;
    let shared = &tables.shared;
    shared.layers.write().unwrap_or_else(PoisonError::into_inner).applied.insert(group, mark.clone());
    shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).durable.insert(group, mark.index);
    Ok(())
}

fn replace_rows(base: &dyn OrderedTable, note: &Note, path: &Path) -> Result<(), Error> {
    for range in &note.ranges {
        loop {
            let old = base.range(&user_key(&range.from), &user_key(&range.to), PIECE_ROWS, false)?;
            if old.is_empty() {
                break;
            }
            let gone: Vec<_> = old.into_iter().map(|(key, _)| (key, None)).collect();
            base.write(&gone)?;
        }
    }
    let mut piece = Vec::with_capacity(PIECE_ROWS);
    read_rows(path, |key, value| {
        piece.push((user_key(&key), Some(value)));
        if piece.len() == PIECE_ROWS {
            base.write(&piece).map_err(io::Error::from)?;
            piece.clear();
        }
        Ok(())
    })
    .map_err(Error::io(path.display().to_string()))?;
    base.write(&piece)?;
    base.write(&[(applied_key(note.group), Some(note.mark.encode()))])?;
    base.flush()
}
