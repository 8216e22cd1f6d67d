//! Reading a range through all layers, a piece at a time.
//!
//! A piece is one consistent look at the tables; between two pieces applies may happen. No lock is held
//! while the durable table is read or the caller works.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{Frozen, OrderedTable, Overlay, Tables, Value, Write};
use crate::{Error, keys};

const PIECE_ROWS_MIN: usize = 8;
const PIECE_ROWS_MAX: usize = 128;
const PIECE_GROWTH: usize = 4;

/// Rows of a range, in order or last first.
pub struct Scan {
    tables: Tables,
    left: Left,
    rows: VecDeque<(Vec<u8>, Value)>,
    rows_read: u64,
}

/// What of a range is still to be read.
pub(super) struct Left {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    pub(super) backward: bool,
    /// How many rows of each layer are looked at next.
    pub(super) piece: usize,
}

impl Scan {
    pub(super) fn new(tables: Tables, from: Vec<u8>, to: Vec<u8>, backward: bool) -> Scan {
        let left = Left { from, to, backward, piece: PIECE_ROWS_MIN };
        Scan { tables, left, rows: VecDeque::new(), rows_read: 0 }
    }

    /// Rows that were read so far, those included that nobody has taken yet.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    fn fetch(&mut self) {
        loop {
            let (generation, active, frozen) = {
                let layers = self.tables.layers();
                (layers.generation, self.left.of(&layers.active), layers.frozen.clone())
            };
            let looked = self.left.look(self.tables.base(), &frozen, active);
            let (rows, next) = looked.unwrap_or_else(|error| self.tables.lost(error));
            // Something newer than what we saw may have come into the durable table while we read it.
            if self.tables.layers().generation == generation {
                self.rows_read += rows.len() as u64;
                self.rows = rows;
                self.left.advance(next);
                return;
            }
        }
    }
}

impl Iterator for Scan {
    type Item = (Vec<u8>, Value);

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.is_empty() && !self.left.is_empty() {
            self.fetch();
        }
        self.rows.pop_front()
    }
}

pub(super) type OverlayRows = Vec<(Vec<u8>, Option<Value>)>;
type Looked = (VecDeque<(Vec<u8>, Value)>, Option<Vec<u8>>);

impl Left {
    pub(super) fn all(from: Vec<u8>, to: Vec<u8>) -> Left {
        Left { from, to, backward: false, piece: PIECE_ROWS_MAX }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    pub(super) fn of(&self, overlay: &Overlay) -> OverlayRows {
        let range = overlay.range::<[u8], _>((
            std::ops::Bound::Included(&self.from[..]),
            std::ops::Bound::Excluded(&self.to[..]),
        ));
        let copy = |(key, write): (&Vec<u8>, &Write)| (key.clone(), write.value.clone());
        if self.backward {
            range.rev().take(self.piece).map(copy).collect()
        } else {
            range.take(self.piece).map(copy).collect()
        }
    }

    /// Looks at all layers, and merges what they say as far as all of them were heard. Returns the key up
    /// to which that is, or none if it is everything.
    pub(super) fn look(
        &self,
        base: &dyn OrderedTable,
        frozen: &[Arc<Frozen>],
        active: OverlayRows,
    ) -> Result<Looked, Error> {
        let (from, to) = (keys::user(&self.from), keys::user(&self.to));
        let durable = base.range(&from, &to, self.piece, self.backward)?;
        let durable: OverlayRows = durable
            .into_iter()
            .map(|(key, bytes)| (keys::user_back(key), Some(Value::Bytes(bytes))))
            .collect();
        let frozen = frozen.iter().map(|frozen| self.of(&frozen.rows));
        let layers: Vec<OverlayRows> = [durable].into_iter().chain(frozen).chain([active]).collect();

        // A layer that gave a full piece may have more rows beyond its last.
        let full = layers.iter().filter(|rows| rows.len() == self.piece);
        let ends = full.filter_map(|rows| rows.last()).map(|(key, _)| key.clone());
        let horizon = if self.backward { ends.max() } else { ends.min() };

        let mut merged: BTreeMap<Vec<u8>, Option<Value>> = BTreeMap::new();
        for layer in layers {
            merged.extend(layer);
        }
        if let Some(horizon) = &horizon {
            if self.backward {
                merged = merged.split_off(horizon);
            } else {
                let mut beyond = merged.split_off(horizon);
                merged.extend(beyond.remove_entry(horizon));
            }
        }
        let live = merged.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let rows = if self.backward { live.rev().collect() } else { live.collect() };
        Ok((rows, horizon))
    }

    /// Goes on behind a key, or ends.
    pub(super) fn advance(&mut self, horizon: Option<Vec<u8>>) {
        self.piece = (self.piece * PIECE_GROWTH).min(PIECE_ROWS_MAX);
        match horizon {
            None => self.from = self.to.clone(),
            Some(key) if self.backward => self.to = key,
            Some(mut key) => {
                key.push(0);
                self.from = key;
            }
        }
    }
}
