//! One run of a workflow, brought forward by its history.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use everlog_proto::api::common::v1::{Header, Payload, Payloads};
use everlog_proto::api::failure::v1::Failure;
use everlog_proto::api::history::v1::HistoryEvent;
use everlog_proto::api::history::v1::history_event::Attributes;

use super::TaskError;
use super::check::{Divergence, check, describe, head, patch};
use super::command::{Command, ContinueAsNew, DATA_DETAIL, LOCAL_MARKER, VALUE_MARKER};
use super::history::{Closing, HistoryError, Opening, Step, unsupported};
use super::state::{Ahead, LocalTask, Resolution, RunState};
use super::waker::Alarm;
use crate::codec::{self, CodecError};
use crate::failure;
use crate::time::from_wire;
use crate::workflow::{Cx, Info};

/// How often a workflow may wake itself between two events.
const SELF_WAKES_MAX: u32 = 10_000;
/// What the server waits for the end of a workflow task if nothing else was agreed.
const TASK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Header fields under this prefix carry messages that the run before had not received.
const UNREAD_PREFIX: &str = "everlog-unread/";
/// The queries that every workflow answers.
pub(crate) const STATE_QUERY: &str = "state";
const STACK_QUERY: &str = "__stack_trace";

/// The future of a workflow, its types forgotten.
pub(crate) type WorkflowFuture = Pin<Box<dyn Future<Output = Result<Payloads, RunFailure>>>>;

/// A workflow that returned an error.
#[derive(Debug)]
pub(crate) struct RunFailure {
    pub(crate) failure: Failure,
    pub(crate) cancelled: bool,
}

/// A workflow that can be started.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) start: Box<Start>,
}

type Start = dyn Fn(Cx, Option<&Payloads>) -> Result<WorkflowFuture, CodecError> + Send + Sync;

pub(crate) struct Run {
    state: Rc<RunState>,
    definition: Arc<Definition>,
    /// `None` before the first event and after the last.
    future: Option<WorkflowFuture>,
    alarm: Arc<Alarm>,
    waker: Waker,
    outcome: Option<Outcome>,
    closed: bool,
    /// The commands of the last step; the next events must show them.
    issued: Vec<Command>,
    last_event_id: i64,
    last_started_id: i64,
    task_timeout: Duration,
    /// Whether the history already names this crate as the worker's software.
    pub(crate) sdk_recorded: bool,
}

#[derive(Debug)]
enum Outcome {
    Returned(Result<Payloads, RunFailure>),
    NextRun(ContinueAsNew),
}

/// What the engine knows of a run before its history.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

/// The name of the workflow that a history is of.
pub(crate) fn workflow_name(events: &[HistoryEvent]) -> Result<String, HistoryError> {
    let first = events.first().ok_or(HistoryError::Empty)?;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &first.attributes else {
        return Err(HistoryError::Beginning(first.event_id));
    };
    Ok(started.workflow_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default())
}

impl Run {
    /// A run whose history begins with `first`. Nothing of the workflow's code is called yet.
    pub(crate) fn new(
        definition: Arc<Definition>,
        identity: Identity,
        first: &HistoryEvent,
    ) -> Result<Self, TaskError> {
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &first.attributes else {
            return Err(HistoryError::Beginning(first.event_id).into());
        };
        let info = Info::new(&identity, first, started);
        // Not the run's own id: a run that was reset keeps the numbers it drew before.
        let seed = if started.original_execution_run_id.is_empty() {
            &identity.run_id
        } else {
            &started.original_execution_run_id
        };
        let state = RunState::new(info, seed);
        for (name, input) in unread(started.header.as_ref()) {
            state.deliver(&name, input);
        }
        let alarm = Alarm::new();
        Ok(Self {
            state,
            definition,
            future: None,
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
            outcome: None,
            closed: false,
            issued: Vec::new(),
            last_event_id: 0,
            last_started_id: 0,
            task_timeout: from_wire(started.workflow_task_timeout.as_ref()).unwrap_or(TASK_TIMEOUT_DEFAULT),
            sdk_recorded: false,
        })
    }

    /// The last event that was lived through.
    pub(crate) fn last_event_id(&self) -> i64 {
        self.last_event_id
    }

    /// The last workflow task that was lived through.
    pub(crate) fn last_started_id(&self) -> i64 {
        self.last_started_id
    }

    /// Lives through `steps`. The last of them is live if it has no closing.
    pub(crate) fn advance(&mut self, mut steps: VecDeque<Step>) -> Result<(), TaskError> {
        if self.alarm.is_foreign() {
            return Err(TaskError::ForeignWake { after: self.state.last_call() });
        }
        self.alarm.set_inside(true);
        let result = (|| {
            while let Some(step) = steps.pop_front() {
                match step {
                    Step::Opening(opening) => {
                        let closing = match steps.front() {
                            Some(Step::Closing(closing)) => Some(closing),
                            _ => None,
                        };
                        self.open(opening, closing)?;
                    }
                    Step::Closing(closing) => self.close(&closing)?,
                }
            }
            Ok(())
        })();
        self.alarm.set_inside(false);
        result
    }

    /// How long the server waits for the end of a workflow task.
    pub(crate) fn task_timeout(&self) -> Duration {
        self.task_timeout
    }

    /// Whether the workflow has returned, or continues as a new run.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Local activities that the worker should start now.
    pub(crate) fn take_locals(&mut self) -> Vec<LocalTask> {
        if self.closed { Vec::new() } else { self.state.take_locals() }
    }

    /// Whether local activities run, so that the live step is not finished.
    pub(crate) fn has_locals(&self) -> bool {
        !self.closed && self.state.has_locals()
    }

    /// Takes the commands of the live step; the server will show them as events.
    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        self.issue();
        self.issued.clone()
    }

    /// Gives a local activity its outcome, in the live step.
    pub(crate) fn resolve_local(
        &mut self,
        seq: u64,
        attempt: u32,
        result: Result<Option<Payloads>, Box<Failure>>,
    ) -> Result<(), TaskError> {
        self.alarm.set_inside(true);
        let result = self.apply_local(seq, attempt, result);
        self.alarm.set_inside(false);
        result
    }

    /// Answers a query from the state as it is.
    pub(crate) fn query(&self, name: &str, args: Option<&Payloads>) -> Result<Payloads, String> {
        if name == STACK_QUERY {
            let waits = self.state.waits();
            let text = if waits.is_empty() { "not waiting".into() } else { waits.join("\n") };
            return codec::encode_one(&text).map_err(|error| error.to_string());
        }
        let published = self.state.published();
        if let Some(handler) = self.state.query_handler(name) {
            return catch_unwind(AssertUnwindSafe(|| handler(args, published.as_ref()))).unwrap_or_else(
                |panic| Err(format!("the query panicked: {}", failure::panic_message(&*panic))),
            );
        }
        if name == STATE_QUERY {
            return match published {
                Some(payload) => Ok(Payloads { payloads: vec![payload] }),
                None => Err("the workflow has not published its state (yet)".into()),
            };
        }
        let mut known = self.state.query_names();
        known.push(STATE_QUERY.into());
        Err(format!("unknown query {name:?}; this workflow answers: {}", known.join(", ")))
    }

    fn open(&mut self, opening: Opening, closing: Option<&Closing>) -> Result<(), TaskError> {
        let replaying = closing.is_some();
        self.state.open(&opening, replaying, closing.map(look_ahead).unwrap_or_default());
        self.last_started_id = opening.started_event_id;
        self.last_event_id = opening.started_event_id;
        for event in &opening.events {
            let concerns_code = self.apply(event)?;
            if concerns_code && !self.closed {
                self.poll()?;
            }
        }
        for marker in closing.iter().flat_map(|closing| &closing.commands) {
            self.apply_local_marker(marker)?;
        }
        if replaying {
            self.issue();
        }
        Ok(())
    }

    fn close(&mut self, closing: &Closing) -> Result<(), TaskError> {
        let produced = std::mem::take(&mut self.issued);
        let begun = check(&produced, closing, &self.state.last_call()).map_err(TaskError::Divergence)?;
        self.state.learn_events(begun);
        self.last_event_id = closing.last_event_id();
        self.sdk_recorded |= closing.sdk_name == crate::SDK_NAME;
        Ok(())
    }

    /// Applies one event. Says whether the code may notice it.
    fn apply(&mut self, event: &HistoryEvent) -> Result<bool, TaskError> {
        let known = match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                let cx = Cx::new(Rc::clone(&self.state));
                self.future = Some((self.definition.start)(cx, started.input.as_ref())?);
                true
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) => {
                self.state.deliver(&signal.signal_name, signal.input.clone().unwrap_or_default());
                true
            }
            Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)) => {
                self.state.cancel();
                true
            }
            Some(Attributes::TimerFiredEventAttributes(fired)) => {
                fired.timer_id.parse().is_ok_and(|seq| self.state.resolve(seq, Resolution::Fired))
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(done)) => {
                let resolution = Resolution::Completed(done.result.clone());
                self.state.resolve_activity(done.scheduled_event_id, resolution)
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => {
                let resolution = Resolution::Failed(failed.failure.clone().map(Box::new));
                self.state.resolve_activity(failed.scheduled_event_id, resolution)
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(timed_out)) => {
                let resolution = Resolution::Failed(timed_out.failure.clone().map(Box::new));
                self.state.resolve_activity(timed_out.scheduled_event_id, resolution)
            }
            Some(Attributes::ActivityTaskCanceledEventAttributes(cancelled)) => {
                self.state.resolve_activity(cancelled.scheduled_event_id, Resolution::Cancelled)
            }
            // Facts that the code is not told.
            Some(
                Attributes::ActivityTaskStartedEventAttributes(_)
                | Attributes::WorkflowExecutionTerminatedEventAttributes(_)
                | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
                | Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
                | Attributes::WorkflowPropertiesModifiedExternallyEventAttributes(_)
                | Attributes::ActivityPropertiesModifiedExternallyEventAttributes(_)
                | Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(_)
                | Attributes::WorkflowExecutionPausedEventAttributes(_)
                | Attributes::WorkflowExecutionUnpausedEventAttributes(_),
            ) => return Ok(false),
            _ if event.worker_may_ignore => return Ok(false),
            _ => return Err(unsupported(event).into()),
        };
        if known || self.closed {
            return Ok(known);
        }
        Err(TaskError::Divergence(Box::new(Divergence {
            event_id: event.event_id,
            recorded: describe(event),
            produced: "nothing that this could be the outcome of".into(),
            after: self.state.last_call(),
        })))
    }

    /// Applies the outcome of a local activity from its marker. Within a step, these come after all
    /// events, as they did when the step was live.
    fn apply_local_marker(&mut self, event: &HistoryEvent) -> Result<(), TaskError> {
        let Some(Attributes::MarkerRecordedEventAttributes(marker)) = &event.attributes else {
            return Ok(());
        };
        if marker.marker_name != LOCAL_MARKER {
            return Ok(());
        }
        let Some(head) = head(event) else {
            return Err(HistoryError::Unreadable(format!("marker of event {}", event.event_id)).into());
        };
        let result = match &marker.failure {
            Some(failure) => Err(Box::new(failure.clone())),
            None => Ok(marker.details.get(DATA_DETAIL).cloned()),
        };
        self.apply_local(head.seq, head.attempt, result)
    }

    fn apply_local(
        &mut self,
        seq: u64,
        attempt: u32,
        result: Result<Option<Payloads>, Box<Failure>>,
    ) -> Result<(), TaskError> {
        // A local activity that the code has given up leaves no trace.
        let Some(name) = self.state.local_name(seq) else { return Ok(()) };
        let resolution = match &result {
            Ok(data) => Resolution::Completed(data.clone()),
            Err(failure) => Resolution::Failed(Some(failure.clone())),
        };
        self.state.push(Command::LocalResult { seq, name, attempt, result });
        self.state.resolve(seq, resolution);
        if self.closed { Ok(()) } else { self.poll() }
    }

    fn poll(&mut self) -> Result<(), TaskError> {
        let Some(future) = &mut self.future else { return Ok(()) };
        for _ in 0..SELF_WAKES_MAX {
            self.alarm.take_rung();
            self.state.shields.set(0);
            let mut context = Context::from_waker(&self.waker);
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)))
                .map_err(|panic| TaskError::Panicked(failure::panic_message(&*panic)))?;
            if let Some(divergence) = self.state.take_divergence() {
                return Err(TaskError::Divergence(divergence));
            }
            if let Poll::Ready(result) = polled {
                self.state.forget_given_up();
                self.outcome = Some(Outcome::Returned(result));
                self.put_away();
                return Ok(());
            }
            if let Some(next) = self.state.take_next_run() {
                self.outcome = Some(Outcome::NextRun(next));
                self.put_away();
                return Ok(());
            }
            self.state.settle_given_up();
            if self.alarm.take_rung() {
                continue;
            }
            if !self.state.is_waiting() {
                return Err(TaskError::ForeignAwait { after: self.state.last_call() });
            }
            return Ok(());
        }
        Err(TaskError::Spinning(SELF_WAKES_MAX))
    }

    /// Ends the step: what was produced is what the history has to show.
    fn issue(&mut self) {
        match self.outcome.take() {
            Some(Outcome::Returned(Ok(result))) => self.state.push(Command::Complete(result)),
            Some(Outcome::Returned(Err(failed))) if failed.cancelled && self.state.is_cancelled() => {
                self.state.push(Command::CancelWorkflow);
            }
            Some(Outcome::Returned(Err(failed))) => self.state.push(Command::Fail(Box::new(failed.failure))),
            Some(Outcome::NextRun(mut next)) => {
                next.header.extend(carry(self.state.take_unread()));
                self.state.push(Command::ContinueAsNew(Box::new(next)));
            }
            None => {}
        }
        self.issued = self.state.take_commands();
    }

    /// Drops the workflow's future without a trace in its history.
    fn put_away(&mut self) {
        self.closed = true;
        self.state.set_closing();
        let future = self.future.take();
        // A panic in a destructor must not take the other workflows of the thread along.
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            tracing::error!(workflow = self.definition.name, "a destructor of a workflow panicked");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.put_away();
    }
}

fn look_ahead(closing: &Closing) -> Ahead {
    let mut ahead = Ahead { closing_event_id: closing.completed_event_id, ..Ahead::default() };
    for event in &closing.commands {
        if let Some(patch) = patch(event) {
            ahead.patches.insert(patch.id);
        }
        if let Some(Attributes::MarkerRecordedEventAttributes(marker)) = &event.attributes
            && marker.marker_name == VALUE_MARKER
            && let Some(head) = head(event)
            && let Some(data) = marker.details.get(DATA_DETAIL).and_then(|data| data.payloads.first())
        {
            ahead.values.insert(head.seq, (head.name, data.clone()));
        }
    }
    ahead
}

/// Messages as header fields of the next run. The order is in the key, since headers have none.
fn carry(unread: Vec<(String, Payloads)>) -> BTreeMap<String, Payload> {
    let mut fields = BTreeMap::new();
    for (position, (name, input)) in unread.into_iter().enumerate() {
        let parts = input.payloads.len();
        if parts == 0 {
            fields.insert(format!("{UNREAD_PREFIX}{position:06}/none/{name}"), Payload::default());
        }
        for (part, payload) in input.payloads.into_iter().enumerate() {
            fields.insert(format!("{UNREAD_PREFIX}{position:06}/{part:04}/{name}"), payload);
        }
    }
    fields
}

/// The messages that the run before had not received.
fn unread(header: Option<&Header>) -> Vec<(String, Payloads)> {
    let fields: BTreeMap<_, _> = header.iter().flat_map(|header| &header.fields).collect();
    let mut messages: BTreeMap<&str, (String, Payloads)> = BTreeMap::new();
    for (key, payload) in fields {
        let Some(rest) = key.strip_prefix(UNREAD_PREFIX) else { continue };
        let mut parts = rest.splitn(3, '/');
        let (Some(position), Some(part), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let message = messages.entry(position).or_insert_with(|| (name.to_owned(), Payloads::default()));
        if part != "none" {
            message.1.payloads.push(payload.clone());
        }
    }
    messages.into_values().collect()
}
