//! Reading a range through all layers, a piece at a time.
//!
//! A piece is one consistent look at the tables; between two pieces applies may happen. No lock is held
//! while the caller works.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::PoisonError,
};

use super::{Overlay, Tables, Value, damaged, user_key};

const PIECE_ROWS_MIN: usize = 8;
const PIECE_ROWS_MAX: usize = 512;

pub struct Scan {
    tables: Tables,
    from: Vec<u8>,
    to: Vec<u8>,
    backward: bool,
    piece: usize,
    rows: VecDeque<(Vec<u8>, Value)>,
    ended: bool,
}

impl Scan {
    pub(super) fn new(tables: Tables, from: Vec<u8>, to: Vec<u8>, backward: bool) -> Scan {
        let ended = from >= to;
        Scan { tables, from, to, backward, piece: PIECE_ROWS_MIN, rows: VecDeque::new(), ended }
    }

    /// Fetches the next rows. Each layer gives as many rows as the piece has; only as far as the
    /// shortest full answer reaches is the merge complete.
    fn fetch(&mut self) {
        let shared = self.tables.shared.clone();
        let most = self.piece;
        self.piece = (self.piece * 4).min(PIECE_ROWS_MAX);
        let layers = shared.layers.read().unwrap_or_else(PoisonError::into_inner);
        let active = self.of_overlay(&layers.active, most);
        let frozen = layers.frozen.as_ref().map(|frozen| self.of_overlay(frozen, most)).unwrap_or_default();
        // Read under the same lock: a checkpoint that ends meanwhile would take rows away from both.
        let base = match shared.base.range(&user_key(&self.from), &user_key(&self.to), most, self.backward) {
            Ok(rows) => rows,
            Err(error) => damaged(&error),
        };
        drop(layers);
        let base: Vec<_> =
            base.into_iter().map(|(key, bytes)| (key[1..].to_vec(), Some(Value::Bytes(bytes)))).collect();
        let horizon = self.horizon(&[&base, &frozen, &active], most);
        let mut merged: BTreeMap<Vec<u8>, Option<Value>> = BTreeMap::new();
        for layer in [base, frozen, active] {
            merged.extend(layer);
        }
        if let Some(horizon) = &horizon {
            let beyond = |key: &Vec<u8>| if self.backward { key < horizon } else { key > horizon };
            merged.retain(|key, _| !beyond(key));
        }
        let live = merged.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        if self.backward {
            self.rows.extend(live.collect::<Vec<_>>().into_iter().rev());
        } else {
            self.rows.extend(live);
        }
        match horizon {
            None => self.ended = true,
            Some(key) if self.backward => self.to = key,
            Some(mut key) => {
                key.push(0);
                self.from = key;
            }
        }
    }

    fn of_overlay(&self, overlay: &Overlay, most: usize) -> Vec<(Vec<u8>, Option<Value>)> {
        let range = overlay.range(self.from.clone()..self.to.clone());
        let copy = |(key, value): (&Vec<u8>, &Option<Value>)| (key.clone(), value.clone());
        if self.backward {
            range.rev().take(most).map(copy).collect()
        } else {
            range.take(most).map(copy).collect()
        }
    }

    /// The key up to which all layers have answered; none if all have answered in full.
    fn horizon(&self, layers: &[&Vec<(Vec<u8>, Option<Value>)>], most: usize) -> Option<Vec<u8>> {
        let ends = layers.iter().filter(|rows| rows.len() == most).filter_map(|rows| rows.last());
        let keys = ends.map(|(key, _)| key.clone());
        if self.backward { keys.max() } else { keys.min() }
    }
}

impl Iterator for Scan {
    type Item = (Vec<u8>, Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Some(row);
            }
            if self.ended || self.from >= self.to {
                return None;
            }
            self.fetch();
        }
    }
}
