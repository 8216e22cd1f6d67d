//! Every workflow that exists came to its end, and to the right one.

use temporalio_protos::temporal::api::enums::v1::EventType;

use super::{Complaints, Evidence};
use crate::record::Kind;

pub(super) fn finished(evidence: &Evidence, complaints: &mut Complaints) {
    for operation in &evidence.operations {
        let Kind::Start { program } = &operation.kind else { continue };
        for view in &evidence.views {
            let Some(run) = view.runs.get(&operation.workflow_id) else { continue };
            match run.events.last() {
                Some(last) if last.kind == EventType::WorkflowExecutionCompleted => {
                    if last.result != Some(program.result()) {
                        complaints.add(
                            &run.workflow_id,
                            format!(
                                "on {} `{program}` gave {:?} and not {}",
                                view.node,
                                last.result,
                                program.result()
                            ),
                        );
                    }
                }
                _ => complaints.add(
                    &run.workflow_id,
                    format!("on {} `{program}` is stuck after {}", view.node, run.tail()),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Trace, broken, keeps};
    use super::*;

    #[test]
    fn a_workflow_that_stays_open_is_found() {
        keeps(&Trace::good());
        broken(finished, &Trace::good().still_open());
    }

    #[test]
    fn a_wrong_result_is_found() {
        broken(finished, &Trace::good().result(1));
    }
}
