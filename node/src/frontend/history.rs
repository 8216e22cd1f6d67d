//! Reading histories: pages, long polls, the close event.
//!
//! A page token is bound to the run of the first page: if the workflow goes on in another run meanwhile,
//! the reader still gets one history. It names the next event and nothing else, so any leader of the
//! shard can go on from it.
//!
//! A task that a worker holds has a Started event that is written only with the task's completion. A
//! reader who looks now gets it as it will be, because the real server has it in the history. The
//! Scheduled and Started events of a later attempt are shown only to clients that replay: they were handed
//! to the worker, and a replay without them would end too early.

use std::time::Duration;

use bytes::Bytes;
use everlog_engine::{
    codec,
    decide::workflow_task::unwritten_events,
    execution::Execution,
    key::WorkflowKey,
    reply::{Reply, StateReply},
    request::Request,
};
use everlog_proto::api::{
    enums::v1::HistoryEventFilterType,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
        GetWorkflowExecutionHistoryReverseRequest, GetWorkflowExecutionHistoryReverseResponse,
    },
};
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::{
    backend::Order,
    call::{Answer, Scope},
    events::{Page, read_page, with_message},
    validate,
    workflow::{ask, ask_within, unexpected},
};
use crate::route::{Failure, Repeat, to_home};

/// The field `history` of both responses.
const HISTORY: u32 = 1;
/// A long poll is answered so long before its caller gives up.
pub(super) const ANSWERED_BEFORE: Duration = Duration::from_secs(1);

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Token {
    run_id: String,
    next: i64,
    order: u8,
}

const TOKEN_KIND: u8 = b'P';
const TOKEN_VERSION: u8 = 1;
const FORWARD: u8 = 0;
const BACKWARD: u8 = 1;

impl Token {
    pub(super) fn forward(run_id: &str, next: i64) -> Token {
        Token { run_id: run_id.to_owned(), next, order: FORWARD }
    }

    fn backward(run_id: &str, next: i64) -> Token {
        Token { run_id: run_id.to_owned(), next, order: BACKWARD }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        codec::encode(TOKEN_KIND, TOKEN_VERSION, self)
    }

    /// The token of a request, if it has one; it must be about the run that the request names.
    fn of(bytes: &[u8], run_id: &str, order: u8) -> Result<Option<Token>, Status> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let token: Option<Token> = codec::decode(TOKEN_KIND, TOKEN_VERSION, bytes).ok();
        let Some(token) = token.filter(|token| token.order == order && token.next > 0) else {
            return Err(Status::invalid_argument("Invalid NextPageToken."));
        };
        if !run_id.is_empty() && run_id != token.run_id {
            return Err(Status::invalid_argument("RunId in the request does not match the NextPageToken."));
        }
        Ok(Some(token))
    }
}

pub(super) async fn forward(scope: Scope, request: GetWorkflowExecutionHistoryRequest) -> Answer {
    let execution = validate::execution(request.execution.as_ref())?;
    let token = Token::of(&request.next_page_token, &execution.run_id, FORWARD)?;
    let run_id = token.as_ref().map_or(execution.run_id.as_str(), |token| &token.run_id).to_owned();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let read = &Read {
        scope: &scope,
        key: &key,
        run_id,
        token,
        rows_max: page_rows(&scope, request.maximum_page_size),
        waits: request.wait_new_event,
    };
    let close_only = request.history_event_filter_type() == HistoryEventFilterType::CloseEvent;
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        if close_only { read.close_event(shard).await } else { read.events(shard).await }
    })
    .await
}

pub(super) async fn reverse(scope: Scope, request: GetWorkflowExecutionHistoryReverseRequest) -> Answer {
    let execution = validate::execution(request.execution.as_ref())?;
    let token = Token::of(&request.next_page_token, &execution.run_id, BACKWARD)?;
    let run_id = token.as_ref().map_or(execution.run_id.as_str(), |token| &token.run_id).to_owned();
    let key = WorkflowKey::new(scope.namespace_id(), &execution.workflow_id);
    let read = &Read {
        scope: &scope,
        key: &key,
        run_id,
        token,
        rows_max: page_rows(&scope, request.maximum_page_size),
        waits: false,
    };
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        read.events_reversed(shard).await
    })
    .await
}

fn page_rows(scope: &Scope, asked: i32) -> usize {
    let max = scope.call.shared.api(&scope.namespace.name).history_page_rows_max.max(1);
    match usize::try_from(asked) {
        Ok(0) | Err(_) => max,
        Ok(asked) => asked.min(max),
    }
}

/// A read of one run, which may have to be tried more than once.
struct Read<'a> {
    scope: &'a Scope,
    key: &'a WorkflowKey,
    run_id: String,
    token: Option<Token>,
    rows_max: usize,
    waits: bool,
}

impl Read<'_> {
    /// The event that closed the run, or the last one of a run that is paused. While it runs, nothing, or, if the
    /// reader waits, nothing yet.
    async fn close_event(&self, shard: u64) -> Result<Bytes, Failure> {
        let state = match self.waits {
            true => self.watch(shard, i64::MAX, true).await?,
            false => self.state(shard).await?,
        };
        let execution = &state.execution;
        if goes_on(execution) {
            let next = self.token.as_ref().map_or(1, |token| token.next);
            let token = self.waits.then(|| Token::forward(execution.run_id(), next));
            return Ok(answer(token, Page::default()));
        }
        if let Some(event) = self.written_when_started(&state).last() {
            let mut page = Page::default();
            page.push(event);
            return Ok(answer(None, page));
        }
        let last = execution.history_length();
        Ok(answer(None, self.page(&state, last, last, Order::Forward).await?))
    }

    /// Events from the token on. At the end of a running run a reader who waits gets what comes next.
    async fn events(&self, shard: u64) -> Result<Bytes, Failure> {
        let from = self.token.as_ref().map_or(1, |token| token.next);
        let mut state = self.state(shard).await?;
        let at_end = |state: &StateReply| from > state.execution.history_length();
        if self.waits && at_end(&state) && goes_on(&state.execution) {
            state = self.watch(shard, from - 1, false).await?;
        }
        let execution = &state.execution;
        let follows = self.waits && goes_on(execution);
        let mut page = Page::default();
        let mut next = from;
        if !at_end(&state) {
            page = self.page(&state, from, execution.history_length(), Order::Forward).await?;
            next = page.span.map_or(from, |(_, last)| last + 1);
        }
        let complete = next > execution.history_length();
        if complete && !follows {
            self.unwritten(&state).iter().for_each(|event| page.push(event));
        }
        let token = (!complete || follows).then(|| Token::forward(execution.run_id(), next));
        Ok(answer(token, page))
    }

    async fn events_reversed(&self, shard: u64) -> Result<Bytes, Failure> {
        let state = self.state(shard).await?;
        let execution = &state.execution;
        let mut history = Page::default();
        let newest = match &self.token {
            Some(token) => token.next.min(execution.history_length()),
            None => {
                let events = self.written_when_started(&state);
                events.iter().rev().for_each(|event| history.push(event));
                execution.history_length()
            }
        };
        let page = self.page(&state, 1, newest, Order::Backward).await?;
        let next = page.span.map_or(0, |(_, last)| last - 1);
        history.history.extend(page.history);
        let next_page_token =
            if next > 0 { Token::backward(execution.run_id(), next).encode() } else { Vec::new() };
        let response = GetWorkflowExecutionHistoryReverseResponse { next_page_token, history: None };
        Ok(with_message(&response, HISTORY, Some(&history.history)))
    }

    async fn page(&self, state: &StateReply, from: i64, to: i64, order: Order) -> Result<Page, Failure> {
        let run = state.execution.key();
        let page = read_page(&self.scope.call.shared, run, from, to, order, self.rows_max).await?;
        if page.span.is_none() {
            return Err(Status::data_loss("no events in workflow history").into());
        }
        Ok(page)
    }

    /// What this reader gets after the last event that is written.
    fn unwritten(&self, state: &StateReply) -> Vec<HistoryEvent> {
        if self.scope.call.client.replays() {
            return anonymous(state);
        }
        self.written_when_started(state)
    }

    /// The Started event of a first attempt, which counts as written from the start.
    fn written_when_started(&self, state: &StateReply) -> Vec<HistoryEvent> {
        match &state.execution.workflow_task {
            Some(task) if task.written => unwritten_events(&state.execution, None, state.started.as_ref()),
            _ => Vec::new(),
        }
    }

    async fn state(&self, shard: u64) -> Result<StateReply, Failure> {
        let read = Request::Read { run_id: self.run_id.clone() };
        match ask(self.scope, shard, self.key, read).await? {
            Reply::State(state) => Ok(state),
            _ => Err(unexpected("read").into()),
        }
    }

    /// The state as soon as it has more events than `seen`, or at the end of the long poll.
    async fn watch(&self, shard: u64, seen: i64, until_closed: bool) -> Result<StateReply, Failure> {
        let longest = self.scope.call.shared.api(&self.scope.namespace.name).history_poll_timeout;
        let remaining = self.scope.call.remaining().unwrap_or(longest + ANSWERED_BEFORE);
        let timeout = remaining.saturating_sub(ANSWERED_BEFORE).min(longest);
        let watch = Request::Watch {
            run_id: self.run_id.clone(),
            seen,
            until_closed,
            until_paused: true,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        match ask_within(self.scope, shard, self.key, watch, longest + ANSWERED_BEFORE).await? {
            Reply::State(state) => Ok(state),
            _ => Err(unexpected("watch").into()),
        }
    }
}

/// Whether readers may wait for more of a run: to the real server one that is paused is as good as closed.
fn goes_on(execution: &Execution) -> bool {
    execution.is_running() && !execution.is_paused()
}

fn answer(token: Option<Token>, page: Page) -> Bytes {
    let next_page_token = token.map(|token| token.encode()).unwrap_or_default();
    let response = GetWorkflowExecutionHistoryResponse { next_page_token, ..Default::default() };
    with_message(&response, HISTORY, Some(&page.history))
}

/// The unwritten events of a retried task, as history reads have them: without the holder's name.
fn anonymous(state: &StateReply) -> Vec<HistoryEvent> {
    let speculative = state.speculative.as_ref();
    let mut events = unwritten_events(&state.execution, speculative, state.started.as_ref());
    let is_transient = state.workflow_task().is_some_and(|task| !task.written);
    for event in events.iter_mut().filter(|_| is_transient) {
        if let Some(Attributes::WorkflowTaskStartedEventAttributes(started)) = &mut event.attributes {
            started.identity.clear();
        }
    }
    events
}
