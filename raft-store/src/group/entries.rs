//! The entries of a group that are not purged: where each is, and the newest themselves.

use std::collections::VecDeque;

use openraft::{EntryPayload, type_config::alias::EntryOf};

use crate::{types::Types, wal::Place};

/// What a cached entry takes besides its bytes, roughly.
const CACHED_ENTRY_BYTES: usize = 128;
/// A queue gives memory back behind a purge, when it has room for so many times its entries.
const GIVE_BACK_FACTOR: usize = 4;

pub(super) struct Entries {
    /// The index of the first place.
    first: u64,
    /// An entry that is not written yet has a place without a segment, and its append's ticket for an
    /// offset: a write that is completed late must not be taken for that of a newer entry.
    places: VecDeque<Place>,
    /// The last so many of the entries.
    cached: VecDeque<EntryOf<Types>>,
    cached_bytes: usize,
    /// Up to here, entries have lost what was attached to them.
    released: u64,
    next_ticket: u64,
}

impl Entries {
    pub(super) fn new(first: u64, places: impl Iterator<Item = Place>) -> Entries {
        let (cached, cached_bytes) = (VecDeque::new(), 0);
        Entries { first, places: places.collect(), cached, cached_bytes, released: first, next_ticket: 0 }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index after the last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = &Place> {
        self.places.iter()
    }

    /// Places with their indexes.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, Place)> {
        let first = self.first;
        self.places.iter().enumerate().map(move |(at, place)| (first + at as u64, *place))
    }

    /// A number for those entries that are written together.
    pub(super) fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Lets an empty log begin anywhere.
    pub(super) fn begin_at(&mut self, index: u64) -> bool {
        let is_empty = self.places.is_empty() && index >= self.first;
        if is_empty {
            self.first = index;
        }
        is_empty
    }

    pub(super) fn push(&mut self, entry: EntryOf<Types>, bytes: u32, ticket: u64) {
        self.places.push_back(Place { segment: 0, offset: ticket, bytes });
        self.cached_bytes += cached_bytes(bytes);
        self.cached.push_back(entry);
    }

    /// The wanted entries: where the older ones begin and are, and the newer ones themselves.
    pub(super) fn get(&self, from: u64, to: u64) -> (u64, Vec<Place>, Vec<EntryOf<Types>>) {
        let (from, to) = (from.max(self.first), to.min(self.end()));
        let border = self.cached_from().clamp(from, to.max(from));
        let at = |index: u64| (index - self.first) as usize;
        let places =
            self.places.range(at(from.min(self.end()))..at(border.min(self.end()))).copied().collect();
        let cached_at = |index: u64| (index - self.cached_from()) as usize;
        let cached = if border < to {
            self.cached.range(cached_at(border)..cached_at(to)).cloned().collect()
        } else {
            Vec::new()
        };
        (from, places, cached)
    }

    /// `count` entries that were appended together are durable; the first of them is here.
    pub(super) fn written(&mut self, first: u64, count: u64, place: Place, ticket: u64) {
        let mut offset = place.offset;
        for index in first..first + count {
            let Some(slot) = self.slot(index) else { return };
            if slot.is_written() || slot.offset != ticket {
                return;
            }
            *slot = Place { segment: place.segment, offset, bytes: slot.bytes };
            offset += u64::from(slot.bytes);
        }
    }

    /// Copies of entries are durable that were in `old`; the first of them is here. An entry that was
    /// replaced meanwhile is elsewhere: nothing is ever appended to an old segment.
    pub(super) fn moved(&mut self, copies: &[(u64, u32)], old: u64, place: Place) {
        let mut offset = place.offset;
        for &(index, bytes) in copies {
            if let Some(slot) = self.slot(index).filter(|slot| slot.segment == old) {
                *slot = Place { segment: place.segment, offset, bytes };
            }
            offset += u64::from(bytes);
        }
    }

    /// Lets go of the oldest cached entries that can be read from their places.
    pub(super) fn evict(&mut self, bytes_max: usize) {
        while self.cached_bytes > bytes_max {
            let index = self.cached_from();
            let Some(place) = self.slot(index).copied().filter(Place::is_written) else { break };
            self.cached.pop_front();
            self.cached_bytes -= cached_bytes(place.bytes);
        }
        give_back(&mut self.cached);
    }

    /// Drops what was attached to entries up to an index.
    pub(super) fn release(&mut self, applied: u64) {
        let cached_from = self.cached_from();
        for index in self.released.max(cached_from)..(applied + 1).min(self.end()) {
            if let EntryPayload::Normal(payload) = &mut self.cached[(index - cached_from) as usize].payload {
                payload.prepared = None;
            }
        }
        self.released = self.released.max(applied + 1);
    }

    /// Drops entries from an index on.
    pub(super) fn truncate(&mut self, from: u64) {
        while self.end() > from.max(self.first) {
            let place = self.places.pop_back();
            if self.cached.pop_back().is_some() {
                self.cached_bytes -= cached_bytes(place.map_or(0, |place| place.bytes));
            }
        }
        self.released = self.released.min(from);
    }

    /// Drops entries before an index.
    pub(super) fn purge(&mut self, before: u64) {
        while self.first < before.min(self.end()) {
            if self.cached_from() == self.first {
                self.cached.pop_front();
                self.cached_bytes -= cached_bytes(self.places.front().map_or(0, |place| place.bytes));
            }
            self.places.pop_front();
            self.first += 1;
        }
        if self.places.is_empty() {
            self.first = self.first.max(before);
        }
        give_back(&mut self.places);
        give_back(&mut self.cached);
    }

    fn cached_from(&self) -> u64 {
        self.end() - self.cached.len() as u64
    }

    fn slot(&mut self, index: u64) -> Option<&mut Place> {
        self.places.get_mut(index.checked_sub(self.first)? as usize)
    }
}

/// A burst leaves room that nobody needs behind it.
fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > GIVE_BACK_FACTOR * queue.len() {
        queue.shrink_to(2 * queue.len());
    }
}

fn cached_bytes(record_bytes: u32) -> usize {
    record_bytes as usize + CACHED_ENTRY_BYTES
}
