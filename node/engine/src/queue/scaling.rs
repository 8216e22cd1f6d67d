//! What workers that scale their polls are told: one more, or one less.
//!
//! The rules and figures are the real server's. A worker whose poll sat idle for a while has too many; a
//! backlog that grows old, or tasks that come faster than they go, want more. Decisions to add are few, or
//! every poll of a burst would ask for one more before the first has helped.

use std::time::Duration;

use super::rate::RateLimit;
use crate::time::Time;

/// `matching.pollerScalingWaitTime`: a poll that waited so long was not needed.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// `matching.pollerScalingBacklogAgeScaleUp`: a backlog that is older wants more polls.
const BACKLOG_AGE_MAX: Duration = Duration::from_millis(200);
/// `matching.pollerScalingDecisionsPerSecond`, for each poller of the queue.
const DECISIONS_PER_SECOND: f64 = 10.0;
/// Tasks that come for each task that goes.
const ADDED_PER_DISPATCHED_MAX: f32 = 1.2;

#[derive(Debug, Default)]
pub(super) struct Scaling {
    limit: Option<RateLimit>,
}

impl Scaling {
    /// `behind` is the age of the oldest task that waits, `rates` are tasks added and dispatched a second.
    pub(super) fn decide(
        &mut self,
        now: Time,
        waited: Duration,
        pollers: usize,
        behind: Option<Duration>,
        rates: (f32, f32),
    ) -> i32 {
        if waited >= IDLE_WAIT {
            return -1;
        }
        RateLimit::update(&mut self.limit, now, DECISIONS_PER_SECOND * pollers.max(1) as f64);
        if !self.limit.as_mut().is_some_and(|limit| limit.take(now)) {
            return 0;
        }
        let (added, dispatched) = rates;
        let is_behind = behind.is_some_and(|age| age > BACKLOG_AGE_MAX);
        i32::from(is_behind || added / dispatched > ADDED_PER_DISPATCHED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000_000);
    const EVEN: (f32, f32) = (1.0, 1.0);

    fn decide(waited_ms: u64, behind_ms: Option<u64>, rates: (f32, f32)) -> i32 {
        let behind = behind_ms.map(Duration::from_millis);
        Scaling::default().decide(NOW, Duration::from_millis(waited_ms), 1, behind, rates)
    }

    #[test]
    fn an_idle_poll_is_one_too_many_and_a_backlog_wants_one_more() {
        assert_eq!(decide(1_000, Some(5_000), (9.0, 1.0)), -1, "it waited, whatever came since");
        assert_eq!(decide(999, None, EVEN), 0);
        assert_eq!(decide(0, Some(200), EVEN), 0);
        assert_eq!(decide(0, Some(201), EVEN), 1);
        assert_eq!(decide(0, None, (1.2, 1.0)), 0);
        assert_eq!(decide(0, None, (1.3, 1.0)), 1);
        assert_eq!(decide(0, None, (0.0, 0.0)), 0, "nothing comes and nothing goes");
    }

    #[test]
    fn a_burst_of_polls_asks_for_few_more() {
        let mut scaling = Scaling::default();
        let behind = Some(Duration::from_secs(1));
        let mut asked =
            |now| (0..100).map(|_| scaling.decide(now, Duration::ZERO, 1, behind, EVEN)).sum::<i32>();
        assert_eq!(asked(NOW), 10);
        assert_eq!(asked(NOW + Duration::from_millis(500)), 5);
    }
}
