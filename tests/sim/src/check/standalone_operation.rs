//! Promise (I27): a Nexus operation that runs on its own and was acknowledged ends once, as its client and its
//! handler were told.

use everlog_engine::standalone::{
    operation::{self, Ended},
    state::Status,
};

use super::{Checked, Evidence, broken};

const PROMISE: &str = "an operation that runs on its own ends once, as was said (I27)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let sim = evidence.sim;
    for wanted in &sim.operations {
        let id = wanted.key.id();
        let Some(state) = sim.operation_state(wanted) else {
            return broken(PROMISE, id, "it was started and is not there".into());
        };
        if wanted.told != Some(state.status) {
            return broken(PROMISE, id, format!("{:?} was told, it is {:?}", wanted.told, state.status));
        }
        let result = match operation::outcome(&state) {
            Some(Ended::Result(payload)) => Some(payload.data),
            _ => None,
        };
        match state.status {
            Status::Completed if result.as_deref() == Some(wanted.result().as_bytes()) => {}
            Status::Terminated if wanted.is_terminated && !wanted.is_taken => {}
            status => {
                let taken = wanted.is_taken;
                return broken(PROMISE, id, format!("it is {status:?} with {result:?}, end taken: {taken}"));
            }
        }
    }
    Ok(())
}
