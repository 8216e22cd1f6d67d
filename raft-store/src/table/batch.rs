//! The writes of one apply: visible to itself at once, to others together.

use super::{Overlay, Tables, Value};

pub struct Batch {
    tables: Tables,
    writes: Overlay,
}

impl Batch {
    pub(crate) fn new(tables: Tables) -> Batch {
        Batch { tables, writes: Overlay::new() }
    }

    pub(super) fn into_writes(self) -> Overlay {
        self.writes
    }

    pub fn get(&self, key: &[u8]) -> Option<Value> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.tables.get(key),
        }
    }

    pub fn put(&mut self, key: Vec<u8>, value: Value) {
        self.writes.insert(key, Some(value));
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Removes all rows of a range.
    pub fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        if from >= to {
            return;
        }
        for (key, _) in self.tables.scan(from.clone(), to.clone()) {
            self.writes.insert(key, None);
        }
        for (_, value) in self.writes.range_mut(from..to) {
            *value = None;
        }
    }
}
