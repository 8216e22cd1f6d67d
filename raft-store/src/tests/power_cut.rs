//! Power cuts: what was not synced is dropped, at any point, and nothing acknowledged is lost.
//!
//! Each seed drives a few groups at random: appends that are not waited for, votes, truncations of what is not
//! committed, applies, checkpoints, purges. At a random disk operation the power goes, also while the store
//! opens. What the next start finds must be a state that each group once was in, not older than the last that
//! was acknowledged; no vote may be forgotten; the rows must be those of one applied index, and replaying the
//! log over them must lead to what is committed.
//!
//! The number of seeds can be raised with `EVERLOG_POWER_CUTS`; a failure names its seed, and
//! `EVERLOG_POWER_CUT_SEED` runs that one alone.

use std::time::Duration;

use futures::FutureExt;
use openraft::{RaftLogReader, storage::RaftLogStorage};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::support::{Durable, Group, World, entry, folded, log_id, options, payload, rows, run, vote};
use crate::Store;

/// Each seed has several.
const CUTS_MIN: u64 = 1_000;
const CUTS_PER_SEED: u64 = 3;
const GROUPS: u64 = 3;

#[test]
fn a_power_cut_at_any_point_loses_nothing_that_was_acknowledged() {
    let cuts =
        std::env::var("EVERLOG_POWER_CUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(CUTS_MIN);
    let only: Option<u64> = std::env::var("EVERLOG_POWER_CUT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..cuts.div_ceil(CUTS_PER_SEED), |seed| seed..seed + 1);
    let mut seen = Seen::default();
    for seed in seeds {
        let mut story = Story::new(seed);
        for _ in 0..CUTS_PER_SEED {
            run(story.live_and_die());
        }
        run(story.verify_and_replay());
        seen.add(&story.seen);
    }
    println!("{seen:?}");
    if only.is_none() {
        seen.is_not_vacuous();
    }
}

/// Segments go when their entries are purged, and that they are must be durable before.
#[test]
fn a_power_cut_behind_a_removed_segment_leaves_a_log_that_knows_why() {
    const ENTRIES: u64 = 400;
    // What was not synced may survive all the same, so one cut would prove little.
    const CUTS: u64 = 8;
    for seed in 0..CUTS {
        run(async {
            let world = World::new(seed);
            let store = world.open().expect("it opens");
            let mut group = Group::open(&store, 3).expect("a group");
            for index in 0..ENTRIES {
                group.append_durably(index, &[7; 300]).await;
            }
            group.apply(0, ENTRIES).await.expect("it applies");
            store.tables().checkpoint().expect("it is made");
            let before = store.metrics().log_segments;
            assert!(before > 3, "{before} segments");
            // The disk is slow, so whoever does not wait for it is early.
            world.disk.slow_syncs(Duration::from_millis(200));
            group.log.purge(log_id(1, ENTRIES - 2)).await.expect("it is left with the writer");
            while store.metrics().log_segments == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.disk.cut();
            drop((group, store));
            let store = world.cut().open().expect("it opens");
            let mut group = Group::open(&store, 3).expect("nothing is missed");
            assert_eq!(group.last().await, Some(ENTRIES - 1));
        });
    }
}

/// What happened, so that a test that proves nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    cuts: u64,
    acknowledged: u64,
    /// Changes that nobody was told of and that are gone.
    lost: u64,
    /// Changes that nobody was told of and that are there all the same.
    kept: u64,
    votes: u64,
    truncations: u64,
    purges: u64,
    checkpoints: u64,
    checkpoints_cut: u64,
    openings_cut: u64,
    segments: u64,
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.kept += other.kept;
        self.votes += other.votes;
        self.truncations += other.truncations;
        self.purges += other.purges;
        self.checkpoints += other.checkpoints;
        self.checkpoints_cut += other.checkpoints_cut;
        self.openings_cut += other.openings_cut;
        self.segments += other.segments;
    }

    fn is_not_vacuous(&self) {
        assert!(self.cuts >= CUTS_MIN, "{self:?}");
        assert!(self.acknowledged > 10 * self.cuts, "{self:?}");
        let rest = [self.lost, self.kept, self.votes, self.truncations, self.purges, self.checkpoints];
        assert!(rest.iter().all(|count| *count > self.cuts / 10), "{self:?}");
        assert!([self.checkpoints_cut, self.openings_cut].iter().all(|count| *count > 20), "{self:?}");
        assert!(self.segments > self.cuts, "{self:?}");
    }
}

#[derive(Clone, Debug)]
enum Change {
    Push {
        term: u64,
        payload: Vec<u8>,
    },
    /// So many entries are kept.
    Truncate(usize),
    /// So many entries are gone from the front.
    Purge(usize),
}

/// What a group was asked to keep.
#[derive(Default)]
struct GroupModel {
    changes: Vec<Change>,
    /// So many of the changes are certain.
    durable: usize,
    votes: Vec<u64>,
    votes_durable: usize,
    committed: usize,
    applied: usize,
    applied_durable: usize,
    waiting: Vec<(usize, Durable)>,
}

type Log = Vec<(u64, Vec<u8>)>;

impl GroupModel {
    /// The whole log, with what was purged, and how much of it that is, after so many changes.
    fn log(&self, changes: usize) -> (Log, usize) {
        let (mut log, mut purged) = (Log::new(), 0);
        for change in &self.changes[..changes] {
            match change {
                Change::Push { term, payload } => log.push((*term, payload.clone())),
                Change::Truncate(kept) => log.truncate(*kept),
                Change::Purge(count) => purged = *count,
            }
        }
        (log, purged)
    }

    fn payloads(log: &Log) -> impl Iterator<Item = &[u8]> {
        log.iter().map(|(_, payload)| payload.as_slice())
    }

    /// So many entries are on disk, and no change that is under way takes them back.
    fn certain(&self) -> usize {
        (self.durable..=self.changes.len()).map(|changes| self.log(changes).0.len()).min().unwrap_or_default()
    }

    /// Hears which appends are acknowledged by now.
    fn hear(&mut self, seen: &mut Seen) {
        let waiting = std::mem::take(&mut self.waiting);
        for (changes, mut durable) in waiting {
            match (&mut durable).now_or_never() {
                Some(told) => self.told(changes, told.expect("somebody tells"), seen),
                None => self.waiting.push((changes, durable)),
            }
        }
    }

    fn told(&mut self, changes: usize, told: std::io::Result<()>, seen: &mut Seen) {
        if told.is_ok() {
            self.durable = self.durable.max(changes);
            seen.acknowledged += 1;
        }
    }
}

struct Story {
    seed: u64,
    random: StdRng,
    world: Option<World>,
    models: Vec<GroupModel>,
    seen: Seen,
}

impl Story {
    fn new(seed: u64) -> Story {
        let models = (0..GROUPS).map(|_| GroupModel::default()).collect();
        let random = StdRng::seed_from_u64(seed);
        Story { seed, random, world: Some(World::new(seed)), models, seen: Seen::default() }
    }

    /// One life of the node, from the last power cut to the next.
    async fn live_and_die(&mut self) {
        let world = self.world.take().expect("a world");
        // While a slow disk syncs, more comes in, and more is under way when the power goes.
        world.disk.slow_syncs(Duration::from_micros(self.random.random_range(0..200)));
        if self.random.random_ratio(1, 4) {
            world.disk.cut_after(self.random.random_range(1..60));
        }
        let opened = match self.open(&world) {
            Some(store) => self.verified(&world, &store).await.map(|groups| (store, groups)),
            None => None,
        };
        match opened {
            Some((store, mut groups)) => {
                if !world.disk.is_off() {
                    world.disk.cut_after(self.random.random_range(1..400));
                }
                while !world.disk.is_off() {
                    let number = self.random.random_range(0..groups.len());
                    self.act(&store, &mut groups[number], number).await;
                }
                for model in &mut self.models {
                    for (changes, durable) in std::mem::take(&mut model.waiting) {
                        let told = durable.await.expect("somebody tells");
                        model.told(changes, told, &mut self.seen);
                    }
                }
            }
            None => {
                assert!(world.disk.is_off(), "seed {}: it opens as long as there is power", self.seed);
                self.seen.openings_cut += 1;
            }
        }
        self.seen.cuts += 1;
        self.world = Some(world.cut());
    }

    /// After the last cut: everything is there, and everything committed can be applied.
    async fn verify_and_replay(&mut self) {
        let world = self.world.take().expect("a world");
        let store = self.open(&world).unwrap_or_else(|| panic!("seed {}: it opens", self.seed));
        let groups = self.verified(&world, &store).await.expect("there is power");
        for (mut group, model) in groups.into_iter().zip(&self.models) {
            group.apply(model.applied as u64, model.committed as u64).await.expect("it applies");
            let log = model.log(model.changes.len()).0;
            let expected = folded(group.number, GroupModel::payloads(&log).take(model.committed));
            assert_eq!(rows(&store, group.number), expected, "seed {}: replayed", self.seed);
        }
    }

    fn open(&mut self, world: &World) -> Option<Store> {
        let mut options = options();
        options.wal.segment_bytes = self.random.random_range(6..30) << 10;
        match world.open_with(options) {
            Ok(store) => Some(store),
            Err(_) if world.disk.is_off() => None,
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// What was found is what must be there; the models go on from it. None if the power goes meanwhile.
    async fn verified(&mut self, world: &World, store: &Store) -> Option<Vec<Group>> {
        let mut groups = Vec::new();
        for (number, model) in (0..).zip(&mut self.models) {
            let what = format!("seed {} group {number}", self.seed);
            let mut group = match Group::open(store, number) {
                Ok(group) => group,
                Err(_) if world.disk.is_off() => return None,
                Err(error) => panic!("{what}: {error}"),
            };
            let state = group.log.get_log_state().await.expect("it is known");
            let purged = state.last_purged_log_id.map_or(0, |purged| purged.index as usize + 1);
            let found: Log = match group.log.try_get_log_entries(0..).await {
                Ok(found) => found.iter().map(|e| (e.log_id.leader_id.term, payload(e).to_vec())).collect(),
                Err(_) if world.disk.is_off() => return None,
                Err(error) => panic!("{what}: {error}"),
            };
            let is_found = |changes: &usize| {
                let (log, expected_purged) = model.log(*changes);
                purged == expected_purged && log.get(purged..) == Some(&found[..])
            };
            let possible = model.durable..=model.changes.len();
            let changes = possible.rev().find(is_found).unwrap_or_else(|| {
                let acknowledged = model.log(model.durable).0.len();
                let entries = purged + found.len();
                panic!("{what}: {entries} entries were found, {acknowledged} were acknowledged: no state of the past")
            });
            self.seen.lost += (model.changes.len() - changes) as u64;
            self.seen.kept += (changes - model.durable) as u64;
            model.changes.truncate(changes);
            model.durable = changes;

            let vote = group.log.read_vote().await.expect("it reads").map(|vote| vote.leader_id.term);
            let votes = match vote {
                None => 0,
                Some(term) => model.votes.iter().position(|voted| *voted == term).map_or(0, |at| at + 1),
            };
            assert!(votes >= model.votes_durable, "{what}: a vote is forgotten, found {vote:?}");
            model.votes.truncate(votes);
            model.votes_durable = votes;

            let applied = group.applied().await.map_or(0, |applied| applied as usize + 1);
            assert!((model.applied_durable..=model.applied).contains(&applied), "{what}: {applied} applied");
            let log = model.log(changes).0;
            let expected = folded(number, GroupModel::payloads(&log).take(applied));
            assert_eq!(rows(store, number), expected, "{what}: rows of one index");
            (model.applied, model.applied_durable) = (applied, applied);
            groups.push(group);
        }
        Some(groups)
    }

    /// One thing that a group does.
    async fn act(&mut self, store: &Store, group: &mut Group, number: usize) {
        let (random, seen) = (&mut self.random, &mut self.seen);
        let model = &mut self.models[number];
        model.hear(seen);
        match random.random_range(0..100) {
            0..45 => {
                let length = model.log(model.changes.len()).0.len();
                let term =
                    1 + model.changes.iter().filter(|change| matches!(change, Change::Truncate(_))).count()
                        as u64;
                let mut entries = Vec::new();
                for index in 0..random.random_range(1..5) {
                    let payload: Vec<u8> =
                        (0..random.random_range(0..600)).map(|_| random.random()).collect();
                    entries.push(entry(term, (length + index) as u64, &payload));
                    model.changes.push(Change::Push { term, payload });
                }
                let durable = group.append_all(entries).await;
                model.waiting.push((model.changes.len(), durable));
            }
            45..55 => {
                // Whoever waits for a moment lets others be acknowledged.
                if let Some((changes, durable)) = model.waiting.pop() {
                    let told = durable.await.expect("somebody tells");
                    model.told(changes, told, seen);
                }
            }
            55..62 => {
                let term = model.votes.last().map_or(1, |last| last + 1);
                model.votes.push(term);
                if group.log.save_vote(&vote(term)).await.is_ok() {
                    model.votes_durable = model.votes.len();
                    seen.votes += 1;
                }
            }
            62..68 => {
                let log = model.log(model.changes.len()).0;
                if log.len() > model.committed {
                    let kept = random.random_range(model.committed..log.len());
                    let last = kept.checked_sub(1).map(|last| log_id(log[last].0, last as u64));
                    model.changes.push(Change::Truncate(kept));
                    group.log.truncate_after(last).await.expect("it is left with the writer");
                    seen.truncations += 1;
                }
            }
            68..85 => {
                model.committed = model.committed.max(model.certain());
                if let Some(last) = model.committed.checked_sub(1) {
                    let term = model.log(model.changes.len()).0[last].0;
                    group.log.save_committed(Some(log_id(term, last as u64))).await.expect("it is kept");
                }
                let upto = random.random_range(model.applied..=model.committed);
                // Reading old entries needs the disk, too.
                if group.apply(model.applied as u64, upto as u64).await.is_ok() {
                    model.applied = upto;
                }
            }
            85..93 => {
                let applied: Vec<usize> = self.models.iter().map(|model| model.applied).collect();
                let tables = store.tables();
                let made = tokio::task::spawn_blocking(move || tables.checkpoint());
                if made.await.expect("it does not panic").is_ok() {
                    for (model, applied) in self.models.iter_mut().zip(applied) {
                        model.applied_durable = applied;
                    }
                    seen.checkpoints += 1;
                } else {
                    seen.checkpoints_cut += 1;
                }
                seen.segments += store.metrics().log_segments;
            }
            _ => {
                let (log, purged) = model.log(model.changes.len());
                if model.applied_durable > purged {
                    let count = random.random_range(purged + 1..=model.applied_durable);
                    model.changes.push(Change::Purge(count));
                    let last = log_id(log[count - 1].0, count as u64 - 1);
                    group.log.purge(last).await.expect("it is left with the writer");
                    seen.purges += 1;
                }
            }
        }
    }
}
