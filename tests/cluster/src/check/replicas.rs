//! Whoever is asked, the answer is the same.

use std::collections::BTreeSet;

use super::{Complaints, Evidence, Listed};

pub(super) fn same_everywhere(evidence: &Evidence, complaints: &mut Complaints) {
    let Some((first, others)) = evidence.views.split_first() else { return };
    let ids: BTreeSet<&String> = evidence.views.iter().flat_map(|view| view.runs.keys()).collect();
    for id in ids {
        let told = |view: &super::View| view.runs.get(id).map(|run| (run.run_id.clone(), run.fingerprint));
        for other in others.iter().filter(|other| told(other) != told(first)) {
            complaints.add(
                id,
                format!("{} has {:?} and {} has {:?}", first.node, told(first), other.node, told(other)),
            );
        }
    }
}

/// A list taken after the last write shows every run once and no other, each with its true status.
pub(super) fn listed_exactly(evidence: &Evidence, complaints: &mut Complaints) {
    let Some(view) = evidence.views.first() else { return };
    let mut existing: Vec<Listed> = view
        .runs
        .values()
        .map(|run| Listed {
            workflow_id: run.workflow_id.clone(),
            run_id: run.run_id.clone(),
            running: !run.is_closed(),
        })
        .collect();
    let mut listed = evidence.listed.clone();
    existing.sort();
    listed.sort();
    for missing in existing.iter().filter(|run| !listed.contains(run)) {
        complaints.add(&missing.workflow_id, format!("exists as {missing:?} and is not listed so"));
    }
    for extra in listed.iter().filter(|run| !existing.contains(run)) {
        complaints.add(&extra.workflow_id, format!("is listed as {extra:?} and is not so"));
    }
    for pair in listed.windows(2).filter(|pair| pair[0] == pair[1]) {
        complaints.add(&pair[0].workflow_id, "is listed twice");
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Trace, broken, keeps};
    use super::*;

    #[test]
    fn a_node_with_another_history_is_found() {
        keeps(&Trace::good());
        broken(same_everywhere, &Trace::good().second_node_differs());
    }

    #[test]
    fn a_list_that_lags_is_found() {
        broken(listed_exactly, &Trace::good().unlisted());
        broken(listed_exactly, &Trace::good().listed_as_running());
        broken(listed_exactly, &Trace::good().listed_twice());
    }
}
