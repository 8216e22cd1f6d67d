//! Replacing a group's rows by those of a snapshot: all of them or none.
//!
//! The durable table can't change so many rows at once. So a note is made durable in it first, which says
//! what is being installed; when rows and note are gone through, the note goes. If the power goes in between,
//! the next start finds the note and the file, and does it all again.

use std::{io, sync::Arc};

use super::{FOLDER, SnapshotData, SnapshotFile, Snapshots};
use crate::{
    Error, codec, keys,
    table::{KeyRange, Mark, OrderedTable, Tables, checkpoint::Mover},
};

const PIECE_ROWS: usize = 256;

/// What has to be done again if the power goes during an installation.
struct Note {
    group: u64,
    /// The file's name in the folder of snapshots.
    file: String,
    mark: Mark,
    ranges: Vec<KeyRange>,
}

pub(crate) struct Installation<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) mover: &'a Mover,
    pub(crate) snapshots: &'a Snapshots,
    pub(crate) group: u64,
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) mark: Mark,
}

impl Installation<'_> {
    pub(crate) fn run(self, snapshot: &SnapshotData) -> Result<(), Error> {
        let file = self.own(snapshot).map_err(Error::io(FOLDER))?;
        // Once the note is written there is no way back.
        check(&self.ranges, &file)?;
        let base = self.tables.base();
        let mut moving = self.tables.begin_move();
        // Rows in memory would hide the new ones.
        self.mover.run(self.tables, &mut moving)?;

        let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
        let (group, ranges) = (self.group, self.ranges);
        let note = Note { group, file: name, mark: self.mark, ranges };
        let key = keys::installing(self.group);
        base.write(&[(key.clone(), Some(note.encode()?.into()))])?;
        base.flush()?;
        replace_rows(base, &note, &file)?;
        base.write(&[(key, None)])?;
        base.flush()?;

        self.tables.installed(&moving, self.group, note.mark);
        self.snapshots.installed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// The snapshot as a durable file of this store.
    fn own(&self, snapshot: &SnapshotData) -> io::Result<Arc<SnapshotFile>> {
        let file = snapshot.file()?;
        let file = if Arc::ptr_eq(&file.disk, &self.snapshots.disk) {
            file.file.sync_data()?;
            file
        } else {
            let mut copy = self.snapshots.receive()?;
            for chunk in snapshot.chunks()? {
                copy.write(&chunk?)?;
            }
            copy.finish()?.file()?
        };
        self.snapshots.disk.sync_folder(FOLDER)?;
        Ok(file)
    }
}

impl Snapshots {
    /// After a start: finishes installations that were interrupted, and removes what is left over.
    pub(crate) fn finish_interrupted(&self, base: &dyn OrderedTable) -> Result<(), Error> {
        let range = keys::all_installing();
        for (key, note) in base.range(&range.from, &range.to, usize::MAX, false)? {
            let note = Note::decode(&note)?;
            tracing::info!(group = note.group, "finishing the installation of a snapshot");
            let path = format!("{FOLDER}/{}", note.file);
            let file = self.disk.open(&path).map_err(Error::io(path.clone()))?;
            replace_rows(base, &note, &SnapshotFile { disk: self.disk.clone(), path, file })?;
            base.write(&[(key, None)])?;
            base.flush()?;
        }
        self.remove_left_over()
    }
}

/// Whether a file is whole, and has rows of this group alone.
fn check(ranges: &[KeyRange], file: &SnapshotFile) -> Result<(), Error> {
    let checked = file.read_all(|key, _| {
        if ranges.iter().any(|range| range.from <= key && key < range.to) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "a snapshot has a row of another group"))
    });
    checked.map(|_| ()).map_err(Error::io(file.path.clone()))
}

fn replace_rows(base: &dyn OrderedTable, note: &Note, file: &SnapshotFile) -> Result<(), Error> {
    for range in &note.ranges {
        loop {
            let old = base.range(&keys::user(&range.from), &keys::user(&range.to), PIECE_ROWS, false)?;
            if old.is_empty() {
                break;
            }
            let gone: Vec<_> = old.into_iter().map(|(key, _)| (key, None)).collect();
            base.write(&gone)?;
        }
    }
    let mut piece = Vec::with_capacity(PIECE_ROWS);
    let rows = file.read_all(|key, value| {
        piece.push((keys::user(&key), Some(value)));
        if piece.len() == PIECE_ROWS {
            base.write(&piece).map_err(io::Error::from)?;
            piece.clear();
        }
        Ok(())
    });
    rows.map_err(Error::io(file.path.clone()))?;
    base.write(&piece)?;
    base.write(&[(keys::applied(note.group), Some(note.mark.encode()?))])?;
    base.flush()
}

type PlainNote = (u64, String, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

impl Note {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let ranges = self.ranges.iter().map(|range| (range.from.clone(), range.to.clone())).collect();
        let plain: PlainNote = (self.group, self.file.clone(), self.mark.encode()?.into(), ranges);
        codec::encode(&plain).map_err(|error| Error::Tables(error.to_string()))
    }

    fn decode(bytes: &[u8]) -> Result<Note, Error> {
        let unreadable = |error| Error::Tables(format!("the note of an installation: {error}"));
        let (group, file, mark, ranges): PlainNote = codec::decode(bytes).map_err(unreadable)?;
        let ranges = ranges.into_iter().map(|(from, to)| KeyRange { from, to }).collect();
        Ok(Note { group, file, mark: Mark::decode(&mark)?, ranges })
    }
}
