//! Queries: answered by a worker, kept by the leader alone, never in a history.
//!
//! A query must see everything that was acknowledged before it. So it goes straight to a worker only if
//! no workflow task is owed; otherwise it travels with the task that brings the worker up to date
//! (service/history/api/queryworkflow/api.go).

#[allow(clippy::disallowed_types, reason = "the API's messages have this map")]
use std::collections::HashMap as ApiMap;
use std::time::Duration;

use everlog_proto::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::{QueryRejectCondition, QueryResultType, TaskQueueKind, WorkflowExecutionStatus},
    query::v1::{QueryRejected, WorkflowQuery, WorkflowQueryResult},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{PollWorkflowTaskQueueResponse, RespondQueryTaskCompletedRequest},
};

use crate::{
    codec::Proto,
    decide::{Decided, workflow_task},
    reject::Reject,
    reply::{HistorySpan, Reply, WorkflowTaskReply},
    request::TakeQuery,
    time::Time,
    token::{TaskToken, TokenTask},
    turn::Turn,
    volatile::{QueryState, WaitingQuery},
};

const NO_POLLER: &str = "no poller seen for task queue recently, worker may be down";
pub const TIMED_OUT: &str = "query timed out before a worker could process it";

/// From this attempt on a failing workflow task is taken for broken, and queries are refused at once.
const TASK_ATTEMPTS_BEFORE_REFUSAL: i32 = 3;

pub fn query(
    turn: &mut Turn<'_>,
    call: u64,
    query: &WorkflowQuery,
    reject: QueryRejectCondition,
    timeout_ms: u64,
) -> Decided {
    let status = turn.execution.status();
    let unwanted = match reject {
        QueryRejectCondition::NotOpen => status != WorkflowExecutionStatus::Running,
        QueryRejectCondition::NotCompletedCleanly => {
            !matches!(status, WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Completed)
        }
        _ => false,
    };
    if unwanted || turn.execution.is_paused() {
        return Ok(Some(Reply::QueryRejected(QueryRejected { status: status as i32 })));
    }
    let deadline = turn.stamp.now + Duration::from_millis(timeout_ms);
    check_ready(turn, deadline)?;
    let direct = turn.execution.has_completed_task()
        && (!turn.execution.is_running() || workflow_task::pending(turn).is_none());
    let buffered = turn.volatile.queries.values().filter(|q| !matches!(q.state, QueryState::Direct { .. }));
    if !direct && buffered.count() >= turn.stamp.limits.buffered_queries_max {
        return Err(Reject::BusyWorkflow(
            "consistent query buffer is full, cannot accept new consistent queries".into(),
        ));
    }
    let id = turn.volatile.next_query_id;
    turn.volatile.next_query_id += 1;
    let state = if direct { direct_state(turn) } else { QueryState::Buffered };
    let name = turn.stamp.uuid();
    let waiting = WaitingQuery { name, call, query: query.clone(), state, deadline, offered: turn.stamp.now };
    turn.volatile.queries.insert(id, waiting);
    Ok(None)
}

fn check_ready(turn: &Turn<'_>, deadline: Time) -> Result<(), Reject> {
    if turn.execution.has_completed_task() {
        let attempt = turn.execution.workflow_task.as_ref().map_or(1, |task| task.attempt);
        return if attempt >= TASK_ATTEMPTS_BEFORE_REFUSAL { Err(task_failing()) } else { Ok(()) };
    }
    if !turn.execution.is_running() {
        return Err(Reject::WorkflowNotReady(
            "Workflow execution closed before WorkflowTaskStarted event".into(),
        ));
    }
    // A first task that is due before its caller gives up is worth waiting for.
    if turn.execution.is_backing_off() && turn.execution.execution_time > deadline {
        return Err(Reject::WorkflowNotReady("Workflow task is not scheduled yet.".into()));
    }
    let attempt = turn.execution.workflow_task.as_ref().map_or(1, |task| task.attempt);
    if attempt >= TASK_ATTEMPTS_BEFORE_REFUSAL { Err(task_failing()) } else { Ok(()) }
}

fn task_failing() -> Reject {
    Reject::WorkflowNotReady("Unable to query workflow due to Workflow Task in failed state.".into())
}

/// The sticky worker has not seen what came since its last task, and while the workflow is paused no task brings it.
fn direct_state(turn: &Turn<'_>) -> QueryState {
    QueryState::Direct { sticky: turn.execution.sticky.is_some() && !turn.execution.is_paused() }
}

/// The waiting queries go with the task that is handed out now.
pub fn attach(turn: &mut Turn<'_>) -> Vec<u64> {
    let mut attached = Vec::new();
    for (id, query) in &mut turn.volatile.queries {
        if query.state == QueryState::Buffered {
            query.state = QueryState::Attached;
            attached.push(*id);
        }
    }
    attached
}

/// The queries that travel with the held task, as the poll response carries them.
#[allow(clippy::disallowed_types, reason = "the API's message has this map; it is never iterated here")]
pub fn attached(turn: &Turn<'_>) -> ApiMap<String, WorkflowQuery> {
    let queries = turn.volatile.queries.iter();
    queries
        .filter(|(_, q)| q.state == QueryState::Attached)
        .map(|(_, q)| (q.name.clone(), q.query.clone()))
        .collect()
}

/// The task that carried queries ended badly: they wait for the next one.
pub fn release(turn: &mut Turn<'_>) {
    for query in turn.volatile.queries.values_mut() {
        if query.state == QueryState::Attached {
            query.state = QueryState::Buffered;
        }
    }
}

/// A task was completed: its answers go to the callers. What is left waits for the next task, or goes
/// to a worker directly if there will be none.
#[allow(clippy::disallowed_types, reason = "the API's message has this map; it is only looked up")]
pub fn task_completed(turn: &mut Turn<'_>, results: &ApiMap<String, WorkflowQueryResult>) {
    let attached: Vec<u64> = turn
        .volatile
        .queries
        .iter()
        .filter(|(_, query)| query.state == QueryState::Attached)
        .map(|(id, _)| *id)
        .collect();
    for id in attached {
        let name = turn.volatile.queries.get(&id).map(|query| query.name.clone()).unwrap_or_default();
        match results.get(&name) {
            Some(result) => {
                if let Some(query) = turn.volatile.queries.remove(&id) {
                    turn.answers.push((query.call, outcome(turn, result)));
                }
            }
            None => {
                if let Some(query) = turn.volatile.queries.get_mut(&id) {
                    query.state = QueryState::Buffered;
                }
            }
        }
    }
}

/// After a turn that leaves no task owed, buffered queries need not wait for one.
pub fn unblock(turn: &mut Turn<'_>) {
    if turn.execution.is_running() && workflow_task::pending(turn).is_some() {
        return;
    }
    let state = direct_state(turn);
    let ready = turn.execution.has_completed_task();
    let ids: Vec<u64> = turn.volatile.queries.keys().copied().collect();
    for id in ids {
        let Some(query) = turn.volatile.queries.get_mut(&id) else { continue };
        if matches!(query.state, QueryState::Direct { .. }) {
            continue;
        }
        if ready {
            query.state = state;
            query.offered = turn.stamp.now;
        } else if !turn.execution.is_running() {
            let call = query.call;
            turn.volatile.queries.remove(&id);
            let reason = "Workflow execution closed before WorkflowTaskStarted event";
            turn.answers.push((call, Err(Reject::WorkflowNotReady(reason.into()))));
        }
    }
}

fn outcome(turn: &Turn<'_>, result: &WorkflowQueryResult) -> Result<Reply, Reject> {
    answer_of(turn, result.result_type(), &result.answer, &result.error_message, &result.failure)
}

fn answer_of(
    turn: &Turn<'_>,
    kind: QueryResultType,
    answer: &Option<everlog_proto::api::common::v1::Payloads>,
    message: &str,
    failure: &Option<everlog_proto::api::failure::v1::Failure>,
) -> Result<Reply, Reject> {
    use prost::Message;
    match kind {
        QueryResultType::Answered => {
            let bytes = answer.as_ref().map_or(0, |answer| answer.encoded_len());
            if bytes > turn.stamp.limits.blob_bytes_max {
                return Err(Reject::QueryFailed {
                    message: format!(
                        "query result size ({bytes}) exceeds limit ({})",
                        turn.stamp.limits.blob_bytes_max
                    ),
                    failure: None,
                });
            }
            Ok(Reply::QueryAnswer { result: answer.clone() })
        }
        _ => Err(Reject::QueryFailed {
            message: message.to_owned(),
            failure: failure.clone().map(|failure| Box::new(Proto(failure))),
        }),
    }
}

/// A worker polled and gets the query as a task of its own.
pub fn take(turn: &mut Turn<'_>, take: &TakeQuery) -> Decided {
    let Some(query) = turn.volatile.queries.get(&take.query) else { return Ok(Some(Reply::TaskGone)) };
    let QueryState::Direct { sticky } = query.state else { return Ok(Some(Reply::TaskGone)) };
    let execution = &turn.execution;
    let key = execution.key().clone();
    let token = TaskToken { run: key.clone(), task: TokenTask::Query { id: take.query, nonce: query.call } };
    let response = PollWorkflowTaskQueueResponse {
        task_token: token.encode(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id: execution.workflow_id().to_owned(),
            run_id: execution.run_id().to_owned(),
        }),
        workflow_type: Some(WorkflowType { name: execution.workflow_type().to_owned() }),
        previous_started_event_id: execution.last_completed_started_event_id,
        attempt: 1,
        query: Some(query.query.clone()),
        workflow_execution_task_queue: Some(TaskQueue {
            name: execution.task_queue().to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        ..Default::default()
    };
    // A sticky worker has the state; any other rebuilds it from the whole history.
    let to = if sticky { 0 } else { execution.history_length() };
    let history = HistorySpan { run: key, from: 1, to, suffix: Vec::new() };
    Ok(Some(Reply::WorkflowTask(Box::new(WorkflowTaskReply { response, history }))))
}

pub fn answer(turn: &mut Turn<'_>, token: &TaskToken, request: &RespondQueryTaskCompletedRequest) -> Decided {
    let TokenTask::Query { id, nonce } = token.task else {
        return Err(Reject::InvalidArgument("Invalid TaskToken.".into()));
    };
    let waits = turn.volatile.queries.get(&id).is_some_and(|query| query.call == nonce);
    if !waits {
        return Err(Reject::NotFound("query task not found, or already expired".into()));
    }
    if request.completed_type() == QueryResultType::Unspecified {
        // Neither an answer nor a failure: the caller goes on waiting.
        return Ok(Some(Reply::Done));
    }
    if let Some(query) = turn.volatile.queries.remove(&id) {
        let outcome = answer_of(
            turn,
            request.completed_type(),
            &request.query_result,
            &request.error_message,
            &request.failure,
        );
        turn.answers.push((query.call, outcome));
    }
    Ok(Some(Reply::Done))
}

/// The sticky worker is gone: any worker of the normal queue may answer, from the whole history.
pub fn to_normal_queue(turn: &mut Turn<'_>, id: u64) {
    if let Some(query) = turn.volatile.queries.get_mut(&id)
        && query.state == (QueryState::Direct { sticky: true })
    {
        query.state = QueryState::Direct { sticky: false };
        query.offered = turn.stamp.now;
    }
}

/// Nobody polls the queue. If it is the normal one, there is nobody left to ask.
pub fn no_poller(turn: &mut Turn<'_>, id: u64, sticky: bool) {
    if sticky {
        return to_normal_queue(turn, id);
    }
    let waits = |query: &WaitingQuery| query.state == QueryState::Direct { sticky: false };
    if turn.volatile.queries.get(&id).is_some_and(waits)
        && let Some(query) = turn.volatile.queries.remove(&id)
    {
        turn.answers.push((query.call, Err(Reject::FailedPrecondition(NO_POLLER.into()))));
    }
}

/// Nobody will ever be able to answer.
pub fn give_up(turn: &mut Turn<'_>, reason: &Reject) {
    let queries = std::mem::take(&mut turn.volatile.queries);
    turn.answers.extend(queries.into_values().map(|query| (query.call, Err(reason.clone()))));
}

/// Ends queries that nobody answered in time, and gives up on sticky workers that do not take theirs.
pub fn wake(turn: &mut Turn<'_>) {
    let now = turn.stamp.now;
    let expired: Vec<u64> =
        turn.volatile.queries.iter().filter(|(_, q)| q.deadline <= now).map(|(id, _)| *id).collect();
    for id in expired {
        if let Some(query) = turn.volatile.queries.remove(&id) {
            turn.answers.push((query.call, Err(Reject::DeadlineExceeded(TIMED_OUT.into()))));
        }
    }
    if let Some(sticky) = turn.execution.sticky.clone() {
        let late: Vec<u64> = turn
            .volatile
            .queries
            .iter()
            .filter(|(_, q)| q.state == QueryState::Direct { sticky: true })
            .filter(|(_, q)| q.offered + sticky.schedule_to_start_timeout <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            to_normal_queue(turn, id);
        }
    }
}
