//! Promise (I8): a timer ends exactly once, by firing or by being cancelled, and fires neither early nor
//! by forgetting: a timer that is pending at the end has not fallen due.

use std::collections::BTreeMap;

use everlog_engine::time::{Time, duration};
use everlog_proto::api::history::v1::history_event::Attributes;

use super::{Checked, Evidence, broken};

const PROMISE: &str = "a timer ends exactly once, and not early (I8)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for run in &evidence.runs {
        let mut running: BTreeMap<&str, Time> = BTreeMap::new();
        for event in &run.events {
            let at = event.event_time.as_ref().map(Time::from_proto).unwrap_or_default();
            match &event.attributes {
                Some(Attributes::TimerStartedEventAttributes(a)) => {
                    running.insert(&a.timer_id, at + duration(a.start_to_fire_timeout.as_ref()));
                }
                Some(Attributes::TimerFiredEventAttributes(a)) => match running.remove(&*a.timer_id) {
                    Some(due) if due <= at => {}
                    Some(_) => return broken(PROMISE, run.workflow(), format!("{} fired early", a.timer_id)),
                    None => return broken(PROMISE, run.workflow(), format!("{} fired again", a.timer_id)),
                },
                Some(Attributes::TimerCanceledEventAttributes(a))
                    if running.remove(&*a.timer_id).is_none() =>
                {
                    return broken(
                        PROMISE,
                        run.workflow(),
                        format!("{} was cancelled after its end", a.timer_id),
                    );
                }
                _ => {}
            }
        }
        for (id, due) in running {
            if run.execution.is_running() && due < evidence.sim.now {
                return broken(PROMISE, run.workflow(), format!("{id} was forgotten"));
            }
        }
    }
    Ok(())
}
