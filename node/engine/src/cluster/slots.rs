//! Which shard owns which slot.

use serde::{Deserialize, Serialize};

use super::{Fact, Reply};
use crate::{
    key::{SLOTS, SLOTS_PER_BLOCK},
    reject::Reject,
};

/// Each shard is a Raft group with its own heartbeats: more of them than this cost more than they bring.
pub const SHARDS_MAX: u16 = 64;
const BLOCKS: u16 = SLOTS / SLOTS_PER_BLOCK;

/// Ranges of slots in order: each begins at its first slot and ends where the next begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotMap {
    ranges: Vec<Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    first: u16,
    shard: u16,
}

impl SlotMap {
    /// Contiguous ranges of whole blocks, as equal as these allow.
    pub fn even(shards: u16) -> SlotMap {
        let shards = shards.clamp(1, SHARDS_MAX);
        let first = |shard: u16| shard * BLOCKS / shards * SLOTS_PER_BLOCK;
        SlotMap { ranges: (0..shards).map(|shard| Range { first: first(shard), shard }).collect() }
    }

    pub fn shard_of(&self, slot: u16) -> Option<u16> {
        let after = self.ranges.partition_point(|range| range.first <= slot);
        self.ranges.get(after.checked_sub(1)?).map(|range| range.shard)
    }

    pub fn slots_of(&self, shard: u16) -> impl Iterator<Item = u16> + '_ {
        let ends = self.ranges.iter().skip(1).map(|range| range.first).chain([SLOTS]);
        self.ranges
            .iter()
            .zip(ends)
            .filter(move |(range, _)| range.shard == shard)
            .flat_map(|(range, end)| range.first..end)
    }

    /// The shards in use, each once.
    pub fn shards(&self) -> Vec<u16> {
        let mut shards: Vec<u16> = self.ranges.iter().map(|range| range.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    pub(super) fn assign(&mut self, first: u16, last: u16, shard: u16) {
        let after = last + 1;
        let follows = if after < SLOTS { self.shard_of(after) } else { None };
        self.ranges.retain(|range| range.first < first || range.first > after);
        self.ranges.push(Range { first, shard });
        self.ranges.extend(follows.map(|shard| Range { first: after, shard }));
        self.ranges.sort_unstable_by_key(|range| range.first);
        self.ranges.dedup_by_key(|range| range.shard);
    }
}

pub(super) fn assign(first: u16, last: u16, shard: u16) -> Result<(Vec<Fact>, Reply), Reject> {
    if first > last || last >= SLOTS {
        return Err(Reject::InvalidArgument(format!("slots {first} to {last} are no range below {SLOTS}")));
    }
    if !first.is_multiple_of(SLOTS_PER_BLOCK) || !(last + 1).is_multiple_of(SLOTS_PER_BLOCK) {
        return Err(Reject::InvalidArgument(format!(
            "slots {first} to {last} are no whole blocks of {SLOTS_PER_BLOCK}"
        )));
    }
    if shard >= SHARDS_MAX {
        return Err(Reject::InvalidArgument(format!("shard {shard} is not below {SHARDS_MAX}")));
    }
    Ok((vec![Fact::SlotsAssigned { first, last, shard }], Reply::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_maps_cover_every_slot_once() {
        for shards in [1, 2, 3, 7, 16, 64] {
            let map = SlotMap::even(shards);
            let sizes: Vec<usize> = (0..shards).map(|shard| map.slots_of(shard).count()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), SLOTS as usize, "{shards} shards");
            let spread = sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
            assert!(spread <= SLOTS_PER_BLOCK as usize, "{shards} shards");
            for slot in 0..SLOTS {
                assert_eq!(
                    map.shard_of(slot),
                    map.shard_of(crate::key::block(slot)),
                    "a block is in one shard"
                );
            }
            for shard in 0..shards {
                assert!(map.slots_of(shard).all(|slot| map.shard_of(slot) == Some(shard)));
            }
        }
    }

    #[test]
    fn assigned_ranges_agree_with_a_plain_array() {
        let limits = crate::limits::Limits::default();
        let stamp = crate::stamp::Stamp::new(crate::time::Time(0), 7, &limits);
        let mut map = SlotMap::even(4);
        let mut plain: Vec<u16> = (0..SLOTS).map(|slot| map.shard_of(slot).unwrap()).collect();
        for _ in 0..300 {
            let (a, b) = (stamp.chance() as u16 % SLOTS, stamp.chance() as u16 % SLOTS);
            let (first, last, shard) = (a.min(b), a.max(b), stamp.chance() as u16 % 8);
            map.assign(first, last, shard);
            plain[first as usize..=last as usize].fill(shard);
            let found: Vec<u16> = (0..SLOTS).map(|slot| map.shard_of(slot).unwrap()).collect();
            assert_eq!(found, plain);
            assert!(map.ranges.windows(2).all(|pair| pair[0].shard != pair[1].shard), "ranges are merged");
        }
    }

    #[test]
    fn an_empty_map_knows_no_shard() {
        assert_eq!(SlotMap::default().shard_of(0), None);
    }
}
