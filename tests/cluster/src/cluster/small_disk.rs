//! A disk that is soon full.
//!
//! A file system in memory with a fixed size, mounted in a namespace of its own by a process that does nothing
//! but hold it. It needs no rights that a user doesn't have on most systems, and is gone with that process.
//! Where even that is forbidden there is none, and a test can only say so.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const PIECE_BYTES: usize = 64 << 10;
/// What has to be allowed.
pub const HOW: &str = "unshare --map-root-user --mount";
const MOUNT: &str = r#"mount -t tmpfs -o "size=$1" everlog-test "$2" && echo mounted && read -r _"#;

#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    /// As this process sees it.
    path: PathBuf,
    _mount_point: TempDir,
}

impl SmallDisk {
    /// None if this machine does not let us make one.
    pub fn new(bytes: u64) -> Result<Option<Self>> {
        let mount_point = TempDir::with_prefix("everlog-disk-")?;
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"])
            .arg(bytes.to_string())
            .arg(mount_point.path())
            // Its end is what ends the holder, however the test ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut holder) = command.spawn() else { return Ok(None) };
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut said)?;
        if said.trim() != "mounted" {
            holder.wait()?;
            return Ok(None);
        }
        let path = Path::new("/proc").join(holder.id().to_string()).join("root");
        let path = path.join(mount_point.path().strip_prefix("/")?);
        Ok(Some(Self { holder, path, _mount_point: mount_point }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left but so many bytes.
    pub fn fill(&self, left_bytes: u64) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let piece = vec![1; PIECE_BYTES];
        let mut filled = 0;
        while ballast.write_all(&piece).is_ok() {
            filled += piece.len() as u64;
        }
        ensure!(filled >= left_bytes, "only {filled} bytes were free");
        ballast.set_len(filled - left_bytes)?;
        Ok(())
    }

    /// Gives the room back.
    pub fn make_room(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended by itself; then `wait` collects it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
