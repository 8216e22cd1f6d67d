//! The only source of chance: everything of a run is drawn from one seed.

use std::time::Duration;

/// SplitMix64: small, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed ^ 0x6A09_E667_F3BC_C909);
        random.draw();
        random
    }

    /// A stream of its own for one part of the run: what that part draws disturbs no other part.
    pub fn of(seed: u64, part: u64) -> Random {
        let mut random = Random::new(seed);
        Random::new(random.draw() ^ part.wrapping_mul(0xA24B_AED4_963E_E407))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// A number of the range, both ends included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }

    /// A duration of the range, in milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        let micros = low * 1000 + self.draw() % ((high - low) * 1000 + 1);
        Duration::from_micros(micros)
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
