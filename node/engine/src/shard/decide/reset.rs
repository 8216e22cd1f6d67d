//! A reset as a shard sees it: whose events are read, which runs change in the entry.

use std::sync::Arc;

use everlog_proto::api::{
    history::v1::history_event::Attributes, workflowservice::v1::ResetWorkflowExecutionRequest,
};

use super::{Actor, Batch, World, current_turn, find_run};
use crate::{
    decide::{
        self,
        reset::{self, Base, Reapplied},
    },
    fact::{Event, Fact},
    key::RunKey,
    reject::Reject,
    reply::Reply,
    request::ResetTo,
    stamp::Stamp,
    turn::Turn,
};

/// How many resets of a parent, or runs of a chain, are followed.
const HOPS_MAX: usize = 1_000;

impl Batch {
    pub(super) fn reset(
        &mut self,
        actor: &mut Actor,
        request: &ResetWorkflowExecutionRequest,
        to: Option<&ResetTo>,
        stamp: &Stamp<'_>,
        world: &dyn World,
    ) -> Result<Option<Reply>, Reject> {
        let named = request.workflow_execution.as_ref().map_or("", |execution| &execution.run_id);
        let base_id = find_run(actor, named, world)?;
        let found;
        let (base_id, request) = match to {
            Some(to) => {
                found = self.found(actor, &base_id, request, to, world)?;
                (find_run(actor, &found.0, world)?, &found.1)
            }
            None => (base_id, request),
        };
        let Some(base_run) = actor.runs.get(&base_id) else { return Err(Reject::execution_not_found()) };
        let (base_state, base_volatile) = (base_run.execution.clone(), base_run.volatile.clone());
        // The start of a task that a worker holds is not written yet, but counted.
        let is_due = base_run.volatile.started.is_some()
            && base_state.workflow_task.as_ref().is_some_and(|task| task.written);
        if let Some(run_id) = reset::repeated(&base_state, request) {
            return Ok(Some(Reply::Reset { run_id }));
        }
        let Some(mut current) = current_turn(actor, stamp) else {
            return Err(Reject::workflow_not_found(&actor.workflow.workflow_id));
        };
        let is_current = *current.execution.key() == *base_state.key();
        let was_running = current.execution.is_running();
        if was_running {
            reset::end_current(&mut current, &request.reason);
        }
        let mut base = Base {
            execution: &base_state,
            next_event_id: base_state.next_event_id + i64::from(is_due),
            events: self.events(base_state.key(), world),
        };
        if is_current {
            base.events.extend(events_of(&current.facts).cloned());
        }
        reset::check(&base, request)?;
        if current.execution.create_request_id == request.request_id {
            return Ok(Some(Reply::Reset { run_id: current.execution.run_id().to_owned() }));
        }
        let excluded = reset::exclusions(request);
        let chain = self.behind(actor, &base, &current, &excluded, world)?;
        let point = request.workflow_task_finish_event_id;
        let mut behind: Vec<&Event> = Vec::new();
        if !reset::excludes_all(&excluded) {
            behind.extend(base.events.iter().filter(|event| event.event.event_id >= point));
            behind.extend(&chain);
        } else if is_current {
            // What was waiting for its place when the run was ended is looked at in any case.
            behind.extend(events_of(&current.facts));
        }
        let new_run_id = stamp.uuid();
        let behind = Reapplied { events: behind, excluded: &excluded };
        let new = reset::begin(stamp, &base, request, &new_run_id, behind)?;
        if is_current {
            reset::note(&mut current, &request.request_id, &new_run_id);
        }
        if was_running || is_current {
            decide::settle(&mut current);
            self.take(actor, current, false);
        }
        if !is_current {
            let mut noted = Turn::new(stamp, base_state, base_volatile);
            reset::note(&mut noted, &request.request_id, &new_run_id);
            self.take(actor, noted, false);
        }
        self.begin(actor, new);
        Ok(Some(Reply::Reset { run_id: new_run_id }))
    }

    /// The run and the point that are meant by what happened there.
    fn found(
        &self,
        actor: &Actor,
        run_id: &Arc<str>,
        request: &ResetWorkflowExecutionRequest,
        to: &ResetTo,
        world: &dyn World,
    ) -> Result<(String, ResetWorkflowExecutionRequest), Reject> {
        let Some(run) = actor.runs.get(run_id) else { return Err(Reject::execution_not_found()) };
        let (base, point) = match to {
            ResetTo::Build { id, current_run_only } => {
                reset::point_of_build(&run.execution, id, *current_run_only)?
            }
            ResetTo::FirstTask | ResetTo::LastTask => {
                let events = self.events(run.execution.key(), world);
                (run_id.to_string(), reset::point_of_task(&events, *to == ResetTo::LastTask)?)
            }
        };
        let mut request = request.clone();
        request.workflow_execution.get_or_insert_default().run_id = base.clone();
        request.workflow_task_finish_event_id = point;
        Ok((base, request))
    }

    /// The events of the runs that continued the base.
    fn behind(
        &self,
        actor: &mut Actor,
        base: &Base<'_>,
        current: &Turn<'_>,
        excluded: &[everlog_proto::api::enums::v1::ResetReapplyExcludeType],
        world: &dyn World,
    ) -> Result<Vec<Event>, Reject> {
        let mut behind: Vec<Event> = Vec::new();
        if reset::excludes_all(excluded) {
            return Ok(behind);
        }
        let mut next = continued_by(base.events.last());
        for _ in 0..HOPS_MAX {
            let Some(run_id) = next else { break };
            let run_id = find_run(actor, &run_id, world)?;
            behind.extend(self.events(&actor.workflow.run(&run_id), world));
            if *current.execution.key().run_id == *run_id {
                behind.extend(events_of(&current.facts).cloned());
            }
            next = continued_by(behind.last());
        }
        Ok(behind)
    }

    /// The events of a run, with those that this batch has added.
    fn events(&self, run: &RunKey, world: &dyn World) -> Vec<Event> {
        let mut events = world.history(run, 1);
        let added = self.change(&run.run_id).map(|change| &change.facts[..]).unwrap_or_default();
        events.extend(events_of(added).cloned());
        events
    }
}

fn events_of(facts: &[Fact]) -> impl Iterator<Item = &Event> {
    facts.iter().filter_map(|fact| match fact {
        Fact::Event(event) | Fact::Flushed(event) => Some(event),
        Fact::Record(_) => None,
    })
}

fn continued_by(last: Option<&Event>) -> Option<String> {
    match last?.event.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a) => Some(a.new_execution_run_id.clone()),
        _ => None,
    }
}

/// The run that resets have made of a closed one, for its children to talk to.
pub(super) fn successor(actor: &mut Actor, run_id: Arc<str>, world: &dyn World) -> Arc<str> {
    let mut found = run_id;
    for _ in 0..HOPS_MAX {
        let Some(run) = actor.runs.get(&found) else { break };
        let next = run.execution.reset_run_id().to_owned();
        if run.execution.is_running() || next.is_empty() || actor.load(&next, world).is_none() {
            break;
        }
        found = next.into();
    }
    found
}
