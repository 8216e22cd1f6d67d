//! Update-with-start: an update of the workflow that runs, or of one that is started for it.
//!
//! The start and the note that the update was admitted are in one entry, so that neither is there without the
//! other (service/history/api/multioperation/api.go).

use everlog_proto::api::{
    enums::v1::{
        UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowExecutionStatus, WorkflowIdConflictPolicy,
    },
    workflowservice::v1::{StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest},
};

use super::{admit, body_of, id_of, is_known, settle, stage_of, wait};
use crate::{
    decide::start::{self, StartDecided},
    key::WorkflowKey,
    reject::Reject,
    reply::{Reply, Started, UpdateOutcome, UpdateReply},
    stamp::Stamp,
    turn::{NewRun, Turn},
};

/// What the update is made to.
#[derive(Debug)]
pub enum WithStart<'a> {
    /// The update is done, and was before.
    Done(UpdateReply),
    Existing(Box<Turn<'a>>),
    /// With what is answered at once.
    New(Box<StartDecided<'a>>, Answers),
}

type Answers = Vec<(u64, Result<Reply, Reject>)>;

pub fn with_start<'a>(
    stamp: &'a Stamp<'a>,
    key: &WorkflowKey,
    current: Option<Turn<'a>>,
    call: u64,
    start: &StartWorkflowExecutionRequest,
    update: &UpdateWorkflowExecutionRequest,
    timeout_ms: u64,
) -> Result<WithStart<'a>, Reject> {
    let of_update = |reject| Reject::UpdateRefused { reject: Box::new(reject), started: false };
    let body = body_of(update).map_err(of_update)?;
    let id = id_of(body);
    if let Some(current) = &current
        && let Some(event_id) = current.execution.updates.completed.get(id)
    {
        return Ok(WithStart::Done(UpdateReply {
            run_id: current.execution.run_id().to_owned(),
            stage: Stage::Completed,
            outcome: Some(UpdateOutcome::Event(*event_id)),
            started: Some(Box::new(existing(current, current.execution.status()))),
            is_linked: false,
        }));
    }
    let current = match current {
        Some(mut current) => {
            if is_content(&mut current, start, id) {
                admit(&mut current, body).map_err(of_update)?;
                let started = existing(&current, WorkflowExecutionStatus::Running);
                wait::wait(&mut current, call, id, stage_of(update), timeout_ms, Some(Box::new(started)));
                settle(&mut current);
                return Ok(WithStart::Existing(Box::new(current)));
            }
            Some(current)
        }
        None => None,
    };
    let mut decided =
        start::start(stamp, key, current, start).map_err(|reject| Reject::StartRefused(Box::new(reject)))?;
    let (Some(new), Reply::Started(started)) = (decided.new.take(), &decided.reply) else {
        let why = Reject::Unavailable("Workflow was not started: StartDeduped".into());
        return Err(Reject::StartRefused(Box::new(why)));
    };
    let mut turn = Turn::new(stamp, new.execution, new.volatile);
    turn.facts = new.facts;
    admit(&mut turn, body).map_err(of_update)?;
    wait::wait(&mut turn, call, id, stage_of(update), timeout_ms, Some(Box::new(started.clone())));
    settle(&mut turn);
    decided.new = Some(NewRun { execution: turn.execution, volatile: turn.volatile, facts: turn.facts });
    Ok(WithStart::New(Box::new(decided), turn.answers))
}

/// Whether the run that is there will do: it is the one that this start made, it has the update, or the caller
/// is content with any.
fn is_content(current: &mut Turn<'_>, start: &StartWorkflowExecutionRequest, update_id: &str) -> bool {
    super::remember(current);
    current.execution.is_running()
        && (current.execution.create_request_id == start.request_id
            || is_known(current, update_id)
            || start.workflow_id_conflict_policy() == WorkflowIdConflictPolicy::UseExisting)
}

fn existing(current: &Turn<'_>, status: WorkflowExecutionStatus) -> Started {
    Started {
        run_id: current.execution.run_id().to_owned(),
        // The caller is told of the chain only if it has begun it.
        first_run_id: String::new(),
        started: false,
        status,
        attached_request_id: None,
        eager_task: None,
    }
}
