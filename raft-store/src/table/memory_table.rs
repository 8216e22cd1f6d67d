//! An ordered table in memory that forgets what was not flushed when the power goes.
//!
//! It promises as little as it may: at a power cut, each row that was written since the last flush is kept
//! or lost by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{OrderedTable, Row};
use crate::{Error, disk::sim::SimDisk};

/// Rows in memory, under the same power switch as a simulated disk.
#[derive(Clone)]
pub struct MemoryTable {
    disk: SimDisk,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<Vec<u8>, Bytes>,
    durable: BTreeMap<Vec<u8>, Bytes>,
    unflushed: Vec<Row>,
}

impl MemoryTable {
    pub fn new(disk: &SimDisk) -> MemoryTable {
        MemoryTable { disk: disk.clone(), state: Arc::default() }
    }

    /// What is left when the power is back, on the disk's successor.
    pub fn survivor(&self, disk: &SimDisk) -> MemoryTable {
        let mut state = self.lock();
        let mut rows = std::mem::take(&mut state.durable);
        for (key, value) in std::mem::take(&mut state.unflushed) {
            if !disk.chance(1, 2) {
                continue;
            }
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        let state = State { durable: rows.clone(), rows, unflushed: Vec::new() };
        MemoryTable { disk: disk.clone(), state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderedTable for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.lock().rows.get(key).cloned())
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let state = self.lock();
        let range = state.rows.range(from.to_vec()..to.to_vec());
        let copy = |(key, value): (&Vec<u8>, &Bytes)| (key.clone(), value.clone());
        Ok(if backward {
            range.rev().take(most).map(copy).collect()
        } else {
            range.take(most).map(copy).collect()
        })
    }

    fn write(&self, rows: &[Row]) -> Result<(), Error> {
        for row in rows {
            self.disk.tick().map_err(Error::io("memory table"))?;
            let mut state = self.lock();
            match row.clone() {
                (key, Some(value)) => state.rows.insert(key, value),
                (key, None) => state.rows.remove(&key),
            };
            state.unflushed.push(row.clone());
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.disk.tick().map_err(Error::io("memory table"))?;
        let mut state = self.lock();
        state.durable = state.rows.clone();
        state.unflushed.clear();
        Ok(())
    }
}
