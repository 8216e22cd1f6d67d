//! Promise (I3, I-10): a state is the fold of its log. Folding the whole log from scratch, and every
//! member's own tables after whatever crashes and replays, give the same bytes.

use super::{Checked, Evidence};
use crate::{raft, sim::Violation};

pub(super) fn check(evidence: &Evidence<'_>) -> Checked {
    for (shard, log) in evidence.sim.logs.iter().enumerate() {
        let mut scratch = everlog_engine::testing::MemoryTables::default();
        for change in log.committed.iter().filter_map(|record| record.change.as_ref()) {
            raft::apply_bytes(&mut scratch, &change.bytes, Some(&change.entry))
                .map_err(|why| wrong(shard, why))?;
        }
        let truth = raft::digest(&log.truth);
        if raft::digest(&scratch) != truth {
            return Err(wrong(shard, "a fold from scratch differs".into()));
        }
        for node in &evidence.sim.nodes {
            let shell = &node.shells[shard];
            if shell.applied != log.committed.len() {
                let text =
                    format!("node {} has applied {} of {}", node.id, shell.applied, log.committed.len());
                return Err(wrong(shard, text));
            }
            if raft::digest(&shell.tables) != truth {
                return Err(wrong(shard, format!("the rows of node {} differ", node.id)));
            }
        }
    }
    Ok(())
}

fn wrong(shard: usize, text: String) -> Violation {
    let promise = "the fold of the log from scratch equals every member's tables (I3, I-10)";
    Violation { promise, workflow: None, text: format!("shard {shard}: {text}") }
}
