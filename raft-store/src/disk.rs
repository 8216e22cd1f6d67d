//! The file operations that durability rests on, few enough to be simulated.
//!
//! Everything that this crate writes itself goes through a [`Disk`]: the log, the checkpoint journal, the
//! snapshots. So a test can cut the power between any two of these operations, lose what was not synced,
//! and look at what is left (`sim`). The trait says what a file system promises and no more: a write is
//! durable after `sync_data` of its file, a name after `sync_folder` of its folder, and neither before.
//!
//! Names are relative to the disk's root, at most one folder deep, written `folder/file`.

use std::{
    any::Any,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(any(test, feature = "testing"))]
pub mod sim;

/// Held for as long as nobody else may use the folder.
pub type Lock = Box<dyn Any + Send + Sync>;

/// A tree of files.
pub trait Disk: Send + Sync + 'static {
    /// Where it is, for messages.
    fn describe(&self) -> String;
    /// Makes a folder durably, if it is not there.
    fn create_folder(&self, folder: &str) -> io::Result<()>;
    /// Opens a file for reading and writing, and creates it if it is not there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// The names of the files in a folder, sorted.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name in the same folder, in place of whatever had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Locks the whole disk against other processes; `WouldBlock` if one of them has it.
    fn lock(&self, name: &str) -> io::Result<Lock>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `bytes`, and makes the file longer if it must be.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills the buffer as far as the file goes, and says how far.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    fn bytes(&self) -> io::Result<u64>;
    fn set_bytes(&self, bytes: u64) -> io::Result<()>;
    /// Makes everything written so far durable, and the length with it.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file `to` bytes long by writing zeros, so that its blocks exist: overwriting them later
    /// can't run out of space, and a sync of it has no metadata to write.
    fn preallocate(&self, from: u64, to: u64) -> io::Result<()> {
        const PIECE_BYTES: usize = 1 << 20;
        let zeros = vec![0; PIECE_BYTES.min((to.saturating_sub(from)) as usize)];
        let mut at = from;
        while at < to {
            let piece = zeros.len().min((to - at) as usize);
            self.write_at(at, &zeros[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}

/// Whether a failed write can succeed later, when somebody has made room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The operating system's files.
#[derive(Debug)]
pub struct OsDisk {
    root: PathBuf,
}

impl OsDisk {
    pub fn open(root: &Path) -> io::Result<OsDisk> {
        fs::create_dir_all(root)?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(OsDisk { root: root.to_owned() })
    }
}

impl Disk for OsDisk {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn create_folder(&self, folder: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(folder))?;
        File::open(&self.root)?.sync_all()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.root.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.root.join(folder))?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Lock> {
        let path = self.root.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
