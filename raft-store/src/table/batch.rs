//! The writes of one apply: visible to itself at once, to others together.

use super::{Overlay, Tables, Value, Write, put_over};

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
            Some(written) => written.value.clone(),
            None => self.tables.get(key),
        }
    }

    pub fn put(&mut self, key: Vec<u8>, value: Value) {
        put_over(&mut self.writes, key, Write { value: Some(value), is_new: false });
    }

    /// Puts a row that is not there. If it goes before the next checkpoint, no trace of it is left.
    pub fn put_new(&mut self, key: Vec<u8>, value: Value) {
        debug_assert!(self.get(&key).is_none(), "a new row is there already");
        put_over(&mut self.writes, key, Write { value: Some(value), is_new: true });
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        put_over(&mut self.writes, key, Write { value: None, is_new: false });
    }

    /// Removes all rows of a range.
    pub fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        if from >= to {
            return;
        }
        for (key, _) in self.tables.scan(from.clone(), to.clone()) {
            self.delete(key);
        }
        let written: Vec<Vec<u8>> = self.writes.range(from..to).map(|(key, _)| key.clone()).collect();
        for key in written {
            self.delete(key);
        }
    }
}
