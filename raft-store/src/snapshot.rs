//! Snapshots of a group: its rows at one applied index, in a file of our own [format].
//!
//! The tables themselves are what a snapshot would be, so "building" one only makes them durable. Rows are
//! written to a file when a member needs them: from a view that is pinned, while applies go on. A received
//! snapshot is a whole, synced and checked file before anything of it is [installed](install).

mod format;
pub(crate) mod install;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{
    Error,
    disk::{Disk, DiskFile},
    table::{KeyRange, View},
};

const FOLDER: &str = "snapshots";
/// Pieces in which a snapshot travels.
const CHUNK_BYTES: usize = 1 << 20;

/// The folder of snapshots on their way out or in. What is in there when the store opens is left over.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) installed: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Result<Snapshots, Error> {
        disk.create_folder(FOLDER).map_err(Error::io(FOLDER))?;
        Ok(Snapshots {
            disk,
            next: AtomicU64::new(1),
            written: AtomicU64::new(0),
            installed: AtomicU64::new(0),
        })
    }

    pub(crate) fn remove_left_over(&self) -> Result<(), Error> {
        for name in self.disk.list(FOLDER).map_err(Error::io(FOLDER))? {
            let path = format!("{FOLDER}/{name}");
            self.disk.remove(&path).map_err(Error::io(path))?;
        }
        Ok(())
    }

    /// A file to receive a snapshot into.
    pub(crate) fn receive(&self) -> io::Result<SnapshotWriter> {
        Ok(SnapshotWriter { file: self.new_file("in")?, at: 0 })
    }

    fn new_file(&self, kind: &str) -> io::Result<Arc<SnapshotFile>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = format!("{FOLDER}/{kind}-{number}");
        let file = self.disk.open(&path)?;
        file.set_bytes(0)?;
        Ok(Arc::new(SnapshotFile { disk: self.disk.clone(), path, file }))
    }
}

/// A file that goes when nobody needs it any more.
struct SnapshotFile {
    disk: Arc<dyn Disk>,
    path: String,
    file: Arc<dyn DiskFile>,
}

impl SnapshotFile {
    fn read_all(&self, row: impl FnMut(Vec<u8>, Bytes) -> io::Result<()>) -> io::Result<u64> {
        format::read(&*self.file, row)
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        // What can't be removed now is removed at the next start.
        let _ = self.disk.remove(&self.path);
    }
}

/// A group's rows at one index.
#[derive(Clone)]
pub struct SnapshotData {
    state: Arc<Mutex<State>>,
}

enum State {
    /// Nobody was meant to read it.
    Unreadable,
    /// The rows are where they were, and stay there until this is let go.
    Pinned(Source),
    File(Arc<SnapshotFile>),
    Failed(String),
}

pub(crate) struct Source {
    pub(crate) group: u64,
    pub(crate) view: View,
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) snapshots: Arc<Snapshots>,
}

impl SnapshotData {
    pub(crate) fn unreadable() -> SnapshotData {
        SnapshotData::with(State::Unreadable)
    }

    pub(crate) fn pinned(source: Source) -> SnapshotData {
        SnapshotData::with(State::Pinned(source))
    }

    fn with(state: State) -> SnapshotData {
        SnapshotData { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's bytes in order, for sending. The first of them takes as long as the rows take to write:
    /// read this on a thread that may block.
    pub fn chunks(&self) -> io::Result<impl Iterator<Item = io::Result<Bytes>> + Send + use<>> {
        if let State::Unreadable = *self.lock() {
            return Err(unreadable());
        }
        let mut data = Some(self.clone());
        let mut file: Option<Arc<SnapshotFile>> = None;
        let mut at = 0;
        Ok(std::iter::from_fn(move || {
            if let Some(data) = data.take() {
                match data.file() {
                    Ok(written) => file = Some(written),
                    Err(error) => return Some(Err(error)),
                }
            }
            let open = file.as_ref()?;
            let mut chunk = vec![0; CHUNK_BYTES];
            match open.file.read_at(at, &mut chunk) {
                Ok(0) => None,
                Ok(read) => {
                    at += read as u64;
                    chunk.truncate(read);
                    Some(Ok(chunk.into()))
                }
                Err(error) => {
                    file = None;
                    Some(Err(error))
                }
            }
        }))
    }

    /// The rows as a file: written now, if they are not yet.
    fn file(&self) -> io::Result<Arc<SnapshotFile>> {
        let mut state = self.lock();
        let source = match std::mem::replace(&mut *state, State::Unreadable) {
            State::Pinned(source) => source,
            other => {
                *state = other;
                return match &*state {
                    State::File(file) => Ok(file.clone()),
                    State::Failed(why) => Err(io::Error::other(why.clone())),
                    State::Unreadable | State::Pinned(_) => Err(unreadable()),
                };
            }
        };
        let written = source.write();
        *state = match &written {
            Ok(file) => State::File(file.clone()),
            Err(error) => State::Failed(error.to_string()),
        };
        written
    }
}

fn unreadable() -> io::Error {
    io::Error::other("this snapshot is not for reading")
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.lock() {
            State::Unreadable => "SnapshotData(unreadable)",
            State::Pinned(_) => "SnapshotData(pinned)",
            State::File(_) => "SnapshotData(file)",
            State::Failed(_) => "SnapshotData(failed)",
        })
    }
}

impl Source {
    fn write(self) -> io::Result<Arc<SnapshotFile>> {
        let file = self.snapshots.new_file("out")?;
        let mut writer = format::Writer::begin(&*file.file)?;
        for range in &self.ranges {
            self.view.read::<io::Error>(range, |key, value| writer.put(&key, &value.to_bytes()))?;
        }
        let rows = writer.end()?;
        self.snapshots.written.fetch_add(1, Ordering::Relaxed);
        tracing::info!(group = self.group, rows, "wrote a snapshot for a member that is behind");
        Ok(file)
    }
}

/// A snapshot that is being received.
pub struct SnapshotWriter {
    file: Arc<SnapshotFile>,
    at: u64,
}

impl SnapshotWriter {
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.file.write_at(self.at, chunk)?;
        self.at += chunk.len() as u64;
        Ok(())
    }

    /// The whole file, synced and checked.
    pub fn finish(self) -> io::Result<SnapshotData> {
        self.file.file.sync_data()?;
        self.file.read_all(|_, _| Ok(()))?;
        Ok(SnapshotData::with(State::File(self.file)))
    }
}
