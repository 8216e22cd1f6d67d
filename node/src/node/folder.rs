//! The data folder: one process at a time, one node of one cluster for ever.
//!
//! What makes a folder dangerous is not what is in it but what is missing: a node that lost its log and
//! votes under its old number can undo what a quorum had promised. So the folder remembers whose it is
//! and whether the cluster was formed with it, apart from the log, and a node whose two memories don't
//! agree doesn't start.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Who the folder belongs to.
const IDENTITY_FILE: &str = "identity.json";
/// Held by the process that uses the folder.
const LOCK_FILE: &str = "node.lock";
/// The only form of the identity file so far.
const IDENTITY_VERSION: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the data folder {path} cannot be used")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the data folder {0} is in use by another process")]
    InUse(PathBuf),
    #[error("{path} cannot be read: {message}")]
    Unreadable { path: PathBuf, message: String },
    #[error("the data folder {path} belongs to node {owner}, and this is node {me}")]
    OtherNode { path: PathBuf, owner: u64, me: u64 },
    #[error("the data folder {path} belongs to cluster {owner}, and not to cluster {other}")]
    OtherCluster { path: PathBuf, owner: String, other: String },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    version: u32,
    node_id: u64,
    cluster_id: Option<String>,
    /// The cluster was formed: from now on an empty log is a lost log.
    initialized: bool,
    shards: u64,
}

/// A folder that this process has to itself.
pub struct Folder {
    path: PathBuf,
    identity: Mutex<Identity>,
    /// Unlocked by the kernel when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Creates the folder if need be, takes it, and checks that it belongs to this node.
    pub fn open(path: &Path, me: u64, shards: u64) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let identity = match read(path)? {
            Some(identity) => identity,
            None => {
                let identity = Identity {
                    version: IDENTITY_VERSION,
                    node_id: me,
                    cluster_id: None,
                    initialized: false,
                    shards,
                };
                write(path, &identity)?;
                identity
            }
        };
        if identity.node_id != me {
            return Err(Error::OtherNode { path: path.to_owned(), owner: identity.node_id, me });
        }
        Ok(Self { path: path.to_owned(), identity: Mutex::new(identity), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cluster_id(&self) -> Option<String> {
        self.identity().cluster_id.clone()
    }

    /// Whether the cluster was formed with this folder.
    pub fn initialized(&self) -> bool {
        self.identity().initialized
    }

    /// How many shards the cluster has: settled when the folder was made.
    pub fn shards(&self) -> u64 {
        self.identity().shards
    }

    /// Settles the cluster. It is on disk when the call returns.
    pub fn settle_cluster(&self, cluster_id: &str) -> Result<(), Error> {
        let mut identity = self.identity();
        match &identity.cluster_id {
            Some(owner) if owner == cluster_id => return Ok(()),
            Some(owner) => {
                return Err(Error::OtherCluster {
                    path: self.path.clone(),
                    owner: owner.clone(),
                    other: cluster_id.to_owned(),
                });
            }
            None => {}
        }
        let next = Identity { cluster_id: Some(cluster_id.to_owned()), ..identity.clone() };
        write(&self.path, &next)?;
        *identity = next;
        Ok(())
    }

    /// Remembers that the cluster was formed.
    pub fn settle_initialized(&self) -> Result<(), Error> {
        let mut identity = self.identity();
        if !identity.initialized {
            let next = Identity { initialized: true, ..identity.clone() };
            write(&self.path, &next)?;
            *identity = next;
        }
        Ok(())
    }

    fn identity(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Option<Identity>, Error> {
    let file = path.join(IDENTITY_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path: file, source }),
    };
    let unreadable = |message: String| Error::Unreadable { path: file.clone(), message };
    let identity: Identity = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    if identity.version != IDENTITY_VERSION {
        return Err(unreadable(format!(
            "it has form {}, and this version knows {IDENTITY_VERSION}",
            identity.version
        )));
    }
    Ok(Some(identity))
}

/// Replaces the file as a whole: a reader finds the old one or the new one, also after a power cut.
fn write(path: &Path, identity: &Identity) -> Result<(), Error> {
    let target = path.join(IDENTITY_FILE);
    let io = |source| Error::Io { path: target.clone(), source };
    let text = serde_json::to_string_pretty(identity).map_err(|error| io(error.into()))?;
    let new = path.join(format!("{IDENTITY_FILE}.new"));
    let mut file = File::create(&new).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&new, &target).map_err(io)?;
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_process_one_node_and_one_cluster() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(temporary.path(), 1, 16).expect("opens");
        assert!(matches!(Folder::open(temporary.path(), 1, 16), Err(Error::InUse(_))));
        folder.settle_cluster("a").expect("settled");
        folder.settle_cluster("a").expect("settled before");
        assert!(matches!(folder.settle_cluster("b"), Err(Error::OtherCluster { .. })));
        folder.settle_initialized().expect("settled");
        drop(folder);
        assert!(matches!(
            Folder::open(temporary.path(), 2, 16),
            Err(Error::OtherNode { owner: 1, me: 2, .. })
        ));
        let folder = Folder::open(temporary.path(), 1, 4).expect("opens again");
        assert_eq!(folder.cluster_id().as_deref(), Some("a"));
        assert!(folder.initialized());
        assert_eq!(folder.shards(), 16, "the number of shards is settled for ever");
    }

    #[test]
    fn an_unreadable_identity_is_not_overwritten() {
        let temporary = tempfile::tempdir().expect("a folder");
        fs::write(temporary.path().join(IDENTITY_FILE), "{ torn").expect("written");
        assert!(matches!(Folder::open(temporary.path(), 1, 16), Err(Error::Unreadable { .. })));
        assert_eq!(fs::read_to_string(temporary.path().join(IDENTITY_FILE)).expect("read"), "{ torn");
    }
}
