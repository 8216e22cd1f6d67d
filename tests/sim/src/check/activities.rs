//! Promise (I6, I7): an activity ends exactly once. A result that was acknowledged is in the history
//! exactly once, one that was refused never; it is the result of the attempt that the history names. What
//! may be attempted once is attempted at most once, whatever crashes.

use std::collections::{BTreeMap, BTreeSet};

use everlog_engine::event::finished_activity;
use everlog_proto::api::{enums::v1::EventType, history::v1::history_event::Attributes};

use super::{Checked, Evidence, broken};
use crate::{machine::text_of, record::Ended};

const ONCE: &str = "an activity ends exactly once (I6)";
const RESULT: &str = "a result that was acknowledged is in the history once, a refused one never (I1, I24)";
const ATTEMPT: &str = "a result is of the attempt that the history names (I6)";
const AT_MOST_ONCE: &str = "an activity with one attempt runs at most once (I7)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let records = &evidence.sim.records;
    let mut seen: BTreeMap<usize, u32> = BTreeMap::new();
    for run in &evidence.runs {
        let mut ended = BTreeSet::new();
        for event in &run.events {
            let Some(scheduled) = finished_activity(event) else { continue };
            if !ended.insert(scheduled) {
                return broken(
                    ONCE,
                    run.workflow(),
                    format!("activity {scheduled} ends again at {}", event.event_id),
                );
            }
            let Some(Attributes::ActivityTaskCompletedEventAttributes(a)) = &event.attributes else {
                continue;
            };
            if event.event_id <= run.last_copied() {
                continue;
            }
            let text = a.result.as_ref().map(text_of).unwrap_or_default();
            let number: Option<usize> = text.strip_prefix("result-").and_then(|number| number.parse().ok());
            let Some((number, result)) =
                number.and_then(|number| Some((number, records.results.get(number)?)))
            else {
                return broken(RESULT, run.workflow(), format!("nobody sent {text}"));
            };
            *seen.entry(number).or_default() += 1;
            if result.run != *run.execution.key() || result.scheduled_event_id != scheduled {
                return broken(RESULT, run.workflow(), format!("{text} belongs to {:?}", result.run));
            }
            let started =
                run.events.get((a.started_event_id - 1).max(0) as usize).and_then(|e| e.attributes.as_ref());
            if let (Some(Attributes::ActivityTaskStartedEventAttributes(s)), Some(attempt)) =
                (started, result.attempt)
                && s.attempt != attempt
            {
                let text = format!("{text} of attempt {attempt}, the history says {}", s.attempt);
                return broken(ATTEMPT, run.workflow(), text);
            }
        }
        let scheduled: Vec<i64> =
            run.events_of(EventType::ActivityTaskScheduled).map(|e| e.event_id).collect();
        if run.execution.is_running() {
            let pending = |id: &i64| run.execution.activities.contains_key(id);
            let buffered = |id: &i64| run.execution.has_buffered_finish_of(*id);
            if let Some(lost) =
                scheduled.iter().find(|id| !ended.contains(id) && !pending(id) && !buffered(id))
            {
                return broken(ONCE, run.workflow(), format!("activity {lost} is neither pending nor ended"));
            }
        }
    }
    for (number, result) in records.results.iter().enumerate() {
        let workflow = &*result.run.workflow.workflow_id;
        let times = seen.get(&number).copied().unwrap_or_default();
        let wrong = match result.ended {
            Some(Ended::Acknowledged) => times != 1 && !evidence.may_be_deleted(workflow),
            Some(Ended::Refused) => times != 0,
            _ => times > 1,
        };
        if wrong {
            let text = format!("result-{number} {:?} is there {times} times", result.ended);
            return broken(RESULT, workflow, text);
        }
    }
    let mut once = BTreeMap::new();
    for execution in records.executions.iter().filter(|execution| execution.once) {
        let times: &mut u32 = once.entry((execution.run.clone(), execution.scheduled_event_id)).or_default();
        *times += 1;
        if *times > 1 {
            let text =
                format!("activity {} of {:?} ran {times} times", execution.scheduled_event_id, execution.run);
            return broken(AT_MOST_ONCE, &execution.run.workflow.workflow_id, text);
        }
    }
    Ok(())
}
