//! Vacuity gates: a green run means nothing unless the hard cases happened in it.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub fn hit(&mut self, point: &'static str) {
        *self.0.entry(point).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (point, hits) in &other.0 {
            *self.0.entry(point).or_default() += hits;
        }
    }

    pub fn hits(&self, point: &str) -> u64 {
        self.0.get(point).copied().unwrap_or_default()
    }

    pub fn all(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }
}
