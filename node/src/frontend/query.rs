//! Queries: asked by clients, answered by workers, kept by nobody.

use std::time::Duration;

use everlog_engine::{
    decide::query::TIMED_OUT, key::WorkflowKey, reject::Reject, reply::Reply, request::Request,
    token::TokenTask,
};
use everlog_proto::api::{
    enums::v1::{QueryRejectCondition, QueryResultType},
    workflowservice::v1::{
        QueryWorkflowRequest, QueryWorkflowResponse, RespondQueryTaskCompletedRequest,
        RespondQueryTaskCompletedResponse,
    },
};
use tokio::time::Instant;
use tonic::Status;

use super::{
    call::{Answer, Scope, encode},
    status, validate,
    workflow::{ask, ask_within, unexpected},
};
use crate::route::{Failure, Repeat, to_home};

/// How long a query waits for a worker, however long its caller would.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn query(scope: Scope, request: QueryWorkflowRequest) -> Answer {
    let execution = validate::execution(request.execution.as_ref())?;
    let Some(query) = &request.query else {
        return Err(Status::invalid_argument("WorkflowQuery is not set on request."));
    };
    if query.query_type.is_empty() {
        return Err(Status::invalid_argument("QueryType is not set on request."));
    }
    validate::blob(query.query_args.as_ref(), &scope.limits)?;
    let reject = match request.query_reject_condition() {
        QueryRejectCondition::Unspecified => QueryRejectCondition::None,
        reject => reject,
    };
    let (scope, key) = (&scope, &WorkflowKey::new(scope.namespace_id(), &execution.workflow_id));
    to_home(&scope.call, scope.namespace_id(), &execution.workflow_id, Repeat::Safe, |shard| async move {
        let timeout = scope.call.remaining().unwrap_or(QUERY_TIMEOUT).min(QUERY_TIMEOUT);
        let deadline = Instant::now() + timeout;
        let asked = Request::Query {
            run_id: execution.run_id.clone(),
            query: Box::new(query.clone()),
            reject,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        let answered = ask_within(scope, shard, key, asked, QUERY_TIMEOUT).await;
        // When time is up, it is all the same whether the workflow says so or does not get to it any more.
        let answered = match answered {
            Err(Failure::Lost) if Instant::now() >= deadline => Err(timed_out().into()),
            answered => answered,
        };
        let response = match answered? {
            Reply::QueryAnswer { result } => {
                QueryWorkflowResponse { query_result: result, ..Default::default() }
            }
            Reply::QueryRejected(rejected) => {
                QueryWorkflowResponse { query_rejected: Some(rejected), ..Default::default() }
            }
            _ => return Err(unexpected("query").into()),
        };
        Ok(encode(&response))
    })
    .await
}

fn timed_out() -> Reject {
    Reject::DeadlineExceeded(TIMED_OUT.into())
}

pub(super) async fn respond(scope: Scope, mut request: RespondQueryTaskCompletedRequest) -> Answer {
    let Some(token) = scope.token.clone() else {
        return Err(Status::invalid_argument("Error deserializing task token."));
    };
    if !matches!(token.task, TokenTask::Query { .. }) {
        return Err(status::not_found("query task not found, or already expired"));
    }
    if validate::is_too_large(request.query_result.as_ref(), &scope.limits) {
        request.completed_type = QueryResultType::Failed as i32;
        request.query_result = None;
        request.error_message = "Blob data size exceeds limit.".to_owned();
    }
    let (scope, token, request) = (&scope, &token, &request);
    let key = token.workflow();
    to_home(&scope.call, scope.namespace_id(), &key.workflow_id, Repeat::Safe, |shard| async move {
        let answer = Request::AnswerQuery { token: token.clone(), request: Box::new(request.clone()) };
        ask(scope, shard, key, answer).await?;
        Ok(encode(&RespondQueryTaskCompletedResponse {}))
    })
    .await
}
