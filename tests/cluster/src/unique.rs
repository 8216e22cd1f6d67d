//! Names that occur once, and chance that can be repeated.
//!
//! The checker recognises a write by a value that only that write carries. A counter behind a prefix
//! of the run gives such values without a dependency, and readable ones.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A value that no other call of any run gets.
pub fn unique(what: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{:x}-{:x}-{number}", process::id(), started_ms())
}

fn started_ms() -> u128 {
    static STARTED: std::sync::OnceLock<u128> = std::sync::OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()))
}

/// A small generator (xorshift64*): the load is the same for the same seed, if not its timing.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        // The state must not be zero, and neighbouring seeds should differ at once.
        let mut chance = Self((seed ^ 0x9e37_79b9_7f4a_7c15) | 1);
        chance.draw();
        chance
    }

    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.draw() >> 16) % bound.max(1)
    }
}
