//! A disk in memory that can lose power, run full, fail and rot.
//!
//! It keeps what a careful reading of the file system's promises guarantees, and after a power cut nothing
//! more: of the writes since a file's last sync any may have happened, also in part, 512 bytes at a time, in
//! any order; of the changes to a folder since its last sync any may have happened. Which, is drawn from the
//! seed. After a failed sync, what was to be synced never will be, whatever later syncs say: that is what
//! Linux does.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Disk, DiskFile, Lock};

const SECTOR_BYTES: usize = 512;

/// A handle to a simulated disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: StdRng,
    files: BTreeMap<u64, File>,
    next_file: u64,
    /// What the folders say now, and what they say for certain after a power cut.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    operations: u64,
    cut_at: Option<u64>,
    is_off: bool,
    bytes_max: Option<u64>,
    failing_syncs: u64,
    failing_writes: u64,
    sync_takes: Duration,
    locks: BTreeMap<String, std::sync::Weak<()>>,
}

#[derive(Clone, Default)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

enum NameChange {
    Link { name: String, file: u64 },
    Unlink { name: String },
    Rename { from: String, to: String, file: u64 },
}

impl SimDisk {
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::with(StdRng::seed_from_u64(seed), BTreeMap::new(), BTreeMap::new())
    }

    fn with(random: StdRng, files: BTreeMap<u64, File>, names: BTreeMap<String, u64>) -> SimDisk {
        let next_file = files.keys().next_back().map_or(1, |last| last + 1);
        let state = State {
            random,
            files,
            next_file,
            durable_names: names.clone(),
            names,
            name_changes: Vec::new(),
            operations: 0,
            cut_at: None,
            is_off: false,
            bytes_max: None,
            failing_syncs: 0,
            failing_writes: 0,
            sync_takes: Duration::ZERO,
            locks: BTreeMap::new(),
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power at the operation that is so many away.
    pub fn cut_after(&self, operations: u64) {
        let mut state = self.lock_state();
        state.cut_at = Some(state.operations + operations);
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.lock_state().is_off = true;
    }

    pub fn is_off(&self) -> bool {
        self.lock_state().is_off
    }

    /// How many operations there were: what a cut is counted in.
    pub fn operations(&self) -> u64 {
        self.lock_state().operations
    }

    /// The disk as it is when the power is back. The old one stays dead.
    pub fn survivor(&self) -> SimDisk {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.is_off = true;
        let mut random = StdRng::from_rng(&mut state.random);
        let mut names = std::mem::take(&mut state.durable_names);
        for change in std::mem::take(&mut state.name_changes) {
            if random.random_ratio(1, 2) {
                change.make(&mut names);
            }
        }
        let mut files = std::mem::take(&mut state.files);
        files.retain(|number, _| names.values().any(|named| named == number));
        for file in files.values_mut() {
            file.lose(&mut random);
            file.content = file.durable.clone();
        }
        SimDisk::with(random, files, names)
    }

    /// A chance from the disk's seed.
    pub fn chance(&self, of: u32, out_of: u32) -> bool {
        self.lock_state().random.random_ratio(of, out_of)
    }

    /// Counts an operation that is not this disk's own but under the same power switch.
    pub fn tick(&self) -> io::Result<()> {
        self.lock_state().tick()
    }

    /// From now on all files together may have so many bytes.
    pub fn limit(&self, bytes_max: Option<u64>) {
        self.lock_state().bytes_max = bytes_max;
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lock_state().bytes()
    }

    /// Lets the next so many syncs fail.
    pub fn fail_syncs(&self, count: u64) {
        self.lock_state().failing_syncs = count;
    }

    /// From now on each sync takes so long.
    pub fn slow_syncs(&self, each: Duration) {
        self.lock_state().sync_takes = each;
    }

    /// Lets the next so many writes fail.
    pub fn fail_writes(&self, count: u64) {
        self.lock_state().failing_writes = count;
    }

    /// Lets a bit rot, in a file that exists.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) {
        let mut state = self.lock_state();
        let number = state.names.get(name).copied().unwrap_or_else(|| panic!("there is no file {name}"));
        if let Some(file) = state.files.get_mut(&number) {
            file.content[offset as usize] ^= 1 << bit;
            if let Some(byte) = file.durable.get_mut(offset as usize) {
                *byte ^= 1 << bit;
            }
        }
    }

    /// What is in a file now.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.lock_state();
        let file = state.names.get(name).and_then(|number| state.files.get(number));
        file.map(|file| file.content.clone()).unwrap_or_default()
    }

    /// Takes a file away, or gives it other bytes, as nobody should.
    pub fn replace(&self, name: &str, content: Option<Vec<u8>>) {
        let mut state = self.lock_state();
        let Some(number) = state.names.get(name).copied() else { return };
        match content {
            None => {
                state.names.remove(name);
                state.durable_names.remove(name);
            }
            Some(content) => {
                let durable = content.clone();
                state.files.insert(number, File { content, durable, ..File::default() });
            }
        }
    }
}

impl State {
    fn tick(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.cut_at.is_some_and(|cut_at| self.operations >= cut_at) {
            self.is_off = true;
        }
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|number| self.files.get(number));
        files.map(|file| file.content.len() as u64).sum()
    }

    fn file(&mut self, number: u64) -> io::Result<&mut File> {
        self.files.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A change that the power cut interrupts may happen in part.
    fn change(&mut self, number: u64, change: Change) -> io::Result<()> {
        let was_on = !self.is_off;
        let ticked = self.tick();
        if let Some(failing) = self.failing_writes.checked_sub(1) {
            self.failing_writes = failing;
            return Err(input_output_error());
        }
        if let (Ok(()), Change::Write { offset, bytes }) = (&ticked, &change) {
            let grows = (offset + bytes.len()).saturating_sub(self.file(number)?.content.len()) as u64;
            if self.bytes_max.is_some_and(|bytes_max| grows > 0 && self.bytes() + grows > bytes_max) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        if was_on {
            let file = self.file(number)?;
            change.make(&mut file.content);
            file.changes.push(change);
        }
        ticked
    }
}

impl File {
    /// The power goes, or a sync fails: of what was not synced, some of it is durable all the same, and the
    /// rest never will be.
    fn lose(&mut self, random: &mut StdRng) {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Length(_) => {
                    if random.random_ratio(1, 2) {
                        change.make(&mut self.durable);
                    }
                }
                Change::Write { offset, bytes } => keep_in_part(&mut self.durable, offset, &bytes, random),
            }
        }
    }
}

/// Keeps all of a write, nothing, its beginning, or any of its sectors.
fn keep_in_part(content: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut StdRng) {
    let how = random.random_range(0..4);
    let beginning = random.random_range(0..=bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let sector = (SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(bytes.len() - at);
        let is_kept = match how {
            0 => true,
            1 => false,
            2 => at + sector <= beginning,
            _ => random.random_ratio(1, 2),
        };
        if is_kept {
            let piece = bytes[at..at + sector].to_vec();
            Change::Write { offset: offset + at, bytes: piece }.make(content);
        }
        at += sector;
    }
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Change::Length(bytes) => content.resize(*bytes, 0),
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

impl NameChange {
    fn make(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            NameChange::Unlink { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn is_in(&self, folder: &str) -> bool {
        let (NameChange::Link { name, .. }
        | NameChange::Unlink { name }
        | NameChange::Rename { to: name, .. }) = self;
        in_folder(name, folder).is_some()
    }
}

fn input_output_error() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

/// The file's name, if it is in this folder.
fn in_folder<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    match path.rsplit_once('/') {
        Some((of, name)) => (of == folder).then_some(name),
        None => folder.is_empty().then_some(path),
    }
}

impl Disk for SimDisk {
    fn describe(&self) -> String {
        "a simulated disk".to_owned()
    }

    fn create_folder(&self, _folder: &str) -> io::Result<()> {
        self.tick()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.tick()?;
        let number = match state.names.get(name) {
            Some(number) => *number,
            None => {
                let number = state.next_file;
                state.next_file += 1;
                state.files.insert(number, File::default());
                let link = NameChange::Link { name: name.to_owned(), file: number };
                link.make(&mut state.names);
                state.name_changes.push(link);
                number
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), number }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut state = self.lock_state();
        state.tick()?;
        Ok(state.names.keys().filter_map(|path| in_folder(path, folder)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.tick()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let unlink = NameChange::Unlink { name: name.to_owned() };
        unlink.make(&mut state.names);
        state.name_changes.push(unlink);
        // The space is free again; the bytes are not forgotten, because the removal may not be durable.
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.tick()?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let rename = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file };
        rename.make(&mut state.names);
        state.name_changes.push(rename);
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.tick()?;
        for change in state.name_changes.extract_if(.., |change| change.is_in(folder)) {
            change.make(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Lock> {
        let mut state = self.lock_state();
        state.tick()?;
        if state.locks.get(name).is_some_and(|held| held.strong_count() > 0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let lock = Arc::new(());
        state.locks.insert(name.to_owned(), Arc::downgrade(&lock));
        Ok(Box::new(lock))
    }
}

struct SimFile {
    disk: SimDisk,
    number: u64,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let change = Change::Write { offset: offset as usize, bytes: bytes.to_vec() };
        self.disk.lock_state().change(self.number, change)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock_state();
        state.tick()?;
        let content = &state.file(self.number)?.content;
        let from = content.len().min(offset as usize);
        let read = buffer.len().min(content.len() - from);
        buffer[..read].copy_from_slice(&content[from..from + read]);
        Ok(read)
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.lock_state();
        state.tick()?;
        Ok(state.file(self.number)?.content.len() as u64)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.disk.lock_state().change(self.number, Change::Length(bytes as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let takes = self.disk.lock_state().sync_takes;
        if !takes.is_zero() {
            std::thread::sleep(takes);
        }
        let mut state = self.disk.lock_state();
        let state = &mut *state;
        state.tick()?;
        let fails = state.failing_syncs.checked_sub(1);
        state.failing_syncs = fails.unwrap_or_default();
        let file = state.files.get_mut(&self.number).ok_or(io::ErrorKind::NotFound)?;
        if fails.is_some() {
            file.lose(&mut state.random);
            return Err(input_output_error());
        }
        for change in file.changes.drain(..) {
            change.make(&mut file.durable);
        }
        Ok(())
    }
}
