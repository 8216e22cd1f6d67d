//! Where things are: the checkout, its files, and the folder for what is expensive to make twice.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The checkout that the chores work on.
#[derive(Debug)]
pub struct Workspace {
    pub root: PathBuf,
}

impl Workspace {
    /// The folder above this crate, as cargo sees it now: a binary that was built for another checkout
    /// and shares its build folder must not work on that one.
    pub fn find() -> Result<Self> {
        let crate_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = crate_dir.parent().context("this crate has no folder above it")?.to_owned();
        if !root.join("Cargo.toml").is_file() {
            bail!("{} is not the root of the workspace", root.display());
        }
        Ok(Self { root })
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    pub fn has(&self, relative: impl AsRef<Path>) -> bool {
        self.path(relative).exists()
    }

    pub fn read(&self, relative: impl AsRef<Path>) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Every file that is or could be committed, relative to the root, in order.
    pub fn files(&self) -> Result<Vec<String>> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&self.root)
            .output()
            .context("run git")?;
        if !listed.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim());
        }
        let mut files: Vec<String> = String::from_utf8(listed.stdout)
            .context("a file name is not UTF-8")?
            .split_terminator('\0')
            .filter(|file| self.path(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// What makes cargo take the integration tests of this folder, and no others.
    ///
    /// Cargo chooses the features of dependencies by the packages that are built, so a chore that names its package
    /// compiles half of them once more. Every chore takes the whole workspace, and names what it wants of it.
    pub fn tests_in(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path(folder).join("tests");
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).with_context(|| format!("list {}", path.display()))? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "rs")
                && let Some(name) = file.file_stem().and_then(|name| name.to_str())
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names.into_iter().flat_map(|name| ["--test".to_owned(), name]).collect())
    }

    /// A cargo command in this checkout.
    pub fn cargo<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root);
        command
    }
}

/// The folder for tools and downloads, outside every checkout, so that they are made once.
pub fn cache_dir() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    let folder = base.join("everlog");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}
