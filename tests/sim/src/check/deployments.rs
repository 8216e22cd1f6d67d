//! Promise (I26): a change of a deployment that was answered is not lost, and none is made twice.

use super::{Checked, Evidence, broken};

const PROMISE: &str = "each change of a deployment that was answered is made, once (I26)";

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    let sim = evidence.sim;
    let wanted = sim.deployment.wanted;
    if wanted == 0 {
        return Ok(());
    }
    let name = sim.deployment.key.name();
    let Some(state) = sim.deployment_state() else {
        return broken(PROMISE, name, "it was created and is not there".into());
    };
    let routing = &state.head.routing;
    let current = routing.current.as_deref().unwrap_or("none");
    if routing.revision != wanted as i64 || current != wanted.to_string() || state.versions.len() != wanted {
        return broken(
            PROMISE,
            name,
            format!(
                "{wanted} changes were answered: revision {}, current {current}, {} versions",
                routing.revision,
                state.versions.len()
            ),
        );
    }
    Ok(())
}
