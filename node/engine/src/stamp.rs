//! What a decision may know of the world: the time, a seed for chance, and the limits in force.

use std::cell::Cell;

use crate::{limits::Limits, time::Time};

/// Handed to every decision. Two decisions with the same stamp and the same state are the same.
#[derive(Debug)]
pub struct Stamp<'a> {
    pub now: Time,
    pub seed: u64,
    pub limits: &'a Limits,
    drawn: Cell<u64>,
}

impl<'a> Stamp<'a> {
    pub fn new(now: Time, seed: u64, limits: &'a Limits) -> Stamp<'a> {
        Stamp { now, seed, limits, drawn: Cell::new(0) }
    }

    /// The next number of this stamp's stream (SplitMix64).
    pub fn chance(&self) -> u64 {
        let drawn = self.drawn.get() + 1;
        self.drawn.set(drawn);
        mix(self.seed.wrapping_add(drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// A version-4 UUID from this stamp's stream and its time: the seed alone has too few bits for ids that
    /// must never meet.
    pub fn uuid(&self) -> String {
        let high = (self.chance() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = mix(self.chance() ^ mix(self.now.0 as u64));
        let low = (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
