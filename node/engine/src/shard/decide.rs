//! A turn: every ready actor decides what waits for it, and all of it becomes one entry.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use super::{
    Call, ENTRY_BYTES_MAX, ENTRY_FACTS_MAX, Output, Shard, World,
    actor::{Actor, Run, Watcher},
};
use crate::{
    decide::{
        self, Before, deliver,
        start::{self, StartDecided},
        update::{self, WithStart},
    },
    evolve::evolve,
    execution::Execution,
    fact::{Change, Entry, Fact, Record},
    key::{RunKey, WorkflowKey},
    message::{Body, Message, Outcome, Subject},
    planted,
    reject::Reject,
    reply::Reply,
    request::{ActivityRef, Request},
    shared::Shared,
    stamp::Stamp,
    time::Time,
    turn::{NewRun, Turn},
    volatile::Volatile,
};

/// What one actor's requests led to in this turn.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    /// Position in `changes` by run, so that each run has one change.
    by_run: BTreeMap<RunKey, usize>,
    /// The states that this batch began with.
    bases: BTreeMap<Arc<str>, Base>,
    replies: Vec<(Call, Result<Reply, Reject>)>,
    /// Answers that tell nothing that was not said before: they need no barrier.
    at_once: Vec<(Call, Result<Reply, Reject>)>,
    /// What `changes` weigh.
    facts: usize,
    bytes: usize,
}

/// A run before a batch's first request to it.
struct Base {
    execution: Shared<Execution>,
    /// So many of the run's facts, kept for the change or waiting for one, are folded already.
    folded: usize,
}

/// Stands in for a state that is being decided on.
static LENT: LazyLock<Shared<Execution>> = LazyLock::new(|| Execution::default().into());

impl Shard {
    pub(super) fn decide_ready(&mut self, now: Time, world: &dyn World) {
        let mut entry = Entry::default();
        let (mut facts, mut bytes) = (0, 0);
        let mut kinds = Vec::new();
        let mut members = Vec::new();
        for workflow in std::mem::take(&mut self.ready) {
            let Some(mut actor) = self.actors.remove(&workflow) else { continue };
            let mut batch = self.decide_actor(now, &mut actor, &mut kinds, world);
            if planted::is("reply_before_commit") {
                batch.at_once.append(&mut batch.replies);
            }
            if planted::is("read_without_barrier") && batch.changes.is_empty() {
                batch.at_once.append(&mut batch.replies);
            }
            for (call, reply) in batch.at_once {
                self.outputs.push_back(Output::Reply { call, reply });
            }
            if batch.changes.is_empty() {
                self.reads_of_turn.extend(batch.replies);
                let watched = actor.watched(now);
                self.reads_of_turn.extend(watched);
            } else {
                actor.in_flight = true;
                actor.replies = batch.replies;
                facts += batch.facts;
                bytes += batch.bytes;
                entry.changes.extend(batch.changes);
                members.push(workflow.clone());
            }
            let is_settled = !actor.in_flight;
            self.actors.insert(workflow.clone(), actor);
            if is_settled {
                self.let_go_of_old_runs(&workflow);
            }
            self.touch(now, &workflow);
            if facts >= ENTRY_FACTS_MAX || bytes >= ENTRY_BYTES_MAX {
                (facts, bytes) = (0, 0);
                self.propose(
                    std::mem::take(&mut entry),
                    std::mem::take(&mut kinds),
                    std::mem::take(&mut members),
                );
            }
        }
        if !entry.changes.is_empty() {
            self.propose(entry, kinds, members);
        }
    }

    fn propose(&mut self, entry: Entry, kinds: Vec<&'static str>, members: Vec<WorkflowKey>) {
        let Some(term) = self.term else { return };
        let proposal = self.next_proposal;
        self.next_proposal += 1;
        self.in_flight.insert(proposal, members);
        self.outputs.push_back(Output::Propose { proposal, term, entry, kinds });
    }

    fn decide_actor(
        &mut self,
        now: Time,
        actor: &mut Actor,
        kinds: &mut Vec<&'static str>,
        world: &dyn World,
    ) -> Batch {
        let limits = world.limits(&actor.workflow.namespace_id);
        let mut batch = Batch::default();
        // What does not fit into this entry waits until it is committed.
        while batch.facts < ENTRY_FACTS_MAX
            && batch.bytes < ENTRY_BYTES_MAX
            && let Some((call, request)) = actor.waiting.pop_front()
        {
            self.decisions += 1;
            let seed = self.seed ^ self.decisions.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let stamp = Stamp::new(now, seed, &limits);
            let had = batch.changes.len();
            let outcome = batch.decide(actor, call, &request, &stamp, world);
            if request.is_waited_for() && (batch.changes.len() > had || request.kind() == "signal") {
                kinds.push(request.kind());
            }
            let Some(call) = call else { continue };
            match outcome {
                Ok(None) => {}
                Ok(Some(Reply::Refused(reject))) => batch.replies.push((call, Err(reject))),
                Ok(Some(Reply::HeartbeatTimedOut)) => batch
                    .replies
                    .push((call, Err(Reject::NotFound("workflow task heartbeat timeout".into())))),
                Ok(Some(reply)) => {
                    if batch.changes.is_empty() && tells_nothing_new(&reply) {
                        batch.at_once.push((call, Ok(reply)));
                    } else {
                        batch.replies.push((call, Ok(reply)));
                    }
                }
                Err(reject) => batch.replies.push((call, Err(reject))),
            }
        }
        batch.seal(actor);
        batch
    }
}

mod repeated;
mod reset;

/// A task that is handed out is guarded by its token: no barrier makes it safer.
fn tells_nothing_new(reply: &Reply) -> bool {
    matches!(reply, Reply::WorkflowTask(_) | Reply::ActivityTask(_) | Reply::TaskGone)
}

impl Batch {
    fn decide(
        &mut self,
        actor: &mut Actor,
        call: Option<Call>,
        request: &Request,
        stamp: &Stamp<'_>,
        world: &dyn World,
    ) -> Result<Option<Reply>, Reject> {
        self.recover(actor, stamp);
        if let Some(reply) = repeated::answer(actor, request, stamp.now, world) {
            return Ok(Some(reply));
        }
        match request {
            Request::Start(start) => {
                let current = current_turn(actor, stamp);
                let decided = start::start(stamp, &actor.workflow, current, start)?;
                Ok(Some(self.take_start(actor, decided)))
            }
            Request::SignalWithStart(start) => {
                let current = current_turn(actor, stamp);
                let decided = start::signal_with_start(stamp, &actor.workflow, current, start)?;
                Ok(Some(self.take_start(actor, decided)))
            }
            Request::UpdateWithStart { start, update, timeout_ms } => {
                let (current, call) = (current_turn(actor, stamp), call.unwrap_or_default());
                let workflow = &actor.workflow;
                match update::with_start(stamp, workflow, current, call, start, update, *timeout_ms)? {
                    WithStart::Done(reply) => return Ok(Some(Reply::Update(Box::new(reply)))),
                    WithStart::Existing(turn) => self.take(actor, *turn, false),
                    WithStart::New(decided, answers) => {
                        self.take_start(actor, *decided);
                        self.replies.extend(answers);
                    }
                }
                Ok(None)
            }
            Request::Reset { request, to } => self.reset(actor, request, to.as_ref(), stamp, world),
            Request::Read { run_id } => {
                let run_id = find_run(actor, run_id, world)?;
                Ok(actor.state(&run_id).map(Reply::State))
            }
            Request::Watch { run_id, seen, until_closed, until_paused, timeout_ms } => {
                let run_id = find_run(actor, run_id, world)?;
                let deadline = stamp.now + std::time::Duration::from_millis(*timeout_ms);
                let call = call.unwrap_or_default();
                let watcher = Watcher {
                    call,
                    run_id: run_id.clone(),
                    seen: *seen,
                    until_closed: *until_closed,
                    until_paused: *until_paused,
                    deadline,
                };
                if actor.is_seen(&watcher) {
                    return Ok(actor.state(&run_id).map(Reply::State));
                }
                actor.watchers.push(watcher);
                Ok(None)
            }
            Request::Message(message) => self.deliver(actor, call, message, stamp, world),
            Request::Wake => {
                // All runs in memory: an old one may be kept for a query or for its retention.
                for run_id in actor.runs.keys().cloned().collect::<Vec<_>>() {
                    self.decide_run(actor, &run_id, call.unwrap_or_default(), request, stamp)?;
                    self.harden(actor, &run_id, stamp.now);
                }
                Ok(Some(Reply::Done))
            }
            _ => {
                let run_id = find_run(actor, named_run(request), world)?;
                self.decide_run(actor, &run_id, call.unwrap_or_default(), request, stamp)
            }
        }
    }

    fn decide_run(
        &mut self,
        actor: &mut Actor,
        run_id: &Arc<str>,
        call: Call,
        request: &Request,
        stamp: &Stamp<'_>,
    ) -> Result<Option<Reply>, Reject> {
        let Some(run) = actor.runs.get_mut(run_id) else { return Err(Reject::execution_not_found()) };
        let may_be_soft = is_soft(request, &run.execution);
        let before = Before::of(&run.execution, &run.volatile);
        let mut turn = self.turn(run_id, run, stamp);
        match decide::decide(&mut turn, call, request) {
            Ok(_) if let Some(reason) = decide::outgrown(&turn, &before) => {
                run.execution = if turn.facts.is_empty() { turn.execution } else { self.replay(run_id, run) };
                let mut turn = self.turn(run_id, run, stamp);
                let reply = decide::end_outgrown(&mut turn, reason);
                self.take(actor, turn, false);
                Ok(Some(reply))
            }
            Ok(reply) => {
                decide::settle(&mut turn);
                let soft = turn.soft
                    || (may_be_soft && matches!(reply, Some(Reply::ActivityTask(_) | Reply::Noted(_))));
                self.take(actor, turn, soft);
                debug_assert!(self.is_replayed(actor, run_id), "a batch's facts make its states");
                Ok(reply)
            }
            Err(reject) => {
                // A verb refuses before it adds anything. One that does not is a bug, and must not leave
                // behind what is in no entry.
                let as_it_was = if turn.facts.is_empty() { turn.execution } else { self.replay(run_id, run) };
                run.execution = as_it_was;
                Err(reject)
            }
        }
    }

    /// A scratch copy to decide on. The batch's first is a copy indeed; those that follow go on with it, so
    /// that a thousand requests in one batch do not copy a growing state a thousand times.
    fn turn<'a>(&mut self, run_id: &Arc<str>, run: &mut Run, stamp: &'a Stamp<'a>) -> Turn<'a> {
        if !self.bases.contains_key(run_id) {
            let folded = self.change(run_id).map_or(0, |change| change.facts.len()) + run.soft.len();
            self.bases.insert(run_id.clone(), Base { execution: run.execution.clone(), folded });
        }
        let lent = std::mem::replace(&mut run.execution, LENT.clone());
        Turn::new(stamp, lent, run.volatile.clone())
    }

    /// The state as this batch's facts have it so far.
    fn replay(&self, run_id: &str, run: &Run) -> Shared<Execution> {
        let Some(base) = self.bases.get(run_id) else { return run.execution.clone() };
        let mut execution = base.execution.clone();
        let change = self.change(run_id);
        let kept = change.map_or(&[][..], |change| &change.facts);
        kept.iter().chain(&run.soft).skip(base.folded).for_each(|fact| evolve(&mut execution, fact));
        if change.is_some_and(|change| change.version == execution.version) {
            execution.version += 1;
            execution.state_transitions += 1;
        }
        execution
    }

    fn is_replayed(&self, actor: &Actor, run_id: &str) -> bool {
        actor.runs.get(run_id).is_none_or(|run| self.replay(run_id, run) == run.execution)
    }

    fn change(&self, run_id: &str) -> Option<&Change> {
        self.changes.iter().find(|change| *change.run.run_id == *run_id)
    }

    /// Gives each change the state that it leads to. Facts that waited travel with it.
    fn seal(&mut self, actor: &mut Actor) {
        for change in &mut self.changes {
            let Some(run) = actor.runs.get_mut(&change.run.run_id) else { continue };
            self.facts += run.soft.len();
            self.bytes += run.soft.iter().map(Fact::weight_bytes).sum::<usize>();
            change.facts.append(&mut run.soft);
            run.soft_since = None;
            change.prepared = Some(run.execution.arc());
        }
        self.bases.clear();
    }

    /// A message of another workflow. What only a repetition of it can tell is found out first.
    fn deliver(
        &mut self,
        actor: &mut Actor,
        call: Option<Call>,
        message: &Message,
        stamp: &Stamp<'_>,
        world: &dyn World,
    ) -> Result<Option<Reply>, Reject> {
        let outcome = |outcome| Ok(Some(Reply::Message(outcome)));
        if let Body::StartChild(start) = &message.body {
            let is_there = actor.load(&start.run_id, world).is_some();
            if is_there && !planted::is("child_started_twice") {
                return outcome(Outcome::Started { run_id: start.run_id.clone() });
            }
            let current = current_turn(actor, stamp);
            return match start::start_child(stamp, &actor.workflow, current, message, start) {
                Ok(decided) => Ok(Some(self.take_start(actor, decided))),
                Err(reject) => deliver::lasting(message, &reject).map_or(Err(reject), outcome),
            };
        }
        let is_external = matches!(message.body, Body::Signal { .. } | Body::Cancel { .. });
        if is_external && message.from.workflow == actor.workflow {
            return outcome(deliver::unreachable(message));
        }
        let run_id = match find_run(actor, &message.to_run, world) {
            Ok(run_id) if message.is_from_child() => reset::successor(actor, run_id, world),
            Ok(run_id) => run_id,
            Err(Reject::NotFound(_)) => return outcome(deliver::unreachable(message)),
            Err(reject) => return Err(reject),
        };
        if repeated::was_heard(actor, &run_id, message, world) {
            return outcome(Outcome::Done);
        }
        let request = Request::Message(Box::new(message.clone()));
        self.decide_run(actor, &run_id, call.unwrap_or_default(), &request, stamp)
    }

    /// Facts that waited for a change to travel with have waited long enough.
    fn harden(&mut self, actor: &mut Actor, run_id: &Arc<str>, now: Time) {
        let Some(run) = actor.runs.get_mut(run_id) else { return };
        let late = run.soft_until().is_some_and(|until| until <= now);
        if late {
            let (execution, volatile) = (run.execution.clone(), run.volatile.clone());
            self.keep(actor, execution, volatile, Vec::new());
        }
    }

    /// Events that a former leader buffered for a task that nobody holds any more get their ids.
    fn recover(&mut self, actor: &mut Actor, stamp: &Stamp<'_>) {
        let Some(run) = actor.current.as_ref().and_then(|current| actor.runs.get(current)) else { return };
        let is_left_over = !run.execution.buffered.is_empty() && run.volatile.started.is_none();
        if is_left_over && let Some(mut turn) = current_turn(actor, stamp) {
            turn.flush_buffer();
            decide::workflow_task::schedule_if_needed(&mut turn);
            self.take(actor, turn, false);
        }
    }

    fn take_start(&mut self, actor: &mut Actor, decided: StartDecided<'_>) -> Reply {
        if let Some(mut turn) = decided.current {
            decide::settle(&mut turn);
            self.take(actor, turn, false);
        }
        if let Some(new) = decided.new {
            self.begin(actor, new);
        }
        decided.reply
    }

    /// Takes over what a turn decided.
    fn take(&mut self, actor: &mut Actor, turn: Turn<'_>, soft: bool) {
        let Turn { execution, volatile, facts, answers, successor, stamp, .. } = turn;
        self.replies.extend(answers);
        if facts.is_empty() || soft {
            let run_id = execution.key().run_id.clone();
            if let Some(run) = actor.runs.get_mut(&run_id) {
                run.volatile = volatile;
                run.execution = execution;
                if !facts.is_empty() {
                    run.soft.extend(facts);
                    run.soft_since.get_or_insert(stamp.now);
                }
            }
        } else {
            self.keep(actor, execution, volatile, facts);
        }
        if let Some(new) = successor {
            self.begin(actor, *new);
        }
    }

    fn begin(&mut self, actor: &mut Actor, mut new: NewRun) {
        let run_id = new.execution.key().run_id.clone();
        // The old run closes in this entry, and nothing of it is needed beyond the tables.
        if let Some(previous) = actor.current.replace(run_id.clone()) {
            let follows = Fact::Record(Record::Follows(previous.to_string()));
            evolve(&mut new.execution, &follows);
            new.facts.push(follows);
        }
        actor.runs.insert(run_id, Run::new(LENT.clone(), Volatile::default()));
        self.keep(actor, new.execution, new.volatile, new.facts);
    }

    /// Adds facts to the run's change of this batch, and makes the state the one to decide on next.
    fn keep(
        &mut self,
        actor: &mut Actor,
        mut execution: Shared<Execution>,
        volatile: Volatile,
        facts: Vec<Fact>,
    ) {
        let key = execution.key().clone();
        let Some(run) = actor.runs.get_mut(&key.run_id) else { return };
        let position = *self.by_run.entry(key.clone()).or_insert_with(|| {
            self.changes.push(Change {
                run: key.clone(),
                version: execution.version,
                facts: Vec::new(),
                prepared: None,
            });
            self.changes.len() - 1
        });
        let change = &mut self.changes[position];
        let added = change.facts.len();
        change.facts.append(&mut run.soft);
        run.soft_since = None;
        change.facts.extend(facts);
        self.facts += change.facts.len() - added;
        self.bytes += change.facts[added..].iter().map(Fact::weight_bytes).sum::<usize>();
        if execution.version == change.version {
            execution.version += 1;
            execution.state_transitions += 1;
        }
        run.execution = execution;
        run.volatile = volatile;
    }
}

fn current_turn<'a>(actor: &Actor, stamp: &'a Stamp<'a>) -> Option<Turn<'a>> {
    let run = actor.runs.get(actor.current.as_ref()?)?;
    if run.execution.deleted {
        return None;
    }
    Some(Turn::new(stamp, run.execution.clone(), run.volatile.clone()))
}

/// What may be lost with its leader, since it is then done again: the start of an activity, unless it must
/// happen at most once, and the note that a message has been heard.
fn is_soft(request: &Request, execution: &Execution) -> bool {
    match request {
        Request::TakeActivityTask(take) => {
            execution.activities.get(&take.scheduled_event_id).is_some_and(|activity| {
                planted::is("once_not_durable")
                    || !decide::activity::must_be_durable_before_dispatch(activity)
            })
        }
        Request::Delivered { subject: Subject::ChildOfClosed(_) | Subject::Parent, .. } => true,
        _ => false,
    }
}

/// The run that a request names; empty means the current one.
fn find_run(actor: &mut Actor, run_id: &str, world: &dyn World) -> Result<Arc<str>, Reject> {
    let workflow_id = actor.workflow.workflow_id.clone();
    let wanted: Arc<str> = match (run_id.is_empty(), &actor.current) {
        (false, _) => run_id.into(),
        (true, Some(current)) => current.clone(),
        (true, None) => return Err(Reject::workflow_not_found(&workflow_id)),
    };
    match actor.load(&wanted, world) {
        Some(run) if !run.execution.deleted => Ok(wanted),
        _ if run_id.is_empty() => Err(Reject::workflow_not_found(&workflow_id)),
        _ => Err(Reject::NotFound(format!(
            "workflow execution not found for workflow ID {workflow_id:?} and run ID {run_id:?}"
        ))),
    }
}

fn named_run(request: &Request) -> &str {
    fn of(execution: &Option<everlog_proto::api::common::v1::WorkflowExecution>) -> &str {
        execution.as_ref().map_or("", |execution| &execution.run_id)
    }
    fn activity(of: &ActivityRef) -> &str {
        match of {
            ActivityRef::Token(token) => &token.run.run_id,
            ActivityRef::Id { run_id, .. } => run_id,
        }
    }
    match request {
        Request::Signal(request) => of(&request.workflow_execution),
        Request::Update { request, .. } => of(&request.workflow_execution),
        // A caller who names the first run of a chain means whichever run of it is current.
        Request::Cancel(request) if request.first_execution_run_id.is_empty() => {
            of(&request.workflow_execution)
        }
        Request::Terminate(request) if request.first_execution_run_id.is_empty() => {
            of(&request.workflow_execution)
        }
        Request::Delete { run_id }
        | Request::Query { run_id, .. }
        | Request::PollUpdate { run_id, .. }
        | Request::ResetSticky { run_id }
        | Request::Delivered { run_id, .. }
        | Request::NoPoller { run_id, .. } => run_id,
        Request::PauseActivity(request) => of(&request.execution),
        Request::UnpauseActivity(request) => of(&request.execution),
        Request::ResetActivity(request) => of(&request.execution),
        Request::UpdateActivityOptions(request) => of(&request.execution),
        Request::UpdateOptions(request) => of(&request.workflow_execution),
        Request::PauseWorkflow(request) => &request.run_id,
        Request::UnpauseWorkflow(request) => &request.run_id,
        Request::TakeWorkflowTask(take) => &take.run_id,
        Request::TakeActivityTask(take) => &take.run_id,
        Request::TakeQuery(take) => &take.run_id,
        Request::CompleteWorkflowTask { token, .. }
        | Request::FailWorkflowTask { token, .. }
        | Request::AnswerQuery { token, .. } => &token.run.run_id,
        Request::CompleteActivity { of, .. }
        | Request::FailActivity { of, .. }
        | Request::CancelActivity { of, .. }
        | Request::HeartbeatActivity { of, .. } => activity(of),
        _ => "",
    }
}
