//! A folder for the data of a command that runs for a while.

use std::path::{Path, PathBuf};

/// A folder that stays, or one that goes with the command.
pub(crate) struct DataDir {
    path: PathBuf,
    kept: bool,
}

impl DataDir {
    /// The given folder, which stays, or a temporary one with a name that says whose it is.
    pub(crate) fn choose(given: Option<&Path>, owner: &str) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path: std::path::absolute(path)?, kept: true });
        }
        let path = std::env::temp_dir().join(format!("everlog-{owner}-{}", std::process::id()));
        if path.exists() {
            // Left by a process of the same number that was killed.
            std::fs::remove_dir_all(&path)?;
        }
        Ok(Self { path, kept: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the folder stay, even if it was to be temporary.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if !self.kept
            && self.path.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("everlog: the temporary folder {} stays: {error}", self.path.display());
        }
    }
}
