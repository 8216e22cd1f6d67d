//! Promise (I26): an activity that runs on its own and was acknowledged ends once, as its client and its workers
//! were told, and has one attempt at most where only one is allowed.

use everlog_engine::standalone::state::Status;

use super::{Checked, Evidence, broken};
use crate::machine::text_of;

const PROMISE: &str = "an activity that runs on its own ends once, as was said (I26)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let sim = evidence.sim;
    for wanted in &sim.activities {
        let id = wanted.key.id();
        let Some(state) = sim.activity_state(wanted) else {
            return broken(PROMISE, id, "it was started and is not there".into());
        };
        if wanted.told.is_some_and(|told| told != state.status) {
            return broken(PROMISE, id, format!("{:?} was told, it is {:?}", wanted.told, state.status));
        }
        if wanted.attempts_max == 1 && wanted.attempts.len() > 1 {
            return broken(PROMISE, id, format!("{} attempts of one", wanted.attempts.len()));
        }
        let completed: Vec<usize> = (0..wanted.attempts.len())
            .filter(|number| wanted.attempts[*number].acknowledged && wanted.attempts[*number].completes())
            .collect();
        if completed.len() > 1 {
            return broken(PROMISE, id, format!("attempts {completed:?} were told that they have done it"));
        }
        let result = state.outcome.as_ref().and_then(|outcome| outcome.result.as_ref());
        let result = result.map(|result| text_of(&result.0));
        match (completed.first(), &result) {
            (Some(number), Some(result)) if *result == format!("result-{number}") => {}
            (None, Some(_)) if state.status == Status::Completed => {}
            (None, None) => {}
            _ => {
                return broken(PROMISE, id, format!("{completed:?} completed it, its result is {result:?}"));
            }
        }
        let may_end_badly = wanted.attempts_max > 0 || wanted.is_cancelled;
        if state.status != Status::Completed && !may_end_badly {
            return broken(PROMISE, id, format!("it is {:?}", state.status));
        }
    }
    Ok(())
}
