//! One decision about a schedule in the making: a scratch copy of its state and the facts that led to it.
//!
//! Every turn goes the same way: what has fallen due since the last turn takes effect, then the request, then
//! backfills, then the buffer, and at the end the schedule says when it wants to be woken.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use everlog_proto::api::{
    enums::v1::ScheduleOverlapPolicy as Policy,
    schedule::v1::{Schedule, SchedulePolicies},
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    Spec, SpecError,
    fact::{ScheduleFact, evolve},
    overlap,
    state::{Backfill, BufferedStart, Flags, IDLE_LIFE, Launch, ScheduleState},
};
use crate::{
    stamp::Stamp,
    time::{Time, proto_duration, set_duration},
};

/// Starts and backfills that may wait.
pub const BUFFERED_STARTS_MAX: usize = 1000;
/// How long after its time a start may still be made up for, if the schedule does not say.
pub const CATCHUP_WINDOW_DEFAULT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub const CATCHUP_WINDOW_MIN: Duration = Duration::from_secs(10);
/// Times that one turn looks at; more are left to the next one.
const TIMES_PER_TURN_MAX: usize = 10_000;
/// Starts that one turn takes from backfills, and the pause before the next such turn.
const BACKFILLED_PER_TURN_MAX: usize = 10;
const BACKFILL_PAUSE: Duration = Duration::from_secs(1);
/// Times that lists show, and descriptions.
const LISTED_TIMES_MAX: usize = 5;
const DESCRIBED_TIMES_MAX: usize = 10;
/// How long a start is tried again that somebody asked for.
const MANUAL_LAUNCH_PATIENCE: Duration = Duration::from_secs(60);
/// The same for starts by the calendar: as long as they may be late, within these bounds.
const LAUNCH_PATIENCE_MIN: Duration = Duration::from_secs(5);
const LAUNCH_PATIENCE_MAX: Duration = Duration::from_secs(60 * 60);
const SECOND_NANOS: i64 = 1_000_000_000;

/// A definition, taken apart once for as long as it stays in memory.
#[derive(Debug)]
pub struct Compiled {
    pub schedule: Schedule,
    pub spec: Result<Spec, SpecError>,
    /// Belongs to the schedule's id, so that its jitter stays when it is updated.
    pub seed: u64,
}

impl Compiled {
    pub fn of(state: &ScheduleState) -> Arc<Compiled> {
        let schedule = state.schedule();
        let spec = Spec::new(&schedule.spec.clone().unwrap_or_default());
        let seed = xxh3_64(format!("{}-{}", state.key.namespace_id(), state.key.schedule_id()).as_bytes());
        Arc::new(Compiled { schedule, spec, seed })
    }

    fn policies(&self) -> SchedulePolicies {
        self.schedule.policies.unwrap_or_default()
    }

    /// The policy that a start's own stands for.
    fn resolve(&self, overlap: i32) -> Policy {
        [overlap, self.policies().overlap_policy]
            .into_iter()
            .filter_map(|policy| Policy::try_from(policy).ok())
            .find(|policy| *policy != Policy::Unspecified)
            .unwrap_or(Policy::Skip)
    }

    fn catchup_window(&self) -> Duration {
        set_duration(self.policies().catchup_window.as_ref()).unwrap_or(CATCHUP_WINDOW_DEFAULT)
    }
}

/// Fills in what the policies leave open, so that descriptions show it.
pub fn fill_in_policies(policies: &mut SchedulePolicies) {
    if policies.overlap_policy == Policy::Unspecified as i32 {
        policies.overlap_policy = Policy::Skip as i32;
    }
    let window = match &policies.catchup_window {
        None => CATCHUP_WINDOW_DEFAULT,
        given => set_duration(given.as_ref()).unwrap_or_default().max(CATCHUP_WINDOW_MIN),
    };
    policies.catchup_window = Some(proto_duration(window));
}

#[derive(Debug)]
pub struct ScheduleTurn<'a> {
    pub stamp: &'a Stamp<'a>,
    pub state: ScheduleState,
    pub compiled: Arc<Compiled>,
    pub facts: Vec<ScheduleFact>,
    /// Runs of which is known that they still run, although starts are waiting.
    pub seen_running: BTreeSet<String>,
}

impl<'a> ScheduleTurn<'a> {
    pub fn new(
        stamp: &'a Stamp<'a>,
        state: ScheduleState,
        compiled: Arc<Compiled>,
        seen_running: BTreeSet<String>,
    ) -> ScheduleTurn<'a> {
        ScheduleTurn { stamp, state, compiled, facts: Vec::new(), seen_running }
    }

    pub fn fact(&mut self, fact: ScheduleFact) {
        evolve(&mut self.state, &fact);
        if matches!(fact, ScheduleFact::Created(_) | ScheduleFact::Updated { .. }) {
            self.compiled = Compiled::of(&self.state);
        }
        self.facts.push(fact);
    }

    pub fn change_flags(&mut self, change: impl FnOnce(&mut Flags)) {
        let mut flags = self.state.flags.clone();
        change(&mut flags);
        self.fact(ScheduleFact::Flagged(flags));
    }

    /// Buffers what has fallen due since the last turn.
    pub fn process_times(&mut self) {
        let (from, now) = (self.state.last_processed, self.stamp.now.max(self.state.last_processed));
        let compiled = self.compiled.clone();
        let acts = self.state.may_act(false);
        let (Ok(spec), true) = (&compiled.spec, acts) else {
            // Time that passes in a pause is not made up for.
            if now > from {
                self.fact(ScheduleFact::Processed(now));
            }
            return;
        };
        let mut last = from;
        let (mut missed, mut dropped) = (0, 0);
        for due in spec.times(compiled.seed, from, now, TIMES_PER_TURN_MAX) {
            last = due.at;
            if self.state.update_time.is_some_and(|updated| updated > due.at) {
                // Times before an update that only the new specification names.
            } else if now.since(due.at) > compiled.catchup_window() {
                missed += 1;
            } else {
                dropped += i64::from(!self.buffer(due.nominal, due.at, Policy::Unspecified as i32, false));
            }
        }
        if missed > 0 {
            self.fact(ScheduleFact::Missed(missed));
        }
        if dropped > 0 {
            self.fact(ScheduleFact::Dropped(dropped));
        }
        if last > from {
            self.fact(ScheduleFact::Processed(last));
        }
    }

    /// Adds a start to the buffer, if there is room.
    pub fn buffer(&mut self, nominal: Time, at: Time, overlap: i32, manual: bool) -> bool {
        if self.state.buffered.len() >= BUFFERED_STARTS_MAX {
            return false;
        }
        let number = self.state.next_start;
        self.fact(ScheduleFact::Buffered(BufferedStart { number, nominal, at, overlap, manual }));
        // Whether something still runs has to be found out again.
        self.seen_running.clear();
        true
    }

    pub fn add_backfill(&mut self, backfill: Backfill) {
        if self.state.backfills.len() >= BUFFERED_STARTS_MAX {
            self.fact(ScheduleFact::Dropped(1));
        } else {
            self.fact(ScheduleFact::BackfillAdded(backfill));
        }
    }

    /// A few starts of the first backfills, as long as less than half of the buffer is full.
    fn process_backfills(&mut self) {
        let compiled = self.compiled.clone();
        let mut budget = BACKFILLED_PER_TURN_MAX;
        // Those before are answered first, so a long backfill never floods other shards.
        while budget > 0
            && self.state.launching.is_empty()
            && self.state.buffered.len() < BUFFERED_STARTS_MAX / 2
        {
            let Some(backfill) = self.state.backfills.first().cloned() else { return };
            let times = match &compiled.spec {
                Ok(spec) => spec.times(compiled.seed, backfill.after, backfill.until, budget),
                Err(_) => Vec::new(),
            };
            for due in &times {
                self.buffer(due.nominal, due.at, backfill.overlap, true);
            }
            match times.last() {
                Some(last) if times.len() == budget => self.fact(ScheduleFact::BackfillMoved(last.at)),
                _ => self.fact(ScheduleFact::BackfillEnded),
            }
            budget -= times.len();
        }
    }

    /// Decides about the starts that wait. What runs must have been looked at since the last of them came.
    fn process_buffer(&mut self) {
        let state = &self.state;
        let unsure = state.running.iter().any(|running| !self.seen_running.contains(&running.run_id));
        if state.buffered.is_empty() || !state.launching.is_empty() || unsure {
            return;
        }
        if super::start::action(&self.compiled.schedule).is_none() {
            let numbers = state.buffered.iter().map(|start| start.number).collect();
            self.fact(ScheduleFact::Unbuffered(numbers));
            return;
        }
        let compiled = self.compiled.clone();
        let is_running = !state.running.is_empty();
        let sorted = overlap::sort(&state.buffered, is_running, |policy| compiled.resolve(policy));
        if !sorted.skipped.is_empty() {
            self.fact(ScheduleFact::Skipped(sorted.skipped.len() as i64));
            self.fact(ScheduleFact::Unbuffered(sorted.skipped));
        }
        if !sorted.replaced.is_empty() {
            self.fact(ScheduleFact::Unbuffered(sorted.replaced));
        }
        let beside = sorted.beside.into_iter().map(|start| (start, false));
        for (start, tracked) in beside.chain(sorted.alone.map(|start| (start, true))) {
            self.launch(start, tracked);
        }
        let to_stop = self.state.running.iter().any(|running| match running.stop {
            None => sorted.cancel || sorted.terminate,
            Some(stop) => sorted.terminate && !stop.terminate,
        });
        if to_stop {
            self.fact(ScheduleFact::StopWanted { terminate: sorted.terminate });
        }
    }

    fn launch(&mut self, start: BufferedStart, tracked: bool) {
        if !self.state.may_act(start.manual) {
            self.fact(ScheduleFact::Unbuffered(vec![start.number]));
            return;
        }
        if !start.manual && self.state.flags.limited_actions {
            self.change_flags(|flags| flags.remaining_actions -= 1);
        }
        let now = self.stamp.now;
        let patience = if start.manual {
            MANUAL_LAUNCH_PATIENCE
        } else {
            let deadline = start.at + self.compiled.catchup_window();
            deadline.since(now).clamp(LAUNCH_PATIENCE_MIN, LAUNCH_PATIENCE_MAX)
        };
        let launch = Launch {
            workflow_id: format!("{}-{}", self.base_workflow_id(), seconds_text(start.nominal)),
            request_id: request_id(&self.state.incarnation, start.number),
            tracked,
            give_up_at: now + patience,
            start,
        };
        self.fact(ScheduleFact::Launching(launch));
    }

    fn base_workflow_id(&self) -> String {
        super::start::action(&self.compiled.schedule)
            .map(|action| action.workflow_id.clone())
            .unwrap_or_default()
    }

    /// What follows from the request, or from the time: backfills, starts, and when to look again.
    pub fn settle(&mut self) {
        if !self.state.is_open() {
            if self.state.closed_until.is_some_and(|until| until <= self.stamp.now) && !self.state.forgotten {
                self.fact(ScheduleFact::Forgotten);
            }
            return;
        }
        self.process_backfills();
        loop {
            let before = self.facts.len();
            self.process_buffer();
            // What was dropped makes room for a decision about what stayed.
            if self.facts.len() == before || !self.state.launching.is_empty() {
                break;
            }
        }
        self.foresee();
    }

    fn foresee(&mut self) {
        let future = self.future_times(LISTED_TIMES_MAX);
        let next = if self.state.may_act(false) { self.next_time() } else { None };
        let more = !self.state.backfills.is_empty() && self.state.buffered.len() < BUFFERED_STARTS_MAX / 2;
        let life = self.end_of_idle_life(next);
        if life.is_some_and(|end| end <= self.stamp.now) {
            let keep_until = self.stamp.now + self.stamp.limits.retention;
            self.fact(ScheduleFact::Ended { keep_until });
            return;
        }
        let backfill = more.then(|| self.stamp.now + BACKFILL_PAUSE);
        let wake = [next, backfill, life].into_iter().flatten().min();
        if (wake, &future) != (self.state.wake, &self.state.future) {
            self.fact(ScheduleFact::Foreseen { wake, future });
        }
    }

    /// An idle schedule is kept for a while. A paused one may be wanted again.
    fn end_of_idle_life(&self, next: Option<Time>) -> Option<Time> {
        let busy = self.state.flags.paused
            || next.is_some()
            || !self.state.backfills.is_empty()
            || !self.state.buffered.is_empty()
            || !self.state.launching.is_empty();
        (!busy).then(|| self.state.last_event() + IDLE_LIFE)
    }

    fn next_time(&self) -> Option<Time> {
        self.times_from_last(1).first().copied()
    }

    /// The times at which actions will be taken, as far as is known now.
    fn future_times(&self, most: usize) -> Vec<Time> {
        let flags = &self.state.flags;
        let left = usize::try_from(flags.remaining_actions.max(0)).unwrap_or(usize::MAX);
        self.times_from_last(if flags.limited_actions { most.min(left) } else { most })
    }

    pub fn described_times(&self) -> Vec<Time> {
        self.future_times(DESCRIBED_TIMES_MAX)
    }

    fn times_from_last(&self, most: usize) -> Vec<Time> {
        let Ok(spec) = &self.compiled.spec else { return Vec::new() };
        let updated = self.state.update_time.unwrap_or_default();
        // Time that passes in a pause is not made up for.
        let last = if self.state.may_act(false) {
            self.state.last_processed
        } else {
            self.state.last_processed.max(self.stamp.now)
        };
        let mut times = Vec::new();
        let mut at = last;
        for _ in 0..TIMES_PER_TURN_MAX {
            if times.len() >= most {
                break;
            }
            let Some(due) = spec.next(self.compiled.seed, at) else { break };
            at = due.at;
            if at >= updated {
                times.push(at);
            }
        }
        times
    }
}

/// A moment in whole seconds, as RFC 3339 in UTC.
pub(super) fn seconds_text(time: Time) -> String {
    let seconds = time.0.div_euclid(SECOND_NANOS);
    prost_types::Timestamp { seconds, nanos: 0 }.to_string()
}

/// Always the same for one start, and a UUID by its looks.
fn request_id(incarnation: &str, number: u64) -> String {
    let hash = xxh3_128(format!("{incarnation}/{number}").as_bytes());
    let (high, low) = ((hash >> 64) as u64, hash as u64);
    let (high, low) =
        ((high & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000, (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}
